/* Where a label stands: phrases to spans of the caption, spans to tokens. */
#ifndef GLIP_TOKENIZER_SPANS_H
#define GLIP_TOKENIZER_SPANS_H

#include "tokenizer/wordpiece.h"

/* Tokens [first, last] that a span covers by the original's rule (char_to_token of begin, else begin + 1, begin + 2; of
 * end - 1, else end - 2, end - 3). False where the rule skips the span. Built on all tokens, also past the cut:
 * the caller compares with encoding->kept - 1. */
bool glip__span_tokens(const struct encoding *encoding, struct glip_span span, size_t *first, size_t *last);

/* Errors: TEXT with the span, the label's name and the caption's length: empty, reversed, negative or past the end. */
enum glip_status glip__span_check(struct glip_span span, size_t caption_code_points, const char *label,
                                  struct glip_error *err);

/* glip_find_phrase, with another allocator than malloc. */
enum glip_status glip__find_phrase(const char *caption, const char *phrase, const struct glip_allocator *allocator,
                                   struct glip_span *out, struct glip_error *err);

#endif
