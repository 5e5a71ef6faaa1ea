/* What WordPiece asks of the vocabulary, beyond wordpiece.h. */
#ifndef GLIP_TOKENIZER_VOCABULARY_H
#define GLIP_TOKENIZER_VOCABULARY_H

#include <stdbool.h>

#include "tokenizer/wordpiece.h"

enum special_token { SPECIAL_UNK, SPECIAL_CLS, SPECIAL_SEP, SPECIAL_PAD, SPECIAL_MASK, SPECIAL_COUNT };

int32_t glip__vocabulary_special(const struct vocabulary *vocabulary, enum special_token which);
/* Its name, "[CLS]". */
const char *glip__special_name(enum special_token which);

/* Hashes are built up byte by byte, so that every prefix of a word costs one step. */
uint64_t glip__hash_start(void);
uint64_t glip__hash_step(uint64_t hash, const char *text, size_t length);
/* The id of a token whose bytes are head followed by tail (head may be empty) and hash as given; -1: none. */
int32_t glip__vocabulary_find(const struct vocabulary *vocabulary, uint64_t hash, struct text_view head,
                              struct text_view tail);
/* Bytes of the longest token: no longer piece need be looked for. */
size_t glip__vocabulary_longest(const struct vocabulary *vocabulary);

#endif
