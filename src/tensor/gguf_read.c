#include <inttypes.h>
#include <string.h>

#include "tensor/gguf.h"

/* A place in the header. Every length is compared with what is left of the file before it is used. */
struct reader {
	struct weights *w;
	struct glip_error *err;
	size_t at;
	uint64_t alignment;
};

static size_t left(const struct reader *r)
{
	return r->w->file.size - r->at;
}

static enum glip_status truncated(const struct reader *r, const char *what)
{
	return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: the file ends within %s (at byte %zu of %zu)", r->w->path, what,
	                  r->at, r->w->file.size);
}

static enum glip_status take(struct reader *r, size_t size, const char *what, uint64_t *out)
{
	*out = 0;
	if (left(r) < size)
		return truncated(r, what);
	*out = glip__gguf_load(r->w->file.data + r->at, size);
	r->at += size;
	return GLIP_OK;
}

/* A key or tensor name: 1 to 63 printable ASCII characters. `kind` is "key" or "tensor". */
static enum glip_status take_name(struct reader *r, const char *kind, size_t index, char out[GGUF_NAME_SIZE])
{
	uint64_t length;

	TRY(take(r, 8, kind, &length));
	if (length == 0 || length >= GGUF_NAME_SIZE)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: the name of %s %zu has %" PRIu64 " bytes; 1 to %d are allowed",
		                  r->w->path, kind, index, length, GGUF_NAME_SIZE - 1);
	if (left(r) < length)
		return truncated(r, kind);
	memcpy(out, r->w->file.data + r->at, (size_t)length);
	out[length] = '\0';
	r->at += (size_t)length;
	for (size_t i = 0; i < length; i++)
		if (out[i] <= ' ' || out[i] > '~')
			return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: the name of %s %zu holds byte 0x%02X", r->w->path, kind,
			                  index, (unsigned)(uint8_t)out[i]);
	return GLIP_OK;
}

static enum glip_status make_index(struct reader *r, struct gguf_index *index, size_t entries)
{
	size_t size = 4;

	while (size < 2 * entries)
		size *= 2;
	index->slots = glip__calloc(&r->w->allocator, size, sizeof(*index->slots));
	if (index->slots == NULL)
		return glip__fail_nomem(r->err, "the names of the model file", size * sizeof(*index->slots));
	index->mask = size - 1;
	return GLIP_OK;
}

static enum glip_status skip_strings(struct reader *r, const struct gguf_key *key)
{
	for (uint64_t i = 0; i < key->count; i++) {
		uint64_t length;
		TRY(take(r, 8, key->name, &length));
		if (length > left(r))
			return glip__fail(r->err, GLIP_ERR_FORMAT,
			                  "%s: a string of key %s has %" PRIu64 " bytes, the file has %zu more", r->w->path,
			                  key->name, length, left(r));
		r->at += (size_t)length;
	}
	return GLIP_OK;
}

/* Passes the value at r->at, whose type and count are set, and checks it. */
static enum glip_status take_value(struct reader *r, struct gguf_key *key)
{
	size_t size = key->type == GGUF_STRING ? 8 : glip__gguf_type_size(key->type);

	if (size == 0)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: key %s is an array of arrays, which is not supported",
		                  r->w->path, key->name);
	if (key->count > left(r) / size)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: key %s has %" PRIu64 " elements, more than the file can hold",
		                  r->w->path, key->name, key->count);
	key->value = r->w->file.data + r->at;
	if (key->type == GGUF_STRING)
		return skip_strings(r, key);
	if (key->type == GGUF_BOOL)
		for (size_t i = 0; i < key->count; i++)
			if (key->value[i] > 1)
				return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: key %s is neither true nor false", r->w->path,
				                  key->name);
	r->at += (size_t)key->count * size;
	return GLIP_OK;
}

static enum glip_status take_key(struct reader *r, size_t index)
{
	struct weights *w = r->w;
	struct gguf_key *key = &w->keys[index];
	uint64_t type;
	size_t slot;

	TRY(take_name(r, "key", index, key->name));
	slot = glip__gguf_slot(&w->key_index, w->keys, sizeof(*w->keys), key->name);
	if (w->key_index.slots[slot] != 0)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: key %s stands there twice", w->path, key->name);
	w->key_index.slots[slot] = (uint32_t)index + 1;

	TRY(take(r, 4, key->name, &type));
	key->count = 1;
	if (type == GGUF_ARRAY) {
		key->is_array = true;
		TRY(take(r, 4, key->name, &type));
		TRY(take(r, 8, key->name, &key->count));
	}
	if (type >= GGUF_TYPE_COUNT)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: key %s is of unknown type %" PRIu64, w->path, key->name, type);
	key->type = (enum gguf_type)type;
	return take_value(r, key);
}

static enum glip_status read_keys(struct reader *r)
{
	struct weights *w = r->w;
	const struct gguf_key *key;
	uint64_t a;

	TRY(make_index(r, &w->key_index, w->key_count));
	w->keys = glip__calloc(&w->allocator, w->key_count, sizeof(*w->keys));
	if (w->keys == NULL)
		return glip__fail_nomem(r->err, "the metadata of the model file", w->key_count * sizeof(*w->keys));
	for (size_t i = 0; i < w->key_count; i++)
		TRY(take_key(r, i));

	r->alignment = GGUF_DEFAULT_ALIGNMENT;
	key = glip__gguf_find_key(w, GGUF_ALIGNMENT_KEY);
	if (key == NULL)
		return GLIP_OK;
	a = key->type == GGUF_U32 && !key->is_array ? glip__gguf_load(key->value, 4) : 0;
	/* 8 so that every element type is aligned in the mapping. */
	if (a < 8 || a > GGUF_MAX_ALIGNMENT || (a & (a - 1)) != 0)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: %s must be a 32-bit power of two from 8 to %d", w->path,
		                  GGUF_ALIGNMENT_KEY, GGUF_MAX_ALIGNMENT);
	r->alignment = a;
	return GLIP_OK;
}

/* Dimensions stand innermost first in the file. *bytes receives the size of the data. */
static enum glip_status take_shape(struct reader *r, struct gguf_tensor *t, uint64_t *bytes)
{
	uint64_t ndim, type, dims[TENSOR_MAX_DIMS];
	uint64_t size;

	TRY(take(r, 4, t->name, &ndim));
	if (ndim < 1 || ndim > TENSOR_MAX_DIMS)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: tensor %s has %" PRIu64 " dimensions; 1 to %d are allowed",
		                  r->w->path, t->name, ndim, TENSOR_MAX_DIMS);
	for (size_t i = 0; i < ndim; i++)
		TRY(take(r, 8, t->name, &dims[i]));
	TRY(take(r, 4, t->name, &type));
	if (!glip__gguf_dtype((uint32_t)type, &t->tensor.dtype))
		return glip__fail(r->err, GLIP_ERR_UNSUPPORTED, "%s: tensor %s is of type %" PRIu64 ", which is not supported",
		                  r->w->path, t->name, type);
	size = glip__dtype_size(t->tensor.dtype);
	for (size_t i = 0; i < ndim; i++) {
		/* Against the file's size, so that no product can overflow. */
		if (dims[i] == 0 || dims[i] > r->w->file.size / size)
			return glip__fail(r->err, GLIP_ERR_FORMAT,
			                  "%s: dimension %zu of tensor %s is %" PRIu64 ", which the file cannot hold: truncated?",
			                  r->w->path, (size_t)ndim - 1 - i, t->name, dims[i]);
		size *= dims[i];
		t->tensor.shape[ndim - 1 - i] = (int64_t)dims[i];
	}
	t->tensor.ndim = (int)ndim;
	*bytes = size;
	return GLIP_OK;
}

/* The offset of each tensor and its end are kept in `spans` until the start of the data is known. */
struct span {
	uint64_t begin, bytes;
};

static enum glip_status take_tensor(struct reader *r, size_t index, struct span *span)
{
	struct weights *w = r->w;
	struct gguf_tensor *t = &w->tensors[index];
	size_t slot;

	TRY(take_name(r, "tensor", index, t->name));
	slot = glip__gguf_slot(&w->tensor_index, w->tensors, sizeof(*w->tensors), t->name);
	if (w->tensor_index.slots[slot] != 0)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: tensor %s stands there twice", w->path, t->name);
	w->tensor_index.slots[slot] = (uint32_t)index + 1;
	TRY(take_shape(r, t, &span->bytes));
	TRY(take(r, 8, t->name, &span->begin));
	if (span->begin % r->alignment != 0)
		return glip__fail(r->err, GLIP_ERR_FORMAT,
		                  "%s: the offset %" PRIu64 " of tensor %s is not a multiple of %" PRIu64, w->path, span->begin,
		                  t->name, r->alignment);
	return GLIP_OK;
}

static enum glip_status place_tensors(struct reader *r, const struct span *spans)
{
	struct weights *w = r->w;
	uint64_t start = (r->at + r->alignment - 1) / r->alignment * r->alignment;
	uint64_t room, end = 0;

	if (w->tensor_count == 0)
		return GLIP_OK;
	if (start > w->file.size)
		return truncated(r, "its header");
	room = w->file.size - start;
	for (size_t i = 0; i < w->tensor_count; i++) {
		struct gguf_tensor *t = &w->tensors[i];
		if (spans[i].begin < end)
			return glip__fail(r->err, GLIP_ERR_FORMAT,
			                  "%s: tensor %s begins before the end of the one listed before it", w->path, t->name);
		if (spans[i].begin > room || spans[i].bytes > room - spans[i].begin)
			return glip__fail(r->err, GLIP_ERR_FORMAT,
			                  "%s: tensor %s (%" PRIu64 " bytes) lies past the end of the file: truncated?", w->path,
			                  t->name, spans[i].bytes);
		end = spans[i].begin + spans[i].bytes;
		/* Readers of weights never write through it; the mapping is read-only. */
		t->tensor.data = (void *)((uintptr_t)w->file.data + (uintptr_t)(start + spans[i].begin));
	}
	return GLIP_OK;
}

static enum glip_status read_tensors(struct reader *r)
{
	struct weights *w = r->w;
	enum glip_status status = GLIP_OK;
	struct span *spans;

	TRY(make_index(r, &w->tensor_index, w->tensor_count));
	w->tensors = glip__calloc(&w->allocator, w->tensor_count, sizeof(*w->tensors));
	spans = glip__calloc(&w->allocator, w->tensor_count, sizeof(*spans));
	if (w->tensors == NULL || spans == NULL) {
		status = glip__fail_nomem(r->err, "the tensor list of the model file", w->tensor_count * sizeof(*w->tensors));
		goto out;
	}
	for (size_t i = 0; i < w->tensor_count; i++)
		TRY_OUT(take_tensor(r, i, &spans[i]));
	TRY_OUT(place_tensors(r, spans));
out:
	glip__free(&w->allocator, spans);
	return status;
}

static enum glip_status read_header(struct reader *r)
{
	enum { MIN_KEY = 8 + 1 + 4 + 1, MIN_TENSOR = 8 + 1 + 4 + 8 + 4 + 8 };
	struct weights *w = r->w;
	uint64_t version = 0, tensors = 0, keys = 0;

	if (w->file.size < 4 || memcmp(w->file.data, "GGUF", 4) != 0)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: not a GGUF file (make one with `glip convert`)", w->path);
	r->at = 4;
	TRY(take(r, 4, "its header", &version));
	if (version == (uint64_t)GGUF_VERSION << 24 || version == (uint64_t)2 << 24)
		return glip__fail(r->err, GLIP_ERR_UNSUPPORTED, "%s: a big-endian GGUF file is not supported", w->path);
	if (version != GGUF_VERSION && version != 2)
		return glip__fail(r->err, GLIP_ERR_UNSUPPORTED, "%s: GGUF version %" PRIu64 " is not supported", w->path,
		                  version);
	TRY(take(r, 8, "its header", &tensors));
	TRY(take(r, 8, "its header", &keys));
	if (keys > GGUF_MAX_KEYS || keys > left(r) / MIN_KEY)
		return glip__fail(r->err, GLIP_ERR_FORMAT,
		                  "%s: %" PRIu64 " metadata keys are more than the file can hold or than %d", w->path, keys,
		                  GGUF_MAX_KEYS);
	if (tensors > GGUF_MAX_TENSORS || tensors > left(r) / MIN_TENSOR)
		return glip__fail(r->err, GLIP_ERR_FORMAT, "%s: %" PRIu64 " tensors are more than the file can hold or than %d",
		                  w->path, tensors, GGUF_MAX_TENSORS);
	w->key_count = (size_t)keys;
	w->tensor_count = (size_t)tensors;
	TRY(read_keys(r));
	return read_tensors(r);
}

static bool little_endian(void)
{
	const uint16_t probe = 1;
	uint8_t first;

	memcpy(&first, &probe, 1);
	return first == 1;
}

enum glip_status glip__weights_open(const char *path, int use_mmap, const struct glip_allocator *allocator,
                                    struct weights **out, struct glip_error *err)
{
	struct glip_allocator a = glip__allocator_or_default(allocator);
	struct weights *w = glip__calloc(&a, 1, sizeof(*w));
	struct reader r = {.w = w, .err = err};
	enum glip_status status = GLIP_OK;

	*out = NULL;
	if (w == NULL)
		return glip__fail_nomem(err, "the model file", sizeof(*w));
	w->allocator = a;
	w->path = glip__strndup(&w->allocator, path, strlen(path));
	if (w->path == NULL) {
		status = glip__fail_nomem(err, "the model file's name", strlen(path) + 1);
		goto out;
	}
	if (!little_endian()) {
		status = glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: weights cannot be mapped on a big-endian machine", path);
		goto out;
	}
	TRY_OUT(glip__file_open(path, use_mmap, &w->allocator, &w->file, err));
	TRY_OUT(read_header(&r));
	*out = w;
	return GLIP_OK;
out:
	glip__weights_close(w);
	return status;
}

void glip__weights_close(struct weights *w)
{
	struct glip_allocator a;

	if (w == NULL)
		return;
	a = w->allocator;
	glip__file_close(&w->file);
	glip__free(&a, w->keys);
	glip__free(&a, w->tensors);
	glip__free(&a, w->key_index.slots);
	glip__free(&a, w->tensor_index.slots);
	glip__free(&a, w->path);
	glip__free(&a, w);
}
