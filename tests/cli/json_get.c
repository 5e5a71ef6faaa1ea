/* json_get [PATH...]: reads JSON values, one a line, from standard input and prints of each the member at every PATH
 * ("detections.0.label"; "#" is the number of entries), separated by tabs. Exit status: 0; 1 where a line is no JSON or
 * has no such member. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"

static const struct json *step(const struct json *value, const char *key, size_t length)
{
	if (value->kind == JSON_ARRAY) {
		char *end;
		unsigned long i = strtoul(key, &end, 10);

		return end == key + length && i < value->length ? &value->items[i] : NULL;
	}
	for (size_t i = 0; value->kind == JSON_OBJECT && i < value->length; i++)
		if (strlen(value->keys[i]) == length && memcmp(value->keys[i], key, length) == 0)
			return &value->items[i];
	return NULL;
}

static int print(const struct json *value, const char *path)
{
	while (value != NULL && *path != '\0' && strcmp(path, "#") != 0) {
		size_t length = strcspn(path, ".");

		value = step(value, path, length);
		path += length + (path[length] == '.');
	}
	if (value == NULL)
		return 1;
	if (*path == '#')
		printf("%zu", value->length);
	else if (value->kind == JSON_STRING)
		fwrite(value->text, 1, value->length, stdout);
	else
		printf("%.9g", value->number);
	return 0;
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, stdin)) > 0) {
		struct json *value = json_parse(line, (size_t)n);

		for (int i = 1; i < argc; i++) {
			if (print(value, argv[i]) != 0) {
				fprintf(stderr, "json_get: no member %s in %.200s\n", argv[i], line);
				return 1;
			}
			putchar(i + 1 < argc ? '\t' : '\n');
		}
		json_free(value);
	}
	free(line);
	return 0;
}
