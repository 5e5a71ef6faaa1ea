/* The memory of one call into an stb header: through the caller's allocator, within a budget, and given back whole.
 *
 * The stb headers call malloc-like macros without a context, do not check every result and do not free on every path.
 * So the heap of the call in progress is found through a thread-local pointer, remembers its blocks, and on a failed
 * allocation jumps out of the header altogether: the function that called it sees setjmp() return again. */
#ifndef GLIP_IMAGE_STB_HEAP_H
#define GLIP_IMAGE_STB_HEAP_H

#include <setjmp.h>

#include "base/alloc.h"

struct stb_block;

struct stb_heap {
	struct glip_allocator allocator;
	size_t limit, used; /* bytes */
	size_t wanted;      /* the allocation that failed */
	struct stb_block *blocks;
	struct stb_heap *outer;  /* the heap this one hides while entered */
	enum glip_status status; /* NOMEM: the allocator gave NULL; LIMIT: over budget; IMAGE: an assertion of the header */
	jmp_buf escape;          /* set by setjmp() before the header is called */
};

/* Makes `heap` the one of this thread. It must not move until stb_heap_leave. */
void glip__stb_heap_enter(struct stb_heap *heap, const struct glip_allocator *allocator, size_t limit);
/* Releases whatever is left and brings back the outer heap. */
void glip__stb_heap_leave(struct stb_heap *heap);
/* Takes a block out of the heap: it outlives it. Returns what glip__stb_block_free releases. */
void *glip__stb_heap_keep(struct stb_heap *heap, void *pointer);
void glip__stb_block_free(void *kept);

/* For the macros of the headers, inside enter and leave only. New memory is zeroed: the headers read tables that a
 * damaged file has not defined. */
void *glip__stb_malloc(size_t size);
void *glip__stb_realloc(void *pointer, size_t size);
void glip__stb_free(void *pointer);
_Noreturn void glip__stb_fault(void);

#endif
