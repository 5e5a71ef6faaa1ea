#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* syscall */
#endif
#include "base/cpu.h"

#include <stdbool.h>
#include <unistd.h>

#include "glip.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

enum { USUAL_CACHE = 512 * 1024, LEAST_CACHE = 128 * 1024, MOST_CACHE = 2 * 1024 * 1024 };

#if defined(__x86_64__) && defined(__GNUC__)
/* Not every compiler that __builtin_cpu_supports() comes with knows the name. */
static bool has_avx_vnni(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4) != 0;
}

/* Tiles of 16 rows of 64 bytes, with the process' right to use them. */
static bool has_amx_int8(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
	const unsigned tile = 1u << 24, int8 = 1u << 25, palette = 1;
	const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, the component it is about */
	unsigned a, b, c, d;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (tile | int8)) != (tile | int8))
		return false;
	if (!__get_cpuid_count(0x1d, palette, &a, &b, &c, &d) || b != (8u << 16 | 64) || (c & 0xffff) != 16)
		return false;
	/* Where the system does not know the registers the request fails, so that it need not be asked about them. It is
	 * for all threads of the process, and asking again changes nothing. */
	return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
	return false;
#endif
}
#elif defined(__aarch64__)
static bool has_dotprod(void)
{
#if defined(__ARM_FEATURE_DOTPROD)
	return true;
#elif defined(__linux__)
	const unsigned long asimddp = 1ul << 20; /* HWCAP_ASIMDDP, which old headers lack */
	return (getauxval(AT_HWCAP) & asimddp) != 0;
#else
	return false;
#endif
}
#endif

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
	/* Its kernels finish their sums with VNNI's instructions. */
	if ((flags & GLIP_CPU_AVX512_VNNI) != 0 && has_amx_int8())
		flags |= GLIP_CPU_AMX_INT8;
	if ((flags & GLIP_CPU_AVX2) != 0 && has_avx_vnni())
		flags |= GLIP_CPU_AVX_VNNI;
#elif defined(__aarch64__)
	flags |= GLIP_CPU_NEON; /* part of the base architecture */
	if (has_dotprod())
		flags |= GLIP_CPU_NEON_DOTPROD;
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
