/* The machine's limits: arithmetic on registers alone, and reading memory far larger than any cache. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "bench.h"
#include "ops/narrow.h"
#include "terminal.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define X86_LIMITS 1
#include <immintrin.h>
#else
#define X86_LIMITS 0
#endif
#if defined(__aarch64__)
#include <arm_neon.h>
#endif

/* More independent sums than latency times the instructions per cycle: ten. */
enum { SUMS = 12, STEPS = 40000, PIECES_PER_THREAD = 16, MAX_LIMITS = 12 };
/* A tile's products are this many times a vector's instruction, so their loop has as many fewer. */
enum { TILE_SHARE = 16, TILE_OPERATIONS = 2 * 16 * 16 * 64 };
static const size_t READ_BYTES = (size_t)256 << 20;

/* A loop of STEPS times SUMS instructions; the result keeps it from being dropped. */
typedef double (*limit_loop)(void);

#if X86_LIMITS
__attribute__((target("avx2,fma"))) static double loop_avx2(void)
{
	__m256 x = _mm256_set1_ps(1e-3f), sum[SUMS];
	for (int i = 0; i < SUMS; i++)
		sum[i] = _mm256_set1_ps((float)i);
	for (int n = 0; n < STEPS; n++) {
#pragma GCC unroll 16
		for (int i = 0; i < SUMS; i++)
			sum[i] = _mm256_fmadd_ps(x, x, sum[i]);
	}
	for (int i = 1; i < SUMS; i++)
		sum[0] = _mm256_add_ps(sum[0], sum[i]);
	return (double)_mm256_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f"))) static double loop_avx512(void)
{
	__m512 x = _mm512_set1_ps(1e-3f), sum[SUMS];
	for (int i = 0; i < SUMS; i++)
		sum[i] = _mm512_set1_ps((float)i);
	for (int n = 0; n < STEPS; n++) {
#pragma GCC unroll 16
		for (int i = 0; i < SUMS; i++)
			sum[i] = _mm512_fmadd_ps(x, x, sum[i]);
	}
	for (int i = 1; i < SUMS; i++)
		sum[0] = _mm512_add_ps(sum[0], sum[i]);
	return (double)_mm512_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f,avx512bf16"))) static double loop_bf16(void)
{
	__m512 sum[SUMS];
	__m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-3f), _mm512_set1_ps(1e-3f));
	for (int i = 0; i < SUMS; i++)
		sum[i] = _mm512_set1_ps((float)i);
	for (int n = 0; n < STEPS; n++) {
#pragma GCC unroll 16
		for (int i = 0; i < SUMS; i++)
			sum[i] = _mm512_dpbf16_ps(sum[i], x, x);
	}
	for (int i = 1; i < SUMS; i++)
		sum[0] = _mm512_add_ps(sum[0], sum[i]);
	return (double)_mm512_cvtss_f32(sum[0]);
}
#endif

#if defined(__aarch64__)
static double loop_neon(void)
{
	float32x4_t x = vdupq_n_f32(1e-3f), sum[SUMS];
	for (int i = 0; i < SUMS; i++)
		sum[i] = vdupq_n_f32((float)i);
	for (int n = 0; n < STEPS; n++) {
#pragma GCC unroll 16
		for (int i = 0; i < SUMS; i++)
			sum[i] = vfmaq_f32(sum[i], x, x);
	}
	for (int i = 1; i < SUMS; i++)
		sum[0] = vaddq_f32(sum[0], sum[i]);
	return (double)vgetq_lane_f32(sum[0], 0);
}
#endif

/* Integers: `text` adds products of %2 with itself to %0, by way of %1. As text, as the compiler would multiply once
 * for all sums, and does not have every intrinsic. */
#if X86_LIMITS
#define INTEGERS_STEP(text, sum, products, x) __asm__(text : "+v"(sum), "=&v"(products) : "v"(x))
#define LOOP_256(name, text) INTEGER_LOOP(name, text, "avx2", __m256i, _mm256_set1_epi32, _mm256_add_epi32, FIRST_256)
#define LOOP_512(name, text) \
	INTEGER_LOOP(name, text, "avx512f", __m512i, _mm512_set1_epi32, _mm512_add_epi32, _mm512_cvtsi512_si32)
#define FIRST_256(x) _mm_cvtsi128_si32(_mm256_castsi256_si128(x))
#elif defined(__aarch64__)
#define INTEGERS_STEP(text, sum, products, x) __asm__(text : "+w"(sum), "=&w"(products) : "w"(x))
#define LOOP_128(name, text) \
	INTEGER_LOOP(name, text, "arch=armv8.2-a+dotprod", int32x4_t, vdupq_n_s32, vaddq_s32, FIRST_128)
#define FIRST_128(x) vgetq_lane_s32(x, 0)
#endif
#define INTEGER_LOOP(name, text, isa, vector, set, add, first) \
	__attribute__((target(isa))) static double name(void) \
	{ \
		vector x = set(0x03030303), products, sum[SUMS]; \
		_Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++) sum[i] = set(i); \
		for (int n = 0; n < STEPS; n++) { \
			_Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++) INTEGERS_STEP(text, sum[i], products, x); \
		} \
		_Pragma("GCC unroll 16") for (int i = 1; i < SUMS; i++) sum[0] = add(sum[0], sum[i]); \
		return (double)first(sum[0]); \
	}

#if X86_LIMITS
LOOP_256(loop_madd, "vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0")
LOOP_256(loop_vnni_i16, "%{vex%} vpdpwssd %2, %2, %0")
LOOP_256(loop_vnni_i8, "%{vex%} vpdpbusd %2, %2, %0")
LOOP_512(loop_i16, "vpdpwssd %2, %2, %0")
LOOP_512(loop_i8, "vpdpbusd %2, %2, %0")

/* On the matrix unit, whose speed depends on the values: zeros would be faster. */
static double loop_amx(void)
{
	static const uint8_t values[64] = {3,  5,  7,  11, 13, 17, 19, 23, 29, 31, 37,
	                                   41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83};
	int32_t first[16 * 16];
	glip__narrow_i8_amx.begin();
	/* All rows of a register are the same. */
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm4\n\ttileloadd (%0,%1,1), %%tmm5\n\t"
	                 "tileloadd (%0,%1,1), %%tmm6\n\ttileloadd (%0,%1,1), %%tmm7"
	                 :
	                 : "r"(values), "r"((size_t)0)
	                 : "memory");
	for (int n = 0; n < STEPS / TILE_SHARE * SUMS / 4; n++)
		__asm__ volatile("tdpbusd %%tmm6, %%tmm4, %%tmm0\n\ttdpbusd %%tmm7, %%tmm4, %%tmm1\n\t"
		                 "tdpbusd %%tmm6, %%tmm5, %%tmm2\n\ttdpbusd %%tmm7, %%tmm5, %%tmm3" ::);
	__asm__ volatile("tilestored %%tmm0, (%0,%1,1)" : : "r"(first), "r"((size_t)64) : "memory");
	glip__narrow_i8_amx.end();
	return (double)first[0];
}
#elif defined(__aarch64__)
LOOP_128(loop_sdot, "sdot %0.4s, %2.16b, %2.16b")
#endif

struct limit {
	const char *name;
	limit_loop loop;
	int operations; /* per instruction */
	enum glip_compute compute;
};

struct loop_task {
	limit_loop loop;
	volatile double *results; /* [pieces] */
};

static void run_loops(void *context, size_t begin, size_t end, int worker)
{
	const struct loop_task *t = context;
	(void)worker;
	for (size_t i = begin; i < end; i++)
		t->results[i] = t->loop();
}

struct read_task {
	const uint64_t *data;
	volatile uint64_t *sums; /* [pieces] */
	size_t grain;
};

static void read_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct read_task *t = context;
	uint64_t a = 0, b = 0, c = 0, d = 0;
	(void)worker;
	for (size_t i = begin; i + 4 <= end; i += 4) {
		a += t->data[i];
		b += t->data[i + 1];
		c += t->data[i + 2];
		d += t->data[i + 3];
	}
	t->sums[begin / t->grain] = a + b + c + d;
}

static const struct bench_column COLUMNS[] = {
	{"median", "median", 1},
	{"least", "least", 1},
	{"most", "most", 1},
	{NULL, NULL, 0},
};

/* `work` of a run, in 1e9, over its seconds. Returns the median. */
static double put_rates(struct bench_report *r, const char *name, struct bench_samples *s, double work)
{
	double values[] = {work / bench_median(s), work / bench_most(s), work / bench_least(s)};
	bench_row(r, name, values);
	return values[0];
}

static double measure_loop(struct bench_report *r, const struct bench_settings *s, struct pool *pool,
                           const struct limit *limit, volatile double *results)
{
	size_t pieces = (size_t)s->threads * PIECES_PER_THREAD;
	struct loop_task task = {limit->loop, results};
	struct bench_samples samples = {0};
	for (double end = now_seconds() + BENCH_WARM_UP; now_seconds() < end;)
		glip__pool_run(pool, run_loops, &task, pieces, 1);
	for (int i = 0; i < s->repeat; i++) {
		double start = now_seconds();
		glip__pool_run(pool, run_loops, &task, pieces, 1);
		bench_sample(&samples, now_seconds() - start);
	}
	return put_rates(r, limit->name, &samples, 1e-9 * (double)pieces * STEPS * SUMS * limit->operations);
}

static bool measure_read(struct bench_report *r, const struct bench_settings *s, struct pool *pool, double *out)
{
	size_t count = READ_BYTES / sizeof(uint64_t), grain = (size_t)128 << 10;
	uint64_t *data = malloc(READ_BYTES), *sums = malloc((count / grain + 1) * sizeof *sums);
	struct bench_samples samples = {0};
	if (data == NULL || sums == NULL) {
		say("out of memory");
	} else {
		for (size_t i = 0; i < count; i++)
			data[i] = i;
		struct read_task task = {data, sums, grain};
		for (int i = -1; i < s->repeat; i++) {
			double start = now_seconds();
			glip__pool_run(pool, read_pieces, &task, count, grain);
			if (i >= 0)
				bench_sample(&samples, now_seconds() - start);
		}
		*out = put_rates(r, "memory, read (GB/s)", &samples, 1e-9 * (double)READ_BYTES);
	}
	bool good = data != NULL && sums != NULL;
	free(data);
	free(sums);
	return good;
}

static int find_limits(struct limit list[MAX_LIMITS])
{
	int count = 0;
#if X86_LIMITS
	if (glip__cpu_flags() & GLIP_CPU_AVX2)
		list[count++] = (struct limit){"float32 multiply-add, AVX2", loop_avx2, 16, GLIP_COMPUTE_F32};
	/* Where nothing better serves both kinds of integers. */
	if (glip__narrow_kernels(GLIP_COMPUTE_I8, glip__cpu_flags()) == &glip__narrow_i8_avx2) {
		list[count++] = (struct limit){"int16 VPMADDWD and VPADDD", loop_madd, 32, GLIP_COMPUTE_I16};
		list[count++] = (struct limit){"int8, the same", loop_madd, 32, GLIP_COMPUTE_I8};
	}
	if (glip__cpu_flags() & GLIP_CPU_AVX_VNNI) {
		list[count++] = (struct limit){"int16 VPDPWSSD, AVX-VNNI", loop_vnni_i16, 32, GLIP_COMPUTE_I16};
		list[count++] = (struct limit){"int8 VPDPBUSD, AVX-VNNI", loop_vnni_i8, 64, GLIP_COMPUTE_I8};
	}
	if (glip__cpu_flags() & GLIP_CPU_AVX512) {
		list[count++] = (struct limit){"float32 multiply-add, AVX-512", loop_avx512, 32, GLIP_COMPUTE_F32};
		if (__builtin_cpu_supports("avx512bf16"))
			list[count++] = (struct limit){"bf16 VDPBF16PS", loop_bf16, 64, GLIP_COMPUTE_BF16};
		if (__builtin_cpu_supports("avx512vnni")) {
			list[count++] = (struct limit){"int16 VPDPWSSD", loop_i16, 64, GLIP_COMPUTE_I16};
			list[count++] = (struct limit){"int8 VPDPBUSD", loop_i8, 128, GLIP_COMPUTE_I8};
		}
		if (glip__cpu_flags() & GLIP_CPU_AMX_INT8) {
			const int operations = TILE_OPERATIONS / TILE_SHARE;
			/* Of the four products of two bytes each the least is left out. */
			list[count++] = (struct limit){"int16 as three TDPBSSD", loop_amx, operations / 3, GLIP_COMPUTE_I16};
			list[count++] = (struct limit){"int8 TDPBUSD", loop_amx, operations, GLIP_COMPUTE_I8};
		}
	}
#elif defined(__aarch64__)
	list[count++] = (struct limit){"float32 multiply-add, NEON", loop_neon, 8, GLIP_COMPUTE_F32};
	if (glip__cpu_flags() & GLIP_CPU_NEON_DOTPROD)
		list[count++] = (struct limit){"int8 SDOT", loop_sdot, 32, GLIP_COMPUTE_I8};
#else
	(void)list;
#endif
	return count;
}

bool bench_limits(struct bench_report *r, const struct bench_settings *s, struct bench_limits *out)
{
	struct limit list[MAX_LIMITS];
	struct pool *pool;
	struct glip_error err;
	int count = find_limits(list);
	volatile double *results = calloc((size_t)s->threads * PIECES_PER_THREAD, sizeof *results);

	*out = (struct bench_limits){0};
	if (results == NULL || glip__pool_create(s->threads, &glip__default_allocator, &pool, &err) != GLIP_OK) {
		say("%s", results == NULL ? "out of memory" : err.message);
		free((void *)(uintptr_t)results);
		return false;
	}
	bench_table(r, "limits", "machine (1e9 operations/s)", COLUMNS);
	for (int i = 0; i < count; i++) {
		double *figure = &out->compute[list[i].compute];
		*figure = fmax(*figure, measure_loop(r, s, pool, &list[i], results));
	}
	out->compute[GLIP_COMPUTE_AUTO] = out->compute[GLIP_COMPUTE_F32];
	bool good = measure_read(r, s, pool, &out->read);
	glip__pool_free(pool);
	free((void *)(uintptr_t)results);
	return good;
}
