/* Constants of the GGUF container and the weights file as it lies in memory; private to src/tensor. */
#ifndef GLIP_TENSOR_GGUF_H
#define GLIP_TENSOR_GGUF_H

#include "tensor/weights.h"

enum {
	GGUF_VERSION = 3,
	GGUF_NAME_SIZE = 64, /* of keys and tensor names with the terminator */
	GGUF_ALIGNMENT = 64, /* what the writer uses; readers assume 32 where the key is missing */
	GGUF_DEFAULT_ALIGNMENT = 32,
	GGUF_MAX_ALIGNMENT = 65536,
	GGUF_MAX_KEYS = 4096,
	GGUF_MAX_TENSORS = 16384
};

enum gguf_type {
	GGUF_U8 = 0,
	GGUF_I8 = 1,
	GGUF_U16 = 2,
	GGUF_I16 = 3,
	GGUF_U32 = 4,
	GGUF_I32 = 5,
	GGUF_F32 = 6,
	GGUF_BOOL = 7,
	GGUF_STRING = 8,
	GGUF_ARRAY = 9,
	GGUF_U64 = 10,
	GGUF_I64 = 11,
	GGUF_F64 = 12,
	GGUF_TYPE_COUNT = 13
};

#define GGUF_CHECKSUM_KEY "glip.checksum"
#define GGUF_ALIGNMENT_KEY "general.alignment"

struct gguf_key {
	char name[GGUF_NAME_SIZE];
	enum gguf_type type; /* of the value, or of the elements of an array */
	bool is_array;
	uint64_t count;       /* elements; 1 where it is no array */
	const uint8_t *value; /* first element, unaligned */
};

struct gguf_tensor {
	char name[GGUF_NAME_SIZE];
	struct tensor tensor;
};

/* Open addressing: index + 1 of the entry, 0 where free; the size is a power of two at least twice the entries. */
struct gguf_index {
	uint32_t *slots;
	size_t mask;
};

struct weights {
	struct glip_allocator allocator;
	struct file_view file;
	char *path;
	struct gguf_key *keys;
	struct gguf_tensor *tensors;
	size_t key_count, tensor_count;
	struct gguf_index key_index, tensor_index;
};

/* Bytes of a scalar; 0 for strings and arrays. */
size_t glip__gguf_type_size(enum gguf_type type);
uint64_t glip__gguf_load(const uint8_t *p, size_t size);
/* The number that ggml gives a dtype, and back; false for kinds of tensors the library does not know. */
uint32_t glip__gguf_tensor_type(enum dtype dtype);
bool glip__gguf_dtype(uint32_t type, enum dtype *out);

/* Slot of `name`: of its entry, or the free one where it would go. `names` is an array of structs of `stride` bytes
 * that begin with the name. */
size_t glip__gguf_slot(const struct gguf_index *index, const void *names, size_t stride, const char *name);
const struct gguf_key *glip__gguf_find_key(const struct weights *w, const char *name);

#endif
