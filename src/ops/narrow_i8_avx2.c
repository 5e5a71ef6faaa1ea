/* Products of 8-bit values widened to 16 bits when they are narrowed, a pair at a time: VPMADDWD. VPMADDUBSW, which
 * takes four bytes, adds two products in 16 bits; where these are kept from overflowing by the sign of one factor going
 * over to the other it is no faster, as a sum then takes as many instructions. */
#include <assert.h>

#include "ops/vec_avx2.h"
#define MR 6
#define GROUP 2
#define LEFT_LOW 0
#include "ops/narrow_ints.h"

INLINE sums add_group(sums s, ivec left, ivec right)
{
	/* As text: with intrinsics gcc 12 keeps some of the sums in memory. */
	ivec products;
	__asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(s), "=&x"(products) : "x"(left), "x"(right));
	return s;
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_avx2 = {.name = "avx2", NARROW_ENTRIES};
