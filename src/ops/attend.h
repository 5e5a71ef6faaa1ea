/* One head of one group of an attention, for the thread that has its rows. */
#ifndef GLIP_OPS_ATTEND_H
#define GLIP_OPS_ATTEND_H

#include "ops/ops_internal.h"

struct attend {
	const struct kernels *kernels;
	const struct attention *a;
	size_t ld_scores;
	size_t value_panels, scores; /* floats from the scratch's start */
	size_t floats;               /* of scratch */
};

struct attend glip__attend_plan(const struct kernels *kernels, const struct attention *a);
/* t->a may be a copy with other rows. */
void glip__attend(const struct attend *t, size_t group, size_t head, float *scratch);

#endif
