/* Matrix products of every instruction set and of OpenBLAS against sums in double. */
#include "product_case.h"
#include "support/alloc_probe.h"

static struct arena arena;

static const struct sizes sizes[] = {
	{1, 1, 1},      {1, 17, 16},    {5, 15, 17},     {6, 16, 32},   {7, 33, 31},   {12, 32, 96},
	{13, 65, 49},   {24, 27, 64},   {48, 35, 33},    {49, 49, 32},  {50, 31, 129}, {97, 12, 72},
	{100, 288, 96}, {130, 27, 288}, {193, 64, 1024}, {600, 70, 18}, {30, 65, 0},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void run_products(const struct kernels *k, enum glip_gemm provider)
{
	struct pool *pool[3];
	for (int t = 0; t < 3; t++)
		assert_int_equal(glip__pool_create(t + 1, &glip__default_allocator, &pool[t], NULL), GLIP_OK);
	for (int s = 0; s < SIZES * FEATURES * OPTIONS; s++) {
		struct product_case p = make_case(sizes[s / OPTIONS / FEATURES], s / OPTIONS % FEATURES, s % OPTIONS);
		float *before = guarded_copy(p.c, p.c_count), *first = NULL;
		struct glip_error err = {0};
		struct panels *panels;
		assert_int_equal(glip__panels_create(&glip__default_allocator, &no_limits, &panels, &err), GLIP_OK);
		p.g.b.lasting = true;
		expect(&p, NULL);
		/* Packed for the product, packed to be kept, found. */
		for (int t = 0; t < (provider == GLIP_GEMM_NATIVE ? 3 : 2); t++) {
			struct ops ops = {
				.kernels = k,
				.pool = pool[t],
				.arena = &arena,
				.gemm = provider,
				.cache = cache_sizes[t],
				.panels = t > 0 ? panels : NULL,
				.err = &err,
			};
			memcpy(p.c, before, p.c_count * sizeof(float));
			if (glip__gemm(&ops, &p.g) != GLIP_OK)
				fail_msg("%s", err.message);
			assert_close("product", k->name, p.c, p.expected, p.c_count, sum_error((double)p.g.k), 1e-6);
			check_sums(&p, provider == GLIP_GEMM_NATIVE);
			if (first && provider == GLIP_GEMM_NATIVE)
				assert_memory_equal(first, p.c, p.c_count * sizeof(float));
			if (!first)
				first = guarded_copy(p.c, p.c_count);
		}
		assert_int_equal(arena.used, 0);
		glip__panels_free(panels);
		free_guarded(first, p.c_count);
		free_guarded(before, p.c_count);
		free_case(&p);
	}
	for (int t = 0; t < 3; t++)
		glip__pool_free(pool[t]);
}

static void native_products(const struct kernels *k)
{
	run_products(k, GLIP_GEMM_NATIVE);
}

static void test_native(void **state)
{
	(void)state;
	for_each_set(native_products);
}

static void test_blas(void **state)
{
	(void)state;
	run_products(glip__kernels(glip__cpu_flags()), GLIP_GEMM_BLAS);
}

static void over_rows(const struct kernels *k)
{
	const struct sizes cases[] = {{1, 1, 1},     {12, 17, 5},     {31, 33, 255},
	                              {96, 64, 257}, {13, 256, 1500}, {300, 40, 3000}};
	for (size_t s = 0; s < sizeof cases / sizeof *cases; s++) {
		size_t m = (size_t)cases[s].m, n = (size_t)cases[s].n, rows = (size_t)cases[s].k, lda = m + 3, ldb = n + 1;
		float *a = guarded_random(rows * lda, 1), *b = guarded_random(rows * ldb, 1), *first = NULL;
		float *expected = guarded(m * n);
		for (size_t i = 0; i < m; i++) {
			for (size_t j = 0; j < n; j++) {
				double sum = 0;
				for (size_t r = 0; r < rows; r++)
					sum += (double)a[r * lda + i] * (double)b[r * ldb + j];
				expected[i * n + j] = (float)sum;
			}
		}
		for (int t = 1; t <= 3; t++) {
			struct pool *pool;
			assert_int_equal(glip__pool_create(t, &glip__default_allocator, &pool, NULL), GLIP_OK);
			struct ops ops = {.kernels = k, .pool = pool, .arena = &arena};
			float *c = guarded(m * n);
			assert_int_equal(glip__gemm_over_rows(&ops, (int64_t)rows, (int64_t)m, (int64_t)n, a, (int64_t)lda, b,
			                                      (int64_t)ldb, c),
			                 GLIP_OK);
			assert_close("over rows", k->name, c, expected, m * n, sum_error((double)rows), 1e-6);
			if (first)
				assert_memory_equal(first, c, m * n * sizeof(float));
			else
				first = guarded_copy(c, m * n);
			free_guarded(c, m * n);
			glip__pool_free(pool);
		}
		free_guarded(a, rows * lda);
		free_guarded(b, rows * ldb);
		free_guarded(first, m * n);
		free_guarded(expected, m * n);
	}
}

static void test_over_rows(void **state)
{
	(void)state;
	for_each_set(over_rows);
}

/* ---- Kept panels ------------------------------------------------------------------------------------------------- */

/* Two weights, and room for the panels of one. */
struct kept_case {
	struct alloc_probe probe;
	struct pool *pool;
	struct ops ops;
	struct glip_error err;
	struct product_case a, b;
	size_t floats;
};

static void make_panels(struct kept_case *c, size_t bytes, size_t rows)
{
	const struct panels_limits limits = {bytes, rows};
	glip__panels_free(c->ops.panels);
	assert_int_equal(glip__panels_create(&c->probe.allocator, &limits, &c->ops.panels, &c->err), GLIP_OK);
}

static void make_kept(struct kept_case *c, const struct kernels *k)
{
	*c = (struct kept_case){.a = make_case((struct sizes){61, 40, 72}, DENSE, 0)};
	c->b = make_case((struct sizes){61, 40, 72}, DENSE, 0);
	c->a.g.b.lasting = c->b.g.b.lasting = true;
	c->a.g.sums = c->b.g.sums = NULL;
	c->floats = (size_t)((40 + k->nr - 1) / k->nr * k->nr * 72);
	alloc_probe_init(&c->probe);
	assert_int_equal(glip__pool_create(2, &glip__default_allocator, &c->pool, &c->err), GLIP_OK);
	c->ops = (struct ops){
		.kernels = k, .pool = c->pool, .arena = &arena, .gemm = GLIP_GEMM_NATIVE, .cache = 0, .err = &c->err};
	make_panels(c, c->floats * sizeof(float), 61);
}

static void free_kept(struct kept_case *c)
{
	glip__panels_free(c->ops.panels);
	assert_int_equal(c->probe.live, 0);
	assert_int_equal(arena.used, 0);
	glip__pool_free(c->pool);
	free_case(&c->a);
	free_case(&c->b);
}

/* Whether a product no longer reads its weights: the second of two is the same although they are zeros by then. */
static bool keeps(struct kept_case *c, struct product_case *p)
{
	float *weights = guarded_copy(p->b, p->b_count), *first = NULL;
	bool same = true;
	for (int i = 0; i < 2; i++) {
		if (glip__gemm(&c->ops, &p->g) != GLIP_OK)
			fail_msg("%s", c->err.message);
		if (first)
			same = memcmp(first, p->c, p->c_count * sizeof *first) == 0;
		else
			first = guarded_copy(p->c, p->c_count);
		memset(p->b, 0, p->b_count * sizeof *p->b);
	}
	memcpy(p->b, weights, p->b_count * sizeof *p->b);
	free_guarded(first, p->c_count);
	free_guarded(weights, p->b_count);
	return same;
}

static void kept_panels(const struct kernels *k)
{
	struct kept_case c;
	make_kept(&c, k);
	c.a.g.b.lasting = false;
	assert_false(keeps(&c, &c.a));
	c.a.g.b.lasting = true;
	assert_true(keeps(&c, &c.a));
	/* Nothing is left for others: another weight, a part of the same, other kernels. */
	assert_false(keeps(&c, &c.b));
	c.a.g.n = c.a.g.b.rows = 39;
	assert_false(keeps(&c, &c.a));
	c.a.g.n = c.a.g.b.rows = 40;
	const struct kernels copy = *k;
	c.ops.kernels = &copy;
	assert_false(keeps(&c, &c.a));
	c.ops.kernels = k;
	assert_true(keeps(&c, &c.a));
	/* Nor for rows of another length, or others apart. */
	make_panels(&c, c.floats / 2 * sizeof(float), 61);
	c.a.g.k = c.a.g.b.cols = 36;
	c.a.g.ldb = 72;
	assert_true(keeps(&c, &c.a));
	c.a.g.ldb = 0;
	assert_false(keeps(&c, &c.a));
	c.a.g.k = c.a.g.b.cols = 35;
	c.a.g.ldb = 72;
	assert_false(keeps(&c, &c.a));
	c.a.g.k = c.a.g.b.cols = 72;
	/* Two rows too many to keep the weights, but not to use what is kept. */
	make_panels(&c, SIZE_MAX, 59);
	assert_false(keeps(&c, &c.a));
	c.a.g.m = 59;
	assert_true(keeps(&c, &c.a));
	c.a.g.m = 61;
	assert_true(keeps(&c, &c.a));
	free_kept(&c);
}

static void test_kept(void **state)
{
	(void)state;
	for_each_set(kept_panels);
}

/* Panels that come to nothing take nothing of the limit, and without memory for them a product packs for itself. */
static void test_not_kept(void **state)
{
	(void)state;
	struct kept_case c;
	bool asked = false;
	make_kept(&c, glip__kernels(glip__cpu_flags()));
	expect(&c.a, NULL);
	alloc_probe_arm(&c.probe, 1, 1);
	assert_false(keeps(&c, &c.a));
	assert_int_equal(c.probe.calls, 2);
	alloc_probe_arm(&c.probe, 0, 0);
	/* The operator begins, the pool leaves panels undone, and only then the operator asks again. */
	glip__pool_set_stop(c.pool, gives_up, NULL);
	c.ops.cancelled = gives_up_later;
	c.ops.cancel_user = &asked;
	assert_int_equal(glip__gemm(&c.ops, &c.a.g), GLIP_ERR_CANCELLED);
	glip__pool_set_stop(c.pool, NULL, NULL);
	c.ops.cancelled = NULL;
	assert_true(keeps(&c, &c.a));
	assert_close("after", "native", c.a.c, c.a.expected, c.a.c_count, sum_error(72), 1e-6);

	/* Of two sessions that pack the same, the second uses what the first kept. */
	const struct panels_key key = {c.b.b, 40, 72, 72, c.ops.kernels, false};
	make_panels(&c, 2 * c.floats * sizeof(float), 61);
	float *first = glip__panels_alloc_floats(c.ops.panels, 61, c.floats);
	float *second = glip__panels_alloc_floats(c.ops.panels, 61, c.floats);
	assert_non_null(first);
	assert_non_null(second);
	assert_null(glip__panels_alloc_floats(c.ops.panels, 61, 1));
	assert_ptr_equal(glip__panels_keep(c.ops.panels, &key, first), first);
	assert_ptr_equal(glip__panels_keep(c.ops.panels, &key, second), first);
	assert_ptr_equal(glip__panels_find(c.ops.panels, &key), first);
	assert_true(keeps(&c, &c.a));
	free_kept(&c);
}

static void gelu(const struct kernels *k)
{
	struct finish f = {ACT_GELU, NULL};
	for (int i = -80000; i < 80000; i += 13) {
		float x[17], y[17], sums[17], *out[1] = {y};
		for (int j = 0; j < 17; j++)
			sums[j] = x[j] = (float)(i + j) * 1e-4F;
		k->finish(&f, sums, 17, 1, 17, NULL, out);
		for (int j = 0; j < 17; j++) {
			double exact = (double)x[j] * 0.5 * erfc(-(double)x[j] / sqrt(2.0));
			/* 1 + erf in float is good to 6e-8, so float GELU is to |x| times that and its own rounding. */
			assert_true(fabs((double)y[j] - exact) <= 1.3e-7 * fabs((double)x[j]) + 1e-9);
		}
	}
}

static void test_gelu(void **state)
{
	(void)state;
	for_each_set(gelu);
}

static void test_faults(void **state)
{
	(void)state;
	struct pool *pool;
	struct glip_error err;
	assert_int_equal(glip__pool_create(1, &glip__default_allocator, &pool, NULL), GLIP_OK);
	struct ops ops = {.kernels = glip__kernels(0), .pool = pool, .arena = &arena, .err = &err};
	float x[64] = {0};
	struct gemm g = {.m = 2, .n = 3, .k = 4, .a = {.data = x}, .b = {.data = x, .rows = 3, .cols = 5}, .c = x};
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "matrix product: weight of 3 x 5 where 3 x 4 is needed");
	g.b.cols = 4;
	g.b.dtype = DTYPE_I8; /* without scales */
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_UNSUPPORTED);
	g.b.dtype = DTYPE_F32;
	g.a.taps = 2;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_ARGUMENT);
	g.a.taps = 0;
	g.m = INT64_MAX;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_LIMIT);
	g.m = 0;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
	size_t rows[2] = {0, 2};
	double sums[6] = {1, 1, 1, 1, 1, 1};
	const struct gemm_sums over = {.runs = 1, .first = rows, .sum = sums, .square = sums + 3};
	g.sums = &over;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_ARGUMENT);
	rows[1] = 0;
	const int32_t nowhere = -1;
	g.c_index = &nowhere;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_ARGUMENT);
	g.c_index = NULL;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
	for (int i = 0; i < 6; i++)
		assert_true(sums[i] == 0);
	assert_int_equal(arena.used, 0);
	glip__pool_free(pool);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native), cmocka_unit_test(test_blas),     cmocka_unit_test(test_over_rows),
		cmocka_unit_test(test_kept),   cmocka_unit_test(test_not_kept), cmocka_unit_test(test_gelu),
		cmocka_unit_test(test_faults),
	};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__arena_free(&arena);
	return failed;
}
