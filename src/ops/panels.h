/* Weights in the form that products read, packed at their first use and kept for all sessions of a model. */
#ifndef GLIP_OPS_PANELS_H
#define GLIP_OPS_PANELS_H

#include <stdint.h>

#include "base/alloc.h"

struct panels;

/* Which float panels are kept, as they take as much memory as the weights in float32. Narrow ones all are. */
struct panels_limits {
	size_t float_bytes; /* of all of them together */
	size_t float_rows;  /* most left rows of the product that packs: with more of them packing is little beside it */
};

/* Which weights, for which kernels. */
struct panels_key {
	const void *data;
	size_t rows, cols, ld;
	const void *kernels; /* struct kernels or struct narrow_kernels */
	bool rows_are_k;     /* of the matrix that was packed: a square one may be read both ways */
};

enum glip_status glip__panels_create(const struct glip_allocator *allocator, const struct panels_limits *limits,
                                     struct panels **out, struct glip_error *err);
/* NULL is allowed. */
void glip__panels_free(struct panels *p);

/* All of these may be called from any thread. What was kept stays unchanged until glip__panels_free. */

/* NULL where nothing is kept under the key. */
const void *glip__panels_find(struct panels *p, const struct panels_key *key);
/* Room for `words` words, to be filled and given to keep or drop; NULL when out of memory. */
uint32_t *glip__panels_alloc(struct panels *p, size_t words);
/* The same for floats that a product of `rows` rows packs; NULL also beyond the limits. */
float *glip__panels_alloc_floats(struct panels *p, size_t rows, size_t floats);
/* Keeps the words and returns them; or, where another session was faster, drops them and returns what is kept. */
const void *glip__panels_keep(struct panels *p, const struct panels_key *key, void *words);
void glip__panels_drop(struct panels *p, void *words);

#endif
