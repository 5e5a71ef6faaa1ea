/* Pairs of 16-bit values on vectors, included after ops/narrow_ints.h and add_word(), with MR (ops/narrow_impl.h). */
#define LEFT_WORDS 1
enum { STRETCH_GROUPS = NARROW_I16_STRETCH / 2 };

INLINE vec finished(sums s, const uint32_t *left, const uint32_t *right)
{
	return scaled(s, left, right);
}

#include "ops/narrow_impl.h"

/* Sums of squares are 32, in whatever vectors. */
enum { SQUARES = 32 / V };

INLINE void squares_of(const float *x, size_t n, vec top[SQUARES], vec squares[SQUARES])
{
	UNROLL
	for (int i = 0; i < BLOCK; i++) {
		vec v = values_at(x, (size_t)i * V, n);
		top[i % SQUARES] = v_max(v_abs(v), top[i % SQUARES]);
		squares[i % SQUARES] = v_fma(v, v, squares[i % SQUARES]);
	}
}

INLINE void round_block(const float *x, size_t n, vec scale, uint32_t *groups)
{
	ivec q[BLOCK];
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		q[i] = i_round(v_mul(values_at(x, (size_t)i * V, n), scale));
	i_store16(groups, q, n);
}

INLINE struct scaling find_factor(const float *x, size_t k, const float *range, uint32_t *row)
{
	vec top[SQUARES], squares[SQUARES];
	(void)range;
	UNROLL
	for (int i = 0; i < SQUARES; i++)
		top[i] = squares[i] = v_zero();
	BY_BLOCKS(k, squares_of(x + p, n, top, squares));
	float sum = v_sum32(squares);
	UNROLL
	for (int i = 1; i < SQUARES; i++)
		top[0] = v_max(top[0], top[i]);
	float factor = glip__narrow_i16_factor(v_top(top[0]), sum);
	memcpy(row, &factor, sizeof factor);
	row[1] = 0;
	return (struct scaling){.inverse = factor > 0 ? 1 / factor : 0};
}

INLINE void round_row(const float *x, size_t k, struct scaling s, uint32_t *row)
{
	vec scale = v_set1(s.inverse);
	BY_BLOCKS(k, round_block(x + p, n, scale, row + NARROW_HEAD + p / 2));
}

static void left_rows(const float *x, size_t ldx, size_t rows, size_t k, const float *range, uint32_t *out, size_t ld)
{
	narrow_rows(find_factor, round_row, x, ldx, rows, k, range, out, ld);
}

static void right_row(const float *x, size_t k, uint32_t *row)
{
	left_rows(x, 0, 1, k, NULL, row, 0);
}

/* `lanes` columns. Sums of squares are two: of the even rows and of the odd ones. */
INLINE void narrow_columns(const float *x, size_t ldx, size_t k, size_t lanes, uint32_t *panel)
{
	vec top[2] = {v_zero(), v_zero()}, squares[2] = {v_zero(), v_zero()};
	float most[V], sum[V], factor[V], inverse[V];
	for (size_t p = 0; p < k; p++) {
		vec value = load_lanes(x + p * ldx, lanes);
		top[p % 2] = v_max(v_abs(value), top[p % 2]);
		squares[p % 2] = v_fma(value, value, squares[p % 2]);
	}
	v_store(most, v_max(top[0], top[1]));
	v_store(sum, v_add(squares[0], squares[1]));
	for (int i = 0; i < V; i++) {
		factor[i] = glip__narrow_i16_factor(most[i], sum[i]);
		inverse[i] = factor[i] > 0 ? 1 / factor[i] : 0;
	}
	memcpy(panel, factor, sizeof factor);
	i_store(panel + NR, i_zero());
	panel += NARROW_HEAD * NR;
	vec scale = v_load(inverse);
	for (size_t p = 0; p < k; p += 2, panel += NR) {
		ivec even = i_round(v_mul(load_lanes(x + p * ldx, lanes), scale));
		ivec odd = p + 1 < k ? i_round(v_mul(load_lanes(x + (p + 1) * ldx, lanes), scale)) : i_zero();
		i_store(panel, i_pairs(even, odd));
	}
}

static void right_columns(const float *x, size_t ldx, size_t k, int cols, uint32_t *panel)
{
	columns_by_vectors(narrow_columns, NARROW_HEAD + (k + 1) / 2, x, ldx, k, cols, panel);
}

#define NARROW_ENTRIES \
	.compute = GLIP_COMPUTE_I16, .mr = MR, .nr = NR, .group = 2, .left_words = LEFT_WORDS, .left_head = LEFT_HEAD, \
	.unit = UNIT, .row_unit = ROW_UNIT, .stretch = NARROW_I16_STRETCH, .left_rows = left_rows, .right_row = right_row, \
	.right_columns = right_columns, .tile = tile
