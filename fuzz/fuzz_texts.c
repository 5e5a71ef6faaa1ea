/* Targets: texts, and the files that the text side reads. */
#include <stdlib.h>
#include <string.h>

#include "targets.h"
#include "tokenizer/spans.h"
#include "tokenizer/tagger.h"
#include "tokenizer/wordpiece.h"

enum { MAX_LINES = 256 };

static void encode(const struct vocabulary *v, const char *text, size_t length)
{
	struct encoding e;
	struct glip_error err = {0};
	size_t first, last;
	enum glip_status status = glip__wordpiece_encode(v, text, length, 16, &fuzz_allocator, &e, &err);

	fuzz_check_status(status, &err);
	if (status != GLIP_OK)
		return;
	for (size_t i = 0; i < e.count; i++) {
		struct glip_token t = e.tokens[i];
		if (t.id < 0 || (size_t)t.id >= glip__vocabulary_size(v) || t.span.begin > t.span.end ||
		    (size_t)t.span.end > length)
			abort();
		if (glip__span_tokens(&e, t.span, &first, &last) && (first > last || last >= e.count))
			abort();
	}
	glip__encoding_free(&e);
}

int fuzz_wordpiece(const uint8_t *data, size_t size)
{
	static const char special[] = "[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\n";
	/* Half of the inputs bring all tokens themselves. */
	size_t own = size > 0 && data[0] & 1 ? 0 : sizeof special - 1;
	size_t skip = size > 0;
	char *text = glip__malloc(&fuzz_allocator, own + size, 1), *at, *end;
	struct text_view lines[MAX_LINES];
	struct vocabulary *v;
	struct glip_error err = {0};
	size_t count = 0;

	if (text == NULL)
		abort();
	memcpy(text, special, own);
	if (size > skip)
		memcpy(text + own, data + skip, size - skip);
	at = text;
	end = text + own + size - skip;
	while (at < end && count < MAX_LINES) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		if (stop == NULL || stop == at)
			break;
		lines[count++] = (struct text_view){at, (size_t)(stop - at)};
		at = stop + 1;
	}
	enum glip_status status = glip__vocabulary_create(lines, count, &fuzz_allocator, &v, &err);
	fuzz_check_status(status, &err);
	if (status == GLIP_OK)
		encode(v, at, (size_t)(end - at));
	glip__vocabulary_free(v);
	glip__free(&fuzz_allocator, text);
	fuzz_check_freed();
	return 0;
}

int fuzz_tagger(const uint8_t *data, size_t size)
{
	static const struct text_view words[] = {{"the", 3},  {"old", 3},     {"men", 3}, {"'s", 2},
	                                         {"dogs", 4}, {"1984", 4},    {"-", 1},   {"x-ray", 5},
	                                         {"", 0},     {"running", 7}, {".", 1}};
	enum { WORDS = sizeof words / sizeof *words };
	uint8_t *copy = glip__malloc(&fuzz_allocator, size, 1), tags[WORDS];
	struct tagger t;
	struct glip_error err = {0};

	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	enum glip_status status = glip__tagger_open(copy, size, &t, &err);
	fuzz_check_status(status, &err);
	if (status == GLIP_OK) {
		status = glip__tagger_run(&t, words, WORDS, &fuzz_allocator, tags, &err);
		fuzz_check_status(status, &err);
		for (size_t i = 0; status == GLIP_OK && i < WORDS; i++)
			if (strlen(glip__tagger_name(&t, tags[i])) > size)
				abort();
	}
	glip__free(&fuzz_allocator, copy);
	fuzz_check_freed();
	return 0;
}

int fuzz_phrases(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct glip_phrases *phrases;
	struct glip_span span;
	struct glip_error err = {0};
	size_t count, words;
	enum glip_status status = glip_phrases_create(text, &fuzz_allocator, &phrases, &err);

	fuzz_check_status(status, &err);
	if (status == GLIP_OK) {
		const struct glip_phrase *list = glip_phrases_list(phrases, &count);
		(void)glip_phrases_words(phrases, &words);
		for (size_t i = 0; i < count; i++)
			if (list[i].span.begin < 0 || list[i].span.begin >= list[i].span.end || (size_t)list[i].span.end > size ||
			    list[i].first_word + list[i].word_count > words)
				abort();
		fuzz_check_status(count > 0 ? glip_find_phrase(text, list[0].text, &span, &err) : GLIP_OK, &err);
	}
	glip_phrases_free(phrases);
	/* The first line is looked for in the rest. */
	char *rest = strchr(text, '\n');
	if (rest != NULL) {
		*rest = '\0';
		status = glip_find_phrase(rest + 1, text, &span, &err);
		fuzz_check_status(status, &err);
		if (status == GLIP_OK && (span.begin < 0 || span.begin >= span.end || (size_t)span.end > size))
			abort();
	}
	glip__free(&fuzz_allocator, text);
	fuzz_check_freed();
	return 0;
}

int fuzz_ground(const uint8_t *data, size_t size)
{
	if (size < 5)
		return 0;
	struct glip_model *model = fuzz_tiny_model();
	unsigned choices = data[0] | (unsigned)data[1] << 8 | (unsigned)data[2] << 16;
	char *text = fuzz_text(data + 5, size - 5);
	fuzz_ground_text(model, text, choices, 1 + data[3] % 64, 1 + data[4] % 64);
	glip_model_free(model);
	glip__free(&fuzz_allocator, text);
	fuzz_check_freed();
	return 0;
}
