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
#include "support/test_vocab.h"
#include "tokenizer/class_captions.h"

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

static enum glip_status create(const char *const *names, size_t count, const struct glip_prompt_options *options,
                               struct class_captions *out, struct glip_error *err)
{
	struct glip_class *classes = calloc(count + 1, sizeof *classes);
	assert_non_null(classes);
	for (size_t i = 0; i < count; i++)
		classes[i] = (struct glip_class){.names = &names[i], .name_count = 1};
	enum glip_status status =
		glip__class_captions_create(vocab.vocabulary, 256, classes, count, options, &glip__default_allocator, out, err);
	free(classes);
	return status;
}

static struct class_captions create_ok(const char *const *names, size_t count,
                                       const struct glip_prompt_options *options)
{
	struct class_captions c;
	struct glip_error err = {GLIP_OK, ""};
	if (create(names, count, options, &c, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	return c;
}

static size_t tokens_of(const char *caption)
{
	struct encoding e;
	assert_int_equal(glip__wordpiece_encode(vocab.vocabulary, caption, strlen(caption), 256, &glip__default_allocator,
	                                        &e, NULL),
	                 GLIP_OK);
	size_t count = e.count;
	glip__encoding_free(&e);
	return count;
}

static void expect_span(const char *caption, struct glip_span span, const char *text)
{
	size_t length = strlen(caption);
	size_t begin = glip__utf8_offset(caption, length, (size_t)span.begin);
	size_t end = glip__utf8_offset(caption, length, (size_t)span.end);
	if (end - begin != strlen(text) || memcmp(caption + begin, text, end - begin) != 0)
		fail_msg("span %d:%d of \"%s\" is not \"%s\"", span.begin, span.end, caption, text);
}

/* Every class is in one chunk, its first span is its name, no chunk is too long, none could take one more. */
static void check_chunks(const struct class_captions *c, size_t per_pass)
{
	size_t next = 0;
	for (size_t i = 0; i < c->chunk_count; i++) {
		const struct class_chunk *chunk = &c->chunks[i];
		assert_int_equal(chunk->first_class, next);
		assert_true(chunk->class_count > 0 && chunk->class_count <= per_pass);
		assert_true(tokens_of(chunk->caption) <= 256);
		next += chunk->class_count;
		for (size_t k = chunk->first_class; k < next; k++)
			expect_span(chunk->caption, c->classes[k].spans[0], c->classes[k].name);
		if (next < c->class_count && chunk->class_count < per_pass) {
			char longer[8192];
			snprintf(longer, sizeof longer, "%s. %s", chunk->caption, c->classes[next].name);
			assert_true(tokens_of(longer) > 256);
		}
	}
	assert_int_equal(next, c->class_count);
}

static void test_simple(void **state)
{
	(void)state;
	static const char *const names[] = {"cat", "hot dog", "dog", "Caf\xc3\xa9", "\xe7\x8c\xab"};
	struct class_captions c = create_ok(names, 5, NULL);
	assert_int_equal(c.chunk_count, 1);
	assert_string_equal(c.chunks[0].caption, "cat. hot dog. dog. Caf\xc3\xa9. \xe7\x8c\xab");
	check_chunks(&c, SIZE_MAX);
	assert_int_equal(c.classes[2].spans[0].begin, 14);
	assert_int_equal(c.classes[4].spans[0].end, 26);
	glip__class_captions_free(&c);

	struct glip_prompt_options demo = {.separator = " . ", .trailing_separator = 1};
	c = create_ok(names, 3, &demo);
	assert_string_equal(c.chunks[0].caption, "cat . hot dog . dog . ");
	check_chunks(&c, SIZE_MAX);
	glip__class_captions_free(&c);
}

static void test_cleaning(void **state)
{
	(void)state;
	static const char *const names[] = {"bow_(weapon)",      "bow_(decorative_ribbons)",
	                                    "crayon (red)  box", "a__b",
	                                    " x (1) y (2) ",     "odd) (",
	                                    "traffic\tlight"};
	static const char *const clean[] = {"bow", "bow", "crayon box", "a b", "x", "odd) (", "traffic light"};
	struct class_captions c = create_ok(names, 7, NULL);
	for (size_t i = 0; i < 7; i++)
		assert_string_equal(c.classes[i].name, clean[i]);
	assert_string_equal(c.chunks[0].caption, "bow. bow. crayon box. a b. x. odd) (. traffic light");
	assert_int_equal(c.classes[1].spans[0].begin, 5);
	check_chunks(&c, SIZE_MAX);
	glip__class_captions_free(&c);
}

static void test_words_around(void **state)
{
	(void)state;
	static const char *const cat[] = {"cat"}, *const dog[] = {"dog", "hound", "puppy"};
	struct glip_class classes[] = {{.names = cat, .name_count = 1},
	                               {.names = dog, .name_count = 3, .prefix = "my ", .suffix = ""}};
	struct glip_prompt_options o = {.prefix = "a photo of", .suffix = ", a kind of animal"};
	struct class_captions c;
	struct glip_error err;
	assert_int_equal(glip__class_captions_create(vocab.vocabulary, 256, classes, 2, &o, &glip__default_allocator, &c,
	                                             &err),
	                 GLIP_OK);
	assert_string_equal(c.chunks[0].caption, "a photo of cat, a kind of animal. my dog. my hound. my puppy");
	expect_span(c.chunks[0].caption, c.classes[0].spans[0], "cat");
	assert_int_equal(c.classes[1].span_count, 3);
	for (size_t i = 0; i < 3; i++)
		expect_span(c.chunks[0].caption, c.classes[1].spans[i], dog[i]);
	assert_string_equal(c.classes[1].name, "dog");
	glip__class_captions_free(&c);
}

static char *make_names(const char **names, size_t count)
{
	char *text = malloc(count * 48);
	assert_non_null(text);
	for (size_t i = 0; i < count; i++) {
		static const char *const kinds[] = {"raccoon",          "traffic light",       "\xe7\x8c\xab",
		                                    "caf\xc3\xa9",      "x-ray (film)",        "a_b",
		                                    "\xf0\x9f\x90\xb6", "antidisestablishment"};
		names[i] = text + i * 48;
		snprintf(text + i * 48, 48, "%s %zu", kinds[i % 8], i);
	}
	return text;
}

static void test_many_names(void **state)
{
	(void)state;
	enum { COUNT = 1203 };
	const char *names[COUNT];
	char *text = make_names(names, COUNT);
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	struct class_captions c = create_ok(names, COUNT, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("%d names in %zu chunks: %.1f ms\n", COUNT, c.chunk_count,
	              1e3 * (double)(b.tv_sec - a.tv_sec) + 1e-6 * (double)(b.tv_nsec - a.tv_nsec));
	check_chunks(&c, SIZE_MAX);
	glip__class_captions_free(&c);

	struct glip_prompt_options forty = {.classes_per_pass = 40};
	c = create_ok(names, COUNT, &forty);
	assert_true(c.chunk_count >= 31);
	check_chunks(&c, 40);
	glip__class_captions_free(&c);

	/* N at least the list's length changes nothing. */
	struct glip_prompt_options enough = {.classes_per_pass = COUNT};
	c = create_ok(names, COUNT, NULL);
	struct class_captions d = create_ok(names, COUNT, &enough);
	assert_int_equal(c.chunk_count, d.chunk_count);
	for (size_t i = 0; i < c.chunk_count; i++)
		assert_string_equal(c.chunks[i].caption, d.chunks[i].caption);
	glip__class_captions_free(&c);
	glip__class_captions_free(&d);
	free(text);
}

/* Separators that join names into other words: the sum of the parts is not the caption's length. */
static void test_odd_separators(void **state)
{
	(void)state;
	enum { COUNT = 600 };
	const char *names[COUNT];
	char *text = make_names(names, COUNT);
	static const char *const separators[] = {"", "s", " and ", "\xcc\x81", "[SEP]", "##", "."};
	for (size_t k = 0; k < sizeof separators / sizeof separators[0]; k++) {
		struct glip_prompt_options o = {.separator = separators[k], .trailing_separator = k % 2 == 0};
		struct class_captions c = create_ok(names, COUNT, &o);
		for (size_t i = 0; i < c.chunk_count; i++) {
			const struct class_chunk *chunk = &c.chunks[i];
			assert_true(tokens_of(chunk->caption) <= 256);
			for (size_t n = 0; n < chunk->class_count; n++)
				expect_span(chunk->caption, c.classes[chunk->first_class + n].spans[0],
				            c.classes[chunk->first_class + n].name);
		}
		glip__class_captions_free(&c);
	}
	free(text);
}

/* Without a separator the names become one word of over 100 letters, a single [UNK]: all fit one pass, far more than
 * the sum of their own tokens says. */
static void test_chunks_are_filled(void **state)
{
	(void)state;
	enum { COUNT = 600 };
	const char *names[COUNT];
	char text[COUNT][8];
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(text[i], sizeof text[i], "w%u", (unsigned)i % 1000);
		names[i] = text[i];
	}
	struct glip_prompt_options o = {.separator = ""};
	struct class_captions c = create_ok(names, COUNT, &o);
	assert_int_equal(c.chunk_count, 1);
	assert_int_equal(tokens_of(c.chunks[0].caption), 3);
	glip__class_captions_free(&c);
}

static void expect_fault(const char *const *names, size_t count, enum glip_status status, const char *message)
{
	struct class_captions c;
	struct glip_error err = {GLIP_OK, ""};
	assert_int_equal(create(names, count, NULL, &c, &err), status);
	assert_string_equal(err.message, message);
	assert_null(c.classes);
	assert_null(c.chunks);
}

static void test_faults(void **state)
{
	(void)state;
	static const char *const twice[] = {"cat", "hot dog", "bird", "Hot_Dog "};
	expect_fault(twice, 4, GLIP_ERR_TEXT, "class 4 of 4 repeats class 2: \"Hot Dog\"");
	static const char *const empty[] = {"cat", "(dog)"};
	expect_fault(empty, 2, GLIP_ERR_TEXT, "class 2 of 2 has an empty name: \"(dog)\"");
	static const char *const blank[] = {" "};
	expect_fault(blank, 1, GLIP_ERR_TEXT, "class 1 of 1 has an empty name: \" \"");
	static const char *const bytes[] = {"cat", "d\xffg"};
	expect_fault(bytes, 2, GLIP_ERR_TEXT, "class 2 of 2: a name is not UTF-8 at byte 1");
	expect_fault(NULL, 0, GLIP_ERR_ARGUMENT, "the list of classes is empty");
	char *huge = malloc(1001);
	assert_non_null(huge);
	for (size_t i = 0; i < 1000; i++)
		huge[i] = i % 2 == 0 ? 'a' : '.';
	huge[1000] = '\0';
	const char *const large[] = {"cat", huge};
	struct class_captions c;
	struct glip_error err;
	assert_int_equal(create(large, 2, NULL, &c, &err), GLIP_ERR_LIMIT);
	assert_non_null(strstr(err.message, "class 2 of 2 needs 1002 tokens, the model reads 256: \"a.a."));
	free(huge);

	static const char *const dog[] = {"dog", "Dog"};
	struct glip_class class = {.names = dog, .name_count = 2};
	assert_int_equal(glip__class_captions_create(vocab.vocabulary, 256, &class, 1, NULL, &glip__default_allocator, &c,
	                                             &err),
	                 GLIP_ERR_TEXT);
	assert_string_equal(err.message, "class 1 of 1 has a name twice: \"Dog\"");
	class.name_count = 0;
	assert_int_equal(glip__class_captions_create(vocab.vocabulary, 256, &class, 1, NULL, &glip__default_allocator, &c,
	                                             &err),
	                 GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "class 1 of 1 has no name");
}

/* The captions and spans of the reference's class lists come out again. */
static void compare_case(const char *name)
{
	char path[256];
	size_t size;
	snprintf(path, sizeof path, "../shared/reference/cases/%s/case.json", name);
	char *data = test_read_file(path, &size);
	if (data == NULL)
		skip();
	struct json *json = json_parse(data, size);
	const char *caption = json_get(json, "caption")->text;
	const struct json *labels = json_get(json, "tokens_positive");
	char copies[128][64];
	const char *names[128];
	assert_true(labels->length <= 128);
	for (size_t i = 0; i < labels->length; i++) {
		const struct json *pair = labels->items[i].items[0].items;
		int begin = (int)pair[0].number, end = (int)pair[1].number;
		snprintf(copies[i], sizeof copies[i], "%.*s", end - begin, caption + begin);
		names[i] = copies[i];
	}
	struct class_captions c = create_ok(names, labels->length, NULL);
	assert_int_equal(c.chunk_count, tokens_of(caption) <= 256 ? 1 : c.chunk_count);
	assert_string_equal(c.chunks[0].caption, caption);
	for (size_t i = 0; i < labels->length; i++) {
		assert_int_equal(c.classes[i].spans[0].begin, (int)labels->items[i].items[0].items[0].number);
		assert_int_equal(c.classes[i].spans[0].end, (int)labels->items[i].items[0].items[1].number);
	}
	glip__class_captions_free(&c);
	json_free(json);
	free(data);
}

static void test_reference_captions(void **state)
{
	(void)state;
	compare_case("mini-t-classes");
	compare_case("mini-t-coco80");
	compare_case("glip-t-classes");
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
	static const char *const names[] = {"cat (big)", "hot dog"};
	struct glip_class classes[] = {{.names = names, .name_count = 1}, {.names = names + 1, .name_count = 1}};
	struct failing failing = {0};
	struct glip_allocator a = {failing_alloc, failing_free, &failing};
	struct class_captions c;
	int n = 0;
	for (enum glip_status status = GLIP_ERR_NOMEM; status != GLIP_OK; n++) {
		failing.left = n;
		status = glip__class_captions_create(vocab.vocabulary, 256, classes, 2, NULL, &a, &c, NULL);
		assert_true(status == GLIP_OK || status == GLIP_ERR_NOMEM);
	}
	assert_true(n > 20);
	glip__class_captions_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_cleaning),
		cmocka_unit_test(test_words_around),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_odd_separators),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_chunks_are_filled),
		cmocka_unit_test(test_reference_captions),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
