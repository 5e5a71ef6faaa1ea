/* The matrix product operator: checks, the left matrix's rows, what follows the sums. Providers: gemm_native.c,
 * gemm_narrow.c and gemm_blas.c. */
#include <string.h>

#include "ops/ops_internal.h"

enum {
	FAR_WEIGHTS = 512 * 512, /* values of weights that are read from memory in every pass */
	AHEAD = 2                /* samples from one to that whose rows are asked for meanwhile */
};

bool glip__gather_row(const struct kernels *kernels, const struct product *p, size_t row, float *out, float *range)
{
	const struct gemm_rows *a = &p->g->a;
	size_t width = p->tap_width;
	if (!a->index) {
		memcpy(out, a->data + row * p->lda, p->k * sizeof(float));
		return false;
	}
	const int32_t *index = a->index;
	if (a->blend) {
		size_t next = glip__min_size(row + AHEAD, p->m - 1), points = 4 * p->taps;
		kernels->sample(a->data, p->lda, index + row * points, a->blend + row * points, index + next * points, p->taps,
		                width, out, range);
		return true;
	}
	for (size_t at = row * p->taps; at < (row + 1) * p->taps; at++, out += width) {
		if (index[at] < 0)
			memset(out, 0, width * sizeof(float));
		else
			memcpy(out, a->data + (size_t)index[at] * p->lda, width * sizeof(float));
	}
	return false;
}

struct ahead glip__left_ahead(const struct product *p, size_t row, size_t rows)
{
	if (!glip__is_dense(p) || p->lda != p->k || row >= p->m)
		return (struct ahead){0};
	return (struct ahead){(const char *)(p->g->a.data + row * p->k),
	                      glip__min_size(rows, p->m - row) * p->k * sizeof(float)};
}

/* Row `row` of C from `column` on; NULL: dropped. */
static float *place_of(const struct product *p, size_t row, size_t column)
{
	const struct gemm *g = p->g;
	if (!g->c_index)
		return g->c + row * p->ldc + column;
	return g->c_index[row] < 0 ? NULL : g->c + (size_t)g->c_index[row] * p->ldc + column;
}

static inline void ask_to_write(const void *p)
{
#if defined(__x86_64__) && defined(__GNUC__)
	/* The built-in asks for reading where the compiler may not assume PREFETCHW, and a line that another core has
	 * written would be sent twice. Processors without the instruction take it for none. */
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

void glip__ask_for_places(const struct product *p, size_t row, size_t rows, size_t column, size_t cols)
{
	for (size_t i = row; p->cold && i < row + rows; i++) {
		const float *place = place_of(p, i, column);
		for (size_t j = 0; place && j < cols; j += CACHE_LINE / sizeof *place)
			ask_to_write(place + j);
	}
}

void glip__gemm_finish(const struct kernels *kernels, const struct product *p, size_t row, size_t rows, size_t column,
                       size_t cols, float *in, size_t ld_in)
{
	const struct gemm *g = p->g;
	struct finish f = {.act = g->act, .scale = g->scale ? g->scale + column : NULL};
	float *out[KERNEL_MAX_MR];
	const float *residual[KERNEL_MAX_MR];
	while (rows > 0) {
		size_t count = glip__min_size(rows, KERNEL_MAX_MR);
		for (size_t i = 0; i < count; i++) {
			out[i] = place_of(p, row + i, column);
			residual[i] = g->residual && out[i] ? g->residual + (out[i] - g->c) : NULL;
		}
		kernels->finish(&f, in, ld_in, (int)count, (int)cols, g->residual ? residual : NULL, out);
		rows -= count;
		row += count;
		in += count * ld_in;
	}
}

enum glip_status glip__product_of(struct ops *ops, const struct gemm *g, struct product *p)
{
	int64_t taps = g->a.taps > 0 ? g->a.taps : 1;
	if (g->m < 0 || g->n < 0 || g->k < 0 || g->k % taps != 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "matrix product of %lld x %lld x %lld in %lld taps",
		                  (long long)g->m, (long long)g->n, (long long)g->k, (long long)taps);
	int64_t rows = g->b_rows_are_k ? g->k : g->n, cols = g->b_rows_are_k ? g->n : g->k;
	if (g->b.rows != rows || g->b.cols != cols || (g->ldb != 0 && g->ldb < cols))
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT,
		                  "matrix product: weight of %lld x %lld where %lld x %lld is needed", (long long)g->b.rows,
		                  (long long)g->b.cols, (long long)rows, (long long)cols);
	if (g->b.dtype != DTYPE_F32 && g->b.dtype != DTYPE_BF16 && !(g->b.dtype == DTYPE_I8 && g->b.scale))
		return glip__fail(ops->err, GLIP_ERR_UNSUPPORTED, "matrix product with a weight of type %s",
		                  glip__dtype_name(g->b.dtype));
	if (!g->a.index && (taps != 1 || g->a.blend))
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "matrix product: %lld taps without their rows", (long long)taps);
	if ((g->ldc != 0 && g->ldc < g->n) || (g->a.ld != 0 && g->a.ld < g->k / taps))
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "matrix product: rows of %lld and %lld floats overlap",
		                  (long long)g->a.ld, (long long)g->ldc);
	size_t area;
	if (!glip__mul_size((size_t)g->m, (size_t)g->n, &area) || !glip__mul_size((size_t)g->n, (size_t)g->k, &area) ||
	    !glip__mul_size((size_t)g->m, (size_t)g->k, &area))
		return glip__fail(ops->err, GLIP_ERR_LIMIT, "matrix product of %lld x %lld x %lld is too large",
		                  (long long)g->m, (long long)g->n, (long long)g->k);
	*p = (struct product){
		.g = g,
		.m = (size_t)g->m,
		.n = (size_t)g->n,
		.k = (size_t)g->k,
		.taps = (size_t)taps,
		.tap_width = (size_t)(g->k / taps),
		.lda = (size_t)(g->a.ld ? g->a.ld : g->k / taps),
		.ldb = (size_t)(g->ldb ? g->ldb : cols),
		.ldc = (size_t)(g->ldc ? g->ldc : g->n),
	};
	return GLIP_OK;
}

/* What a product of few rows costs is reading weights that no cache holds, so bytes that are kept for it pay for their
 * memory; 16-bit values would take twice the memory for half of the gain. */
static bool reads_kept_bytes(const struct ops *ops, const struct product *p)
{
	const struct narrow_kernels *narrow = glip__narrow_of(ops, p);
	return narrow && glip__narrow_is_bytes(narrow) && ops->panels && p->g->b.lasting && p->n > FAR_WEIGHTS / p->k;
}

static enum glip_status multiply(struct ops *ops, const struct product *p)
{
	if (p->m == 0 || p->n == 0)
		return GLIP_OK;
	ops->multiply_adds += (double)p->m * (double)p->n * (double)p->k;
	if (ops->gemm == GLIP_GEMM_BLAS && p->k > 0)
		return glip__gemm_blas(ops, p);
	if (p->m <= KERNEL_MAX_DOT_ROWS && !p->g->b_rows_are_k && !reads_kept_bytes(ops, p))
		return glip__gemm_few_rows(ops, p);
	if (glip__narrow_of(ops, p))
		return glip__gemm_narrow(ops, p);
	return glip__gemm_native(ops, p);
}

enum glip_status glip__gemm(struct ops *ops, const struct gemm *g)
{
	struct product p;
	TRY(glip__ops_begin(ops));
	TRY(glip__product_of(ops, g, &p));
	p.cold = true;
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = g->sums ? glip__sums_begin(ops, &p) : GLIP_OK;
	if (status == GLIP_OK)
		status = multiply(ops, &p);
	if (status == GLIP_OK && g->sums)
		glip__sums_end(ops, &p);
	glip__arena_release(ops->arena, mark);
	return status;
}

enum glip_status glip__linear(struct ops *ops, const float *x, int64_t m, struct matrix w, const float *bias,
                              enum activation act, float *y)
{
	struct gemm g = {
		.m = m,
		.n = w.rows,
		.k = w.cols,
		.a = {.data = x, .ld = w.cols},
		.b = w,
		.bias = bias,
		.act = act,
		.c = y,
	};
	return glip__gemm(ops, &g);
}
