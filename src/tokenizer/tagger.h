/* Part-of-speech tags by an averaged perceptron (the one of NLTK 3.8), from the file of weights/TAGGER.md. */
#ifndef GLIP_TOKENIZER_TAGGER_H
#define GLIP_TOKENIZER_TAGGER_H

#include "tokenizer/wordpiece.h"

enum { TAGGER_MAX_TAGS = 64 };

/* A view of a tagger's file: nothing is copied. */
struct tagger {
	uint32_t class_count, tag_count, word_count, known_count, feature_count, weight_count;
	uint32_t tag_bytes, word_bytes;
	const uint8_t *tag_offsets, *word_offsets, *row_index, *keys, *known, *row_counts, *weights;
	const char *tag_text, *word_text;
};

/* Checks the sections' sizes and the tag names; what lies in the sections is checked where it is read, so that damaged
 * data give wrong tags at worst. The data must outlive the tagger. Takes microseconds. Errors: FORMAT. */
enum glip_status glip__tagger_open(const void *data, size_t size, struct tagger *out, struct glip_error *err);

/* The tagger that the library carries. Errors: FORMAT (built wrongly). */
enum glip_status glip__tagger_builtin(struct tagger *out, struct glip_error *err);

/* The tag of each word of one sentence (lower case, terminated) into tags[0 .. count), as class numbers. */
enum glip_status glip__tagger_run(const struct tagger *tagger, const struct text_view *words, size_t count,
                                  const struct glip_allocator *allocator, uint8_t *tags, struct glip_error *err);

/* "NN"; lives as long as the data. */
const char *glip__tagger_name(const struct tagger *tagger, uint8_t tag);

/* weights/tagger.bin, linked in. */
const void *glip__tagger_data(size_t *size);

#endif
