/* Swin transformer: the image encoder. Maps are channels-last, [height, width, channels]. */
#ifndef GLIP_SWIN_SWIN_H
#define GLIP_SWIN_SWIN_H

#include "ops/ops.h"
#include "tensor/weights.h"

enum { SWIN_STAGES = 4 };

/* C channels of the stage, w window side, n heads. */
struct swin_block {
	const float *norm1_weight, *norm1_bias; /* [C] */
	struct matrix qkv;                      /* [3C, C] */
	const float *qkv_bias;                  /* [3C] */
	const float *bias_table;                /* [(2w-1)^2, n]: a row per (dy, dx), dy and dx from -(w-1) */
	struct matrix proj;                     /* [C, C] */
	const float *proj_bias;                 /* [C] */
	const float *norm2_weight, *norm2_bias; /* [C] */
	struct matrix up;                       /* [4C, C] */
	const float *up_bias;                   /* [4C] */
	struct matrix down;                     /* [C, 4C] */
	const float *down_bias;                 /* [C] */
};

struct swin_stage {
	int channels, heads, depth;
	struct swin_block *blocks;              /* [depth] */
	const float *norm_weight, *norm_bias;   /* [C]: of the outgoing map; NULL in the first stage */
	const float *merge_weight, *merge_bias; /* [4C]: norm of the gathered patches; NULL in the last stage */
	struct matrix merge;                    /* [2C, 4C] */
};

struct swin {
	int embed_dim;           /* channels of the first stage; each later one has twice as many */
	int window;              /* side of a window in positions */
	struct matrix patch;     /* [embed_dim, 48]: 4x4 taps row-major, 3 channels each */
	const float *patch_bias; /* [embed_dim] */
	const float *patch_norm_weight, *patch_norm_bias; /* [embed_dim] */
	struct swin_stage stages[SWIN_STAGES];
	struct swin_block *blocks; /* of all stages; owned */
	struct glip_allocator allocator;
};

/* Reads the configuration (glip.swin.*) and looks the tensors up. What is missing or of another shape is noted in the
 * binder; depths or heads without which no shape can be told are MODEL at once. On failure there is nothing to free;
 * the weights must outlive *out. */
enum glip_status glip__swin_bind(struct swin *out, struct binder *b, const struct glip_allocator *a,
                                 struct glip_error *err);
void glip__swin_free(struct swin *m);

/* image: [height, width, 3] normalised, BGR, both sides multiples of 4 (32 for whole maps at every stage).
 * out[s]: the map of stage s, ceil(previous / 2) a side, from height / 4 x width / 4; all in ops->arena, where nothing
 * else stays behind. out[0] is the raw first stage where want_stage1 is set, else its data is NULL; out[1..3] are
 * normalised. Errors: ARGUMENT (sides), LIMIT (too many pixels), NOMEM, CANCELLED. On failure the arena holds pieces
 * that the caller's mark releases. */
enum glip_status glip__swin_forward(const struct swin *m, struct ops *ops, const float *image, int height, int width,
                                    bool want_stage1, struct feature_map out[SWIN_STAGES]);

#endif
