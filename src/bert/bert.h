/* BERT: the text encoder. */
#ifndef GLIP_BERT_BERT_H
#define GLIP_BERT_BERT_H

#include "bert/bert_layer.h"

struct bert {
	int vocab, hidden, layer_count, heads, intermediate;
	int max_tokens;                       /* longest text, in tokens */
	struct matrix word;                   /* [rows, hidden] */
	const int32_t *word_rows;             /* [vocab] row of each token id, each < rows; NULL: the id itself */
	struct matrix position;               /* [>= max_tokens, hidden] */
	struct matrix type;                   /* [2, hidden] */
	const float *norm_weight, *norm_bias; /* [hidden] */
	struct bert_layer *layers;            /* [layer_count]; owned */
	struct glip_allocator allocator;
};

/* Reads the configuration (glip.bert.*) and looks the tensors up. What is missing or of another shape is noted in the
 * binder, and so is a configuration or a row table that makes no sense. Errors: NOMEM. On failure there is nothing to
 * free; the weights must outlive *out. */
enum glip_status glip__bert_bind(struct bert *out, struct binder *b, const struct glip_allocator *a,
                                 struct glip_error *err);
void glip__bert_free(struct bert *m);

/* ids: [tokens], valid tokens only, 1..max_tokens of them. hidden: [tokens, hidden], the last layer's output. Errors:
 * LIMIT (number of tokens), ARGUMENT (an id outside the vocabulary), NOMEM, CANCELLED. */
enum glip_status glip__bert_forward(const struct bert *m, struct ops *ops, const int32_t *ids, int64_t tokens,
                                    float *hidden);

#endif
