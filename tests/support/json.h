/* A small JSON reader for the tests' reference files. Anything malformed ends the test program with a message. */
#ifndef TESTS_SUPPORT_JSON_H
#define TESTS_SUPPORT_JSON_H

#include <stddef.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_kind kind;
	double number; /* also 0 or 1 of a boolean */
	char *text;    /* of a string: UTF-8, terminated */
	size_t length; /* of a string in bytes, of an array or an object in entries */
	struct json *items;
	char **keys; /* of an object */
};

/* One value that fills the text up to white space. */
struct json *json_parse(const char *text, size_t length);
void json_free(struct json *value);
/* A member of an object; the program ends where it is missing. */
const struct json *json_get(const struct json *object, const char *key);

/* A file's bytes, terminated, or NULL where it cannot be read; free() it. */
char *test_read_file(const char *path, size_t *size);
/* Calls `row` with every line's value; returns the number of lines, or -1 where the file cannot be read. */
int json_each_line(const char *path, void (*row)(void *context, const struct json *value), void *context);

#endif
