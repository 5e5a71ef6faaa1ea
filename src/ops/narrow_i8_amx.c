/* Products of 8-bit values, four at a time: AMX. */
#include "ops/narrow_amx.h"

#define UNIT 16
#define LEFT_WORDS 1
#define LEFT_LOW 0
#include "ops/narrow_ints.h"

/* A part is the whole tile. It goes on after each chunk, and yet is faster than in one go. */
enum { PART_COLS = NR, CHUNK = 9 };
#define USES_SECOND(cols) ((cols) > V)

#define MULTIPLY_UNIT(a, ld, b, two_left, two_right) \
	do { \
		TILE_LOAD(4, a, ld); \
		TILE_LOAD(6, b, PANEL_ROW); \
		if (two_right) \
			TILE_LOAD(7, b + TILE_BYTES, PANEL_ROW); \
		if (two_left) \
			TILE_LOAD(5, a + TILE_ROWS * ld, ld); \
		TILE_MULTIPLY(us, 0, 4, 6); \
		if (two_right) \
			TILE_MULTIPLY(us, 1, 4, 7); \
		if (two_left) \
			TILE_MULTIPLY(us, 2, 5, 6); \
		if (two_left && two_right) \
			TILE_MULTIPLY(us, 3, 5, 7); \
	} while (0)

/* The sum of a column's values as pairs of 16-bit numbers: (sum mod 128, sum / 128), negative. */
struct column_terms {
	vec factor;
	ivec minus_sum;
};

INLINE struct column_terms terms_of(const uint32_t *heads)
{
	const ivec sum = i_load(heads + NR), low = _mm512_and_si512(sum, i_set1(127)), high = _mm512_srai_epi32(sum, 7);
	const ivec minus_low = _mm512_and_si512(i_sub(i_zero(), low), i_set1(0xffff));
	return (struct column_terms){
		v_load((const float *)(const void *)heads),
		_mm512_or_si512(minus_low, _mm512_slli_epi32(i_sub(i_zero(), high), 16)),
	};
}

/* sum (q - zero) r = sum q r - zero * sum r, where the last is zero * (sum mod 128) + 128 zero * (sum / 128). */
INLINE vec finished(const uint32_t *sum, int v, const uint32_t *left, const struct column_terms *terms, vec bias)
{
	float factor;
	memcpy(&factor, left, sizeof factor);
	ivec s = i_load(sum + v * V);
	/* As text: as in ops/narrow_i16_avx512.c. */
	__asm__("vpdpwssd %2, %1, %0" : "+v"(s) : "v"(i_set1(left[1] * (1 + (128u << 16)))), "v"(terms->minus_sum));
	return v_fma(i_float(s), v_mul(v_set1(factor), terms->factor), bias);
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_amx = {
	.name = "amx", NARROW_ENTRIES, .begin = begin_tiles, .end = end_tiles};
