/* Positions go through in blocks that stay in the second-level cache: norm, scores, both softmaxes and both products
 * with their results, a group of heads at a time. What the text gathers over positions is a running softmax per piece
 * of positions; the pieces depend on the sizes alone and are joined in order, so the bits do not depend on the threads.
 */
#include "ops/cross_attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/narrow.h"
#include "ops/packed.h"

enum {
	BLOCK_ROWS = 96,     /* positions at least: a multiple of every kernel's tile */
	GROUP_COLUMNS = 400, /* of scores at a time, in whole heads (one at least) */
	PIECES = 24
};

/* Whole heads whose scores are in work at a time. */
struct head_group {
	size_t first, width; /* columns of the scores */
	struct gemm scores;  /* v keys^T + key_bias */
	struct gemm out;     /* shares times outputs, added to what the groups before gave, or to out_bias */
	struct product scores_product, out_product;
	struct packed keys, outputs;
};

struct cross_task {
	const struct kernels *kernels;
	const struct narrow_kernels *narrow; /* of 16 bits, for what the text gathers; NULL: floats */
	const struct cross_attention *a;
	size_t c, n, nr;
	size_t block_rows;  /* positions of a block: what the text gathers of them is whole units */
	size_t group_width; /* columns of a full group */
	size_t row_floats;  /* scratch that a left row of a product takes */
	struct head_group *groups;
	size_t group_count;
	size_t piece_rows, pieces;
	float *mean;    /* [pieces, n, c] sums of exp(score - top) v */
	float *top;     /* [pieces, n] */
	double *weight; /* [pieces, n] sums of exp(score - top) */
	struct worker_scratch scratch;
};

/* What a block works with. */
struct cross_scratch {
	float *values;     /* panels [rows, nr] of the block's v; narrow: [words of a column of rows, nr] */
	float *scores;     /* [rows, width of the group] */
	float *shares;     /* the same: exp(score - top) */
	float *transposed; /* [width, rows of a block] of the shares */
	float *out;        /* [rows, c] */
	float *before;     /* [width] the tops so far */
	float *narrowed;   /* left rows of a product */
};

static size_t scratch_floats(const struct cross_task *t)
{
	size_t width = glip__round_up(t->group_width, 16);
	return t->block_rows * (glip__round_up(t->c, t->nr) + glip__round_up(t->c, 16) + 3 * width + t->row_floats) + width;
}

static struct cross_scratch scratch_of(const struct cross_task *t, int worker)
{
	size_t width = glip__round_up(t->group_width, 16);
	struct cross_scratch s;
	s.values = glip__worker_floats(&t->scratch, worker);
	s.out = s.values + t->block_rows * glip__round_up(t->c, t->nr);
	s.scores = s.out + t->block_rows * glip__round_up(t->c, 16);
	s.shares = s.scores + t->block_rows * width;
	s.transposed = s.shares + t->block_rows * width;
	s.narrowed = s.transposed + t->block_rows * width;
	s.before = s.narrowed + t->block_rows * t->row_floats;
	return s;
}

/* mean [width, c] (first: zeros) += shares^T v: a product over the block's rows, whose right matrix is packed. */
static void add_values(const struct cross_task *t, const struct cross_scratch *s, size_t width, size_t rows, bool first,
                       float *mean)
{
	const struct packed values = {.kernels = t->kernels, .narrow = t->narrow, .panels = s->values};
	const struct gemm g = {.residual = first ? NULL : mean, .c = mean};
	const struct product p = {.g = &g, .m = width, .n = t->c, .k = rows, .ldc = t->c};
	t->kernels->transpose(s->shares, width, rows, width, s->transposed, t->block_rows);
	for (size_t i = 0; i < width; i += t->block_rows)
		glip__multiply(&values, &p, i, glip__min_size(t->block_rows, width - i), s->transposed + i * t->block_rows,
		               t->block_rows, s->narrowed);
}

/* v as panels. */
static void pack_values(const struct cross_task *t, const float *x, size_t rows, float *values)
{
	size_t c = t->c, nr = t->nr, words = t->narrow ? glip__narrow_words(t->narrow, false, rows) : rows;
	for (size_t j = 0; j < c; j += nr) {
		int cols = (int)glip__min_size(nr, c - j);
		if (t->narrow)
			t->narrow->right_columns(x + j, c, rows, cols, (uint32_t *)(void *)(values + j * words));
		else
			t->kernels->pack_rows(x + j, DTYPE_F32, c, cols, rows, values + j * words);
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
	add_values(t, s, width, rows, begins, mean);
}

/* A product of the group with another place for its result. */
static void multiply(const struct packed *packed, const struct product *product, const float *a, size_t rows, float *c,
                     const float *residual, float *scratch)
{
	struct gemm g = *product->g;
	struct product p = *product;
	g.c = c;
	g.residual = residual;
	p.g = &g;
	glip__multiply(packed, &p, 0, rows, a, p.lda, scratch);
}

static void attend_block(const struct cross_task *t, const struct cross_scratch *s, size_t piece, size_t row,
                         size_t rows, bool begins)
{
	const struct cross_attention *a = t->a;
	const struct kernels *kernels = t->kernels;
	size_t c = t->c, tokens = (size_t)a->tokens;
	const struct scores plain = {.scale = 1};
	float *x = a->visual + row * c;
	kernels->layer_norm(&(struct norm){a->norm_weight, a->norm_bias, a->norm_eps}, x, c, NULL, rows, c, x, c);
	pack_values(t, x, rows, s->values);
	for (size_t i = 0; i < t->group_count; i++) {
		const struct head_group *g = &t->groups[i];
		multiply(&g->keys, &g->scores_product, x, rows, s->scores, NULL, s->narrowed);
		kernels->clamp(s->scores, rows * g->width, -a->clamp, a->clamp);
		gather_text(t, s, piece, g->first, g->width, rows, begins);
		kernels->softmax(&plain, s->scores, tokens, rows * g->width / tokens, tokens);
		multiply(&g->outputs, &g->out_product, s->scores, rows, s->out, i > 0 ? s->out : NULL, s->narrowed);
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
		for (size_t row = first; row < last; row += t->block_rows)
			attend_block(t, &s, piece, row, glip__min_size(t->block_rows, last - row), row == first);
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

/* Packs what the group multiplies with. */
static enum glip_status prepare_group(struct ops *ops, struct cross_task *t, struct head_group *g)
{
	const struct cross_attention *a = t->a;
	/* Scores go into an exponential. */
	const enum precision precision = PRECISION_16_BITS;
	struct matrix keys = {
		.data = a->keys + g->first * t->c, .rows = (int64_t)g->width, .cols = a->channels, .precision = precision};
	struct matrix outputs = {
		.data = a->outputs + g->first * t->c, .rows = (int64_t)g->width, .cols = a->channels, .precision = precision};
	g->scores = (struct gemm){
		.m = a->positions,
		.n = (int64_t)g->width,
		.k = a->channels,
		.b = keys,
		.bias = a->key_bias + g->first,
	};
	g->out = (struct gemm){
		.m = a->positions,
		.n = a->channels,
		.k = (int64_t)g->width,
		.b = outputs,
		.b_rows_are_k = true,
		.bias = g->first == 0 ? a->out_bias : NULL,
	};
	TRY(glip__product_of(ops, &g->scores, &g->scores_product));
	TRY(glip__product_of(ops, &g->out, &g->out_product));
	TRY(glip__pack(ops, &g->scores_product, &g->keys));
	TRY(glip__pack(ops, &g->out_product, &g->outputs));
	size_t most = g->keys.row_floats > g->outputs.row_floats ? g->keys.row_floats : g->outputs.row_floats;
	t->row_floats = most > t->row_floats ? most : t->row_floats;
	return GLIP_OK;
}

static enum glip_status run(struct ops *ops, struct cross_task *t)
{
	size_t columns = t->pieces * t->n;
	t->groups = glip__ops_alloc(ops, t->group_count, sizeof *t->groups);
	t->mean = t->groups != NULL ? glip__ops_alloc(ops, columns, t->c * sizeof(float)) : NULL;
	t->top = t->mean != NULL ? glip__ops_floats(ops, columns) : NULL;
	t->weight = t->top != NULL ? glip__ops_alloc(ops, columns, sizeof(double)) : NULL;
	if (t->weight == NULL)
		return GLIP_ERR_NOMEM;
	for (size_t i = 0; i < t->group_count; i++) {
		struct head_group *g = &t->groups[i];
		g->first = i * t->group_width;
		g->width = glip__min_size(t->group_width, t->n - g->first);
		TRY(prepare_group(ops, t, g));
	}
	TRY(glip__worker_scratch(ops, scratch_floats(t), &t->scratch));
	glip__pool_run(ops->pool, attend_pieces, t, t->pieces, 1);
	glip__pool_run(ops->pool, join_columns, t, t->n, 8);
	return GLIP_OK;
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
		.narrow = ops->narrow_16,
		.a = a,
		.c = (size_t)a->channels,
		.n = heads * tokens,
		.nr = (size_t)(ops->narrow_16 ? ops->narrow_16->nr : ops->kernels->nr),
		.block_rows = BLOCK_ROWS,
		.group_width = tokens * glip__min_size(heads, together > 0 ? together : 1),
	};
	if (t.narrow) {
		t.block_rows = glip__round_up(BLOCK_ROWS, (size_t)t.narrow->unit * (size_t)t.narrow->group);
		t.row_floats = glip__narrow_row_floats(t.narrow, t.block_rows);
		/* A column of a block is one stretch. */
		assert(t.block_rows <= (size_t)t.narrow->stretch);
	}
	t.piece_rows = glip__round_up(glip__ceil_div(rows, PIECES), t.block_rows);
	t.group_count = glip__ceil_div(t.n, t.group_width);
	t.pieces = glip__ceil_div(rows, t.piece_rows);
	ops->multiply_adds += 3 * (double)rows * (double)t.n * (double)t.c;
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = run(ops, &t);
	glip__arena_release(ops->arena, mark);
	return status;
}
