/* 8-bit values on vectors, included after ops/narrow_ints.h and add_word(), with MR and LEFT_WORDS (ops/narrow_impl.h).
 * Where LEFT_WORDS is 1: with LEFT_LOW, the least left byte; where it is 2: after right_values() and store_left(),
 * which stores the first n of BLOCK vectors of whole numbers, held from -zero to 255 - zero, as whole groups. With
 * MATRIX_UNIT tiles are that one's (ops/narrow_amx_impl.h). */
enum { GROUP = 4, STRETCH_GROUPS = NARROW_MAX_K / GROUP };

#ifdef MATRIX_UNIT
#include "ops/narrow_amx_impl.h"
#else
/* sum (q - zero) r = sum q r - zero * sum r */
INLINE vec finished(sums s, const uint32_t *left, const uint32_t *right)
{
	if (LEFT_WORDS == 1)
		s = i_sub(s, i_mul(i_set1(left[1]), i_load(right + NR)));
	return scaled(s, left, right);
}

#include "ops/narrow_impl.h"
#endif

#if LEFT_WORDS == 1
/* Whole numbers, held from -zero to 255 - zero, as the bytes from LEFT_LOW on. */
INLINE void store_left(uint32_t *words, ivec q[BLOCK], size_t n, ivec zero)
{
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		q[i] = i_add(q[i], i_add(zero, i_set1((uint32_t)LEFT_LOW)));
#if LEFT_LOW == 0
	i_store_u8(words, q, STORED(n));
#else
	i_store8(words, q, STORED(n));
#endif
}
#else
#define LEFT_LOW 0
#endif

INLINE void range_of(const float *x, size_t n, vec low[BLOCK], vec high[BLOCK])
{
	UNROLL
	for (int i = 0; i < BLOCK; i++) {
		vec v = values_at(x, (size_t)i * V, n);
		/* In this order what is not a number counts for nothing (NEON: makes the factor none). */
		low[i] = v_min(v, low[i]);
		high[i] = v_max(v, high[i]);
	}
}

INLINE void left_block(const float *x, size_t n, vec scale, ivec zero, uint32_t *words)
{
	ivec q[BLOCK];
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		q[i] = i_round(v_mul(values_at(x, (size_t)i * V, n), scale));
	store_left(words, q, n, zero);
}

INLINE struct scaling find_range(const float *x, size_t k, const float *known, uint32_t *row)
{
	float bottom, top;
	if (known) {
		bottom = known[0];
		top = known[1];
	} else {
		vec low[BLOCK], high[BLOCK];
		UNROLL
		for (int i = 0; i < BLOCK; i++)
			low[i] = high[i] = v_zero();
		BY_BLOCKS(k, range_of(x + p, n, low, high));
		UNROLL
		for (int i = 1; i < BLOCK; i++) {
			low[0] = v_min(low[0], low[i]);
			high[0] = v_max(high[0], high[i]);
		}
		bottom = -v_top(v_sub(v_zero(), low[0]));
		top = v_top(high[0]);
	}
	float range = top - bottom, factor = range / 255, inverse = glip__narrow_scale(range, 255);
	float below = -bottom * inverse; /* not a number where a value is infinite */
	uint32_t zero = below > 0 ? (uint32_t)rintf(below) : 0;
	memcpy(row, &factor, sizeof factor);
	row[1] = LEFT_WORDS == 1 ? zero + (uint32_t)LEFT_LOW : 0;
	return (struct scaling){inverse, zero};
}

INLINE void round_row(const float *x, size_t k, struct scaling s, uint32_t *row)
{
	vec scale = v_set1(s.inverse);
	ivec zeros = i_set1(s.zero);
	BY_BLOCKS(k, left_block(x + p, n, scale, zeros, row + LEFT_HEAD + p / GROUP * LEFT_WORDS));
}

static void left_rows(const float *x, size_t ldx, size_t rows, size_t k, const float *range, uint32_t *out, size_t ld)
{
	narrow_rows(find_range, round_row, x, ldx, rows, k, range, out, ld);
}

/* Adds the whole numbers to the sum, too. */
INLINE void right_block(const float *x, size_t n, vec scale, ivec *sum, uint32_t *words)
{
	ivec q[BLOCK];
	UNROLL
	for (int i = 0; i < BLOCK; i++) {
		ivec whole = i_round(v_mul(values_at(x, (size_t)i * V, n), scale));
		q[i] = i_min(i_max(whole, i_set1((uint32_t)-127)), i_set1(127));
		*sum = i_add(*sum, q[i]);
	}
	i_store8(words, q, STORED(n));
}

static void right_row(const float *x, size_t k, uint32_t *row)
{
	vec top = v_zero();
	for (size_t p = 0; p < k; p += V)
		top = v_max(top, v_abs(values_at(x, p, k)));
	float most = v_top(top), factor = most / 127, inverse = glip__narrow_scale(most, 127);
	vec scale = v_set1(inverse);
	ivec sum = i_zero();
	BY_BLOCKS(k, right_block(x + p, n, scale, &sum, row + NARROW_HEAD + p / GROUP));
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)i_sum(sum);
}

#define NARROW_ENTRIES \
	.compute = GLIP_COMPUTE_I8, .mr = MR, .nr = NR, .group = GROUP, .left_words = LEFT_WORDS, .left_low = LEFT_LOW, \
	.left_head = LEFT_HEAD, .unit = UNIT, .row_unit = ROW_UNIT, .stretch = NARROW_MAX_K, .left_rows = left_rows, \
	.right_row = right_row, .tile = tile
