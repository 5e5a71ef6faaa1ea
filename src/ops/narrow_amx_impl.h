/* Tiles of products on the matrix unit, included where ops/narrow_impl.h is otherwise. Four of its registers, 0 to 3,
 * hold sums of 16 x 16, 4 and 5 left rows, 6 and 7 right ones, a unit of values at a time. What the sums are is the
 * precision's, which defines before:
 *
 *   PART_ROWS, PART_COLS       of the part of a tile that they make
 *   SECOND_LEFT(ld)            where register 5 begins, in bytes from 4; ld: from row to row
 *   SECOND_RIGHT               where 7 begins, from 6
 *   TWO_OF(count)              whether so many rows, or columns, of a part need the second register
 *   SUMS                       registers of sums in use
 *   MULTIPLY(two_left, two_right)   multiplies the registers that are in use
 *   SUMS_LD, SECOND_SUMS       words from a row of stored sums to the next; from the first two registers to the others
 *   CHUNK                      units after which the next part is multiplied, so that the first-level cache has what it
 *                              reads
 *   struct column_terms        what the heads of 16 columns come to, made by terms_of(heads)
 *   finished(sum, v, left, terms)   floats of columns 16 v and on, from a row of stored sums and a left head
 *
 * Contract: ops/narrow.h. */
#include <assert.h>
#include <stdalign.h>

#include "ops/math_impl.h"

enum {
	PANEL_ROW = NR * sizeof(uint32_t),
	UNIT_PANEL = UNIT * PANEL_ROW,
	UNIT_LEFT = UNIT * sizeof(uint32_t),
	PARTS_ACROSS = NR / (int)PART_COLS,
	PARTS = MR / (int)PART_ROWS * PARTS_ACROSS,
	PART_SUMS = TILE_ROWS * V * SUMS,
	UNIT_LINES = UNIT / PARTS /* asked for in a unit; all parts together: a line for each group */
};

/* Adds so many units to a part's sums, which are zeros before the first. */
INLINE void add_units(size_t units, bool first, const uint32_t *left, size_t lda, const uint32_t *panel, bool two_left,
                      bool two_right, struct wanted *wanted, uint32_t sum[PART_SUMS])
{
	const char *a = (const char *)left, *b = (const char *)panel;
	const size_t ld = lda * sizeof *left, ld_sums = SUMS_LD * sizeof *sum;
	if (first) {
		TILE_ZERO(0);
		TILE_ZERO(1);
		TILE_ZERO(2);
		TILE_ZERO(3);
	} else {
		TILE_LOAD(0, sum, ld_sums);
		if (two_right)
			TILE_LOAD(1, sum + V, ld_sums);
		if (two_left)
			TILE_LOAD(2, sum + SECOND_SUMS, ld_sums);
		if (two_left && two_right && SUMS > 3)
			TILE_LOAD(3, sum + SECOND_SUMS + V, ld_sums);
	}
	for (size_t u = 0; u < units; u++, a += UNIT_LEFT, b += UNIT_PANEL) {
		TILE_LOAD(4, a, ld);
		TILE_LOAD(6, b, PANEL_ROW);
		if (two_right)
			TILE_LOAD(7, b + SECOND_RIGHT, PANEL_ROW);
		if (two_left)
			TILE_LOAD(5, a + SECOND_LEFT(ld), ld);
		MULTIPLY(two_left, two_right);
		UNROLL
		for (int i = 0; i < UNIT_LINES; i++)
			ask_for_line(wanted);
	}
	TILE_STORE(0, sum, ld_sums);
	if (two_right)
		TILE_STORE(1, sum + V, ld_sums);
	if (two_left)
		TILE_STORE(2, sum + SECOND_SUMS, ld_sums);
	if (two_left && two_right && SUMS > 3)
		TILE_STORE(3, sum + SECOND_SUMS + V, ld_sums);
}

/* The same with the constants of each case. */
INLINE void add_to_part(size_t units, bool first, const uint32_t *left, size_t lda, const uint32_t *panel,
                        bool two_left, bool two_right, struct wanted *wanted, uint32_t sum[PART_SUMS])
{
	if (two_left && two_right)
		add_units(units, first, left, lda, panel, true, true, wanted, sum);
	else if (two_left)
		add_units(units, first, left, lda, panel, true, false, wanted, sum);
	else if (two_right)
		add_units(units, first, left, lda, panel, false, true, wanted, sum);
	else
		add_units(units, first, left, lda, panel, false, false, wanted, sum);
}

/* A part's rows to C; vecs is a constant. */
INLINE void put_rows(const uint32_t *sum, const uint32_t *left, size_t lda, const uint32_t *heads, const float *bias,
                     float *c, size_t ldc, int rows, int vecs, size_t last)
{
	struct column_terms terms[PART_COLS / V];
	vec added[PART_COLS / V];
	UNROLL
	for (int v = 0; v < vecs; v++) {
		terms[v] = terms_of(heads + v * V);
		added[v] = bias ? load_lanes(bias + v * V, v == vecs - 1 ? last : V) : v_zero();
	}
	for (int i = 0; i < rows; i++, sum += SUMS_LD, left += lda, c += ldc) {
		UNROLL
		for (int v = 0; v < vecs; v++)
			store_lanes(c + v * V, v_add(finished(sum, v, left, &terms[v]), added[v]), v == vecs - 1 ? last : V);
	}
}

static void tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                 size_t ldc, int rows, int cols, const void *ahead)
{
	alignas(64) uint32_t sum[PARTS][PART_SUMS];
	const size_t units = (groups + UNIT - 1) / UNIT;
	struct wanted wanted = wanted_from(ahead, a);
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (size_t u = 0; u < units; u += CHUNK) {
		const size_t some = units - u < CHUNK ? units - u : CHUNK;
		for (int i = 0; i < rows; i += PART_ROWS)
			for (int j = 0; j < cols; j += PART_COLS)
				add_to_part(some, u == 0, a + (size_t)i * lda + LEFT_HEAD + u * UNIT, lda,
				            panel + (NARROW_HEAD + u * UNIT) * NR + j, TWO_OF(rows - i), TWO_OF(cols - j), &wanted,
				            sum[i / PART_ROWS * PARTS_ACROSS + j / PART_COLS]);
	}
	for (int i = 0; i < rows; i += PART_ROWS) {
		for (int j = 0; j < cols; j += PART_COLS) {
			const uint32_t *from = sum[i / PART_ROWS * PARTS_ACROSS + j / PART_COLS], *left = a + (size_t)i * lda;
			const float *some_bias = bias ? bias + j : NULL;
			float *to = c + (size_t)i * ldc + j;
			const int height = rows - i < PART_ROWS ? rows - i : PART_ROWS;
			if (cols - j > V && (int)PART_COLS > (int)V)
				put_rows(from, left, lda, panel + j, some_bias, to, ldc, height, 2,
				         (size_t)(cols - j < PART_COLS ? cols - j : PART_COLS) - V);
			else
				put_rows(from, left, lda, panel + j, some_bias, to, ldc, height, 1,
				         (size_t)(cols - j < V ? cols - j : V));
		}
	}
}
