/* The public search for a phrase in a caption. */
#include <assert.h>
#include <string.h>

#include <utf8proc.h>

#include "tokenizer/code_points.h"
#include "tokenizer/spans.h"

/* One code point of a text's case-folded, decomposed form with runs of white space made one. Several can come from one
 * character: a match begins and ends at the edges of characters. */
struct folded {
	uint32_t code_point;
	int32_t begin, end; /* code points of the text */
};

static enum glip_status fold_item(const struct text_item *item, struct buf *out, struct glip_error *err)
{
	/* The longest folding has 3 characters, each of which decomposes into at most 4. Code points past the last one,
	 * which it would refuse, are no UTF-8. */
	enum { MOST = 64 };
	utf8proc_int32_t parts[MOST];
	int boundary = 0;
	utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)item->code_point, parts, MOST,
	                                                 UTF8PROC_CASEFOLD | UTF8PROC_DECOMPOSE, &boundary);
	assert(count >= 0 && count <= MOST);
	for (utf8proc_ssize_t i = 0; i < count; i++) {
		struct folded f = {(uint32_t)parts[i], item->origin, item->origin + 1};
		if (!glip__buf_append(out, &f, sizeof f))
			return glip__fail_nomem(err, "text", out->length);
	}
	return GLIP_OK;
}

static enum glip_status fold(const char *text, const char *what, struct buf *out, struct glip_error *err)
{
	struct buf items = {.allocator = out->allocator};
	enum glip_status status;
	TRY_OUT(glip__text_items(text, strlen(text), what, &items, err));
	const struct text_item *list = (const struct text_item *)(const void *)items.data;
	size_t count = items.length / sizeof *list;
	while (count > 0 && glip__is_space(list[count - 1].code_point))
		count--;
	for (size_t i = 0, next; i < count; i = next) {
		next = i + 1;
		if (!glip__is_space(list[i].code_point)) {
			TRY_OUT(fold_item(&list[i], out, err));
			continue;
		}
		while (glip__is_space(list[next].code_point))
			next++;
		struct folded space = {' ', list[i].origin, list[next].origin};
		if (out->length != 0 && !glip__buf_append(out, &space, sizeof space)) {
			status = glip__fail_nomem(err, "text", out->length);
			goto out;
		}
	}
out:
	glip__buf_free(&items);
	return status;
}

static bool is_inner(uint32_t c)
{
	return (glip__is_word(c) || glip__is_mark(c)) && !glip__is_unspaced_script(c);
}

/* Whether a match may begin at text[at] or end before it: not inside a character, nor between the letters of a word. */
static bool is_edge(const struct folded *text, size_t count, size_t at)
{
	if (at == 0 || at == count)
		return true;
	if (text[at - 1].end == text[at].end || glip__is_mark(text[at].code_point))
		return false;
	return !(is_inner(text[at - 1].code_point) && is_inner(text[at].code_point));
}

/* Knuth, Morris, Pratt: linear also for hostile texts. Returns count where there is no match. */
static size_t find(const struct folded *text, size_t count, const struct folded *phrase, size_t length, size_t *border)
{
	border[0] = 0;
	for (size_t i = 1, k = 0; i < length; i++) {
		while (k > 0 && phrase[i].code_point != phrase[k].code_point)
			k = border[k - 1];
		k += phrase[i].code_point == phrase[k].code_point;
		border[i] = k;
	}
	for (size_t i = 0, k = 0; i < count; i++) {
		while (k > 0 && (k == length || text[i].code_point != phrase[k].code_point))
			k = border[k - 1];
		k += text[i].code_point == phrase[k].code_point;
		if (k == length && is_edge(text, count, i + 1 - length) && is_edge(text, count, i + 1))
			return i + 1 - length;
	}
	return count;
}

static enum glip_status find_folded(const struct buf *caption, const struct buf *phrase, const char *name,
                                    struct glip_span *out, struct glip_error *err)
{
	const struct folded *text = (const struct folded *)(const void *)caption->data;
	const struct folded *sought = (const struct folded *)(const void *)phrase->data;
	size_t count = caption->length / sizeof *text, length = phrase->length / sizeof *sought;
	if (length == 0)
		return glip__fail(err, GLIP_ERR_TEXT, "the phrase is empty");
	if (count == 0)
		return glip__fail(err, GLIP_ERR_TEXT, "the caption is empty");
	size_t *border = glip__malloc(phrase->allocator, length, sizeof *border);
	if (border == NULL)
		return glip__fail_nomem(err, "phrase", length * sizeof *border);
	size_t at = find(text, count, sought, length, border);
	glip__free(phrase->allocator, border);
	if (at == count)
		return glip__fail(err, GLIP_ERR_TEXT, "not in the caption as whole words: \"%s\"", name);
	out->begin = text[at].begin;
	out->end = text[at + length - 1].end;
	return GLIP_OK;
}

enum glip_status glip__find_phrase(const char *caption, const char *phrase, const struct glip_allocator *allocator,
                                   struct glip_span *out, struct glip_error *err)
{
	struct buf text = {.allocator = allocator}, sought = {.allocator = allocator};
	enum glip_status status;
	TRY_OUT(fold(caption, "caption", &text, err));
	TRY_OUT(fold(phrase, "phrase", &sought, err));
	TRY_OUT(find_folded(&text, &sought, phrase, out, err));
out:
	glip__buf_free(&text);
	glip__buf_free(&sought);
	return status;
}

enum glip_status glip_find_phrase(const char *caption, const char *phrase, struct glip_span *out,
                                  struct glip_error *err)
{
	if (caption == NULL || phrase == NULL || out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_find_phrase: %s is NULL",
		                  caption == NULL  ? "caption"
		                  : phrase == NULL ? "phrase"
		                                   : "out");
	return glip__find_phrase(caption, phrase, &glip__default_allocator, out, err);
}
