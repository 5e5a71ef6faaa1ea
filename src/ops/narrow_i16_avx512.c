/* Products of pairs of 16-bit values: AVX-512 with VNNI. */
#include <assert.h>
#include <immintrin.h>
#include <string.h>

#include "ops/narrow.h"
#include "ops/vec_contract.h"

enum { STRETCH_GROUPS = NARROW_I16_STRETCH / 2 };
typedef __m512i sums;

INLINE sums zero_sums(void)
{
	return _mm512_setzero_si512();
}

INLINE sums add_group(sums s, __m512i left, __m512i right)
{
	/* As text: with the intrinsic gcc 12 moves every sum from register to register at each step; and the file needs
	 * no more flags than the other AVX-512 ones. */
	__asm__("vpdpwssd %2, %1, %0" : "+v"(s) : "v"(left), "v"(right));
	return s;
}

INLINE __m512 finished(sums s, const uint32_t *left, const uint32_t *right)
{
	float factor;
	memcpy(&factor, left, sizeof factor);
	__m512 scale = _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_loadu_ps((const float *)(const void *)right));
	return _mm512_mul_ps(_mm512_cvtepi32_ps(s), scale);
}

#include "ops/narrow_impl.h"

static void narrow_row(const float *x, size_t k, uint32_t *row)
{
	__m512 top = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
	for (size_t p = 0; p < k; p += V) {
		__m512 v = load_values(x + p, k - p);
		top = _mm512_max_ps(top, _mm512_abs_ps(v));
		squares = _mm512_fmadd_ps(v, v, squares);
	}
	float inverse = glip__narrow_i16_inverse(_mm512_reduce_max_ps(top), _mm512_reduce_add_ps(squares), k);
	float factor = inverse > 0 ? 1 / inverse : 0;
	memcpy(row, &factor, sizeof factor);
	row[1] = 0;
	row += NARROW_HEAD;
	__m512 scale = _mm512_set1_ps(inverse);
	for (size_t p = 0; p < k; p += V, row += V / 2) {
		__m256i q = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(load_values(x + p, k - p), scale)));
		if (k - p >= V)
			_mm256_storeu_si256((__m256i *)(void *)row, q);
		else
			_mm256_mask_storeu_epi32(row, (__mmask8)((1u << (k - p + 1) / 2) - 1), q);
	}
}

const struct narrow_kernels glip__narrow_i16_avx512 = {
	.name = "avx512vnni",
	.compute = GLIP_COMPUTE_I16,
	.mr = MR,
	.nr = NR,
	.group = 2,
	.stretch = NARROW_I16_STRETCH,
	.left_row = narrow_row,
	.right_row = narrow_row,
	.tile = tile,
};
