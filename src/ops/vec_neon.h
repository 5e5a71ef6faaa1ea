/* The vector of NEON (AArch64), as kernels_impl.h uses it. */
#ifndef GLIP_OPS_VEC_NEON_H
#define GLIP_OPS_VEC_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "ops/vec_contract.h"

enum { V = 4 };
typedef float32x4_t vec;

static inline vec v_zero(void)
{
	return vdupq_n_f32(0);
}

static inline vec v_set1(float x)
{
	return vdupq_n_f32(x);
}

static inline vec v_load(const float *p)
{
	return vld1q_f32(p);
}

static inline vec v_load_n(const float *p, size_t n)
{
	float lane[V] = {0};
	memcpy(lane, p, n * sizeof(float));
	return vld1q_f32(lane);
}

static inline vec v_load_fill(const float *p, size_t n, float fill)
{
	float lane[V] = {fill, fill, fill, fill};
	memcpy(lane, p, n * sizeof(float));
	return vld1q_f32(lane);
}

static inline vec v_load_bf16(const uint16_t *p)
{
	return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

static inline void v_store(float *p, vec x)
{
	vst1q_f32(p, x);
}

static inline void v_store_n(float *p, vec x, size_t n)
{
	float lane[V];
	vst1q_f32(lane, x);
	memcpy(p, lane, n * sizeof(float));
}

static inline vec v_add(vec a, vec b)
{
	return vaddq_f32(a, b);
}

static inline vec v_sub(vec a, vec b)
{
	return vsubq_f32(a, b);
}

static inline vec v_mul(vec a, vec b)
{
	return vmulq_f32(a, b);
}

static inline vec v_div(vec a, vec b)
{
	return vdivq_f32(a, b);
}

static inline vec v_fma(vec a, vec b, vec c)
{
	return vfmaq_f32(c, a, b);
}

static inline vec v_max(vec a, vec b)
{
	return vmaxq_f32(a, b);
}

static inline vec v_min(vec a, vec b)
{
	return vminq_f32(a, b);
}

static inline vec v_abs(vec a)
{
	return vabsq_f32(a);
}

static inline vec v_if_less(vec a, vec b, vec x, vec y)
{
	return vbslq_f32(vcltq_f32(a, b), x, y);
}

static inline vec v_round(vec a)
{
	return vrndnq_f32(a);
}

static inline vec v_power2(int32x4_t n)
{
	return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

static inline vec v_scale2(vec a, vec n)
{
	/* In two steps, as 2^n alone leaves the range of float before the product does. */
	int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1);
	return vmulq_f32(vmulq_f32(a, v_power2(half)), v_power2(vsubq_s32(whole, half)));
}

static inline vec v_scale_down(vec a, vec n)
{
	return vmulq_f32(a, v_power2(vcvtnq_s32_f32(n)));
}

static inline vec v_unless_equal(const uint8_t *p, size_t n, uint8_t own, float value)
{
	float lane[V] = {0};
	for (size_t i = 0; i < V && i < n; i++)
		lane[i] = p[i] == own ? 0 : value;
	return vld1q_f32(lane);
}

static inline vec v_sum4_(vec a, vec b, vec c, vec d)
{
	return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}

static inline void v_sum4(float *p, vec a, vec b, vec c, vec d, const float *bias)
{
	vec sum = v_sum4_(a, b, c, d);
	vst1q_f32(p, bias ? vaddq_f32(sum, vld1q_f32(bias)) : sum);
}

static inline float v_sum(vec a)
{
	return vgetq_lane_f32(v_sum4_(a, a, a, a), 0);
}

static inline float v_top(vec a)
{
	return vmaxvq_f32(a);
}

static inline void v_transpose(vec r[V])
{
	float32x4x2_t low = vtrnq_f32(r[0], r[1]), high = vtrnq_f32(r[2], r[3]);
	r[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
	r[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
	r[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
	r[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
}

typedef int32x4_t ivec;

static inline ivec i_zero(void)
{
	return vdupq_n_s32(0);
}

static inline ivec i_set1(uint32_t x)
{
	return vreinterpretq_s32_u32(vdupq_n_u32(x));
}

static inline ivec i_load(const uint32_t *p)
{
	return vreinterpretq_s32_u32(vld1q_u32(p));
}

static inline void i_store(uint32_t *p, ivec a)
{
	vst1q_u32(p, vreinterpretq_u32_s32(a));
}

static inline ivec i_add(ivec a, ivec b)
{
	return vaddq_s32(a, b);
}

static inline ivec i_sub(ivec a, ivec b)
{
	return vsubq_s32(a, b);
}

static inline ivec i_mul(ivec a, ivec b)
{
	return vmulq_s32(a, b);
}

static inline ivec i_min(ivec a, ivec b)
{
	return vminq_s32(a, b);
}

static inline ivec i_max(ivec a, ivec b)
{
	return vmaxq_s32(a, b);
}

static inline ivec i_round(vec a)
{
	return vcvtnq_s32_f32(a);
}

static inline vec i_float(ivec a)
{
	return vcvtq_f32_s32(a);
}

static inline int32_t i_sum(ivec a)
{
	return vaddvq_s32(a);
}

static inline void i_store8(uint32_t *p, const ivec x[4], size_t n)
{
	int16x8_t low = vcombine_s16(vqmovn_s32(x[0]), vqmovn_s32(x[1])),
			  high = vcombine_s16(vqmovn_s32(x[2]), vqmovn_s32(x[3]));
	uint32x4_t bytes = vreinterpretq_u32_s8(vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
	uint32_t part[4];
	if (n >= 16) {
		vst1q_u32(p, bytes);
		return;
	}
	vst1q_u32(part, bytes);
	for (size_t i = 0; i < (n + 3) / 4; i++)
		p[i] = part[i];
}

#endif
