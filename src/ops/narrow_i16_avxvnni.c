/* Products of pairs of 16-bit values: AVX-VNNI. */
#include <assert.h>

#include "ops/vec_avx2.h"
#define MR 6
#include "ops/narrow_ints.h"

/* As text the file needs no more flags than AVX2's. */
#ifndef VPDPWSSD
#define VPDPWSSD(s, left, right) __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(s) : "x"(left), "x"(right))
#endif

INLINE sums add_word(sums s, ivec left, ivec right)
{
	VPDPWSSD(s, left, right);
	return s;
}

#include "ops/narrow_i16_impl.h"

const struct narrow_kernels glip__narrow_i16_avxvnni = {.name = "avxvnni", NARROW_ENTRIES};
