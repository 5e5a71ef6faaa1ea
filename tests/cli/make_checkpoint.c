/* make_checkpoint OUT.safetensors: a checkpoint of the smallest model, with its vocabulary in OUT.safetensors.txt;
 * prints the settings that its shapes do not tell. */
#include <stdio.h>
#include <string.h>

#include "support/tiny_model.h"

int main(int argc, char **argv)
{
	struct scratch_file file;
	char vocabulary[sizeof file.path + 8];

	if (argc != 2 || strlen(argv[1]) >= sizeof file.path)
		return 2;
	snprintf(file.path, sizeof file.path, "%s", argv[1]);
	tiny_checkpoint_write(&file);
	snprintf(vocabulary, sizeof vocabulary, "%s.txt", argv[1]);
	FILE *out = fopen(vocabulary, "wb");
	if (out == NULL || fputs(tiny_vocabulary, out) < 0 || fclose(out) != 0)
		return 1;
	for (int i = 0; i < TINY_SETTINGS; i++)
		printf("--set %s%s", tiny_settings[i], i + 1 < TINY_SETTINGS ? " " : "\n");
	return 0;
}
