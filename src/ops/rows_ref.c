/* Row and element kernels in plain C, accumulated in double. */
#include <math.h>
#include <string.h>

#include "ops/ref.h"

static void norm_row(const struct norm *m, const float *x, size_t n, float *y)
{
	double sum = 0, square = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)x[i];
	double mean = sum / (double)n;
	for (size_t i = 0; i < n; i++) {
		double d = (double)x[i] - mean;
		square += d * d;
	}
	double inverse = 1 / sqrt(square / (double)n + (double)m->eps);
	for (size_t i = 0; i < n; i++)
		y[i] = (float)(((double)x[i] - mean) * inverse * (double)m->weight[i] + (double)m->bias[i]);
}

/* torch.nn.functional.layer_norm over each row. */
void glip__layer_norm__ref(const struct norm *m, const float *x, size_t ldx, const int32_t *index, size_t rows,
                           size_t n, float *y, size_t ldy)
{
	for (size_t row = 0; row < rows; row++, y += ldy) {
		if (index && index[row] < 0)
			memset(y, 0, n * sizeof *y);
		else
			norm_row(m, x + (index ? (size_t)index[row] : row) * ldx, n, y);
	}
}

static void softmax_row(float *x, size_t n)
{
	float top = x[0];
	for (size_t i = 1; i < n; i++)
		top = x[i] > top ? x[i] : top;
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += exp((double)x[i] - (double)top);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(exp((double)x[i] - (double)top) / sum);
}

/* torch.softmax of each row, and what stands before it in an attention. */
void glip__softmax__ref(const struct scores *s, float *x, size_t ldx, size_t rows, size_t n)
{
	for (size_t row = 0; row < rows; row++, x += ldx) {
		for (size_t i = 0; i < n; i++) {
			float v = x[i] * s->scale;
			if (s->clamp > 0)
				v = v < -s->clamp ? -s->clamp : v > s->clamp ? s->clamp : v;
			if (s->bias)
				v += s->bias[row * s->bias_ld + i];
			if (s->region && s->region[i] != s->own_region[row])
				v -= 100;
			x[i] = v;
		}
		softmax_row(x, n);
	}
}

void glip__column_max__ref(const float *x, size_t rows, size_t n, float *top)
{
	for (size_t r = 0; r < rows; r++)
		for (size_t j = 0; j < n; j++)
			top[j] = x[r * n + j] > top[j] ? x[r * n + j] : top[j];
}

void glip__column_exp__ref(float *x, size_t rows, size_t n, const float *top, double *sum)
{
	for (size_t r = 0; r < rows; r++) {
		for (size_t j = 0; j < n; j++) {
			x[r * n + j] = (float)exp((double)x[r * n + j] - (double)top[j]);
			sum[j] += (double)x[r * n + j];
		}
	}
}

void glip__column_sums__ref(const float *x, size_t rows, size_t n, double *sum, double *square)
{
	for (size_t r = 0; r < rows; r++) {
		for (size_t j = 0; j < n; j++) {
			double v = (double)x[r * n + j];
			sum[j] += v;
			square[j] += v * v;
		}
	}
}

void glip__add__ref(const float *x, size_t n, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] += x[i];
}

void glip__lerp__ref(const float *x0, const float *x1, float part, size_t n, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (float)((double)x0[i] + (double)part * ((double)x1[i] - (double)x0[i]));
}

/* torch.clamp: not-a-number stays. */
void glip__clamp__ref(float *x, size_t n, float low, float high)
{
	for (size_t i = 0; i < n; i++)
		x[i] = x[i] < low ? low : x[i] > high ? high : x[i];
}

/* torch.relu */
void glip__relu__ref(const float *x, size_t n, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] < 0 ? 0 : x[i];
}

/* torch.sigmoid */
void glip__sigmoid__ref(const float *x, size_t n, float *y)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (float)(1 / (1 + exp(-(double)x[i])));
}

void glip__dyrelu_row__ref(const struct dyrelu_sum *d, const float *const *source, float *out)
{
	size_t n = (size_t)d->channels;
	for (size_t c = 0; c < n; c++) {
		double x = (double)d->shift[c];
		for (int s = 0; s < d->sources; s++)
			x += (double)d->scale[s][c] * (double)source[s][c];
		double first = (double)d->a1[c] * x + (double)d->b1[c], second = (double)d->a2[c] * x + (double)d->b2[c];
		out[c] = (float)(first < second ? second : first);
	}
}
