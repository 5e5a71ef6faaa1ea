#include "support/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *at, *end;
};

static void give_up(const char *why)
{
	fprintf(stderr, "test data: %s\n", why);
	exit(99);
}

static void *take(void *old, size_t size)
{
	void *p = realloc(old, size != 0 ? size : 1);
	if (p == NULL)
		give_up("out of memory");
	return p;
}

static int peek(struct reader *r)
{
	while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL)
		r->at++;
	return r->at < r->end ? (unsigned char)*r->at : -1;
}

static void expect(struct reader *r, char c)
{
	if (peek(r) != c)
		give_up("malformed JSON");
	r->at++;
}

static unsigned read_hex4(struct reader *r)
{
	char digits[5] = {0};
	if (r->end - r->at < 4)
		give_up("cut \\u escape");
	memcpy(digits, r->at, 4);
	r->at += 4;
	return (unsigned)strtoul(digits, NULL, 16);
}

static size_t put_utf8(char *out, unsigned c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3F));
	out[0] = (char)((0xF00u >> n & 0xFF) | c);
	return n;
}

static size_t read_escape(struct reader *r, char *out)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	if (r->at == r->end)
		give_up("cut string");
	char c = *r->at++;
	const char *known = c != '\0' ? strchr(names, c) : NULL;
	if (known != NULL) {
		out[0] = values[known - names];
		return 1;
	}
	if (c != 'u')
		give_up("unknown escape");
	unsigned value = read_hex4(r);
	if (value >= 0xD800 && value < 0xDC00 && r->end - r->at > 6) {
		r->at += 2;
		value = 0x10000 + ((value - 0xD800) << 10) + (read_hex4(r) - 0xDC00);
	}
	return put_utf8(out, value);
}

static char *read_string(struct reader *r, size_t *length)
{
	expect(r, '"');
	/* No escape is shorter than what it stands for. */
	char *text = take(NULL, (size_t)(r->end - r->at) + 1);
	size_t n = 0;
	while (r->at < r->end && *r->at != '"') {
		char c = *r->at++;
		if (c == '\\')
			n += read_escape(r, text + n);
		else
			text[n++] = c;
	}
	expect(r, '"');
	text[n] = '\0';
	if (length != NULL)
		*length = n;
	return take(text, n + 1);
}

static struct json read_value(struct reader *r);

static void read_list(struct reader *r, struct json *v, char close)
{
	r->at++;
	while (peek(r) != close) {
		if (v->length > 0)
			expect(r, ',');
		v->items = take(v->items, (v->length + 1) * sizeof *v->items);
		if (v->kind == JSON_OBJECT) {
			v->keys = take(v->keys, (v->length + 1) * sizeof *v->keys);
			v->keys[v->length] = read_string(r, NULL);
			expect(r, ':');
		}
		v->items[v->length] = read_value(r);
		v->length++;
	}
	r->at++;
}

static struct json read_value(struct reader *r)
{
	struct json v = {JSON_NULL, 0, NULL, 0, NULL, NULL};
	int c = peek(r);
	if (c == '"') {
		v.kind = JSON_STRING;
		v.text = read_string(r, &v.length);
	} else if (c == '[' || c == '{') {
		v.kind = c == '[' ? JSON_ARRAY : JSON_OBJECT;
		read_list(r, &v, c == '[' ? ']' : '}');
	} else if (c == 't' || c == 'f' || c == 'n') {
		v.kind = c == 'n' ? JSON_NULL : JSON_BOOL;
		v.number = c == 't';
		r->at += c == 'f' ? 5 : 4;
	} else {
		char *stop = NULL;
		v.kind = JSON_NUMBER;
		v.number = strtod(r->at, &stop);
		if (stop == r->at)
			give_up("malformed JSON");
		r->at = stop;
	}
	if (r->at > r->end)
		give_up("cut JSON");
	return v;
}

struct json *json_parse(const char *text, size_t length)
{
	struct reader r = {text, text + length};
	struct json *value = take(NULL, sizeof *value);
	*value = read_value(&r);
	if (peek(&r) != -1)
		give_up("text behind the JSON value");
	return value;
}

static void release(struct json *v)
{
	for (size_t i = 0; v->items != NULL && i < v->length; i++) {
		release(&v->items[i]);
		if (v->keys != NULL)
			free(v->keys[i]);
	}
	free(v->items);
	free(v->keys);
	free(v->text);
}

void json_free(struct json *value)
{
	if (value != NULL)
		release(value);
	free(value);
}

const struct json *json_get(const struct json *object, const char *key)
{
	for (size_t i = 0; object->kind == JSON_OBJECT && i < object->length; i++) {
		if (strcmp(object->keys[i], key) == 0)
			return &object->items[i];
	}
	give_up(key);
	return NULL;
}

char *test_read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return NULL;
	char *data = NULL;
	size_t n = 0, room = 0, got;
	do {
		room = room * 2 + 65536;
		data = take(data, room + 1);
		got = fread(data + n, 1, room - n, f);
		n += got;
	} while (n == room);
	fclose(f);
	data[n] = '\0';
	if (size != NULL)
		*size = n;
	return data;
}

int json_each_line(const char *path, void (*row)(void *context, const struct json *value), void *context)
{
	size_t size = 0;
	char *data = test_read_file(path, &size);
	if (data == NULL)
		return -1;
	int rows = 0;
	for (char *line = data, *end; line < data + size; line = end + 1) {
		end = memchr(line, '\n', (size_t)(data + size - line));
		if (end == NULL)
			end = data + size;
		if (end == line)
			continue;
		struct json *value = json_parse(line, (size_t)(end - line));
		row(context, value);
		json_free(value);
		rows++;
	}
	free(data);
	return rows;
}
