/* The AVX-VNNI kernels of 16-bit values with the one instruction made of AVX2's, for machines that lack it. */
#include "ops/narrow.h"

#include <immintrin.h>

#define VPDPWSSD(s, left, right) (s) = _mm256_add_epi32(s, _mm256_madd_epi16(left, right))
#define glip__narrow_i16_avxvnni emulated_i16_avxvnni
extern const struct narrow_kernels emulated_i16_avxvnni;
#include "ops/narrow_i16_avxvnni.c"
