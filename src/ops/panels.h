/* Weights in the form that narrow products read, packed at their first use and kept for all sessions of a model. */
#ifndef GLIP_OPS_PANELS_H
#define GLIP_OPS_PANELS_H

#include "base/alloc.h"
#include "ops/narrow.h"

struct panels;

/* Which weights, for which kernels. */
struct panels_key {
	const void *data;
	size_t rows, cols, ld;
	const struct narrow_kernels *narrow;
};

enum glip_status glip__panels_create(const struct glip_allocator *allocator, struct panels **out,
                                     struct glip_error *err);
/* NULL is allowed. */
void glip__panels_free(struct panels *p);

/* All of these may be called from any thread. What was kept stays unchanged until glip__panels_free. */

/* NULL where nothing is kept under the key. */
const uint32_t *glip__panels_find(struct panels *p, const struct panels_key *key);
/* Room for `words` words, to be filled and given to keep or drop; NULL when out of memory. */
uint32_t *glip__panels_alloc(struct panels *p, size_t words);
/* Keeps the words and returns them; or, where another session was faster, drops them and returns what is kept. */
const uint32_t *glip__panels_keep(struct panels *p, const struct panels_key *key, uint32_t *words);
void glip__panels_drop(struct panels *p, uint32_t *words);

#endif
