/* What a vec_<instruction set>.h gives, so that the kernels are written once:
 *
 *   V                      lanes
 *   v_load_n, v_store_n    the first n lanes, 0 < n <= V; nothing past them is touched; other lanes load as 0
 *   v_load_fill            the same with `fill` in the other lanes
 *   v_load_bf16            V bfloat16 values, widened
 *   v_fma(a, b, c)         a * b + c, rounded once
 *   v_max, v_min           the second where an operand is not a number (NEON: not-a-number); both keep it when it is
 *                          the second operand
 *   v_if_less(a, b, x, y)  a < b ? x : y
 *   v_scale2(a, n)         a * 2^n for a whole n in [-252, 254]
 *   v_scale_down(a, n)     the same for n in [-127, 0], where -127 gives 0
 *   v_unless_equal         per lane of the first n: p[lane] == own ? 0 : value; nothing past them is read
 *   v_sum, v_top           sum and maximum of the lanes, in a fixed order
 *   v_sum4                 the sums of four vectors, plus bias[0..3] where it is not NULL, to p[0..3]
 *   v_transpose            V vectors as a V x V matrix
 *   v_lookup(table, at)    the entries of a table of V_LOOKUP values at the last bits of each lane, where that is
 *                          one instruction; otherwise there is neither
 *   v_sum32                the sum of 32 floats, joined in halves (not NEON)
 *
 *   ivec                   as many lanes of 32-bit integers; sums and products wrap
 *   i_round                to the nearest integer, even where two are equally near
 *   i_store16              the first n integers of four vectors, 0 < n <= 4 V, as 16-bit ones, saturated: whole words
 *                          of them, and nothing past those (not NEON)
 *   i_store8, i_store_u8   the same as bytes, signed or not (u8: not NEON)
 *   i_pairs(low, high)     both as 16-bit integers, saturated, in the halves of a lane (not NEON)
 *   i_store16_in           i_store16 of the integers held between two others (AVX2 alone)
 */
#ifndef GLIP_OPS_VEC_CONTRACT_H
#define GLIP_OPS_VEC_CONTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* Before loops over arrays of vectors, which stay in registers only when unrolled in full. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* Memory that is wanted soon, of which a loop asks for a line in each step. */
struct wanted {
	const char *line;
	size_t step;
};

/* From `ahead` on; where that is NULL the same line of what the caller reads anyway, again and again. */
INLINE struct wanted wanted_from(const void *ahead, const void *read_anyway)
{
	return ahead ? (struct wanted){ahead, CACHE_LINE} : (struct wanted){read_anyway, 0};
}

INLINE void ask_for_line(struct wanted *w)
{
	__builtin_prefetch(w->line);
	w->line += w->step;
}

/* Does a statement for n values: `most` vectors at a time, then one, then what is left of one. In the statement `at` is
 * the first value, `count` the vectors, and `lanes` the lanes of the last of them; all but the last `lanes` are
 * constants. */
#define BY_VECTORS(n, most, ...) \
	do { \
		size_t at = 0; \
		for (; at + (most)*V <= (n); at += (most)*V) { \
			const int count = (most); \
			const size_t lanes = V; \
			VECTOR_STEP(count, lanes, __VA_ARGS__); \
		} \
		for (; (most) > 1 && at + V <= (n); at += V) { \
			const int count = 1; \
			const size_t lanes = V; \
			VECTOR_STEP(count, lanes, __VA_ARGS__); \
		} \
		if (at < (n)) { \
			const int count = 1; \
			const size_t lanes = (n)-at; \
			VECTOR_STEP(count, lanes, __VA_ARGS__); \
		} \
	} while (0)
/* Not every statement uses all of them. */
#define VECTOR_STEP(count, lanes, ...) \
	(void)(count); \
	(void)(lanes); \
	__VA_ARGS__

#endif
