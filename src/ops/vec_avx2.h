/* The vector of AVX2 with FMA, as kernels_impl.h uses it. */
#ifndef GLIP_OPS_VEC_AVX2_H
#define GLIP_OPS_VEC_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "ops/vec_contract.h"

enum { V = 8 };
typedef __m256 vec;

/* Lanes 0..n-1 of a tail: eight entries beginning at 8 - n. */
static const int32_t tail_lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

static inline __m256i v_tail(size_t n)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)(tail_lanes + 8 - n));
}

static inline vec v_zero(void)
{
	return _mm256_setzero_ps();
}

static inline vec v_set1(float x)
{
	return _mm256_set1_ps(x);
}

static inline vec v_load(const float *p)
{
	return _mm256_loadu_ps(p);
}

static inline vec v_load_n(const float *p, size_t n)
{
	return _mm256_maskload_ps(p, v_tail(n));
}

static inline vec v_load_fill(const float *p, size_t n, float fill)
{
	return _mm256_blendv_ps(_mm256_set1_ps(fill), v_load_n(p, n), _mm256_castsi256_ps(v_tail(n)));
}

static inline vec v_load_bf16(const uint16_t *p)
{
	__m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
	return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline void v_store(float *p, vec x)
{
	_mm256_storeu_ps(p, x);
}

static inline void v_store_n(float *p, vec x, size_t n)
{
	/* Not VMASKMOVPS, which takes some forty cycles on Zen 3 and its forerunners. */
	__m128 part = _mm256_castps256_ps128(x);
	if (n >= V) {
		_mm256_storeu_ps(p, x);
		return;
	}
	if (n & 4) {
		_mm_storeu_ps(p, part);
		part = _mm256_extractf128_ps(x, 1);
		p += 4;
	}
	if (n & 2) {
		_mm_storel_pi((__m64 *)(void *)p, part);
		part = _mm_movehl_ps(part, part);
		p += 2;
	}
	if (n & 1)
		_mm_store_ss(p, part);
}

static inline vec v_add(vec a, vec b)
{
	return _mm256_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
	return _mm256_sub_ps(a, b);
}

static inline vec v_mul(vec a, vec b)
{
	return _mm256_mul_ps(a, b);
}

static inline vec v_div(vec a, vec b)
{
	return _mm256_div_ps(a, b);
}

static inline vec v_fma(vec a, vec b, vec c)
{
	return _mm256_fmadd_ps(a, b, c);
}

static inline vec v_max(vec a, vec b)
{
	return _mm256_max_ps(a, b);
}

static inline vec v_min(vec a, vec b)
{
	return _mm256_min_ps(a, b);
}

static inline vec v_abs(vec a)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a);
}

static inline vec v_if_less(vec a, vec b, vec x, vec y)
{
	return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline vec v_round(vec a)
{
	return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec v_power2(__m256i n)
{
	return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

static inline vec v_scale2(vec a, vec n)
{
	/* In two steps, as 2^n alone leaves the range of float before the product does. */
	__m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
	return _mm256_mul_ps(_mm256_mul_ps(a, v_power2(half)), v_power2(_mm256_sub_epi32(whole, half)));
}

static inline vec v_scale_down(vec a, vec n)
{
	return _mm256_mul_ps(a, v_power2(_mm256_cvtps_epi32(n)));
}

static inline vec v_unless_equal(const uint8_t *p, size_t n, uint8_t own, float value)
{
	uint8_t part[V] = {0};
	if (n < V)
		p = memcpy(part, p, n);
	__m256i bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
	__m256i same = _mm256_cmpeq_epi32(bytes, _mm256_set1_epi32(own));
	return _mm256_andnot_ps(_mm256_castsi256_ps(same), _mm256_set1_ps(value));
}

static inline __m128 v_sum4_(vec a, vec b, vec c, vec d)
{
	__m256 ab = _mm256_hadd_ps(a, b), cd = _mm256_hadd_ps(c, d), all = _mm256_hadd_ps(ab, cd);
	return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

static inline void v_sum4(float *p, vec a, vec b, vec c, vec d, const float *bias)
{
	__m128 sum = v_sum4_(a, b, c, d);
	_mm_storeu_ps(p, bias ? _mm_add_ps(sum, _mm_loadu_ps(bias)) : sum);
}

static inline float v_sum(vec a)
{
	return _mm_cvtss_f32(v_sum4_(a, a, a, a));
}

static inline float v_top(vec a)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static inline void v_transpose(vec r[V])
{
	vec s[V];
	for (int i = 0; i < V; i += 2) {
		s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
		s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
	}
	for (int i = 0; i < V; i += 4) {
		r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
		r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);
		r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
		r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);
	}
	for (int i = 0; i < 4; i++) {
		s[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
		s[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
	}
	for (int i = 0; i < V; i++)
		r[i] = s[i];
}

typedef __m256i ivec;

static inline ivec i_zero(void)
{
	return _mm256_setzero_si256();
}

static inline ivec i_set1(uint32_t x)
{
	return _mm256_set1_epi32((int)x);
}

static inline ivec i_load(const uint32_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline ivec i_add(ivec a, ivec b)
{
	return _mm256_add_epi32(a, b);
}

static inline ivec i_sub(ivec a, ivec b)
{
	return _mm256_sub_epi32(a, b);
}

static inline ivec i_mul(ivec a, ivec b)
{
	return _mm256_mullo_epi32(a, b);
}

static inline ivec i_min(ivec a, ivec b)
{
	return _mm256_min_epi32(a, b);
}

static inline ivec i_max(ivec a, ivec b)
{
	return _mm256_max_epi32(a, b);
}

static inline ivec i_round(vec a)
{
	return _mm256_cvtps_epi32(a);
}

static inline vec i_float(ivec a)
{
	return _mm256_cvtepi32_ps(a);
}

static inline int32_t i_sum(ivec a)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* The first n of the 32-bit words. */
static inline void i_store_words(uint32_t *p, ivec words, size_t n)
{
	if (n >= V)
		_mm256_storeu_si256((__m256i *)(void *)p, words);
	else
		_mm256_maskstore_epi32((int *)p, v_tail(n), words);
}

/* What the instructions pack within halves, in order. */
static inline void i_store16(uint32_t *p, const ivec x[4], size_t n)
{
	ivec first = _mm256_permute4x64_epi64(_mm256_packs_epi32(x[0], x[1]), 0xd8);
	ivec second = _mm256_permute4x64_epi64(_mm256_packs_epi32(x[2], x[3]), 0xd8);
	i_store_words(p, first, (n + 1) / 2);
	if (n > 2 * V)
		i_store_words(p + V, second, (n + 1) / 2 - V);
}

static inline void i_store16_in(uint32_t *p, const ivec x[4], size_t n, ivec low, ivec high)
{
	ivec least = _mm256_packs_epi32(low, low), most = _mm256_packs_epi32(high, high);
	ivec first = _mm256_min_epi16(_mm256_max_epi16(_mm256_packs_epi32(x[0], x[1]), least), most);
	ivec second = _mm256_min_epi16(_mm256_max_epi16(_mm256_packs_epi32(x[2], x[3]), least), most);
	i_store_words(p, _mm256_permute4x64_epi64(first, 0xd8), (n + 1) / 2);
	if (n > 2 * V)
		i_store_words(p + V, _mm256_permute4x64_epi64(second, 0xd8), (n + 1) / 2 - V);
}

static inline void i_store_bytes_(uint32_t *p, ivec bytes, size_t n)
{
	const ivec order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	i_store_words(p, _mm256_permutevar8x32_epi32(bytes, order), (n + 3) / 4);
}

static inline void i_store8(uint32_t *p, const ivec x[4], size_t n)
{
	i_store_bytes_(p, _mm256_packs_epi16(_mm256_packs_epi32(x[0], x[1]), _mm256_packs_epi32(x[2], x[3])), n);
}

static inline void i_store_u8(uint32_t *p, const ivec x[4], size_t n)
{
	i_store_bytes_(p, _mm256_packus_epi16(_mm256_packs_epi32(x[0], x[1]), _mm256_packs_epi32(x[2], x[3])), n);
}

static inline ivec i_pairs(ivec low, ivec high)
{
	const __m128i order = _mm_setr_epi32(0x09080100, 0x0b0a0302, 0x0d0c0504, 0x0f0e0706);
	return _mm256_shuffle_epi8(_mm256_packs_epi32(low, high), _mm256_broadcastsi128_si256(order));
}

static inline void i_store(uint32_t *p, ivec a)
{
	_mm256_storeu_si256((__m256i *)(void *)p, a);
}

static inline float v_sum32(const vec x[4])
{
	vec all = _mm256_add_ps(_mm256_add_ps(x[0], x[2]), _mm256_add_ps(x[1], x[3]));
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

#endif
