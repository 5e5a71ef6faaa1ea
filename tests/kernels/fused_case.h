/* Operators that change x in place, against the plain operators they are made of, bit by bit: float32, narrow and
 * through BLAS, whatever the number of threads and the size of the cache. */
#ifndef GLIP_TESTS_FUSED_CASE_H
#define GLIP_TESTS_FUSED_CASE_H

#include "kernel_case.h"
#include "ops/narrow.h"

enum { MAX_THREADS = 3 };

static struct arena arena;

/* Kernels that read left rows sixteen at a time: they look whether there are so many before the end of what the arena
 * has given, and whether tiles are made between begin() and end(). For one thread, and an arena of one block. */
enum { ROWS_READ = 16, ONE_BLOCK = 16 << 20 };
static bool has_begun;

static void begin_reading(void)
{
	assert_false(has_begun);
	has_begun = true;
}

static void end_reading(void)
{
	assert_true(has_begun);
	has_begun = false;
}

static void read_units(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                       size_t ldc, int rows, int cols, const void *ahead)
{
	const struct narrow_kernels *reference = &glip__narrow_planes_ref;
	const struct arena_mark mark = glip__arena_mark(&arena);
	const char *end = glip__arena_alloc(&arena, 1, 1);
	glip__arena_release(&arena, mark);
	const size_t words = glip__narrow_words(reference, true, groups * (size_t)reference->group);
	assert_true(has_begun);
	assert_true((const char *)(a + (ROWS_READ - 1) * lda + words) <= end);
	for (int i = 0; i < rows; i += reference->mr)
		reference->tile(groups, a + (size_t)i * lda, lda, panel, bias, c + (size_t)i * ldc, ldc,
		                rows - i < reference->mr ? rows - i : reference->mr, cols, ahead);
}

static struct narrow_kernels reading_units(void)
{
	struct narrow_kernels narrow = glip__narrow_planes_ref;
	narrow.mr = narrow.row_unit = ROWS_READ;
	narrow.tile = read_units;
	narrow.begin = begin_reading;
	narrow.end = end_reading;
	return narrow;
}

struct way {
	enum glip_gemm gemm;
	enum glip_compute compute;
	enum precision last; /* of the last weight */
};

static const struct way ways[] = {
	{GLIP_GEMM_NATIVE, GLIP_COMPUTE_F32, PRECISION_ANY}, {GLIP_GEMM_NATIVE, GLIP_COMPUTE_I16, PRECISION_ANY},
	{GLIP_GEMM_NATIVE, GLIP_COMPUTE_I8, PRECISION_ANY},  {GLIP_GEMM_NATIVE, GLIP_COMPUTE_I8, PRECISION_FLOAT},
	{GLIP_GEMM_BLAS, GLIP_COMPUTE_F32, PRECISION_ANY},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* The operator and the plain ones. `operands` is the operator's struct; its own x counts for neither. */
struct fused {
	enum glip_status (*at_once)(struct ops *ops, const void *operands, float *x);
	void (*by_operators)(struct ops *ops, const void *operands, float *x);
};

/* The narrow kernels that go with these and one more set of instructions, where there is one. */
static const uint32_t beside_avx512[] = {GLIP_CPU_AVX512_VNNI, GLIP_CPU_AMX_INT8};
enum { BESIDE = sizeof beside_avx512 / sizeof *beside_avx512 };

static const struct narrow_kernels *narrow_beside(const struct kernels *k, enum glip_compute compute, size_t set)
{
	uint32_t more = k->flag == GLIP_CPU_AVX512 ? beside_avx512[set] : 0;
	return glip__narrow_kernels(compute, k->flag | (more & glip__cpu_flags()));
}

static void compare_narrow(const struct fused *fused, const struct kernels *k, const struct way *way,
                           const struct narrow_kernels *narrow, const void *operands, const float *x, size_t count,
                           int most_threads)
{
	for (int threads = 1; threads <= most_threads; threads++) {
		struct pool *pool;
		assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &pool, NULL), GLIP_OK);
		struct ops ops = {.kernels = k,
		                  .pool = pool,
		                  .arena = &arena,
		                  .gemm = way->gemm,
		                  .cache = cache_sizes[threads % 3],
		                  .narrow = narrow};
		float *expected = guarded_copy(x, count), *got = guarded_copy(x, count);
		fused->by_operators(&ops, operands, expected);
		double work = ops.multiply_adds;
		ops.multiply_adds = 0;
		assert_int_equal(fused->at_once(&ops, operands, got), GLIP_OK);
		assert_memory_equal(got, expected, count * sizeof *got);
		assert_true(ops.multiply_adds == work);
		free_guarded(expected, count);
		free_guarded(got, count);
		glip__pool_free(pool);
	}
}

static void compare(const struct fused *fused, const struct kernels *k, const struct way *way, const void *operands,
                    const float *x, size_t count)
{
	for (size_t set = 0; set < BESIDE; set++) {
		const struct narrow_kernels *narrow = narrow_beside(k, way->compute, set);
		if (set == 0 || narrow != narrow_beside(k, way->compute, set - 1))
			compare_narrow(fused, k, way, narrow, operands, x, count, MAX_THREADS);
	}
	if (way->compute == GLIP_COMPUTE_I16) {
		const struct narrow_kernels narrow = reading_units();
		compare_narrow(fused, k, way, &narrow, operands, x, count, 1);
		assert_false(has_begun);
	}
}

static int run_fused(int argc, char **argv, void (*test_same_bits)(void **state), void (*test_faults)(void **state))
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_faults)};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	const struct arena_mark empty = glip__arena_mark(&arena);
	if (glip__arena_alloc(&arena, 1, ONE_BLOCK) == NULL)
		return 1;
	glip__arena_release(&arena, empty);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__arena_free(&arena);
	return failed;
}

#endif
