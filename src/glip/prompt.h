/* An encoded text: captions (one, or one per chunk of a class list), their BERT features, and the labels' tokens. */
#ifndef GLIP_GLIP_PROMPT_H
#define GLIP_GLIP_PROMPT_H

#include "glip/model.h"

struct prompt_chunk {
	char *caption;
	int32_t *ids; /* [tokens], [CLS] first, [SEP] last */
	size_t tokens;
	float *embedded; /* [tokens, hidden]: BERT's output, prompt tuning added */
	size_t first_label, label_count;
};

struct prompt_label {
	struct glip_label label; /* text and spans belong to the prompt */
	size_t chunk;
	int32_t *tokens; /* of the chunk, ascending, without those past the cut */
	size_t token_count;
};

struct glip_prompt {
	struct glip_allocator allocator;
	const struct glip_model *model;
	enum glip_aggregation aggregation;
	struct prompt_chunk *chunks;
	size_t chunk_count;
	struct prompt_label *labels;
	size_t label_count;
	char **warnings;
	size_t warning_count, warning_room;
	double text_ms;
};

#endif
