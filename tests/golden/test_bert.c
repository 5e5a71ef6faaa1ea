/* The text encoder against the reference's activations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bert/bert.h"
#include "support/block_env.h"
#include "support/compare.h"

static void run_case(const char *name, double tolerance)
{
	struct reference_case c;
	struct block_env e;
	struct bert bert;
	struct npy wanted;

	if (!reference_case_open(&c, name))
		skip();
	printf("%s\n", name);
	block_env_open(&e, c.config, c.seed, RULE_BERT, 2);
	block_env_check(glip__bert_bind(&bert, &e.binder, NULL, &e.err), &e.err);
	block_env_check_bound(&e);
	const struct json *list = json_get(c.json, "token_ids");
	int32_t ids[256];
	float *hidden = malloc(256 * (size_t)bert.hidden * sizeof *hidden);

	assert_non_null(hidden);
	assert_true(list->length <= 256);
	for (size_t i = 0; i < list->length; i++)
		ids[i] = (int32_t)list->items[i].number;
	block_env_check(glip__bert_forward(&bert, &e.ops, ids, (int64_t)list->length, hidden), &e.err);
	wanted = reference_tensor(&c, "bert.hidden");
	assert_true(compare_text("bert.hidden", &wanted, 256, hidden, (int64_t)list->length, bert.hidden, tolerance) <=
	            tolerance);
	npy_free(&wanted);
	free(hidden);
	glip__bert_free(&bert);
	block_env_close(&e);
	reference_case_close(&c);
}

int main(void)
{
	static const char *const cases[] = {"mini-t-classes", "mini-t-coco80",  "mini-t-phrases", "mini-l-classes",
	                                    "glip-t-classes", "glip-t-phrases", "glip-a-coco80",  NULL};

	return reference_cases_run(cases, run_case);
}
