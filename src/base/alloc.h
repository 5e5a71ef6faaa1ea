/* The one way to memory: every object of the library allocates through the struct glip_allocator it was given. */
#ifndef GLIP_BASE_ALLOC_H
#define GLIP_BASE_ALLOC_H

#include <stdbool.h>

#include "base/error.h"

/* malloc and free (aligned). */
extern const struct glip_allocator glip__default_allocator;

/* The allocator, or the default for NULL. */
struct glip_allocator glip__allocator_or_default(const struct glip_allocator *allocator);

/* count * size bytes, zeroed, 64-byte aligned; NULL when out of memory or when the product overflows. A size of 0 gives
 * a valid pointer. */
void *glip__calloc(const struct glip_allocator *a, size_t count, size_t size);
/* The same, not zeroed. */
void *glip__malloc(const struct glip_allocator *a, size_t count, size_t size);
/* NULL is allowed. */
void glip__free(const struct glip_allocator *a, void *pointer);
/* A copy of the first `length` bytes, terminated; NULL when out of memory. */
char *glip__strndup(const struct glip_allocator *a, const char *text, size_t length);

/* Overflow-safe arithmetic for sizes from files: false when the result does not fit. */
bool glip__mul_size(size_t a, size_t b, size_t *out);
bool glip__add_size(size_t a, size_t b, size_t *out);

/* A growable array of bytes or of `size`-byte items; zero-initialise with its allocator set, free with buf_free. */
struct buf {
	const struct glip_allocator *allocator;
	char *data;
	size_t length, capacity; /* bytes */
};

/* Room for `extra` more bytes; false when out of memory (the content stays). */
bool glip__buf_reserve(struct buf *b, size_t extra);
bool glip__buf_append(struct buf *b, const void *data, size_t size);
/* Appends text without its terminator, but keeps one behind the content. */
bool glip__buf_puts(struct buf *b, const char *text);
bool glip__buf_printf(struct buf *b, const char *format, ...) GLIP_PRINTF(2, 3);
void glip__buf_free(struct buf *b);

#endif
