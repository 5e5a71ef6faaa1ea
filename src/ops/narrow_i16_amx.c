/* Products of 16-bit values as four of their bytes: AMX. */
#include "ops/narrow_amx.h"

#define UNIT 32
#include "ops/narrow_ints.h"

/* 16 rows and 16 columns: the registers hold high bytes, then low ones, of the same values. */
enum { BLOCK_ROWS = UNIT_ROWS, BLOCK_COLS = V, SECOND_RIGHT = UNIT_ROWS * NR * sizeof(uint32_t) };
#define SECOND_LEFT(ld) UNIT_BYTES
#define TWO_OF(count) true

/* The sums have a register each, as one that is added to waits for what was added before. */
#define MULTIPLY(two_left, two_right) \
	do { \
		TILE_MULTIPLY(ss, 0, 4, 6); \
		TILE_MULTIPLY(su, 1, 4, 7); \
		TILE_MULTIPLY(us, 2, 5, 6); \
		TILE_MULTIPLY(uu, 3, 5, 7); \
	} while (0)

/* What is above 32 bits on the way is not in the result. */
INLINE sums sums_of(register_sums sum[2][2], int row, int v)
{
	const ivec high = i_load(sum[0][0][row]), low = i_load(sum[1][1][row]);
	const ivec middle = i_add(i_load(sum[0][1][row]), i_load(sum[1][0][row]));
	(void)v;
	return i_add(low, _mm512_slli_epi32(i_add(middle, _mm512_slli_epi32(high, 8)), 8));
}

/* The high bytes and the low ones of two vectors of pairs each, in order. */
INLINE void store_planes(uint32_t *groups, ivec first, ivec second)
{
	const ivec byte = _mm512_set1_epi16(0xff);
	i_store_bytes_(groups, _mm512_packs_epi16(_mm512_srai_epi16(first, 8), _mm512_srai_epi16(second, 8)), UNIT_VALUES);
	i_store_bytes_(groups + V, _mm512_packus_epi16(_mm512_and_si512(first, byte), _mm512_and_si512(second, byte)),
	               UNIT_VALUES);
}

/* A block of values is a unit. */
INLINE void store_groups(uint32_t *groups, ivec q[BLOCK], size_t n)
{
	_Static_assert(BLOCK * V == UNIT_VALUES, "blocks are units");
	(void)n;
	store_planes(groups, _mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
}

INLINE ivec whole_numbers(const float *x, size_t ldx, size_t p, size_t k, size_t lanes, vec scale)
{
	return p < k ? i_round(v_mul(v_load_n(x + p * ldx, lanes), scale)) : i_zero();
}

/* Four rows give a lane the four bytes of its low values and of its high ones. */
INLINE void round_columns(const float *x, size_t ldx, size_t k, size_t lanes, vec scale, uint32_t *panel)
{
	const ivec byte = _mm512_set1_epi16(0xff);
	const ivec order = _mm512_set4_epi32(0x0f0d0e0c, 0x0b090a08, 0x07050604, 0x03010200); /* 0, 2, 1, 3 of each lane */
	for (size_t unit = 0; unit < k; unit += UNIT_VALUES, panel += UNIT * NR) {
		for (size_t row = 0; row < UNIT_ROWS; row++) {
			const size_t p = unit + 4 * row;
			ivec first = i_pairs(whole_numbers(x, ldx, p, k, lanes, scale), whole_numbers(x, ldx, p + 1, k, lanes, scale));
			ivec second =
				i_pairs(whole_numbers(x, ldx, p + 2, k, lanes, scale), whole_numbers(x, ldx, p + 3, k, lanes, scale));
			ivec low = _mm512_or_si512(_mm512_and_si512(first, byte), _mm512_slli_epi16(second, 8));
			ivec high = _mm512_or_si512(_mm512_srli_epi16(first, 8), _mm512_andnot_si512(byte, second));
			i_store(panel + row * NR, _mm512_shuffle_epi8(high, order));
			i_store(panel + (UNIT_ROWS + row) * NR, _mm512_shuffle_epi8(low, order));
		}
	}
}

#include "ops/narrow_i16_impl.h"

const struct narrow_kernels glip__narrow_i16_amx = {
	.name = "amx", NARROW_ENTRIES, .planes = true, .begin = begin_tiles, .end = end_tiles};
