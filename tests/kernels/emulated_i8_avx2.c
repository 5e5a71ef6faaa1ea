/* The AVX-VNNI kernels of 8-bit values with the one instruction made of AVX2's, for machines that lack it. */
#include "ops/narrow.h"

#include <immintrin.h>

/* The instruction itself, which saturates nothing. */
static inline __m256i dot_bytes(__m256i sum, __m256i left, __m256i right)
{
	__m256i byte = _mm256_set1_epi16(0xff);
	__m256i even = _mm256_madd_epi16(_mm256_and_si256(left, byte), _mm256_srai_epi16(_mm256_slli_epi16(right, 8), 8));
	__m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(left, 8), _mm256_srai_epi16(right, 8));
	return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

#define VPDPBUSD(s, left, right) (s) = dot_bytes(s, left, right)
#define glip__narrow_i8_avxvnni emulated_i8_avxvnni
extern const struct narrow_kernels emulated_i8_avxvnni;
#include "ops/narrow_i8_avxvnni.c"
