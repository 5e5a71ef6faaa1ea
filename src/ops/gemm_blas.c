/* Matrix products through OpenBLAS, which brings its own threads: called from the calling thread, once per tile of
 * rows and run of a sum; what comes before and after runs on the pool. */
#include <cblas.h>
#include <limits.h>
#include <string.h>

#include "ops/ops_internal.h"

enum { TILE_FLOATS = 4 * 1024 * 1024, ROWS_GRAIN = 16 };

struct blas_task {
	const struct kernels *kernels;
	const struct product *p;
	size_t row;  /* first of the tile */
	float *a;    /* gathered rows */
	float *sums; /* where the product goes */
	size_t ld_sums;
	float *wide; /* narrow weights as float32 */
};

static void gather_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct blas_task *t = context;
	(void)worker;
	for (size_t i = begin; i < end; i++)
		glip__gather_row(t->kernels, t->p, t->row + i, t->a + i * t->p->k, NULL);
}

static void fill_bias(void *context, size_t begin, size_t end, int worker)
{
	const struct blas_task *t = context;
	(void)worker;
	for (size_t i = begin; i < end; i++)
		memcpy(t->sums + i * t->ld_sums, t->p->g->bias, t->p->n * sizeof(float));
}

static void finish_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct blas_task *t = context;
	(void)worker;
	glip__gemm_finish(t->kernels, t->p, t->row + begin, end - begin, 0, t->p->n, t->sums + begin * t->ld_sums,
	                  t->ld_sums);
}

static void widen_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct blas_task *t = context;
	const struct matrix *b = &t->p->g->b;
	(void)worker;
	for (size_t i = begin; i < end; i++)
		glip__matrix_row(b, (int64_t)t->p->ldb, (int64_t)i, t->wide + i * (size_t)b->cols);
}

/* The sums of `rows` rows, in the runs that the own kernels make them of: how exact a result is does not depend on who
 * multiplies. */
static void multiply(const struct blas_task *t, size_t rows, const float *b, size_t ldb)
{
	const struct product *p = t->p;
	bool b_rows_are_k = p->g->b_rows_are_k;
	const float *a = t->a ? t->a : p->g->a.data + t->row * p->lda;
	for (size_t at = 0; at < p->k; at += SUM_LENGTH)
		cblas_sgemm(CblasRowMajor, CblasNoTrans, b_rows_are_k ? CblasNoTrans : CblasTrans, (int)rows, (int)p->n,
		            (int)glip__min_size(SUM_LENGTH, p->k - at), 1, a + at, t->a ? (int)p->k : (int)p->lda,
		            b + (b_rows_are_k ? at * ldb : at), (int)ldb, at > 0 || p->g->bias ? 1.0F : 0.0F, t->sums,
		            (int)t->ld_sums);
}

enum glip_status glip__gemm_blas(struct ops *ops, const struct product *p)
{
	const struct gemm *g = p->g;
	struct blas_task t = {.kernels = ops->kernels, .p = p, .ld_sums = p->n};
	const float *b = g->b.data;
	size_t ldb = p->ldb;
	size_t tile = TILE_FLOATS / (p->k + p->n);
	tile = glip__min_size(p->m, tile < 64 ? 64 : tile);
	if (p->n > INT_MAX || p->k > INT_MAX || p->ldb > INT_MAX || p->lda > INT_MAX || p->ldc > INT_MAX)
		return glip__fail(ops->err, GLIP_ERR_LIMIT, "matrix product of %zu x %zu x %zu is too large for BLAS", p->m,
		                  p->n, p->k);
	if (g->b.dtype != DTYPE_F32) {
		t.wide = glip__ops_floats(ops, (size_t)g->b.rows * (size_t)g->b.cols);
		if (!t.wide)
			return GLIP_ERR_NOMEM;
		glip__pool_run(ops->pool, widen_rows, &t, (size_t)g->b.rows, ROWS_GRAIN);
		b = t.wide;
		ldb = (size_t)g->b.cols;
	}
	if (!glip__is_dense(p) && !(t.a = glip__ops_floats(ops, tile * p->k)))
		return GLIP_ERR_NOMEM;
	float *sums = NULL;
	if (!glip__sums_fit_in_c(g) && !(sums = glip__ops_floats(ops, tile * p->n)))
		return GLIP_ERR_NOMEM;

	for (t.row = 0; t.row < p->m; t.row += tile) {
		size_t rows = glip__min_size(tile, p->m - t.row);
		if (t.a)
			glip__pool_run(ops->pool, gather_rows, &t, rows, ROWS_GRAIN);
		t.sums = sums ? sums : g->c + t.row * p->ldc;
		t.ld_sums = sums ? p->n : p->ldc;
		if (g->bias)
			glip__pool_run(ops->pool, fill_bias, &t, rows, ROWS_GRAIN);
		multiply(&t, rows, b, ldb);
		if (glip__needs_finish(g))
			glip__pool_run(ops->pool, finish_rows, &t, rows, ROWS_GRAIN);
	}
	return GLIP_OK;
}
