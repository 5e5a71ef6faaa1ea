#include "ops/kernels_table.h"

const struct kernels *glip__kernels(uint32_t cpu_mask)
{
#if defined(__x86_64__)
	if (cpu_mask & GLIP_CPU_AVX512)
		return &glip__kernels_avx512;
	if (cpu_mask & GLIP_CPU_AVX2)
		return &glip__kernels_avx2;
#elif defined(__aarch64__)
	if (cpu_mask & GLIP_CPU_NEON)
		return &glip__kernels_neon;
#endif
	(void)cpu_mask;
	return &glip__kernels_ref;
}
