/* make_model VARIANT SEED OUT.gguf: an untrained model of deterministic weights ("mini-t", "glip-l"), for the tests of
 * the program. */
#include <stdio.h>
#include <stdlib.h>

#include "support/rule_weights.h"

int main(int argc, char **argv)
{
	const struct rule_config *config = argc == 4 ? rule_variant(argv[1]) : NULL;

	if (config == NULL) {
		fprintf(stderr, "usage: make_model VARIANT SEED OUT.gguf\n");
		return 2;
	}
	return rule_weights_write(argv[3], config, strtoull(argv[2], NULL, 10), RULE_MODEL) ? 0 : 1;
}
