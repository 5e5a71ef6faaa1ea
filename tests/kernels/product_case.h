/* One product of any kind with random operands and what it must give, for the tests of the product operator. */
#ifndef GLIP_TESTS_PRODUCT_CASE_H
#define GLIP_TESTS_PRODUCT_CASE_H

#include "narrow_case.h"

struct sizes {
	int64_t m, n, k;
};

enum feature { DENSE, ROWS, TAPS, BLEND, FEATURES };
enum { OPTIONS = 12, RUNS = 4 };

/* Inputs uniform in +-1, k products summed in order: the partial sum at step p is about sqrt(p) / 3, each addition
 * rounds it by 2.4e-8, so the error is about 6e-9 k; ten times that, and a little for what comes after the sum. */
static double sum_error(double k)
{
	return 2e-6 + 6e-8 * k;
}

/* One product with everything that its option asks for. */
struct product_case {
	struct gemm g;
	float *a, *b, *bias, *scale, *c, *expected;
	void *narrow;
	float *row_scale;
	int32_t *index, *c_index;
	float *blend;
	size_t a_count, b_count, c_count;
	struct gemm_sums *sums; /* of all products that may have them */
	size_t *first;          /* [RUNS + 1] */
	double *first_sums;     /* of the first of several equal products [2 * RUNS, n] */
};

/* Over runs of several sizes, one of them empty. */
static void make_sums(struct product_case *p)
{
	size_t m = (size_t)p->g.m, n = (size_t)p->g.n, ends[RUNS + 1] = {0, m / 5, m / 5, m / 2 + 1, m};
	p->sums = malloc(sizeof *p->sums);
	p->first = malloc(sizeof ends);
	assert_true(p->sums && p->first);
	for (int i = 0; i <= RUNS; i++)
		p->first[i] = 7 + ends[i];
	*p->sums = (struct gemm_sums){.runs = RUNS, .first = p->first, .sum = malloc(2 * RUNS * n * sizeof(double))};
	assert_non_null(p->sums->sum);
	p->sums->square = p->sums->sum + RUNS * n;
	p->g.sums = p->sums;
}

/* The sums of the rows that C has now, and, where `same`, the bits of the time before. */
static void check_sums(struct product_case *p, bool same)
{
	size_t n = (size_t)p->g.n, ldc = (size_t)(p->g.ldc ? p->g.ldc : p->g.n), bytes = 2 * RUNS * n * sizeof(double);
	if (!p->sums)
		return;
	for (size_t i = 0; i < RUNS * n; i++) {
		double sum = 0, square = 0;
		for (size_t row = p->first[i / n]; row < p->first[i / n + 1]; row++) {
			double v = (double)p->g.c[(row - p->first[0]) * ldc + i % n];
			sum += v;
			square += v * v;
		}
		/* Added in another order, in double. */
		assert_true(fabs(p->sums->sum[i] - sum) <= 1e-10);
		assert_true(fabs(p->sums->square[i] - square) <= 1e-12 * square);
	}
	if (p->first_sums && same)
		assert_memory_equal(p->first_sums, p->sums->sum, bytes);
	if (!p->first_sums)
		p->first_sums = malloc(bytes);
	assert_non_null(p->first_sums);
	memcpy(p->first_sums, p->sums->sum, bytes);
}

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
	g->b_rows_are_k = option == 7 || option == 11;
	g->b.rows = g->b_rows_are_k ? g->k : g->n;
	g->b.cols = g->b_rows_are_k ? g->n : g->k;
	g->ldb = option == 8 || option >= 10 ? g->b.cols + 3 : 0;
	p->b_count = (size_t)(g->b.rows * (g->ldb ? g->ldb : g->b.cols));
	p->b = guarded_random(p->b_count, 1);
	g->b.data = p->b;
	if (option < 9)
		return;
	p->narrow = malloc(p->b_count * 2);
	assert_non_null(p->narrow);
	for (size_t i = 0; i < p->b_count; i++) {
		uint32_t bits;
		memcpy(&bits, &p->b[i], sizeof bits);
		if (option == 9)
			((uint16_t *)p->narrow)[i] = (uint16_t)(bits >> 16);
		else
			((int8_t *)p->narrow)[i] = (int8_t)(p->b[i] * 127);
	}
	g->b.data = p->narrow;
	g->b.dtype = option == 9 ? DTYPE_BF16 : DTYPE_I8;
	p->row_scale = guarded_random((size_t)g->b.rows, 0.5F / 127);
	for (int64_t i = 0; i < g->b.rows; i++)
		p->row_scale[i] += 0.5F / 127;
	g->b.scale = option == 9 ? NULL : p->row_scale;
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
	} else {
		make_sums(&p);
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
	if (p->row_scale)
		free_guarded(p->row_scale, (size_t)p->g.b.rows);
	free(p->index);
	free(p->c_index);
	free(p->blend);
	if (p->sums)
		free(p->sums->sum);
	free(p->sums);
	free(p->first);
	free(p->first_sums);
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
	if (g->b.dtype == DTYPE_I8)
		return (double)g->b.scale[at / ld] * ((const int8_t *)g->b.data)[at];
	if (g->b.dtype == DTYPE_BF16)
		return (double)glip__widen_bf16(((const uint16_t *)g->b.data)[at]);
	return (double)((const float *)g->b.data)[at];
}

/* For glip__pool_set_stop and struct ops: a caller who gives up at once. */
static inline bool gives_up(void *user)
{
	(void)user;
	return true;
}

/* False once, then true. */
static inline bool gives_up_later(void *user)
{
	bool *asked = user, answer = *asked;
	*asked = true;
	return answer;
}

/* Replaces the values by what remains of them; NULL: all. Returns the factor of the last stretch. */
static inline double narrowed(const struct narrow_kernels *narrow, bool is_left, bool is_column, double *x, int64_t k)
{
	float values[1024];
	uint32_t row[MOST_WORDS(1024)];
	for (int64_t p = 0; p < k; p++)
		values[p] = (float)x[p];
	if (!narrow)
		return 1;
	for (int64_t p = 0; p < k; p += narrow->stretch) {
		int64_t count = k - p < narrow->stretch ? k - p : narrow->stretch;
		if (is_column)
			narrow_column(narrow, values + p, 1, (size_t)count, row);
		else
			narrow_stretch(narrow, is_left, values + p, (size_t)count, row);
		widen_narrow(narrow, is_left, row, count, x + p);
	}
	return factor_of(row);
}

/* The product as ops.h writes it, over the untouched copy of C; of rows that were narrowed where narrow is not NULL. */
static void expect(struct product_case *p, const struct narrow_kernels *narrow)
{
	const struct gemm *g = &p->g;
	int64_t ldc = g->ldc ? g->ldc : g->n;
	double left[1024], *right = malloc((size_t)(g->n * (g->k + 1)) * sizeof *right), *factor = right + g->n * g->k;
	assert_true(right && g->k <= 1024);
	for (int64_t j = 0; j < g->n; j++) {
		for (int64_t q = 0; q < g->k; q++)
			right[j * g->k + q] = right_value(g, j, q);
		factor[j] = narrowed(narrow, false, g->b_rows_are_k, right + j * g->k, g->k);
	}
	for (int64_t i = 0; i < g->m; i++) {
		int64_t row = g->c_index ? g->c_index[i] : i;
		for (int64_t q = 0; q < g->k; q++)
			left[q] = left_value(g, i, q);
		double left_factor = narrowed(narrow, true, false, left, g->k);
		for (int64_t j = 0; j < g->n && row >= 0; j++) {
			double sum = g->bias ? (double)g->bias[j] : 0;
			for (int64_t q = 0; q < g->k; q++)
				sum += product_of(narrow, left[q], left_factor, right[j * g->k + q], factor[j]);
			if (g->act == ACT_GELU)
				sum = 0.5 * sum * (1 + erf(sum / sqrt(2.0)));
			else if (g->act == ACT_RELU)
				sum = sum > 0 ? sum : 0;
			sum *= g->scale ? (double)g->scale[j] : 1;
			p->expected[row * ldc + j] = (float)(sum + (g->residual ? (double)p->expected[row * ldc + j] : 0));
		}
	}
	free(right);
}

#endif
