/* Products of pairs of 16-bit values: VPMADDWD. */
#include <assert.h>

#include "ops/vec_avx2.h"
#define MR 6
#include "ops/narrow_ints.h"

INLINE sums add_word(sums s, ivec left, ivec right)
{
	/* As text: with intrinsics gcc 12 keeps some of the sums in memory. */
	ivec products;
	__asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(s), "=&x"(products) : "x"(left), "x"(right));
	return s;
}

#include "ops/narrow_i16_impl.h"

const struct narrow_kernels glip__narrow_i16_avx2 = {.name = "avx2", NARROW_ENTRIES};
