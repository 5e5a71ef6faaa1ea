/* Writes the inputs that are made into FOLDER/TARGET/NAME. */
#include <stdio.h>
#include <sys/stat.h>

#include "targets.h"

static void write_seed(void *user, const char *target, const char *name, const void *data, size_t size)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", (const char *)user, target);
	(void)mkdir(path, 0777);
	snprintf(path, sizeof path, "%s/%s/made-%s", (const char *)user, target, name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(data, 1, size, f) != size || fclose(f) != 0)
		perror(path);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	fuzz_make_seeds(write_seed, argv[1]);
	return 0;
}
