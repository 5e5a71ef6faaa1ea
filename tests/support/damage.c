#include "support/damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { MEMORY = 256 << 20 };

static double work_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void damage_init(struct damage *d)
{
	*d = (struct damage){.slowest = 0};
	alloc_probe_init(&d->probe);
}

void damage_begin(struct damage *d)
{
	d->started = work_s();
}

void damage_end(struct damage *d, enum glip_status status, const char *message, const char *what, size_t at)
{
	double took = work_s() - d->started;

	d->slowest = took > d->slowest ? took : d->slowest;
	d->refused += status != GLIP_OK;
	d->accepted += status == GLIP_OK;
	if (status != GLIP_OK && message[0] == '\0')
		fail_msg("%s %zu: %d without a message", what, at, (int)status);
	if (status == GLIP_ERR_NOMEM || status == GLIP_ERR_ARGUMENT || status == GLIP_ERR_IO)
		fail_msg("%s %zu: %d is no word for a damaged file: %s", what, at, (int)status, message);
	if (d->probe.live != 0)
		fail_msg("%s %zu: %ld blocks are left", what, at, d->probe.live);
	if (d->probe.peak >= MEMORY || took >= 1)
		fail_msg("%s %zu: %.3f s, %.1f MB", what, at, took, (double)d->probe.peak / (1 << 20));
}

void damage_summary(const struct damage *d, const char *what, long least)
{
	printf("           %-24s %6ld cases: %6ld refused, %5ld accepted; slowest %.3f s, most memory %.1f MB\n", what,
	       d->refused + d->accepted, d->refused, d->accepted, d->slowest, (double)d->probe.peak / (1 << 20));
	assert_true(d->refused + d->accepted >= least);
}

size_t damage_step(void)
{
	const char *text = getenv("GLIP_TEST_STEP");
	int step = text != NULL ? atoi(text) : 1;

	return step > 0 ? (size_t)step : 1;
}
