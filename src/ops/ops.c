#include "ops/ops_internal.h"

void *glip__ops_alloc(struct ops *ops, size_t count, size_t size)
{
	void *data = glip__arena_alloc(ops->arena, count, size);
	if (!data) {
		size_t bytes;
		if (!glip__mul_size(count, size, &bytes))
			bytes = SIZE_MAX;
		glip__fail_nomem(ops->err, "scratch memory", bytes);
	}
	return data;
}

float *glip__ops_floats(struct ops *ops, size_t count)
{
	return glip__ops_alloc(ops, count, sizeof(float));
}

enum glip_status glip__ops_begin(struct ops *ops)
{
	if (ops->cancelled && ops->cancelled(ops->cancel_user))
		return glip__fail(ops->err, GLIP_ERR_CANCELLED, "cancelled by the caller");
	return GLIP_OK;
}

enum glip_status glip__worker_scratch(struct ops *ops, size_t floats, struct worker_scratch *out)
{
	/* One line more than needed: slices a multiple of 4 KiB apart would fight over the same cache sets. */
	size_t bytes = SIZE_MAX, padded = SIZE_MAX;
	if (!glip__mul_size(floats, sizeof(float), &bytes) || !glip__add_size(bytes, 128, &padded))
		return glip__fail_nomem(ops->err, "scratch memory", bytes);
	out->stride = padded / 64 * 64;
	out->data = glip__ops_alloc(ops, out->stride, (size_t)glip__pool_threads(ops->pool));
	return out->data ? GLIP_OK : GLIP_ERR_NOMEM;
}
