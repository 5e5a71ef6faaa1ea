/* Positions go through in blocks that stay in the second-level cache: norm, scores, both softmaxes and both products
 * with their results, head groups at a time. What the text gathers over positions is a running softmax per piece of
 * positions; the pieces depend on the sizes alone and are joined in order, so the bits do not depend on the threads. */
#include "ops/cross_attention.h"

#include <math.h>
#include <string.h>

#include "ops/ops_internal.h"

enum {
	BLOCK_ROWS = 96,     /* positions: a multiple of every kernel's tile */
	GROUP_COLUMNS = 400, /* of scores at a time, in whole heads (one at least) */
	PIECES = 24
};

struct cross_task {
	const struct kernels *kernels;
	const struct cross_attention *a;
	size_t c, n, nr;
	size_t group;        /* columns of a full group */
	size_t group_floats; /* of a full group's packed keys, and outputs */
	float *keys;         /* panels [c, nr] of each group */
	float *outputs;      /* panels [group columns, nr] of each group */
	size_t piece_rows, pieces;
	float *mean;    /* [pieces, n, c] sums of exp(score - top) v */
	float *top;     /* [pieces, n] */
	double *weight; /* [pieces, n] sums of exp(score - top) */
	struct worker_scratch scratch;
};

/* What a block works with. */
struct cross_scratch {
	float *values;     /* panels [rows, nr] of the block's v */
	float *scores;     /* [rows, group] */
	float *shares;     /* [rows, group] exp(score - top) */
	float *transposed; /* [group, BLOCK_ROWS] */
	float *out;        /* [rows, c] */
	float *before;     /* [group] the tops so far */
};

static size_t scratch_floats(const struct cross_task *t)
{
	return glip__round_up(t->c, t->nr) * BLOCK_ROWS + 3 * BLOCK_ROWS * t->group + BLOCK_ROWS * t->c + t->group + 80;
}

static struct cross_scratch scratch_of(const struct cross_task *t, int worker)
{
	struct cross_scratch s;
	s.values = glip__worker_floats(&t->scratch, worker);
	s.out = s.values + glip__round_up(t->c, t->nr) * BLOCK_ROWS;
	s.scores = s.out + glip__round_up(BLOCK_ROWS * t->c, 16);
	s.shares = s.scores + BLOCK_ROWS * t->group;
	s.transposed = s.shares + BLOCK_ROWS * t->group;
	s.before = s.transposed + BLOCK_ROWS * t->group;
	return s;
}

/* Packs panel `at` of all groups' keys and outputs: the keys' panels come first. */
static void pack_panels(void *context, size_t begin, size_t end, int worker)
{
	const struct cross_task *t = context;
	size_t key_panels = glip__ceil_div(t->group, t->nr), out_panels = glip__ceil_div(t->c, t->nr);
	(void)worker;
	for (size_t i = begin; i < end; i++) {
		size_t panels = key_panels + out_panels, first = i / panels * t->group, at = i % panels;
		size_t width = glip__min_size(t->group, t->n - first);
		if (at >= key_panels) {
			size_t column = (at - key_panels) * t->nr;
			t->kernels->pack_rows(t->a->outputs + first * t->c + column, DTYPE_F32, t->c,
			                      (int)glip__min_size(t->nr, t->c - column), width,
			                      t->outputs + i / panels * t->group_floats + column * width);
		} else if (at * t->nr < width) {
			size_t column = at * t->nr;
			t->kernels->pack_columns(t->a->keys + (first + column) * t->c, DTYPE_F32, t->c,
			                         (int)glip__min_size(t->nr, width - column), t->c,
			                         t->keys + i / panels * t->group_floats + column * t->c);
		}
	}
}

/* c [rows, cols] = init + a [rows, k] times panels. init_ld 0 repeats one row; NULL: zeros. */
static void multiply(const struct cross_task *t, const float *a, size_t lda, size_t rows, size_t k, const float *panels,
                     size_t cols, const float *init, size_t init_ld, float *c, size_t ldc)
{
	size_t mr = (size_t)t->kernels->mr;
	for (size_t j = 0; j < cols; j += t->nr) {
		int width = (int)glip__min_size(t->nr, cols - j);
		for (size_t i = 0; i < rows; i += mr) {
			int height = (int)glip__min_size(mr, rows - i);
			t->kernels->gemm_tile(k, a + i * lda, lda, panels + j * k, init != NULL ? init + i * init_ld + j : NULL,
			                      init_ld, c + i * ldc + j, ldc, height, width);
		}
	}
}

/* The text's side of a block: tops, weights and sums of the group's columns. */
static void gather_text(const struct cross_task *t, const struct cross_scratch *s, size_t piece, size_t first,
                        size_t width, size_t rows, bool begins)
{
	float *top = t->top + piece * t->n + first;
	double *weight = t->weight + piece * t->n + first;
	float *mean = t->mean + (piece * t->n + first) * t->c;
	if (begins) {
		memcpy(top, s->scores, width * sizeof *top);
		memset(weight, 0, width * sizeof *weight);
	}
	memcpy(s->before, top, width * sizeof *top);
	t->kernels->column_max(s->scores, rows, width, top);
	for (size_t j = 0; j < width && !begins; j++) {
		if (!(top[j] > s->before[j]))
			continue;
		float factor = expf(s->before[j] - top[j]);
		weight[j] *= (double)factor;
		for (size_t i = 0; i < t->c; i++)
			mean[j * t->c + i] *= factor;
	}
	memcpy(s->shares, s->scores, rows * width * sizeof *s->shares);
	t->kernels->column_exp(s->shares, rows, width, top, weight);
	t->kernels->transpose(s->shares, width, rows, width, s->transposed, BLOCK_ROWS);
	multiply(t, s->transposed, BLOCK_ROWS, width, rows, s->values, t->c, begins ? NULL : mean, t->c, mean, t->c);
}

static void attend_block(const struct cross_task *t, const struct cross_scratch *s, size_t piece, size_t row,
                         size_t rows, bool begins)
{
	const struct cross_attention *a = t->a;
	const struct kernels *kernels = t->kernels;
	size_t c = t->c, tokens = (size_t)a->tokens;
	float *x = a->visual + row * c;
	for (size_t r = 0; r < rows; r++)
		kernels->layer_norm(x + r * c, c, a->norm_weight, a->norm_bias, a->norm_eps, x + r * c);
	for (size_t j = 0; j < c; j += t->nr)
		kernels->pack_rows(x + j, DTYPE_F32, c, (int)glip__min_size(t->nr, c - j), rows, s->values + j * rows);
	for (size_t first = 0; first < t->n; first += t->group) {
		size_t width = glip__min_size(t->group, t->n - first), skip = first / t->group * t->group_floats;
		multiply(t, x, c, rows, c, t->keys + skip, width, a->key_bias + first, 0, s->scores, width);
		kernels->clamp(s->scores, rows * width, -a->clamp, a->clamp);
		gather_text(t, s, piece, first, width, rows, begins);
		for (size_t i = 0; i < rows * width; i += tokens)
			kernels->softmax(s->scores + i, tokens);
		multiply(t, s->scores, width, rows, width, t->outputs + skip, c, first > 0 ? s->out : a->out_bias,
		         first > 0 ? c : 0, s->out, c);
	}
	struct finish f = {.act = ACT_NONE, .scale = a->scale};
	for (size_t r = 0; r < rows; r += KERNEL_MAX_MR) {
		float *to[KERNEL_MAX_MR];
		const float *residual[KERNEL_MAX_MR];
		size_t count = glip__min_size(KERNEL_MAX_MR, rows - r);
		for (size_t i = 0; i < count; i++)
			residual[i] = to[i] = x + (r + i) * c;
		kernels->finish(&f, s->out + r * c, c, (int)count, (int)c, residual, to);
	}
}

static void attend_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct cross_task *t = context;
	struct cross_scratch s = scratch_of(t, worker);
	for (size_t piece = begin; piece < end; piece++) {
		size_t first = piece * t->piece_rows;
		size_t last = glip__min_size((size_t)t->a->positions, first + t->piece_rows);
		for (size_t row = first; row < last; row += BLOCK_ROWS)
			attend_block(t, &s, piece, row, glip__min_size(BLOCK_ROWS, last - row), row == first);
	}
}

/* Joins the pieces' sums of columns [begin, end). */
static void join_columns(void *context, size_t begin, size_t end, int worker)
{
	const struct cross_task *t = context;
	(void)worker;
	for (size_t j = begin; j < end; j++) {
		float top = t->top[j], *to = t->a->pooled + j * t->c;
		for (size_t p = 1; p < t->pieces; p++)
			top = t->top[p * t->n + j] > top ? t->top[p * t->n + j] : top;
		double weight = 0;
		for (size_t p = 0; p < t->pieces; p++)
			weight += t->weight[p * t->n + j] * (double)expf(t->top[p * t->n + j] - top);
		memset(to, 0, t->c * sizeof *to);
		for (size_t p = 0; p < t->pieces; p++) {
			float share = (float)((double)expf(t->top[p * t->n + j] - top) / weight);
			const float *from = t->mean + (p * t->n + j) * t->c;
			for (size_t i = 0; i < t->c; i++)
				to[i] += share * from[i];
		}
	}
}

static enum glip_status allocate(struct ops *ops, struct cross_task *t)
{
	size_t groups = glip__ceil_div(t->n, t->group), columns = t->pieces * t->n;
	t->group_floats = glip__round_up(t->group, t->nr) * glip__round_up(t->c, t->nr);
	t->keys = glip__ops_alloc(ops, groups, t->group_floats * sizeof(float));
	t->outputs = t->keys != NULL ? glip__ops_alloc(ops, groups, t->group_floats * sizeof(float)) : NULL;
	t->mean = t->outputs != NULL ? glip__ops_alloc(ops, columns, t->c * sizeof(float)) : NULL;
	t->top = t->mean != NULL ? glip__ops_floats(ops, columns) : NULL;
	t->weight = t->top != NULL ? glip__ops_alloc(ops, columns, sizeof(double)) : NULL;
	return t->weight != NULL ? glip__worker_scratch(ops, scratch_floats(t), &t->scratch) : GLIP_ERR_NOMEM;
}

enum glip_status glip__cross_attention(struct ops *ops, const struct cross_attention *a)
{
	TRY(glip__ops_begin(ops));
	if (a->positions < 1 || a->channels < 1 || a->channels > 65536 || a->tokens < 1 || a->tokens > 65536 ||
	    a->heads < 1 || a->heads > 65536)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "attention of %lld positions of %lld channels to %lld tokens",
		                  (long long)a->positions, (long long)a->channels, (long long)a->tokens);
	size_t tokens = (size_t)a->tokens, heads = (size_t)a->heads, rows = (size_t)a->positions;
	size_t together = GROUP_COLUMNS / tokens;
	struct cross_task t = {
		.kernels = ops->kernels,
		.a = a,
		.c = (size_t)a->channels,
		.n = heads * tokens,
		.nr = (size_t)ops->kernels->nr,
		.group = tokens * glip__min_size(heads, together > 0 ? together : 1),
		.piece_rows = glip__round_up(glip__ceil_div(rows, PIECES), BLOCK_ROWS),
	};
	t.pieces = glip__ceil_div(rows, t.piece_rows);
	ops->multiply_adds += 3 * (double)rows * (double)t.n * (double)t.c;
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = allocate(ops, &t);
	if (status == GLIP_OK) {
		size_t panels = glip__ceil_div(t.group, t.nr) + glip__ceil_div(t.c, t.nr);
		glip__pool_run(ops->pool, pack_panels, &t, glip__ceil_div(t.n, t.group) * panels, 1);
		glip__pool_run(ops->pool, attend_pieces, &t, t.pieces, 1);
		glip__pool_run(ops->pool, join_columns, &t, t.n, 8);
	}
	glip__arena_release(ops->arena, mark);
	return status;
}
