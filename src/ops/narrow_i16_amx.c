/* Products of 16-bit values as three of their bytes: AMX. */
#include "ops/narrow_amx.h"

#define UNIT 32
#include "ops/narrow_ints.h"

/* A part is 16 columns: one register of sums is of high bytes' products, the other of high and low ones'. */
enum { PART_COLS = V, CHUNK = 6, LOW_RIGHT = TILE_ROWS * NR * sizeof(uint32_t) };
#define USES_SECOND(cols) true

/* In this order, as a sum that is added to waits for what was added before. */
#define MULTIPLY_UNIT(a, ld, b, two_left, two_right) \
	do { \
		TILE_LOAD(4, a, ld); \
		TILE_LOAD(7, b + LOW_RIGHT, PANEL_ROW); \
		if (two_left) \
			TILE_LOAD(5, a + TILE_ROWS * ld, ld); \
		TILE_LOAD(6, b, PANEL_ROW); \
		TILE_MULTIPLY(ss, 1, 4, 7); \
		if (two_left) \
			TILE_MULTIPLY(ss, 3, 5, 7); \
		TILE_MULTIPLY(ss, 0, 4, 6); \
		if (two_left) \
			TILE_MULTIPLY(ss, 2, 5, 6); \
		TILE_LOAD(4, a + TILE_BYTES, ld); \
		if (two_left) \
			TILE_LOAD(5, a + TILE_ROWS * ld + TILE_BYTES, ld); \
		TILE_MULTIPLY(ss, 1, 4, 6); \
		if (two_left) \
			TILE_MULTIPLY(ss, 3, 5, 6); \
	} while (0)

struct column_terms {
	vec factor;
};

INLINE struct column_terms terms_of(const uint32_t *heads)
{
	return (struct column_terms){v_load((const float *)(const void *)heads)};
}

/* high high * 2^16 + (high low + low high) * 2^8 */
INLINE vec finished(const uint32_t *sum, int v, const uint32_t *left, const struct column_terms *terms, vec bias)
{
	float factor;
	memcpy(&factor, left, sizeof factor);
	(void)v;
	const vec total = v_fma(i_float(i_load(sum)), v_set1(256), i_float(i_load(sum + V)));
	return v_fma(total, v_mul(v_set1(256 * factor), terms->factor), bias);
}

#include "ops/narrow_amx_impl.h"

/* Of pairs of 16-bit values. */
INLINE ivec high_bytes(ivec pairs)
{
	return _mm512_srai_epi16(_mm512_adds_epi16(pairs, _mm512_set1_epi16(128)), 8);
}

INLINE ivec low_bytes(ivec pairs, ivec high)
{
	return _mm512_sub_epi16(pairs, _mm512_slli_epi16(high, 8));
}

/* A block of values is a unit. */
INLINE void round_block(const float *x, size_t n, vec scale, uint32_t *words)
{
	_Static_assert(BLOCK * V == UNIT_VALUES, "blocks are units");
	ivec q[BLOCK];
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		q[i] = i_round(v_mul(values_at(x, (size_t)i * V, n), scale));
	const ivec first = _mm512_packs_epi32(q[0], q[1]), second = _mm512_packs_epi32(q[2], q[3]);
	const ivec high[2] = {high_bytes(first), high_bytes(second)};
	i_store_bytes_(words, _mm512_packs_epi16(high[0], high[1]), UNIT_VALUES);
	i_store_bytes_(words + V, _mm512_packs_epi16(low_bytes(first, high[0]), low_bytes(second, high[1])), UNIT_VALUES);
}

INLINE void top_of(const float *x, size_t n, vec top[BLOCK])
{
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		top[i] = v_max(v_abs(values_at(x, (size_t)i * V, n)), top[i]);
}

INLINE struct scaling find_factor(const float *x, size_t k, const float *known, uint32_t *row)
{
	float most;
	if (known) {
		most = known[1] > -known[0] ? known[1] : -known[0];
	} else {
		vec top[BLOCK];
		UNROLL
		for (int i = 0; i < BLOCK; i++)
			top[i] = v_zero();
		BY_BLOCKS(k, top_of(x + p, n, top));
		most = v_top(v_max(v_max(top[0], top[1]), v_max(top[2], top[3])));
	}
	float factor = most / NARROW_PLANES_MOST;
	memcpy(row, &factor, sizeof factor);
	row[1] = 0;
	return (struct scaling){.inverse = glip__narrow_scale(most, NARROW_PLANES_MOST)};
}

INLINE void round_values(const float *x, size_t k, struct scaling s, uint32_t *words)
{
	vec scale = v_set1(s.inverse);
	BY_BLOCKS(k, round_block(x + p, n, scale, words + p / 2));
}

INLINE void round_row(const float *x, size_t k, struct scaling s, uint32_t *row)
{
	round_values(x, k, s, row + LEFT_HEAD);
}

static void left_rows(const float *x, size_t ldx, size_t rows, size_t k, const float *range, uint32_t *out, size_t ld)
{
	narrow_rows(find_factor, round_row, x, ldx, rows, k, range, out, ld);
}

static void right_row(const float *x, size_t k, uint32_t *row)
{
	struct scaling s = find_factor(x, k, NULL, row);
	round_values(x, k, s, row + NARROW_HEAD);
}

/* Row p of `lanes` columns, zeros behind the last. */
INLINE ivec rounded(const float *x, size_t ldx, size_t p, size_t k, size_t lanes, vec scale)
{
	return p < k ? i_round(v_mul(v_load_n(x + p * ldx, lanes), scale)) : i_zero();
}

/* A vector's columns of a panel. Four rows give a lane the four bytes of its high values and of its low ones. */
INLINE void narrow_columns(const float *x, size_t ldx, size_t k, size_t lanes, uint32_t *panel)
{
	const ivec byte = _mm512_set1_epi16(0xff);
	const ivec order = _mm512_set4_epi32(0x0f0d0e0c, 0x0b090a08, 0x07050604, 0x03010200); /* 0, 2, 1, 3 of each lane */
	vec top = v_zero();
	for (size_t p = 0; p < k; p++)
		top = v_max(v_abs(v_load_n(x + p * ldx, lanes)), top);
	float most[V], factor[V], inverse[V];
	v_store(most, top);
	for (int i = 0; i < V; i++) {
		factor[i] = most[i] / NARROW_PLANES_MOST;
		inverse[i] = glip__narrow_scale(most[i], NARROW_PLANES_MOST);
	}
	memcpy(panel, factor, sizeof factor);
	i_store(panel + NR, i_zero());
	panel += NARROW_HEAD * NR;
	const vec scale = v_load(inverse);
	for (size_t unit = 0; unit < k; unit += UNIT_VALUES, panel += UNIT * NR) {
		for (size_t row = 0; row < TILE_ROWS; row++) {
			const size_t p = unit + 4 * row;
			ivec first = i_pairs(rounded(x, ldx, p, k, lanes, scale), rounded(x, ldx, p + 1, k, lanes, scale));
			ivec second = i_pairs(rounded(x, ldx, p + 2, k, lanes, scale), rounded(x, ldx, p + 3, k, lanes, scale));
			const ivec high[2] = {high_bytes(first), high_bytes(second)};
			first = low_bytes(first, high[0]);
			second = low_bytes(second, high[1]);
			ivec highs = _mm512_or_si512(_mm512_and_si512(high[0], byte), _mm512_slli_epi16(high[1], 8));
			ivec lows = _mm512_or_si512(_mm512_and_si512(first, byte), _mm512_slli_epi16(second, 8));
			i_store(panel + row * NR, _mm512_shuffle_epi8(highs, order));
			i_store(panel + (TILE_ROWS + row) * NR, _mm512_shuffle_epi8(lows, order));
		}
	}
}

static void right_columns(const float *x, size_t ldx, size_t k, int cols, uint32_t *panel)
{
	const size_t words = NARROW_HEAD + (k + UNIT_VALUES - 1) / UNIT_VALUES * UNIT;
	columns_by_vectors(narrow_columns, words, x, ldx, k, cols, panel);
}

const struct narrow_kernels glip__narrow_i16_amx = {
	.name = "amx",
	.compute = GLIP_COMPUTE_I16,
	.mr = MR,
	.nr = NR,
	.group = 2,
	.left_words = 1,
	.left_head = LEFT_HEAD,
	.unit = UNIT,
	.row_unit = ROW_UNIT,
	.planes = true,
	.stretch = NARROW_MAX_K,
	.left_rows = left_rows,
	.right_row = right_row,
	.right_columns = right_columns,
	.tile = tile,
	.begin = begin_tiles,
	.end = end_tiles,
};
