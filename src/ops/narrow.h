/* Product kernels on narrower numbers: a word of 32 bits holds two bfloat16 or 16-bit values, or four 8-bit ones,
 * called a group. Where the instruction set multiplies 16-bit values only, an 8-bit group is two words in a left row:
 * values 0 and 2, then 1 and 3, in 16 bits, which is how a right group's word comes apart by shifts. What is narrowed
 * is a stretch of a row, left or right, into a head and its groups; a row longer than that is several stretches, one
 * after the other, each with its own head:
 *
 *   stretch [words of the head + words of groups] of 32 bits: head[0] a float, the factor; head[1] an int32; then the
 *   groups, of which a kernel reads a multiple of its unit
 *
 *   bfloat16   rounded to nearest even; the head is unused
 *   16 bits    x = factor * q with the largest q that keep the L2 norm of the stretch within NARROW_I16_NORM: no
 *              product of two stretches, nor a part of one, can then leave an int32 (Cauchy-Schwarz)
 *   8 bits     left: x = factor * (q - head[1]), q in a range of 256 numbers, so that the stretch's range with 0 in it
 *              is covered and 0 is exact: bytes are left_low..left_low + 255, and in 16 bits head[1] is 0; right:
 *              x = factor * q, q -127..127, bytes, head[1] the sum of q
 *
 * Where bytes alone are multiplied, 16-bit values come apart into two planes of signed ones, q = 256 * high + low: in
 * units of 32 groups (64 values), 16 words of high bytes and then 16 of low ones. Sums of bytes' products do not leave
 * an int32, and so a stretch is the whole row; x = factor * q with NARROW_PLANES_MOST for the largest magnitude.
 * Products of two low bytes, which are of the size of what rounding loses, are left out.
 *
 * Right rows are multiplied as a panel: nr rows transposed, [words of a row, nr]. */
#ifndef GLIP_OPS_NARROW_H
#define GLIP_OPS_NARROW_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "glip.h"

enum {
	NARROW_HEAD = 2,          /* words of a head; left ones may have more */
	NARROW_MAX_K = 32768,     /* longest row: the sums of 8-bit products fit an int32, those of rights 2^15 * 127 */
	NARROW_I16_STRETCH = 256, /* shorter is more exact: the norm is shared by fewer values */
	NARROW_I16_MOST = 32767,
	NARROW_I16_NORM = 46340, /* squared within an int32 */
	NARROW_PLANES_MOST = 127 * 256 + 127
};

struct narrow_kernels {
	const char *name;
	enum glip_compute compute;
	int mr, nr;     /* rows and columns of a full tile */
	int group;      /* values in a group */
	int left_words; /* of a group in a left row: 1, or 2 where its 8-bit values are widened */
	int left_low;   /* of 8-bit values in one word: the least that a left one is stored as, 0 or -128 */
	int left_head;  /* words of a left head, the first two in use: more, where groups should begin a cache line */
	int unit;       /* groups that are read at once */
	int row_unit;   /* left rows that are read at once, whatever they hold; mr is a multiple */
	bool planes;    /* 16-bit values come apart into two */
	int stretch;    /* values of a row that share a head; a multiple of all units */
	/* `rows` stretches of k floats, ldx apart, each to its head and ceil(k / group) groups, up to a whole unit, at
	 * out + i * ld; values past k are zeros. range [rows, 2]: the least and the greatest of each, zero among them;
	 * NULL: not known. */
	void (*left_rows)(const float *x, size_t ldx, size_t rows, size_t k, const float *range, uint32_t *out, size_t ld);
	/* One stretch, as a right one. */
	void (*right_row)(const float *x, size_t k, uint32_t *row);
	/* The panel [words of a stretch of k, nr] of the columns of x [k, cols], one stretch each, zeros in those
	 * past cols. All 16-bit kernels have it; NULL: columns are not narrowed. */
	void (*right_columns)(const float *x, size_t ldx, size_t k, int cols, uint32_t *panel);
	/* c[i * ldc + j] = bias[j] + the product of left row i (at a + i * lda) and column j of the panel, for
	 * i < rows <= mr, j < cols <= nr; `groups` in all stretches together, without what the last unit is filled up
	 * with; bias NULL: none. An element has the same bits in whatever tile it is computed. ahead: memory that is wanted
	 * soon, of which each group asks for a line; NULL: none. */
	void (*tile)(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
	             size_t ldc, int rows, int cols, const void *ahead);
	/* Before a thread multiplies tiles, and after it did; NULL: nothing is needed. */
	void (*begin)(void);
	void (*end)(void);
};

/* The fastest kernels of a precision, or of a better one, for a mask of enum glip_cpu_flags; NULL where float32 is as
 * fast: the instruction sets lack products of that kind, or compute is F32. */
const struct narrow_kernels *glip__narrow_kernels(enum glip_compute compute, uint32_t cpu_mask);

extern const struct narrow_kernels glip__narrow_bf16_ref;
extern const struct narrow_kernels glip__narrow_i8_ref;
extern const struct narrow_kernels glip__narrow_i16_ref;
extern const struct narrow_kernels glip__narrow_planes_ref;
extern const struct narrow_kernels glip__narrow_bf16_avx512;
extern const struct narrow_kernels glip__narrow_i8_avx512;
extern const struct narrow_kernels glip__narrow_i16_avx512;
extern const struct narrow_kernels glip__narrow_i8_amx;
extern const struct narrow_kernels glip__narrow_i16_amx;
extern const struct narrow_kernels glip__narrow_i8_avxvnni;
extern const struct narrow_kernels glip__narrow_i16_avxvnni;
extern const struct narrow_kernels glip__narrow_i8_avx2;
extern const struct narrow_kernels glip__narrow_i16_avx2;
extern const struct narrow_kernels glip__narrow_i8_dotprod;

/* Words of a row of k values, left or right, heads included. */
static inline size_t glip__narrow_words(const struct narrow_kernels *narrow, bool left, size_t k)
{
	size_t stretch = (size_t)narrow->stretch, unit = (size_t)narrow->unit, values = unit * (size_t)narrow->group;
	size_t words = left ? (size_t)narrow->left_words : 1, head = left ? (size_t)narrow->left_head : NARROW_HEAD;
	return (k + stretch - 1) / stretch * head + (k + values - 1) / values * unit * words;
}

/* Whether right values are kept in a byte each. */
static inline bool glip__narrow_is_bytes(const struct narrow_kernels *narrow)
{
	return narrow->group == 4;
}

/* Whether left rows are scaled by their range. */
static inline bool glip__narrow_by_range(const struct narrow_kernels *narrow)
{
	return glip__narrow_is_bytes(narrow) || narrow->planes;
}

/* What values are scaled by, `steps` to a range; 0, and so they are zeros, where a float cannot hold that. */
static inline float glip__narrow_scale(float range, float steps)
{
	return range >= 1e-38F * steps ? steps / range : 0;
}

/* The factor of a 16-bit stretch: `most` is its largest magnitude, `squares` the sum of its squares. */
static inline float glip__narrow_i16_factor(float most, float squares)
{
	/* Outside of this range squares lose digits or overflow, and below it the factor's inverse does. */
	const float low = 1e-15F, high = 1e15F, root = 16; /* of NARROW_I16_STRETCH */
	if (!(most >= low))
		return 0;
	/* Rounding moves each value by a half at most; the last unit is for what the float sum lost. */
	const float unit = 1 / ((float)NARROW_I16_NORM - 1 - root / 2);
	float by_norm = most < high ? sqrtf(squares) * unit : most * (root * unit),
		  by_most = most * (1.0F / NARROW_I16_MOST);
	/* Not a number where a value is none. */
	return by_norm <= by_most ? by_most : by_norm;
}

#endif
