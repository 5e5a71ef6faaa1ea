/* Class lists to captions: names cleaned and joined, cut into chunks by token count and never through a name. */
#ifndef GLIP_TOKENIZER_CLASS_CAPTIONS_H
#define GLIP_TOKENIZER_CLASS_CAPTIONS_H

#include "tokenizer/spans.h"

struct class_chunk {
	char *caption;
	size_t first_class, class_count;
};

struct class_captions {
	struct class_chunk *chunks;
	size_t chunk_count;
	/* Per class: its cleaned reported name and its spans (one per name) in its chunk's caption. */
	struct class_entry {
		char *name;
		struct glip_span *spans;
		size_t span_count;
	} * classes;
	size_t class_count;
	const struct glip_allocator *allocator;
};

/* options: separator, trailing_separator, prefix, suffix, classes_per_pass are read. Errors: ARGUMENT (no class), TEXT
 * (empty, repeated or non-UTF-8 name, by its position and text), LIMIT (one class does not fit max_tokens), NOMEM. */
enum glip_status glip__class_captions_create(const struct vocabulary *vocabulary, size_t max_tokens,
                                             const struct glip_class *classes, size_t count,
                                             const struct glip_prompt_options *options,
                                             const struct glip_allocator *allocator, struct class_captions *out,
                                             struct glip_error *err);
void glip__class_captions_free(struct class_captions *captions);

#endif
