#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	size_t size;
	const char *name;
} dtypes[DTYPE_COUNT] = {
	[DTYPE_F32] = {4, "f32"}, [DTYPE_F16] = {2, "f16"}, [DTYPE_BF16] = {2, "bf16"},
	[DTYPE_I8] = {1, "i8"},   [DTYPE_I32] = {4, "i32"}, [DTYPE_I64] = {8, "i64"},
};

size_t glip__dtype_size(enum dtype dtype)
{
	return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].size : 0;
}

const char *glip__dtype_name(enum dtype dtype)
{
	return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

bool glip__tensor_count(const struct tensor *t, int64_t *count)
{
	int64_t n = 1;
	bool empty = false;

	for (int i = 0; i < t->ndim; i++) {
		int64_t d = t->shape[i];
		if (d < 0)
			return false;
		if (d == 0) {
			empty = true;
			continue;
		}
		if (n > INT64_MAX / d)
			return false;
		n *= d;
	}
	*count = empty ? 0 : n;
	return true;
}

void glip__tensor_shape_text(const struct tensor *t, char *out, size_t size)
{
	size_t at = 0;

	if (size == 0)
		return;
	if (t->ndim == 0) {
		snprintf(out, size, "scalar");
		return;
	}
	out[0] = '\0';
	for (int i = 0; i < t->ndim && at < size; i++) {
		int n = snprintf(out + at, size - at, "%s%" PRId64, i ? "x" : "", t->shape[i]);
		if (n < 0)
			return;
		at += (size_t)n;
	}
}
