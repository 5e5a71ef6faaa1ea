/* The unpickler on pickles written by hand, and what it makes of pickles that want to run code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/pickle.h"
#include "support/alloc_probe.h"
#include "support/scratch_file.h"

/* A value as text: dicts {k:v}, lists [..], tuples (..), globals <module.name>, objects CALL!ARGS, stored @ID. */
static void describe(const struct pickle *p, pickle_ref ref, struct buf *out, int depth)
{
	static const char *const open[] = {[PICKLE_TUPLE] = "(", [PICKLE_LIST] = "[", [PICKLE_DICT] = "{"};
	static const char *const close[] = {[PICKLE_TUPLE] = ")", [PICKLE_LIST] = "]", [PICKLE_DICT] = "}"};
	const struct pickle_value *v = pickle_at(p, ref);
	uint32_t cell = v->head;
	pickle_ref item;

	if (depth > 8) {
		glip__buf_puts(out, "...");
		return;
	}
	switch (v->kind) {
	case PICKLE_NONE: glip__buf_puts(out, "None"); break;
	case PICKLE_BOOL: glip__buf_puts(out, v->as.integer ? "True" : "False"); break;
	case PICKLE_INT: glip__buf_printf(out, "%lld", (long long)v->as.integer); break;
	case PICKLE_FLOAT: glip__buf_printf(out, "%.17g", v->as.number); break;
	case PICKLE_TEXT: glip__buf_printf(out, "'%.*s'", (int)v->as.string.length, v->as.string.text); break;
	case PICKLE_BYTES: glip__buf_printf(out, "b'%.*s'", (int)v->as.string.length, v->as.string.text); break;
	case PICKLE_TUPLE:
	case PICKLE_LIST:
	case PICKLE_DICT:
		glip__buf_puts(out, open[v->kind]);
		for (uint32_t n = 0; cell != 0; n++) {
			cell = pickle_next(p, cell, &item);
			glip__buf_puts(out, n == 0 ? "" : v->kind == PICKLE_DICT && n % 2 == 1 ? ":" : ",");
			describe(p, item, out, depth + 1);
		}
		glip__buf_puts(out, close[v->kind]);
		break;
	case PICKLE_GLOBAL:
		glip__buf_puts(out, "<");
		describe(p, v->as.pair.first, out, depth + 1);
		glip__buf_puts(out, ".");
		describe(p, v->as.pair.second, out, depth + 1);
		glip__buf_puts(out, ">");
		break;
	case PICKLE_OBJECT:
		describe(p, v->as.pair.first, out, depth + 1);
		glip__buf_puts(out, "!");
		describe(p, v->as.pair.second, out, depth + 1);
		break;
	case PICKLE_STORED:
		glip__buf_puts(out, "@");
		describe(p, v->as.pair.first, out, depth + 1);
		break;
	case PICKLE_OPAQUE: glip__buf_puts(out, "?"); break;
	}
}

static const struct {
	const char *bytes, *value;
} good[] = {
	{"'N.", "None"},
	{"x:8002 'N.", "None"},
	{"x:8004 x:95 8:2 'N.", "None"},
	{"x:882E", "True"},
	{"x:892E", "False"},
	{"'K 1:200 '.", "200"},
	{"'M 2:60000 '.", "60000"},
	{"'J 4:0xFFFFFFFE '.", "-2"},
	{"x:8A00 '.", "0"},
	{"x:8A01FF '.", "-1"},
	{"x:8A02FF00 '.", "255"},
	{"x:8A08 8:0x8000000000000000 '.", "-9223372036854775808"},
	{"x:8A09 z:9 '.", "?"},
	{"x:8B 4:2 2:0x1234 '.", "4660"},
	{"'G x:3FE8000000000000 '.", "0.75"},
	{"'X 4:3 'abc.", "'abc'"},
	{"'U 1:3 'abc.", "'abc'"},
	{"'T 4:3 'abc.", "'abc'"},
	{"x:8C03 'abc.", "'abc'"},
	{"x:8D 8:3 'abc.", "'abc'"},
	{"'B 4:3 'abc.", "b'abc'"},
	{"'C 1:3 'abc.", "b'abc'"},
	{"x:8E 8:3 'abc.", "b'abc'"},
	{"'].", "[]"},
	{"').", "()"},
	{"'}.", "{}"},
	{"x:8F2E", "?"},
	{"'N x:85 '.", "(None)"},
	{"'NK 1:1 x:86 '.", "(None,1)"},
	{"'NNK 1:1 x:87 '.", "(None,None,1)"},
	{"'(NNNNt.", "(None,None,None,None)"},
	{"'(K 1:1 'K 1:2 'l.", "[1,2]"},
	{"'(K 1:1 'K 1:2 'd.", "{1:2}"},
	{"'(NN x:91 '.", "?"},
	{"']Na.", "[None]"},
	{"'](NNe.", "[None,None]"},
	{"'}K 1:1 'K 1:2 's.", "{1:2}"},
	{"'}(K 1:1 'K 1:2 'K 1:3 'K 1:4 'u.", "{1:2,3:4}"},
	{"x:8F '(NN x:902E", "?"},
	{"'N0K 1:1 '.", "1"},
	{"'K 1:1 '(NN1.", "1"},
	{"'K 1:1 '2 x:86 '.", "(1,1)"},
	{"'K 1:7 'q x:00 'K 1:8 'q x:01 'h x:00 x:87 '.", "(7,8,7)"},
	{"'K 1:7 'r 4:300 'j 4:300 x:86 '.", "(7,7)"},
	{"'K 1:7 x:94 'K 1:8 x:94 'h x:00 x:87 '.", "(7,8,7)"},
	{"']q x:00 'h x:00 'a.", "[[[[[[[[[..."},
	{"'cos x:0A 'system x:0A '.", "<'os'.'system'>"},
	{"'cos x:0A 'system x:0A 'X 4:4 'true x:85 'R.", "<'os'.'system'>!('true')"},
	{"'cos x:0A 'system x:0A ') x:81 '.", "<'os'.'system'>!()"},
	{"'cos x:0A 'system x:0A ')} x:92 '.", "<'os'.'system'>!()"},
	{"'cos x:0A 'system x:0A ')RNb.", "<'os'.'system'>!()"},
	{"'cos x:0A 'system x:0A ')R(NNu.", "<'os'.'system'>!()"},
	{"x:8C01 'm x:8C01 'n x:93 '.", "<'m'.'n'>"},
	{"'K 1:5 'Q.", "@5"},
	{"'ccollections x:0A 'OrderedDict x:0A ')R(K 1:1 'K 1:2 'u.", "{1:2}"},
	{"'ccollections x:0A 'OrderedDict x:0A '](](K 1:1 'K 1:2 'ee x:85 'R.", "{1:2}"},
	{"'ccollections x:0A 'OrderedDict x:0A ')R}b.", "{}"},
};

static void test_values(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct buf b = {.allocator = &glip__default_allocator}, text = {.allocator = &glip__default_allocator};
		struct pickle p;
		struct glip_error err;
		pickle_ref root;
		bytes_append(&b, good[i].bytes);
		pickle_init(&p, &glip__default_allocator, (const uint8_t *)b.data, b.length, "test");
		if (pickle_parse(&p, &root, &err) != GLIP_OK)
			fail_msg("%s: %s", good[i].bytes, err.message);
		describe(&p, root, &text, 0);
		if (strncmp(text.data, good[i].value, strlen(good[i].value)) != 0 ||
		    (strstr(good[i].value, "...") == NULL && text.length != strlen(good[i].value)))
			fail_msg("%s: %s (expected %s)", good[i].bytes, text.data, good[i].value);
		assert_int_equal(p.at, b.length);
		pickle_free(&p);
		glip__buf_free(&b);
		glip__buf_free(&text);
	}
}

static const struct {
	const char *bytes;
	enum glip_status status;
	const char *message;
} bad[] = {
	{"", GLIP_ERR_FORMAT, "the file ends within it"},
	{"'N", GLIP_ERR_FORMAT, "the file ends within it"},
	{"'.", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'0", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'2", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'q x:00", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'t", GLIP_ERR_FORMAT, "a mark is missing"},
	{"'u", GLIP_ERR_FORMAT, "a mark is missing"},
	{"'N(0t.", GLIP_ERR_FORMAT, "a mark lies above the stack"},
	{"x:85", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'N x:86", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'NN x:87", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'a", GLIP_ERR_FORMAT, "the stack is empty"},
	{"']a", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'}Ns", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'NNa.", GLIP_ERR_FORMAT, "no container"},
	{"']NNs.", GLIP_ERR_FORMAT, "no container"},
	{"'}(Nu.", GLIP_ERR_FORMAT, "a key without a value"},
	{"'(Nd.", GLIP_ERR_FORMAT, "a key without a value"},
	{"'(Ne.", GLIP_ERR_FORMAT, "items without a container"},
	{"'h x:00 '.", GLIP_ERR_FORMAT, "never set"},
	{"'Nq x:05 'h x:04 '.", GLIP_ERR_FORMAT, "never set"},
	{"'Nr 4:0xFFFFFFFF '.", GLIP_ERR_FORMAT, "memo number out of range"},
	{"'K", GLIP_ERR_FORMAT, "the file ends within it"},
	{"'J 2:1", GLIP_ERR_FORMAT, "a number longer than the pickle"},
	{"'G 4:1", GLIP_ERR_FORMAT, "the file ends within it"},
	{"'X 4:4 'abc", GLIP_ERR_FORMAT, "a string longer than the pickle"},
	{"'X 4:0xFFFFFFFF 'abc", GLIP_ERR_FORMAT, "a string longer than the pickle"},
	{"x:8D 8:0xFFFFFFFFFFFFFFFF 'abc", GLIP_ERR_FORMAT, "a string longer than the pickle"},
	{"x:8A05 'abc", GLIP_ERR_FORMAT, "a number longer than the pickle"},
	{"x:8B 4:0x80000000 'abc", GLIP_ERR_FORMAT, "a number longer than the pickle"},
	{"'cos", GLIP_ERR_FORMAT, "a name without an end"},
	{"'cos x:0A 'system", GLIP_ERR_FORMAT, "a name without an end"},
	{"'NN x:93 '.", GLIP_ERR_FORMAT, "a global whose name is no text"},
	{"'R", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'NR", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'Nb", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'Q", GLIP_ERR_FORMAT, "the stack is empty"},
	{"'ccollections x:0A 'OrderedDict x:0A ']Na x:85 'R.", GLIP_ERR_FORMAT, "something else than pairs"},
	{"x:8001 'N.", GLIP_ERR_UNSUPPORTED, "protocol 1"},
	{"x:8006 'N.", GLIP_ERR_UNSUPPORTED, "protocol 6"},
	{"'I1 x:0A '.", GLIP_ERR_UNSUPPORTED, "instruction 0x49 at byte 0"},
	{"'(ios x:0A 'system x:0A '.", GLIP_ERR_UNSUPPORTED, "instruction 0x69 at byte 1"},
	{"x:8201", GLIP_ERR_UNSUPPORTED, "instruction 0x82"},
	{"x:FF", GLIP_ERR_UNSUPPORTED, "instruction 0xFF"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf b = {.allocator = &glip__default_allocator};
		struct pickle p;
		struct glip_error err = {0};
		pickle_ref root;
		bytes_append(&b, bad[i].bytes);
		/* Exactly its size, so that a sanitizer sees any step past it. */
		uint8_t *copy = malloc(b.length + 1);
		assert_non_null(copy);
		if (b.length > 0)
			memcpy(copy, b.data, b.length);
		pickle_init(&p, &glip__default_allocator, copy, b.length, "test");
		enum glip_status status = pickle_parse(&p, &root, &err);
		if (status != bad[i].status || strstr(err.message, bad[i].message) == NULL)
			fail_msg("%s: %d, %s", bad[i].bytes, status, err.message);
		pickle_free(&p);
		glip__buf_free(&b);
		free(copy);
	}
}

/* A few bytes over and over: the values stay bounded, whatever the length. */
static void test_limits(void **state)
{
	static const char *const loops[] = {"N", "(", "]", "}", "NN\x86", "2"};
	enum { SIZE = 8 << 20 };
	struct alloc_probe probe;
	uint8_t *bytes = malloc(SIZE);

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		struct pickle p;
		struct glip_error err;
		pickle_ref root;
		bytes[0] = 'N';
		for (size_t k = 1; k < SIZE; k++)
			bytes[k] = (uint8_t)loops[i][k % strlen(loops[i])];
		alloc_probe_init(&probe);
		pickle_init(&p, &probe.allocator, bytes, SIZE, "test");
		assert_int_equal(pickle_parse(&p, &root, &err), GLIP_ERR_LIMIT);
		assert_non_null(strstr(err.message, "more than"));
		assert_true(probe.peak < (size_t)200 << 20);
		pickle_free(&p);
		assert_int_equal(probe.live, 0);
	}
	free(bytes);
}

static void test_lookup(void **state)
{
	struct buf b = {.allocator = &glip__default_allocator};
	struct pickle p;
	struct glip_error err;
	pickle_ref root, found;

	(void)state;
	bytes_append(&b, "'}(X 4:1 'aK 1:1 'NK 1:2 'X 4:1 'aK 1:3 'u.");
	pickle_init(&p, &glip__default_allocator, (const uint8_t *)b.data, b.length, "test");
	assert_int_equal(pickle_parse(&p, &root, &err), GLIP_OK);
	assert_true(pickle_lookup(&p, root, "a", &found));
	assert_int_equal(pickle_at(&p, found)->as.integer, 3);
	assert_false(pickle_lookup(&p, root, "b", &found));
	assert_false(pickle_lookup(&p, found, "a", &found));
	assert_false(pickle_item(&p, root, 0, &found));
	pickle_free(&p);
	glip__buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
