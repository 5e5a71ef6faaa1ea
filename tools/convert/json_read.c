#include "json_read.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

static enum glip_status bad(const struct json_reader *j, const char *what)
{
	glip__fail(j->err, GLIP_ERR_FORMAT, "%s: JSON header: %s at byte %zu", j->path, what, (size_t)(j->at - j->text));
	return GLIP_ERR_FORMAT;
}

static void skip_space(struct json_reader *j)
{
	while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
		j->at++;
}

int json_read_accept(struct json_reader *j, char c)
{
	skip_space(j);
	if (j->at >= j->end || *j->at != c)
		return 0;
	j->at++;
	return 1;
}

enum glip_status json_read_expect(struct json_reader *j, char c)
{
	char what[] = "'?' expected";

	if (json_read_accept(j, c))
		return GLIP_OK;
	what[1] = c;
	return bad(j, what);
}

static enum glip_status hex4(struct json_reader *j, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++, j->at++) {
		char c = j->at < j->end ? *j->at : '\0';
		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			*out = *out << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return bad(j, "four hexadecimal digits expected");
	}
	return GLIP_OK;
}

/* Behind the backslash; writes the character as UTF-8. */
static enum glip_status escape(struct json_reader *j, char out[4], size_t *length)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t c, low;

	if (j->at >= j->end || *j->at == '\0')
		return bad(j, "unfinished escape");
	if (*j->at != 'u') {
		found = strchr(from, *j->at);
		if (found == NULL)
			return bad(j, "unknown escape");
		j->at++;
		out[0] = to[found - from];
		*length = 1;
		return GLIP_OK;
	}
	j->at++;
	TRY(hex4(j, &c));
	if (c >= 0xD800 && c < 0xDC00) {
		if (j->end - j->at < 2 || j->at[0] != '\\' || j->at[1] != 'u')
			return bad(j, "half a surrogate pair");
		j->at += 2;
		TRY(hex4(j, &low));
		if (low < 0xDC00 || low >= 0xE000)
			return bad(j, "half a surrogate pair");
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	} else if ((c >= 0xDC00 && c < 0xE000) || c == 0) {
		return bad(j, "a character that is not allowed");
	}
	*length = glip__utf8_encode(c, out);
	return GLIP_OK;
}

enum glip_status json_read_string(struct json_reader *j, char *out, size_t size, size_t *length)
{
	size_t n = 0, step;
	uint32_t c;
	char piece[4];

	TRY(json_read_expect(j, '"'));
	for (;;) {
		if (j->at >= j->end)
			return bad(j, "a string without an end");
		if (*j->at == '"')
			break;
		if ((unsigned char)*j->at < 0x20)
			return bad(j, "a control character in a string");
		if (*j->at == '\\') {
			j->at++;
			TRY(escape(j, piece, &step));
		} else {
			step = glip__utf8_decode(j->at, j->end, &c);
			if (step == 0)
				return bad(j, "a string that is not UTF-8");
			memcpy(piece, j->at, step);
			j->at += step;
		}
		if (out != NULL) {
			if (step >= size - n)
				return bad(j, "a string too long");
			memcpy(out + n, piece, step);
		}
		n += step;
	}
	j->at++;
	if (out != NULL)
		out[n] = '\0';
	*length = n;
	return GLIP_OK;
}

static int is_digit(const struct json_reader *j)
{
	return j->at < j->end && *j->at >= '0' && *j->at <= '9';
}

enum glip_status json_read_count(struct json_reader *j, int64_t *out)
{
	int64_t v = 0;

	skip_space(j);
	if (!is_digit(j))
		return bad(j, "a number from 0 on expected");
	if (*j->at == '0' && j->end - j->at > 1 && j->at[1] >= '0' && j->at[1] <= '9')
		return bad(j, "a number with a leading zero");
	for (; is_digit(j); j->at++) {
		if (v > (INT64_MAX - (*j->at - '0')) / 10)
			return bad(j, "a number too large");
		v = 10 * v + (*j->at - '0');
	}
	if (j->at < j->end && (*j->at == '.' || *j->at == 'e' || *j->at == 'E'))
		return bad(j, "a whole number expected");
	*out = v;
	return GLIP_OK;
}

static enum glip_status skip_number(struct json_reader *j)
{
	if (j->at < j->end && *j->at == '-')
		j->at++;
	if (!is_digit(j))
		return bad(j, "a value expected");
	if (*j->at++ != '0')
		while (is_digit(j))
			j->at++;
	if (j->at < j->end && *j->at == '.') {
		j->at++;
		if (!is_digit(j))
			return bad(j, "a digit expected");
		while (is_digit(j))
			j->at++;
	}
	if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
		j->at++;
		if (j->at < j->end && (*j->at == '+' || *j->at == '-'))
			j->at++;
		if (!is_digit(j))
			return bad(j, "a digit expected");
		while (is_digit(j))
			j->at++;
	}
	return GLIP_OK;
}

static enum glip_status skip_scalar(struct json_reader *j)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t length;

	skip_space(j);
	if (j->at < j->end && *j->at == '"')
		return json_read_string(j, NULL, 0, &length);
	for (size_t i = 0; i < 3; i++) {
		length = strlen(words[i]);
		if ((size_t)(j->end - j->at) >= length && memcmp(j->at, words[i], length) == 0) {
			j->at += length;
			return GLIP_OK;
		}
	}
	return skip_number(j);
}

enum glip_status json_read_skip(struct json_reader *j)
{
	enum { MAX_DEPTH = 32 };
	char closing[MAX_DEPTH];
	size_t depth = 0, length;

	for (;;) {
		bool opened = false;
		if (json_read_accept(j, '{') || json_read_accept(j, '[')) {
			if (depth == MAX_DEPTH)
				return bad(j, "too many levels");
			closing[depth++] = j->at[-1] == '{' ? '}' : ']';
			opened = true;
		} else {
			TRY(skip_scalar(j));
		}
		/* Close whatever ends here; then a comma leads to the next value. */
		while (depth > 0) {
			if (json_read_accept(j, closing[depth - 1])) {
				depth--;
				opened = false;
				continue;
			}
			if (!opened)
				TRY(json_read_expect(j, ','));
			if (closing[depth - 1] == '}') {
				TRY(json_read_string(j, NULL, 0, &length));
				TRY(json_read_expect(j, ':'));
			}
			break;
		}
		if (depth == 0)
			return GLIP_OK;
	}
}

enum glip_status json_read_finish(struct json_reader *j)
{
	skip_space(j);
	return j->at == j->end ? GLIP_OK : bad(j, "something behind the end");
}
