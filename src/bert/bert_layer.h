/* One post-LayerNorm transformer layer over the tokens of a text, of the text encoder and of the head alike. */
#ifndef GLIP_BERT_BERT_LAYER_H
#define GLIP_BERT_BERT_LAYER_H

#include "ops/ops.h"
#include "tensor/weights.h"

/* H hidden, I intermediate width. */
struct bert_layer {
	int hidden, intermediate, heads;
	struct matrix query, key, value;                 /* [H, H] each */
	const float *query_bias, *key_bias, *value_bias; /* [H] each */
	struct matrix output;                            /* [H, H] */
	const float *output_bias;                        /* [H] */
	const float *attn_norm_weight, *attn_norm_bias;  /* [H] */
	struct matrix up;                                /* [I, H] */
	const float *up_bias;                            /* [I] */
	struct matrix down;                              /* [H, I] */
	const float *down_bias;                          /* [H] */
	const float *mlp_norm_weight, *mlp_norm_bias;    /* [H] */
};

/* LayerNorm's epsilon everywhere in BERT. WATCH: 1e-12, not the 1e-5 of all other norms of the model. */
#define BERT_NORM_EPS 1e-12f

/* Looks up PREFIX.attn.query.weight and so on; what is missing or of another shape is noted in the binder. The weights
 * must outlive *out. */
void glip__bert_layer_bind(struct bert_layer *out, struct binder *b, const char *prefix, int hidden, int intermediate,
                           int heads);

/* x: [tokens, hidden], replaced. Only valid tokens: there is no mask. clamp: the limit of the scores' and the
 * feed-forward's magnitude (50000 in the head; 8 or more, where gelu bends no longer), 0 for none. Scratch goes back to
 * the arena. Errors: NOMEM, CANCELLED. */
enum glip_status glip__bert_layer_forward(const struct bert_layer *m, struct ops *ops, float *x, int64_t tokens,
                                          float clamp);

#endif
