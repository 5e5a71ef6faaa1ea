/* What products of integers share, whatever multiplies them; included after a vec_<instruction set>.h. */
#ifndef GLIP_OPS_NARROW_INTS_H
#define GLIP_OPS_NARROW_INTS_H

#include <string.h>

#include "ops/narrow.h"

/* Vectors and columns of a panel's row; vectors that are narrowed together. */
enum { NV = 2, NR = NV * V, BLOCK = 4 };
typedef ivec sums;

INLINE sums zero_sums(void)
{
	return i_zero();
}

/* The sums times the factors in the heads of a left row and of the columns. */
INLINE vec scaled(sums s, const uint32_t *left, const uint32_t *right)
{
	float factor;
	memcpy(&factor, left, sizeof factor);
	return v_mul(i_float(s), v_mul(v_set1(factor), v_load((const float *)(const void *)right)));
}

/* V values of a row of k from value p on, zeros behind them. */
INLINE vec values_at(const float *x, size_t p, size_t k)
{
	return p + V <= k ? v_load(x + p) : p < k ? v_load_n(x + p, k - p) : v_zero();
}

/* The statement for each block of values from p on, of which there are n (a constant but for the last). */
#define BY_BLOCKS(k, statement) \
	do { \
		size_t p = 0; \
		for (; p + BLOCK * V <= (k); p += BLOCK * V) { \
			const size_t n = BLOCK * V; \
			statement; \
		} \
		if (p < (k)) { \
			const size_t n = (k)-p; \
			statement; \
		} \
	} while (0)

#endif
