/* Damaged inputs, tried one after the other: each within a second of work and 256 MB, leaving nothing behind. */
#ifndef TESTS_SUPPORT_DAMAGE_H
#define TESTS_SUPPORT_DAMAGE_H

#include "support/alloc_probe.h"

struct damage {
	struct alloc_probe probe; /* what the code under test allocates with */
	double started, slowest;  /* seconds of the processor */
	long refused, accepted;
};

void damage_init(struct damage *d);
void damage_begin(struct damage *d);
/* The case's outcome; fails the test where memory is left, time or memory is exceeded, a refusal says nothing, or the
 * status is no word for a damaged input. `what` and `at` name the case. */
void damage_end(struct damage *d, enum glip_status status, const char *message, const char *what, size_t at);
/* Prints the counts; fails where there were fewer than `least` cases. */
void damage_summary(const struct damage *d, const char *what, long least);

/* Every how many cases of a long series one is tried: 1, or what GLIP_TEST_STEP says, for tools that run slowly. */
size_t damage_step(void);

#endif
