/* UTF-8 as strict as RFC 3629: overlong forms, surrogates and values past U+10FFFF are errors. */
#ifndef GLIP_BASE_UTF8_H
#define GLIP_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decodes one code point from [text, end); returns its bytes (1..4), or 0 at the end or where it is not UTF-8. */
size_t glip__utf8_decode(const char *text, const char *end, uint32_t *code_point);
/* Writes 1..4 bytes, returns their number. */
size_t glip__utf8_encode(uint32_t code_point, char out[4]);
/* Code points in [text, text + length), or -1 with *bad set to the byte offset of the first fault. */
int64_t glip__utf8_count(const char *text, size_t length, size_t *bad);
/* Byte offset of code point `index` in a valid text; `length` when past the end. */
size_t glip__utf8_offset(const char *text, size_t length, size_t index);

#endif
