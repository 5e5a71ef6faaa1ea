/* Tiles of products on the matrix unit, included where ops/narrow_impl.h is otherwise. Four of its registers hold sums
 * of 16 rows each: 0 and 1 of a part's first 16 rows, 2 and 3 of its second, which are stored beside each other. What
 * they are is the precision's, which defines before:
 *
 *   PART_COLS                  of the part of a tile that these make
 *   USES_SECOND(cols)          whether a part of so many columns needs the registers 1 and 3
 *   MULTIPLY_UNIT(a, ld, b, two_left, two_right)   adds a unit's products, of left rows at a, ld bytes apart, and right
 *                              ones at b; two_left, two_right: whether 2 and 3, and 1 and 3, are in use
 *   CHUNK                      units after which the next part is multiplied, so that the first-level cache has what
 *                              they read
 *   struct column_terms        what the heads of 16 columns come to, made by terms_of(heads)
 *   finished(sum, v, left, terms, bias)   the result in columns 16 v and on, from a row of stored sums and a left head
 *
 * Contract: ops/narrow.h. */
#include <assert.h>
#include <stdalign.h>

#include "ops/math_impl.h"

enum {
	PANEL_ROW = NR * sizeof(uint32_t),
	UNIT_PANEL = UNIT * PANEL_ROW,
	UNIT_LEFT = UNIT * sizeof(uint32_t),
	SUMS_LD = 2 * V, /* words of a row of stored sums */
	SUM_BYTES = SUMS_LD * sizeof(uint32_t),
	SECOND_SUMS = TILE_ROWS * SUMS_LD,
	PARTS = NR / (int)PART_COLS,
	UNIT_LINES = UNIT / PARTS /* asked for in a unit; all parts together: a line for each group */
};

/* TILE_LOAD or TILE_STORE of a part's registers that are in use. */
#define EACH_SUM(move, sum, two_left, two_right) \
	do { \
		move(0, sum, SUM_BYTES); \
		if (two_right) \
			move(1, sum + V, SUM_BYTES); \
		if (two_left) \
			move(2, sum + SECOND_SUMS, SUM_BYTES); \
		if (two_left && two_right) \
			move(3, sum + SECOND_SUMS + V, SUM_BYTES); \
	} while (0)

/* Adds so many units to a part's sums, which are zeros before the first. */
INLINE void add_units(size_t units, bool first, const uint32_t *left, size_t lda, const uint32_t *panel, bool two_left,
                      bool two_right, struct wanted *wanted, uint32_t *sum)
{
	const char *a = (const char *)left, *b = (const char *)panel;
	const size_t ld = lda * sizeof *left;
	if (first) {
		TILE_ZERO(0);
		TILE_ZERO(1);
		TILE_ZERO(2);
		TILE_ZERO(3);
	} else {
		EACH_SUM(TILE_LOAD, sum, two_left, two_right);
	}
	for (size_t u = 0; u < units; u++, a += UNIT_LEFT, b += UNIT_PANEL) {
		MULTIPLY_UNIT(a, ld, b, two_left, two_right);
		UNROLL
		for (int i = 0; i < UNIT_LINES; i++)
			ask_for_line(wanted);
	}
	EACH_SUM(TILE_STORE, sum, two_left, two_right);
}

/* The same with the constants of each case. */
INLINE void add_to_part(size_t units, bool first, const uint32_t *left, size_t lda, const uint32_t *panel,
                        bool two_left, bool two_right, struct wanted *wanted, uint32_t *sum)
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
		for (int v = 0; v < vecs; v++) {
			const vec x = finished(sum, v, left, &terms[v], added[v]);
			store_lanes(c + v * V, x, v == vecs - 1 ? last : V);
		}
	}
}

static void tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                 size_t ldc, int rows, int cols, const void *ahead)
{
	alignas(64) uint32_t sum[PARTS][2 * SECOND_SUMS];
	const size_t units = (groups + UNIT - 1) / UNIT;
	struct wanted wanted = wanted_from(ahead, a);
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (size_t u = 0; u < units; u += CHUNK) {
		const size_t some = units - u < CHUNK ? units - u : CHUNK, group = u * UNIT;
		for (int j = 0; j < cols; j += PART_COLS)
			add_to_part(some, u == 0, a + LEFT_HEAD + group, lda, panel + (NARROW_HEAD + group) * NR + j,
			            rows > TILE_ROWS, USES_SECOND(cols - j), &wanted, sum[j / PART_COLS]);
	}
	for (int j = 0; j < cols; j += PART_COLS) {
		const float *some_bias = bias ? bias + j : NULL;
		const size_t width = cols - j < (int)PART_COLS ? (size_t)(cols - j) : PART_COLS;
		if (width > V)
			put_rows(sum[j / PART_COLS], a, lda, panel + j, some_bias, c + j, ldc, rows, 2, width - V);
		else
			put_rows(sum[j / PART_COLS], a, lda, panel + j, some_bias, c + j, ldc, rows, 1, width);
	}
}
