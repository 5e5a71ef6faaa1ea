/* Products of 8-bit values, four at a time: AVX-512 with VNNI. */
#include <assert.h>
#include <immintrin.h>
#include <string.h>

#include "ops/narrow.h"
#include "ops/vec_contract.h"

enum { STRETCH_GROUPS = NARROW_MAX_K / 4 };
typedef __m512i sums;

INLINE sums zero_sums(void)
{
	return _mm512_setzero_si512();
}

INLINE sums add_group(sums s, __m512i left, __m512i right)
{
	/* As text: with the intrinsic gcc 12 moves every sum from register to register at each step; and the file needs
	 * no more flags than the other AVX-512 ones. */
	__asm__("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(left), "v"(right));
	return s;
}

enum { NARROW_COLUMNS = 32 };

/* sum (q - zero) r = sum q r - zero * sum r */
INLINE __m512 finished(sums s, const uint32_t *left, const uint32_t *right)
{
	float factor;
	memcpy(&factor, left, sizeof factor);
	__m512i excess = _mm512_mullo_epi32(_mm512_set1_epi32((int)left[1]), _mm512_loadu_si512(right + NARROW_COLUMNS));
	__m512 scale = _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_loadu_ps((const float *)(const void *)right));
	return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(s, excess)), scale);
}

#include "ops/narrow_impl.h"

_Static_assert((int)NARROW_COLUMNS == (int)NR, "the second row of a panel's head follows its first");

/* Stores 16 bytes, of which n are there, as whole groups. */
INLINE void store_bytes(uint32_t *row, __m128i bytes, size_t n)
{
	if (n >= V)
		_mm_storeu_si128((__m128i *)(void *)row, bytes);
	else
		_mm_mask_storeu_epi32(row, (__mmask8)((1u << (n + 3) / 4) - 1), bytes);
}

static void left_row(const float *x, size_t k, uint32_t *row)
{
	__m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
	for (size_t p = 0; p < k; p += V) {
		__m512 v = load_values(x + p, k - p);
		low = _mm512_min_ps(low, v);
		high = _mm512_max_ps(high, v);
	}
	float bottom = _mm512_reduce_min_ps(low), range = _mm512_reduce_max_ps(high) - bottom;
	float factor = range / 255, inverse = range > 0 ? 255 / range : 0;
	__m512 scale = _mm512_set1_ps(inverse);
	int zero = _mm_cvtss_si32(_mm_set_ss(-bottom * inverse));
	__m512 zeros = _mm512_set1_ps((float)zero);
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)zero;
	row += NARROW_HEAD;
	for (size_t p = 0; p < k; p += V, row += V / 4) {
		__m512i q = _mm512_cvtps_epi32(_mm512_fmadd_ps(load_values(x + p, k - p), scale, zeros));
		q = _mm512_max_epi32(q, _mm512_setzero_si512());
		store_bytes(row, _mm512_cvtusepi32_epi8(q), k - p);
	}
}

static void right_row(const float *x, size_t k, uint32_t *row)
{
	__m512 top = _mm512_setzero_ps();
	for (size_t p = 0; p < k; p += V)
		top = _mm512_max_ps(top, _mm512_abs_ps(load_values(x + p, k - p)));
	float most = _mm512_reduce_max_ps(top), factor = most / 127, inverse = most > 0 ? 127 / most : 0;
	__m512 scale = _mm512_set1_ps(inverse);
	__m512i sum = _mm512_setzero_si512();
	uint32_t *groups = row + NARROW_HEAD;
	for (size_t p = 0; p < k; p += V, groups += V / 4) {
		__m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(load_values(x + p, k - p), scale));
		sum = _mm512_add_epi32(sum, q);
		store_bytes(groups, _mm512_cvtsepi32_epi8(q), k - p);
	}
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)_mm512_reduce_add_epi32(sum);
}

const struct narrow_kernels glip__narrow_i8_avx512 = {
	.name = "avx512vnni",
	.compute = GLIP_COMPUTE_I8,
	.mr = MR,
	.nr = NR,
	.group = 4,
	.stretch = NARROW_MAX_K,
	.left_row = left_row,
	.right_row = right_row,
	.tile = tile,
};
