#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "support/json.h"
#include "support/test_vocab.h"

static struct test_vocab vocab;

static int setup(void **state)
{
	(void)state;
	vocab = test_vocab_load();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_vocab_free(&vocab);
	return 0;
}

static struct encoding encode_bytes(const char *text, size_t length)
{
	struct encoding e;
	struct glip_error err = {GLIP_OK, ""};
	enum glip_status status =
		glip__wordpiece_encode(vocab.vocabulary, text, length, 256, &glip__default_allocator, &e, &err);
	if (status != GLIP_OK)
		fail_msg("%s", err.message);
	return e;
}

static struct encoding encode(const char *text)
{
	return encode_bytes(text, strlen(text));
}

struct tally {
	int equal, unequal, skipped, skipped_equal;
};

/* Code points that this utf8proc has no properties for. */
static int has_unassigned(const char *text, size_t length)
{
	uint32_t c = 0;
	for (size_t at = 0, n; at < length; at += n) {
		n = glip__utf8_decode(text + at, text + length, &c);
		if (n == 0 || utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_CN)
			return 1;
	}
	return 0;
}

static void compare_row(void *context, const struct json *row)
{
	struct tally *tally = context;
	const struct json *text = json_get(row, "text"), *ids = json_get(row, "ids"), *offsets = json_get(row, "offsets");
	struct encoding e = encode_bytes(text->text, text->length);
	size_t wrong = e.count == ids->length ? e.count : 0;
	for (size_t i = 0; i < e.count && i < wrong; i++) {
		const struct json *span = offsets->items[i].items;
		if (e.tokens[i].id != (int32_t)ids->items[i].number || e.tokens[i].span.begin != (int)span[0].number ||
		    e.tokens[i].span.end != (int)span[1].number)
			wrong = i;
	}
	int equal = e.count == ids->length && wrong == e.count;
	if (has_unassigned(text->text, text->length)) {
		tally->skipped++;
		tally->skipped_equal += equal;
	} else if (equal) {
		tally->equal++;
	} else {
		tally->unequal++;
		print_error("token %zu of %zu (expected %zu) differs: %s\n", wrong, e.count, ids->length, text->text);
	}
	glip__encoding_free(&e);
}

static void compare_file(const char *path, int least)
{
	struct tally tally = {0, 0, 0, 0};
	int rows = json_each_line(path, compare_row, &tally);
	if (rows < 0)
		skip();
	print_message("%s: %d rows equal, %d not, %d left out for unassigned code points (%d of them equal)\n", path,
	              tally.equal, tally.unequal, tally.skipped, tally.skipped_equal);
	assert_int_equal(tally.unequal, 0);
	assert_true(tally.equal >= least);
}

static void test_committed_rows(void **state)
{
	(void)state;
	compare_file("tests/data/tokenizer/wordpiece.jsonl", 40);
}

static void test_reference_rows(void **state)
{
	(void)state;
	compare_file("../shared/reference/tokenizer/wordpiece.jsonl", 400);
}

static void test_specials_and_empty(void **state)
{
	(void)state;
	struct encoding e = encode("");
	assert_int_equal(e.count, 2);
	assert_int_equal(e.tokens[0].id, 101);
	assert_int_equal(e.tokens[1].id, 102);
	glip__encoding_free(&e);

	e = encode("a [SEP]b[MASK] [sep");
	static const int32_t ids[] = {101, 1037, 102, 1038, 103, 1031, 19802, 102};
	assert_true(e.count >= 7);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(e.tokens[i].id, ids[i]);
	assert_int_equal(e.tokens[2].span.begin, 2);
	assert_int_equal(e.tokens[2].span.end, 7);
	assert_int_equal(e.tokens[4].span.begin, 8);
	assert_int_equal(e.tokens[4].span.end, 14);
	glip__encoding_free(&e);
}

static void test_long_word_is_unknown(void **state)
{
	(void)state;
	char word[102];
	memset(word, 'a', sizeof word);
	struct encoding e = encode_bytes(word, 101);
	assert_int_equal(e.count, 3);
	assert_int_equal(e.tokens[1].id, glip__vocabulary_unknown(vocab.vocabulary));
	assert_int_equal(e.tokens[1].span.end, 101);
	glip__encoding_free(&e);
	e = encode_bytes(word, 100);
	assert_true(e.count > 10);
	assert_int_not_equal(e.tokens[1].id, glip__vocabulary_unknown(vocab.vocabulary));
	glip__encoding_free(&e);
}

static void test_cut(void **state)
{
	(void)state;
	char text[1000];
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 2 == 0 ? 'a' : ' ';
	struct encoding e = encode_bytes(text, 2 * 254);
	assert_int_equal(e.count, 256);
	assert_int_equal(e.kept, 256);
	glip__encoding_free(&e);
	e = encode_bytes(text, 2 * 255);
	assert_int_equal(e.count, 257);
	assert_int_equal(e.kept, 256);
	assert_int_equal(e.tokens[255].id, 1037);
	glip__encoding_free(&e);
}

static void test_bad_utf8(void **state)
{
	(void)state;
	static const char *const bad[] = {"ab\xff", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xe2\x82", "ab\xf4\x90\x80\x80"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct encoding e;
		struct glip_error err;
		assert_int_equal(glip__wordpiece_encode(vocab.vocabulary, bad[i], strlen(bad[i]), 256, &glip__default_allocator,
		                                        &e, &err),
		                 GLIP_ERR_TEXT);
		assert_non_null(strstr(err.message, "byte 2"));
		assert_null(e.tokens);
	}
}

/* A megabyte of anything is handled in linear time: seconds here mean that something became quadratic. */
static void test_megabytes(void **state)
{
	(void)state;
	static const char *const units[] = {"a",
	                                    "a ",
	                                    ".",
	                                    "[",
	                                    "[SEP]",
	                                    "\xe7\x8c\xab",
	                                    "\xcc\x81",
	                                    "e\xcc\x81\xcc\x96",
	                                    "\xed\x95\x9c",
	                                    "unaffable",
	                                    "\xf0\x9d\x85\xa5\xcc\x81\xcc\x96"};
	size_t size = 1000000;
	char *text = malloc(size + 64);
	assert_non_null(text);
	for (size_t k = 0; k < sizeof units / sizeof units[0]; k++) {
		size_t n = 0, unit = strlen(units[k]);
		for (; n < size; n += unit)
			memcpy(text + n, units[k], unit);
		struct encoding e = encode_bytes(text, n);
		assert_true(e.count >= 2);
		assert_int_equal(e.kept, e.count < 256 ? e.count : 256);
		glip__encoding_free(&e);
	}
	free(text);
}

static void test_vocabulary_faults(void **state)
{
	(void)state;
	struct text_view tokens[] = {{"[PAD]", 5}, {"[UNK]", 5}, {"[CLS]", 5}, {"[SEP]", 5}, {"[MASK]", 6}, {"cat", 3}};
	struct vocabulary *v = NULL;
	struct glip_error err;
	assert_int_equal(glip__vocabulary_create(tokens, 6, NULL, &v, &err), GLIP_OK);
	assert_int_equal(glip__vocabulary_size(v), 6);
	assert_int_equal(glip__vocabulary_token(v, 5).length, 3);
	assert_int_equal(glip__vocabulary_token(v, 6).length, 0);
	assert_int_equal(glip__vocabulary_token(v, -1).length, 0);
	glip__vocabulary_free(v);

	tokens[5] = tokens[2];
	assert_int_equal(glip__vocabulary_create(tokens, 6, NULL, &v, &err), GLIP_ERR_MODEL);
	assert_null(v);
	assert_string_equal(err.message, "the vocabulary has \"[CLS]\" twice, as tokens 2 and 5");
	tokens[5] = (struct text_view){"", 0};
	assert_int_equal(glip__vocabulary_create(tokens, 6, NULL, &v, &err), GLIP_ERR_MODEL);
	assert_int_equal(glip__vocabulary_create(tokens, 4, NULL, &v, &err), GLIP_ERR_MODEL);
	assert_string_equal(err.message, "the vocabulary lacks [MASK]");
	assert_int_equal(glip__vocabulary_create(tokens, 0, NULL, &v, NULL), GLIP_ERR_MODEL);
}

struct failing {
	int left;
};

static void *failing_alloc(void *user, size_t size, size_t align)
{
	struct failing *f = user;
	return f->left-- > 0 ? glip__default_allocator.alloc(NULL, size, align) : NULL;
}

static void failing_free(void *user, void *pointer)
{
	(void)user;
	glip__default_allocator.free(NULL, pointer);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	static const char text[] = "e\xcc\x81\xcc\x96 a [SEP] cat";
	struct failing failing = {0};
	struct glip_allocator a = {failing_alloc, failing_free, &failing};
	struct encoding e;
	int n = 0;
	for (enum glip_status status = GLIP_ERR_NOMEM; status != GLIP_OK; n++) {
		failing.left = n;
		status = glip__wordpiece_encode(vocab.vocabulary, text, sizeof text - 1, 256, &a, &e, NULL);
		assert_true(status == GLIP_OK || (status == GLIP_ERR_NOMEM && e.tokens == NULL));
	}
	assert_true(n > 4);
	glip__encoding_free(&e);
	for (n = 0; n < 3; n++) {
		struct vocabulary *v = NULL;
		failing.left = n;
		assert_int_equal(glip__vocabulary_create(vocab.tokens, vocab.count, &a, &v, NULL), GLIP_ERR_NOMEM);
		assert_null(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_committed_rows),
		cmocka_unit_test(test_reference_rows),
		cmocka_unit_test(test_specials_and_empty),
		cmocka_unit_test(test_long_word_is_unknown),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_bad_utf8),
		cmocka_unit_test(test_megabytes),
		cmocka_unit_test(test_vocabulary_faults),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
