#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tensor/checksum.h"
#include "tensor/gguf.h"

const char *glip__weights_path(const struct weights *w)
{
	return w->path;
}

uint64_t glip__weights_file_size(const struct weights *w)
{
	return w->file.size;
}

size_t glip__weights_count(const struct weights *w)
{
	return w->tensor_count;
}

const struct tensor *glip__weights_at(const struct weights *w, size_t index, const char **name)
{
	if (index >= w->tensor_count)
		return NULL;
	if (name != NULL)
		*name = w->tensors[index].name;
	return &w->tensors[index].tensor;
}

uint64_t glip__weights_parameters(const struct weights *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->tensor_count; i++) {
		const struct gguf_tensor *t = &w->tensors[i];
		char name[GGUF_NAME_SIZE + sizeof(WEIGHTS_SCALE_SUFFIX)];
		const struct tensor *scale = NULL;
		int64_t count = 0, scales = 0;
		if (t->tensor.dtype == DTYPE_I32 || !glip__tensor_count(&t->tensor, &count))
			continue;
		snprintf(name, sizeof(name), "%s" WEIGHTS_SCALE_SUFFIX, t->name);
		if (t->tensor.dtype == DTYPE_I8)
			scale = glip__weights_find(w, name);
		if (scale != NULL)
			(void)glip__tensor_count(scale, &scales);
		sum += (uint64_t)count - (uint64_t)scales;
	}
	return sum;
}

const struct tensor *glip__weights_find(const struct weights *w, const char *name)
{
	size_t slot = glip__gguf_slot(&w->tensor_index, w->tensors, sizeof(*w->tensors), name);
	uint32_t entry = w->tensor_index.slots[slot];

	return entry != 0 ? &w->tensors[entry - 1].tensor : NULL;
}

/* ---- Metadata ---------------------------------------------------------------------------------------------------- */

static bool load_int(enum gguf_type type, const uint8_t *p, int64_t *out)
{
	size_t size = glip__gguf_type_size(type);
	uint64_t v;

	switch (type) {
	case GGUF_U8:
	case GGUF_U16:
	case GGUF_U32:
	case GGUF_U64:
		v = glip__gguf_load(p, size);
		if (v > INT64_MAX)
			return false;
		*out = (int64_t)v;
		return true;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		v = glip__gguf_load(p, size);
		if (size < 8 && (v >> (8 * size - 1) & 1) != 0)
			v |= UINT64_MAX << (8 * size);
		/* Two's complement without the implementation-defined conversion of large values. */
		*out = v > INT64_MAX ? -(int64_t)(UINT64_MAX - v) - 1 : (int64_t)v;
		return true;
	default: return false;
	}
}

static bool load_float(enum gguf_type type, const uint8_t *p, double *out)
{
	uint64_t bits = glip__gguf_load(p, glip__gguf_type_size(type));

	if (type == GGUF_F32) {
		uint32_t narrow = (uint32_t)bits;
		float f;
		memcpy(&f, &narrow, sizeof(f));
		*out = (double)f;
		return true;
	}
	if (type == GGUF_F64) {
		memcpy(out, &bits, sizeof(*out));
		return true;
	}
	return false;
}

static struct weights_text load_text(const uint8_t **p)
{
	struct weights_text t = {(const char *)*p + 8, (size_t)glip__gguf_load(*p, 8)};

	*p += 8 + t.length;
	return t;
}

/* The key if it holds one value, or NULL. */
static const struct gguf_key *find_single(const struct weights *w, const char *name)
{
	const struct gguf_key *key = glip__gguf_find_key(w, name);

	return key != NULL && !key->is_array ? key : NULL;
}

bool glip__weights_get_int(const struct weights *w, const char *key, int64_t *out)
{
	const struct gguf_key *k = find_single(w, key);

	return k != NULL && load_int(k->type, k->value, out);
}

bool glip__weights_get_float(const struct weights *w, const char *key, double *out)
{
	const struct gguf_key *k = find_single(w, key);

	return k != NULL && load_float(k->type, k->value, out);
}

bool glip__weights_get_bool(const struct weights *w, const char *key, bool *out)
{
	const struct gguf_key *k = find_single(w, key);

	if (k == NULL || k->type != GGUF_BOOL)
		return false;
	*out = k->value[0] != 0;
	return true;
}

bool glip__weights_get_text(const struct weights *w, const char *key, struct weights_text *out)
{
	const struct gguf_key *k = find_single(w, key);
	const uint8_t *p;

	if (k == NULL || k->type != GGUF_STRING)
		return false;
	p = k->value;
	*out = load_text(&p);
	return true;
}

bool glip__weights_get_ints(const struct weights *w, const char *key, int64_t *out, size_t max, size_t *count)
{
	const struct gguf_key *k = glip__gguf_find_key(w, key);

	if (k == NULL || !k->is_array || k->count > max)
		return false;
	for (size_t i = 0; i < k->count; i++)
		if (!load_int(k->type, k->value + i * glip__gguf_type_size(k->type), &out[i]))
			return false;
	*count = (size_t)k->count;
	return true;
}

bool glip__weights_get_texts(const struct weights *w, const char *key, struct weights_text *out, size_t *count)
{
	const struct gguf_key *k = glip__gguf_find_key(w, key);
	const uint8_t *p;

	if (k == NULL || !k->is_array || k->type != GGUF_STRING)
		return false;
	*count = (size_t)k->count;
	p = k->value;
	for (size_t i = 0; out != NULL && i < k->count; i++)
		out[i] = load_text(&p);
	return true;
}

/* ---- Printing ---------------------------------------------------------------------------------------------------- */

/* Copies what is printable; everything else becomes '?', so that a file cannot send control sequences to a terminal. */
static size_t print_text(char *out, size_t size, struct weights_text t)
{
	size_t n = t.length < size - 1 ? t.length : size - 1;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)t.text[i];
		out[i] = c < ' ' || c == 0x7F ? '?' : (char)c;
	}
	out[n] = '\0';
	return n;
}

static size_t print_element(enum gguf_type type, const uint8_t **p, char *out, size_t size)
{
	const uint8_t *at = *p;
	int64_t i;
	double d;
	int n;

	if (type == GGUF_STRING)
		return print_text(out, size, load_text(p));
	*p += glip__gguf_type_size(type);
	if (type == GGUF_BOOL)
		n = snprintf(out, size, "%s", at[0] ? "true" : "false");
	else if (load_int(type, at, &i))
		n = snprintf(out, size, "%" PRId64, i);
	else if (load_float(type, at, &d))
		n = snprintf(out, size, "%.9g", d);
	else
		n = snprintf(out, size, "%016" PRIx64, glip__gguf_load(at, 8));
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

bool glip__weights_metadata(const struct weights *w, size_t index, const char **key, char *value, size_t size)
{
	enum { SHOWN = 8 };
	const struct gguf_key *k;
	const uint8_t *p;
	size_t at = 0;

	if (index >= w->key_count || size == 0)
		return false;
	k = &w->keys[index];
	*key = k->name;
	p = k->value;
	value[0] = '\0';
	if (!k->is_array) {
		if (strcmp(k->name, GGUF_CHECKSUM_KEY) == 0 && k->type == GGUF_U64)
			snprintf(value, size, "%016" PRIx64, glip__gguf_load(p, 8));
		else
			print_element(k->type, &p, value, size);
		return true;
	}
	for (size_t i = 0; i < k->count && i < SHOWN && at + 4 < size; i++) {
		if (i > 0)
			at += (size_t)snprintf(value + at, size - at, ", ");
		at += print_element(k->type, &p, value + at, size - at);
	}
	if (k->count > SHOWN && at + 1 < size)
		snprintf(value + at, size - at, ", ... (%" PRIu64 " in all)", k->count);
	return true;
}

enum glip_status glip__weights_verify(const struct weights *w, struct glip_error *err)
{
	static const uint8_t zeros[8];
	const struct gguf_key *k = find_single(w, GGUF_CHECKSUM_KEY);
	struct checksum c;
	uint64_t stored, computed;

	if (k == NULL || k->type != GGUF_U64)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: there is no checksum (key %s)", w->path, GGUF_CHECKSUM_KEY);
	stored = glip__gguf_load(k->value, 8);
	glip__checksum_init(&c);
	glip__checksum_update(&c, w->file.data, (size_t)(k->value - w->file.data));
	glip__checksum_update(&c, zeros, sizeof(zeros));
	glip__checksum_update(&c, k->value + 8, w->file.size - 8 - (size_t)(k->value - w->file.data));
	computed = glip__checksum_final(&c);
	if (computed != stored)
		return glip__fail(err, GLIP_ERR_FORMAT,
		                  "%s: damaged: the checksum is %016" PRIx64 ", the file says %016" PRIx64, w->path, computed,
		                  stored);
	return GLIP_OK;
}
