/* The public noun phrases: sentences, words, tags, and the grammar NP: {<DT>?<JJ.*>*<NN.*>+}. */
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/sentences.h"
#include "tokenizer/tagger.h"
#include "tokenizer/treebank.h"

struct glip_phrases {
	struct glip_allocator allocator;
	char *text; /* all words, each terminated, and all phrases */
	struct glip_word *words;
	size_t word_count;
	struct glip_phrase *phrases;
	size_t phrase_count;
};

/* A phrase before its text has a fixed address. */
struct found_phrase {
	size_t text, first_word, word_count;
};

struct finder {
	const struct glip_allocator *allocator;
	struct tagger tagger;
	struct buf items;   /* struct text_item: the caption */
	struct buf lower;   /* struct text_item: one sentence in lower case */
	struct buf text;    /* bytes */
	struct buf words;   /* struct treebank_word */
	struct buf views;   /* struct text_view: the words of one sentence */
	struct buf tags;    /* one byte a word */
	struct buf phrases; /* struct found_phrase */
};

static const struct treebank_word *word_at(const struct finder *f, size_t index)
{
	return (const struct treebank_word *)(const void *)f->words.data + index;
}

static bool tag_begins(const struct finder *f, size_t word, const char *with)
{
	const char *name = glip__tagger_name(&f->tagger, (uint8_t)f->tags.data[word]);
	return strncmp(name, with, strlen(with)) == 0;
}

/* "%" is tagged as a noun: a phrase needs a letter or a digit somewhere. */
static bool has_letters(const struct finder *f, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		const char *at = f->text.data + word_at(f, i)->text, *stop = at + word_at(f, i)->length;
		uint32_t c = 0;
		for (size_t n; (n = glip__utf8_decode(at, stop, &c)) != 0; at += n) {
			if (glip__is_word(c))
				return true;
		}
	}
	return false;
}

static bool add_phrase(struct finder *f, size_t first, size_t end)
{
	struct found_phrase phrase = {f->text.length, first, end - first};
	for (size_t i = first; i < end; i++) {
		size_t length = word_at(f, i)->length;
		if (!glip__buf_reserve(&f->text, length + 1))
			return false;
		if (!glip__buf_append(&f->text, f->text.data + word_at(f, i)->text, length) ||
		    !glip__buf_append(&f->text, i + 1 < end ? " " : "", 1))
			return false;
	}
	return glip__buf_append(&f->phrases, &phrase, sizeof phrase);
}

/* Longest match from left to right over the words [at, end). */
static bool chunk(struct finder *f, size_t at, size_t end)
{
	while (at < end) {
		size_t adjectives = at;
		const char *tag = glip__tagger_name(&f->tagger, (uint8_t)f->tags.data[at]);
		adjectives += strcmp(tag, "DT") == 0;
		size_t nouns = adjectives;
		while (nouns < end && tag_begins(f, nouns, "JJ"))
			nouns++;
		size_t next = nouns;
		while (next < end && tag_begins(f, next, "NN"))
			next++;
		/* Without a noun no later beginning among these words has one either. */
		if (next == nouns)
			at = nouns > at ? nouns : at + 1;
		else if (has_letters(f, at, next) && !add_phrase(f, at, next))
			return false;
		else
			at = next;
	}
	return true;
}

static enum glip_status find_in_sentence(struct finder *f, const struct text_item *items, size_t count,
                                         struct glip_error *err)
{
	size_t first = f->words.length / sizeof(struct treebank_word);
	f->lower.length = f->views.length = 0;
	TRY(glip__lower_case(items, count, &f->lower, err));
	TRY(glip__treebank_split((const struct text_item *)(const void *)f->lower.data,
	                         f->lower.length / sizeof(struct text_item), &f->text, &f->words, err));
	size_t end = f->words.length / sizeof(struct treebank_word);
	if (end == first)
		return GLIP_OK;
	if (!glip__buf_reserve(&f->views, (end - first) * sizeof(struct text_view)) ||
	    !glip__buf_reserve(&f->tags, end - first))
		return glip__fail_nomem(err, "words", end - first);
	struct text_view *views = (struct text_view *)(void *)f->views.data;
	for (size_t i = first; i < end; i++)
		views[i - first] = (struct text_view){f->text.data + word_at(f, i)->text, word_at(f, i)->length};
	TRY(glip__tagger_run(&f->tagger, views, end - first, f->allocator, (uint8_t *)f->tags.data + f->tags.length, err));
	f->tags.length += end - first;
	return chunk(f, first, end) ? GLIP_OK : glip__fail_nomem(err, "phrases", f->phrases.length);
}

/* Moves what was found into its final form. */
static enum glip_status finish(struct finder *f, struct glip_phrases *p, struct glip_error *err)
{
	const struct found_phrase *found = (const struct found_phrase *)(const void *)f->phrases.data;
	p->word_count = f->words.length / sizeof(struct treebank_word);
	p->phrase_count = f->phrases.length / sizeof *found;
	p->words = glip__malloc(f->allocator, p->word_count, sizeof *p->words);
	p->phrases = glip__malloc(f->allocator, p->phrase_count, sizeof *p->phrases);
	if (p->words == NULL || p->phrases == NULL)
		return glip__fail_nomem(err, "phrases", p->word_count * sizeof *p->words);
	p->text = f->text.data;
	f->text.data = NULL;
	for (size_t i = 0; i < p->word_count; i++) {
		const char *tag = glip__tagger_name(&f->tagger, (uint8_t)f->tags.data[i]);
		p->words[i] = (struct glip_word){p->text + word_at(f, i)->text, tag, word_at(f, i)->span};
	}
	for (size_t i = 0; i < p->phrase_count; i++) {
		size_t first = found[i].first_word, count = found[i].word_count;
		struct glip_span span = {word_at(f, first)->span.begin, word_at(f, first + count - 1)->span.end};
		p->phrases[i] = (struct glip_phrase){p->text + found[i].text, span, first, count};
	}
	return GLIP_OK;
}

static enum glip_status find_phrases(struct finder *f, const char *caption, struct glip_phrases *p,
                                     struct glip_error *err)
{
	TRY(glip__tagger_builtin(&f->tagger, err));
	TRY(glip__text_items(caption, strlen(caption), "caption", &f->items, err));
	const struct text_item *items = (const struct text_item *)(const void *)f->items.data;
	size_t count = f->items.length / sizeof *items;
	for (size_t begin = 0, end; begin < count; begin = end) {
		end = glip__sentence_end(items, count, begin);
		TRY(find_in_sentence(f, items + begin, end - begin, err));
		while (end < count && glip__is_space(items[end].code_point))
			end++;
	}
	if (f->words.length == 0)
		return glip__fail(err, GLIP_ERR_TEXT, "the caption is empty");
	return finish(f, p, err);
}

enum glip_status glip_phrases_create(const char *caption, const struct glip_allocator *allocator,
                                     struct glip_phrases **out, struct glip_error *err)
{
	if (out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_phrases_create: out is NULL");
	*out = NULL;
	if (caption == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_phrases_create: caption is NULL");
	struct glip_allocator a = glip__allocator_or_default(allocator);
	struct finder f = {.allocator = &a};
	f.items.allocator = f.lower.allocator = f.text.allocator = f.words.allocator = &a;
	f.views.allocator = f.tags.allocator = f.phrases.allocator = &a;
	struct glip_phrases *p = glip__calloc(&a, 1, sizeof *p);
	if (p == NULL)
		return glip__fail_nomem(err, "phrases", sizeof *p);
	p->allocator = a;
	enum glip_status status = find_phrases(&f, caption, p, err);
	glip__buf_free(&f.items);
	glip__buf_free(&f.lower);
	glip__buf_free(&f.text);
	glip__buf_free(&f.words);
	glip__buf_free(&f.views);
	glip__buf_free(&f.tags);
	glip__buf_free(&f.phrases);
	if (status != GLIP_OK)
		glip_phrases_free(p);
	else
		*out = p;
	return status;
}

void glip_phrases_free(struct glip_phrases *phrases)
{
	if (phrases == NULL)
		return;
	struct glip_allocator a = phrases->allocator;
	glip__free(&a, phrases->text);
	glip__free(&a, phrases->words);
	glip__free(&a, phrases->phrases);
	glip__free(&a, phrases);
}

const struct glip_phrase *glip_phrases_list(const struct glip_phrases *phrases, size_t *count)
{
	if (count != NULL)
		*count = phrases != NULL ? phrases->phrase_count : 0;
	return phrases != NULL ? phrases->phrases : NULL;
}

const struct glip_word *glip_phrases_words(const struct glip_phrases *phrases, size_t *count)
{
	if (count != NULL)
		*count = phrases != NULL ? phrases->word_count : 0;
	return phrases != NULL ? phrases->words : NULL;
}
