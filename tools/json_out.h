/* JSON text into a growing buffer. Commas are the caller's: the formats written here are few and flat. */
#ifndef GLIP_TOOLS_JSON_OUT_H
#define GLIP_TOOLS_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>

struct json_out {
	char *text; /* terminated */
	size_t length, room;
	bool failed; /* out of memory: text is not to be used */
};

void json_raw(struct json_out *j, const char *text);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void json_format(struct json_out *j, const char *format, ...);
/* A string with its quotes. Bytes that are no UTF-8 (file names may hold any) become U+FFFD. */
void json_string(struct json_out *j, const char *text);
/* The shortest of the decimal forms that read back as the same float. */
void json_float(struct json_out *j, float value);
void json_clear(struct json_out *j);
void json_free(struct json_out *j);

#endif
