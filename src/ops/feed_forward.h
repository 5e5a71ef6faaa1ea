/* The feed-forward half of a transformer block. */
#ifndef GLIP_OPS_FEED_FORWARD_H
#define GLIP_OPS_FEED_FORWARD_H

#include "ops/ops.h"

/* x += gelu(layer_norm(x) up^T + up_bias) down^T + down_bias, in place. */
struct feed_forward {
	int64_t rows, channels, hidden;
	const float *norm_weight, *norm_bias; /* [channels] */
	float norm_eps;
	struct matrix up; /* [hidden, channels] */
	const float *up_bias;
	struct matrix down; /* [channels, hidden] */
	const float *down_bias;
	float *x; /* [rows, channels] */
};

enum glip_status glip__feed_forward(struct ops *ops, const struct feed_forward *f);

#endif
