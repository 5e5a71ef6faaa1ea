/* A convolution whose result has few channels. */
#ifndef GLIP_OPS_FEW_CHANNELS_H
#define GLIP_OPS_FEW_CHANNELS_H

#include "ops/ops.h"

/* 3x3 convolution with padding 1 of several maps, one behind the other, to [rows, n], n = weight.rows. For so few
 * channels copying each position's nine neighbours would cost more than it saves. */
struct few_channels {
	int maps, channels;
	const int *height, *width; /* [maps] */
	const float *x;            /* [rows, channels] */
	struct matrix weight;      /* [n, 9 * channels] tap-major */
	const float *bias;         /* [n] */
	int gates;                 /* so many channels, the last, go through a sigmoid */
	float *out;                /* [rows, n] */
};

enum glip_status glip__conv_to_few(struct ops *ops, const struct few_channels *f);

#endif
