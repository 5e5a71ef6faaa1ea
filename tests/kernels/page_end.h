/* Buffers that end where memory does; included before any other header. */
#ifndef GLIP_TESTS_PAGE_END_H
#define GLIP_TESTS_PAGE_END_H

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <sys/mman.h>
#include <unistd.h>

#include "kernel_case.h"

/* count values of four bytes right before a page that nobody may touch. */
static inline void *page_end(size_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (count * 4 + page - 1) / page * page;
	char *block = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(block != MAP_FAILED && mprotect(block + room, page, PROT_NONE) == 0);
	return block + room - count * 4;
}

static inline void free_page_end(void *x, size_t count)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (count * 4 + page - 1) / page * page;
	assert_int_equal(munmap((char *)x + count * 4 - room, room + page), 0);
}

#endif
