/* The attention half of a transformer block over windows of a map. */
#ifndef GLIP_OPS_WINDOW_ATTENTION_H
#define GLIP_OPS_WINDOW_ATTENTION_H

#include "ops/ops.h"

/* For every window, over the rows it shows: x += proj(attention(qkv(layer_norm(x)))), in place. A position that shows
 * no row is zeros behind the norm, and takes part as a key. */
struct window_attention {
	int64_t windows, tokens, map_rows;
	int channels, heads;
	const int32_t *rows;                  /* [windows * tokens] row of x, each in one place only; -1: none */
	const uint8_t *region;                /* [windows * tokens] as in struct attention, or NULL */
	const float *bias;                    /* [heads, tokens, tokens] */
	const float *norm_weight, *norm_bias; /* [channels] */
	float norm_eps;
	struct matrix qkv; /* [3 channels, channels] */
	const float *qkv_bias;
	struct matrix proj; /* [channels, channels] */
	const float *proj_bias;
	float *x; /* [map_rows, channels] */
};

enum glip_status glip__window_attention(struct ops *ops, const struct window_attention *w);

#endif
