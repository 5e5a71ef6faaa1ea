#include "support/test_vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"

struct test_vocab test_vocab_load(void)
{
	struct test_vocab v = {NULL, NULL, 0, NULL};
	struct glip_error err = {GLIP_OK, "cannot read weights/bert-base-uncased-vocab.txt"};
	size_t size = 0;
	v.data = test_read_file("weights/bert-base-uncased-vocab.txt", &size);
	v.tokens = calloc(65536, sizeof *v.tokens);
	for (char *line = v.data, *end; line != NULL && v.tokens != NULL && v.count < 65536; line = end + 1) {
		end = strchr(line, '\n');
		if (end == NULL)
			break;
		v.tokens[v.count++] = (struct text_view){line, (size_t)(end - line)};
	}
	if (v.data == NULL || glip__vocabulary_create(v.tokens, v.count, NULL, &v.vocabulary, &err) != GLIP_OK) {
		fprintf(stderr, "test data: %s\n", err.message);
		exit(99);
	}
	return v;
}

void test_vocab_free(struct test_vocab *v)
{
	glip__vocabulary_free(v->vocabulary);
	free(v->tokens);
	free(v->data);
}
