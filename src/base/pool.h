/* A fixed set of worker threads for one session. Idle workers sleep. */
#ifndef GLIP_BASE_POOL_H
#define GLIP_BASE_POOL_H

#include "base/alloc.h"

struct pool;

/* A task handles items [begin, end) as worker `worker` (0 is the calling thread). */
typedef void (*pool_task)(void *context, size_t begin, size_t end, int worker);

/* `threads` in all, the caller's included: threads - 1 are started. */
enum glip_status glip__pool_create(int threads, const struct glip_allocator *allocator, struct pool **out,
                                   struct glip_error *err);
void glip__pool_free(struct pool *pool);
int glip__pool_threads(const struct pool *pool);
/* Asked by the calling thread after each of its pieces, so that a caller need not wait for a long job: true leaves the
 * pieces undone that nobody has begun. What the job was to write is then undefined, and whoever answers true must go on
 * answering true until the pass is given up. NULL: never. */
void glip__pool_set_stop(struct pool *pool, bool (*stop)(void *user), void *user);

/* Runs task over [0, count) in pieces of `grain` items (the last may be shorter); returns when all are done. Each
 * worker has pieces next to one another, in order, and after them some of those that others have not begun. Pieces
 * always begin at multiples of grain, whatever the number of threads, so a task that reduces within a piece gives the
 * same bits everywhere. Not reentrant. */
void glip__pool_run(struct pool *pool, pool_task task, void *context, size_t count, size_t grain);

/* Processors this process may use, 1..64. */
int glip__cpu_count(void);

#endif
