/* A loaded model: the blocks, bound to the mapped weights. Immutable, shared by sessions. */
#ifndef GLIP_GLIP_MODEL_H
#define GLIP_GLIP_MODEL_H

#include "base/log.h"
#include "bert/bert.h"
#include "dyhead/dyconv.h"
#include "dyhead/grounding.h"
#include "fpn/fpn.h"
#include "fusion/fusion.h"
#include "ops/panels.h"
#include "swin/swin.h"
#include "tensor/weights.h"
#include "tokenizer/wordpiece.h"

enum { NAME_SIZE = 64 };

/* modeling/rpn/vldyhead.py: one round of the tower. Without fusion only `image` exists. */
struct head_layer {
	struct fusion fusion;
	struct bert_layer text;
	struct dyconv image;
};

struct glip_model {
	struct glip_allocator allocator;
	struct logger log;
	struct weights *weights;
	struct panels *panels;    /* packed weights: the one thing that changes after loading, behind its own lock */
	struct text_view *tokens; /* of the vocabulary; the text lies in the mapping */
	struct vocabulary *vocabulary;
	struct swin swin;
	struct fpn fpn;
	struct bert bert;
	struct head_layer *layers;
	int layer_count;
	struct grounding_head grounding;
	struct matrix prompt_tuning; /* [1000, hidden] added to the text features by position; data NULL: none */
	bool fusion;
	int channels, hidden, max_tokens;
	int short_side, long_side; /* network pixels of an image, where the caller names none */
	uint64_t parameters;
	char name[NAME_SIZE];
};

#endif
