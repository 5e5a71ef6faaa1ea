#include "support/alloc_probe.h"

#include <stdlib.h>
#include <string.h>

/* In front of each block: its size, and room so that the block stays aligned. */
enum { HEAD = 64 };

static void *probe_alloc(void *user, size_t size, size_t align)
{
	struct alloc_probe *probe = user;
	probe->calls++;
	if (probe->fail_at && (probe->calls == probe->fail_at || (probe->fail_all_after && probe->calls > probe->fail_at)))
		return NULL;
	size_t head = align > HEAD ? align : HEAD;
	void *base = NULL;
	if (size > SIZE_MAX - head || posix_memalign(&base, head, head + size) != 0)
		return NULL;
	/* Whoever reads memory before writing it shall notice. */
	memset(base, 0xa5, head + size);
	char *block = (char *)base + head;
	memcpy(block - 2 * sizeof(size_t), &head, sizeof(head));
	memcpy(block - sizeof(size_t), &size, sizeof(size));
	probe->live++;
	probe->bytes += size;
	if (probe->bytes > probe->peak)
		probe->peak = probe->bytes;
	return block;
}

static void probe_free(void *user, void *pointer)
{
	struct alloc_probe *probe = user;
	if (!pointer)
		return;
	size_t head, size;
	memcpy(&head, (char *)pointer - 2 * sizeof(size_t), sizeof(head));
	memcpy(&size, (char *)pointer - sizeof(size_t), sizeof(size));
	probe->live--;
	probe->bytes -= size;
	free((char *)pointer - head);
}

void alloc_probe_init(struct alloc_probe *probe)
{
	memset(probe, 0, sizeof(*probe));
	probe->allocator = (struct glip_allocator){probe_alloc, probe_free, probe};
}

void alloc_probe_arm(struct alloc_probe *probe, long fail_at, int fail_all_after)
{
	probe->calls = 0;
	probe->fail_at = fail_at;
	probe->fail_all_after = fail_all_after;
}
