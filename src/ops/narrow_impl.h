/* A tile of products of narrow rows on vectors, included after a vec_<instruction set>.h with MR, the rows of a tile,
 * LEFT_WORDS, the words of a left group, and these: STRETCH_GROUPS, the groups of a full stretch; sums, the type of a
 * vector of sums; zero_sums(); add_word(sums, word of a left group in every lane, right values for it); where
 * LEFT_WORDS is 2, right_values(right groups, word), the values that this word of a left group is multiplied with; and
 * finished(sums, left head, panel heads of the columns), which makes floats of them. Contract: ops/narrow.h. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/math_impl.h"

#if LEFT_WORDS == 1
INLINE ivec right_values(ivec groups, int word)
{
	(void)word;
	return groups;
}
#endif

/* The sums of a stretch of `groups` groups: rows and vecs are constants. */
INLINE void stretch_of(int rows, int vecs, size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel,
                       struct wanted *wanted, sums sum[MR][NV])
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
		UNROLL
		for (int word = 0; word < LEFT_WORDS; word++) {
			ivec b[NV];
			UNROLL
			for (int v = 0; v < vecs; v++)
				b[v] = right_values(i_load(right + v * V), word);
			UNROLL
			for (int i = 0; i < rows; i++) {
				ivec left = i_set1(row[i / 3][(size_t)(i % 3) * lda + (size_t)word]);
				UNROLL
				for (int v = 0; v < vecs; v++)
					sum[i][v] = add_word(sum[i][v], left, b[v]);
			}
		}
		right += NR;
		ask_for_line(wanted);
		UNROLL
		for (int i = 0; i < (rows + 2) / 3; i++)
			row[i] += LEFT_WORDS;
	}
}

/* The sums as floats, added to those of earlier stretches; NULL: none. */
INLINE vec total(sums s, const uint32_t *left, const uint32_t *right, const float *before)
{
	vec x = finished(s, left, right);
	return before ? v_add(x, v_load(before)) : x;
}

/* `rows` rows and `vecs` vectors, of which the last has `last` lanes; rows and vecs are constants. */
INLINE void tile_of(int rows, int vecs, size_t last, size_t groups, const uint32_t *a, size_t lda,
                    const uint32_t *panel, const float *bias, float *c, size_t ldc, struct wanted wanted)
{
	sums sum[MR][NV];
	float part[MR * NR];
	const float *before = NULL;
	/* Where a stretch is shorter than the longest row. */
	for (; STRETCH_GROUPS < NARROW_MAX_K / 4 && groups > STRETCH_GROUPS; groups -= STRETCH_GROUPS) {
		stretch_of(rows, vecs, STRETCH_GROUPS, a, lda, panel, &wanted, sum);
		UNROLL
		for (int i = 0; i < rows; i++) {
			UNROLL
			for (int v = 0; v < vecs; v++) {
				int at = i * NR + v * V;
				v_store(part + at, total(sum[i][v], a + (size_t)i * lda, panel + v * V, before ? before + at : NULL));
			}
		}
		before = part;
		a += NARROW_HEAD + STRETCH_GROUPS * LEFT_WORDS;
		panel += (NARROW_HEAD + STRETCH_GROUPS) * NR;
	}
	stretch_of(rows, vecs, groups, a, lda, panel, &wanted, sum);
	UNROLL
	for (int i = 0; i < rows; i++) {
		UNROLL
		for (int v = 0; v < vecs; v++) {
			size_t lanes = v == vecs - 1 ? last : V;
			vec x = total(sum[i][v], a + (size_t)i * lda, panel + v * V, before ? before + i * NR + v * V : NULL);
			if (bias)
				x = v_add(x, load_lanes(bias + v * V, lanes));
			store_lanes(c + (size_t)i * ldc + v * V, x, lanes);
		}
	}
}

#define TILE_CASE(r) \
	case r: \
		if (cols > V) \
			tile_of(r, 2, (size_t)cols - V, groups, a, lda, panel, bias, c, ldc, wanted); \
		else \
			tile_of(r, 1, (size_t)cols, groups, a, lda, panel, bias, c, ldc, wanted); \
		break

static void tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                 size_t ldc, int rows, int cols, const void *ahead)
{
	const struct wanted wanted = wanted_from(ahead, a);
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	switch (rows) {
		TILE_CASE(1);
		TILE_CASE(2);
		TILE_CASE(3);
		TILE_CASE(4);
		TILE_CASE(5);
		TILE_CASE(6);
#if MR > 6
		TILE_CASE(7);
		TILE_CASE(8);
		TILE_CASE(9);
		TILE_CASE(10);
		TILE_CASE(11);
		TILE_CASE(12);
#endif
	default: break;
	}
}
