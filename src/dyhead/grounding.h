/* What the head says about each position: how well it matches each token, where its box is, how central it lies. */
#ifndef GLIP_DYHEAD_GROUNDING_H
#define GLIP_DYHEAD_GROUNDING_H

#include "dyhead/levels.h"
#include "ops/ops.h"
#include "tensor/weights.h"

struct grounding_head {
	int channels, hidden;
	struct matrix box;            /* [4, C] */
	const float *box_bias;        /* [4] */
	struct matrix centerness;     /* [1, C] */
	const float *centerness_bias; /* [1] */
	const float *scale;           /* [LEVELS] of the boxes, by level */
	struct matrix dot;            /* [C, H] text to image channels */
	const float *dot_bias;        /* [C] */
	const float *log_scale;       /* [1] */
	const float *bias_lang;       /* [H] */
	const float *bias0;           /* [1] */
};

/* One level's outputs, position by position from the top left; buffers by the caller. */
struct level_output {
	int height, width;
	float *logits;     /* [height * width, tokens] */
	float *box;        /* [height * width, 4] dx, dy, dw, dh: see glip/boxes.h */
	float *centerness; /* [height * width] logit */
};

void glip__grounding_bind(struct grounding_head *out, struct binder *b, int channels, int hidden);

/* The text's side, once per text: text [tokens, hidden] to projected [tokens, C], divided by exp(log_scale), and
 * token_bias [tokens]. Errors: NOMEM. */
enum glip_status glip__grounding_text(const struct grounding_head *m, struct ops *ops, const float *text,
                                      int64_t tokens, float *projected, float *token_bias);

/* The image's side of one level: fills out's three buffers and its size. level_index 0 is p3. Errors: NOMEM. */
enum glip_status glip__grounding_forward(const struct grounding_head *m, struct ops *ops,
                                         const struct feature_map *level, int level_index, const float *projected,
                                         const float *token_bias, int64_t tokens, struct level_output *out);

#endif
