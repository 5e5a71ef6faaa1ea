/* Products of 8-bit values, four at a time: AVX-VNNI. */
#include <assert.h>

#include "ops/vec_avx2.h"
#define MR 6
#define LEFT_WORDS 1
#define LEFT_LOW 0
#include "ops/narrow_ints.h"

/* As text the file needs no more flags than AVX2's. */
#ifndef VPDPBUSD
#define VPDPBUSD(s, left, right) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(s) : "x"(left), "x"(right))
#endif

INLINE sums add_word(sums s, ivec left, ivec right)
{
	VPDPBUSD(s, left, right);
	return s;
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_avxvnni = {.name = "avxvnni", NARROW_ENTRIES};
