/* Products of bfloat16 pairs: AVX-512 with BF16. */
#include <assert.h>

#include "ops/narrow.h"
#include "ops/vec_avx512.h"

#define MR 12
#define LEFT_WORDS 1
enum { NV = 2, NR = NV * V, STRETCH_GROUPS = NARROW_MAX_K / 2 };
typedef vec sums;

INLINE sums zero_sums(void)
{
	return v_zero();
}

INLINE sums add_word(sums s, ivec left, ivec right)
{
	/* As text: with the intrinsic gcc 12 moves every sum from register to register at each step; and the file needs
	 * no more flags than the other AVX-512 ones. */
	__asm__("vdpbf16ps %2, %1, %0" : "+v"(s) : "v"(left), "v"(right));
	return s;
}

INLINE vec finished(sums s, const uint32_t *left, const uint32_t *right)
{
	(void)left;
	(void)right;
	return s;
}

#include "ops/narrow_impl.h"

static void right_row(const float *x, size_t k, uint32_t *row)
{
	row[0] = row[1] = 0;
	row += NARROW_HEAD;
	for (size_t p = 0; p < k; p += 2 * V, row += V) {
		size_t n = k - p, low = n < V ? n : V, high = n - low < V ? n - low : V, groups = (low + high + 1) / 2;
		vec last = high > 0 ? load_part(x + p + low, high) : v_zero();
		__m512i pairs;
		__asm__("vcvtne2ps2bf16 %2, %1, %0" : "=v"(pairs) : "v"(last), "v"(load_part(x + p, low)));
		_mm512_mask_storeu_epi32(row, (__mmask16)((1u << groups) - 1), pairs);
	}
}

static void left_rows(const float *x, size_t ldx, size_t rows, size_t k, const float *range, uint32_t *out, size_t ld)
{
	(void)range;
	for (size_t i = 0; i < rows; i++)
		right_row(x + i * ldx, k, out + i * ld);
}

const struct narrow_kernels glip__narrow_bf16_avx512 = {
	.name = "avx512bf16",
	.compute = GLIP_COMPUTE_BF16,
	.mr = MR,
	.nr = NR,
	.group = 2,
	.left_words = LEFT_WORDS,
	.left_head = NARROW_HEAD,
	.unit = 1,
	.row_unit = 1,
	.stretch = NARROW_MAX_K,
	.left_rows = left_rows,
	.right_row = right_row,
	.tile = tile,
};
