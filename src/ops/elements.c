/* Operators on single values. */
#include "ops/ops_internal.h"

enum { GRAIN_FLOATS = 16384 };

struct element_task {
	const struct kernels *kernels;
	const float *x;
	float *y;
	float low, high;
};

static enum glip_status check_count(struct ops *ops, int64_t count)
{
	TRY(glip__ops_begin(ops));
	if (count < 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "an operation on %lld values", (long long)count);
	return GLIP_OK;
}

static void clamp_values(void *context, size_t begin, size_t end, int worker)
{
	const struct element_task *t = context;
	(void)worker;
	t->kernels->clamp(t->y + begin, end - begin, t->low, t->high);
}

enum glip_status glip__clamp(struct ops *ops, float *x, int64_t count, float low, float high)
{
	struct element_task t = {.kernels = ops->kernels, .y = x, .low = low, .high = high};
	TRY(check_count(ops, count));
	glip__pool_run(ops->pool, clamp_values, &t, (size_t)count, GRAIN_FLOATS);
	return GLIP_OK;
}

static void relu_values(void *context, size_t begin, size_t end, int worker)
{
	const struct element_task *t = context;
	(void)worker;
	t->kernels->relu(t->x + begin, end - begin, t->y + begin);
}

enum glip_status glip__relu(struct ops *ops, const float *x, int64_t count, float *y)
{
	struct element_task t = {.kernels = ops->kernels, .x = x, .y = y};
	TRY(check_count(ops, count));
	glip__pool_run(ops->pool, relu_values, &t, (size_t)count, GRAIN_FLOATS);
	return GLIP_OK;
}
