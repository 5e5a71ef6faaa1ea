/* 8-bit values on vectors, included after ops/narrow_ints.h and add_word(), with MR and LEFT_WORDS (ops/narrow_impl.h).
 * Where LEFT_WORDS is 1: with LEFT_LOW, the least left byte; where it is 2: after right_values() and
 * store_left(words, q, n), which stores n of 16 values as whole groups. */
enum { GROUP = 4, STRETCH_GROUPS = NARROW_MAX_K / GROUP };

/* sum (q - zero) r = sum q r - zero * sum r */
INLINE vec finished(sums s, const uint32_t *left, const uint32_t *right)
{
	if (LEFT_WORDS == 1)
		s = i_sub(s, i_mul(i_set1(left[1]), i_load(right + NR)));
	return scaled(s, left, right);
}

#include "ops/narrow_impl.h"

#if LEFT_WORDS == 1
INLINE void store_left(uint32_t *words, const ivec q[BLOCK], size_t n)
{
	i_store8(words, q, n);
}
#else
#define LEFT_LOW 0
#endif

static void left_row(const float *x, size_t k, uint32_t *row)
{
	vec low = v_zero(), high = v_zero();
	for (size_t p = 0; p < k; p += V) {
		vec v = values_at(x, p, k);
		low = v_min(low, v);
		high = v_max(high, v);
	}
	float bottom = -v_top(v_sub(v_zero(), low)), range = v_top(high) - bottom;
	float factor = range / 255, inverse = range > 0 ? 255 / range : 0;
	vec scale = v_set1(inverse);
	int zero = (int)rintf(-bottom * inverse), taken = LEFT_WORDS == 1 ? -LEFT_LOW : zero;
	vec zeros = v_set1((float)zero);
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)(zero - taken);
	row += NARROW_HEAD;
	for (size_t p = 0; p < k; p += 16, row += 16 / GROUP * LEFT_WORDS) {
		ivec q[BLOCK];
		UNROLL
		for (int i = 0; i < BLOCK; i++) {
			ivec whole = i_round(v_fma(values_at(x, p + (size_t)i * V, k), scale, zeros));
			whole = i_min(i_max(whole, i_zero()), i_set1(255));
			q[i] = i_sub(whole, i_set1((uint32_t)taken));
		}
		store_left(row, q, k - p);
	}
}

static void right_row(const float *x, size_t k, uint32_t *row)
{
	vec top = v_zero();
	for (size_t p = 0; p < k; p += V)
		top = v_max(top, v_abs(values_at(x, p, k)));
	float most = v_top(top), factor = most / 127, inverse = most > 0 ? 127 / most : 0;
	vec scale = v_set1(inverse);
	ivec sum = i_zero();
	uint32_t *groups = row + NARROW_HEAD;
	for (size_t p = 0; p < k; p += 16, groups += 16 / GROUP) {
		ivec q[BLOCK];
		UNROLL
		for (int i = 0; i < BLOCK; i++) {
			ivec whole = i_round(v_mul(values_at(x, p + (size_t)i * V, k), scale));
			q[i] = i_min(i_max(whole, i_set1((uint32_t)-127)), i_set1(127));
			sum = i_add(sum, q[i]);
		}
		i_store8(groups, q, k - p);
	}
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)i_sum(sum);
}

#define NARROW_ENTRIES \
	.compute = GLIP_COMPUTE_I8, .mr = MR, .nr = NR, .group = GROUP, .left_words = LEFT_WORDS, .left_low = LEFT_LOW, \
	.stretch = NARROW_MAX_K, .left_row = left_row, .right_row = right_row, .tile = tile
