#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/alloc_probe.h"
#include "support/json.h"
#include "support/test_vocab.h"
#include "tokenizer/spans.h"

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

static struct encoding encode(const char *text)
{
	struct encoding e;
	assert_int_equal(
		glip__wordpiece_encode(vocab.vocabulary, text, strlen(text), 256, &glip__default_allocator, &e, NULL), GLIP_OK);
	return e;
}

static void expect_tokens(const char *text, int begin, int end, int first, int last)
{
	struct encoding e = encode(text);
	size_t a = 99, b = 99;
	bool found = glip__span_tokens(&e, (struct glip_span){begin, end}, &a, &b);
	if (found != (first > 0) || (found && (a != (size_t)first || b != (size_t)last)))
		fail_msg("%s [%d, %d): tokens %zu..%zu", text, begin, end, a, b);
	glip__encoding_free(&e);
}

static void test_span_tokens(void **state)
{
	(void)state;
	/* a raccoon sitting: a, ra, ##cco, ##on, sitting */
	expect_tokens("a raccoon sitting", 0, 9, 1, 4);
	expect_tokens("a raccoon sitting", 2, 9, 2, 4);
	expect_tokens("a raccoon sitting", 3, 5, 2, 3);
	expect_tokens("a raccoon sitting", 10, 17, 5, 5);
	/* Up to two places further in where white space stands at the edges, three are too many. */
	expect_tokens("a  cat  x", 1, 8, 2, 2);
	expect_tokens("a   cat   x", 1, 10, 0, 0);
	expect_tokens("a  cat   x", 3, 9, 0, 0);
	expect_tokens("a   cat x", 1, 7, 0, 0);
	expect_tokens("a   cat x", 2, 7, 2, 2);
	expect_tokens("cat   dog", 3, 6, 0, 0);
	expect_tokens("cat  dog", 3, 5, 0, 0);
	/* Several pieces of one letter, and letters that have no token. */
	expect_tokens("\xed\x95\x9c \xea\xb5\xad", 0, 1, 1, 1);
	expect_tokens("cafe\xcc\x81 x", 0, 5, 1, 1);
	/* Past the cut the place is still told. */
	char text[1201];
	for (size_t i = 0; i < 1200; i++)
		text[i] = i % 2 == 0 ? 'a' : ' ';
	text[1200] = '\0';
	expect_tokens(text, 1000, 1001, 501, 501);
}

static void compare_case(const char *name)
{
	char path[256];
	size_t size;
	snprintf(path, sizeof path, "../shared/reference/cases/%s/case.json", name);
	char *data = test_read_file(path, &size);
	if (data == NULL)
		skip();
	struct json *c = json_parse(data, size);
	struct encoding e = encode(json_get(c, "caption")->text);
	const struct json *labels = json_get(c, "tokens_positive"), *map = json_get(c, "positive_map");
	for (size_t i = 0; i < labels->length; i++) {
		char key[32];
		snprintf(key, sizeof key, "%zu", i + 1);
		const struct json *tokens = json_get(map, key), *spans = &labels->items[i];
		size_t n = 0;
		for (size_t k = 0; k < spans->length; k++) {
			const struct json *pair = spans->items[k].items;
			struct glip_span span = {(int)pair[0].number, (int)pair[1].number};
			size_t first, last;
			assert_true(glip__span_tokens(&e, span, &first, &last));
			for (size_t t = first; t <= last; t++, n++)
				assert_int_equal((int)tokens->items[n].number, t);
		}
		assert_int_equal(n, tokens->length);
	}
	glip__encoding_free(&e);
	json_free(c);
	free(data);
}

static void test_reference_maps(void **state)
{
	(void)state;
	compare_case("mini-t-phrases");
	compare_case("mini-t-classes");
	compare_case("mini-t-coco80");
	compare_case("glip-t-phrases");
}

static void expect_fault(int begin, int end, const char *message)
{
	struct glip_error err = {GLIP_OK, ""};
	enum glip_status status = glip__span_check((struct glip_span){begin, end}, 10, "cat", &err);
	assert_int_equal(status, message == NULL ? GLIP_OK : GLIP_ERR_TEXT);
	if (message != NULL)
		assert_string_equal(err.message, message);
}

static void test_span_check(void **state)
{
	(void)state;
	expect_fault(0, 10, NULL);
	expect_fault(9, 10, NULL);
	expect_fault(3, 3, "span 3:3 is empty (the caption has 10 code points): label \"cat\"");
	expect_fault(4, 3, "span 4:3 is reversed (the caption has 10 code points): label \"cat\"");
	expect_fault(4, 11, "span 4:11 goes past the end (the caption has 10 code points): label \"cat\"");
	expect_fault(-1, 3, "span -1:3 is negative (the caption has 10 code points): label \"cat\"");
}

static void test_find_phrase(void **state)
{
	(void)state;
	static const struct {
		const char *caption, *phrase;
		int begin, end; /* -1: not there */
	} cases[] = {
		{"a cart and a car", "car", 13, 16},
		{"a carton, scar, cars", "car", -1, -1},
		{"hot dog or dog", "dog", 4, 7},
		{"The CAR is red", "the car", 0, 7},
		{"the cat's tail", "the cat", 0, 7},
		{"a half-eaten pie", "eaten pie", 7, 16},
		{"a hot\n  dog", " hot dog ", 2, 11},
		{"\xc3\x89t\xc3\xa9 stra\xc3\x9f"
	     "e",
	     "\xc3\xa9T\xc3\x89", 0, 3},
		{"eine STRASSE",
	     "stra\xc3\x9f"
	     "e",
	     5, 12},
		{"eine stra\xc3\x9f"
	     "e x",
	     "STRASSE", 5, 11},
		{"stra\xc3\x9f"
	     "e",
	     "stras", -1, -1},
		{"a cafe\xcc\x81 b", "caf\xc3\xa9", 2, 7},
		{"a cafe\xcc\x81 b", "cafe", -1, -1},
		{"\xe6\x9d\xb1\xe4\xba\xac\xe3\x81\xae\xe7\x8c\xab", "\xe7\x8c\xab", 3, 4},
		{"cola (unopened)", "(unopened)", 5, 15},
		{"aab aab aabaab aabb", "aabb", 15, 19},
		{"a a a b", "a a b", 2, 7},
		{"snake_case", "case", -1, -1},
		{"cat", "cats", -1, -1},
		{"dog2", "dog", -1, -1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct glip_span span = {-1, -1};
		struct glip_error err;
		enum glip_status status = glip_find_phrase(cases[i].caption, cases[i].phrase, &span, &err);
		if (span.begin != cases[i].begin || span.end != cases[i].end)
			fail_msg("%s in %s: %d %d", cases[i].phrase, cases[i].caption, span.begin, span.end);
		assert_int_equal(status, cases[i].begin < 0 ? GLIP_ERR_TEXT : GLIP_OK);
		if (status != GLIP_OK)
			assert_non_null(strstr(err.message, cases[i].phrase));
	}
}

static void test_find_phrase_faults(void **state)
{
	(void)state;
	struct glip_span span;
	struct glip_error err;
	assert_int_equal(glip_find_phrase("a cat", " ", &span, &err), GLIP_ERR_TEXT);
	assert_string_equal(err.message, "the phrase is empty");
	assert_int_equal(glip_find_phrase("", "cat", &span, &err), GLIP_ERR_TEXT);
	assert_int_equal(glip_find_phrase("a \xff", "cat", &span, &err), GLIP_ERR_TEXT);
	assert_string_equal(err.message, "the caption is not UTF-8 at byte 2");
	assert_int_equal(glip_find_phrase("a cat", "\xff", &span, &err), GLIP_ERR_TEXT);
	assert_int_equal(glip_find_phrase("a cat", NULL, &span, &err), GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "glip_find_phrase: phrase is NULL");

	/* Linear: a quadratic search would take minutes. */
	size_t size = 600000;
	char *text = malloc(size + 1), *phrase = malloc(size / 2 + 1);
	assert_true(text != NULL && phrase != NULL);
	for (size_t i = 0; i < size; i++)
		text[i] = i % 2 == 0 ? 'a' : ' ';
	text[size] = '\0';
	memcpy(phrase, text, size / 2);
	phrase[size / 2 - 2] = 'b';
	phrase[size / 2] = '\0';
	assert_int_equal(glip_find_phrase(text, phrase, &span, &err), GLIP_ERR_TEXT);
	free(text);
	free(phrase);
}

static void test_find_phrase_without_memory(void **state)
{
	(void)state;
	struct alloc_probe probe;
	struct glip_span span = {-1, -1};
	struct glip_error err;
	/* Enough of both texts that their lists grow. */
	char caption[600] = "", phrase[300] = "";
	for (int i = 0; i < 290; i++) {
		strcat(caption, i % 2 ? "a" : " ");
		strcat(phrase, i % 2 ? "a" : " ");
	}
	strcat(caption, " b");
	strcat(phrase, " b");
	alloc_probe_init(&probe);
	bool done = false;
	for (long n = 1; !done; n++) {
		alloc_probe_arm(&probe, n, n % 2);
		enum glip_status status = glip__find_phrase(caption, phrase, &probe.allocator, &span, &err);
		done = probe.calls < n;
		assert_int_equal(status, done ? GLIP_OK : GLIP_ERR_NOMEM);
		assert_int_equal(span.end, done ? 292 : -1);
		assert_int_equal(probe.live, 0);
	}
	assert_true(probe.calls > 6);
}

/* Every code point can be folded. */
static void test_find_phrase_in_everything(void **state)
{
	(void)state;
	struct buf text = {.allocator = &glip__default_allocator};
	struct glip_span span;
	for (uint32_t c = 1; c < 0x110000; c++) {
		uint8_t b[4] = {(uint8_t)(0xF0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 63)), (uint8_t)(0x80 | (c >> 6 & 63)),
		                (uint8_t)(0x80 | (c & 63))};
		size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		uint8_t *first = &b[4 - length];
		static const uint8_t heads[] = {0, 0, 0xC0, 0xE0, 0xF0};
		*first = length == 1 ? (uint8_t)c : (uint8_t)(heads[length] | c >> 6 * (length - 1));
		if (c >= 0xD800 && c < 0xE000)
			continue;
		assert_true(glip__buf_append(&text, first, length));
		if (c % 4096 != 4095)
			continue;
		assert_true(glip__buf_puts(&text, " here"));
		assert_int_equal(glip_find_phrase(text.data, "HERE", &span, NULL), GLIP_OK);
		text.length = 0;
	}
	glip__buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span_tokens),
		cmocka_unit_test(test_reference_maps),
		cmocka_unit_test(test_span_check),
		cmocka_unit_test(test_find_phrase),
		cmocka_unit_test(test_find_phrase_faults),
		cmocka_unit_test(test_find_phrase_without_memory),
		cmocka_unit_test(test_find_phrase_in_everything),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
