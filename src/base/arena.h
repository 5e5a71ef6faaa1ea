/* Scratch memory of a session: a stack of 64-byte aligned pieces that is released by going back to a mark.
 *
 * The arena grows by whole blocks while a shape is seen for the first time and keeps them: the second forward pass of
 * the same shape allocates nothing. After a pass, arena_reset() joins the blocks into one of the peak size. */
#ifndef GLIP_BASE_ARENA_H
#define GLIP_BASE_ARENA_H

#include "base/alloc.h"

struct arena_block;

struct arena {
	const struct glip_allocator *allocator;
	struct arena_block *first, *current;
	size_t used; /* bytes in the blocks before and including the current one */
	size_t peak; /* largest `used` since the last reset */
};

struct arena_mark {
	struct arena_block *block;
	size_t offset, used;
};

void glip__arena_init(struct arena *arena, const struct glip_allocator *allocator);
void glip__arena_free(struct arena *arena);
/* NULL when out of memory or when count * size overflows; 64-byte aligned, not zeroed. */
void *glip__arena_alloc(struct arena *arena, size_t count, size_t size);
struct arena_mark glip__arena_mark(const struct arena *arena);
/* Everything allocated since the mark is released. */
void glip__arena_release(struct arena *arena, struct arena_mark mark);
/* Releases all and, where the last pass needed several blocks, replaces them by one large enough (if memory allows). */
void glip__arena_reset(struct arena *arena);

#endif
