/* Matrix products of every instruction set and of OpenBLAS against sums in double. */
#include "kernel_case.h"

static struct arena arena;

struct sizes {
	int64_t m, n, k;
};

static const struct sizes sizes[] = {
	{1, 1, 1}, {1, 17, 16}, {5, 15, 17}, {6, 16, 32}, {7, 33, 31}, {12, 32, 96}, {13, 65, 49}, {24, 27, 64}, {48, 35, 33},
	{49, 49, 32}, {50, 31, 129}, {97, 12, 72}, {100, 288, 96}, {130, 27, 288}, {193, 64, 1024},
};
enum { SIZES = sizeof sizes / sizeof *sizes };

enum feature { DENSE, ROWS, TAPS, BLEND, FEATURES };
enum { OPTIONS = 10 };

/* Inputs uniform in +-1, k products summed in order: the partial sum at step p is about sqrt(p) / 3, each addition rounds
 * it by 2.4e-8, so the error is about 6e-9 k; ten times that, and a little for what comes after the sum. */
static double sum_error(double k)
{
	return 2e-6 + 6e-8 * k;
}

/* One product with everything that its option asks for. */
struct product_case {
	struct gemm g;
	float *a, *b, *bias, *scale, *c, *expected;
	uint16_t *narrow;
	int32_t *index, *c_index;
	float *blend;
	size_t a_count, b_count, c_count;
};

static void make_left(struct product_case *p, enum feature feature)
{
	struct gemm *g = &p->g;
	int64_t rows = g->m + 3;
	g->a.taps = feature == TAPS || feature == BLEND ? (g->k % 9 == 0 ? 9 : g->k % 4 == 0 ? 4 : 1) : 1;
	int64_t width = g->k / g->a.taps;
	g->a.ld = width + (int64_t)(random_bits() % 2) * 5;
	p->a_count = (size_t)(rows * g->a.ld);
	p->a = guarded_random(p->a_count, 1);
	g->a.data = p->a;
	if (feature == DENSE)
		return;
	size_t points = (size_t)(g->m * g->a.taps) * (feature == BLEND ? 4 : 1);
	p->index = malloc(points * sizeof *p->index);
	assert_non_null(p->index);
	for (size_t i = 0; i < points; i++)
		p->index[i] = random_bits() % 5 == 0 ? -1 : (int32_t)(random_bits() % (uint32_t)rows);
	g->a.index = p->index;
	if (feature == BLEND) {
		p->blend = malloc(points * sizeof *p->blend);
		assert_non_null(p->blend);
		for (size_t i = 0; i < points; i++)
			p->blend[i] = random_float(1);
		g->a.blend = p->blend;
	}
}

static void make_right(struct product_case *p, int option)
{
	struct gemm *g = &p->g;
	g->b_rows_are_k = option == 7;
	g->b.rows = g->b_rows_are_k ? g->k : g->n;
	g->b.cols = g->b_rows_are_k ? g->n : g->k;
	g->ldb = option == 8 ? g->b.cols + 3 : 0;
	p->b_count = (size_t)(g->b.rows * (g->ldb ? g->ldb : g->b.cols));
	p->b = guarded_random(p->b_count, 1);
	g->b.data = p->b;
	if (option != 9)
		return;
	p->narrow = malloc(p->b_count * sizeof *p->narrow);
	assert_non_null(p->narrow);
	for (size_t i = 0; i < p->b_count; i++) {
		uint32_t bits;
		memcpy(&bits, &p->b[i], sizeof bits);
		p->narrow[i] = (uint16_t)(bits >> 16);
	}
	g->b.data = p->narrow;
	g->b.dtype = DTYPE_BF16;
}

static struct product_case make_case(struct sizes size, enum feature feature, int option)
{
	struct product_case p = {.g = {.m = size.m, .n = size.n, .k = size.k}};
	struct gemm *g = &p.g;
	make_left(&p, feature);
	make_right(&p, option);
	p.bias = guarded_random((size_t)g->n, 1);
	p.scale = guarded_random((size_t)g->n, 1);
	g->bias = option == 0 ? NULL : p.bias;
	g->act = option == 2 || option == 6 ? ACT_GELU : option == 3 ? ACT_RELU : ACT_NONE;
	g->scale = option == 4 || option == 6 ? p.scale : NULL;
	g->ldc = option % 2 ? g->n + 7 : 0;
	p.c_count = (size_t)((g->m + 2) * (g->ldc ? g->ldc : g->n));
	p.c = guarded_random(p.c_count, 1);
	p.expected = guarded_copy(p.c, p.c_count);
	g->c = p.c;
	g->residual = option == 5 || option == 6 ? p.c : NULL;
	if (option == 6 || option == 1) {
		/* A permutation with one row dropped. */
		p.c_index = malloc((size_t)g->m * sizeof *p.c_index);
		assert_non_null(p.c_index);
		for (int64_t i = 0; i < g->m; i++)
			p.c_index[i] = i == g->m / 2 ? -1 : (int32_t)(g->m + 1 - i);
		g->c_index = p.c_index;
	}
	return p;
}

static void free_case(struct product_case *p)
{
	free_guarded(p->a, p->a_count);
	free_guarded(p->b, p->b_count);
	free_guarded(p->bias, (size_t)p->g.n);
	free_guarded(p->scale, (size_t)p->g.n);
	free_guarded(p->c, p->c_count);
	free_guarded(p->expected, p->c_count);
	free(p->narrow);
	free(p->index);
	free(p->c_index);
	free(p->blend);
}

static double left_value(const struct gemm *g, int64_t row, int64_t p)
{
	int64_t width = g->k / g->a.taps, at = row * g->a.taps + p / width;
	if (!g->a.index)
		return (double)g->a.data[row * g->a.ld + p];
	if (!g->a.blend)
		return g->a.index[at] < 0 ? 0 : (double)g->a.data[g->a.index[at] * g->a.ld + p % width];
	double sum = 0;
	for (int64_t q = at * 4; q < at * 4 + 4; q++)
		if (g->a.index[q] >= 0)
			sum += (double)g->a.blend[q] * (double)g->a.data[g->a.index[q] * g->a.ld + p % width];
	return sum;
}

static double right_value(const struct gemm *g, int64_t column, int64_t p)
{
	int64_t ld = g->ldb ? g->ldb : g->b.cols, at = g->b_rows_are_k ? p * ld + column : column * ld + p;
	if (g->b.dtype == DTYPE_BF16)
		return (double)glip__widen_bf16(((const uint16_t *)g->b.data)[at]);
	return (double)((const float *)g->b.data)[at];
}

/* The product as ops.h writes it, over the untouched copy of C. */
static void expect(struct product_case *p)
{
	const struct gemm *g = &p->g;
	int64_t ldc = g->ldc ? g->ldc : g->n;
	double left[1024];
	assert_true(g->k <= 1024);
	for (int64_t i = 0; i < g->m; i++) {
		int64_t row = g->c_index ? g->c_index[i] : i;
		for (int64_t q = 0; q < g->k; q++)
			left[q] = left_value(g, i, q);
		for (int64_t j = 0; j < g->n && row >= 0; j++) {
			double sum = g->bias ? (double)g->bias[j] : 0;
			for (int64_t q = 0; q < g->k; q++)
				sum += left[q] * right_value(g, j, q);
			if (g->act == ACT_GELU)
				sum = 0.5 * sum * (1 + erf(sum / sqrt(2.0)));
			else if (g->act == ACT_RELU)
				sum = sum > 0 ? sum : 0;
			sum *= g->scale ? (double)g->scale[j] : 1;
			p->expected[row * ldc + j] = (float)(sum + (g->residual ? (double)p->expected[row * ldc + j] : 0));
		}
	}
}

static void run_products(const struct kernels *k, enum glip_gemm provider)
{
	struct pool *pool[3];
	for (int t = 0; t < 3; t++)
		assert_int_equal(glip__pool_create(t + 1, &glip__default_allocator, &pool[t], NULL), GLIP_OK);
	for (int s = 0; s < SIZES * FEATURES * OPTIONS; s++) {
		struct product_case p = make_case(sizes[s / OPTIONS / FEATURES], s / OPTIONS % FEATURES, s % OPTIONS);
		float *before = guarded_copy(p.c, p.c_count), *first = NULL;
		struct glip_error err = {0};
		expect(&p);
		for (int t = 0; t < (provider == GLIP_GEMM_NATIVE ? 3 : 2); t++) {
			struct ops ops = {.kernels = k, .pool = pool[t], .arena = &arena, .gemm = provider, .err = &err};
			memcpy(p.c, before, p.c_count * sizeof(float));
			if (glip__gemm(&ops, &p.g) != GLIP_OK)
				fail_msg("%s", err.message);
			assert_close("product", k->name, p.c, p.expected, p.c_count, sum_error((double)p.g.k), 1e-6);
			if (first && provider == GLIP_GEMM_NATIVE)
				assert_memory_equal(first, p.c, p.c_count * sizeof(float));
			if (!first)
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
	const struct sizes cases[] = {{1, 1, 1}, {12, 17, 5}, {31, 33, 255}, {96, 64, 257}, {13, 256, 1500}, {300, 40, 3000}};
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
			                                      (int64_t)ldb, c), GLIP_OK);
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

static void gelu(const struct kernels *k)
{
	struct finish f = {ACT_GELU, NULL};
	for (int i = -80000; i < 80000; i += 13) {
		float x[17], y[17], *out[1] = {y};
		for (int j = 0; j < 17; j++)
			x[j] = (float)(i + j) * 1e-4F;
		k->finish(&f, x, 17, 1, 17, NULL, out);
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
	struct gemm g = {.m = 2, .n = 3, .k = 4, .a = {.data = x}, .b = {x, 3, 5, DTYPE_F32}, .c = x};
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "matrix product: weight of 3 x 5 where 3 x 4 is needed");
	g.b.cols = 4;
	g.b.dtype = DTYPE_I8;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_UNSUPPORTED);
	g.b.dtype = DTYPE_F32;
	g.a.taps = 2;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_ARGUMENT);
	g.a.taps = 0;
	g.m = INT64_MAX;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_ERR_LIMIT);
	g.m = 0;
	assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
	glip__pool_free(pool);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native), cmocka_unit_test(test_blas), cmocka_unit_test(test_over_rows),
		cmocka_unit_test(test_gelu), cmocka_unit_test(test_faults),
	};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__arena_free(&arena);
	return failed;
}
