/* BERT's uncased text normalisation, every character with its place in the original text. */
#ifndef GLIP_TOKENIZER_BERT_NORMALIZE_H
#define GLIP_TOKENIZER_BERT_NORMALIZE_H

#include "tokenizer/code_points.h"

/* White space, control characters and code points that are nothing but accents are gone; words are told apart by
 * `word`: items of one word are adjacent and share its number, punctuation and CJK characters are words of one. */
struct normal_char {
	uint32_t code_point;
	int32_t origin; /* code point of the original text */
	int32_t word;
};

/* Appends the normal form of items[0 .. count) to *out, as struct normal_char; words are numbered from *word, which is
 * advanced. Errors: NOMEM. */
enum glip_status glip__bert_normalize(const struct text_item *items, size_t count, int32_t *word, struct buf *out,
                                      struct glip_error *err);

#endif
