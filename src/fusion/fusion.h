/* The fusion of image and text: attention between all positions of all levels and all tokens, both ways from one matrix
 * of scores. */
#ifndef GLIP_FUSION_FUSION_H
#define GLIP_FUSION_FUSION_H

#include "ops/ops.h"
#include "tensor/weights.h"

/* C channels of the image, H of the text, D = heads * head_dim the width of the attention. */
struct fusion {
	int channels, hidden, dim, heads;
	const float *norm_v_weight, *norm_v_bias;                           /* [C] */
	const float *norm_l_weight, *norm_l_bias;                           /* [H] */
	struct matrix query;                                                /* [D, C] v_proj: the image asks */
	struct matrix key;                                                  /* [D, H] l_proj */
	struct matrix values_v;                                             /* [D, C] */
	struct matrix values_l;                                             /* [D, H] */
	struct matrix out_v;                                                /* [C, D] */
	struct matrix out_l;                                                /* [H, D] */
	const float *query_bias, *key_bias, *values_v_bias, *values_l_bias; /* [D] */
	const float *out_v_bias, *gamma_v;                                  /* [C] */
	const float *out_l_bias, *gamma_l;                                  /* [H] */
};

/* Looks up PREFIX.norm_v.weight and so on ("head.0.fuse"); heads must divide fusion_dim, which is noted otherwise. */
void glip__fusion_bind(struct fusion *out, struct binder *b, const char *prefix, int channels, int text_hidden,
                       int fusion_dim, int heads);

/* Fuses in place: visual [positions, C], all levels joined in the order p3..p7, and text [tokens, H], the valid tokens
 * alone. At least one of each. Errors: NOMEM. The result does not depend on the number of threads. */
enum glip_status glip__fusion_forward(const struct fusion *m, struct ops *ops, float *visual, int64_t positions,
                                      float *text, int64_t tokens);

#endif
