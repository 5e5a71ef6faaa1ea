/* What kind of character a code point is, for the word rules of this folder. */
#ifndef GLIP_TOKENIZER_CODE_POINTS_H
#define GLIP_TOKENIZER_CODE_POINTS_H

#include <stdbool.h>

#include "base/alloc.h"

/* Unicode white space, the separators U+001C to U+001F among it (Python's str.isspace). */
bool glip__is_space(uint32_t c);
/* Letters and digits of any script and the underscore: what a \w of Python's re matches. */
bool glip__is_word(uint32_t c);
/* Decimal digits of any script: \d. */
bool glip__is_digit(uint32_t c);
/* A letter with a case, in either. */
bool glip__is_cased(uint32_t c);
bool glip__is_mark(uint32_t c);
/* Scripts written without spaces between words: a word may begin and end at any of their characters. */
bool glip__is_unspaced_script(uint32_t c);

/* A text taken apart: one code point, and which code point of the original it stands for. */
struct text_item {
	uint32_t code_point;
	int32_t origin;
};

/* Code points of text[0 .. length) as struct text_item into *out (zeroed, its allocator set). Errors: TEXT (not UTF-8;
 * `what` and the byte offset are named), LIMIT (more than INT32_MAX bytes), NOMEM. */
enum glip_status glip__text_items(const char *text, size_t length, const char *what, struct buf *out,
                                  struct glip_error *err);

#endif
