/* Feature pyramid: Swin's last three maps to five levels P3..P7 of equal width. Maps are channels-last. */
#ifndef GLIP_FPN_FPN_H
#define GLIP_FPN_FPN_H

#include "ops/ops.h"
#include "tensor/weights.h"

enum { FPN_INPUTS = 3, FPN_LEVELS = 5 };

struct fpn {
	int in_channels[FPN_INPUTS];           /* of the incoming maps, finest first */
	int channels;                          /* C, of every level */
	struct matrix lateral[FPN_INPUTS];     /* [C, in_channels]: 1x1 */
	const float *lateral_bias[FPN_INPUTS]; /* [C] */
	struct matrix output[FPN_INPUTS];      /* [C, 9C]: 3x3, for P3, P4, P5 */
	const float *output_bias[FPN_INPUTS];  /* [C] */
	struct matrix p6, p7;                  /* [C, 9C]: 3x3, stride 2 */
	const float *p6_bias, *p7_bias;        /* [C] */
};

/* Looks the tensors up; what is missing or of another shape is noted in the binder. The weights must outlive *out. */
enum glip_status glip__fpn_bind(struct fpn *out, struct binder *b, const int in_channels[FPN_INPUTS], int channels,
                                struct glip_error *err);

/* in: three maps, finest first, of in_channels channels. out: P3, P4, P5 of their sizes, P6 and P7 of half the size of
 * the one before, rounded up, each at its data, whose sizes are these; NULL there: in ops->arena, where nothing else
 * stays behind. Errors: NOMEM, CANCELLED. */
enum glip_status glip__fpn_forward(const struct fpn *m, struct ops *ops, const struct feature_map in[FPN_INPUTS],
                                   struct feature_map out[FPN_LEVELS]);

#endif
