/* English words as NLTK 3.8's word_tokenize(preserve_line=True) cuts them: the Penn Treebank's rules. */
#ifndef GLIP_TOKENIZER_TREEBANK_H
#define GLIP_TOKENIZER_TREEBANK_H

#include "tokenizer/code_points.h"

/* A word. Its text can differ from the span's: a double quote is written as `` or ''. */
struct treebank_word {
	size_t text, length; /* bytes in the text buffer; a NUL follows */
	struct glip_span span;
};

/* Cuts one sentence. Appends the words' bytes to *text and struct treebank_word to *words. The items are lower case.
 * Time is linear in count. Errors: NOMEM. */
enum glip_status glip__treebank_split(const struct text_item *items, size_t count, struct buf *text, struct buf *words,
                                      struct glip_error *err);

#endif
