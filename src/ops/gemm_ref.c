/* Product kernels in plain C, accumulated in double, and the table of all plain kernels. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/ref.h"

enum { MR = 4, NR = 16 };

float glip__widen_bf16(uint16_t bits)
{
	uint32_t wide = (uint32_t)bits << 16;
	float value;
	memcpy(&value, &wide, sizeof value);
	return value;
}

static float element(const void *b, enum dtype dtype, size_t i)
{
	if (dtype == DTYPE_BF16)
		return glip__widen_bf16(((const uint16_t *)b)[i]);
	return ((const float *)b)[i];
}

void glip__gemm_tile__ref(size_t k, const float *a, size_t lda, const float *panel, const float *init, size_t init_ld,
                          float *c, size_t ldc, int rows, int cols, const void *ahead)
{
	(void)ahead;
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	for (int i = 0; i < rows; i++) {
		double sum[NR] = {0};
		for (int j = 0; j < cols && init; j++)
			sum[j] = (double)init[(size_t)i * init_ld + (size_t)j];
		for (size_t p = 0; p < k; p++) {
			double left = (double)a[(size_t)i * lda + p];
			for (size_t j = 0; j < NR; j++)
				sum[j] += left * (double)panel[p * NR + j];
		}
		for (int j = 0; j < cols; j++)
			c[(size_t)i * ldc + (size_t)j] = (float)sum[j];
	}
}

void glip__pack_columns__ref(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel)
{
	for (size_t p = 0; p < k; p++)
		for (size_t j = 0; j < NR; j++)
			panel[p * NR + j] = j < (size_t)cols ? element(b, dtype, j * ldb + p) : 0;
}

void glip__pack_rows__ref(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel)
{
	for (size_t p = 0; p < k; p++)
		for (size_t j = 0; j < NR; j++)
			panel[p * NR + j] = j < (size_t)cols ? element(b, dtype, p * ldb + j) : 0;
}

void glip__transpose__ref(const float *x, size_t ldx, size_t rows, size_t cols, float *y, size_t ldy)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
			y[j * ldy + i] = x[i * ldx + j];
}

/* torch.nn.functional.linear */
void glip__dot_rows__ref(size_t k, const float *a, size_t lda, int rows, const void *b, enum dtype dtype, size_t ldb,
                         int cols, const float *bias, float *c, size_t ldc)
{
	for (size_t i = 0; i < (size_t)rows; i++) {
		for (size_t j = 0; j < (size_t)cols; j++) {
			double sum = bias ? (double)bias[j] : 0;
			for (size_t p = 0; p < k; p++)
				sum += (double)a[i * lda + p] * (double)element(b, dtype, j * ldb + p);
			c[i * ldc + j] = (float)sum;
		}
	}
}

void glip__sample__ref(const float *x, size_t ldx, const int32_t *index, const float *blend, const int32_t *next,
                       size_t taps, size_t n, float *out, float *range)
{
	float low = 0, high = 0;
	(void)next;
	for (size_t t = 0; t < taps; t++, index += 4, blend += 4, out += n) {
		for (size_t j = 0; j < n; j++) {
			double sum = 0;
			for (int q = 0; q < 4; q++)
				if (index[q] >= 0 && blend[q] != 0)
					sum += (double)blend[q] * (double)x[(size_t)index[q] * ldx + j];
			out[j] = (float)sum;
			low = out[j] < low ? out[j] : low;
			high = out[j] > high ? out[j] : high;
		}
	}
	if (range) {
		range[0] = low;
		range[1] = high;
	}
}

static double activate(enum activation act, double x)
{
	switch (act) {
	case ACT_RELU: return x < 0 ? 0 : x;
	case ACT_GELU: /* torch.nn.functional.gelu(approximate="none") */
		return x * 0.5 * (1 + erf(x * 0.70710678118654752440));
	case ACT_NONE: break;
	}
	return x;
}

void glip__finish__ref(const struct finish *f, float *in, size_t ld_in, int rows, int cols,
                       const float *const *residual, float *const *out)
{
	for (size_t i = 0; i < (size_t)rows; i++) {
		for (size_t j = 0; j < (size_t)cols && out[i]; j++) {
			double v = activate(f->act, (double)in[i * ld_in + j]);
			if (f->scale)
				v *= (double)f->scale[j];
			if (residual)
				v += (double)residual[i][j];
			out[i][j] = (float)v;
		}
	}
}

const struct kernels glip__kernels_ref = {
	.name = "scalar",
	.flag = GLIP_CPU_SCALAR,
	.mr = MR,
	.nr = NR,
	.gemm_tile = glip__gemm_tile__ref,
	.pack_columns = glip__pack_columns__ref,
	.pack_rows = glip__pack_rows__ref,
	.transpose = glip__transpose__ref,
	.dot_rows = glip__dot_rows__ref,
	.sample = glip__sample__ref,
	.finish = glip__finish__ref,
	.layer_norm = glip__layer_norm__ref,
	.softmax = glip__softmax__ref,
	.column_max = glip__column_max__ref,
	.column_exp = glip__column_exp__ref,
	.column_sums = glip__column_sums__ref,
	.add = glip__add__ref,
	.lerp = glip__lerp__ref,
	.clamp = glip__clamp__ref,
	.relu = glip__relu__ref,
	.sigmoid = glip__sigmoid__ref,
	.dyrelu_row = glip__dyrelu_row__ref,
};
