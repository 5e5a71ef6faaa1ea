/* Products of 8-bit values, four at a time: AVX-512 with VNNI. */
#include <assert.h>

#include "ops/vec_avx512.h"
#define MR 12
#define LEFT_WORDS 1
#define LEFT_LOW 0
#include "ops/narrow_ints.h"

INLINE sums add_word(sums s, ivec left, ivec right)
{
	/* As text: with the intrinsic gcc 12 moves every sum from register to register at each step; and the file needs
	 * no more flags than the other AVX-512 ones. */
	__asm__("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(left), "v"(right));
	return s;
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_avx512 = {.name = "avx512vnni", NARROW_ENTRIES};
