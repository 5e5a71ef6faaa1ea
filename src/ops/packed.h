/* Products whose right matrix is packed once and then multiplied with a few left rows at a time, by the thread that has
 * just made them. */
#ifndef GLIP_OPS_PACKED_H
#define GLIP_OPS_PACKED_H

#include "ops/narrow.h"
#include "ops/ops_internal.h"

struct packed {
	const struct kernels *kernels;
	const struct narrow_kernels *narrow; /* NULL: panels of floats */
	const void *panels;
	size_t row_floats; /* scratch that one left row takes */
};

/* Packs the right matrix of p, on all threads; the panels lie in ops->arena, or are the model's. */
enum glip_status glip__pack_native(struct ops *ops, const struct product *p, struct packed *out);
enum glip_status glip__pack_narrow(struct ops *ops, const struct product *p, struct packed *out);

/* struct packed's row_floats for left rows of k values. */
size_t glip__narrow_row_floats(const struct narrow_kernels *narrow, size_t k);

void glip__multiply_native(const struct packed *k, const struct product *p, size_t row, size_t rows, const float *a,
                           size_t lda);
void glip__multiply_narrow(const struct packed *k, const struct product *p, size_t row, size_t rows, const float *a,
                           size_t lda, float *scratch);

static inline enum glip_status glip__pack(struct ops *ops, const struct product *p, struct packed *out)
{
	return glip__narrow_of(ops, p) ? glip__pack_narrow(ops, p, out) : glip__pack_native(ops, p, out);
}

/* Floats of scratch that `rows` left rows take. */
static inline size_t glip__packed_scratch(const struct packed *k, size_t rows)
{
	return (k->narrow ? glip__round_up(rows, (size_t)k->narrow->row_unit) : rows) * k->row_floats;
}

/* Rows [row, row + rows) of p's result from left rows at a, whose first is row `row`: p's own left matrix is not read.
 * p may be a copy with another place for C. scratch: glip__packed_scratch(). */
static inline void glip__multiply(const struct packed *k, const struct product *p, size_t row, size_t rows,
                                  const float *a, size_t lda, float *scratch)
{
	if (k->narrow)
		glip__multiply_narrow(k, p, row, rows, a, lda, scratch);
	else
		glip__multiply_native(k, p, row, rows, a, lda);
}

#endif
