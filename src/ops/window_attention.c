/* A few windows go through at a time: one thread normalises their rows, multiplies, attends and adds back, so that
 * queries, keys and values never leave its second-level cache and the threads meet once. Products that need all rows at
 * once (BLAS, or fewer windows than would keep the threads busy) take CHUNK_ROWS. */
#include "ops/window_attention.h"

#include <math.h>
#include <string.h>

#include "ops/attend.h"
#include "ops/packed.h"

enum {
	BLOCK_ROWS = 150,
	BLOCK_PERCENT = 44, /* of the second-level cache for queries, keys and values */
	MIN_WINDOWS = 16,   /* below, threads of unequal speed would wait for each other's windows */
	CHUNK_ROWS = 8192
};

struct window_task {
	const struct kernels *kernels;
	const struct window_attention *w;
	struct product qkv, proj;
	struct packed packed_qkv, packed_proj;
	struct attend attend;
	size_t block_windows, block_rows, normed_ld, qkv_ld;
	struct worker_scratch scratch;
};

static struct attention attention_of(const struct window_attention *w)
{
	int head_dim = w->channels / w->heads;
	return (struct attention){
		.tokens = w->tokens,
		.heads = w->heads,
		.head_dim = head_dim,
		.scale = 1.0F / sqrtf((float)head_dim),
		.bias = w->bias,
	};
}

static struct gemm qkv_product(const struct window_attention *w)
{
	return (struct gemm){
		.m = w->windows * w->tokens,
		.n = 3 * (int64_t)w->channels,
		.k = w->channels,
		.b = w->qkv,
		.bias = w->qkv_bias,
	};
}

static struct gemm proj_product(const struct window_attention *w)
{
	return (struct gemm){
		.m = w->windows * w->tokens,
		.n = w->channels,
		.k = w->channels,
		.b = w->proj,
		.bias = w->proj_bias,
		.residual = w->x,
		.c = w->x,
		.c_index = w->rows,
	};
}

static void attend_windows(const struct window_task *t, size_t first, size_t count, float *normed, float *qkv,
                           float *scratch)
{
	size_t c = (size_t)t->w->channels, skip = first * (size_t)t->w->tokens;
	struct attention a = *t->attend.a;
	struct attend attend = t->attend;
	a.q = qkv;
	a.k = qkv + c;
	a.v = qkv + 2 * c;
	a.ld = (int64_t)t->qkv_ld;
	a.out = normed;
	a.ld_out = (int64_t)t->normed_ld;
	a.region = t->w->region ? t->w->region + skip : NULL;
	attend.a = &a;
	for (size_t window = 0; window < count; window++)
		for (size_t head = 0; head < (size_t)a.heads; head++)
			glip__attend(&attend, window, head, scratch);
}

static void window_blocks(void *context, size_t begin, size_t end, int worker)
{
	const struct window_task *t = context;
	const struct window_attention *w = t->w;
	const struct norm norm = {w->norm_weight, w->norm_bias, w->norm_eps};
	size_t c = (size_t)w->channels, tokens = (size_t)w->tokens;
	float *normed = glip__worker_floats(&t->scratch, worker), *qkv = normed + t->block_rows * t->normed_ld;
	float *scratch = qkv + t->block_rows * t->qkv_ld;
	struct gemm to_qkv = *t->qkv.g;
	struct product product = t->qkv;
	to_qkv.c = qkv;
	product.g = &to_qkv;
	product.ldc = t->qkv_ld;
	for (size_t block = begin; block < end; block++) {
		size_t first = block * t->block_windows;
		size_t count = glip__min_size(t->block_windows, (size_t)w->windows - first);
		size_t row = first * tokens, rows = count * tokens;
		t->kernels->layer_norm(&norm, w->x, c, w->rows + row, rows, c, normed, t->normed_ld);
		glip__multiply(&t->packed_qkv, &product, 0, rows, normed, t->normed_ld, scratch);
		attend_windows(t, first, count, normed, qkv, scratch);
		glip__multiply(&t->packed_proj, &t->proj, row, rows, normed, t->normed_ld, scratch);
	}
}

static enum glip_status by_blocks(struct ops *ops, const struct window_attention *w)
{
	struct gemm qkv = qkv_product(w), proj = proj_product(w);
	struct attention attention = attention_of(w);
	struct window_task t = {.kernels = ops->kernels, .w = w, .attend = glip__attend_plan(ops->kernels, &attention)};
	size_t tokens = (size_t)w->tokens, c = (size_t)w->channels;
	TRY(glip__product_of(ops, &qkv, &t.qkv));
	TRY(glip__product_of(ops, &proj, &t.proj));
	ops->multiply_adds += (double)qkv.m * (4 * (double)c + 2 * (double)tokens) * (double)c;
	TRY(glip__pack(ops, &t.qkv, &t.packed_qkv));
	TRY(glip__pack(ops, &t.proj, &t.packed_proj));
	/* Not a multiple of 4 KiB, where rows would share their sets of the first-level cache. */
	t.normed_ld = glip__round_up(c, 16) + 16;
	t.qkv_ld = glip__round_up(3 * c, 16) + 16;
	size_t most = glip__min_size(BLOCK_ROWS, glip__cache_floats(ops, BLOCK_PERCENT) / t.qkv_ld) / tokens;
	t.block_windows = glip__min_size(most ? most : 1, (size_t)w->windows / MIN_WINDOWS);
	t.block_rows = t.block_windows * tokens;
	size_t qkv_scratch = glip__packed_scratch(&t.packed_qkv, t.block_rows);
	size_t scratch = glip__packed_scratch(&t.packed_proj, t.block_rows);
	scratch = qkv_scratch > scratch ? qkv_scratch : scratch;
	scratch = t.attend.floats > scratch ? t.attend.floats : scratch;
	TRY(glip__worker_scratch(ops, t.block_rows * (t.normed_ld + t.qkv_ld) + scratch, &t.scratch));
	glip__pool_run(ops->pool, window_blocks, &t, glip__ceil_div((size_t)w->windows, t.block_windows), 1);
	return GLIP_OK;
}

static enum glip_status by_chunks(struct ops *ops, const struct window_attention *w)
{
	const int64_t c = w->channels, together = CHUNK_ROWS / w->tokens > 0 ? CHUNK_ROWS / w->tokens : 1;
	const int64_t chunk = w->windows < together ? w->windows : together, rows = chunk * w->tokens;
	float *normed = glip__ops_alloc(ops, (size_t)w->map_rows, (size_t)c * sizeof *normed);
	float *out = glip__ops_alloc(ops, (size_t)rows, (size_t)c * sizeof *out);
	float *qkv = glip__ops_alloc(ops, (size_t)rows, 3 * (size_t)c * sizeof *qkv);
	if (normed == NULL || out == NULL || qkv == NULL)
		return GLIP_ERR_NOMEM;
	TRY(glip__layer_norm(ops, w->x, w->map_rows, c, w->norm_weight, w->norm_bias, w->norm_eps, normed));
	for (int64_t first = 0; first < w->windows; first += chunk) {
		const int64_t count = w->windows - first < chunk ? w->windows - first : chunk, skip = first * w->tokens;
		struct gemm to_qkv = qkv_product(w), proj = proj_product(w);
		struct attention a = attention_of(w);
		to_qkv.m = proj.m = count * w->tokens;
		to_qkv.a = (struct gemm_rows){.data = normed, .ld = c, .index = w->rows + skip, .taps = 1};
		to_qkv.c = qkv;
		a.batch = count;
		a.q = qkv;
		a.k = qkv + c;
		a.v = qkv + 2 * c;
		a.ld = 3 * c;
		a.out = out;
		a.ld_out = c;
		a.region = w->region ? w->region + skip : NULL;
		proj.a = (struct gemm_rows){.data = out, .ld = c};
		proj.c_index = w->rows + skip;
		TRY(glip__gemm(ops, &to_qkv));
		TRY(glip__attention(ops, &a));
		TRY(glip__gemm(ops, &proj));
	}
	return GLIP_OK;
}

enum glip_status glip__window_attention(struct ops *ops, const struct window_attention *w)
{
	TRY(glip__ops_begin(ops));
	if (w->windows < 1 || w->tokens < 1 || w->tokens > 65536 || w->windows > INT32_MAX / w->tokens || w->channels < 1 ||
	    w->heads < 1 || w->channels % w->heads != 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "attention in %lld windows of %lld, %d heads of %d channels",
		                  (long long)w->windows, (long long)w->tokens, w->heads, w->channels);
	struct arena_mark mark = glip__arena_mark(ops->arena);
	bool whole =
		ops->gemm == GLIP_GEMM_BLAS || w->windows < MIN_WINDOWS || w->windows * w->tokens <= KERNEL_MAX_DOT_ROWS;
	enum glip_status status = whole ? by_chunks(ops, w) : by_blocks(ops, w);
	glip__arena_release(ops->arena, mark);
	return status;
}
