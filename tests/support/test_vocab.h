/* The standard vocabulary for tests, from weights/. */
#ifndef TESTS_SUPPORT_TEST_VOCAB_H
#define TESTS_SUPPORT_TEST_VOCAB_H

#include "tokenizer/wordpiece.h"

struct test_vocab {
	char *data;
	struct text_view *tokens;
	size_t count;
	struct vocabulary *vocabulary;
};

/* Ends the test program where it fails. */
struct test_vocab test_vocab_load(void);
void test_vocab_free(struct test_vocab *v);

#endif
