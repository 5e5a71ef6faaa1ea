/* What products of integers share, whatever multiplies them; included after a vec_<instruction set>.h and, where they
 * are others than these, LEFT_HEAD and UNIT (struct narrow_kernels). */
#ifndef GLIP_OPS_NARROW_INTS_H
#define GLIP_OPS_NARROW_INTS_H

#include <string.h>

#include "ops/narrow.h"

/* Vectors and columns of a panel's row; vectors that are narrowed together. */
enum { NV = 2, NR = NV * V, BLOCK = 4 };
typedef ivec sums;
#ifndef UNIT
#define LEFT_HEAD NARROW_HEAD
#define UNIT 1
#define ROW_UNIT 1
#endif
/* Of n values of a block, those that are stored. */
#define STORED(n) (UNIT > 1 ? (size_t)BLOCK * V : (n))

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

/* What a stretch's values are multiplied with, and the integer that zero becomes. */
struct scaling {
	float inverse;
	uint32_t zero;
};

/* Stretches are searched a few at a time before they are rounded: what one's search comes to would be waited for. */
enum { ROWS_AT_ONCE = 16, VALUES_AT_ONCE = 4096 };

typedef struct scaling search_fn(const float *x, size_t k, const float *range, uint32_t *row);
typedef void round_fn(const float *x, size_t k, struct scaling s, uint32_t *row);

INLINE void narrow_rows(search_fn *search, round_fn *rounds, const float *x, size_t ldx, size_t rows, size_t k,
                        const float *range, uint32_t *out, size_t ld)
{
	struct scaling s[ROWS_AT_ONCE];
	size_t most = k * ROWS_AT_ONCE <= VALUES_AT_ONCE ? ROWS_AT_ONCE : k < VALUES_AT_ONCE ? VALUES_AT_ONCE / k : 1;
	for (size_t first = 0, count; first < rows; first += count) {
		count = rows - first < most ? rows - first : most;
		for (size_t i = 0; i < count; i++)
			s[i] = search(x + (first + i) * ldx, k, range ? range + 2 * (first + i) : NULL, out + (first + i) * ld);
		for (size_t i = 0; i < count; i++)
			rounds(x + (first + i) * ldx, k, s[i], out + (first + i) * ld);
	}
}

typedef void columns_fn(const float *x, size_t ldx, size_t k, size_t lanes, uint32_t *panel);

/* A panel of `words` rows, a vector's columns at a time; zeros where there are none. */
INLINE void columns_by_vectors(columns_fn *narrow, size_t words, const float *x, size_t ldx, size_t k, int cols,
                               uint32_t *panel)
{
	for (int v = 0; v < NR; v += V) {
		if (v < cols)
			narrow(x + v, ldx, k, cols - v < V ? (size_t)(cols - v) : V, panel + v);
		for (size_t w = 0; v >= cols && w < words; w++)
			i_store(panel + w * NR + v, i_zero());
	}
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
