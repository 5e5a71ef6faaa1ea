/* The parts of a conversion that need no file. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/convert.h"

static void test_row_numbers(void **state)
{
	static const float data[6][2] = {{1, 2}, {3, 4}, {1, 2}, {1, 3}, {3, 4}, {1, 2}};
	static const int32_t expected[6] = {0, 1, 0, 2, 1, 0};
	int32_t number[6];
	size_t unique;

	(void)state;
	assert_true(convert_equal_rows(&glip__default_allocator, &data[0][0], 6, 2, number, &unique));
	assert_int_equal(unique, 3);
	assert_memory_equal(number, expected, sizeof(number));
}

/* What the official models' names are. */
static void test_variants(void **state)
{
	struct model_sizes m = {.embed_dim = 96,
	                        .depths = {2, 2, 6, 2},
	                        .heads = {3, 6, 12, 24},
	                        .window = 7,
	                        .vocab = 30522,
	                        .hidden = 768,
	                        .bert_layers = 12,
	                        .bert_heads = 12,
	                        .intermediate = 3072,
	                        .channels = 256,
	                        .head_layers = 6,
	                        .fusion = true,
	                        .fusion_dim = 2048,
	                        .fusion_heads = 8,
	                        .groups = 16};

	(void)state;
	assert_string_equal(sizes_variant(&m), "GLIP-T");
	m.fusion = false;
	assert_string_equal(sizes_variant(&m), "GLIP-A");
	m.fusion = true;
	m.bert_heads = 8;
	assert_string_equal(sizes_variant(&m), "GLIP (custom)");
	m = (struct model_sizes){.embed_dim = 192,
	                         .depths = {2, 2, 18, 2},
	                         .window = 12,
	                         .hidden = 768,
	                         .bert_layers = 12,
	                         .bert_heads = 12,
	                         .intermediate = 3072,
	                         .channels = 256,
	                         .head_layers = 8,
	                         .fusion = true,
	                         .fusion_dim = 2048,
	                         .fusion_heads = 8,
	                         .groups = 16};
	assert_string_equal(sizes_variant(&m), "GLIP-L");
}

/* bfloat16: nearest, ties to even, overflow to infinity, NaN stays. */
static void test_rounding(void **state)
{
	static const struct {
		uint32_t in;
		uint16_t out;
	} cases[] = {{0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F818000, 0x3F82}, {0x3F808001, 0x3F81},
	             {0x3F807FFF, 0x3F80}, {0x7F7FFFFF, 0x7F80}, {0xFF800000, 0xFF80}, {0x7F800001, 0x7FC0},
	             {0x80000000, 0x8000}, {0x00008001, 0x0001}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		float f;
		memcpy(&f, &cases[i].in, sizeof(f));
		assert_int_equal(bf16_from_f32(f), cases[i].out);
	}
}

/* Rows to whole numbers and a scale; the second form writes them over the row itself. */
static void test_whole_numbers(void **state)
{
	float row[4] = {1.27f, -0.634f, 0.0f, 0.006f}, none[3] = {0.0f, -0.0f, 0.0f}, faint[2] = {1e-38f, -1e-40f},
		  huge[2] = {FLT_MAX, -FLT_MAX};
	int8_t q[4];

	(void)state;
	float scale = i8_from_f32(row, 4, q);
	assert_true(fabsf(scale - 0.01f) <= 0.01f / (1 << 17));
	assert_true(q[0] == 127 && q[1] == -63 && q[2] == 0 && q[3] == 1);
	assert_true(i8_from_f32(row, 4, (int8_t *)row) == scale);
	assert_memory_equal(row, q, 4);
	assert_true(i8_from_f32(none, 3, q) == 0.0f && q[0] == 0 && q[1] == 0 && q[2] == 0);
	assert_true(i8_from_f32(faint, 2, q) == 0.0f && q[0] == 0 && q[1] == 0);
	scale = i8_from_f32(huge, 2, q);
	assert_true(q[0] == 127 && q[1] == -127 && scale * 127.0f <= FLT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row_numbers),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_whole_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
