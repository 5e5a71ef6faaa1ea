/* The head's dynamic convolution: deformable convolutions across neighbouring levels, weighed against each other, and a
 * rectifier whose slopes depend on the image. */
#ifndef GLIP_DYHEAD_DYCONV_H
#define GLIP_DYHEAD_DYCONV_H

#include "dyhead/levels.h"
#include "ops/ops.h"
#include "tensor/weights.h"

/* One deformable 3x3 convolution with its group norm. */
struct dyconv_branch {
	struct matrix weight;                 /* [C, 9 * C] tap-major */
	const float *bias;                    /* [C] */
	const float *norm_weight, *norm_bias; /* [C] */
};

struct dyconv {
	int channels, groups;
	struct matrix offset;     /* [27, 9 * C] 3x3 convolution: (dy, dx) of nine taps, then nine modulations */
	const float *offset_bias; /* [27] */
	struct dyconv_branch coarse, same, fine; /* reading level l + 1, l, l - 1 */
	struct matrix attn;                      /* [1, C] */
	const float *attn_bias;                  /* [1] */
	struct matrix relu_down;                 /* [C / 4, C] */
	const float *relu_down_bias;             /* [C / 4] */
	struct matrix relu_up;                   /* [4 * C, C / 4] */
	const float *relu_up_bias;               /* [4 * C] */
};

/* Looks up PREFIX.offset.weight and so on ("head.0.dyconv"); groups must divide channels and channels be a multiple of
 * 4, which is noted otherwise. */
void glip__dyconv_bind(struct dyconv *out, struct binder *b, const char *prefix, int channels, int groups);

/* in: p3..p7, each level half the one before, rounded up, each one's data right behind that of the one before. out: the
 * same sizes and order, data by the caller, sharing none with in: every level reads its neighbours' old values.
 * Errors: NOMEM, LIMIT (levels of more than 2^31 positions). */
enum glip_status glip__dyconv_forward(const struct dyconv *m, struct ops *ops, const struct feature_map in[LEVELS],
                                      struct feature_map out[LEVELS]);

#endif
