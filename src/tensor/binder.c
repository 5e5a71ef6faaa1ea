#include <float.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tensor/gguf.h"

/* Past this many, problems are counted but not kept: a model that fits nothing needs no list of thousands. */
enum { MAX_PROBLEMS = 256 };

enum glip_status glip__binder_init(struct binder *b, const struct weights *w, const struct glip_allocator *allocator,
                                   struct glip_error *err)
{
	memset(b, 0, sizeof(*b));
	b->weights = w;
	b->problems.allocator = allocator != NULL ? allocator : &w->allocator;
	b->used = glip__calloc(b->problems.allocator, w->tensor_count, 1);
	if (b->used == NULL)
		return glip__fail_nomem(err, "the list of used tensors", w->tensor_count);
	return GLIP_OK;
}

void glip__binder_free(struct binder *b)
{
	if (b->problems.allocator == NULL)
		return;
	glip__free(b->problems.allocator, b->used);
	glip__buf_free(&b->problems);
	memset(b, 0, sizeof(*b));
}

void glip__binder_note(struct binder *b, const char *format, ...)
{
	char line[256];
	va_list args;

	if (b->problem_count++ >= MAX_PROBLEMS)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!glip__buf_puts(&b->problems, line) || !glip__buf_puts(&b->problems, "\n"))
		b->out_of_memory = true;
}

/* Finds and marks a tensor; a missing one is noted. */
static const struct tensor *lookup(struct binder *b, const char *name)
{
	const struct weights *w = b->weights;
	size_t slot = glip__gguf_slot(&w->tensor_index, w->tensors, sizeof(*w->tensors), name);
	uint32_t entry = w->tensor_index.slots[slot];

	if (entry == 0) {
		glip__binder_note(b, "tensor %s is missing", name);
		return NULL;
	}
	b->used[entry - 1] = 1;
	return &w->tensors[entry - 1].tensor;
}

GLIP_PRINTF(4, 0)
static const void *bind_counted(struct binder *b, int64_t count, enum dtype dtype, const char *format, va_list args)
{
	const struct tensor *t;
	char name[GGUF_NAME_SIZE], shape[96];
	int64_t n;

	vsnprintf(name, sizeof(name), format, args);
	t = lookup(b, name);
	if (t == NULL)
		return NULL;
	glip__tensor_shape_text(t, shape, sizeof(shape));
	if (t->dtype != dtype) {
		glip__binder_note(b, "tensor %s is %s, expected %s", name, glip__dtype_name(t->dtype), glip__dtype_name(dtype));
		return NULL;
	}
	if (!glip__tensor_count(t, &n) || n != count) {
		glip__binder_note(b, "tensor %s is %s, expected %" PRId64 " values", name, shape, count);
		return NULL;
	}
	return t->data;
}

const float *glip__bind_vector(struct binder *b, int64_t count, const char *name_format, ...)
{
	const float *data;
	va_list args;

	va_start(args, name_format);
	data = bind_counted(b, count, DTYPE_F32, name_format, args);
	va_end(args);
	return data;
}

const int32_t *glip__bind_indices(struct binder *b, int64_t count, const char *name_format, ...)
{
	const int32_t *data;
	va_list args;

	va_start(args, name_format);
	data = bind_counted(b, count, DTYPE_I32, name_format, args);
	va_end(args);
	return data;
}

/* The scales of the rows of an 8-bit matrix; NULL, noted, where one is missing or could not have been meant. */
static const float *bind_scale(struct binder *b, int64_t rows, const char *matrix)
{
	const float *scale = glip__bind_vector(b, rows, "%s" WEIGHTS_SCALE_SUFFIX, matrix);

	for (int64_t i = 0; scale != NULL && i < rows; i++) {
		if (scale[i] >= 0.0f && scale[i] <= FLT_MAX)
			continue;
		glip__binder_note(b, "tensor %s" WEIGHTS_SCALE_SUFFIX " has a scale of %g in row %" PRId64, matrix,
		                  (double)scale[i], i);
		return NULL;
	}
	return scale;
}

GLIP_PRINTF(5, 0)
static struct matrix bind_matrix(struct binder *b, int64_t rows, int64_t cols, bool exact, const char *format,
                                 va_list args)
{
	struct matrix m = {.data = NULL,
	                   .rows = rows,
	                   .cols = cols,
	                   .dtype = DTYPE_F32,
	                   .precision = exact ? PRECISION_FLOAT : PRECISION_ANY};
	const struct tensor *t;
	char name[GGUF_NAME_SIZE], shape[96];

	vsnprintf(name, sizeof(name), format, args);
	t = lookup(b, name);
	if (t == NULL)
		return m;
	glip__tensor_shape_text(t, shape, sizeof(shape));
	if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_BF16 && (exact || t->dtype != DTYPE_I8)) {
		glip__binder_note(b, "tensor %s is %s, expected %s", name, glip__dtype_name(t->dtype),
		                  exact ? "f32 or bf16" : "f32, bf16 or i8");
		return m;
	}
	if (t->ndim != 2 || t->shape[0] != rows || t->shape[1] != cols) {
		glip__binder_note(b, "tensor %s is %s, expected %" PRId64 "x%" PRId64, name, shape, rows, cols);
		return m;
	}
	if (t->dtype == DTYPE_I8 && (m.scale = bind_scale(b, rows, name)) == NULL)
		return m;
	m.data = t->data;
	m.dtype = t->dtype;
	m.lasting = true;
	return m;
}

struct matrix glip__bind_matrix(struct binder *b, int64_t rows, int64_t cols, const char *name_format, ...)
{
	struct matrix m;
	va_list args;

	va_start(args, name_format);
	m = bind_matrix(b, rows, cols, false, name_format, args);
	va_end(args);
	return m;
}

struct matrix glip__bind_exact_matrix(struct binder *b, int64_t rows, int64_t cols, const char *name_format, ...)
{
	struct matrix m;
	va_list args;

	va_start(args, name_format);
	m = bind_matrix(b, rows, cols, true, name_format, args);
	va_end(args);
	return m;
}

int glip__bind_int(struct binder *b, const char *key, int low, int high)
{
	int64_t value;

	if (!glip__weights_get_int(b->weights, key, &value)) {
		glip__binder_note(b, "metadata %s is missing or no integer", key);
		return low;
	}
	if (value < low || value > high) {
		glip__binder_note(b, "metadata %s is %" PRId64 ", expected %d to %d", key, value, low, high);
		return low;
	}
	return (int)value;
}

int glip__bind_size(struct binder *b, const char *key, int low, int high, int dim, const char *name)
{
	size_t problems = b->problem_count;
	int value = glip__bind_int(b, key, low, high);
	const struct tensor *t = glip__weights_find(b->weights, name);
	char shape[96];

	if (b->problem_count != problems || t == NULL || (dim < t->ndim && t->shape[dim] == value))
		return value;
	glip__tensor_shape_text(t, shape, sizeof(shape));
	glip__binder_note(b, "metadata %s is %d, but tensor %s is %s", key, value, name, shape);
	return value;
}

void glip__bind_check_count(struct binder *b, const char *key, int count, const char *prefix, const char *suffix)
{
	if (!glip__bind_has(b, "%s.%d.%s", prefix, count - 1, suffix))
		glip__binder_note(b, "metadata %s is %d, but tensor %s.%d.%s is missing", key, count, prefix, count - 1,
		                  suffix);
	else if (glip__bind_has(b, "%s.%d.%s", prefix, count, suffix))
		glip__binder_note(b, "metadata %s is %d, but there is a tensor %s.%d.%s", key, count, prefix, count, suffix);
}

bool glip__bind_has(const struct binder *b, const char *name_format, ...)
{
	char name[GGUF_NAME_SIZE];
	va_list args;

	va_start(args, name_format);
	vsnprintf(name, sizeof(name), name_format, args);
	va_end(args);
	return glip__weights_find(b->weights, name) != NULL;
}

enum glip_status glip__binder_finish(struct binder *b, struct glip_error *err)
{
	struct buf text = {.allocator = b->problems.allocator};
	enum glip_status status;

	if (b->out_of_memory)
		return glip__fail_nomem(err, "the list of problems of the model file", b->problems.length);
	if (b->problem_count == 0)
		return GLIP_OK;
	/* One line for the message, which glip__fail cuts where it is full. */
	if (!glip__buf_append(&text, b->problems.data, b->problems.length - 1) || !glip__buf_puts(&text, "")) {
		glip__buf_free(&text);
		return glip__fail_nomem(err, "the list of problems of the model file", b->problems.length);
	}
	for (char *p = text.data; *p; p++)
		if (*p == '\n')
			*p = ';';
	status = glip__fail(err, GLIP_ERR_MODEL, "%s: %zu problem%s: %s", b->weights->path, b->problem_count,
	                    b->problem_count > 1 ? "s" : "", text.data);
	glip__buf_free(&text);
	return status;
}
