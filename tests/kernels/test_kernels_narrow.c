/* Products on bfloat16, 16-bit and 8-bit integers against sums in double of narrowed rows. */
#include "product_case.h"

static struct arena arena;

static const struct sizes sizes[] = {
	{49, 1, 1},     {61, 33, 5},    {49, 49, 32},   {50, 31, 129}, {97, 12, 72},
	{100, 288, 96}, {130, 27, 288}, {60, 40, 1024}, {600, 70, 18}, {50, 20, 257},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void products(const struct narrow_kernels *narrow)
{
	struct pool *pool[3];
	for (int t = 0; t < 3; t++)
		assert_int_equal(glip__pool_create(t + 1, &glip__default_allocator, &pool[t], NULL), GLIP_OK);
	for (int s = 0; s < SIZES * FEATURES * OPTIONS; s++) {
		enum feature feature = s / OPTIONS % FEATURES;
		struct product_case p = make_case(sizes[s / OPTIONS / FEATURES], feature, s % OPTIONS);
		if (p.g.b_rows_are_k && !narrow->right_columns) { /* made in float32 */
			free_case(&p);
			continue;
		}
		float *before = guarded_copy(p.c, p.c_count), *first = NULL;
		expect(&p, reference_of(narrow));
		/* A blended value that differs in its last bit may be rounded to its other neighbour: allowed for a few. */
		double flips = feature == BLEND ? (narrow->compute == GLIP_COMPUTE_I8 ? 0.1 : 0.03) : 0;
		for (int t = 0; t < 3; t++) {
			struct glip_error err = {0};
			struct ops ops = {
				.kernels = glip__kernels(glip__cpu_flags()),
				.pool = pool[t],
				.arena = &arena,
				.narrow = narrow,
				.cache = cache_sizes[t],
				.err = &err,
			};
			ops.gemm = GLIP_GEMM_NATIVE;
			memcpy(p.c, before, p.c_count * sizeof(float));
			if (glip__gemm(&ops, &p.g) != GLIP_OK)
				fail_msg("%s", err.message);
			assert_close("narrow product", narrow->name, p.c, p.expected, p.c_count, sum_error((double)p.g.k) + flips,
			             1e-6);
			check_sums(&p, true);
			if (first)
				assert_memory_equal(first, p.c, p.c_count * sizeof(float));
			else
				first = guarded_copy(p.c, p.c_count);
		}
		assert_int_equal(arena.used, 0);
		free_guarded(first, p.c_count);
		free_guarded(before, p.c_count);
		free_case(&p);
	}
	for (int t = 0; t < 3; t++)
		glip__pool_free(pool[t]);
}

static void test_products(void **state)
{
	(void)state;
	for_each_narrow(products);
}

/* Which kernels a product is made with. */
static void test_precision(void **state)
{
	(void)state;
	static const struct {
		struct sizes sizes;
		enum precision precision;
		bool lasting, panels, has_16;
		enum glip_compute made_with;
	} cases[] = {
		{{97, 33, 129}, PRECISION_ANY, false, false, true, GLIP_COMPUTE_I8},
		{{97, 33, 129}, PRECISION_16_BITS, false, false, true, GLIP_COMPUTE_I16},
		{{97, 33, 129}, PRECISION_16_BITS, false, false, false, GLIP_COMPUTE_F32},
		{{97, 33, 129}, PRECISION_FLOAT, false, false, true, GLIP_COMPUTE_F32},
		/* Few rows of weights that are small or not kept. */
		{{12, 33, 129}, PRECISION_ANY, false, false, true, GLIP_COMPUTE_F32},
		{{12, 33, 129}, PRECISION_ANY, true, true, true, GLIP_COMPUTE_F32},
		{{12, 600, 512}, PRECISION_ANY, false, true, true, GLIP_COMPUTE_F32},
		{{12, 600, 512}, PRECISION_ANY, true, false, true, GLIP_COMPUTE_F32},
		{{12, 600, 512}, PRECISION_ANY, true, true, true, GLIP_COMPUTE_I8},
		{{12, 600, 512}, PRECISION_16_BITS, true, true, true, GLIP_COMPUTE_F32},
		{{12, 600, 512}, PRECISION_FLOAT, true, true, true, GLIP_COMPUTE_F32},
	};
	struct pool *pool;
	assert_int_equal(glip__pool_create(1, &glip__default_allocator, &pool, NULL), GLIP_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct product_case p = make_case(cases[i].sizes, DENSE, 0);
		struct panels *panels;
		assert_int_equal(glip__panels_create(&glip__default_allocator, &no_limits, &panels, NULL), GLIP_OK);
		struct ops ops = {
			.kernels = glip__kernels(glip__cpu_flags()),
			.pool = pool,
			.arena = &arena,
			.narrow = &glip__narrow_i8_ref,
			.narrow_16 = cases[i].has_16 ? &glip__narrow_i16_ref : NULL,
			.panels = cases[i].panels ? panels : NULL,
			.gemm = GLIP_GEMM_NATIVE,
		};
		const struct narrow_kernels *narrow = cases[i].made_with == GLIP_COMPUTE_I8    ? ops.narrow
		                                      : cases[i].made_with == GLIP_COMPUTE_I16 ? ops.narrow_16
		                                                                               : NULL;
		p.g.b.precision = cases[i].precision;
		p.g.b.lasting = cases[i].lasting;
		expect(&p, narrow);
		assert_int_equal(glip__gemm(&ops, &p.g), GLIP_OK);
		assert_close("precision", narrow ? narrow->name : "float32", p.c, p.expected, p.c_count,
		             sum_error((double)p.g.k), 1e-6);
		free_case(&p);
		glip__panels_free(panels);
	}
	glip__pool_free(pool);
}

/* The longest rows that narrow kernels take, where sums of integers are as large as they can be, and longer ones. */
static void long_rows(const struct narrow_kernels *narrow)
{
	enum { M = 49, MOST = NARROW_MAX_K + 1 };
	float *left = guarded(MOST * M), *ones = guarded(MOST), *c = guarded(M);
	struct pool *pool;
	assert_int_equal(glip__pool_create(1, &glip__default_allocator, &pool, NULL), GLIP_OK);
	struct ops ops = {.kernels = glip__kernels(glip__cpu_flags()), .pool = pool, .arena = &arena, .narrow = narrow};
	ops.gemm = GLIP_GEMM_NATIVE;
	for (size_t i = 0; i < MOST; i++)
		ones[i] = 1;
	for (int sign = -1; sign <= 1; sign += 2) {
		for (size_t i = 0; i < (size_t)MOST * M; i++)
			left[i] = (float)sign;
		for (int64_t k = NARROW_MAX_K; k <= MOST; k++) {
			const struct gemm g = {
				.m = M, .n = 1, .k = k, .a = {.data = left}, .b = {.data = ones, .rows = 1, .cols = k}, .c = c};
			const float sum = (float)(sign * k);
			assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
			for (int i = 0; i < M; i++)
				assert_true(k < MOST ? fabsf(c[i] / sum - 1) < 1e-3F : c[i] == sum);
		}
	}
	glip__pool_free(pool);
	free_guarded(left, MOST * M);
	free_guarded(ones, MOST);
	free_guarded(c, M);
}

static void test_long_rows(void **state)
{
	(void)state;
	for_each_narrow(long_rows);
}

static void multiply(struct ops *ops, const struct product_case *p)
{
	struct glip_error err = {0};
	ops->err = &err;
	if (glip__gemm(ops, &p->g) != GLIP_OK)
		fail_msg("%s", err.message);
}

/* Weights are packed at their first use, once for each kind of kernel; what does not last is packed every time. Few
 * rows read kept panels where the weights are many. */
static void test_kept(void **state)
{
	(void)state;
	struct pool *pool;
	struct glip_error err;
	const struct narrow_kernels *sets[] = {&glip__narrow_i8_ref,
	                                       glip__narrow_kernels(GLIP_COMPUTE_I8, glip__cpu_flags())};
	assert_int_equal(glip__pool_create(2, &glip__default_allocator, &pool, &err), GLIP_OK);
	for (int round = 0; round < 8; round++) {
		const struct narrow_kernels *narrow = sets[round / 4];
		bool lasting = round % 2;
		if (!narrow)
			break;
		struct ops ops = {
			.kernels = glip__kernels(glip__cpu_flags()),
			.pool = pool,
			.arena = &arena,
			.narrow = narrow,
			.gemm = GLIP_GEMM_NATIVE,
		};
		assert_int_equal(glip__panels_create(&glip__default_allocator, &no_limits, &ops.panels, &err), GLIP_OK);
		struct product_case p =
			make_case(round % 4 < 2 ? (struct sizes){61, 40, 72} : (struct sizes){12, 600, 512}, DENSE, 0);
		struct product_case half = p;
		p.g.b.lasting = half.g.b.lasting = lasting;
		half.g.n = half.g.b.rows = 20;
		half.g.ldc = p.g.n;
		multiply(&ops, &p);
		float *first = guarded_copy(p.c, p.c_count);
		memset(p.b, 0, p.b_count * sizeof *p.b);
		multiply(&ops, &p);
		assert_true(lasting == (memcmp(first, p.c, p.c_count * sizeof *p.c) == 0));
		/* Other kernels, and another part of the same matrix, are other panels. */
		ops.narrow = &glip__narrow_bf16_ref;
		multiply(&ops, &p);
		assert_float_equal(p.c[0], 0, 0);
		ops.narrow = narrow;
		memcpy(p.c, first, p.c_count * sizeof *p.c);
		multiply(&ops, &half);
		assert_float_equal(p.c[0], 0, 0);
		assert_float_equal(p.c[half.g.n], first[half.g.n], 0);
		glip__panels_free(ops.panels);
		free_guarded(first, p.c_count);
		free_case(&p);
	}
	glip__pool_free(pool);
}

/* A square weight's panels are not those of the same values read as [k, n]. */
static void test_kept_both_ways(void **state)
{
	enum { SIDE = 72 };
	struct pool *pool;
	struct glip_error err;
	(void)state;
	assert_int_equal(glip__pool_create(2, &glip__default_allocator, &pool, &err), GLIP_OK);
	struct ops ops = {
		.kernels = glip__kernels(glip__cpu_flags()),
		.pool = pool,
		.arena = &arena,
		.narrow = &glip__narrow_i16_ref,
		.gemm = GLIP_GEMM_NATIVE,
	};
	assert_int_equal(glip__panels_create(&glip__default_allocator, &no_limits, &ops.panels, &err), GLIP_OK);
	struct product_case p = make_case((struct sizes){61, SIDE, SIDE}, DENSE, 0);
	p.g.b.lasting = true;
	for (int round = 0; round < 4; round++) {
		p.g.b_rows_are_k = round % 2;
		expect(&p, ops.narrow);
		multiply(&ops, &p);
		assert_close("kept panels", round % 2 ? "[k, n]" : "[n, k]", p.c, p.expected, p.c_count, sum_error(SIDE), 1e-6);
	}
	free_case(&p);
	glip__panels_free(ops.panels);
	glip__pool_free(pool);
}

/* A pass that is given up while it packs leaves nothing behind that another would use. */
static void test_given_up(void **state)
{
	(void)state;
	struct pool *pool;
	struct glip_error err;
	bool asked = false;
	assert_int_equal(glip__pool_create(1, &glip__default_allocator, &pool, &err), GLIP_OK);
	struct ops ops = {
		.kernels = glip__kernels(glip__cpu_flags()),
		.pool = pool,
		.arena = &arena,
		.narrow = &glip__narrow_i8_ref,
		.gemm = GLIP_GEMM_NATIVE,
		.err = &err,
	};
	struct product_case p = make_case((struct sizes){61, 40, 72}, DENSE, 0);
	p.g.b.lasting = true;
	expect(&p, ops.narrow);
	assert_int_equal(glip__panels_create(&glip__default_allocator, &no_limits, &ops.panels, &err), GLIP_OK);
	/* The operator begins, the pool leaves panels undone, and only then the operator asks again. */
	glip__pool_set_stop(pool, gives_up, NULL);
	ops.cancelled = gives_up_later;
	ops.cancel_user = &asked;
	assert_int_equal(glip__gemm(&ops, &p.g), GLIP_ERR_CANCELLED);
	glip__pool_set_stop(pool, NULL, NULL);
	ops.cancelled = NULL;
	multiply(&ops, &p);
	assert_close("after", "scalar", p.c, p.expected, p.c_count, sum_error(72), 1e-6);
	assert_int_equal(arena.used, 0);
	glip__panels_free(ops.panels);
	glip__pool_free(pool);
	free_case(&p);
}

/* A machine without the instructions computes in a better precision, at worst in float32. */
static void test_choice(void **state)
{
	(void)state;
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_BF16, GLIP_CPU_SCALAR | GLIP_CPU_AVX2 | GLIP_CPU_AVX512));
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_I8, GLIP_CPU_AVX512 | GLIP_CPU_AVX512_BF16));
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_I16, GLIP_CPU_AVX512 | GLIP_CPU_AVX512_BF16));
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_I16, GLIP_CPU_NEON | GLIP_CPU_NEON_DOTPROD));
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_I8, GLIP_CPU_SCALAR | GLIP_CPU_NEON));
#if defined(__x86_64__)
	const uint32_t avx2 = GLIP_CPU_SCALAR | GLIP_CPU_AVX2, vnni = avx2 | GLIP_CPU_AVX_VNNI;
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_I8, avx2), &glip__narrow_i8_avx2);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_I16, avx2), &glip__narrow_i16_avx2);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_I8, vnni), &glip__narrow_i8_avxvnni);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_I16, vnni), &glip__narrow_i16_avxvnni);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_I8, ~(uint32_t)GLIP_CPU_AMX_INT8), &glip__narrow_i8_avx512);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_BF16, ~(uint32_t)GLIP_CPU_AMX_INT8), &glip__narrow_i16_avx512);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_I8, UINT32_MAX), &glip__narrow_i8_amx);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_BF16, UINT32_MAX), &glip__narrow_i16_amx);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_BF16, avx2 | GLIP_CPU_AVX512 | GLIP_CPU_AVX512_BF16),
	                 &glip__narrow_bf16_avx512);
	assert_ptr_equal(glip__narrow_kernels(GLIP_COMPUTE_BF16, vnni), &glip__narrow_i16_avxvnni);
#endif
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_F32, UINT32_MAX));
	assert_null(glip__narrow_kernels(GLIP_COMPUTE_AUTO, UINT32_MAX));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_products),       cmocka_unit_test(test_precision), cmocka_unit_test(test_kept),
		cmocka_unit_test(test_kept_both_ways), cmocka_unit_test(test_given_up),  cmocka_unit_test(test_choice),
		cmocka_unit_test(test_long_rows),
	};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__arena_free(&arena);
	return failed;
}
