#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tensor/checksum.h"
#include "tensor/gguf.h"

struct weights_writer {
	struct glip_allocator allocator;
	struct file_writer file;
	struct buf keys, tensors; /* the two parts of the header as they will stand in the file */
	struct buf sizes;         /* uint64_t: bytes of each tensor */
	size_t key_count, tensor_count, written;
	uint64_t data_size;     /* offset of the next declared tensor */
	size_t checksum_offset; /* of its value, within the keys */
	struct checksum checksum;
	bool header_done;
};

enum { HEADER_SIZE = 4 + 4 + 8 + 8 };

static bool put(struct buf *b, uint64_t value, size_t size)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	return glip__buf_append(b, bytes, size);
}

static bool put_string(struct buf *b, const char *text, size_t length)
{
	return put(b, length, 8) && glip__buf_append(b, text, length);
}

/* The key and its type; what follows is the value. */
static enum glip_status begin_key(struct weights_writer *w, const char *key, enum gguf_type type)
{
	size_t length = strlen(key);

	if (length == 0 || length >= GGUF_NAME_SIZE || w->key_count >= GGUF_MAX_KEYS)
		return GLIP_ERR_LIMIT;
	if (w->header_done)
		return GLIP_ERR_ARGUMENT;
	if (!put_string(&w->keys, key, length) || !put(&w->keys, type, 4))
		return GLIP_ERR_NOMEM;
	w->key_count++;
	return GLIP_OK;
}

static enum glip_status put_single(struct weights_writer *w, const char *key, enum gguf_type type, uint64_t bits)
{
	TRY(begin_key(w, key, type));
	return put(&w->keys, bits, glip__gguf_type_size(type)) ? GLIP_OK : GLIP_ERR_NOMEM;
}

enum glip_status glip__weights_put_int(struct weights_writer *w, const char *key, int64_t value)
{
	return put_single(w, key, value >= 0 && value <= UINT32_MAX ? GGUF_U32 : GGUF_I64, (uint64_t)value);
}

enum glip_status glip__weights_put_float(struct weights_writer *w, const char *key, double value)
{
	float narrow = (float)value;
	uint32_t bits32;
	uint64_t bits64;

	if ((double)narrow < value || (double)narrow > value) {
		memcpy(&bits64, &value, sizeof(bits64));
		return put_single(w, key, GGUF_F64, bits64);
	}
	memcpy(&bits32, &narrow, sizeof(bits32));
	return put_single(w, key, GGUF_F32, bits32);
}

enum glip_status glip__weights_put_bool(struct weights_writer *w, const char *key, bool value)
{
	return put_single(w, key, GGUF_BOOL, value);
}

enum glip_status glip__weights_put_text(struct weights_writer *w, const char *key, const char *value)
{
	TRY(begin_key(w, key, GGUF_STRING));
	return put_string(&w->keys, value, strlen(value)) ? GLIP_OK : GLIP_ERR_NOMEM;
}

static enum glip_status begin_array(struct weights_writer *w, const char *key, enum gguf_type type, size_t count)
{
	TRY(begin_key(w, key, GGUF_ARRAY));
	return put(&w->keys, type, 4) && put(&w->keys, count, 8) ? GLIP_OK : GLIP_ERR_NOMEM;
}

enum glip_status glip__weights_put_ints(struct weights_writer *w, const char *key, const int64_t *values, size_t count)
{
	enum gguf_type type = GGUF_U32;

	for (size_t i = 0; i < count; i++)
		if (values[i] < 0 || values[i] > UINT32_MAX)
			type = GGUF_I64;
	TRY(begin_array(w, key, type, count));
	for (size_t i = 0; i < count; i++)
		if (!put(&w->keys, (uint64_t)values[i], glip__gguf_type_size(type)))
			return GLIP_ERR_NOMEM;
	return GLIP_OK;
}

enum glip_status glip__weights_put_texts(struct weights_writer *w, const char *key, const struct weights_text *values,
                                         size_t count)
{
	TRY(begin_array(w, key, GGUF_STRING, count));
	for (size_t i = 0; i < count; i++)
		if (!put_string(&w->keys, values[i].text, values[i].length))
			return GLIP_ERR_NOMEM;
	return GLIP_OK;
}

enum glip_status glip__weights_writer_create(const char *path, const struct glip_allocator *allocator,
                                             struct weights_writer **out, struct glip_error *err)
{
	struct glip_allocator a = glip__allocator_or_default(allocator);
	struct weights_writer *w = glip__calloc(&a, 1, sizeof(*w));
	enum glip_status status = GLIP_OK;

	*out = NULL;
	if (w == NULL)
		return glip__fail_nomem(err, "the writer of the model file", sizeof(*w));
	w->allocator = a;
	w->keys.allocator = w->tensors.allocator = w->sizes.allocator = &w->allocator;
	glip__checksum_init(&w->checksum);
	TRY_OUT(glip__file_writer_open(path, &w->allocator, &w->file, err));
	/* Readers find these without knowing anything else of the format. */
	if (glip__weights_put_text(w, "general.architecture", "glip") != GLIP_OK ||
	    glip__weights_put_int(w, GGUF_ALIGNMENT_KEY, GGUF_ALIGNMENT) != GLIP_OK ||
	    put_single(w, GGUF_CHECKSUM_KEY, GGUF_U64, 0) != GLIP_OK) {
		status = glip__fail_nomem(err, "the header of the model file", w->keys.length);
		goto out;
	}
	w->checksum_offset = w->keys.length - 8;
	*out = w;
	return GLIP_OK;
out:
	glip__weights_writer_free(w);
	return status;
}

enum glip_status glip__weights_declare(struct weights_writer *w, const char *name, const struct tensor *t,
                                       struct glip_error *err)
{
	size_t length = strlen(name), element = glip__dtype_size(t->dtype), bytes;
	int64_t count;
	bool ok;

	if (length == 0 || length >= GGUF_NAME_SIZE)
		return glip__fail(err, GLIP_ERR_LIMIT, "tensor name %s has %zu bytes; 1 to %d are allowed", name, length,
		                  GGUF_NAME_SIZE - 1);
	if (w->tensor_count >= GGUF_MAX_TENSORS)
		return glip__fail(err, GLIP_ERR_LIMIT, "tensor %s: a file holds at most %d tensors", name, GGUF_MAX_TENSORS);
	if (w->header_done || element == 0 || t->ndim < 1 || t->ndim > TENSOR_MAX_DIMS || !glip__tensor_count(t, &count) ||
	    count == 0 || (uint64_t)count > SIZE_MAX || !glip__mul_size((size_t)count, element, &bytes) ||
	    bytes > INT64_MAX - w->data_size - GGUF_ALIGNMENT)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "tensor %s cannot be declared with its shape, type or at this time",
		                  name);
	ok = put_string(&w->tensors, name, length) && put(&w->tensors, (uint64_t)t->ndim, 4);
	for (int i = t->ndim; i-- > 0;)
		ok = ok && put(&w->tensors, (uint64_t)t->shape[i], 8);
	ok = ok && put(&w->tensors, glip__gguf_tensor_type(t->dtype), 4) && put(&w->tensors, w->data_size, 8);
	if (!ok || !glip__buf_append(&w->sizes, &(uint64_t){bytes}, sizeof(uint64_t)))
		return glip__fail_nomem(err, "the header of the model file", w->tensors.length);
	w->data_size += (bytes + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT;
	w->tensor_count++;
	return GLIP_OK;
}

static enum glip_status emit(struct weights_writer *w, const void *data, size_t size, struct glip_error *err)
{
	if (size == 0)
		return GLIP_OK;
	glip__checksum_update(&w->checksum, data, size);
	return glip__file_write(&w->file, data, size, err);
}

static enum glip_status emit_padding(struct weights_writer *w, struct glip_error *err)
{
	static const uint8_t zeros[GGUF_ALIGNMENT];

	return emit(w, zeros, (size_t)((GGUF_ALIGNMENT - w->file.offset % GGUF_ALIGNMENT) % GGUF_ALIGNMENT), err);
}

static enum glip_status emit_header(struct weights_writer *w, struct glip_error *err)
{
	uint8_t head[HEADER_SIZE] = {'G', 'G', 'U', 'F', GGUF_VERSION};

	if (w->header_done)
		return GLIP_OK;
	w->header_done = true;
	for (size_t i = 0; i < 8; i++) {
		head[8 + i] = (uint8_t)((uint64_t)w->tensor_count >> (8 * i));
		head[16 + i] = (uint8_t)((uint64_t)w->key_count >> (8 * i));
	}
	TRY(emit(w, head, sizeof(head), err));
	TRY(emit(w, w->keys.data, w->keys.length, err));
	TRY(emit(w, w->tensors.data, w->tensors.length, err));
	return emit_padding(w, err);
}

enum glip_status glip__weights_write(struct weights_writer *w, const void *data, struct glip_error *err)
{
	uint64_t bytes;

	if (w->written >= w->tensor_count)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "more tensors are written than were declared (%zu)", w->tensor_count);
	TRY(emit_header(w, err));
	memcpy(&bytes, w->sizes.data + w->written * sizeof(bytes), sizeof(bytes));
	TRY(emit(w, data, (size_t)bytes, err));
	w->written++;
	return emit_padding(w, err);
}

enum glip_status glip__weights_writer_commit(struct weights_writer *w, struct glip_error *err)
{
	uint8_t value[8];
	uint64_t sum;

	if (w->written != w->tensor_count)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "only %zu of %zu declared tensors were written", w->written,
		                  w->tensor_count);
	TRY(emit_header(w, err));
	sum = glip__checksum_final(&w->checksum);
	for (size_t i = 0; i < 8; i++)
		value[i] = (uint8_t)(sum >> (8 * i));
	if (fseek(w->file.stream, (long)(HEADER_SIZE + w->checksum_offset), SEEK_SET) != 0 ||
	    fwrite(value, 1, sizeof(value), w->file.stream) != sizeof(value))
		return glip__fail(err, GLIP_ERR_IO, "cannot write the checksum of %s", w->file.path);
	return glip__file_writer_commit(&w->file, err);
}

void glip__weights_writer_free(struct weights_writer *w)
{
	struct glip_allocator a;

	if (w == NULL)
		return;
	a = w->allocator;
	glip__file_writer_discard(&w->file);
	glip__buf_free(&w->keys);
	glip__buf_free(&w->tensors);
	glip__buf_free(&w->sizes);
	glip__free(&a, w);
}
