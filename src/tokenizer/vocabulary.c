#include "tokenizer/vocabulary.h"

#include <string.h>

struct vocabulary {
	struct glip_allocator allocator;
	struct text_view *tokens;
	size_t count;
	int32_t *slots; /* open addressing: an id, or -1 */
	size_t slot_mask;
	size_t longest;
	int32_t special[SPECIAL_COUNT];
};

const char *glip__special_name(enum special_token which)
{
	static const char *const names[SPECIAL_COUNT] = {"[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"};
	return names[which];
}

uint64_t glip__hash_start(void)
{
	return 0xCBF29CE484222325u;
}

uint64_t glip__hash_step(uint64_t hash, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
	return hash;
}

/* FNV's low bits alone spread badly over a power of two. */
static size_t first_slot(const struct vocabulary *v, uint64_t hash)
{
	return (size_t)((hash ^ hash >> 29) * 0x9E3779B97F4A7C15u >> 20) & v->slot_mask;
}

static bool joined_equal(struct text_view token, struct text_view head, struct text_view tail)
{
	return token.length == head.length + tail.length && memcmp(token.text, head.text, head.length) == 0 &&
	       memcmp(token.text + head.length, tail.text, tail.length) == 0;
}

/* The slot that holds the token, or the empty one where it belongs. */
static size_t find_slot(const struct vocabulary *v, uint64_t hash, struct text_view head, struct text_view tail)
{
	size_t slot = first_slot(v, hash);
	while (v->slots[slot] >= 0 && !joined_equal(v->tokens[v->slots[slot]], head, tail))
		slot = (slot + 1) & v->slot_mask;
	return slot;
}

int32_t glip__vocabulary_find(const struct vocabulary *v, uint64_t hash, struct text_view head, struct text_view tail)
{
	return v->slots[find_slot(v, hash, head, tail)];
}

static enum glip_status fill(struct vocabulary *v, struct glip_error *err)
{
	const struct text_view none = {"", 0};
	for (size_t i = 0; i < v->count; i++) {
		struct text_view token = v->tokens[i];
		int shown = token.length < 64 ? (int)token.length : 64;
		if (token.length == 0)
			return glip__fail(err, GLIP_ERR_MODEL, "token %zu of the vocabulary is empty", i);
		size_t slot = find_slot(v, glip__hash_step(glip__hash_start(), token.text, token.length), none, token);
		if (v->slots[slot] >= 0)
			return glip__fail(err, GLIP_ERR_MODEL, "the vocabulary has \"%.*s\" twice, as tokens %ld and %zu", shown,
			                  token.text, (long)v->slots[slot], i);
		v->slots[slot] = (int32_t)i;
		if (token.length > v->longest)
			v->longest = token.length;
	}
	for (int k = 0; k < SPECIAL_COUNT; k++) {
		struct text_view name = {glip__special_name((enum special_token)k), 0};
		name.length = strlen(name.text);
		v->special[k] =
			glip__vocabulary_find(v, glip__hash_step(glip__hash_start(), name.text, name.length), none, name);
		if (v->special[k] < 0)
			return glip__fail(err, GLIP_ERR_MODEL, "the vocabulary lacks %s", name.text);
	}
	return GLIP_OK;
}

enum glip_status glip__vocabulary_create(const struct text_view *tokens, size_t count,
                                         const struct glip_allocator *allocator, struct vocabulary **out,
                                         struct glip_error *err)
{
	*out = NULL;
	if (count > INT32_MAX / 4)
		return glip__fail(err, GLIP_ERR_MODEL, "a vocabulary of %zu tokens is too large", count);
	struct glip_allocator a = glip__allocator_or_default(allocator);
	struct vocabulary *v = glip__calloc(&a, 1, sizeof *v);
	if (v == NULL)
		return glip__fail_nomem(err, "vocabulary", sizeof *v);
	v->allocator = a;
	size_t slots = 16;
	while (slots < 2 * count)
		slots *= 2;
	v->slot_mask = slots - 1;
	v->slots = glip__malloc(&a, slots, sizeof *v->slots);
	v->tokens = glip__malloc(&a, count, sizeof *v->tokens);
	if (v->slots == NULL || v->tokens == NULL) {
		glip__vocabulary_free(v);
		return glip__fail_nomem(err, "vocabulary", slots * sizeof *v->slots + count * sizeof *v->tokens);
	}
	memset(v->slots, 0xFF, slots * sizeof *v->slots);
	if (count != 0)
		memcpy(v->tokens, tokens, count * sizeof *tokens);
	v->count = count;
	enum glip_status status = fill(v, err);
	if (status != GLIP_OK) {
		glip__vocabulary_free(v);
		return status;
	}
	*out = v;
	return GLIP_OK;
}

void glip__vocabulary_free(struct vocabulary *v)
{
	if (v == NULL)
		return;
	struct glip_allocator a = v->allocator;
	glip__free(&a, v->slots);
	glip__free(&a, v->tokens);
	glip__free(&a, v);
}

size_t glip__vocabulary_size(const struct vocabulary *v)
{
	return v->count;
}

struct text_view glip__vocabulary_token(const struct vocabulary *v, int32_t id)
{
	if (id < 0 || (size_t)id >= v->count)
		return (struct text_view){"", 0};
	return v->tokens[id];
}

int32_t glip__vocabulary_unknown(const struct vocabulary *v)
{
	return v->special[SPECIAL_UNK];
}

int32_t glip__vocabulary_special(const struct vocabulary *v, enum special_token which)
{
	return v->special[which];
}

size_t glip__vocabulary_longest(const struct vocabulary *v)
{
	return v->longest;
}
