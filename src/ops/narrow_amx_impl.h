/* Tiles of products on the matrix unit, included where ops/narrow_impl.h is otherwise. Four of its registers hold sums of
 * 16 x 16, two left rows and two right ones, a unit of values at a time; what the four sums are is the precision's, which
 * defines before:
 *
 *   BLOCK_ROWS, BLOCK_COLS     of the part of a tile that four sums make
 *   SECOND_LEFT(ld)            where the second left register begins, in bytes from the first; ld: from row to row
 *   SECOND_RIGHT               the same of the right ones
 *   TWO_OF(count)              whether so many rows, or columns, of a part need the second register
 *   MULTIPLY(two_left, two_right)   multiplies the pairs of registers, of those that are in use
 *   sums_of(sum, row, v)       the vector of sums of a row of the part, columns 16 v and on
 *
 * Contract: ops/narrow.h. */
#include <assert.h>
#include <stdalign.h>

#include "ops/math_impl.h"

enum {
	PANEL_ROW = NR * sizeof(uint32_t),
	UNIT_PANEL = UNIT * PANEL_ROW,
	UNIT_LEFT = UNIT * sizeof(uint32_t),
	UNIT_LINES = UNIT * BLOCK_ROWS * BLOCK_COLS / (MR * NR) /* asked for in a unit; all parts: a line for each group */
};

/* The four sums over so many units. */
INLINE void sum_units(size_t units, const uint32_t *left, size_t lda, const uint32_t *panel, bool two_left,
                      bool two_right, struct wanted *wanted, register_sums sum[2][2])
{
	const char *a = (const char *)left, *b = (const char *)panel;
	const size_t ld = lda * sizeof *left;
	TILE_ZERO(0);
	TILE_ZERO(1);
	TILE_ZERO(2);
	TILE_ZERO(3);
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
	TILE_STORE(0, sum[0][0], UNIT_BYTES);
	if (two_right)
		TILE_STORE(1, sum[0][1], UNIT_BYTES);
	if (two_left)
		TILE_STORE(2, sum[1][0], UNIT_BYTES);
	if (two_left && two_right)
		TILE_STORE(3, sum[1][1], UNIT_BYTES);
}

/* The same with the constants of each case. */
INLINE void sum_part(size_t units, const uint32_t *left, size_t lda, const uint32_t *panel, bool two_left,
                     bool two_right, struct wanted *wanted, register_sums sum[2][2])
{
	if (two_left && two_right)
		sum_units(units, left, lda, panel, true, true, wanted, sum);
	else if (two_left)
		sum_units(units, left, lda, panel, true, false, wanted, sum);
	else if (two_right)
		sum_units(units, left, lda, panel, false, true, wanted, sum);
	else
		sum_units(units, left, lda, panel, false, false, wanted, sum);
}

/* A row's sums of a stretch, added to what stretches before came to (NULL: none), with the bias (NULL: none). */
INLINE void put_sums(sums s, const uint32_t *left, const uint32_t *heads, const float *before, const float *bias,
                     float *c, size_t lanes)
{
	vec x = finished(s, left, heads);
	if (before)
		x = v_add(x, v_load(before));
	if (bias)
		x = v_add(x, load_lanes(bias, lanes));
	store_lanes(c, x, lanes);
}

static void tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                 size_t ldc, int rows, int cols, const void *ahead)
{
	alignas(64) register_sums sum[2][2];
	alignas(64) float part[MR * NR];
	const float *before = NULL;
	struct wanted wanted = wanted_from(ahead, a);
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (bool last = false; !last; before = part) {
		last = groups <= STRETCH_GROUPS;
		const size_t some = last ? groups : STRETCH_GROUPS, units = (some + UNIT - 1) / UNIT;
		for (int i = 0; i < rows; i += BLOCK_ROWS) {
			for (int j = 0; j < cols; j += BLOCK_COLS) {
				const uint32_t *left = a + (size_t)i * lda;
				const int width = cols - j < BLOCK_COLS ? cols - j : BLOCK_COLS, vecs = (width + V - 1) / V;
				sum_part(units, left + LEFT_HEAD, lda, panel + NARROW_HEAD * NR + j, TWO_OF(rows - i), TWO_OF(width),
				         &wanted, sum);
				for (int r = i; r < rows && r < i + BLOCK_ROWS; r++, left += lda) {
					for (int v = 0; v < vecs; v++) {
						const int at = j + v * V;
						const size_t lanes = cols - at < V ? (size_t)(cols - at) : V;
						put_sums(sums_of(sum, r - i, v), left, panel + at, before ? before + r * NR + at : NULL,
						         last && bias ? bias + at : NULL, last ? c + (size_t)r * ldc + at : part + r * NR + at,
						         last ? lanes : V);
					}
				}
			}
		}
		groups -= some;
		a += LEFT_HEAD + STRETCH_GROUPS;
		panel += (NARROW_HEAD + STRETCH_GROUPS) * NR;
	}
}
