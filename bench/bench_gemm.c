/* Matrix products at GLIP's shapes: the library's kernels of every instruction set, OpenBLAS, and the machine's
 * measured float32 peak, in one run. Arguments: threads, part of a shape's name, "cpu" to count CPU seconds (per core
 * then). */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "ops/kernels_table.h"
#include "ops/ops.h"

enum { REPETITIONS = 8 };

/* Wall clock, or the process's CPU time where the machine has other work. */
static clockid_t bench_clock = CLOCK_MONOTONIC;

static double seconds(void)
{
	struct timespec t;
	clock_gettime(bench_clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct shape {
	const char *name;
	int64_t m, n, k;
	int taps; /* 0: dense, 1: gathered rows, 9: gathered and, with blend, sampled */
	bool blend;
	enum activation act;
};

static const struct shape shapes[] = {
	{"3x3 convolution, dense", 13600, 256, 2304, 0, false, ACT_NONE},
	{"3x3 convolution, gathered", 13600, 256, 2304, 9, false, ACT_NONE},
	{"3x3 deformable, sampled", 13600, 256, 2304, 9, true, ACT_NONE},
	{"offset convolution", 13600, 27, 2304, 9, false, ACT_NONE},
	{"stage 3 fc2", 4096, 384, 1536, 0, false, ACT_NONE},
	{"stage 1 qkv", 13600, 288, 96, 0, false, ACT_NONE},
	{"stage 1 qkv, windows", 13600, 288, 96, 1, false, ACT_NONE},
	{"stage 1 fc1", 54400, 96, 384, 0, false, ACT_NONE},
	{"stage 1 fc1 with GELU", 54400, 384, 96, 0, false, ACT_GELU},
	{"stage 3 fc1", 3400, 1536, 384, 0, false, ACT_NONE},
	{"stage 3 fc1 with GELU", 3400, 1536, 384, 0, false, ACT_GELU},
	{"text, 256 tokens", 256, 768, 768, 0, false, ACT_NONE},
	{"text, 40 tokens", 40, 768, 768, 0, false, ACT_NONE},
	{"text, 12 tokens", 12, 3072, 768, 0, false, ACT_NONE},
};

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return p;
}

static float *random_floats(size_t count)
{
	float *x = must(malloc(count * sizeof(float)));
	uint32_t state = 1;
	for (size_t i = 0; i < count; i++) {
		state = state * 1664525u + 1013904223u;
		x[i] = (float)(state >> 8) / 16777216.0F - 0.5F;
	}
	return x;
}

/* The peak as the best rate of a product whose operands stay in the first-level cache. */
struct peak_task {
	const struct kernels *kernels;
	const float *a, *panel;
};

static void run_tiles(void *context, size_t begin, size_t end, int worker)
{
	const struct peak_task *t = context;
	float c[KERNEL_MAX_MR * KERNEL_MAX_NR];
	(void)worker;
	for (size_t i = begin; i < end; i++)
		t->kernels->gemm_tile(256, t->a, 256, t->panel, NULL, 0, c, (size_t)t->kernels->nr, t->kernels->mr,
		                      t->kernels->nr);
}

static double tile_rate(struct pool *pool, const struct kernels *kernels)
{
	float *a = random_floats(64 * 256);
	struct peak_task t = {kernels, a, a};
	double best = 0;
	for (int r = 0; r < REPETITIONS; r++) {
		double start = seconds();
		glip__pool_run(pool, run_tiles, &t, 20000, 100);
		double rate = 20000.0 * 2 * 256 * kernels->mr * kernels->nr / (seconds() - start) * 1e-9;
		best = rate > best ? rate : best;
	}
	free(a);
	return best;
}

/* GFLOP/s of the best repetition: other work on the machine only ever adds time. */
static double rate_of(struct ops *ops, const struct shape *s, enum glip_gemm provider, const struct kernels *kernels)
{
	int64_t rows = s->m, width = s->taps ? s->k / s->taps : s->k;
	float *a = random_floats((size_t)(rows * width)), *b = random_floats((size_t)(s->n * s->k));
	float *bias = random_floats((size_t)s->n), *c = must(calloc((size_t)(s->m * s->n), sizeof(float)));
	size_t points = (size_t)s->m * (size_t)(s->taps ? s->taps : 1) * (s->blend ? 4 : 1);
	int32_t *index = must(malloc(points * sizeof *index));
	float *blend = random_floats(points);
	for (size_t i = 0; i < points; i++)
		index[i] = (int32_t)((i / (s->blend ? 4 : 1) / (size_t)(s->taps ? s->taps : 1) + i % 7 * 31) % (size_t)rows);
	struct gemm g = {
		.m = s->m,
		.n = s->n,
		.k = s->k,
		.b = {b, s->n, s->k, DTYPE_F32},
		.bias = bias,
		.act = s->act,
		.c = c,
		.a = {a, width, s->taps ? index : NULL, s->taps, s->blend ? blend : NULL},
	};
	double best = 1e9;
	ops->gemm = provider;
	ops->kernels = kernels;
	for (int r = 0; r < REPETITIONS; r++) {
		double start = seconds();
		if (glip__gemm(ops, &g) != GLIP_OK)
			exit(1);
		double time = seconds() - start;
		best = time < best ? time : best;
		glip__arena_reset(ops->arena);
	}
	free(a);
	free(b);
	free(bias);
	free(c);
	free(index);
	free(blend);
	return 2e-9 * (double)s->m * (double)s->n * (double)s->k / best;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : glip__cpu_count();
	const char *only = argc > 2 ? argv[2] : "";
	if (argc > 3 && strcmp(argv[3], "cpu") == 0)
		bench_clock = CLOCK_PROCESS_CPUTIME_ID;
	struct arena arena;
	struct pool *pool;
	glip__arena_init(&arena, &glip__default_allocator);
	if (glip__pool_create(threads, &glip__default_allocator, &pool, NULL) != GLIP_OK)
		return 1;
	struct ops ops = {.pool = pool, .arena = &arena};
	const uint32_t masks[] = {GLIP_CPU_AVX512, GLIP_CPU_AVX2, GLIP_CPU_NEON};
	const struct kernels *sets[3];
	int count = 0;
	for (int i = 0; i < 3; i++)
		if ((masks[i] & glip__cpu_flags()) && glip__kernels(masks[i])->flag == masks[i])
			sets[count++] = glip__kernels(masks[i]);
	double peak = 0;
	printf("%d threads, GFLOP/s, best of %d\nproduct tile in cache:", threads, REPETITIONS);
	for (int i = 0; i < count; i++) {
		double rate = tile_rate(pool, sets[i]);
		printf("  %s %.0f", sets[i]->name, rate);
		peak = rate > peak ? rate : peak;
	}
	printf("\n%-28s %-18s %9s", "", "m, n, k", "OpenBLAS");
	for (int i = 0; i < count; i++)
		printf("  %14s", sets[i]->name);
	printf("\n");
	for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
		if (!strstr(shapes[s].name, only))
			continue;
		char size[48];
		snprintf(size, sizeof size, "%lld, %lld, %lld", (long long)shapes[s].m, (long long)shapes[s].n,
		         (long long)shapes[s].k);
		printf("%-28s %-18s", shapes[s].name, size);
		printf(" %9.1f", rate_of(&ops, &shapes[s], GLIP_GEMM_BLAS, count ? sets[0] : glip__kernels(0)));
		for (int i = 0; i < count; i++) {
			double rate = rate_of(&ops, &shapes[s], GLIP_GEMM_NATIVE, sets[i]);
			printf("  %8.1f %4.0f%%", rate, 100 * rate / peak);
		}
		printf("\n");
		fflush(stdout);
	}
	glip__pool_free(pool);
	glip__arena_free(&arena);
	return 0;
}
