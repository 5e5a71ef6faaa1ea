/* Operators on rows: normalisations and softmax. */
#include <math.h>
#include <string.h>

#include "ops/ops_internal.h"

enum {
	GRAIN_FLOATS = 8192, /* of a piece where rows are independent */
	COLUMN_ROWS = 256    /* rows of a piece where columns are reduced */
};

static size_t row_grain(size_t n)
{
	size_t grain = GRAIN_FLOATS / (n ? n : 1);
	return grain ? grain : 1;
}

static enum glip_status check_rows(struct ops *ops, const char *what, int64_t rows, int64_t n)
{
	TRY(glip__ops_begin(ops));
	if (rows < 0 || n < 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "%s of %lld rows of %lld values", what, (long long)rows,
		                  (long long)n);
	return GLIP_OK;
}

struct norm_task {
	const struct kernels *kernels;
	struct norm norm;
	const float *x;
	size_t n;
	float *y;
};

static void norm_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct norm_task *t = context;
	(void)worker;
	t->kernels->layer_norm(&t->norm, t->x + begin * t->n, t->n, NULL, end - begin, t->n, t->y + begin * t->n, t->n);
}

enum glip_status glip__layer_norm(struct ops *ops, const float *x, int64_t rows, int64_t n, const float *weight,
                                  const float *bias, float eps, float *y)
{
	TRY(check_rows(ops, "layer norm", rows, n));
	if (n == 0)
		return GLIP_OK;
	struct norm_task t = {ops->kernels, {weight, bias, eps}, x, (size_t)n, y};
	glip__pool_run(ops->pool, norm_rows, &t, (size_t)rows, row_grain((size_t)n));
	return GLIP_OK;
}

struct softmax_task {
	const struct kernels *kernels;
	float *x;
	size_t n;
};

static void softmax_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct softmax_task *t = context;
	const struct scores plain = {.scale = 1};
	(void)worker;
	t->kernels->softmax(&plain, t->x + begin * t->n, t->n, end - begin, t->n);
}

enum glip_status glip__softmax(struct ops *ops, float *x, int64_t count, int64_t n)
{
	TRY(check_rows(ops, "softmax", count, n));
	if (n == 0)
		return GLIP_OK;
	struct softmax_task t = {ops->kernels, x, (size_t)n};
	glip__pool_run(ops->pool, softmax_rows, &t, (size_t)count, row_grain((size_t)n));
	return GLIP_OK;
}

/* Columns are reduced piece by piece of COLUMN_ROWS rows, and the pieces in order. */
struct column_task {
	const struct kernels *kernels;
	const float *x;
	float *writable;
	size_t rows, n;
	float *top;    /* [pieces, n], then [n] */
	double *sum;   /* [pieces, n] */
	float *factor; /* [n] */
};

static void column_tops(void *context, size_t begin, size_t end, int worker)
{
	const struct column_task *t = context;
	(void)worker;
	for (size_t row = begin; row < end; row += COLUMN_ROWS) {
		float *top = t->top + row / COLUMN_ROWS * t->n;
		memcpy(top, t->x + row * t->n, t->n * sizeof(float));
		t->kernels->column_max(t->x + row * t->n, glip__min_size(COLUMN_ROWS, end - row), t->n, top);
	}
}

static void column_exps(void *context, size_t begin, size_t end, int worker)
{
	const struct column_task *t = context;
	(void)worker;
	for (size_t row = begin; row < end; row += COLUMN_ROWS) {
		double *sum = t->sum + row / COLUMN_ROWS * t->n;
		memset(sum, 0, t->n * sizeof(double));
		t->kernels->column_exp(t->writable + row * t->n, glip__min_size(COLUMN_ROWS, end - row), t->n, t->top, sum);
	}
}

static void column_scales(void *context, size_t begin, size_t end, int worker)
{
	const struct column_task *t = context;
	(void)worker;
	t->kernels->column_scale(t->writable + begin * t->n, end - begin, t->n, t->factor);
}

enum glip_status glip__softmax_columns(struct ops *ops, float *x, int64_t rows, int64_t n)
{
	TRY(check_rows(ops, "softmax over columns", rows, n));
	if (rows == 0 || n == 0)
		return GLIP_OK;
	struct column_task t = {.kernels = ops->kernels, .x = x, .writable = x, .rows = (size_t)rows, .n = (size_t)n};
	size_t pieces = glip__ceil_div(t.rows, COLUMN_ROWS);
	struct arena_mark mark = glip__arena_mark(ops->arena);
	t.top = glip__ops_alloc(ops, pieces, t.n * sizeof(float));
	t.sum = t.top ? glip__ops_alloc(ops, pieces, t.n * sizeof(double)) : NULL;
	t.factor = t.sum ? glip__ops_floats(ops, t.n) : NULL;
	if (!t.factor) {
		glip__arena_release(ops->arena, mark);
		return GLIP_ERR_NOMEM;
	}
	glip__pool_run(ops->pool, column_tops, &t, t.rows, COLUMN_ROWS);
	t.kernels->column_max(t.top, pieces, t.n, t.top);
	glip__pool_run(ops->pool, column_exps, &t, t.rows, COLUMN_ROWS);
	for (size_t j = 0; j < t.n; j++) {
		double sum = 0;
		for (size_t i = 0; i < pieces; i++)
			sum += t.sum[i * t.n + j];
		t.factor[j] = (float)(1 / sum);
	}
	glip__pool_run(ops->pool, column_scales, &t, t.rows, COLUMN_ROWS);
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}
