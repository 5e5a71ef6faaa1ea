/* Matrix products by the library's own kernels.
 *
 * B is packed into column panels [k][nr]: weights once for the model where its limits allow it, else once per call. A
 * block of left rows is read in place where it is dense and gathered into a worker's buffer otherwise; every panel is
 * then multiplied with the whole block, so that the panel comes from memory once per block and the block stays in the
 * second-level cache. The runs of a sum over k depend neither on blocks nor on threads, and so the bits of C do not. */
#include <assert.h>
#include <stdalign.h>

#include "ops/packed.h"

enum {
	BLOCK_PERCENT = 50, /* of the second-level cache for left rows: with a panel this fills two thirds of it */
	BLOCK_ROWS = 144,
	PIECES = 16, /* wanted at least, so that workers of unequal speed finish together */
	DOT_COLUMNS = 32
};

/* A part of the right matrix as the kernels read it. */
struct right_part {
	const void *data;
	enum dtype dtype;
	size_t ld;
};

/* Columns [column, column + cols) of rows [row, row + rows): in place, or 8-bit numbers widened into wide [rows, cols].
 */
static struct right_part right_part(const struct product *p, size_t row, size_t rows, size_t column, size_t cols,
                                    float *wide)
{
	const struct matrix *b = &p->g->b;
	struct matrix part = *b;
	part.data = (const char *)b->data + column * glip__dtype_size(b->dtype);
	part.cols = (int64_t)cols;
	if (b->dtype != DTYPE_I8)
		return (struct right_part){(const char *)part.data + row * p->ldb * glip__dtype_size(b->dtype), b->dtype,
		                           p->ldb};
	for (size_t i = 0; i < rows; i++)
		glip__matrix_row(&part, (int64_t)p->ldb, (int64_t)(row + i), wide + i * cols);
	return (struct right_part){wide, DTYPE_F32, cols};
}

/* A worker's space for `columns` right rows (or rows of so many columns) where they are widened. */
static enum glip_status wide_scratch(struct ops *ops, const struct product *p, size_t columns,
                                     struct worker_scratch *out)
{
	size_t floats;
	if (!glip__mul_size(p->g->b.dtype == DTYPE_I8 ? columns : 0, p->k, &floats))
		return glip__fail_nomem(ops->err, "widened weights", SIZE_MAX);
	return glip__worker_scratch(ops, floats, out);
}

struct pack_task {
	const struct kernels *kernels;
	const struct product *p;
	float *panels;
	struct worker_scratch wide;
};

static void pack_panels(void *context, size_t begin, size_t end, int worker)
{
	const struct pack_task *t = context;
	const struct product *p = t->p;
	size_t nr = (size_t)t->kernels->nr;
	float *wide = glip__worker_floats(&t->wide, worker);
	for (size_t i = begin; i < end; i++) {
		size_t column = i * nr, cols = glip__min_size(nr, p->n - column);
		float *panel = t->panels + column * p->k;
		if (p->g->b_rows_are_k) {
			struct right_part b = right_part(p, 0, p->k, column, cols, wide);
			t->kernels->pack_rows(b.data, b.dtype, b.ld, (int)cols, p->k, panel);
		} else {
			struct right_part b = right_part(p, column, cols, 0, p->k, wide);
			t->kernels->pack_columns(b.data, b.dtype, b.ld, (int)cols, p->k, panel);
		}
	}
}

struct product_task {
	struct packed packed;
	const struct product *p;
	size_t block_rows, chunk_panels, chunks; /* a piece is block_rows rows times chunk_panels panels */
	bool gather;
	size_t gather_ld;
	struct worker_scratch scratch;
};

/* Rows [row, row + rows) times one panel. What is no result yet stays in a tile of the first-level cache: C, which is
 * in none, is written once. */
static void multiply_block(const struct packed *k, const struct product *p, size_t row, size_t rows, size_t column,
                           size_t cols, const float *a, size_t lda, struct ahead *ahead)
{
	const struct kernels *kernels = k->kernels;
	const struct gemm *g = p->g;
	alignas(64) float tile[KERNEL_MAX_MR * KERNEL_MAX_NR];
	size_t nr = (size_t)kernels->nr, mr = (size_t)kernels->mr;
	bool finish = glip__needs_finish(g);
	const float *bias = g->bias ? g->bias + column : NULL, *panel = (const float *)k->panels + column * p->k;
	for (size_t i = 0; i < rows; i += mr) {
		size_t count = glip__min_size(mr, rows - i);
		glip__ask_for_places(p, row + i, count, column, cols);
		kernels->gemm_tile(p->k, a + i * lda, lda, panel, bias, 0, finish ? tile : g->c + (row + i) * p->ldc + column,
		                   finish ? nr : p->ldc, (int)count, (int)cols, glip__take_ahead(ahead, p->k));
		if (finish)
			glip__gemm_finish(kernels, p, row + i, count, column, cols, tile, nr);
	}
}

static void multiply_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct product_task *t = context;
	const struct product *p = t->p;
	size_t nr = (size_t)t->packed.kernels->nr;
	for (size_t piece = begin; piece < end; piece++) {
		size_t row = piece / t->chunks * t->block_rows, first = piece % t->chunks * t->chunk_panels * nr;
		size_t rows = glip__min_size(t->block_rows, p->m - row);
		size_t last = glip__min_size(p->n, first + t->chunk_panels * nr);
		const float *a = p->g->a.data + (t->gather ? 0 : row * p->lda);
		size_t lda = p->lda;
		if (t->gather) {
			float *buffer = glip__worker_floats(&t->scratch, worker);
			for (size_t i = 0; i < rows; i++)
				glip__gather_row(t->packed.kernels, p, row + i, buffer + i * t->gather_ld, NULL);
			a = buffer;
			lda = t->gather_ld;
		}
		struct ahead ahead = glip__next_left(p, piece, t->chunks, t->block_rows);
		for (size_t column = first; column < last; column += nr)
			multiply_block(&t->packed, p, row, rows, column, glip__min_size(nr, p->n - column), a, lda, &ahead);
		glip__rows_written(p, row, rows, last - first);
	}
}

enum glip_status glip__pack_native(struct ops *ops, const struct product *p, struct packed *out)
{
	size_t nr = (size_t)ops->kernels->nr, count = glip__ceil_div(p->n, nr), floats;
	struct pack_task pack = {.kernels = ops->kernels, .p = p};
	/* Rows along k are copied as they are, which costs little. */
	struct panels *kept = p->g->b.lasting && !p->g->b_rows_are_k ? ops->panels : NULL;
	const struct panels_key key = {p->g->b.data, p->n, p->k, p->ldb, ops->kernels, p->g->b_rows_are_k};
	if (!glip__mul_size(count * nr, p->k, &floats))
		return glip__fail_nomem(ops->err, "packed weights", SIZE_MAX);
	*out = (struct packed){.kernels = ops->kernels};
	if (kept && (out->panels = glip__panels_find(kept, &key)) != NULL)
		return GLIP_OK;
	TRY(wide_scratch(ops, p, nr, &pack.wide));
	pack.panels = kept ? glip__panels_alloc_floats(kept, p->m, floats) : NULL;
	if (!pack.panels) {
		kept = NULL;
		pack.panels = glip__ops_floats(ops, floats);
	}
	if (!pack.panels)
		return GLIP_ERR_NOMEM;
	glip__pool_run(ops->pool, pack_panels, &pack, count, 1);
	out->panels = pack.panels;
	if (!kept)
		return GLIP_OK;
	/* A pass that is given up leaves panels unpacked. */
	enum glip_status status = glip__ops_begin(ops);
	if (status == GLIP_OK)
		out->panels = glip__panels_keep(kept, &key, pack.panels);
	else
		glip__panels_drop(kept, pack.panels);
	return status;
}

void glip__multiply_native(const struct packed *k, const struct product *p, size_t row, size_t rows, const float *a,
                           size_t lda)
{
	size_t nr = (size_t)k->kernels->nr;
	struct ahead ahead = p->ahead;
	for (size_t column = 0; column < p->n; column += nr)
		multiply_block(k, p, row, rows, column, glip__min_size(nr, p->n - column), a, lda, &ahead);
}

enum glip_status glip__gemm_native(struct ops *ops, const struct product *p)
{
	const struct kernels *kernels = ops->kernels;
	size_t mr = (size_t)kernels->mr, nr = (size_t)kernels->nr, panel_count = glip__ceil_div(p->n, nr);
	size_t block = glip__min_size(BLOCK_ROWS, glip__cache_floats(ops, BLOCK_PERCENT) / (p->k + 1));
	block = block < mr ? mr : block / mr * mr;
	size_t blocks = glip__ceil_div(p->m, block);
	size_t chunks = blocks >= PIECES ? 1 : glip__min_size(panel_count, glip__ceil_div(PIECES, blocks));
	struct product_task task = {
		.p = p,
		.block_rows = block,
		.chunk_panels = glip__ceil_div(panel_count, chunks),
		/* Rows a multiple of 4 KiB apart share their sets of the first-level cache: a copy is cheaper. */
		.gather = !glip__is_dense(p) || (p->lda % 1024 == 0 && p->n > nr),
		.gather_ld = glip__round_up(p->k, 16) + 16,
	};
	task.chunks = glip__ceil_div(panel_count, task.chunk_panels);
	if (task.gather)
		TRY(glip__worker_scratch(ops, block * task.gather_ld, &task.scratch));
	TRY(glip__pack_native(ops, p, &task.packed));
	glip__pool_run(ops->pool, multiply_pieces, &task, blocks * task.chunks, 1);
	return GLIP_OK;
}

struct few_rows_task {
	const struct kernels *kernels;
	const struct product *p;
	const float *a;
	size_t lda;
	struct worker_scratch wide;
};

static void multiply_few_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct few_rows_task *t = context;
	const struct product *p = t->p;
	const struct gemm *g = p->g;
	alignas(64) float tile[KERNEL_MAX_DOT_ROWS * DOT_COLUMNS];
	bool direct = glip__sums_fit_in_c(g);
	float *wide = glip__worker_floats(&t->wide, worker);
	for (size_t column = begin; column < end; column += DOT_COLUMNS) {
		size_t cols = glip__min_size(DOT_COLUMNS, end - column);
		struct right_part b = right_part(p, column, cols, 0, p->k, wide);
		float *c = direct ? g->c + column : tile;
		size_t ldc = direct ? p->ldc : DOT_COLUMNS;
		t->kernels->dot_rows(p->k, t->a, t->lda, (int)p->m, b.data, b.dtype, b.ld, (int)cols,
		                     g->bias ? g->bias + column : NULL, c, ldc);
		if (glip__needs_finish(g))
			glip__gemm_finish(t->kernels, p, 0, p->m, column, cols, c, ldc);
	}
}

/* Few left rows: the weights are read once. */
enum glip_status glip__gemm_few_rows(struct ops *ops, const struct product *p)
{
	struct few_rows_task task = {.kernels = ops->kernels, .p = p, .a = p->g->a.data, .lda = p->lda};
	if (!glip__is_dense(p)) {
		float *gathered = glip__ops_floats(ops, p->m * p->k);
		if (!gathered)
			return GLIP_ERR_NOMEM;
		for (size_t i = 0; i < p->m; i++)
			glip__gather_row(ops->kernels, p, i, gathered + i * p->k, NULL);
		task.a = gathered;
		task.lda = p->k;
	}
	TRY(wide_scratch(ops, p, DOT_COLUMNS, &task.wide));
	glip__pool_run(ops->pool, multiply_few_rows, &task, p->n, DOT_COLUMNS);
	return GLIP_OK;
}
