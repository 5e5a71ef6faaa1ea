/* The feature pyramid, behind the image encoder, against the reference's activations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fpn/fpn.h"
#include "support/block_env.h"
#include "support/compare.h"
#include "swin/swin.h"

static void compare_levels(const struct reference_case *c, const struct feature_map levels[FPN_LEVELS],
                           double tolerance)
{
	for (int i = 0; i < FPN_LEVELS; i++) {
		char tensor[32];
		struct npy wanted;

		snprintf(tensor, sizeof tensor, "fpn.p%d", i + 3);
		wanted = reference_tensor(c, tensor);
		assert_true(compare_map(tensor, &wanted, levels[i].data, levels[i].height, levels[i].width, levels[i].channels,
		                        tolerance) <= tolerance);
		npy_free(&wanted);
	}
}

static void run_case(const char *name, double tolerance)
{
	struct reference_case c;
	struct block_env e;
	struct swin swin;
	struct fpn fpn;
	struct feature_map maps[SWIN_STAGES], levels[FPN_LEVELS] = {0};
	float *input;

	if (!reference_case_open(&c, name))
		skip();
	printf("%s\n", name);
	block_env_open(&e, c.config, c.seed, RULE_SWIN | RULE_FPN, 2);
	block_env_check(glip__swin_bind(&swin, &e.binder, NULL, &e.err), &e.err);
	const int channels[FPN_INPUTS] = {swin.stages[1].channels, swin.stages[2].channels, swin.stages[3].channels};

	block_env_check(glip__fpn_bind(&fpn, &e.binder, channels, c.config->channels, &e.err), &e.err);
	block_env_check_bound(&e);
	input = reference_input(&c);
	block_env_check(glip__swin_forward(&swin, &e.ops, input, c.height, c.width, false, maps), &e.err);
	block_env_check(glip__fpn_forward(&fpn, &e.ops, maps + 1, levels), &e.err);
	compare_levels(&c, levels, tolerance);
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
