#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "support/json.h"
#include "tokenizer/tagger.h"

static struct glip_phrases *phrases_of(const char *caption)
{
	struct glip_phrases *p = NULL;
	struct glip_error err = {GLIP_OK, ""};
	if (glip_phrases_create(caption, NULL, &p, &err) != GLIP_OK)
		fail_msg("%s: %s", caption, err.message);
	return p;
}

/* Of ASCII; other words are not looked at. */
static int equal_ignoring_case(const char *a, const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)a[i] >= 0x80)
			return 1;
	}
	for (size_t i = 0; i < length; i++) {
		char x = a[i] >= 'A' && a[i] <= 'Z' ? (char)(a[i] + 32) : a[i];
		char y = b[i] >= 'A' && b[i] <= 'Z' ? (char)(b[i] + 32) : b[i];
		if (x != y)
			return 0;
	}
	return 1;
}

/* Each word stands in the caption where its span says, except for rewritten quotes. */
static void check_spans(const char *caption, const struct glip_phrases *p)
{
	size_t length = strlen(caption), words, phrases;
	const struct glip_word *word = glip_phrases_words(p, &words);
	const struct glip_phrase *phrase = glip_phrases_list(p, &phrases);
	int last = 0;
	for (size_t i = 0; i < words; i++) {
		size_t begin = glip__utf8_offset(caption, length, (size_t)word[i].span.begin);
		size_t end = glip__utf8_offset(caption, length, (size_t)word[i].span.end);
		assert_true(word[i].span.begin >= last && word[i].span.end > word[i].span.begin && end <= length);
		last = word[i].span.end;
		if (strcmp(word[i].text, "``") == 0 || strcmp(word[i].text, "''") == 0)
			continue;
		if (word[i].span.end - word[i].span.begin == (int)strlen(word[i].text))
			assert_int_equal(end - begin, strlen(word[i].text));
		assert_true(equal_ignoring_case(caption + begin, word[i].text, end - begin));
	}
	for (size_t i = 0; i < phrases; i++) {
		assert_true(phrase[i].word_count > 0 && phrase[i].first_word + phrase[i].word_count <= words);
		assert_int_equal(phrase[i].span.begin, word[phrase[i].first_word].span.begin);
		assert_int_equal(phrase[i].span.end, word[phrase[i].first_word + phrase[i].word_count - 1].span.end);
	}
}

struct tally {
	int equal, rows;
};

static void compare_row(void *context, const struct json *row)
{
	struct tally *tally = context;
	const char *caption = json_get(row, "caption")->text;
	const struct json *tokens = json_get(row, "tokens"), *tags = json_get(row, "tags");
	const struct json *expected = json_get(row, "phrases");
	struct glip_phrases *p = phrases_of(caption);
	size_t words, phrases;
	const struct glip_word *word = glip_phrases_words(p, &words);
	const struct glip_phrase *phrase = glip_phrases_list(p, &phrases);
	int equal = words == tokens->length && phrases == expected->length;
	for (size_t i = 0; equal && i < words; i++)
		equal = strcmp(word[i].text, tokens->items[i].text) == 0 && strcmp(word[i].tag, tags->items[i].text) == 0;
	for (size_t i = 0; equal && i < phrases; i++)
		equal = strcmp(phrase[i].text, expected->items[i].text) == 0;
	check_spans(caption, p);
	tally->rows++;
	tally->equal += equal;
	if (!equal) {
		print_error("differs: %s\n", caption);
		for (size_t i = 0; i < words; i++)
			print_error(" %s/%s", word[i].text, word[i].tag);
		print_error("\n");
	}
	glip_phrases_free(p);
}

static void compare_file(const char *path, int rows)
{
	struct tally tally = {0, 0};
	if (json_each_line(path, compare_row, &tally) < 0)
		skip();
	print_message("%s: %d of %d captions equal\n", path, tally.equal, tally.rows);
	assert_int_equal(tally.equal, tally.rows);
	assert_true(tally.rows >= rows);
}

static void test_committed_captions(void **state)
{
	(void)state;
	compare_file("tests/data/nouns/phrases.jsonl", 40);
}

/* Quotes, brackets, contractions, odd punctuation: words and tags computed with the original's rules. */
static void test_hard_words(void **state)
{
	(void)state;
	compare_file("tests/data/nouns/hard.jsonl", 40);
}

static void test_reference_captions(void **state)
{
	(void)state;
	compare_file("../shared/reference/nouns/phrases.jsonl", 240);
}

static void expect_phrases(const char *caption, const char *joined)
{
	struct glip_phrases *p = phrases_of(caption);
	size_t count;
	const struct glip_phrase *phrase = glip_phrases_list(p, &count);
	char found[1024] = "";
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(found);
		snprintf(found + n, sizeof found - n, "%s%s", i > 0 ? "|" : "", phrase[i].text);
	}
	check_spans(caption, p);
	assert_string_equal(found, joined);
	glip_phrases_free(p);
}

static void test_sentences(void **state)
{
	(void)state;
	expect_phrases("playa esmeralda in holguin, cuba. the view from the top of the beach. beautiful caribbean sea "
	               "turquoise",
	               "playa esmeralda|holguin|cuba|the view|the top|the beach|beautiful caribbean sea turquoise");
	expect_phrases("a dog! a cat? (a bird.) a fish", "a dog|a cat|a bird|a fish");
	expect_phrases("a photo of mr. smith with a dog", "a photo|mr. smith|a dog");
	expect_phrases("cat . dog . bird . ", "cat|dog|bird");
}

static void test_sentence_ends(void **state)
{
	(void)state;
	/* The period is a word of its own only where a sentence ends. */
	static const struct {
		const char *caption;
		int periods;
	} cases[] = {
		{"a cat. a dog.", 2},
		{"dr. jones and a dog", 0},
		{"the u.s. flag", 0},
		{"see fig. 3 and a dog.", 1},
		{"J. Smith. A dog", 1},
		{"a cat at 5 p.m. The dog", 1},
		{"a cat at 5 p.m. with it", 0},
		{"no. 5 on a door", 0},
		{"he said no. the dog", 1},
		{"1. a cat", 0},
		{"cats, dogs etc. in a row", 0},
		{"cats, dogs etc. The row", 1},
		{"a cat... a dog", 0},
		{"image.png of a cat", 0},
		{"a 3.5 inch disk. a dog", 1},
	};
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct glip_phrases *p = phrases_of(cases[k].caption);
		size_t count;
		int periods = 0;
		const struct glip_word *word = glip_phrases_words(p, &count);
		for (size_t i = 0; i < count; i++)
			periods += strcmp(word[i].text, ".") == 0;
		if (periods != cases[k].periods)
			fail_msg("%s: %d periods", cases[k].caption, periods);
		check_spans(cases[k].caption, p);
		glip_phrases_free(p);
	}
}

static void test_own_spans(void **state)
{
	(void)state;
	/* The same phrase twice, a word inside another, letters of several bytes before. */
	const char *caption = "\xc3\x89t\xc3\xa9: a cart, a car and a car";
	struct glip_phrases *p = phrases_of(caption);
	size_t count;
	const struct glip_phrase *phrase = glip_phrases_list(p, &count);
	assert_true(count >= 3);
	phrase += count - 3;
	assert_string_equal(phrase[0].text, "a cart");
	assert_int_equal(phrase[0].span.begin, 5);
	assert_int_equal(phrase[0].span.end, 11);
	assert_string_equal(phrase[1].text, "a car");
	assert_int_equal(phrase[1].span.begin, 13);
	assert_string_equal(phrase[2].text, "a car");
	assert_int_equal(phrase[2].span.begin, 23);
	assert_int_equal(phrase[2].span.end, 28);
	glip_phrases_free(p);
}

static void test_bad_captions(void **state)
{
	(void)state;
	struct glip_phrases *p = NULL;
	struct glip_error err;
	assert_int_equal(glip_phrases_create("", NULL, &p, &err), GLIP_ERR_TEXT);
	assert_string_equal(err.message, "the caption is empty");
	assert_int_equal(glip_phrases_create(" \n\t", NULL, &p, &err), GLIP_ERR_TEXT);
	assert_int_equal(glip_phrases_create("a \xff", NULL, &p, &err), GLIP_ERR_TEXT);
	assert_string_equal(err.message, "the caption is not UTF-8 at byte 2");
	assert_int_equal(glip_phrases_create(NULL, NULL, &p, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_phrases_create("a", NULL, NULL, NULL), GLIP_ERR_ARGUMENT);
	assert_null(p);
	glip_phrases_free(NULL);
	size_t count = 1;
	assert_null(glip_phrases_list(NULL, &count));
	assert_int_equal(count, 0);
}

static void test_megabytes(void **state)
{
	(void)state;
	static const char *const units[] = {
		"a",       "a ", ".", ". ",       "old ", "'",     "\"", "`", "' ", "a.a", "\xce\xa3\xcc\x81",
		"a dog. ", ") ", "-", "\xcc\x81", "!.",   "a dog "};
	size_t size = 200000;
	char *text = malloc(size + 64);
	assert_non_null(text);
	for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
		size_t n = 0, unit = strlen(units[k]);
		for (; n < size; n += unit)
			memcpy(text + n, units[k], unit);
		text[n] = '\0';
		glip_phrases_free(phrases_of(text));
	}
	free(text);
}

static void test_damaged_tagger(void **state)
{
	(void)state;
	size_t size;
	const void *data = glip__tagger_data(&size);
	unsigned char *copy = malloc(size);
	assert_non_null(copy);
	struct tagger tagger;
	struct glip_error err;
	const struct text_view words[] = {{"a", 1}, {"small", 5}, {"42", 2}, {"zyxw", 4}, {"vial", 4}};
	uint8_t tags[5];
	uint32_t seed = 12345;
	for (int round = 0; round < 2000; round++) {
		memcpy(copy, data, size);
		for (int i = 0; i < 20; i++) {
			seed = seed * 1664525u + 1013904223u;
			size_t at = i < 2 ? (seed >> 8) % 64 : (seed >> 8) % size;
			if (i >= 2 || round % 2 == 0)
				copy[at] = (unsigned char)(seed >> 24);
		}
		if (glip__tagger_open(copy, size, &tagger, &err) == GLIP_OK)
			assert_int_equal(glip__tagger_run(&tagger, words, 5, &glip__default_allocator, tags, &err), GLIP_OK);
	}
	memcpy(copy, data, size);
	for (size_t n = 0; n < 200; n++)
		assert_int_equal(glip__tagger_open(copy, n, &tagger, &err), GLIP_ERR_FORMAT);
	assert_int_equal(glip__tagger_open(copy, size - 1, &tagger, &err), GLIP_ERR_FORMAT);
	assert_int_equal(glip__tagger_open(copy, size, &tagger, &err), GLIP_OK);
	free(copy);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_prepares_fast(void **state)
{
	(void)state;
	struct tagger tagger;
	double start = now();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(glip__tagger_builtin(&tagger, NULL), GLIP_OK);
	double open_ms = now() - start;
	start = now();
	for (int i = 0; i < 100; i++)
		glip_phrases_free(phrases_of("a bottle of coca-cola (unopened) and an apple macbook pro"));
	print_message("tagger ready in %.4f ms, a caption in %.3f ms\n", open_ms, (now() - start) * 10);
	assert_true(open_ms < 10.0);
}

/* Allocations fail one after another: a status each time, and nothing lost (the sanitizer build looks). */
struct failing {
	int left;
};

static void *failing_alloc(void *user, size_t size, size_t align)
{
	struct failing *f = user;
	if (f->left-- <= 0)
		return NULL;
	return glip__default_allocator.alloc(NULL, size, align);
}

static void failing_free(void *user, void *pointer)
{
	(void)user;
	glip__default_allocator.free(NULL, pointer);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	struct failing failing = {0};
	struct glip_allocator a = {failing_alloc, failing_free, &failing};
	struct glip_phrases *p = NULL;
	int n = 0;
	for (enum glip_status status = GLIP_ERR_NOMEM; status != GLIP_OK; n++) {
		failing.left = n;
		status = glip_phrases_create("a small vial. the dog's big red \"house\"", &a, &p, NULL);
		assert_true(status == GLIP_OK || (status == GLIP_ERR_NOMEM && p == NULL));
	}
	assert_true(n > 10);
	glip_phrases_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_committed_captions), cmocka_unit_test(test_hard_words),
		cmocka_unit_test(test_reference_captions), cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_sentence_ends),      cmocka_unit_test(test_own_spans),
		cmocka_unit_test(test_bad_captions),       cmocka_unit_test(test_megabytes),
		cmocka_unit_test(test_damaged_tagger),     cmocka_unit_test(test_prepares_fast),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
