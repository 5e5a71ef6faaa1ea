/* Pairs of 16-bit values on vectors, included after ops/narrow_ints.h and add_word(), with MR (ops/narrow_impl.h). */
#define LEFT_WORDS 1
enum { STRETCH_GROUPS = NARROW_I16_STRETCH / 2 };

INLINE vec finished(sums s, const uint32_t *left, const uint32_t *right)
{
	return scaled(s, left, right);
}

#include "ops/narrow_impl.h"

static void narrow_row(const float *x, size_t k, uint32_t *row)
{
	vec top = v_zero(), squares[BLOCK];
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		squares[i] = v_zero();
	for (size_t p = 0; p < k; p += 16) {
		UNROLL
		for (int i = 0; i < BLOCK; i++) {
			vec v = values_at(x, p + (size_t)i * V, k);
			top = v_max(top, v_abs(v));
			squares[i] = v_fma(v, v, squares[i]);
		}
	}
	float inverse = glip__narrow_i16_inverse(v_top(top), v_sum16(squares), k);
	float factor = inverse > 0 ? 1 / inverse : 0;
	memcpy(row, &factor, sizeof factor);
	row[1] = 0;
	row += NARROW_HEAD;
	vec scale = v_set1(inverse);
	for (size_t p = 0; p < k; p += 16, row += 8) {
		ivec q[BLOCK];
		UNROLL
		for (int i = 0; i < BLOCK; i++)
			q[i] = i_round(v_mul(values_at(x, p + (size_t)i * V, k), scale));
		i_store16(row, q, k - p);
	}
}

#define NARROW_ENTRIES \
	.compute = GLIP_COMPUTE_I16, .mr = MR, .nr = NR, .group = 2, .left_words = LEFT_WORDS, \
	.stretch = NARROW_I16_STRETCH, .left_row = narrow_row, .right_row = narrow_row, .tile = tile
