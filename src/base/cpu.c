#include "base/cpu.h"

#include <unistd.h>

#include "glip.h"

enum { USUAL_CACHE = 512 * 1024, LEAST_CACHE = 128 * 1024, MOST_CACHE = 2 * 1024 * 1024 };

uint32_t glip__cpu_flags(void)
{
	uint32_t flags = GLIP_CPU_SCALAR;
#if defined(__x86_64__) && defined(__GNUC__)
	/* The compiler's run-time also asks the operating system whether it saves the wide registers. */
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		flags |= GLIP_CPU_AVX2;
	if ((flags & GLIP_CPU_AVX2) != 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		flags |= GLIP_CPU_AVX512;
	if ((flags & GLIP_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512bf16"))
		flags |= GLIP_CPU_AVX512_BF16;
	if ((flags & GLIP_CPU_AVX512) != 0 && __builtin_cpu_supports("avx512vnni"))
		flags |= GLIP_CPU_AVX512_VNNI;
#elif defined(__aarch64__)
	flags |= GLIP_CPU_NEON; /* part of the base architecture */
#endif
	return flags;
}

size_t glip__cpu_cache(void)
{
	long bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
	bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
	if (bytes <= 0)
		return USUAL_CACHE;
	/* Some report the cache of several cores together. */
	return bytes < LEAST_CACHE ? LEAST_CACHE : bytes > MOST_CACHE ? MOST_CACHE : (size_t)bytes;
}
