/* Products of pairs of 16-bit values: VPMADDWD. */
#include <assert.h>

#include "ops/vec_avx2.h"
#define MR 6
#include "ops/narrow_ints.h"

INLINE sums add_group(sums s, ivec left, ivec right)
{
	return _mm256_add_epi32(s, _mm256_madd_epi16(left, right));
}

#include "ops/narrow_i16_impl.h"

const struct narrow_kernels glip__narrow_i16_avx2 = {.name = "avx2", NARROW_ENTRIES};
