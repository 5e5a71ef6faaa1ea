/* The layer norm. */
#include "ops/ops_internal.h"

enum { GRAIN_FLOATS = 8192 }; /* of a piece */

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
	TRY(glip__ops_begin(ops));
	if (rows < 0 || n < 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "layer norm of %lld rows of %lld values", (long long)rows,
		                  (long long)n);
	if (n == 0)
		return GLIP_OK;
	size_t grain = GRAIN_FLOATS / (size_t)n;
	struct norm_task t = {ops->kernels, {weight, bias, eps}, x, (size_t)n, y};
	glip__pool_run(ops->pool, norm_rows, &t, (size_t)rows, grain ? grain : 1);
	return GLIP_OK;
}
