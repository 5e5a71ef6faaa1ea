/* A strict reader of JSON text (RFC 8259) that hands out one token after the other; nothing is allocated. */
#ifndef GLIP_CONVERT_JSON_READ_H
#define GLIP_CONVERT_JSON_READ_H

#include "base/error.h"

struct json_reader {
	const char *text, *end, *at;
	const char *path; /* for messages */
	struct glip_error *err;
};

/* Each skips white space, then takes what it is named after. Errors: FORMAT with the byte. */
enum glip_status json_read_expect(struct json_reader *j, char c);
/* Whether `c` comes next; takes it if so. */
int json_read_accept(struct json_reader *j, char c);
/* Decodes a string into out (terminated, at most size - 1 bytes; a NUL in it is refused). */
enum glip_status json_read_string(struct json_reader *j, char *out, size_t size, size_t *length);
/* An integer from 0 to 2^63 - 1, written without fraction or exponent. */
enum glip_status json_read_count(struct json_reader *j, int64_t *out);
/* Any value, nested at most 32 deep. */
enum glip_status json_read_skip(struct json_reader *j);
/* Nothing but white space may be left. */
enum glip_status json_read_finish(struct json_reader *j);

#endif
