/* The encoders on very small models with odd maps, against activations that tools/reference/make_block_dumps.py made:
 * every map is padded, some are smaller than a window, and levels are not twice as large as the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/bert.h"
#include "fpn/fpn.h"
#include "support/block_env.h"
#include "support/compare.h"
#include "swin/swin.h"

enum { SEED = 5, TOKENS = 7 };

/* Single activations differ by roundings of float32 alone; LayerNorm with another epsilon is told apart. */
static const double tolerance = 1e-6;

struct small {
	struct rule_config config;
	int height, width;
};

/* The head's numbers do not matter here. */
static const struct small models[] = {
	{{"window3", 8, {2, 2, 3, 2}, {1, 2, 4, 4}, 3, 50, 8, 2, 2, 12, 8, 1, true, 1, 1, 1, 0, false}, 52, 20},
	{{"window4", 4, {1, 2, 2, 2}, {2, 2, 1, 8}, 4, 50, 12, 1, 3, 20, 4, 1, true, 1, 1, 1, 0, false}, 36, 76},
};

static void compare_one(const struct small *m, const char *tensor, const struct feature_map *map)
{
	struct npy wanted;
	char path[128];

	snprintf(path, sizeof path, "tests/data/blocks/%s/%s.npy", m->config.name, tensor);
	assert_true(npy_read(path, &wanted));
	assert_true(compare_map(tensor, &wanted, map->data, map->height, map->width, map->channels, tolerance) <=
	            tolerance);
	npy_free(&wanted);
}

static void run_image(const struct small *m, struct block_env *e)
{
	struct swin swin;
	struct fpn fpn;
	struct feature_map maps[SWIN_STAGES], levels[FPN_LEVELS] = {0};
	size_t count = (size_t)m->height * (size_t)m->width * 3;
	float *input = malloc(count * sizeof *input);
	char tensor[32];

	assert_non_null(input);
	rule_uniform("input", SEED, input, count);
	block_env_check(glip__swin_bind(&swin, &e->binder, NULL, &e->err), &e->err);
	const int channels[FPN_INPUTS] = {swin.stages[1].channels, swin.stages[2].channels, swin.stages[3].channels};

	block_env_check(glip__fpn_bind(&fpn, &e->binder, channels, m->config.channels, &e->err), &e->err);
	block_env_check_bound(e);
	block_env_check(glip__swin_forward(&swin, &e->ops, input, m->height, m->width, true, maps), &e->err);
	block_env_check(glip__fpn_forward(&fpn, &e->ops, maps + 1, levels), &e->err);
	for (int s = 0; s < SWIN_STAGES; s++) {
		snprintf(tensor, sizeof tensor, "swin.stage%d", s + 1);
		compare_one(m, tensor, &maps[s]);
	}
	for (int i = 0; i < FPN_LEVELS; i++) {
		snprintf(tensor, sizeof tensor, "fpn.p%d", i + 3);
		compare_one(m, tensor, &levels[i]);
	}
	glip__swin_free(&swin);
	free(input);
}

static void test_image(void **state)
{
	const struct small *m = *state;
	struct block_env e;

	block_env_open(&e, &m->config, SEED, RULE_SWIN | RULE_FPN, 2);
	run_image(m, &e);
	block_env_close(&e);
}

static void test_text(void **state)
{
	const struct small *m = *state;
	struct block_env e;
	struct bert bert;
	struct npy wanted;
	float hidden[TOKENS * 12];
	int32_t ids[TOKENS];
	char path[128];

	block_env_open(&e, &m->config, SEED, RULE_BERT, 2);
	block_env_check(glip__bert_bind(&bert, &e.binder, NULL, &e.err), &e.err);
	block_env_check_bound(&e);
	for (int t = 0; t < TOKENS; t++)
		ids[t] = (11 * t + 3) % m->config.vocab;
	block_env_check(glip__bert_forward(&bert, &e.ops, ids, TOKENS, hidden), &e.err);
	snprintf(path, sizeof path, "tests/data/blocks/%s/bert.hidden.npy", m->config.name);
	assert_true(npy_read(path, &wanted));
	assert_true(compare_text("bert.hidden", &wanted, TOKENS, hidden, TOKENS, bert.hidden, tolerance) <= tolerance);
	npy_free(&wanted);
	glip__bert_free(&bert);
	block_env_close(&e);
}

int main(void)
{
	static struct small first, second;
	const struct CMUnitTest tests[] = {
		{.name = "image, window 3", .test_func = test_image, .initial_state = &first},
		{.name = "image, window 4", .test_func = test_image, .initial_state = &second},
		{.name = "text, 2 layers", .test_func = test_text, .initial_state = &first},
		{.name = "text, 1 layer", .test_func = test_text, .initial_state = &second},
	};

	first = models[0];
	second = models[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
