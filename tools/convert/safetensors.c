/* safetensors: an 8-byte length, a JSON header of that many bytes that gives type, shape and place of each tensor,
 * data. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "json_read.h"

bool safetensors_probe(const uint8_t *head, size_t size, uint64_t file_size)
{
	return size >= 9 && head[8] == '{' && little_endian(head, 8) <= file_size - 8;
}

static enum glip_status read_list(struct json_reader *j, int64_t *out, int max, int *count)
{
	*count = 0;
	TRY(json_read_expect(j, '['));
	if (json_read_accept(j, ']'))
		return GLIP_OK;
	do {
		if (*count == max)
			return glip__fail(j->err, GLIP_ERR_FORMAT, "%s: JSON header: a list of more than %d numbers at byte %zu",
			                  j->path, max, (size_t)(j->at - j->text));
		TRY(json_read_count(j, &out[(*count)++]));
	} while (json_read_accept(j, ','));
	return json_read_expect(j, ']');
}

/* The value of one tensor's key; seen collects dtype, shape, data_offsets. */
struct description {
	char dtype[16];
	size_t dtype_length;
	int64_t range[2];
	unsigned seen;
};

static enum glip_status read_field(struct json_reader *j, struct checkpoint_tensor *t, struct description *d)
{
	char key[32];
	size_t length;
	unsigned bit;
	int count;

	TRY(json_read_string(j, key, sizeof(key), &length));
	TRY(json_read_expect(j, ':'));
	if (strcmp(key, "dtype") == 0) {
		bit = 1;
		TRY(json_read_string(j, d->dtype, sizeof(d->dtype), &d->dtype_length));
	} else if (strcmp(key, "shape") == 0) {
		bit = 2;
		TRY(read_list(j, t->shape, CHECKPOINT_MAX_DIMS, &t->ndim));
	} else if (strcmp(key, "data_offsets") == 0) {
		bit = 4;
		TRY(read_list(j, d->range, 2, &count));
		if (count != 2)
			bit = 0;
	} else {
		return glip__fail(j->err, GLIP_ERR_FORMAT, "%s: JSON header: unknown key %s at byte %zu", j->path, key,
		                  (size_t)(j->at - j->text));
	}
	if (bit == 0 || (d->seen & bit) != 0)
		return glip__fail(j->err, GLIP_ERR_FORMAT, "%s: JSON header: %s is wrong or stands there twice at byte %zu",
		                  j->path, key, (size_t)(j->at - j->text));
	d->seen |= bit;
	return GLIP_OK;
}

/* Row-major; a product past 64 bits becomes the largest number, which no storage can hold. */
static void set_strides(struct checkpoint_tensor *t)
{
	int64_t stride = 1;

	for (int i = t->ndim; i-- > 0;) {
		t->stride[i] = stride;
		stride = t->shape[i] > 0 && stride > INT64_MAX / t->shape[i] ? INT64_MAX : stride * t->shape[i];
	}
}

static enum glip_status read_entry(struct checkpoint *c, struct json_reader *j, const char *name, size_t name_length,
                                   uint64_t data, struct glip_error *err)
{
	struct checkpoint_tensor t = {0};
	struct description d = {0};
	uint64_t bytes;

	TRY(json_read_expect(j, '{'));
	do {
		TRY(read_field(j, &t, &d));
	} while (json_read_accept(j, ','));
	TRY(json_read_expect(j, '}'));
	if (d.seen != 7)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s lacks its dtype, shape or data_offsets", c->source.path,
		                  name);
	if (d.range[0] > d.range[1] || (uint64_t)d.range[1] > c->source.size - data)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s lies outside the file: truncated?", c->source.path,
		                  name);
	bytes = (uint64_t)(d.range[1] - d.range[0]);
	if (!element_by_safetensors(d.dtype, d.dtype_length, &t.element)) {
		TRY(checkpoint_problem(c, &t, err, "is of type %s, which is not supported", d.dtype));
		return checkpoint_add(c, name, name_length, &t, err);
	}
	t.storage_offset = data + (uint64_t)d.range[0];
	t.storage_count = bytes / element_size(t.element);
	set_strides(&t);
	TRY(checkpoint_check(c, &t, err));
	if (t.problem == NULL && (uint64_t)t.count * element_size(t.element) != bytes)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s has %" PRIu64 " bytes, its shape needs %" PRIu64,
		                  c->source.path, name, bytes, (uint64_t)t.count * element_size(t.element));
	return checkpoint_add(c, name, name_length, &t, err);
}

static int by_place(const void *a, const void *b)
{
	const struct checkpoint_tensor *x = *(const struct checkpoint_tensor *const *)a;
	const struct checkpoint_tensor *y = *(const struct checkpoint_tensor *const *)b;

	return (x->storage_offset > y->storage_offset) - (x->storage_offset < y->storage_offset);
}

static enum glip_status check_overlap(const struct checkpoint *c, struct glip_error *err)
{
	const struct checkpoint_tensor **order = glip__malloc(c->allocator, c->count, sizeof(*order));
	enum glip_status status = GLIP_OK;

	if (order == NULL)
		return glip__fail_nomem(err, "the list of tensors", c->count * sizeof(*order));
	for (size_t i = 0; i < c->count; i++)
		order[i] = checkpoint_at(c, i);
	qsort(order, c->count, sizeof(*order), by_place);
	for (size_t i = 1; i < c->count && status == GLIP_OK; i++)
		if (order[i]->storage_offset <
		    order[i - 1]->storage_offset + order[i - 1]->storage_count * element_size(order[i - 1]->element))
			status = glip__fail(err, GLIP_ERR_FORMAT, "%s: tensors %s and %s overlap", c->source.path,
			                    order[i - 1]->name, order[i]->name);
	glip__free(c->allocator, order);
	return status;
}

enum glip_status safetensors_read(struct checkpoint *c, struct glip_error *err)
{
	uint8_t head[8];
	uint64_t size;
	char *text, name[512];
	size_t length;
	struct json_reader j;
	enum glip_status status = GLIP_OK;

	TRY(byte_source_read(&c->source, 0, head, sizeof(head), err));
	size = little_endian(head, 8);
	if (size > c->source.size - 8 || size > CHECKPOINT_MAX_HEADER)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: a header of %" PRIu64 " bytes is more than the file or %d",
		                  c->source.path, size, CHECKPOINT_MAX_HEADER);
	text = glip__malloc(c->allocator, (size_t)size, 1);
	if (text == NULL)
		return glip__fail_nomem(err, "the header", (size_t)size);
	TRY_OUT(byte_source_read(&c->source, 8, text, (size_t)size, err));
	j = (struct json_reader){.text = text, .end = text + size, .at = text, .path = c->source.path, .err = err};
	TRY_OUT(json_read_expect(&j, '{'));
	if (!json_read_accept(&j, '}')) {
		do {
			TRY_OUT(json_read_string(&j, name, sizeof(name), &length));
			TRY_OUT(json_read_expect(&j, ':'));
			if (strcmp(name, "__metadata__") == 0)
				TRY_OUT(json_read_skip(&j));
			else
				TRY_OUT(read_entry(c, &j, name, length, 8 + size, err));
		} while (json_read_accept(&j, ','));
		TRY_OUT(json_read_expect(&j, '}'));
	}
	TRY_OUT(json_read_finish(&j));
	TRY_OUT(check_overlap(c, err));
out:
	glip__free(c->allocator, text);
	return status;
}
