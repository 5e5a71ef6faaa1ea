#include "image/codec_heap.h"

#include <string.h>

struct codec_block {
	struct glip_allocator allocator;
	struct codec_block *previous, *next;
	size_t size; /* without this header */
};

/* Keeps what follows aligned for any use. */
enum { BLOCK_HEADER = 64 };

_Static_assert(sizeof(struct codec_block) <= BLOCK_HEADER, "the header of a block does not fit");

/* Thread-local and null between calls: no state outlives a call. */
static _Thread_local struct codec_heap *current;

void glip__codec_heap_enter(struct codec_heap *heap, const struct glip_allocator *allocator, size_t limit)
{
	memset(heap, 0, sizeof(*heap));
	heap->allocator = glip__allocator_or_default(allocator);
	heap->limit = limit;
	heap->outer = current;
	current = heap;
}

void glip__codec_heap_leave(struct codec_heap *heap)
{
	while (heap->blocks) {
		struct codec_block *next = heap->blocks->next;
		heap->allocator.free(heap->allocator.user, heap->blocks);
		heap->blocks = next;
	}
	current = heap->outer;
}

static struct codec_block *block_of(void *pointer)
{
	return (struct codec_block *)(void *)((char *)pointer - BLOCK_HEADER);
}

static void unlink_block(struct codec_heap *heap, struct codec_block *block)
{
	if (block->previous)
		block->previous->next = block->next;
	else
		heap->blocks = block->next;
	if (block->next)
		block->next->previous = block->previous;
	heap->used -= block->size;
}

void *glip__codec_heap_keep(struct codec_heap *heap, void *pointer)
{
	struct codec_block *block = block_of(pointer);
	unlink_block(heap, block);
	return block;
}

void glip__codec_block_free(void *kept)
{
	struct codec_block *block = kept;
	if (!block)
		return;
	struct glip_allocator allocator = block->allocator;
	allocator.free(allocator.user, block);
}

static _Noreturn void give_up(enum glip_status status, size_t wanted)
{
	current->status = status;
	current->wanted = wanted;
	longjmp(current->escape, 1);
}

void *glip__codec_malloc(size_t size)
{
	struct codec_heap *heap = current;
	if (size > heap->limit - heap->used)
		give_up(GLIP_ERR_LIMIT, size);
	size_t total;
	struct codec_block *block = NULL;
	if (glip__add_size(size, BLOCK_HEADER, &total))
		block = heap->allocator.alloc(heap->allocator.user, total, BLOCK_HEADER);
	if (!block)
		give_up(GLIP_ERR_NOMEM, size);
	memset(block, 0, total);
	block->allocator = heap->allocator;
	block->size = size;
	block->next = heap->blocks;
	if (heap->blocks)
		heap->blocks->previous = block;
	heap->blocks = block;
	heap->used += size;
	return (char *)block + BLOCK_HEADER;
}

void glip__codec_free(void *pointer)
{
	if (!pointer)
		return;
	struct codec_heap *heap = current;
	struct codec_block *block = block_of(pointer);
	unlink_block(heap, block);
	heap->allocator.free(heap->allocator.user, block);
}

void *glip__codec_realloc(void *pointer, size_t size)
{
	void *grown = glip__codec_malloc(size);
	if (pointer) {
		size_t old = block_of(pointer)->size;
		memcpy(grown, pointer, old < size ? old : size);
		glip__codec_free(pointer);
	}
	return grown;
}

_Noreturn void glip__codec_fault(void)
{
	give_up(GLIP_ERR_IMAGE, 0);
}
