/* Fuzz targets: each takes any bytes and must come back, within a second and MEMORY_LIMIT bytes, without a leak. */
#ifndef GLIP_FUZZ_TARGETS_H
#define GLIP_FUZZ_TARGETS_H

#include "base/alloc.h"

typedef int (*fuzz_target)(const uint8_t *data, size_t size);

int fuzz_gguf(const uint8_t *data, size_t size);       /* a weights file */
int fuzz_model(const uint8_t *data, size_t size);      /* a whole model file, grounded where it loads */
int fuzz_checkpoint(const uint8_t *data, size_t size); /* torch zip, torch legacy, safetensors: all tensors read */
int fuzz_convert(const uint8_t *data, size_t size);    /* the same, converted */
int fuzz_pickle(const uint8_t *data, size_t size);
int fuzz_json(const uint8_t *data, size_t size); /* the reader of safetensors' header */
int fuzz_image(const uint8_t *data, size_t size);
int fuzz_wordpiece(const uint8_t *data, size_t size); /* vocabulary, a line end, another, then a text */
int fuzz_tagger(const uint8_t *data, size_t size);    /* a tagger file */
int fuzz_phrases(const uint8_t *data, size_t size);   /* a caption */
int fuzz_ground(const uint8_t *data, size_t size);    /* options, an image's size and texts, for a very small model */

struct fuzz_entry {
	const char *name;
	fuzz_target run;
};

/* Ends with a NULL name. */
extern const struct fuzz_entry fuzz_entries[];

/* Inputs that are made instead of stored: calls give() with each, `target` being a name of fuzz_entries. */
void fuzz_make_seeds(void (*give)(void *user, const char *target, const char *name, const void *data, size_t size),
                     void *user);

/* ---- For the targets --------------------------------------------------------------------------------------------- */

enum { MEMORY_LIMIT = 256 << 20 };

/* Gives out MEMORY_LIMIT bytes at most and knows what was not given back. */
extern const struct glip_allocator fuzz_allocator;
/* Ends the program where something was not given back, or where a failure has no message. */
void fuzz_check_freed(void);
void fuzz_check_status(enum glip_status status, const struct glip_error *err);

/* A file of these bytes; the path holds until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* A terminated copy from the allocator. */
char *fuzz_text(const uint8_t *data, size_t size);
/* A very small model, for the caller to free: what it keeps is memory of the input that made it. */
struct glip_model *fuzz_tiny_model(void);
/* Grounds a small picture of this size with a prompt from the text. */
void fuzz_ground_text(struct glip_model *model, const char *text, unsigned choices, int width, int height);

#endif
