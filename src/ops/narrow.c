/* Where narrow kernels are chosen: the first of a precision whose instructions may be used. For bfloat16, 16-bit
 * integers do, and better: over ten times as exact and, where there are both, a few percent slower at most. Its own
 * instruction is for processors that have it alone. */
#include "ops/narrow.h"

static const struct {
	uint32_t flag;
	const struct narrow_kernels *kernels; /* NULL: of no precision, the rest of the list is slower than float32 */
} choices[] = {
#if defined(__x86_64__)
	{GLIP_CPU_AMX_INT8, &glip__narrow_i8_amx},
	{GLIP_CPU_AMX_INT8, &glip__narrow_i16_amx},
	{GLIP_CPU_AVX512_BF16, &glip__narrow_bf16_avx512},
	{GLIP_CPU_AVX512_VNNI, &glip__narrow_i8_avx512},
	{GLIP_CPU_AVX512_VNNI, &glip__narrow_i16_avx512},
	{GLIP_CPU_AVX_VNNI, &glip__narrow_i8_avxvnni},
	{GLIP_CPU_AVX_VNNI, &glip__narrow_i16_avxvnni},
	{GLIP_CPU_AVX512, NULL},
	{GLIP_CPU_AVX2, &glip__narrow_i8_avx2},
	{GLIP_CPU_AVX2, &glip__narrow_i16_avx2},
#elif defined(__aarch64__)
	/* NEON multiplies as many 16-bit integers as floats at a time. */
	{GLIP_CPU_NEON_DOTPROD, &glip__narrow_i8_dotprod},
#endif
	{UINT32_MAX, NULL},
};

static const struct narrow_kernels *first_of(enum glip_compute compute, uint32_t cpu_mask)
{
	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
		const struct narrow_kernels *kernels = choices[i].kernels;
		if ((cpu_mask & choices[i].flag) != 0 && (!kernels || kernels->compute == compute))
			return kernels;
	}
	return NULL;
}

const struct narrow_kernels *glip__narrow_kernels(enum glip_compute compute, uint32_t cpu_mask)
{
	const struct narrow_kernels *integers = compute == GLIP_COMPUTE_BF16 ? first_of(GLIP_COMPUTE_I16, cpu_mask) : NULL;
	return integers ? integers : first_of(compute, cpu_mask);
}
