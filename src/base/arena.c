#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "base/arena.h"

#include <stdint.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { ALIGNMENT = 64, HUGE_PAGE = 2 << 20, MIN_BLOCK = 1 << 20 };

struct arena_block {
	struct arena_block *next;
	char *data;
	size_t size, offset;
};

void glip__arena_init(struct arena *arena, const struct glip_allocator *allocator)
{
	*arena = (struct arena){.allocator = allocator};
}

static void free_blocks(struct arena *arena, struct arena_block *block)
{
	while (block != NULL) {
		struct arena_block *next = block->next;
		glip__free(arena->allocator, block->data);
		glip__free(arena->allocator, block);
		block = next;
	}
}

void glip__arena_free(struct arena *arena)
{
	free_blocks(arena, arena->first);
	arena->first = arena->current = NULL;
	arena->used = arena->peak = 0;
}

static struct arena_block *new_block(struct arena *arena, size_t size)
{
	struct arena_block *block = glip__calloc(arena->allocator, 1, sizeof *block);
	if (block == NULL)
		return NULL;
	size_t align = ALIGNMENT;
	if (size >= HUGE_PAGE && size <= SIZE_MAX - HUGE_PAGE) {
		align = 4096; /* the largest that an allocator must honour */
		size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	}
	block->data = arena->allocator->alloc(arena->allocator->user, size, align);
	if (block->data == NULL) {
		glip__free(arena->allocator, block);
		return NULL;
	}
	block->size = size;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
	/* First touch of fresh 4 KiB pages costs more than the arithmetic done on them. Only a hint: may fail. */
	if (align == 4096)
		(void)madvise(block->data, size, MADV_HUGEPAGE);
#endif
	return block;
}

/* The next block that has `bytes` free, appended where there is none. Blocks skipped stay empty until the release;
 * those that are all too small make room for the new one. */
static struct arena_block *advance(struct arena *arena, size_t bytes)
{
	struct arena_block **next = arena->current != NULL ? &arena->current->next : &arena->first;
	for (struct arena_block *b = *next; b != NULL; b = b->next) {
		b->offset = 0;
		if (b->size >= bytes)
			return b;
	}
	free_blocks(arena, *next);
	size_t size = bytes > MIN_BLOCK ? bytes : MIN_BLOCK;
	if (size < arena->used / 8) /* few blocks, whatever the sizes asked for */
		size = arena->used / 8;
	*next = new_block(arena, size);
	if (*next == NULL && size > bytes)
		*next = new_block(arena, bytes);
	return *next;
}

void *glip__arena_alloc(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;
	if (!glip__mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX - HUGE_PAGE)
		return NULL;
	bytes = bytes == 0 ? ALIGNMENT : (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	struct arena_block *b = arena->current;
	if (b == NULL || b->size - b->offset < bytes) {
		b = advance(arena, bytes);
		if (b == NULL)
			return NULL;
		arena->current = b;
	}
	void *p = b->data + b->offset;
	b->offset += bytes;
	arena->used += bytes;
	if (arena->used > arena->peak)
		arena->peak = arena->used;
	return p;
}

struct arena_mark glip__arena_mark(const struct arena *arena)
{
	return (struct arena_mark){arena->current, arena->current != NULL ? arena->current->offset : 0, arena->used};
}

void glip__arena_release(struct arena *arena, struct arena_mark mark)
{
	arena->current = mark.block;
	if (mark.block != NULL)
		mark.block->offset = mark.offset;
	arena->used = mark.used;
}

void glip__arena_reset(struct arena *arena)
{
	glip__arena_release(arena, (struct arena_mark){NULL, 0, 0});
	size_t peak = arena->peak;
	arena->peak = 0;
	if (arena->first == NULL || arena->first->next == NULL)
		return;
	/* Freed before the larger one is taken, so that the two are never held together. */
	free_blocks(arena, arena->first);
	arena->first = new_block(arena, peak);
}
