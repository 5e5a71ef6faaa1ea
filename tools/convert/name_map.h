/* Which tensor of a checkpoint becomes which tensor of the weights file. weights/FORMAT.md prints the same table. */
#ifndef GLIP_CONVERT_NAME_MAP_H
#define GLIP_CONVERT_NAME_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAP_STAGES = 4, MAP_LEVELS = 5 };

/* What the shapes of a model depend on. */
struct model_sizes {
	int64_t embed_dim, depths[MAP_STAGES], heads[MAP_STAGES], window;
	int64_t vocab, positions, hidden, bert_layers, bert_heads, intermediate, max_tokens;
	int64_t channels, head_layers, fusion_dim, fusion_heads, groups;
	int64_t prompt;                /* rows of the tuned prompt; 0: none */
	int64_t short_side, long_side; /* of the images in network pixels; 0: not said */
	bool fusion;
};

enum transform {
	TRANSFORM_COPY,
	TRANSFORM_TAPS,  /* convolution [out, in, y, x] to [out, (y, x, in)] */
	TRANSFORM_MERGE, /* patch merging: last dimension from mmdetection's order, where the file has that */
	TRANSFORM_STACK  /* five single numbers */
};

/* One tensor of the weights file. */
struct target {
	char name[64];
	char source[128]; /* official name; of TRANSFORM_STACK with a "#" for the level */
	enum transform transform;
	bool matrix; /* [shape[0], all others]; may be stored as bf16, */
	bool exact;  /* but for these, for whose products bytes are too coarse, also as i8 */
	int ndim;
	int64_t shape[4]; /* in the checkpoint */
};

/* The target at `index`, in file order; false past the last. */
bool name_map_target(const struct model_sizes *sizes, size_t index, struct target *out);

/* The official name for a name of an official or mmdetection file. *reordered: patch merging is in mmdetection's order.
 * False where it does not fit. */
bool name_map_official(const char *name, char *out, size_t size, bool *reordered);

/* Whether inference does not read a tensor that official files hold (official name). */
bool name_map_ignored(const char *name);

#endif
