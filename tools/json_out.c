#include "json_out.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static bool reserve(struct json_out *j, size_t extra)
{
	if (j->failed)
		return false;
	if (j->length + extra + 1 <= j->room)
		return true;
	size_t room = j->room != 0 ? j->room : 1024;
	while (room < j->length + extra + 1)
		room *= 2;
	char *text = realloc(j->text, room);
	if (text == NULL) {
		j->failed = true;
		return false;
	}
	j->text = text;
	j->room = room;
	return true;
}

static void append(struct json_out *j, const char *text, size_t length)
{
	if (!reserve(j, length))
		return;
	memcpy(j->text + j->length, text, length);
	j->length += length;
	j->text[j->length] = '\0';
}

void json_raw(struct json_out *j, const char *text)
{
	append(j, text, strlen(text));
}

void json_format(struct json_out *j, const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof text)
		append(j, text, (size_t)n);
	else
		j->failed = true;
}

void json_string(struct json_out *j, const char *text)
{
	const char *end = text + strlen(text);
	append(j, "\"", 1);
	while (text < end) {
		uint32_t c;
		size_t n = glip__utf8_decode(text, end, &c);
		if (n == 0) {
			json_raw(j, "\\ufffd");
			text++;
			continue;
		}
		if (c == '"' || c == '\\')
			json_format(j, "\\%c", (int)c);
		else if (c == '\n')
			json_raw(j, "\\n");
		else if (c == '\t')
			json_raw(j, "\\t");
		else if (c < 0x20 || c == 0x7F || c == 0x2028 || c == 0x2029) /* the last two end lines in JavaScript */
			json_format(j, "\\u%04x", (unsigned)c);
		else
			append(j, text, n);
		text += n;
	}
	append(j, "\"", 1);
}

void json_float(struct json_out *j, float value)
{
	char text[32] = "null"; /* JSON has no infinities */
	for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, (double)value);
		if (strtof(text, NULL) == value)
			break;
	}
	json_raw(j, text);
}

void json_clear(struct json_out *j)
{
	j->length = 0;
	if (j->text != NULL)
		j->text[0] = '\0';
}

void json_free(struct json_out *j)
{
	free(j->text);
	*j = (struct json_out){0};
}
