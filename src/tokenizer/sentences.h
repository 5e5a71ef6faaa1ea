/* Where the sentences of a caption end, and lower-casing. */
#ifndef GLIP_TOKENIZER_SENTENCES_H
#define GLIP_TOKENIZER_SENTENCES_H

#include "tokenizer/code_points.h"

/* The end (exclusive) of the sentence that begins at items[begin], its closing marks included. A period, question or
 * exclamation mark ends one where white space follows, whatever the case of the next letter (captions are often lower
 * case throughout), but not after an abbreviation, an initial or a list number, and not an ellipsis. */
size_t glip__sentence_end(const struct text_item *items, size_t count, size_t begin);

/* Appends the lower-case form of the items as Python's str.lower() gives it: final sigma, and a dotted capital I as two
 * characters of the same origin. Errors: NOMEM. */
enum glip_status glip__lower_case(const struct text_item *items, size_t count, struct buf *out, struct glip_error *err);

#endif
