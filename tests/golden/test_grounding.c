/* The head's outputs against the reference's and against PyTorch on a very small head. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dyhead/grounding.h"
#include "support/compare.h"
#include "support/head_maps.h"

static float *floats(int64_t count)
{
	float *x = calloc((size_t)count, sizeof *x);

	assert_non_null(x);
	return x;
}

/* Runs text and image side; the outputs' buffers hold all levels, one after the other: free the first of each. */
static void run(const struct grounding_head *m, struct ops *ops, const struct head_maps *maps, const float *text,
                int64_t tokens, struct level_output out[LEVELS])
{
	float *projected = floats(tokens * m->channels), *token_bias = floats(tokens);
	float *logits = floats(maps->positions * tokens), *box = floats(maps->positions * 4);
	float *centerness = floats(maps->positions);
	int64_t at = 0;

	assert_int_equal(glip__grounding_text(m, ops, text, tokens, projected, token_bias), GLIP_OK);
	for (int l = 0; l < LEVELS; l++) {
		const struct feature_map *map = &maps->levels[l];

		out[l] = (struct level_output){
			.logits = logits + at * tokens,
			.box = box + at * 4,
			.centerness = centerness + at,
		};
		assert_int_equal(glip__grounding_forward(m, ops, map, l, projected, token_bias, tokens, &out[l]), GLIP_OK);
		assert_int_equal(out[l].height, map->height);
		assert_int_equal(out[l].width, map->width);
		at += (int64_t)map->height * map->width;
	}
	free(projected);
	free(token_bias);
}

static void free_outputs(struct level_output out[LEVELS])
{
	free(out[0].logits);
	free(out[0].box);
	free(out[0].centerness);
}

/* Level l of the dumps FORMAT. */
static struct npy level_tensor(const struct reference_case *c, const char *what, int level)
{
	char name[64];

	snprintf(name, sizeof name, "out.%s.p%d", what, level + 3);
	return reference_tensor(c, name);
}

static void test_reference(void **state)
{
	const double tolerance = 1e-5;
	struct reference_case c;
	struct block_env e;
	struct grounding_head m;
	struct head_maps maps;
	struct level_output out[LEVELS];
	char name[40];
	int64_t tokens;

	if (!reference_case_open(&c, *state))
		skip();
	block_env_open(&e, c.config, c.seed, RULE_HEAD, 2);
	glip__grounding_bind(&m, &e.binder, c.config->channels, c.config->hidden);
	block_env_check_bound(&e);
	snprintf(name, sizeof name, "head.%d.dyconv.p%%d", c.config->head_layers - 1);
	head_maps_read(&maps, &c, name);
	snprintf(name, sizeof name, "head.%d.bert.lang", c.config->head_layers - 1);
	float *text = head_text_read(&c, c.config->fusion ? name : "bert.embedded", &tokens);
	run(&m, &e.ops, &maps, text, tokens, out);
	for (int l = 0; l < LEVELS; l++) {
		const int height = maps.levels[l].height, width = maps.levels[l].width;
		const int64_t positions = (int64_t)height * width;
		struct npy box = level_tensor(&c, "bbox_reg", l), centerness = level_tensor(&c, "centerness", l);
		struct npy logits = level_tensor(&c, "dot_logits", l);

		assert_true(compare_map("out.bbox_reg", &box, out[l].box, height, width, 4, tolerance) <= tolerance);
		assert_true(compare_map("out.centerness", &centerness, out[l].centerness, height, width, 1, tolerance) <=
		            tolerance);
		/* Only the valid tokens of the dump mean anything. */
		assert_int_equal(logits.count, positions * 256);
		for (int64_t p = 0; p < positions; p++)
			memmove(logits.data + p * tokens, logits.data + p * 256, (size_t)tokens * sizeof *logits.data);
		const double error = relative_error(out[l].logits, logits.data, positions * tokens);
		printf("  out.dot_logits.p%d %.2e\n", l + 3, error);
		assert_true(error <= tolerance);
		npy_free(&box);
		npy_free(&centerness);
		npy_free(&logits);
	}
	free_outputs(out);
	free(text);
	head_maps_free(&maps);
	block_env_close(&e);
	reference_case_close(&c);
}

static void open_small(struct block_env *e, struct grounding_head *m, struct head_maps *maps)
{
	small_head_open(e, 2);
	glip__grounding_bind(m, &e->binder, SMALL_CHANNELS, SMALL_HIDDEN);
	block_env_check_bound(e);
	head_maps_new(maps, small_sizes, SMALL_CHANNELS);
	memcpy(maps->data, small_head_tensor(e, "dyconv.visual", maps->positions * SMALL_CHANNELS),
	       (size_t)maps->positions * SMALL_CHANNELS * sizeof *maps->data);
}

static void test_small(void **state)
{
	struct block_env e;
	struct grounding_head m;
	struct head_maps maps;
	struct level_output out[LEVELS];

	(void)state;
	open_small(&e, &m, &maps);
	run(&m, &e.ops, &maps, small_head_tensor(&e, "bert.text", SMALL_TOKENS * SMALL_HIDDEN), SMALL_TOKENS, out);
	const int64_t n = maps.positions;
	const double logits =
		relative_error(out[0].logits, small_head_tensor(&e, "out.logits", n * SMALL_TOKENS), n * SMALL_TOKENS);
	const double box = relative_error(out[0].box, small_head_tensor(&e, "out.box", n * 4), n * 4);
	const double centerness = relative_error(out[0].centerness, small_head_tensor(&e, "out.centerness", n), n);
	printf("  logits %.2e, box %.2e, centerness %.2e\n", logits, box, centerness);
	assert_true(logits <= 1e-6 && box <= 1e-6 && centerness <= 1e-6);
	free_outputs(out);
	head_maps_free(&maps);
	block_env_close(&e);
}

/* What the network ends in is float32 in every mode. */
static void test_narrow(void **state)
{
	struct block_env e;
	struct grounding_head m;
	struct head_maps maps;
	struct level_output out[2][LEVELS];

	(void)state;
	open_small(&e, &m, &maps);
	for (int narrow = 0; narrow < 2; narrow++) {
		e.ops.narrow = narrow ? &glip__narrow_i8_ref : NULL;
		e.ops.narrow_16 = narrow ? &glip__narrow_i16_ref : NULL;
		run(&m, &e.ops, &maps, small_head_tensor(&e, "bert.text", SMALL_TOKENS * SMALL_HIDDEN), SMALL_TOKENS,
		    out[narrow]);
	}
	const size_t n = (size_t)maps.positions;
	assert_memory_equal(out[0][0].logits, out[1][0].logits, n * SMALL_TOKENS * sizeof(float));
	assert_memory_equal(out[0][0].box, out[1][0].box, n * 4 * sizeof(float));
	assert_memory_equal(out[0][0].centerness, out[1][0].centerness, n * sizeof(float));
	free_outputs(out[0]);
	free_outputs(out[1]);
	head_maps_free(&maps);
	block_env_close(&e);
}

/* Logits are held within +-50000; a text of zeros has no direction and leaves the bias alone. */
static void test_limits(void **state)
{
	struct block_env e;
	struct grounding_head m;
	struct head_maps maps;
	struct level_output out[LEVELS];
	const float scale = -20.0f;
	float text[2 * SMALL_HIDDEN] = {0};
	int64_t low = 0, high = 0;

	(void)state;
	open_small(&e, &m, &maps);
	m.log_scale = &scale;
	text[SMALL_HIDDEN] = 1.0f;
	run(&m, &e.ops, &maps, text, 2, out);
	for (int64_t i = 0; i < maps.positions * 2; i++) {
		assert_true(fabsf(out[0].logits[i]) <= 50000.0f);
		low += out[0].logits[i] <= -50000.0f;
		high += out[0].logits[i] >= 50000.0f;
	}
	assert_true(low > 0 && high > 0);
	free_outputs(out);

	float projected[SMALL_CHANNELS], bias;
	assert_int_equal(glip__grounding_text(&m, &e.ops, text, 1, projected, &bias), GLIP_OK);
	assert_true(fabsf(bias - m.bias0[0]) < 1e-6f);
	for (int i = 0; i < SMALL_CHANNELS; i++)
		assert_true(isfinite(projected[i]));
	head_maps_free(&maps);
	block_env_close(&e);
}

int main(void)
{
	static char *cases[] = {"mini-t-classes",  "mini-t-coco80",  "mini-t-phrases",
	                        "mini-t-portrait", "mini-l-classes", "mini-a-classes"};
	const struct CMUnitTest tests[] = {
		{.name = "mini-t-classes", .test_func = test_reference, .initial_state = cases[0]},
		{.name = "mini-t-coco80", .test_func = test_reference, .initial_state = cases[1]},
		{.name = "mini-t-phrases", .test_func = test_reference, .initial_state = cases[2]},
		{.name = "mini-t-portrait", .test_func = test_reference, .initial_state = cases[3]},
		{.name = "mini-l-classes", .test_func = test_reference, .initial_state = cases[4]},
		{.name = "mini-a-classes", .test_func = test_reference, .initial_state = cases[5]},
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
