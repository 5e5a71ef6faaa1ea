/* What the kernel tests share: random values, guarded buffers, the instruction sets of this machine. */
#ifndef GLIP_TESTS_KERNEL_CASE_H
#define GLIP_TESTS_KERNEL_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "ops/kernels_table.h"
#include "ops/ops.h"
#include "ops/ref.h"

enum { GUARD = 80 };

/* Of struct ops, one per number of threads: the sizes of blocks follow it, the bits of a result do not. */
static const size_t cache_sizes[3] = {0, 128 * 1024, 1024 * 1024};

static const struct panels_limits no_limits = {SIZE_MAX, SIZE_MAX};

static uint32_t random_state;

static void seed_random(int argc, char **argv)
{
	random_state = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : (uint32_t)time(NULL);
	printf("seed %u\n", random_state);
}

static inline uint32_t random_bits(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state >> 8;
}

/* Uniform in [-range, range). */
static inline float random_float(float range)
{
	return ((float)random_bits() / 8388608.0F - 1) * range;
}

/* count floats with sentinels on both sides; freed by free_guarded, which checks them. */
static inline float *guarded(size_t count)
{
	float *block = malloc((count + 2 * GUARD) * sizeof(float));
	assert_non_null(block);
	for (size_t i = 0; i < count + 2 * GUARD; i++)
		block[i] = 12345;
	return block + GUARD;
}

static inline float *guarded_random(size_t count, float range)
{
	float *x = guarded(count);
	for (size_t i = 0; i < count; i++)
		x[i] = random_float(range);
	return x;
}

static inline void free_guarded(float *x, size_t count)
{
	for (size_t i = 0; i < GUARD; i++) {
		assert_true(x[-1 - (ptrdiff_t)i] == 12345.0F);
		assert_true(x[count + i] == 12345.0F);
	}
	free(x - GUARD);
}

static inline float *guarded_copy(const float *from, size_t count)
{
	float *x = guarded(count);
	for (size_t i = 0; i < count; i++)
		x[i] = from[i];
	return x;
}

/* |x - y| <= absolute + relative |y| everywhere. */
static inline void assert_close(const char *what, const char *set, const float *x, const float *y, size_t count,
                                double absolute, double relative)
{
	for (size_t i = 0; i < count; i++) {
		double difference = fabs((double)x[i] - (double)y[i]);
		if (!(difference <= absolute + relative * fabs((double)y[i])))
			fail_msg("%s (%s): value %zu is %.9g, expected %.9g", what, set, i, (double)x[i], (double)y[i]);
	}
}

/* Calls test once per instruction set this machine has, plain C included. */
static inline void for_each_set(void (*test)(const struct kernels *kernels))
{
	const uint32_t masks[] = {GLIP_CPU_SCALAR, GLIP_CPU_AVX2, GLIP_CPU_AVX512, GLIP_CPU_NEON};
	for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
		if (i == 0 || ((glip__cpu_flags() & masks[i]) && glip__kernels(masks[i])->flag == masks[i]))
			test(glip__kernels(masks[i]));
}

#endif
