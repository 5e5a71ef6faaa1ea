#include <cblas.h>
#include <math.h>
#include <stdio.h>

#include "base/cpu.h"
#include "bench.h"
#include "ops/ops.h"
#include "terminal.h"

struct shape {
	const char *name;
	int64_t m, n, k;
	int taps;   /* 0: dense; 1, 9: gathered rows */
	bool blend; /* bilinear samples */
	enum activation act;
};

/* GLIP-T at 800 x 1088 with 12 tokens. */
static const struct shape SHAPES[] = {
	{"3x3 convolution, dense", 13600, 256, 2304, 0, false, ACT_NONE},
	{"3x3 convolution, gathered", 13600, 256, 2304, 9, false, ACT_NONE},
	{"3x3 deformable, sampled", 13600, 256, 2304, 9, true, ACT_NONE},
	{"offset convolution", 13600, 27, 2304, 9, false, ACT_NONE},
	{"stage 3 down", 4096, 384, 1536, 0, false, ACT_NONE},
	{"stage 1 qkv", 13600, 288, 96, 0, false, ACT_NONE},
	{"stage 1 qkv, windows", 13600, 288, 96, 1, false, ACT_NONE},
	{"stage 1 down", 54400, 96, 384, 0, false, ACT_NONE},
	{"stage 1 up, GELU", 54400, 384, 96, 0, false, ACT_GELU},
	{"stage 3 up", 3400, 1536, 384, 0, false, ACT_NONE},
	{"stage 3 up, GELU", 3400, 1536, 384, 0, false, ACT_GELU},
	{"fusion scores", 18134, 96, 256, 0, false, ACT_NONE},
	{"text, 256 tokens", 256, 768, 768, 0, false, ACT_NONE},
	{"text, 12 tokens", 12, 3072, 768, 0, false, ACT_NONE},
};
enum { SHAPE_COUNT = sizeof SHAPES / sizeof *SHAPES };

struct operands {
	float *a, *b, *bias, *c, *blend;
	int32_t *index;
};

static float *random_floats(struct arena *arena, size_t count)
{
	float *x = glip__arena_alloc(arena, count, sizeof *x);
	uint32_t state = 1;
	for (size_t i = 0; x != NULL && i < count; i++) {
		state = state * 1664525u + 1013904223u;
		x[i] = (float)(state >> 8) / 16777216.0f - 0.5f;
	}
	return x;
}

/* In the kind of memory that a session has. */
static bool make_operands(const struct shape *s, struct arena *arena, struct operands *o)
{
	size_t taps = (size_t)(s->taps > 0 ? s->taps : 1), rows = (size_t)s->m, corners = s->blend ? 4 : 1;
	size_t points = rows * taps * corners;
	*o = (struct operands){
		.a = random_floats(arena, rows * (size_t)s->k / taps),
		.b = random_floats(arena, (size_t)(s->n * s->k)),
		.bias = random_floats(arena, (size_t)s->n),
		.c = random_floats(arena, rows * (size_t)s->n),
		.blend = random_floats(arena, points),
		.index = glip__arena_alloc(arena, points, sizeof(int32_t)),
	};
	if (o->a == NULL || o->b == NULL || o->bias == NULL || o->c == NULL || o->blend == NULL || o->index == NULL) {
		say("out of memory");
		return false;
	}
	/* Each row reads neighbours a little apart, as a convolution does. */
	for (size_t i = 0; i < points; i++)
		o->index[i] = (int32_t)((i / corners / taps + i % 7 * 31) % rows);
	return true;
}

static bool measure(struct ops *ops, const struct shape *s, const struct operands *o, enum glip_gemm provider,
                    int repeat, struct bench_samples *out)
{
	int64_t width = s->taps > 0 ? s->k / s->taps : s->k;
	struct gemm g = {
		.m = s->m,
		.n = s->n,
		.k = s->k,
		.b = {.data = o->b, .rows = s->n, .cols = s->k, .lasting = true},
		.bias = o->bias,
		.act = s->act,
		.c = o->c,
		.a = {o->a, width, s->taps > 0 ? o->index : NULL, s->taps, s->blend ? o->blend : NULL},
	};
	ops->gemm = provider;
	*out = (struct bench_samples){0};
	for (double end = now_seconds() + BENCH_WARM_UP; now_seconds() < end || out->count < repeat;) {
		double start = now_seconds();
		if (glip__gemm(ops, &g) != GLIP_OK) {
			say("%s", ops->err->message);
			return false;
		}
		if (start >= end)
			bench_sample(out, now_seconds() - start);
		glip__arena_reset(ops->arena);
	}
	return true;
}

static bool measure_shape(struct bench_report *r, struct ops *ops, const struct shape *s, int repeat, double peak)
{
	static const struct panels_limits all = {SIZE_MAX, SIZE_MAX};
	struct operands o;
	struct bench_samples own, blas = {0};
	double work = 2e-9 * (double)s->m * (double)s->n * (double)s->k;
	char name[96];
	struct arena arena;

	glip__arena_init(&arena, &glip__default_allocator);
	bool good = make_operands(s, &arena, &o) &&
	            glip__panels_create(&glip__default_allocator, &all, &ops->panels, ops->err) == GLIP_OK &&
	            measure(ops, s, &o, GLIP_GEMM_NATIVE, repeat, &own) &&
	            (ops->narrow != NULL || measure(ops, s, &o, GLIP_GEMM_BLAS, repeat, &blas));
	glip__panels_free(ops->panels);
	ops->panels = NULL;
	glip__arena_free(&arena);
	if (!good)
		return false;
	snprintf(name, sizeof name, "%-25s %lld %lld %lld", s->name, (long long)s->m, (long long)s->n, (long long)s->k);
	double rate = work / bench_median(&own), other = blas.count > 0 ? work / bench_median(&blas) : (double)NAN;
	double values[] = {rate,
	                   work / bench_most(&own),
	                   work / bench_least(&own),
	                   peak > 0 ? 100 * rate / peak : (double)NAN,
	                   other,
	                   rate / other};
	bench_row(r, name, values);
	return true;
}

static bool measure_shapes(struct bench_report *r, struct ops *ops, enum glip_compute compute, int repeat, double peak)
{
	static const struct bench_column columns[] = {
		{"gflops", "median", 1},
		{"least", "least", 1},
		{"most", "most", 1},
		{"percent_of_peak", "% of peak", 1},
		{"openblas_gflops", "OpenBLAS", 1},
		{"over_openblas", "ratio", 2},
		{NULL, NULL, 0},
	};
	static const struct {
		const char *part, *title;
	} tables[BENCH_COMPUTES] = {
		[GLIP_COMPUTE_F32] = {"products", "float32 products, weights packed before (GFLOP/s)"},
		[GLIP_COMPUTE_BF16] = {"products_bf16", "bf16 products (VDPBF16PS), weights packed before (GFLOP/s)"},
		[GLIP_COMPUTE_I8] = {"products_i8", "int8 products, weights packed before (GOP/s)"},
		[GLIP_COMPUTE_I16] = {"products_i16", "int16 products, weights packed before (GOP/s)"},
	};
	bool good = true;

	/* bfloat16's own kernels, although a pass would take integers. */
	const uint32_t wanted = compute == GLIP_COMPUTE_BF16 ? GLIP_CPU_AVX512_BF16 : UINT32_MAX;
	ops->narrow = glip__narrow_kernels(compute, glip__cpu_flags() & wanted);
	if (compute != GLIP_COMPUTE_F32 && (ops->narrow == NULL || ops->narrow->compute != compute))
		return true;
	bench_table(r, tables[compute].part, tables[compute].title, columns);
	for (int i = 0; i < SHAPE_COUNT && good; i++)
		good = measure_shape(r, ops, &SHAPES[i], repeat, peak);
	return good;
}

bool bench_products(struct bench_report *r, const struct bench_settings *s, const struct bench_limits *limits)
{
	struct glip_error err = {0};
	struct arena arena;
	struct pool *pool;
	bool good = true;

	if (glip__pool_create(s->threads, &glip__default_allocator, &pool, &err) != GLIP_OK) {
		say("%s", err.message);
		return false;
	}
	openblas_set_num_threads(s->threads);
	glip__arena_init(&arena, &glip__default_allocator);
	struct ops ops = {.kernels = glip__kernels(glip__cpu_flags()), .pool = pool, .arena = &arena, .err = &err};
	for (int k = GLIP_COMPUTE_F32; k < BENCH_COMPUTES && good; k++)
		if (s->compute == GLIP_COMPUTE_AUTO || s->compute == k)
			good = measure_shapes(r, &ops, (enum glip_compute)k, s->repeat, limits->compute[k]);
	glip__arena_free(&arena);
	glip__pool_free(pool);
	return good;
}
