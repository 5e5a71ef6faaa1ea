/* Attention between many image positions and few text tokens, in both directions at once. */
#ifndef GLIP_OPS_CROSS_ATTENTION_H
#define GLIP_OPS_CROSS_ATTENTION_H

#include "ops/ops.h"

/* With n = heads * tokens, column h * tokens + t being head h and token t, and v = layer_norm(visual):
 * S = v keys^T + key_bias, held in +-clamp;
 * visual = v + scale * (softmax of S over each head's tokens, times outputs, + out_bias);
 * pooled = softmax of S over the positions, transposed, times v. */
struct cross_attention {
	int64_t positions, channels, tokens;
	int heads;
	const float *norm_weight, *norm_bias; /* [channels] */
	float norm_eps;
	const float *keys, *key_bias; /* [n, channels], [n] */
	float clamp;
	const float *outputs;          /* [n, channels] */
	const float *out_bias, *scale; /* [channels] */
	float *visual;                 /* [positions, channels], in place */
	float *pooled;                 /* [n, channels] */
};

enum glip_status glip__cross_attention(struct ops *ops, const struct cross_attention *a);

#endif
