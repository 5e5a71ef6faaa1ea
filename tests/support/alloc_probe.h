/* An allocator that counts, and fails where it is told to. */
#ifndef TESTS_SUPPORT_ALLOC_PROBE_H
#define TESTS_SUPPORT_ALLOC_PROBE_H

#include "glip.h"

struct alloc_probe {
	struct glip_allocator allocator; /* to be handed to the library */
	long calls;                      /* allocations asked for */
	long live;                       /* not freed yet */
	long fail_at;                    /* this call fails (counted from 1); 0: none */
	int fail_all_after;              /* 1: the later ones, too */
	size_t bytes, peak;
};

void alloc_probe_init(struct alloc_probe *probe);
/* Starts counting calls again, with this one to fail. */
void alloc_probe_arm(struct alloc_probe *probe, long fail_at, int fail_all_after);

#endif
