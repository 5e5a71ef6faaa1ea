/* BERT's uncased WordPiece: text to token ids with offsets into the original text (model.md section 2). */
#ifndef GLIP_TOKENIZER_WORDPIECE_H
#define GLIP_TOKENIZER_WORDPIECE_H

#include "base/alloc.h"

/* A piece of text that somebody else owns; not terminated. */
struct text_view {
	const char *text;
	size_t length; /* bytes */
};

struct vocabulary;

/* Builds the look-up table. The views' text must outlive the vocabulary (it lies in the model file's mapping). Needs
 * [UNK], [CLS], [SEP], [PAD], [MASK]. Errors: MODEL naming the token that is missing or doubled, NOMEM. */
enum glip_status glip__vocabulary_create(const struct text_view *tokens, size_t count,
                                         const struct glip_allocator *allocator, struct vocabulary **out,
                                         struct glip_error *err);
void glip__vocabulary_free(struct vocabulary *vocabulary);
size_t glip__vocabulary_size(const struct vocabulary *vocabulary);
struct text_view glip__vocabulary_token(const struct vocabulary *vocabulary, int32_t id);
int32_t glip__vocabulary_unknown(const struct vocabulary *vocabulary);

struct glip_token {
	int32_t id;
	struct glip_span span; /* code points of the original text; 0, 0 for [CLS] and [SEP] */
};

/* Tokens with [CLS] first and [SEP] last. All tokens of the text are kept: `count` says how many there are, `kept` how
 * many the model reads (count, or max_tokens where the text is longer; the last kept one is then [SEP]). */
struct encoding {
	struct glip_token *tokens; /* count entries; where kept < count, entry kept - 1 still holds the text's token */
	size_t count, kept;
	const struct glip_allocator *allocator;
};

/* An empty text gives [CLS] [SEP]. max_tokens is at least 2. Errors: TEXT (not UTF-8: byte offset named), LIMIT (more
 * than INT32_MAX bytes), NOMEM. */
enum glip_status glip__wordpiece_encode(const struct vocabulary *vocabulary, const char *text, size_t length,
                                        size_t max_tokens, const struct glip_allocator *allocator, struct encoding *out,
                                        struct glip_error *err);
void glip__encoding_free(struct encoding *encoding);

#endif
