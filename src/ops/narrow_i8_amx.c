/* Products of 8-bit values, four at a time: AMX. */
#include "ops/narrow_amx.h"

#define UNIT 16
#define LEFT_WORDS 1
#define LEFT_LOW 0
#include "ops/narrow_ints.h"

/* 32 rows and 32 columns, where there are so many. */
enum { BLOCK_ROWS = 2 * UNIT_ROWS, BLOCK_COLS = 2 * V, SECOND_RIGHT = V * sizeof(uint32_t) };
#define SECOND_LEFT(ld) (UNIT_ROWS * (ld))
#define TWO_OF(count) ((count) > UNIT_ROWS)

#define MULTIPLY(two_left, two_right) \
	do { \
		TILE_MULTIPLY(us, 0, 4, 6); \
		if (two_right) \
			TILE_MULTIPLY(us, 1, 4, 7); \
		if (two_left) \
			TILE_MULTIPLY(us, 2, 5, 6); \
		if (two_left && two_right) \
			TILE_MULTIPLY(us, 3, 5, 7); \
	} while (0)

INLINE sums sums_of(register_sums sum[2][2], int row, int v)
{
	return i_load(sum[row / UNIT_ROWS][v][row % UNIT_ROWS]);
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_amx = {.name = "amx", NARROW_ENTRIES, .begin = begin_tiles, .end = end_tiles};
