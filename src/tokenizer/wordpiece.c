#include "tokenizer/wordpiece.h"

#include <string.h>

#include "base/utf8.h"
#include "tokenizer/bert_normalize.h"
#include "tokenizer/vocabulary.h"

enum { LONGEST_WORD = 100 }; /* code points; anything longer is [UNK] */

/* One text on its way to tokens. */
struct encoder {
	const struct vocabulary *vocabulary;
	const struct text_item *items; /* the original text */
	size_t item_count;
	struct buf normal; /* struct normal_char */
	struct buf tokens; /* struct glip_token */
	int32_t word;
};

static bool add_token(struct encoder *e, int32_t id, int32_t begin, int32_t end)
{
	struct glip_token token = {id, {begin, end}};
	return glip__buf_append(&e->tokens, &token, sizeof token);
}

/* The longest token that begins at byte `begin` of a word of `end` bytes; *next is the byte behind it. -1: none. */
static int32_t longest_piece(const struct vocabulary *v, const char *word, const uint16_t *cuts, size_t first,
                             size_t count, size_t *next)
{
	struct text_view head = {"##", first > 0 ? 2 : 0};
	uint64_t hash = glip__hash_step(glip__hash_start(), head.text, head.length);
	size_t longest = glip__vocabulary_longest(v);
	int32_t best = -1;
	for (size_t i = first; i < count; i++) {
		size_t length = (size_t)(cuts[i + 1] - cuts[first]);
		if (length + head.length > longest)
			break;
		hash = glip__hash_step(hash, word + cuts[i], (size_t)(cuts[i + 1] - cuts[i]));
		int32_t id = glip__vocabulary_find(v, hash, head, (struct text_view){word + cuts[first], length});
		if (id >= 0) {
			best = id;
			*next = i + 1;
		}
	}
	return best;
}

static bool encode_word(struct encoder *e, const struct normal_char *chars, size_t count)
{
	char word[LONGEST_WORD * 4];
	uint16_t cuts[LONGEST_WORD + 1]; /* byte where each code point begins, and the end */
	size_t before = e->tokens.length;
	int32_t unknown = glip__vocabulary_special(e->vocabulary, SPECIAL_UNK);
	int32_t begin = chars[0].origin, end = chars[count - 1].origin + 1;
	if (count > LONGEST_WORD)
		return add_token(e, unknown, begin, end);
	cuts[0] = 0;
	for (size_t i = 0; i < count; i++)
		cuts[i + 1] = (uint16_t)(cuts[i] + glip__utf8_encode(chars[i].code_point, word + cuts[i]));
	for (size_t at = 0, next = 0; at < count; at = next) {
		int32_t id = longest_piece(e->vocabulary, word, cuts, at, count, &next);
		if (id < 0) {
			e->tokens.length = before;
			return add_token(e, unknown, begin, end);
		}
		if (!add_token(e, id, chars[at].origin, chars[next - 1].origin + 1))
			return false;
	}
	return true;
}

/* Text between special tokens. */
static enum glip_status encode_plain(struct encoder *e, size_t begin, size_t end, struct glip_error *err)
{
	if (begin == end)
		return GLIP_OK;
	e->normal.length = 0;
	TRY(glip__bert_normalize(e->items + begin, end - begin, &e->word, &e->normal, err));
	const struct normal_char *chars = (const struct normal_char *)(const void *)e->normal.data;
	size_t count = e->normal.length / sizeof *chars;
	for (size_t first = 0, next; first < count; first = next) {
		for (next = first + 1; next < count && chars[next].word == chars[first].word;)
			next++;
		if (!encode_word(e, chars + first, next - first))
			return glip__fail_nomem(err, "tokens", e->tokens.length);
	}
	return GLIP_OK;
}

/* The special token written at items[at], e.g. "[SEP]" in this very case; its length in code points, or 0. */
static size_t special_at(const struct encoder *e, size_t at, enum special_token *which)
{
	if (e->items[at].code_point != '[')
		return 0;
	for (int k = 0; k < SPECIAL_COUNT; k++) {
		const char *name = glip__special_name((enum special_token)k);
		size_t length = strlen(name), i = 0;
		while (i < length && at + i < e->item_count && e->items[at + i].code_point == (uint32_t)name[i])
			i++;
		if (i == length) {
			*which = (enum special_token)k;
			return length;
		}
	}
	return 0;
}

static enum glip_status encode_text(struct encoder *e, struct glip_error *err)
{
	if (!add_token(e, glip__vocabulary_special(e->vocabulary, SPECIAL_CLS), 0, 0))
		return glip__fail_nomem(err, "tokens", sizeof(struct glip_token));
	size_t plain = 0;
	for (size_t at = 0; at < e->item_count;) {
		enum special_token which = SPECIAL_UNK;
		size_t length = special_at(e, at, &which);
		if (length == 0) {
			at++;
			continue;
		}
		TRY(encode_plain(e, plain, at, err));
		if (!add_token(e, glip__vocabulary_special(e->vocabulary, which), (int32_t)at, (int32_t)(at + length)))
			return glip__fail_nomem(err, "tokens", e->tokens.length);
		at += length;
		plain = at;
	}
	TRY(encode_plain(e, plain, e->item_count, err));
	if (!add_token(e, glip__vocabulary_special(e->vocabulary, SPECIAL_SEP), 0, 0))
		return glip__fail_nomem(err, "tokens", e->tokens.length);
	return GLIP_OK;
}

enum glip_status glip__wordpiece_encode(const struct vocabulary *vocabulary, const char *text, size_t length,
                                        size_t max_tokens, const struct glip_allocator *allocator, struct encoding *out,
                                        struct glip_error *err)
{
	memset(out, 0, sizeof *out);
	struct buf items = {.allocator = allocator};
	struct encoder e = {.vocabulary = vocabulary};
	e.normal.allocator = e.tokens.allocator = allocator;
	enum glip_status status;
	TRY_OUT(glip__text_items(text, length, "caption", &items, err));
	e.items = (const struct text_item *)(const void *)items.data;
	e.item_count = items.length / sizeof *e.items;
	TRY_OUT(encode_text(&e, err));
	out->tokens = (struct glip_token *)(void *)e.tokens.data;
	out->count = e.tokens.length / sizeof *out->tokens;
	out->kept = out->count < max_tokens ? out->count : max_tokens;
	out->allocator = allocator;
	e.tokens.data = NULL;
out:
	glip__buf_free(&items);
	glip__buf_free(&e.normal);
	glip__buf_free(&e.tokens);
	return status;
}

void glip__encoding_free(struct encoding *encoding)
{
	if (encoding->tokens != NULL)
		glip__free(encoding->allocator, encoding->tokens);
	memset(encoding, 0, sizeof *encoding);
}
