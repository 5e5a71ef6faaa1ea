/* What the tests of narrow kernels share: their sets on this machine, and stretches of narrowed values. */
#ifndef GLIP_TESTS_NARROW_CASE_H
#define GLIP_TESTS_NARROW_CASE_H

#include "kernel_case.h"
#include "ops/narrow.h"

static const struct narrow_kernels *const references[] = {&glip__narrow_bf16_ref, &glip__narrow_i8_ref,
                                                          &glip__narrow_i16_ref, &glip__narrow_planes_ref};
enum { REFERENCES = sizeof references / sizeof *references };

/* AVX-VNNI's kernels with its instruction emulated. */
extern const struct narrow_kernels emulated_i8_avxvnni, emulated_i16_avxvnni;

/* Masks whose best kernels differ. */
static const uint32_t masks[] = {
	GLIP_CPU_AMX_INT8, GLIP_CPU_AVX512_BF16, GLIP_CPU_AVX512_VNNI,
	GLIP_CPU_AVX_VNNI, GLIP_CPU_AVX2,        GLIP_CPU_NEON_DOTPROD,
};
enum { MASKS = sizeof masks / sizeof *masks };

/* Calls test with each set of narrow kernels this machine has, plain C first. */
static inline void for_each_narrow(void (*test)(const struct narrow_kernels *narrow))
{
	for (size_t i = 0; i < REFERENCES; i++) {
		test(references[i]);
		for (size_t m = 0; m < MASKS; m++) {
			const struct narrow_kernels *fast = glip__narrow_kernels(references[i]->compute, masks[m]);
			if (fast && fast->planes == references[i]->planes && (glip__cpu_flags() & masks[m]))
				test(fast);
		}
	}
#if defined(__x86_64__)
	if (glip__cpu_flags() & GLIP_CPU_AVX2) {
		test(&emulated_i8_avxvnni);
		test(&emulated_i16_avxvnni);
	}
#endif
}

static inline const struct narrow_kernels *reference_of(const struct narrow_kernels *narrow)
{
	for (size_t i = 0; i < REFERENCES; i++)
		if (references[i]->compute == narrow->compute && references[i]->planes == narrow->planes)
			return references[i];
	fail();
	return NULL;
}

/* Words that a stretch of k values may take, whatever the kernels. */
#define MOST_WORDS(k) (16 + (k) + 64)

/* Value p of a stretch: its place, as ops/narrow.h describes it; where values come apart, that of its high byte. */
struct value_place {
	size_t word;
	unsigned shift, bits;
};
enum { TO_LOW_BYTE = 16 }; /* words on */

static inline struct value_place place_of(const struct narrow_kernels *narrow, bool is_left, size_t p)
{
	const size_t group = (size_t)narrow->group, in = p % group;
	const unsigned bits = (unsigned)(32 / group);
	const size_t head = is_left ? (size_t)narrow->left_head : NARROW_HEAD;
	if (narrow->planes)
		return (struct value_place){head + p / 64 * 32 + p % 64 / 4, (unsigned)(p % 4) * 8, 16};
	if (is_left && narrow->left_words == 2)
		return (struct value_place){head + p / 4 * 2 + in % 2, (unsigned)(in / 2) * 16, 16};
	return (struct value_place){head + p / group, (unsigned)in * bits, bits};
}

/* Its bits, 8 or 16. */
static inline uint32_t value_bits(const struct narrow_kernels *narrow, bool is_left, const uint32_t *row, size_t p)
{
	const struct value_place at = place_of(narrow, is_left, p);
	const uint32_t value = row[at.word] >> at.shift;
	if (narrow->planes) /* the low byte is signed */
		return ((value << 8) + (uint32_t)(int32_t)(int8_t)(uint8_t)(row[at.word + TO_LOW_BYTE] >> at.shift)) & 0xffff;
	return value & (at.bits == 16 ? 0xffff : 0xff);
}

static inline void put_bits(uint32_t *word, unsigned shift, uint32_t mask, uint32_t value)
{
	*word = (*word & ~(mask << shift)) | (value & mask) << shift;
}

/* Stores it, of a whole number. */
static inline void put_value(const struct narrow_kernels *narrow, bool is_left, uint32_t *row, size_t p, int value)
{
	const struct value_place at = place_of(narrow, is_left, p);
	if (narrow->planes) {
		put_bits(&row[at.word], at.shift, 0xff, (uint32_t)(value + 128) >> 8);
		put_bits(&row[at.word + TO_LOW_BYTE], at.shift, 0xff, (uint32_t)value);
	} else {
		put_bits(&row[at.word], at.shift, at.bits == 16 ? 0xffff : 0xff, (uint32_t)value);
	}
}

/* Makes a tile as narrow->tile does, by itself. */
static inline void multiply_tile(const struct narrow_kernels *narrow, size_t groups, const uint32_t *a, size_t lda,
                                 const uint32_t *panel, const float *bias, float *c, size_t ldc, int rows, int cols,
                                 const void *ahead)
{
	if (narrow->begin)
		narrow->begin();
	narrow->tile(groups, a, lda, panel, bias, c, ldc, rows, cols, ahead);
	if (narrow->end)
		narrow->end();
}

/* A narrowed stretch of k values, widened again; left or right as in ops/narrow.h. */
static inline void widen_narrow(const struct narrow_kernels *narrow, bool is_left, const uint32_t *row, int64_t k,
                                double *x)
{
	float factor;
	memcpy(&factor, row, sizeof factor);
	for (int64_t p = 0; p < k; p++) {
		const uint32_t value = value_bits(narrow, is_left, row, (size_t)p);
		if (narrow->compute == GLIP_COMPUTE_BF16)
			x[p] = (double)glip__widen_bf16((uint16_t)value);
		else if (place_of(narrow, is_left, (size_t)p).bits == 16)
			x[p] = (double)factor * ((int16_t)(uint16_t)value - (is_left ? (int)row[1] : 0));
		else if (is_left && narrow->left_low == 0)
			x[p] = (double)factor * ((uint8_t)value - (int)row[1]);
		else
			x[p] = (double)factor * ((int8_t)(uint8_t)value - (is_left ? (int)row[1] : 0));
	}
}

/* The low byte of a whole number that comes apart. */
static inline int low_byte(int q)
{
	return (int8_t)(uint8_t)q;
}

/* A product of two widened values with their stretches' factors. */
static inline double product_of(const struct narrow_kernels *narrow, double left, double left_factor, double right,
                                double right_factor)
{
	if (!narrow || !narrow->planes || !(left_factor > 0) || !(right_factor > 0))
		return left * right;
	/* That of low bytes is left out. */
	const int low = low_byte((int)lrint(left / left_factor)) * low_byte((int)lrint(right / right_factor));
	return left * right - left_factor * right_factor * low;
}

static inline double factor_of(const uint32_t *row)
{
	float factor;
	memcpy(&factor, row, sizeof factor);
	return (double)factor;
}

/* One stretch of k values to its row. */
static inline void narrow_stretch(const struct narrow_kernels *narrow, bool is_left, const float *x, size_t k,
                                  uint32_t *row)
{
	if (is_left)
		narrow->left_rows(x, 0, 1, k, NULL, row, 0);
	else
		narrow->right_row(x, k, row);
}

/* The same for a column of a right matrix [k, n], as a row. */
static inline void narrow_column(const struct narrow_kernels *narrow, const float *x, size_t ldx, size_t k,
                                 uint32_t *row)
{
	const size_t nr = (size_t)narrow->nr, words = glip__narrow_words(narrow, false, k);
	uint32_t *panel = malloc(words * nr * sizeof *panel);
	assert_non_null(panel);
	narrow->right_columns(x, ldx, k, 1, panel);
	for (size_t w = 0; w < words; w++)
		row[w] = panel[w * nr];
	free(panel);
}

#endif
