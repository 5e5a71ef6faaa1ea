/* Attention: one piece is one head of one group. Keys and values are packed once per piece, then a few query rows at a
 * time go through scores, softmax and values while they are in the cache. */
#include <math.h>

#include "ops/attend.h"

struct attention_task {
	struct attend attend;
	struct worker_scratch scratch;
};

/* Rows [row, row + rows) of one head: out = softmax(q k^T) v. */
static void attend_rows(const struct attend *t, float *scratch, size_t group, size_t head, size_t row, int rows)
{
	const struct attention *a = t->a;
	const struct kernels *kernels = t->kernels;
	size_t tokens = (size_t)a->tokens, dim = (size_t)a->head_dim, nr = (size_t)kernels->nr;
	size_t first = group * tokens, ld = (size_t)a->ld;
	float *scores = scratch + t->scores;
	const float *q = a->q + (first + row) * ld + head * dim;
	for (size_t j = 0; j < tokens; j += nr)
		kernels->gemm_tile(dim, q, ld, scratch + j * dim, NULL, 0, scores + j, t->ld_scores, rows,
		                   (int)glip__min_size(nr, tokens - j), NULL);
	struct scores s = {.scale = a->scale, .clamp = a->clamp, .bias_ld = tokens};
	if (a->bias)
		s.bias = a->bias + (head * tokens + row) * tokens;
	if (a->region) {
		s.region = a->region + first;
		s.own_region = a->region + first + row;
	}
	kernels->softmax(&s, scores, t->ld_scores, (size_t)rows, tokens);
	float *out = a->out + (first + row) * (size_t)a->ld_out + head * dim;
	for (size_t j = 0; j < dim; j += nr)
		kernels->gemm_tile(tokens, scores, t->ld_scores, scratch + t->value_panels + j * tokens, NULL, 0, out + j,
		                   (size_t)a->ld_out, rows, (int)glip__min_size(nr, dim - j), NULL);
}

struct attend glip__attend_plan(const struct kernels *kernels, const struct attention *a)
{
	size_t tokens = (size_t)a->tokens, dim = (size_t)a->head_dim, nr = (size_t)kernels->nr;
	struct attend t = {.kernels = kernels, .a = a, .ld_scores = glip__round_up(tokens, 16) + 16};
	t.value_panels = glip__round_up(tokens, nr) * dim;
	t.scores = t.value_panels + glip__round_up(dim, nr) * tokens;
	t.floats = t.scores + (size_t)kernels->mr * t.ld_scores;
	return t;
}

void glip__attend(const struct attend *t, size_t group, size_t head, float *scratch)
{
	const struct attention *a = t->a;
	const struct kernels *kernels = t->kernels;
	size_t tokens = (size_t)a->tokens, dim = (size_t)a->head_dim, ld = (size_t)a->ld;
	size_t nr = (size_t)kernels->nr, mr = (size_t)kernels->mr;
	const float *k = a->k + group * tokens * ld + head * dim, *v = a->v + group * tokens * ld + head * dim;
	for (size_t j = 0; j < tokens; j += nr)
		kernels->pack_columns(k + j * ld, DTYPE_F32, ld, (int)glip__min_size(nr, tokens - j), dim, scratch + j * dim);
	for (size_t j = 0; j < dim; j += nr)
		kernels->pack_rows(v + j, DTYPE_F32, ld, (int)glip__min_size(nr, dim - j), tokens,
		                   scratch + t->value_panels + j * tokens);
	for (size_t row = 0; row < tokens; row += mr)
		attend_rows(t, scratch, group, head, row, (int)glip__min_size(mr, tokens - row));
}

static void attend_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct attention_task *t = context;
	size_t heads = (size_t)t->attend.a->heads;
	for (size_t piece = begin; piece < end; piece++)
		glip__attend(&t->attend, piece / heads, piece % heads, glip__worker_floats(&t->scratch, worker));
}

enum glip_status glip__attention(struct ops *ops, const struct attention *a)
{
	TRY(glip__ops_begin(ops));
	if (a->batch < 0 || a->tokens < 0 || a->tokens > 65536 || a->heads < 0 || a->head_dim < 0 || a->head_dim > 65536 ||
	    a->ld < (int64_t)a->heads * a->head_dim || a->ld_out < (int64_t)a->heads * a->head_dim)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "attention of %lld x %lld tokens with %d heads of %d",
		                  (long long)a->batch, (long long)a->tokens, a->heads, a->head_dim);
	if (a->batch == 0 || a->tokens == 0 || a->heads == 0 || a->head_dim == 0)
		return GLIP_OK;
	ops->multiply_adds += 2 * (double)a->batch * a->heads * (double)a->tokens * (double)a->tokens * a->head_dim;
	struct attention_task t = {.attend = glip__attend_plan(ops->kernels, a)};
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = glip__worker_scratch(ops, t.attend.floats, &t.scratch);
	if (status == GLIP_OK)
		glip__pool_run(ops->pool, attend_pieces, &t, (size_t)a->batch * (size_t)a->heads, 1);
	glip__arena_release(ops->arena, mark);
	return status;
}
