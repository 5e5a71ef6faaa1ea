/* Products of 8-bit values in 16 bits, a pair at a time: VPMADDWD. Left rows are widened when they are narrowed, right
 * groups in registers: shifts run beside multiplications, and half as many bytes come from the caches. VPMADDUBSW,
 * which takes four bytes, adds two products in 16 bits; where these are kept from overflowing by the sign of one factor
 * going over to the other it is no faster, as a sum then takes as many instructions. */
#include <assert.h>

#include "ops/vec_avx2.h"
#define MR 6
#define LEFT_WORDS 2
#include "ops/narrow_ints.h"

INLINE sums add_word(sums s, ivec left, ivec right)
{
	/* As text: with intrinsics gcc 12 keeps some of the sums in memory. */
	ivec products;
	__asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(s), "=&x"(products) : "x"(left), "x"(right));
	return s;
}

INLINE ivec right_values(ivec groups, int word)
{
	return _mm256_srai_epi16(word == 0 ? _mm256_slli_epi16(groups, 8) : groups, 8);
}

INLINE void store_left(uint32_t *words, ivec q[BLOCK], size_t n, ivec zero)
{
	UNROLL
	for (int i = 0; i < BLOCK; i++)
		q[i] = _mm256_shuffle_epi32(q[i], _MM_SHUFFLE(3, 1, 2, 0));
	i_store16_in(words, q, (n + 3) / 4 * 4, i_sub(i_zero(), zero), i_sub(i_set1(255), zero));
}

#include "ops/narrow_i8_impl.h"

const struct narrow_kernels glip__narrow_i8_avx2 = {.name = "avx2", NARROW_ENTRIES};
