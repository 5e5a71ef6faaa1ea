#include "tensor/gguf.h"

#include <string.h>

size_t glip__gguf_type_size(enum gguf_type type)
{
	static const uint8_t sizes[GGUF_TYPE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

	return (unsigned)type < GGUF_TYPE_COUNT ? sizes[type] : 0;
}

uint64_t glip__gguf_load(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = size; i > 0; i--)
		v = v << 8 | p[i - 1];
	return v;
}

static const uint32_t tensor_types[DTYPE_COUNT] = {
	[DTYPE_F32] = 0, [DTYPE_F16] = 1, [DTYPE_BF16] = 30, [DTYPE_I8] = 24, [DTYPE_I32] = 26, [DTYPE_I64] = 27,
};

uint32_t glip__gguf_tensor_type(enum dtype dtype)
{
	return tensor_types[dtype];
}

bool glip__gguf_dtype(uint32_t type, enum dtype *out)
{
	for (int i = 0; i < DTYPE_COUNT; i++) {
		if (tensor_types[i] == type) {
			*out = (enum dtype)i;
			return true;
		}
	}
	return false;
}

static size_t hash_name(const char *name)
{
	uint64_t h = 0xCBF29CE484222325u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001B3u;
	return (size_t)(h ^ h >> 32);
}

size_t glip__gguf_slot(const struct gguf_index *index, const void *names, size_t stride, const char *name)
{
	size_t slot = hash_name(name) & index->mask;

	while (index->slots[slot] != 0) {
		const char *entry = (const char *)names + (size_t)(index->slots[slot] - 1) * stride;
		if (strcmp(entry, name) == 0)
			break;
		slot = (slot + 1) & index->mask;
	}
	return slot;
}

const struct gguf_key *glip__gguf_find_key(const struct weights *w, const char *name)
{
	uint32_t entry = w->key_index.slots[glip__gguf_slot(&w->key_index, w->keys, sizeof(*w->keys), name)];

	return entry != 0 ? &w->keys[entry - 1] : NULL;
}
