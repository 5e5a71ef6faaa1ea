/* The image encoder against the reference's activations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/block_env.h"
#include "support/compare.h"
#include "swin/swin.h"

static void run_case(const char *name, double tolerance)
{
	struct reference_case c;
	struct block_env e;
	struct swin swin;
	struct feature_map maps[SWIN_STAGES];
	float *input;

	if (!reference_case_open(&c, name))
		skip();
	printf("%s\n", name);
	block_env_open(&e, c.config, c.seed, RULE_SWIN, 2);
	block_env_check(glip__swin_bind(&swin, &e.binder, NULL, &e.err), &e.err);
	block_env_check_bound(&e);
	input = reference_input(&c);
	block_env_check(glip__swin_forward(&swin, &e.ops, input, c.height, c.width, true, maps), &e.err);
	for (int s = 0; s < SWIN_STAGES; s++) {
		char tensor[32];
		struct npy wanted;

		snprintf(tensor, sizeof tensor, "swin.stage%d", s + 1);
		wanted = reference_tensor(&c, tensor);
		assert_true(compare_map(tensor, &wanted, maps[s].data, maps[s].height, maps[s].width, maps[s].channels,
		                        tolerance) <= tolerance);
		npy_free(&wanted);
	}
	free(input);
	glip__swin_free(&swin);
	block_env_close(&e);
	reference_case_close(&c);
}

int main(void)
{
	static const char *const cases[] = {"mini-t-classes", "mini-t-portrait", "mini-a-classes", "mini-l-classes",
	                                    "glip-t-classes", "glip-t-phrases",  "glip-a-coco80",  NULL};

	return reference_cases_run(cases, run_case);
}
