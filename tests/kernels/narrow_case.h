/* What the tests of narrow kernels share: their sets on this machine, and stretches of narrowed values. */
#ifndef GLIP_TESTS_NARROW_CASE_H
#define GLIP_TESTS_NARROW_CASE_H

#include "kernel_case.h"
#include "ops/narrow.h"

static const struct narrow_kernels *const references[] = {&glip__narrow_bf16_ref, &glip__narrow_i8_ref,
                                                          &glip__narrow_i16_ref};
enum { COMPUTES = sizeof references / sizeof *references };

/* AVX-VNNI's kernels with its instruction emulated. */
extern const struct narrow_kernels emulated_i8_avxvnni, emulated_i16_avxvnni;

/* Masks whose best kernels differ. */
static const uint32_t masks[] = {
	GLIP_CPU_AVX512_BF16, GLIP_CPU_AVX512_VNNI, GLIP_CPU_AVX_VNNI, GLIP_CPU_AVX2, GLIP_CPU_NEON_DOTPROD,
};
enum { MASKS = sizeof masks / sizeof *masks };

/* Calls test with each set of narrow kernels this machine has, plain C first. */
static inline void for_each_narrow(void (*test)(const struct narrow_kernels *narrow))
{
	for (size_t i = 0; i < COMPUTES; i++) {
		test(references[i]);
		for (size_t m = 0; m < MASKS; m++) {
			const struct narrow_kernels *fast = glip__narrow_kernels(references[i]->compute, masks[m]);
			if (fast && (glip__cpu_flags() & masks[m]))
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
	for (size_t i = 0; i < COMPUTES; i++)
		if (references[i]->compute == narrow->compute)
			return references[i];
	fail();
	return NULL;
}

/* Value p of a stretch: its place, as ops/narrow.h describes it. */
struct value_place {
	size_t word;
	unsigned shift, bits;
};

static inline struct value_place place_of(const struct narrow_kernels *narrow, bool is_left, size_t p)
{
	const size_t group = (size_t)narrow->group, in = p % group;
	const unsigned bits = (unsigned)(32 / group);
	if (is_left && narrow->left_words == 2)
		return (struct value_place){NARROW_HEAD + p / 4 * 2 + in % 2, (unsigned)(in / 2) * 16, 16};
	return (struct value_place){NARROW_HEAD + p / group, (unsigned)in * bits, bits};
}

/* A narrowed stretch of k values, widened again; left or right as in ops/narrow.h. */
static inline void widen_narrow(const struct narrow_kernels *narrow, bool is_left, const uint32_t *row, int64_t k,
                                double *x)
{
	float factor;
	memcpy(&factor, row, sizeof factor);
	for (int64_t p = 0; p < k; p++) {
		const struct value_place at = place_of(narrow, is_left, (size_t)p);
		const uint32_t value = row[at.word] >> at.shift;
		if (narrow->compute == GLIP_COMPUTE_BF16)
			x[p] = (double)glip__widen_bf16((uint16_t)value);
		else if (at.bits == 16)
			x[p] = (double)factor * ((int16_t)(uint16_t)value - (is_left ? (int)row[1] : 0));
		else if (is_left && narrow->left_low == 0)
			x[p] = (double)factor * ((uint8_t)value - (int)row[1]);
		else
			x[p] = (double)factor * ((int8_t)(uint8_t)value - (is_left ? (int)row[1] : 0));
	}
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
static inline void narrow_column(const struct narrow_kernels *narrow, const float *x, size_t k, uint32_t *row)
{
	const size_t nr = (size_t)narrow->nr, words = glip__narrow_words(narrow, false, k);
	uint32_t *panel = malloc(words * nr * sizeof *panel);
	assert_non_null(panel);
	narrow->right_columns(x, 1, k, 1, panel);
	for (size_t w = 0; w < words; w++)
		row[w] = panel[w * nr];
	free(panel);
}

#endif
