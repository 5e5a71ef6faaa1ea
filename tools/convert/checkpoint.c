#include "checkpoint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "zip.h"

enum { PIECE = 1 << 20 }; /* bytes read at a time, at most */

enum glip_status checkpoint_open(const char *path, const struct glip_allocator *allocator, struct checkpoint *out,
                                 struct glip_error *err)
{
	enum glip_status status;
	uint8_t head[16];
	size_t length;

	*out = (struct checkpoint){.allocator = allocator, .tensors = {.allocator = allocator}};
	TRY(byte_source_open(path, &out->source, err));
	glip__arena_init(&out->texts, allocator);
	strmap_init(&out->names, allocator);
	length = out->source.size < sizeof(head) ? (size_t)out->source.size : sizeof(head);
	status = byte_source_read(&out->source, 0, head, length, err);
	if (status != GLIP_OK) {
		checkpoint_close(out);
		return status;
	}
	if (length == 0) {
		status = glip__fail(err, GLIP_ERR_FORMAT, "%s: the file is empty", path);
	} else if (zip_probe(head, length)) {
		out->format = "torch zip";
		status = torch_zip_read(out, err);
	} else if (torch_legacy_probe(head, length)) {
		out->format = "torch legacy";
		status = torch_legacy_read(out, err);
	} else if (safetensors_probe(head, length, out->source.size)) {
		out->format = "safetensors";
		status = safetensors_read(out, err);
	} else {
		status = glip__fail(err, GLIP_ERR_FORMAT, "%s: neither a torch checkpoint (.pth) nor safetensors", path);
	}
	if (status == GLIP_OK && out->count == 0)
		status = glip__fail(err, GLIP_ERR_FORMAT, "%s: there are no tensors in it", path);
	if (status != GLIP_OK)
		checkpoint_close(out);
	return status;
}

void checkpoint_close(struct checkpoint *c)
{
	if (c->allocator == NULL)
		return;
	byte_source_close(&c->source);
	glip__arena_free(&c->texts);
	glip__buf_free(&c->tensors);
	strmap_free(&c->names);
	*c = (struct checkpoint){.source = {.fd = -1}};
}

const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *c, size_t index)
{
	return (const struct checkpoint_tensor *)(const void *)c->tensors.data + index;
}

const struct checkpoint_tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
	size_t number;

	return strmap_find(&c->names, name, strlen(name), &number) ? checkpoint_at(c, number) : NULL;
}

enum glip_status checkpoint_add(struct checkpoint *c, const char *name, size_t length, struct checkpoint_tensor *t,
                                struct glip_error *err)
{
	size_t number, bad;
	bool is_new;
	char *copy;

	if (length >= 7 && memcmp(name, "module.", 7) == 0) {
		name += 7;
		length -= 7;
	}
	if (length == 0 || length > 500 || glip__utf8_count(name, length, &bad) < 0 || memchr(name, 0, length) != NULL)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the name of tensor %zu is empty, too long or no text",
		                  c->source.path, c->count);
	if (c->count >= CHECKPOINT_MAX_TENSORS)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: more than %d tensors", c->source.path, CHECKPOINT_MAX_TENSORS);
	copy = glip__arena_alloc(&c->texts, length + 1, 1);
	if (copy == NULL)
		return glip__fail_nomem(err, "the names of the tensors", length + 1);
	memcpy(copy, name, length);
	copy[length] = '\0';
	if (!strmap_add(&c->names, copy, length, &number, &is_new))
		return glip__fail_nomem(err, "the names of the tensors", c->count);
	if (!is_new)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s stands there twice", c->source.path, copy);
	t->name = copy;
	if (!glip__buf_append(&c->tensors, t, sizeof(*t)))
		return glip__fail_nomem(err, "the list of tensors", c->tensors.length);
	c->count++;
	return GLIP_OK;
}

enum glip_status checkpoint_problem(struct checkpoint *c, struct checkpoint_tensor *t, struct glip_error *err,
                                    const char *format, ...)
{
	char text[200], *copy;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	copy = glip__arena_alloc(&c->texts, strlen(text) + 1, 1);
	if (copy == NULL)
		return glip__fail_nomem(err, "a message", sizeof(text));
	memcpy(copy, text, strlen(text) + 1);
	t->problem = copy;
	return GLIP_OK;
}

enum glip_status checkpoint_check(struct checkpoint *c, struct checkpoint_tensor *t, struct glip_error *err)
{
	uint64_t last = t->first;
	int64_t count = 1;

	if (t->storage_offset > c->source.size ||
	    t->storage_count > (c->source.size - t->storage_offset) / element_size(t->element))
		return checkpoint_problem(c, t, err, "has a storage that reaches past the end of the file: truncated?");
	for (int i = 0; i < t->ndim; i++) {
		if (t->shape[i] < 0 || t->stride[i] < 0)
			return checkpoint_problem(c, t, err, "has a negative size or stride");
		if (t->shape[i] == 0)
			return checkpoint_problem(c, t, err, "is empty");
		/* A tensor larger than its whole file can only come from strides of 0: no weight does. */
		if ((uint64_t)t->shape[i] > c->source.size / (uint64_t)count)
			return checkpoint_problem(c, t, err, "is larger than its file");
		count *= t->shape[i];
		if (t->shape[i] > 1 && t->stride[i] > 0) {
			if ((uint64_t)(t->shape[i] - 1) > t->storage_count / (uint64_t)t->stride[i])
				return checkpoint_problem(c, t, err, "reaches past its storage");
			last += (uint64_t)(t->shape[i] - 1) * (uint64_t)t->stride[i];
		}
		if (last >= t->storage_count)
			return checkpoint_problem(c, t, err, "reaches past its storage");
	}
	if (last >= t->storage_count)
		return checkpoint_problem(c, t, err, "reaches past its storage");
	t->count = count;
	return GLIP_OK;
}

static bool is_contiguous(const struct checkpoint_tensor *t)
{
	int64_t expected = 1;

	for (int i = t->ndim; i-- > 0;) {
		if (t->shape[i] != 1 && t->stride[i] != expected)
			return false;
		expected *= t->shape[i];
	}
	return true;
}

static enum glip_status read_contiguous(const struct checkpoint *c, const struct checkpoint_tensor *t, float *out,
                                        struct glip_error *err)
{
	size_t size = element_size(t->element), step = PIECE / size;
	uint64_t offset = t->storage_offset + t->first * size;
	size_t room = (uint64_t)t->count < step ? (size_t)t->count * size : PIECE;
	uint8_t *piece = glip__malloc(c->allocator, room, 1);
	enum glip_status status = GLIP_OK;
	uint32_t crc = 0;

	if (piece == NULL)
		return glip__fail_nomem(err, "a piece of the checkpoint", room);
	for (uint64_t done = 0; done < (uint64_t)t->count; done += step) {
		size_t n = (uint64_t)t->count - done < step ? (size_t)((uint64_t)t->count - done) : step;
		TRY_OUT(byte_source_read(&c->source, offset + done * size, piece, n * size, err));
		elements_to_f32(t->element, piece, n, out + done);
		if (t->crc != 0)
			crc = zip_crc(crc, piece, n * size);
	}
	/* The sum is over the whole storage; a tensor nearly always is all of it. */
	if (t->crc != 0 && t->first == 0 && (uint64_t)t->count == t->storage_count && crc != t->crc)
		status =
			glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s is damaged: its checksum differs", c->source.path, t->name);
out:
	glip__free(c->allocator, piece);
	return status;
}

/* Reads the part of the storage that the tensor spans, then gathers. */
static enum glip_status read_strided(const struct checkpoint *c, const struct checkpoint_tensor *t, float *out,
                                     struct glip_error *err)
{
	size_t size = element_size(t->element);
	int64_t index[CHECKPOINT_MAX_DIMS] = {0};
	uint64_t span = 1, at = 0;
	enum glip_status status = GLIP_OK;
	uint8_t *bytes;

	for (int i = 0; i < t->ndim; i++)
		span += (uint64_t)(t->shape[i] - 1) * (uint64_t)t->stride[i];
	bytes = span > SIZE_MAX ? NULL : glip__malloc(c->allocator, (size_t)span, size);
	if (bytes == NULL)
		return glip__fail_nomem(err, t->name, (size_t)span * size);
	TRY_OUT(byte_source_read(&c->source, t->storage_offset + t->first * size, bytes, (size_t)span * size, err));
	for (int64_t done = 0; done < t->count; done++) {
		elements_to_f32(t->element, bytes + (size_t)at * size, 1, &out[done]);
		for (int i = t->ndim; i-- > 0;) {
			at += (uint64_t)t->stride[i];
			if (++index[i] < t->shape[i])
				break;
			at -= (uint64_t)t->shape[i] * (uint64_t)t->stride[i];
			index[i] = 0;
		}
	}
out:
	glip__free(c->allocator, bytes);
	return status;
}

enum glip_status checkpoint_read(const struct checkpoint *c, const struct checkpoint_tensor *t, float *out,
                                 struct glip_error *err)
{
	if (t->problem != NULL)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s %s", c->source.path, t->name, t->problem);
	if (!element_is_float(t->element))
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s holds %s, expected floating point", c->source.path,
		                  t->name, element_name(t->element));
	return is_contiguous(t) ? read_contiguous(c, t, out, err) : read_strided(c, t, out, err);
}
