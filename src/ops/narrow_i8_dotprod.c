/* Products of 8-bit values, four at a time: NEON with SDOT, whose bytes are signed on both sides. */
#include <assert.h>

#include "ops/vec_neon.h"
#define MR 12
#define LEFT_WORDS 1
#define LEFT_LOW -128
#include "ops/narrow_ints.h"

INLINE sums add_word(sums s, ivec left, ivec right)
{
	return vdotq_s32(s, vreinterpretq_s8_s32(left), vreinterpretq_s8_s32(right));
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_dotprod = {.name = "dotprod", NARROW_ENTRIES};
