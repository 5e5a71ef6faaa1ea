/* Products that sum over many rows: pieces of rows are summed apart, each in blocks that fit the cache, and then added
 * in order. The pieces depend on the sizes alone. */
#include <string.h>

#include "ops/ops_internal.h"

enum { BLOCK_ROWS = 256, PIECE_ROWS = 512, MAX_PIECES = 32, PARTIAL_FLOATS = 2 * 1024 * 1024, GROUPS = 8 };

struct over_rows_task {
	const struct kernels *kernels;
	size_t rows, m, n;
	const float *a, *b;
	size_t lda, ldb;
	size_t piece_rows, pieces, tile_rows, tiles;
	float *partial; /* [pieces, m, n] */
	float *c;
	struct worker_scratch scratch;
};

enum { TRANSPOSED_LD = BLOCK_ROWS + 16 };

/* Adds (or, first, sets) the products of `rows` rows beginning at `row` to columns [column, column + cols) of C^T. */
static void add_block(const struct over_rows_task *t, float *buffer, size_t row, size_t rows, size_t column,
                      size_t cols, float *c, bool first)
{
	const struct kernels *kernels = t->kernels;
	size_t mr = (size_t)kernels->mr, nr = (size_t)kernels->nr;
	float *left = buffer, *panel = buffer + t->tile_rows * TRANSPOSED_LD;
	kernels->transpose(t->a + row * t->lda + column, t->lda, rows, cols, left, TRANSPOSED_LD);
	for (size_t j = 0; j < t->n; j += nr) {
		int width = (int)glip__min_size(nr, t->n - j);
		kernels->pack_rows(t->b + row * t->ldb + j, DTYPE_F32, t->ldb, width, rows, panel);
		for (size_t i = 0; i < cols; i += mr) {
			float *tile = c + (column + i) * t->n + j;
			kernels->gemm_tile(rows, left + i * TRANSPOSED_LD, TRANSPOSED_LD, panel, first ? NULL : tile, t->n, tile,
			                   t->n, (int)glip__min_size(mr, cols - i), width, NULL);
		}
	}
}

static void sum_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct over_rows_task *t = context;
	float *buffer = glip__worker_floats(&t->scratch, worker);
	for (size_t task = begin; task < end; task++) {
		size_t piece = task / t->tiles, column = task % t->tiles * t->tile_rows;
		size_t cols = glip__min_size(t->tile_rows, t->m - column);
		size_t row = piece * t->piece_rows, last = glip__min_size(t->rows, row + t->piece_rows);
		float *c = t->partial + piece * t->m * t->n;
		for (bool first = true; row < last; row += BLOCK_ROWS, first = false)
			add_block(t, buffer, row, glip__min_size(BLOCK_ROWS, last - row), column, cols, c, first);
	}
}

static void add_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct over_rows_task *t = context;
	(void)worker;
	for (size_t i = begin; i < end; i++) {
		memcpy(t->c + i * t->n, t->partial + i * t->n, t->n * sizeof(float));
		for (size_t piece = 1; piece < t->pieces; piece++)
			t->kernels->add(t->partial + (piece * t->m + i) * t->n, t->n, t->c + i * t->n);
	}
}

static enum glip_status run(struct ops *ops, struct over_rows_task *t)
{
	size_t mr = (size_t)t->kernels->mr, nr = (size_t)t->kernels->nr, area = t->m * t->n;
	size_t most = glip__min_size(MAX_PIECES, PARTIAL_FLOATS / area + 1);
	t->pieces = glip__min_size(most, glip__ceil_div(t->rows, PIECE_ROWS));
	t->piece_rows = glip__round_up(glip__ceil_div(t->rows, t->pieces), BLOCK_ROWS);
	t->pieces = glip__ceil_div(t->rows, t->piece_rows);
	t->tile_rows = glip__min_size(GROUPS * mr, t->m);
	t->tiles = glip__ceil_div(t->m, t->tile_rows);
	TRY(glip__worker_scratch(ops, t->tile_rows * TRANSPOSED_LD + BLOCK_ROWS * nr, &t->scratch));
	t->partial = t->c;
	if (t->pieces > 1) {
		t->partial = glip__ops_floats(ops, t->pieces * area);
		if (!t->partial)
			return GLIP_ERR_NOMEM;
	}
	glip__pool_run(ops->pool, sum_pieces, t, t->pieces * t->tiles, 1);
	if (t->pieces > 1)
		glip__pool_run(ops->pool, add_pieces, t, t->m, 1);
	return GLIP_OK;
}

enum glip_status glip__gemm_over_rows(struct ops *ops, int64_t rows, int64_t m, int64_t n, const float *a, int64_t lda,
                                      const float *b, int64_t ldb, float *c)
{
	TRY(glip__ops_begin(ops));
	if (rows < 0 || m < 0 || n < 0 || lda < m || ldb < n)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "product over %lld rows of %lld and %lld columns",
		                  (long long)rows, (long long)m, (long long)n);
	size_t area;
	if (!glip__mul_size((size_t)m, (size_t)n, &area) || area > SIZE_MAX / 64 / sizeof(float))
		return glip__fail(ops->err, GLIP_ERR_LIMIT, "product of %lld x %lld columns is too large", (long long)m,
		                  (long long)n);
	if (area == 0)
		return GLIP_OK;
	if (rows == 0) {
		memset(c, 0, area * sizeof(float));
		return GLIP_OK;
	}
	ops->multiply_adds += (double)rows * (double)area;
	struct over_rows_task t = {
		.kernels = ops->kernels,
		.rows = (size_t)rows,
		.m = (size_t)m,
		.n = (size_t)n,
		.a = a,
		.b = b,
		.lda = (size_t)lda,
		.ldb = (size_t)ldb,
		.c = c,
	};
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = run(ops, &t);
	glip__arena_release(ops->arena, mark);
	return status;
}
