/* The vector of AVX-512 (F, BW, DQ, VL), as kernels_impl.h uses it. */
#ifndef GLIP_OPS_VEC_AVX512_H
#define GLIP_OPS_VEC_AVX512_H

#include <immintrin.h>

#include "ops/vec_contract.h"

enum { V = 16 };
typedef __m512 vec;

static inline __mmask16 v_tail(size_t n)
{
	return (__mmask16)((1u << n) - 1);
}

static inline vec v_zero(void)
{
	return _mm512_setzero_ps();
}

static inline vec v_set1(float x)
{
	return _mm512_set1_ps(x);
}

static inline vec v_load(const float *p)
{
	return _mm512_loadu_ps(p);
}

static inline vec v_load_n(const float *p, size_t n)
{
	return _mm512_maskz_loadu_ps(v_tail(n), p);
}

static inline vec v_load_fill(const float *p, size_t n, float fill)
{
	return _mm512_mask_loadu_ps(_mm512_set1_ps(fill), v_tail(n), p);
}

static inline vec v_load_bf16(const uint16_t *p)
{
	__m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
	return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline void v_store(float *p, vec x)
{
	_mm512_storeu_ps(p, x);
}

static inline void v_store_n(float *p, vec x, size_t n)
{
	_mm512_mask_storeu_ps(p, v_tail(n), x);
}

static inline vec v_add(vec a, vec b)
{
	return _mm512_add_ps(a, b);
}

static inline vec v_sub(vec a, vec b)
{
	return _mm512_sub_ps(a, b);
}

static inline vec v_mul(vec a, vec b)
{
	return _mm512_mul_ps(a, b);
}

static inline vec v_div(vec a, vec b)
{
	return _mm512_div_ps(a, b);
}

static inline vec v_fma(vec a, vec b, vec c)
{
	return _mm512_fmadd_ps(a, b, c);
}

static inline vec v_max(vec a, vec b)
{
	return _mm512_max_ps(a, b);
}

static inline vec v_min(vec a, vec b)
{
	return _mm512_min_ps(a, b);
}

static inline vec v_abs(vec a)
{
	return _mm512_abs_ps(a);
}

static inline vec v_if_less(vec a, vec b, vec x, vec y)
{
	return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

static inline vec v_round(vec a)
{
	return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static inline vec v_scale2(vec a, vec n)
{
	return _mm512_scalef_ps(a, n);
}

static inline vec v_scale_down(vec a, vec n)
{
	/* Nothing that is not normal, which some cores multiply slowly; n that is not a number stays. */
	return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(n, _mm512_set1_ps(-127), _CMP_NLE_UQ), _mm512_scalef_ps(a, n));
}

static inline vec v_unless_equal(const uint8_t *p, size_t n, uint8_t own, float value)
{
	__m128i bytes = _mm_maskz_loadu_epi8(v_tail(n), p);
	__mmask16 other = _mm_cmpneq_epu8_mask(bytes, _mm_set1_epi8((char)own));
	return _mm512_maskz_mov_ps(other, _mm512_set1_ps(value));
}

static inline __m128 v_sum4_(vec a, vec b, vec c, vec d)
{
	vec ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
	vec cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
	vec all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
	__m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
	return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
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
	return _mm512_reduce_max_ps(a);
}

static inline void v_transpose(vec r[V])
{
	vec s[V];
	for (int i = 0; i < V; i += 2) {
		s[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
		s[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
	}
	for (int i = 0; i < V; i += 4) {
		r[i] = _mm512_shuffle_ps(s[i], s[i + 2], 0x44);
		r[i + 1] = _mm512_shuffle_ps(s[i], s[i + 2], 0xee);
		r[i + 2] = _mm512_shuffle_ps(s[i + 1], s[i + 3], 0x44);
		r[i + 3] = _mm512_shuffle_ps(s[i + 1], s[i + 3], 0xee);
	}
	/* r[4g + i] holds, in its 128-bit part q, column 4q + i of rows 4g..4g+3. */
	for (int i = 0; i < 4; i++) {
		vec low01 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x44), low23 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x44);
		vec high01 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xee),
			high23 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xee);
		s[i] = _mm512_shuffle_f32x4(low01, low23, 0x88);
		s[i + 4] = _mm512_shuffle_f32x4(low01, low23, 0xdd);
		s[i + 8] = _mm512_shuffle_f32x4(high01, high23, 0x88);
		s[i + 12] = _mm512_shuffle_f32x4(high01, high23, 0xdd);
	}
	for (int i = 0; i < V; i++)
		r[i] = s[i];
}

#define V_LOOKUP 32
static inline vec v_lookup(const float *table, vec at)
{
	return _mm512_permutex2var_ps(v_load(table), _mm512_castps_si512(at), v_load(table + 16));
}

typedef __m512i ivec;

static inline ivec i_zero(void)
{
	return _mm512_setzero_si512();
}

static inline ivec i_set1(uint32_t x)
{
	return _mm512_set1_epi32((int)x);
}

static inline ivec i_load(const uint32_t *p)
{
	return _mm512_loadu_si512(p);
}

static inline ivec i_add(ivec a, ivec b)
{
	return _mm512_add_epi32(a, b);
}

static inline ivec i_sub(ivec a, ivec b)
{
	return _mm512_sub_epi32(a, b);
}

static inline ivec i_mul(ivec a, ivec b)
{
	return _mm512_mullo_epi32(a, b);
}

static inline ivec i_min(ivec a, ivec b)
{
	return _mm512_min_epi32(a, b);
}

static inline ivec i_max(ivec a, ivec b)
{
	return _mm512_max_epi32(a, b);
}

static inline ivec i_round(vec a)
{
	return _mm512_cvtps_epi32(a);
}

static inline vec i_float(ivec a)
{
	return _mm512_cvtepi32_ps(a);
}

static inline int32_t i_sum(ivec a)
{
	return _mm512_reduce_add_epi32(a);
}

/* The first n of the 32-bit words. */
static inline void i_store_words(uint32_t *p, ivec words, size_t n)
{
	if (n >= V)
		_mm512_storeu_si512(p, words);
	else
		_mm512_mask_storeu_epi32(p, v_tail(n), words);
}

/* What the instructions pack within quarters, in order. */
static inline void i_store16(uint32_t *p, const ivec x[4], size_t n)
{
	const ivec order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
	ivec first = _mm512_permutexvar_epi64(order, _mm512_packs_epi32(x[0], x[1]));
	ivec second = _mm512_permutexvar_epi64(order, _mm512_packs_epi32(x[2], x[3]));
	i_store_words(p, first, (n + 1) / 2);
	if (n > 2 * V)
		i_store_words(p + V, second, (n + 1) / 2 - V);
}

static inline void i_store_bytes_(uint32_t *p, ivec bytes, size_t n)
{
	const ivec order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	i_store_words(p, _mm512_permutexvar_epi32(order, bytes), (n + 3) / 4);
}

static inline void i_store8(uint32_t *p, const ivec x[4], size_t n)
{
	i_store_bytes_(p, _mm512_packs_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3])), n);
}

static inline void i_store_u8(uint32_t *p, const ivec x[4], size_t n)
{
	i_store_bytes_(p, _mm512_packus_epi16(_mm512_packs_epi32(x[0], x[1]), _mm512_packs_epi32(x[2], x[3])), n);
}

static inline ivec i_pairs(ivec low, ivec high)
{
	const ivec order = _mm512_set4_epi32(0x0f0e0706, 0x0d0c0504, 0x0b0a0302, 0x09080100);
	return _mm512_shuffle_epi8(_mm512_packs_epi32(low, high), order);
}

static inline void i_store(uint32_t *p, ivec a)
{
	_mm512_storeu_si512(p, a);
}

static inline float v_sum32(const vec x[2])
{
	return _mm512_reduce_add_ps(_mm512_add_ps(x[0], x[1]));
}

#endif
