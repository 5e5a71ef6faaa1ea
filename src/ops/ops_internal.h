/* What the operators share. */
#ifndef GLIP_OPS_OPS_INTERNAL_H
#define GLIP_OPS_OPS_INTERNAL_H

#include "base/cpu.h"
#include "ops/kernels_table.h"

/* Scratch of one slice per worker, `size` bytes each rounded up to whole cache lines; NULL when out of memory. */
struct worker_scratch {
	char *data;
	size_t stride;
};
enum glip_status glip__worker_scratch(struct ops *ops, size_t floats, struct worker_scratch *out);
static inline float *glip__worker_floats(const struct worker_scratch *s, int worker)
{
	return (float *)(void *)(s->data + s->stride * (size_t)worker);
}

/* ceil(a / b) and a rounded up to a multiple of b. */
static inline size_t glip__ceil_div(size_t a, size_t b)
{
	return a / b + (a % b != 0);
}
static inline size_t glip__round_up(size_t a, size_t b)
{
	return glip__ceil_div(a, b) * b;
}
static inline size_t glip__min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Floats that a block of rows may take: a share of the second-level cache. No result depends on it. */
static inline size_t glip__cache_floats(const struct ops *ops, size_t percent)
{
	return (ops->cache != 0 ? ops->cache : glip__cpu_cache()) / sizeof(float) * percent / 100;
}

/* Memory that is wanted soon, to be asked for while something else is computed. */
struct ahead {
	const char *at;
	size_t bytes;
};

/* As many lines of it as a kernel's steps will ask for; NULL: fewer are left. */
static inline const void *glip__take_ahead(struct ahead *ahead, size_t steps)
{
	const char *at = ahead->at;
	size_t bytes = steps * CACHE_LINE;
	if (!at || bytes > ahead->bytes)
		return NULL;
	ahead->at += bytes;
	ahead->bytes -= bytes;
	return at;
}

/* The sizes of a product as the providers use them: checked, defaults filled in. */
struct product {
	const struct gemm *g;
	size_t m, n, k, taps, tap_width, lda, ldb, ldc;
	struct row_sums *sums; /* g->sums while they are gathered; NULL: none */
	bool cold;             /* no cache has C: its places are asked for before they are written */
	struct ahead ahead;    /* what is read after a product by glip__multiply() */
};

/* Copies row `row` of the left matrix, all its taps, to out [k]. True where range [2] has received the least and the
 * greatest value, zero among them; NULL: not wanted. */
bool glip__gather_row(const struct kernels *kernels, const struct product *p, size_t row, float *out, float *range);
/* Whether the left matrix is rows in place. */
static inline bool glip__is_dense(const struct product *p)
{
	return !p->g->a.index;
}

/* Left rows [row, row + rows), or those of them that there are, where they are memory without gaps; otherwise none. */
struct ahead glip__left_ahead(const struct product *p, size_t row, size_t rows);

/* What a worker reads after a piece of block_rows rows and one of `chunks` parts of the columns. */
static inline struct ahead glip__next_left(const struct product *p, size_t piece, size_t chunks, size_t block_rows)
{
	size_t block = piece / chunks, next = (piece + 1) / chunks;
	return next == block ? (struct ahead){0} : glip__left_ahead(p, next * block_rows, block_rows);
}

/* Before columns [column, column + cols) of rows [row, row + rows) of C are computed. */
void glip__ask_for_places(const struct product *p, size_t row, size_t rows, size_t column, size_t cols);

/* Checks a product and fills its sizes in. */
enum glip_status glip__product_of(struct ops *ops, const struct gemm *g, struct product *p);
/* The narrow kernels that the own product is made with, of few rows only where it also reads kept panels; NULL:
 * float32. */
static inline const struct narrow_kernels *glip__narrow_of(const struct ops *ops, const struct product *p)
{
	const struct narrow_kernels *kernels[] = {
		[PRECISION_ANY] = ops->narrow, [PRECISION_16_BITS] = ops->narrow_16, [PRECISION_FLOAT] = NULL};
	const struct narrow_kernels *narrow = kernels[p->g->b.precision];
	bool able = narrow && (!p->g->b_rows_are_k || narrow->right_columns);
	return able && p->k > 0 && p->k <= NARROW_MAX_K ? narrow : NULL;
}

enum glip_status glip__gemm_native(struct ops *ops, const struct product *p);
enum glip_status glip__gemm_few_rows(struct ops *ops, const struct product *p);
/* Of glip__narrow_of. */
enum glip_status glip__gemm_narrow(struct ops *ops, const struct product *p);
enum glip_status glip__gemm_blas(struct ops *ops, const struct product *p);

/* Sums that lie at in [rows, ld_in] (bias included) to their place in C, columns [column, column + cols) of rows
 * [row, row + rows): activation, scale, residual, c_index. In place where in is the place itself. */
void glip__gemm_finish(const struct kernels *kernels, const struct product *p, size_t row, size_t rows, size_t column,
                       size_t cols, float *in, size_t ld_in);
/* Around a product with g->sums. A provider tells what columns of which rows have their values in C, each once, at best
 * when a block of rows has them; what it does not tell is read again at the end. */
enum glip_status glip__sums_begin(struct ops *ops, struct product *p);
void glip__rows_written(const struct product *p, size_t row, size_t rows, size_t cols);
void glip__sums_end(struct ops *ops, const struct product *p);

/* Whether sums may be written to C directly, before they are finished there. */
static inline bool glip__sums_fit_in_c(const struct gemm *g)
{
	return !g->c_index && !g->residual;
}
static inline bool glip__needs_finish(const struct gemm *g)
{
	return g->act != ACT_NONE || g->scale || g->residual || g->c_index;
}

#endif
