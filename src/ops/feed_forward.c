/* Rows go through in blocks that stay in the second-level cache: one thread normalises a block, multiplies it with both
 * weights and adds it back, so that what lies between the products never leaves its cache and the threads meet once.
 * Products that need all rows at once (BLAS, or few rows) take CHUNK_ROWS. */
#include "ops/feed_forward.h"

#include "ops/packed.h"

enum {
	BLOCK_ROWS = 96,
	BLOCK_PERCENT = 44, /* of the second-level cache for hidden rows; with a panel two thirds of it */
	MIN_ROWS = 48,      /* even if they leave that cache: fewer would read large weights from memory too often */
	PIECES = 16,        /* wanted at least, so that workers of unequal speed finish together */
	CHUNK_ROWS = 8192
};

struct feed_task {
	const struct kernels *kernels;
	const struct feed_forward *f;
	struct product up, down;
	struct packed packed_up, packed_down;
	size_t block_rows, normed_ld, hidden_ld;
	struct worker_scratch scratch;
};

static void feed_blocks(void *context, size_t begin, size_t end, int worker)
{
	const struct feed_task *t = context;
	const struct feed_forward *f = t->f;
	const struct norm norm = {f->norm_weight, f->norm_bias, f->norm_eps};
	size_t c = (size_t)f->channels;
	float *normed = glip__worker_floats(&t->scratch, worker), *hidden = normed + t->block_rows * t->normed_ld;
	float *scratch = hidden + t->block_rows * t->hidden_ld;
	struct gemm to_hidden = *t->up.g;
	struct product up = t->up;
	to_hidden.c = hidden;
	up.g = &to_hidden;
	up.ldc = t->hidden_ld;
	for (size_t block = begin; block < end; block++) {
		size_t row = block * t->block_rows, rows = glip__min_size(t->block_rows, (size_t)f->rows - row);
		up.ahead = glip__left_ahead(&t->up, row + rows, t->block_rows);
		t->kernels->layer_norm(&norm, f->x + row * c, c, NULL, rows, c, normed, t->normed_ld);
		glip__multiply(&t->packed_up, &up, 0, rows, normed, t->normed_ld, scratch);
		glip__multiply(&t->packed_down, &t->down, row, rows, hidden, t->hidden_ld, scratch);
	}
}

static struct gemm up_product(const struct feed_forward *f)
{
	return (struct gemm){
		.m = f->rows,
		.n = f->hidden,
		.k = f->channels,
		.a = {.data = f->x, .ld = f->channels}, /* before its norm */
		.b = f->up,
		.bias = f->up_bias,
		.act = ACT_GELU,
	};
}

static struct gemm down_product(const struct feed_forward *f)
{
	return (struct gemm){
		.m = f->rows,
		.n = f->channels,
		.k = f->hidden,
		.a = {.ld = f->hidden},
		.b = f->down,
		.bias = f->down_bias,
		.residual = f->x,
		.c = f->x,
	};
}

static enum glip_status by_blocks(struct ops *ops, const struct feed_forward *f)
{
	struct gemm up = up_product(f), down = down_product(f);
	struct feed_task t = {.kernels = ops->kernels, .f = f};
	size_t rows = (size_t)f->rows, mr = (size_t)ops->kernels->mr;
	TRY(glip__product_of(ops, &up, &t.up));
	TRY(glip__product_of(ops, &down, &t.down));
	ops->multiply_adds += 2 * (double)f->rows * (double)f->hidden * (double)f->channels;
	TRY(glip__pack(ops, &t.up, &t.packed_up));
	TRY(glip__pack(ops, &t.down, &t.packed_down));
	/* Not a multiple of 4 KiB, where rows would share their sets of the first-level cache. */
	t.normed_ld = glip__round_up(t.up.k, 16) + 16;
	t.hidden_ld = glip__round_up(t.up.n, 16) + 16;
	size_t block = glip__min_size(BLOCK_ROWS, glip__cache_floats(ops, BLOCK_PERCENT) / t.hidden_ld);
	block = glip__min_size(block > MIN_ROWS ? block : MIN_ROWS, glip__ceil_div(rows, PIECES));
	t.block_rows = block < mr ? mr : block / mr * mr;
	size_t up_scratch = glip__packed_scratch(&t.packed_up, t.block_rows);
	size_t scratch = glip__packed_scratch(&t.packed_down, t.block_rows);
	scratch = up_scratch > scratch ? up_scratch : scratch;
	TRY(glip__worker_scratch(ops, t.block_rows * (t.normed_ld + t.hidden_ld) + scratch, &t.scratch));
	glip__pool_run(ops->pool, feed_blocks, &t, glip__ceil_div(rows, t.block_rows), 1);
	return GLIP_OK;
}

static enum glip_status by_chunks(struct ops *ops, const struct feed_forward *f)
{
	const int64_t c = f->channels, chunk = f->rows < CHUNK_ROWS ? f->rows : CHUNK_ROWS;
	float *normed = glip__ops_alloc(ops, (size_t)chunk, (size_t)c * sizeof *normed);
	float *hidden = glip__ops_alloc(ops, (size_t)chunk, (size_t)f->hidden * sizeof *hidden);
	if (normed == NULL || hidden == NULL)
		return GLIP_ERR_NOMEM;
	for (int64_t first = 0; first < f->rows; first += chunk) {
		float *part = f->x + first * c;
		struct gemm up = up_product(f), down = down_product(f);
		up.m = down.m = f->rows - first < chunk ? f->rows - first : chunk;
		up.a.data = normed;
		up.c = hidden;
		down.a.data = hidden;
		down.residual = down.c = part;
		TRY(glip__layer_norm(ops, part, up.m, c, f->norm_weight, f->norm_bias, f->norm_eps, normed));
		TRY(glip__gemm(ops, &up));
		TRY(glip__gemm(ops, &down));
	}
	return GLIP_OK;
}

enum glip_status glip__feed_forward(struct ops *ops, const struct feed_forward *f)
{
	TRY(glip__ops_begin(ops));
	if (f->rows < 0 || f->channels < 1 || f->hidden < 1)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "feed-forward of %lld rows, %lld and %lld wide",
		                  (long long)f->rows, (long long)f->channels, (long long)f->hidden);
	struct arena_mark mark = glip__arena_mark(ops->arena);
	bool whole = ops->gemm == GLIP_GEMM_BLAS || f->rows <= KERNEL_MAX_DOT_ROWS;
	enum glip_status status = whole ? by_chunks(ops, f) : by_blocks(ops, f);
	glip__arena_release(ops->arena, mark);
	return status;
}
