/* Rows and tiles of bfloat16, 16-bit and 8-bit integers: how values are narrowed, and sums of narrowed ones. */
#include "page_end.h"

#include "convert/convert_elements.h"
#include "narrow_case.h"

/* Every set gives the same bits, and touches nothing outside the row. */
static void same_rows(const struct narrow_kernels *narrow)
{
	const struct narrow_kernels *reference = reference_of(narrow);
	for (size_t k = 1; k < 150; k++) {
		float *x = page_end(k);
		/* Instructions for bfloat16 take the least numbers for zeros. */
		bool tiny = k % 7 == 0 && narrow->compute != GLIP_COMPUTE_BF16;
		for (size_t p = 0; p < k; p++)
			x[p] = random_float(k % 5 == 0 ? 1000 : tiny ? 1e-38F : 1);
		for (size_t p = 0; p < k && k % 3 == 0; p++)
			x[p] = k % 2 == 0 ? 0 : fabsf(x[p]);
		for (int left = 0; left < 2; left++) {
			size_t words = glip__narrow_words(narrow, left, k), most = glip__narrow_words(reference, left, k);
			float *row = guarded(words), *expected = guarded(most);
			double back[150], again[150];
			narrow_stretch(narrow, left, x, k, (uint32_t *)(void *)row);
			narrow_stretch(reference, left, x, k, (uint32_t *)(void *)expected);
			assert_memory_equal(row, expected, sizeof *row);
			/* What is past the last value of a right row is zeros. */
			for (size_t p = k; !left && p < (words - NARROW_HEAD) * (size_t)narrow->group; p++)
				assert_int_equal(value_bits(narrow, left, (uint32_t *)(void *)row, p), 0);
			if (!left)
				assert_memory_equal(row + 1, expected + 1, sizeof *row);
			widen_narrow(narrow, left, (uint32_t *)(void *)row, (int64_t)k, back);
			widen_narrow(reference, left, (uint32_t *)(void *)expected, (int64_t)k, again);
			assert_memory_equal(back, again, k * sizeof *back);
			free_guarded(row, words);
			free_guarded(expected, most);
		}
		/* One that is no number does not hide the others from the factor, or (in 16 bits, on NEON) makes it none. */
		float row[MOST_WORDS(300)], expected[MOST_WORDS(300)];
		x[k / 2] = NAN;
		narrow_stretch(narrow, true, x, k, (uint32_t *)(void *)row);
		narrow_stretch(reference, true, x, k, (uint32_t *)(void *)expected);
		assert_true(isnan(*row) || *row == *expected);
		free_page_end(x, k);
	}
}

/* Rows together, more than are searched at once, give the bits of each alone, whether their ranges are known or not. */
static void many_rows(const struct narrow_kernels *narrow)
{
	enum { COUNT = 37, LDX = 300 };
	float x[COUNT * LDX], range[COUNT * 2];
	uint32_t alone[MOST_WORDS(LDX)];
	static const size_t lengths[] = {1, 31, 96, 256};
	for (size_t s = 0; s < sizeof lengths / sizeof *lengths; s++) {
		const size_t k = lengths[s], words = glip__narrow_words(narrow, true, k), ld = words + s % 3;
		const size_t head = (size_t)narrow->left_head;
		float *out = guarded((COUNT - 1) * ld + words), *other = guarded_copy(out, (COUNT - 1) * ld + words);
		for (size_t i = 0; i < COUNT; i++) {
			float *row = x + i * LDX;
			range[2 * i] = range[2 * i + 1] = 0;
			for (size_t p = 0; p < k; p++) {
				row[p] = random_float((float)(i + 1)) + (float)(i % 3);
				range[2 * i] = fminf(range[2 * i], row[p]);
				range[2 * i + 1] = fmaxf(range[2 * i + 1], row[p]);
			}
		}
		narrow->left_rows(x, LDX, COUNT, k, NULL, (uint32_t *)(void *)out, ld);
		narrow->left_rows(x, LDX, COUNT, k, range, (uint32_t *)(void *)other, ld);
		assert_memory_equal(out, other, ((COUNT - 1) * ld + words) * sizeof *out);
		for (size_t i = 0; i < COUNT; i++) {
			narrow_stretch(narrow, true, x + i * LDX, k, alone);
			assert_memory_equal(out + i * ld, alone, NARROW_HEAD * sizeof *out);
			assert_memory_equal(out + i * ld + head, alone + head, (words - head) * sizeof *out);
		}
		free_guarded(out, (COUNT - 1) * ld + words);
		free_guarded(other, (COUNT - 1) * ld + words);
	}
}

/* Columns [k, cols] of a panel against those of plain C, one at a time: the same bits, and zeros past the last. */
static void same_columns(const struct narrow_kernels *narrow, size_t k, size_t cols, int kind)
{
	const struct narrow_kernels *reference = reference_of(narrow);
	const size_t words = glip__narrow_words(narrow, false, k), nr = (size_t)narrow->nr, ldx = cols + k % 3;
	const size_t count = (k - 1) * ldx + cols;
	float *x = page_end(count), *panel = guarded(words * nr);
	uint32_t row[MOST_WORDS(NARROW_I16_STRETCH)], expected[MOST_WORDS(NARROW_I16_STRETCH)];
	float factor, wanted;
	for (size_t i = 0; i < count; i++)
		x[i] = kind == 1 && i % ldx % 3 == 0 ? 0 : random_float(kind == 2 ? 1e-38F : (float)(i % ldx * 100 + 1));
	if (kind == 3) {
		x[count - 1] = NAN;
		x[k / 2 * ldx] = INFINITY;
	}
	narrow->right_columns(x, ldx, k, (int)cols, (uint32_t *)(void *)panel);
	for (size_t j = 0; j < nr; j++) {
		memset(expected, 0, sizeof expected);
		if (j < cols)
			narrow_column(reference, x + j, ldx, k, expected);
		for (size_t w = 0; w < words; w++)
			memcpy(row + w, panel + w * nr + j, sizeof *row);
		memcpy(&factor, row, sizeof factor);
		memcpy(&wanted, expected, sizeof wanted);
		assert_true(isnan(wanted) ? isnan(factor) : factor == wanted);
		/* Integers without a factor do not matter, except behind the last column. */
		if (j < cols && !(wanted > 0 && isfinite(wanted)))
			continue;
		assert_int_equal(row[1], expected[1]);
		for (size_t p = 0; p < (words - NARROW_HEAD) * (size_t)narrow->group; p++)
			assert_int_equal(value_bits(narrow, false, row, p), p < k ? value_bits(reference, false, expected, p) : 0);
	}
	free_page_end(x, count);
	free_guarded(panel, words * nr);
}

/* A column becomes what a right row does, but for the order of the sum of squares. */
static void columns_as_rows(const struct narrow_kernels *narrow)
{
	enum { MOST = NARROW_I16_STRETCH };
	uint32_t column[MOST_WORDS(MOST)], row[MOST_WORDS(MOST)];
	for (size_t k = 1; k <= MOST; k++) {
		float x[MOST], factor;
		double values[MOST], wanted[MOST];
		for (size_t p = 0; p < k; p++)
			x[p] = random_float(3);
		narrow_column(narrow, x, 1, k, column);
		narrow_stretch(narrow, false, x, k, row);
		memcpy(&factor, row, sizeof factor);
		widen_narrow(narrow, false, column, (int64_t)k, values);
		widen_narrow(narrow, false, row, (int64_t)k, wanted);
		/* A value between two integers may be rounded to either. */
		for (size_t p = 0; p < k; p++)
			assert_true(fabs(values[p] - wanted[p]) <= 1.1 * (double)factor);
	}
}

static void columns(const struct narrow_kernels *narrow)
{
	static const size_t lengths[] = {1, 2, 3, 32, 95, 255, 256};
	if (!narrow->right_columns)
		return;
	for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
		for (size_t cols = 1; cols <= (size_t)narrow->nr; cols++)
			for (int kind = 0; kind < 4; kind++)
				same_columns(narrow, lengths[l], cols, kind);
	columns_as_rows(narrow);
}

/* A stretch of k whole numbers with the factor 1: its values to q. kind 0: any that a row may have, as large as they
 * can be in 8 bits; 1: as large in 16 bits; 2: the largest of one sign, or of the other in every other row. */
static void whole_numbers(const struct narrow_kernels *narrow, bool left, int kind, size_t index, size_t k,
                          uint32_t *row, int *q)
{
	const float one = 1;
	bool i8 = narrow->compute == GLIP_COMPUTE_I8, bytes = i8 && narrow->left_words == 1;
	const int largest = narrow->planes ? NARROW_PLANES_MOST : NARROW_I16_MOST;
	int most = i8 ? (left ? 255 : 127) : 2800, least = -most, taken = 0, sum = 0;
	if (bytes && left) {
		least = narrow->left_low;
		most = least + 255;
		taken = least + (int)(random_bits() % 256);
	}
	memset(row, 0, glip__narrow_words(narrow, left, k) * sizeof *row);
	for (size_t p = 0; p < k; p++) {
		int value = least + (int)(random_bits() % (uint32_t)(most - least + 1));
		if (kind == 2)
			value = index % 2 == 0 || left ? most : least;
		if (kind == 1 && !i8)
			value = p < 2 ? (index % 2 == 0 ? largest : -largest) : 0;
		put_value(narrow, left, row, p, value);
		q[p] = value - taken;
		sum += value;
	}
	memcpy(row, &one, sizeof one);
	row[1] = left && bytes ? (uint32_t)taken : !left && i8 ? (uint32_t)sum : 0;
}

/* Sums of integers are exact in tiles of all sizes: with factors of 1 the result has the bits of the sum as a float,
 * and of a float sum of such over stretches. Nothing outside of the operands is read, nothing outside of C written. */
static void exact_tile(const struct narrow_kernels *narrow, int kind, size_t k, int rows, int cols)
{
	const size_t words = glip__narrow_words(narrow, false, k), left_words = glip__narrow_words(narrow, true, k);
	const size_t stretch = (size_t)narrow->stretch, group = (size_t)narrow->group;
	const size_t full = glip__narrow_words(narrow, false, stretch);
	const size_t left_full = glip__narrow_words(narrow, true, stretch);
	const size_t nr = (size_t)narrow->nr, ldc = nr + 3;
	size_t count = ((size_t)rows - 1) * ldc + (size_t)cols;
	const size_t left_rows =
		((size_t)rows + (size_t)narrow->row_unit - 1) / (size_t)narrow->row_unit * (size_t)narrow->row_unit;
	uint32_t *left = page_end(left_rows * left_words), *panel = page_end(words * nr), *row = page_end(words);
	float *bias = page_end((size_t)cols), *c = guarded(count);
	int *q = calloc((size_t)rows * k + nr * k, sizeof *q), *right = q + (size_t)rows * k;
	assert_non_null(q);
	for (size_t j = 0; j < nr; j++) {
		for (size_t p = 0, at = 0; p < k; p += stretch, at += full)
			whole_numbers(narrow, false, kind, j, k - p < stretch ? k - p : stretch, row + at, right + j * k + p);
		for (size_t w = 0; w < words; w++)
			panel[w * nr + j] = row[w];
	}
	for (size_t i = 0; i < (size_t)rows; i++)
		for (size_t p = 0, at = 0; p < k; p += stretch, at += left_full)
			whole_numbers(narrow, true, kind, i, k - p < stretch ? k - p : stretch, left + i * left_words + at,
			              q + i * k + p);
	for (int j = 0; j < cols; j++)
		bias[j] = random_float(100);
	multiply_tile(narrow, (k + group - 1) / group, left, left_words, panel, kind == 0 ? bias : NULL, c, ldc, rows, cols,
	              kind == 0 ? bias : NULL);
	for (size_t i = 0; i < (size_t)rows; i++) {
		for (size_t j = 0; j < (size_t)cols; j++) {
			float total = 0;
			for (size_t p = 0; p < k; p += stretch) {
				int64_t sum = 0;
				for (size_t s = p; s < k && s < p + stretch; s++)
					sum += (int64_t)q[i * k + s] * right[j * k + s] -
					       (narrow->planes ? low_byte(q[i * k + s]) * low_byte(right[j * k + s]) : 0);
				total = (float)sum + total;
			}
			total += kind == 0 ? bias[j] : 0;
			if (!(c[i * ldc + j] == total))
				fail_msg("%s %d, k %zu, %d x %d: %zu, %zu is %.9g, not %.9g", narrow->name, (int)narrow->compute, k,
				         rows, cols, i, j, (double)c[i * ldc + j], (double)total);
			c[i * ldc + j] = 12345;
		}
	}
	for (size_t i = 0; i < count; i++)
		assert_true(c[i] == 12345.0F);
	free_guarded(c, count);
	free_page_end(bias, (size_t)cols);
	free_page_end(row, words);
	free_page_end(panel, words * nr);
	free_page_end(left, left_rows * left_words);
	free(q);
}

static void exact_sums(const struct narrow_kernels *narrow)
{
	static const size_t lengths[] = {1, 2, 3, 5, 96, 255, 256, 257, 771, 2304};
	if (narrow == reference_of(narrow) || narrow->compute == GLIP_COMPUTE_BF16)
		return;
	for (int kind = 0; kind < 3; kind++)
		for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
			for (int rows = 1; rows <= narrow->mr; rows++)
				for (int cols = 1 + (rows + (int)l) % 5; cols <= narrow->nr; cols += lengths[l] < 100 ? 5 : 10)
					exact_tile(narrow, kind, lengths[l], rows, cols);
}

static void test_exact_sums(void **state)
{
	(void)state;
	for_each_narrow(exact_sums);
}

static void test_rows(void **state)
{
	(void)state;
	for_each_narrow(same_rows);
	for_each_narrow(many_rows);
	for_each_narrow(columns);
}

/* What narrowing may lose: half a unit in the last place of what is kept. */
static void bounded_rows(const struct narrow_kernels *narrow)
{
	for (int round = 0; round < 200; round++) {
		enum { K = 96 };
		float x[K], low = 0, high = 0;
		double squares = 0;
		uint32_t row[MOST_WORDS(K)];
		double back[K];
		for (int p = 0; p < K; p++) {
			x[p] = random_float(3) + (float)(round % 3);
			low = fminf(low, x[p]);
			high = fmaxf(high, x[p]);
		}
		x[round % K] = 0;
		for (int p = 0; p < K; p++)
			squares += (double)x[p] * (double)x[p];
		for (int left = 0; left < 2; left++) {
			narrow_stretch(narrow, left, x, K, row);
			widen_narrow(narrow, left, row, K, back);
			assert_true(back[round % K] == 0.0);
			double step = left ? (double)(high - low) / 255 : (double)fmaxf(high, -low) / 127;
			for (int p = 0; p < K; p++) {
				/* The zero point is rounded, so a value at an end of the range may lie half a step outside. */
				double most = step * (left ? 1.01 : 0.501);
				if (narrow->compute == GLIP_COMPUTE_BF16)
					most = fabs((double)x[p]) / 256;
				else if (narrow->planes)
					most = 0.51 * (double)fmaxf(high, -low) / NARROW_PLANES_MOST;
				else if (narrow->compute == GLIP_COMPUTE_I16)
					most = 0.501 * sqrt(squares) / (NARROW_I16_NORM - 10);
				assert_true(fabs(back[p] - (double)x[p]) <= most);
			}
		}
	}
}

static void test_bounds(void **state)
{
	(void)state;
	for_each_narrow(bounded_rows);
}

/* Stretches whose products are as large as they can be do not leave an int32, whatever the distribution: equal values,
 * a few large ones, extreme magnitudes. */
static void extreme_products(const struct narrow_kernels *narrow)
{
	enum { K = 256, KINDS = 5 };
	static const float scales[][2] = {{1, 1},         {1e-30F, 1e-30F}, {1e-12F, 1e-12F}, {1e12F, 1e12F},
	                                  {1e17F, 1e17F}, {1e-30F, 1e30F},  {1e38F, 1e-14F}};
	for (int kind = 0; kind < KINDS * (int)(sizeof scales / sizeof *scales); kind++) {
		float x[2][K], c[1];
		uint32_t left[MOST_WORDS(K)], right[MOST_WORDS(K)], panel[MOST_WORDS(K) * KERNEL_MAX_NR] = {0};
		double wide[K], other[K], sum = 0;
		for (int p = 0; p < K; p++) {
			int few = kind % KINDS < 2 || p % 64 < kind % KINDS;
			float value = few ? kind % KINDS == 1 && p % 2 ? -1 : 1 : random_float(1e-3F);
			for (int side = 0; side < 2; side++)
				x[side][p] = value * scales[kind / KINDS][side];
		}
		size_t groups = K / (size_t)narrow->group;
		narrow_stretch(narrow, true, x[0], K, left);
		narrow->right_row(x[1], K, right);
		for (size_t i = 0; i < glip__narrow_words(narrow, false, K); i++)
			panel[i * (size_t)narrow->nr] = right[i];
		multiply_tile(narrow, groups, left, 0, panel, NULL, c, 1, 1, 1, NULL);
		widen_narrow(narrow, true, left, K, wide);
		widen_narrow(narrow, false, right, K, other);
		for (int p = 0; p < K; p++)
			sum += product_of(narrow, wide[p], factor_of(left), other[p], factor_of(right));
		/* What is less than 1e-15 may count as zeros. */
		assert_true(scales[kind / KINDS][0] > 1e-20F ? sum > 0 : sum >= 0);
		assert_true(sum > 1e-36 ? fabs((double)c[0] / sum - 1) < 1e-5 : fabs((double)c[0]) < 1e-30);
	}
}

static void test_extremes(void **state)
{
	(void)state;
	for_each_narrow(extreme_products);
}

/* A row of stored 8-bit integers comes back as it was stored, with its scale: nothing is rounded twice. */
static void test_stored_integers(void **state)
{
	enum { K = 300 };
	const struct narrow_kernels *sets[] = {&glip__narrow_i8_ref,
	                                       glip__narrow_kernels(GLIP_COMPUTE_I8, glip__cpu_flags())};
	(void)state;
	for (int round = 0; round < 2000; round++) {
		float values[K], wide[K], factor;
		int8_t q[K];
		uint32_t row[MOST_WORDS(K)];
		for (int p = 0; p < K; p++)
			values[p] = random_float(ldexpf(1, round % 60 - 30));
		const float scale = i8_from_f32(values, K, q);
		const struct matrix m = {.data = q, .rows = 1, .cols = K, .dtype = DTYPE_I8, .scale = &scale};
		glip__matrix_row(&m, K, 0, wide);
		for (int p = 0; p < K; p++)
			assert_true((double)wide[p] == (double)scale * q[p]);
		for (int s = 0; s < 2 && sets[s]; s++) {
			sets[s]->right_row(wide, K, row);
			memcpy(&factor, row, sizeof factor);
			assert_true(factor == scale);
			for (int p = 0; p < K; p++) {
				const struct value_place at = place_of(sets[s], false, (size_t)p);
				assert_int_equal(at.bits, 8);
				assert_int_equal((int8_t)(uint8_t)(row[at.word] >> at.shift), q[p]);
			}
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),     cmocka_unit_test(test_bounds),          cmocka_unit_test(test_exact_sums),
		cmocka_unit_test(test_extremes), cmocka_unit_test(test_stored_integers),
	};
	seed_random(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
