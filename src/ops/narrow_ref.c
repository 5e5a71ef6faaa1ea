/* Narrow products in plain C, the oracle of the others. */
#include "ops/narrow.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/ref.h"

enum { MR = 4, NR = 16 };

static float head_factor(uint32_t bits)
{
	float factor;
	memcpy(&factor, &bits, sizeof factor);
	return factor;
}

static void bf16_row(const float *x, size_t k, uint32_t *row)
{
	memset(row, 0, (NARROW_HEAD + (k + 1) / 2) * sizeof *row);
	for (size_t p = 0; p < k; p++) {
		uint32_t bits;
		memcpy(&bits, x + p, sizeof bits);
		bits = isnan(x[p]) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
		row[NARROW_HEAD + p / 2] |= bits << p % 2 * 16;
	}
}

static void bf16_tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                      size_t ldc, int rows, int cols, const void *ahead)
{
	(void)ahead;
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (size_t i = 0; i < (size_t)rows; i++) {
		const uint32_t *left = a + i * lda + NARROW_HEAD, *right = panel + NARROW_HEAD * NR;
		for (size_t j = 0; j < (size_t)cols; j++) {
			double sum = bias ? (double)bias[j] : 0;
			for (size_t p = 0; p < groups; p++) {
				uint32_t l = left[p], r = right[p * NR + j];
				sum += (double)glip__widen_bf16((uint16_t)l) * (double)glip__widen_bf16((uint16_t)r);
				sum += (double)glip__widen_bf16((uint16_t)(l >> 16)) * (double)glip__widen_bf16((uint16_t)(r >> 16));
			}
			c[i * ldc + j] = (float)sum;
		}
	}
}

/* To the nearest 16-bit integer. */
static uint32_t i16_value(float x)
{
	float q = rintf(x);
	int value = q >= NARROW_I16_MOST ? NARROW_I16_MOST : q > -NARROW_I16_MOST ? (int)q : -NARROW_I16_MOST;
	return (uint32_t)(value & 0xffff);
}

static void i16_row(const float *x, size_t k, uint32_t *row)
{
	/* So many sums, joined in halves: the order of the vector kernels, which then find the same factor. */
	enum { SUMS = 32 };
	float most = 0, squares[SUMS] = {0};
	for (size_t p = 0; p < k; p++) {
		most = fabsf(x[p]) > most ? fabsf(x[p]) : most;
		squares[p % SUMS] = fmaf(x[p], x[p], squares[p % SUMS]);
	}
	for (int half = SUMS / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			squares[i] += squares[i + half];
	float factor = glip__narrow_i16_factor(most, squares[0]), inverse = factor > 0 ? 1 / factor : 0;
	memset(row, 0, (NARROW_HEAD + (k + 1) / 2) * sizeof *row);
	memcpy(row, &factor, sizeof factor);
	for (size_t p = 0; p < k; p++) {
		row[NARROW_HEAD + p / 2] |= i16_value(x[p] * inverse) << p % 2 * 16;
	}
}

static void i16_tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                     size_t ldc, int rows, int cols, const void *ahead)
{
	(void)ahead;
	enum { STRETCH_GROUPS = NARROW_I16_STRETCH / 2 };
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (size_t i = 0; i < (size_t)rows; i++) {
		for (size_t j = 0; j < (size_t)cols; j++) {
			const uint32_t *left = a + i * lda, *right = panel + j;
			double total = bias ? (double)bias[j] : 0;
			for (size_t done = 0; done < groups; done += STRETCH_GROUPS) {
				size_t count = groups - done < STRETCH_GROUPS ? groups - done : STRETCH_GROUPS;
				double factor = (double)head_factor(left[0]) * (double)head_factor(right[0]);
				int64_t sum = 0;
				left += NARROW_HEAD;
				right += (size_t)NARROW_HEAD * NR;
				for (size_t p = 0; p < count; p++, left++, right += NR) {
					sum += (int16_t)(uint16_t)*left * (int16_t)(uint16_t)*right;
					sum += (int16_t)(uint16_t)(*left >> 16) * (int16_t)(uint16_t)(*right >> 16);
				}
				total += factor * (double)sum;
			}
			c[i * ldc + j] = (float)total;
		}
	}
}

static void put_byte(uint32_t *row, size_t p, int q)
{
	row[NARROW_HEAD + p / 4] |= (uint32_t)(q & 0xff) << p % 4 * 8;
}

static void i8_left_row(const float *x, size_t k, uint32_t *row)
{
	memset(row, 0, (NARROW_HEAD + (k + 3) / 4) * sizeof *row);
	float low = 0, high = 0;
	for (size_t p = 0; p < k; p++) {
		low = x[p] < low ? x[p] : low;
		high = x[p] > high ? x[p] : high;
	}
	float range = high - low, factor = range / 255, inverse = glip__narrow_scale(range, 255);
	float below = -low * inverse, zero = below > 0 ? rintf(below) : 0; /* not a number where a value is infinite */
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)zero;
	for (size_t p = 0; p < k; p++) {
		float q = rintf(x[p] * inverse) + zero;
		put_byte(row, p, q > 255 ? 255 : q > 0 ? (int)q : 0);
	}
}

static void i8_right_row(const float *x, size_t k, uint32_t *row)
{
	memset(row, 0, (NARROW_HEAD + (k + 3) / 4) * sizeof *row);
	float most = 0;
	for (size_t p = 0; p < k; p++)
		most = fabsf(x[p]) > most ? fabsf(x[p]) : most;
	float factor = most / 127, inverse = glip__narrow_scale(most, 127);
	int sum = 0;
	for (size_t p = 0; p < k; p++) {
		float q = rintf(x[p] * inverse);
		int value = q >= 127 ? 127 : q > -127 ? (int)q : -127;
		sum += value;
		put_byte(row, p, value);
	}
	memcpy(row, &factor, sizeof factor);
	row[1] = (uint32_t)sum;
}

static void i8_tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias, float *c,
                    size_t ldc, int rows, int cols, const void *ahead)
{
	(void)ahead;
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (size_t i = 0; i < (size_t)rows; i++) {
		const uint32_t *left = a + i * lda;
		for (size_t j = 0; j < (size_t)cols; j++) {
			int64_t sum = -(int64_t)left[1] * (int32_t)panel[NR + j];
			for (size_t p = 0; p < groups * 4; p++) {
				uint32_t l = left[NARROW_HEAD + p / 4] >> p % 4 * 8,
						 r = panel[(NARROW_HEAD + p / 4) * NR + j] >> p % 4 * 8;
				sum += (uint8_t)l * (int8_t)(uint8_t)r;
			}
			double factor = (double)head_factor(left[0]) * (double)head_factor(panel[j]);
			c[i * ldc + j] = (float)(factor * (double)sum + (bias ? (double)bias[j] : 0));
		}
	}
}

static void i16_columns(const float *x, size_t ldx, size_t k, int cols, uint32_t *panel)
{
	memset(panel, 0, (NARROW_HEAD + (k + 1) / 2) * NR * sizeof *panel);
	for (size_t j = 0; j < (size_t)cols; j++) {
		/* The vector kernels' order. */
		float most = 0, squares[2] = {0};
		for (size_t p = 0; p < k; p++) {
			float value = x[p * ldx + j];
			most = fabsf(value) > most ? fabsf(value) : most;
			squares[p % 2] = fmaf(value, value, squares[p % 2]);
		}
		float factor = glip__narrow_i16_factor(most, squares[0] + squares[1]), inverse = factor > 0 ? 1 / factor : 0;
		memcpy(panel + j, &factor, sizeof factor);
		for (size_t p = 0; p < k; p++)
			panel[(NARROW_HEAD + p / 2) * NR + j] |= i16_value(x[p * ldx + j] * inverse) << p % 2 * 16;
	}
}

/* Where the two bytes of value p of a unit's 64 begin in a row's words, and by how much they are shifted. */
enum { PLANES_VALUES = 64, PLANE_WORDS = PLANES_VALUES / 4 };

static void put_planes(uint32_t *words, size_t ld, size_t p, float x)
{
	float q = rintf(x);
	int value = q >= INT16_MAX ? INT16_MAX : q > INT16_MIN ? (int)q : INT16_MIN;
	int high = (value < INT16_MAX - 128 ? value + 128 : INT16_MAX) >> 8;
	uint32_t *word = words + (p / PLANES_VALUES * 2 * PLANE_WORDS + p % PLANES_VALUES / 4) * ld;
	word[0] |= (uint32_t)(high & 0xff) << p % 4 * 8;
	word[PLANE_WORDS * ld] |= (uint32_t)((value - high * 256) & 0xff) << p % 4 * 8;
}

/* k values, ldx apart, to words that are ld apart. */
static void narrow_planes(const float *x, size_t ldx, size_t k, uint32_t *row, size_t ld)
{
	float most = 0;
	for (size_t p = 0; p < k; p++)
		most = fabsf(x[p * ldx]) > most ? fabsf(x[p * ldx]) : most;
	float factor = most / NARROW_PLANES_MOST, inverse = glip__narrow_scale(most, NARROW_PLANES_MOST);
	for (size_t w = 0; w < NARROW_HEAD + (k + PLANES_VALUES - 1) / PLANES_VALUES * 2 * PLANE_WORDS; w++)
		row[w * ld] = 0;
	memcpy(row, &factor, sizeof factor);
	for (size_t p = 0; p < k; p++)
		put_planes(row + NARROW_HEAD * ld, ld, p, x[p * ldx] * inverse);
}

static void planes_row(const float *x, size_t k, uint32_t *row)
{
	narrow_planes(x, 1, k, row, 1);
}

static void planes_columns(const float *x, size_t ldx, size_t k, int cols, uint32_t *panel)
{
	size_t words = NARROW_HEAD + (k + PLANES_VALUES - 1) / PLANES_VALUES * 2 * PLANE_WORDS;
	memset(panel, 0, words * NR * sizeof *panel);
	for (size_t j = 0; j < (size_t)cols; j++)
		narrow_planes(x + j, ldx, k, panel + j, NR);
}

static void planes_tile(size_t groups, const uint32_t *a, size_t lda, const uint32_t *panel, const float *bias,
                        float *c, size_t ldc, int rows, int cols, const void *ahead)
{
	(void)ahead;
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (size_t i = 0; i < (size_t)rows; i++) {
		const uint32_t *left = a + i * lda;
		for (size_t j = 0; j < (size_t)cols; j++) {
			int64_t high = 0, middle = 0;
			for (size_t p = 0; p < groups * 2; p++) {
				size_t word = NARROW_HEAD + p / PLANES_VALUES * 2 * PLANE_WORDS + p % PLANES_VALUES / 4;
				unsigned shift = p % 4 * 8;
				int8_t l[2] = {(int8_t)(uint8_t)(left[word] >> shift),
				               (int8_t)(uint8_t)(left[word + PLANE_WORDS] >> shift)};
				int8_t r[2] = {(int8_t)(uint8_t)(panel[word * NR + j] >> shift),
				               (int8_t)(uint8_t)(panel[(word + PLANE_WORDS) * NR + j] >> shift)};
				high += l[0] * r[0];
				middle += l[0] * r[1] + l[1] * r[0];
			}
			double factor = (double)head_factor(left[0]) * (double)head_factor(panel[j]);
			c[i * ldc + j] = (float)(factor * (double)(high * 65536 + middle * 256) + (bias ? (double)bias[j] : 0));
		}
	}
}

/* The stretches one by one. */
#define LEFT_ROWS(name, row_fn) \
	static void name(const float *x, size_t ldx, size_t rows, size_t k, const float *range, uint32_t *out, size_t ld) \
	{ \
		(void)range; \
		for (size_t i = 0; i < rows; i++) \
			row_fn(x + i * ldx, k, out + i * ld); \
	}
LEFT_ROWS(bf16_left_rows, bf16_row)
LEFT_ROWS(i8_left_rows, i8_left_row)
LEFT_ROWS(i16_left_rows, i16_row)
LEFT_ROWS(planes_left_rows, planes_row)

#define SCALAR_ENTRIES .name = "scalar", .mr = MR, .nr = NR, .left_words = 1, .left_head = NARROW_HEAD, .row_unit = 1

const struct narrow_kernels glip__narrow_bf16_ref = {
	SCALAR_ENTRIES,
	.compute = GLIP_COMPUTE_BF16,
	.group = 2,
	.unit = 1,
	.stretch = NARROW_MAX_K,
	.left_rows = bf16_left_rows,
	.right_row = bf16_row,
	.tile = bf16_tile,
};

const struct narrow_kernels glip__narrow_i8_ref = {
	SCALAR_ENTRIES,
	.compute = GLIP_COMPUTE_I8,
	.group = 4,
	.unit = 1,
	.stretch = NARROW_MAX_K,
	.left_rows = i8_left_rows,
	.right_row = i8_right_row,
	.tile = i8_tile,
};

const struct narrow_kernels glip__narrow_i16_ref = {
	SCALAR_ENTRIES,
	.compute = GLIP_COMPUTE_I16,
	.group = 2,
	.unit = 1,
	.stretch = NARROW_I16_STRETCH,
	.left_rows = i16_left_rows,
	.right_row = i16_row,
	.right_columns = i16_columns,
	.tile = i16_tile,
};

const struct narrow_kernels glip__narrow_planes_ref = {
	SCALAR_ENTRIES,
	.compute = GLIP_COMPUTE_I16,
	.group = 2,
	.unit = 2 * PLANE_WORDS,
	.planes = true,
	.stretch = NARROW_MAX_K,
	.left_rows = planes_left_rows,
	.right_row = planes_row,
	.right_columns = planes_columns,
	.tile = planes_tile,
};
