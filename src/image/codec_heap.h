/* The memory of one call into foreign code that decodes or encodes: through the caller's allocator, within a budget,
 * and given back whole.
 *
 * The stb headers call malloc-like macros without a context, do not check every result and do not free on every path;
 * libjpeg wants an allocation to succeed or not to return. So the heap of the call in progress is found through a
 * thread-local pointer, remembers its blocks, and on a failed allocation jumps out of the codec altogether: the
 * function that called it sees setjmp() return again. */
#ifndef GLIP_IMAGE_CODEC_HEAP_H
#define GLIP_IMAGE_CODEC_HEAP_H

#include <setjmp.h>

#include "base/alloc.h"

struct codec_block;

struct codec_heap {
	struct glip_allocator allocator;
	size_t limit, used; /* bytes */
	size_t wanted;      /* the allocation that failed */
	struct codec_block *blocks;
	struct codec_heap *outer; /* the heap this one hides while entered */
	enum glip_status status;  /* NOMEM: the allocator gave NULL; LIMIT: over budget; IMAGE: an assertion of stb */
	jmp_buf escape;           /* set by setjmp() before the codec is called */
};

/* Makes `heap` the one of this thread. It must not move until codec_heap_leave. */
void glip__codec_heap_enter(struct codec_heap *heap, const struct glip_allocator *allocator, size_t limit);
/* Releases whatever is left and brings back the outer heap. */
void glip__codec_heap_leave(struct codec_heap *heap);
/* Takes a block out of the heap: it outlives it. Returns what glip__codec_block_free releases. */
void *glip__codec_heap_keep(struct codec_heap *heap, void *pointer);
void glip__codec_block_free(void *kept);

/* For codecs, inside enter and leave only; aligned to 64 bytes. New memory is zeroed: codecs read tables that a damaged
 * file has not defined. */
void *glip__codec_malloc(size_t size);
void *glip__codec_realloc(void *pointer, size_t size);
void glip__codec_free(void *pointer);
_Noreturn void glip__codec_fault(void);

#endif
