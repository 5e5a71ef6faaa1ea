/* A tile of products of narrow rows on AVX-512, included with these: STRETCH_GROUPS, the groups of a full stretch;
 * sums, the type of a vector of sums; zero_sums(); add_group(sums, left group in every lane, right groups); and
 * finished(sums, left head, panel heads of the columns), which makes floats of them. Contract: ops/narrow.h. */
#include <stdalign.h>
#include <stdbool.h>

enum { MR = 12, NV = 2, V = 16, NR = NV * V };

/* The sums of a stretch of `groups` groups: rows and vecs are constants. */
INLINE void stretch_of(int rows, int vecs, size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel,
                       sums sum[MR][NV])
{
	UNROLL
	for (int i = 0; i < rows; i++) {
		UNROLL
		for (int v = 0; v < vecs; v++)
			sum[i][v] = zero_sums();
	}
	const uint32_t *right = panel + NARROW_HEAD * NR;
	/* One pointer per three rows: the others are at once and twice lda, which an address can express. */
	const uint32_t *row[(MR + 2) / 3];
	UNROLL
	for (int i = 0; i < (rows + 2) / 3; i++)
		row[i] = a + (size_t)i * 3 * lda + NARROW_HEAD;
	for (size_t p = 0; p < groups; p++) {
		__m512i b[NV];
		UNROLL
		for (int v = 0; v < vecs; v++)
			b[v] = _mm512_loadu_si512(right + v * V);
		right += NR;
		UNROLL
		for (int i = 0; i < rows; i++) {
			__m512i left = _mm512_set1_epi32((int)row[i / 3][(size_t)(i % 3) * lda]);
			UNROLL
			for (int v = 0; v < vecs; v++)
				sum[i][v] = add_group(sum[i][v], left, b[v]);
		}
		UNROLL
		for (int i = 0; i < (rows + 2) / 3; i++)
			row[i]++;
	}
}

/* The sums as floats, added to those of earlier stretches; NULL: none. */
INLINE __m512 total(sums s, const uint32_t *left, const uint32_t *right, const float *before)
{
	__m512 x = finished(s, left, right);
	return before ? _mm512_add_ps(x, _mm512_load_ps(before)) : x;
}

/* `rows` rows and `vecs` vectors, of which the last has the lanes of `last`; rows and vecs are constants. */
INLINE void tile_of(int rows, int vecs, __mmask16 last, size_t groups, const uint32_t *a, size_t lda,
                    const uint32_t *panel, const float *bias, float *c, size_t ldc)
{
	sums sum[MR][NV];
	alignas(64) float part[MR * NR];
	const float *before = NULL;
	for (; groups > STRETCH_GROUPS; groups -= STRETCH_GROUPS) {
		stretch_of(rows, vecs, STRETCH_GROUPS, a, lda, panel, sum);
		UNROLL
		for (int i = 0; i < rows; i++) {
			UNROLL
			for (int v = 0; v < vecs; v++) {
				int at = i * NR + v * V;
				__m512 x = total(sum[i][v], a + (size_t)i * lda, panel + v * V, before ? before + at : NULL);
				_mm512_store_ps(part + at, x);
			}
		}
		before = part;
		a += NARROW_HEAD + STRETCH_GROUPS;
		panel += (NARROW_HEAD + STRETCH_GROUPS) * NR;
	}
	stretch_of(rows, vecs, groups, a, lda, panel, sum);
	UNROLL
	for (int i = 0; i < rows; i++) {
		UNROLL
		for (int v = 0; v < vecs; v++) {
			__mmask16 lanes = v == vecs - 1 ? last : (__mmask16)0xffff;
			__m512 x = total(sum[i][v], a + (size_t)i * lda, panel + v * V, before ? before + i * NR + v * V : NULL);
			if (bias)
				x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(lanes, bias + v * V));
			_mm512_mask_storeu_ps(c + (size_t)i * ldc + v * V, lanes, x);
		}
	}
}

#define TILE_CASE(r) \
	case r: \
		if (cols > V) \
			tile_of(r, 2, last, groups, a, lda, panel, bias, c, ldc); \
		else \
			tile_of(r, 1, last, groups, a, lda, panel, bias, c, ldc); \
		break

static void tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                 size_t ldc, int rows, int cols)
{
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	__mmask16 last = (__mmask16)((1u << (cols > V ? cols - V : cols)) - 1);
	switch (rows) {
		TILE_CASE(1);
		TILE_CASE(2);
		TILE_CASE(3);
		TILE_CASE(4);
		TILE_CASE(5);
		TILE_CASE(6);
		TILE_CASE(7);
		TILE_CASE(8);
		TILE_CASE(9);
		TILE_CASE(10);
		TILE_CASE(11);
		TILE_CASE(12);
	default: break;
	}
}

/* The n <= V values at x, zeros behind them. */
INLINE __m512 load_values(const float *x, size_t n)
{
	return n >= V ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x);
}
