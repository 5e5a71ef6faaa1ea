/* The dynamic convolution against the reference's activations and, on odd sizes, PyTorch on a very small head. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dyhead/dyconv.h"
#include "support/head_maps.h"

static void new_like(struct head_maps *out, const struct head_maps *m)
{
	int sizes[LEVELS][2];

	for (int l = 0; l < LEVELS; l++) {
		sizes[l][0] = m->levels[l].height;
		sizes[l][1] = m->levels[l].width;
	}
	head_maps_new(out, sizes, m->levels[0].channels);
}

static void test_reference(void **state)
{
	const double tolerance = 1e-5;
	struct reference_case c;
	struct block_env e;

	if (!reference_case_open(&c, *state))
		skip();
	block_env_open(&e, c.config, c.seed, RULE_HEAD, 2);
	for (int i = 0; i < c.config->head_layers; i++) {
		char prefix[32], before[40], after[40];
		struct head_maps in, out;
		struct dyconv dyconv;

		snprintf(prefix, sizeof prefix, "head.%d.dyconv", i);
		if (c.config->fusion)
			snprintf(before, sizeof before, "head.%d.fuse.p%%d", i);
		else
			snprintf(before, sizeof before, i ? "head.%d.dyconv.p%%d" : "fpn.p%%d", i - 1);
		snprintf(after, sizeof after, "head.%d.dyconv.p%%d", i);
		glip__dyconv_bind(&dyconv, &e.binder, prefix, c.config->channels, c.config->groups);
		block_env_check_bound(&e);
		head_maps_read(&in, &c, before);
		new_like(&out, &in);
		assert_int_equal(glip__dyconv_forward(&dyconv, &e.ops, in.levels, out.levels), GLIP_OK);
		assert_true(head_maps_compare(&out, &c, after, tolerance) <= tolerance);
		head_maps_free(&in);
		head_maps_free(&out);
	}
	block_env_close(&e);
	reference_case_close(&c);
}

/* Sides that no level has exactly half of; 1 to 3 threads and blocks of any size give the same bits. */
static void test_small(void **state)
{
	struct head_maps in, out, first;

	(void)state;
	head_maps_new(&in, small_sizes, SMALL_CHANNELS);
	head_maps_new(&first, small_sizes, SMALL_CHANNELS);
	const int64_t count = in.positions * SMALL_CHANNELS;
	for (int threads = 1; threads <= 3; threads++) {
		struct block_env e;
		struct dyconv dyconv;

		small_head_open(&e, threads);
		e.ops.cache = (size_t)threads * 32 * 1024;
		glip__dyconv_bind(&dyconv, &e.binder, "head.0.dyconv", SMALL_CHANNELS, SMALL_GROUPS);
		block_env_check_bound(&e);
		memcpy(in.data, small_head_tensor(&e, "fuse.visual", count), (size_t)count * sizeof *in.data);
		head_maps_new(&out, small_sizes, SMALL_CHANNELS);
		assert_int_equal(glip__dyconv_forward(&dyconv, &e.ops, in.levels, out.levels), GLIP_OK);
		const double error = relative_error(out.data, small_head_tensor(&e, "dyconv.visual", count), count);
		printf("  %d threads: %.2e\n", threads, error);
		/* Sampling points of a pixel or two carry a rounding of the offsets into the values. */
		assert_true(error <= 5e-6);
		if (threads == 1)
			memcpy(first.data, out.data, (size_t)count * sizeof *out.data);
		assert_memory_equal(out.data, first.data, (size_t)count * sizeof *out.data);
		head_maps_free(&out);
		block_env_close(&e);
	}
	head_maps_free(&in);
	head_maps_free(&first);
}

/* In narrow modes the offsets, and nothing that only asks for less, are made of 16-bit integers. */
static void test_in_16_bits(void **state)
{
	struct head_maps in, out;
	struct block_env e;
	struct dyconv dyconv;

	(void)state;
	head_maps_new(&in, small_sizes, SMALL_CHANNELS);
	head_maps_new(&out, small_sizes, SMALL_CHANNELS);
	const int64_t count = in.positions * SMALL_CHANNELS;
	small_head_open(&e, 2);
	e.ops.narrow_16 = &glip__narrow_i16_ref;
	glip__dyconv_bind(&dyconv, &e.binder, "head.0.dyconv", SMALL_CHANNELS, SMALL_GROUPS);
	block_env_check_bound(&e);
	memcpy(in.data, small_head_tensor(&e, "fuse.visual", count), (size_t)count * sizeof *in.data);
	assert_int_equal(glip__dyconv_forward(&dyconv, &e.ops, in.levels, out.levels), GLIP_OK);
	const double error = relative_error(out.data, small_head_tensor(&e, "dyconv.visual", count), count);
	printf("  offsets in 16 bits: %.2e\n", error);
	assert_true(error > 5e-6 && error <= 1e-3);
	block_env_close(&e);
	head_maps_free(&in);
	head_maps_free(&out);
}

static void test_bad_groups(void **state)
{
	struct block_env e;
	struct dyconv dyconv;

	(void)state;
	small_head_open(&e, 1);
	glip__dyconv_bind(&dyconv, &e.binder, "head.0.dyconv", SMALL_CHANNELS, 5);
	assert_int_equal(glip__binder_finish(&e.binder, &e.err), GLIP_ERR_MODEL);
	assert_non_null(strstr(e.err.message, "head.0.dyconv"));
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
		cmocka_unit_test(test_in_16_bits),
		cmocka_unit_test(test_bad_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
