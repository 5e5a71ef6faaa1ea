/* Row and element kernels of every instruction set against plain C. */
#include "page_end.h"

static const size_t sizes[] = {1,  2,  3,  4,  5,  7,  8,  9,   12,  15,  16,  17, 27,
                               31, 32, 33, 49, 63, 65, 96, 144, 255, 256, 257, 768};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Sums in float over up to 768 values of order 1: a few units in the last place of the largest term. */
static void layer_norm(const struct kernels *k)
{
	static const int32_t index[] = {3, 0, -1, 6, 6, 1, -1, 2, 5};
	enum { ROWS = 7, LISTED = sizeof index / sizeof *index };
	for (int s = 0; s < SIZES; s++) {
		size_t n = sizes[s], ldx = n + (size_t)s % 3, ldy = n + (size_t)s % 2, count = LISTED * ldy;
		float *x = guarded_random(ROWS * ldx, 3), *w = guarded_random(n, 1), *b = guarded_random(n, 1),
			  *y = guarded(count), *z = guarded(count);
		const struct norm norm = {w, b, 1e-5F};
		/* One value: the mean is the value itself but for rounding, and 1 / sqrt(eps) magnifies that. */
		double tolerance = n == 1 ? 1e-4 : 3e-6;
		for (size_t i = 0; i < ROWS * ldx; i++)
			x[i] += 2;
		/* Values far apart in every row: the error of a mean is magnified by what is left of them. */
		for (size_t i = 0; i < ROWS && n > 1; i++) {
			x[i * ldx] = 5;
			x[i * ldx + 1] = -1;
		}
		memset(y, 0, count * sizeof *y);
		memset(z, 0, count * sizeof *z);
		glip__layer_norm__ref(&norm, x, ldx, index, LISTED, n, y, ldy);
		k->layer_norm(&norm, x, ldx, index, LISTED, n, z, ldy);
		assert_close("layer_norm by index", k->name, z, y, count, tolerance, 0);
		glip__layer_norm__ref(&norm, x, ldx, NULL, ROWS, n, y, ldy);
		k->layer_norm(&norm, x, ldx, NULL, ROWS, n, z, ldy);
		assert_close("layer_norm", k->name, z, y, ROWS * ldy, tolerance, 0);
		/* The same bits in place, and for a row by itself. */
		k->layer_norm(&norm, x, ldx, NULL, 1, n, y, ldy);
		assert_memory_equal(y, z, n * sizeof *y);
		k->layer_norm(&norm, x, ldx, NULL, ROWS, n, x, ldx);
		for (size_t i = 0; i < ROWS; i++)
			assert_memory_equal(x + i * ldx, z + i * ldy, n * sizeof *x);
		free_guarded(x, ROWS * ldx);
		free_guarded(w, n);
		free_guarded(b, n);
		free_guarded(y, count);
		free_guarded(z, count);
	}
}

/* Any number of rows and values, none of which is read or written past the last. */
static void softmax(const struct kernels *k)
{
	for (int s = 0; s < SIZES * 8; s++) {
		size_t n = sizes[s / 8], rows = (size_t)s % 8 + 1;
		const struct scores plain = {.scale = 1};
		float *x = page_end(rows * n), *y = guarded_random(rows * n, s / 8 % 2 ? 90 : 4);
		memcpy(x, y, rows * n * sizeof *x);
		glip__softmax__ref(&plain, y, n, rows, n);
		k->softmax(&plain, x, n, rows, n);
		/* exp to 1.5e-7, the difference of the exponents to 6e-8 times up to 180, the sum to 1e-7. */
		assert_close("softmax", k->name, x, y, rows * n, 1e-37, s / 8 % 2 ? 1.5e-5 : 1e-6);
		free_page_end(x, rows * n);
		free_guarded(y, rows * n);
	}
}

static void score_softmax(const struct kernels *k)
{
	for (int s = 0; s < SIZES * 8; s++) {
		size_t n = sizes[s / 8], rows = 1 + (size_t)s % 7, ld = n + (size_t)s % 3, bias_ld = n + (size_t)s % 2;
		float *x = guarded_random(rows * ld, 20), *y = guarded_copy(x, rows * ld),
			  *bias = guarded_random(rows * bias_ld, 2);
		uint8_t *region = malloc(n), own[7] = {2, 2, 0, 2, 1, 2, 2};
		assert_non_null(region);
		for (size_t i = 0; i < n; i++)
			region[i] = (uint8_t)(random_bits() % 3);
		region[n / 2] = 2;
		/* All scores far below what lanes past the end hold. */
		for (size_t i = 0; i < rows * bias_ld && s & 8; i++)
			bias[i] -= 300;
		struct scores scores = {
			.scale = 0.3F,
			.clamp = s & 1 ? 2.5F : 0,
			.bias = s & 2 ? bias : NULL,
			.bias_ld = bias_ld,
			.region = s & 4 ? region : NULL,
			.own_region = own,
		};
		glip__softmax__ref(&scores, y, ld, rows, n);
		k->softmax(&scores, x, ld, rows, n);
		/* What lies between the rows included. */
		assert_close("softmax of scores", k->name, x, y, rows * ld, 1e-37, 1e-5);
		free(region);
		free_guarded(x, rows * ld);
		free_guarded(y, rows * ld);
		free_guarded(bias, rows * bias_ld);
	}
}

static void columns(const struct kernels *k)
{
	for (int s = 0; s < SIZES; s++) {
		size_t n = sizes[s], rows = 37;
		float *x = guarded_random(rows * n, 5), *y = guarded_copy(x, rows * n);
		float *top = guarded(n), *top_ref = guarded(n);
		double sum[768] = {0}, sum_ref[768] = {0}, square[768] = {0}, square_ref[768] = {0};
		k->column_sums(x, rows, n, sum, square);
		glip__column_sums__ref(x, rows, n, sum_ref, square_ref);
		assert_memory_equal(sum, sum_ref, n * sizeof *sum);
		assert_memory_equal(square, square_ref, n * sizeof *sum);
		memcpy(top, x, n * sizeof(float));
		memcpy(top_ref, x, n * sizeof(float));
		k->column_max(x, rows, n, top);
		glip__column_max__ref(x, rows, n, top_ref);
		assert_memory_equal(top, top_ref, n * sizeof(float));
		memset(sum, 0, sizeof sum);
		memset(sum_ref, 0, sizeof sum_ref);
		k->column_exp(x, rows, n, top, sum);
		glip__column_exp__ref(y, rows, n, top, sum_ref);
		assert_close("column_exp", k->name, x, y, rows * n, 1e-37, 1e-6);
		for (size_t j = 0; j < n; j++)
			assert_true(fabs(sum[j] - sum_ref[j]) <= 1e-6 * sum_ref[j]);
		free_guarded(x, rows * n);
		free_guarded(y, rows * n);
		free_guarded(top, n);
		free_guarded(top_ref, n);
	}
}

static void elements(const struct kernels *k)
{
	for (int s = 0; s < SIZES; s++) {
		size_t n = sizes[s];
		float *x = guarded_random(n, 30), *y = guarded_random(n, 30), *a = guarded_copy(y, n), *b = guarded_copy(y, n);
		k->add(x, n, a);
		glip__add__ref(x, n, b);
		assert_memory_equal(a, b, n * sizeof(float));
		k->lerp(x, y, 0.3F, n, a);
		glip__lerp__ref(x, y, 0.3F, n, b);
		assert_close("lerp", k->name, a, b, n, 1e-5, 0); /* x1 - x0 of up to 60 is rounded once */
		k->relu(x, n, a);
		glip__relu__ref(x, n, b);
		assert_close("relu", k->name, a, b, n, 0, 0);
		k->sigmoid(x, n, a);
		glip__sigmoid__ref(x, n, b);
		assert_close("sigmoid", k->name, a, b, n, 0, 5e-7);
		memcpy(a, x, n * sizeof(float));
		memcpy(b, x, n * sizeof(float));
		k->clamp(a, n, -7, 11);
		glip__clamp__ref(b, n, -7, 11);
		assert_memory_equal(a, b, n * sizeof(float));
		free_guarded(x, n);
		free_guarded(y, n);
		free_guarded(a, n);
		free_guarded(b, n);
	}
}

/* Far values and what is not a number, in every lane position. */
static void special_values(const struct kernels *k)
{
	const float values[] = {0, -0.0F, 1e-30F, 88, -88, 120, -120, 1e30F, -1e30F, INFINITY, -INFINITY, NAN};
	for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
		for (size_t n = 1; n <= 33; n++) {
			float *x = guarded_random(n, 1), *y = guarded(n), *z = guarded(n), *out[1] = {z};
			struct finish f = {ACT_GELU, NULL};
			x[n - 1] = values[v];
			k->sigmoid(x, n, y);
			glip__sigmoid__ref(x, n, z);
			assert_true(isnan(values[v]) ? isnan(y[n - 1]) : fabsf(y[n - 1] - z[n - 1]) <= 5e-7F);
			k->finish(&f, x, n, 1, (int)n, NULL, out);
			if (values[v] <= -1e30F && isfinite(values[v]))
				assert_true(z[n - 1] == 0);
			if (values[v] >= 88 && isfinite(values[v]))
				assert_true(z[n - 1] == values[v]);
			if (isnan(values[v]))
				assert_true(isnan(z[n - 1]));
			free_guarded(x, n);
			free_guarded(y, n);
			free_guarded(z, n);
		}
	}
}

static void dyrelu(const struct kernels *k)
{
	for (int s = 0; s < SIZES * 3; s++) {
		size_t n = sizes[s / 3];
		float *v[15];
		for (int i = 0; i < 15; i++)
			v[i] = guarded_random(n, 1);
		const float *const source[3] = {v[0], v[1], v[2]};
		struct dyrelu_sum d = {
			.sources = s % 3 + 1,
			.scale = {v[3], v[4], v[5]},
			.shift = v[6],
			.a1 = v[7],
			.b1 = v[8],
			.a2 = v[9],
			.b2 = v[10],
			.channels = (int64_t)n,
		};
		k->dyrelu_row(&d, source, v[11]);
		glip__dyrelu_row__ref(&d, source, v[12]);
		assert_close("dyrelu", k->name, v[11], v[12], n, 1e-6, 0);
		for (int i = 0; i < 15; i++)
			free_guarded(v[i], n);
	}
}

/* Bilinear samples: rows that are missing or count for nothing, one of which holds no number, are not read. */
static void sample(const struct kernels *k)
{
	enum { ROWS = 6, TAPS = 3 };
	for (int s = 0; s < SIZES * 4; s++) {
		size_t n = sizes[s / 4], ldx = n + (size_t)s % 2;
		float *x = page_end((ROWS - 1) * ldx + n), *y = guarded(TAPS * n), *z = guarded(TAPS * n);
		float blend[TAPS * 4], low = 0, high = 0, range[2];
		int32_t index[TAPS * 4], next[TAPS * 4];
		for (size_t i = 0; i < (ROWS - 1) * ldx + n; i++)
			x[i] = s % 4 == 3 ? random_float(1) - 3 : random_float(3);
		for (size_t i = 0; i < n; i++)
			x[2 * ldx + i] = NAN;
		for (int i = 0; i < TAPS * 4; i++) {
			index[i] = (int32_t)(random_bits() % (ROWS + 1)) - 1;
			next[i] = (int32_t)(random_bits() % (ROWS + 1)) - 1;
			blend[i] = index[i] == 2 || random_bits() % 4 == 0 ? 0 : random_float(0.5F) + 0.6F;
		}
		glip__sample__ref(x, ldx, index, blend, next, TAPS, n, y, NULL);
		k->sample(x, ldx, index, blend, next, TAPS, n, z, NULL);
		assert_close("sample", k->name, z, y, TAPS * n, 2e-6, 0);
		k->sample(x, ldx, index, blend, next, TAPS, n, y, range);
		assert_memory_equal(y, z, TAPS * n * sizeof *y);
		for (size_t i = 0; i < TAPS * n; i++) {
			low = fminf(low, y[i]);
			high = fmaxf(high, y[i]);
		}
		assert_true(range[0] == low && range[1] == high);
		free_page_end(x, (ROWS - 1) * ldx + n);
		free_guarded(y, TAPS * n);
		free_guarded(z, TAPS * n);
	}
}

static void test_rows(void **state)
{
	(void)state;
	for_each_set(layer_norm);
	for_each_set(softmax);
	for_each_set(score_softmax);
	for_each_set(columns);
	for_each_set(sample);
}

static void test_elements(void **state)
{
	(void)state;
	for_each_set(elements);
	for_each_set(special_values);
	for_each_set(dyrelu);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_elements)};
	seed_random(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
