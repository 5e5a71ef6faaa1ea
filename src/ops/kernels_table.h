/* The kernels' signatures, each with its contract. A kernel gets raw pointers and counts, asserts its preconditions,
 * and never allocates, threads or fails. Names: <kernel>__<instruction set>; the plain C ones (ref) accumulate in
 * double and are the oracle of the others. */
#ifndef GLIP_OPS_KERNELS_TABLE_H
#define GLIP_OPS_KERNELS_TABLE_H

#include "ops/kernels.h"
#include "ops/ops.h"

enum {
	KERNEL_MAX_MR = 32,       /* rows of a product tile, at most */
	KERNEL_MAX_NR = 64,       /* columns of a product tile, at most */
	KERNEL_MAX_DOT_ROWS = 48, /* left rows of dot_rows, at most */
	/* Steps of k in one run of a sum. A sum made of such runs has a smaller rounding error than one long run. */
	SUM_LENGTH = 128
};

/* What a product tile still needs once the sums and the bias are there. */
struct finish {
	enum activation act;
	const float *scale; /* [cols] or NULL */
};

struct norm {
	const float *weight, *bias; /* [n] */
	float eps;
};

/* Rows of scores before their softmax: clamp(scale * x) + bias, and -100 where a row's region is not the column's. */
struct scores {
	float scale;       /* above 0 */
	float clamp;       /* 0: not */
	const float *bias; /* [rows, n] or NULL */
	size_t bias_ld;
	const uint8_t *region;     /* [n] of the columns, or NULL */
	const uint8_t *own_region; /* [rows] */
};

struct kernels {
	const char *name;
	uint32_t flag; /* the enum glip_cpu_flags bit these kernels need */
	int mr, nr;    /* rows and columns of a full product tile */

	/* ---- Products ---- */

	/* c[i, j] = init[i * init_ld + j] + sum_p a[i * lda + p] * panel[p * nr + j] for i < rows <= mr, j < cols <= nr;
	 * init NULL counts as zeros; init_ld 0 repeats one row; init may be c. The sum is made of runs of SUM_LENGTH, each
	 * in order, which are added to init one after the other, so an element has the same bits in whatever tile it is
	 * computed. ahead: memory that is wanted soon, of which each step of k asks for a line; NULL: none. */
	void (*gemm_tile)(size_t k, const float *a, size_t lda, const float *panel, const float *init, size_t init_ld,
	                  float *c, size_t ldc, int rows, int cols, const void *ahead);
	/* The panel [k, nr] of b's rows 0..cols-1 (b [cols, k]: transposes), zeros in the columns past cols. dtype F32,
	 * BF16. */
	void (*pack_columns)(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel);
	/* The same where b is [k, cols]. */
	void (*pack_rows)(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel);
	/* y[j * ldy + i] = x[i * ldx + j] for i < rows, j < cols. */
	void (*transpose)(const float *x, size_t ldx, size_t rows, size_t cols, float *y, size_t ldy);
	/* c[i * ldc + j] = bias[j] + sum_p a[i * lda + p] * b[j * ldb + p] for i < rows <= KERNEL_MAX_DOT_ROWS, j < cols:
	 * few left rows, each right row read once and in place. */
	void (*dot_rows)(size_t k, const float *a, size_t lda, int rows, const void *b, enum dtype dtype, size_t ldb,
	                 int cols, const float *bias, float *c, size_t ldc);
	/* A row of bilinear samples: out[t * n + j] = sum over q < 4 of blend[4 t + q] * x[index[4 t + q] * ldx + j] for
	 * t < taps, j < n, without rows of index -1 or factor 0. next: the indices of a sample that follows soon, whose
	 * last row in each tap is asked for meanwhile. range [2] receives the least and the greatest of out, zero among
	 * them; NULL: not wanted. */
	void (*sample)(const float *x, size_t ldx, const int32_t *index, const float *blend, const int32_t *next,
	               size_t taps, size_t n, float *out, float *range);
	/* out[i][j] = residual[i][j] + scale[j] * act(in[i * ld_in + j]); rows with out[i] NULL are skipped; residual NULL:
	 * none; residual[i] may be out[i]. act is applied in place; out[0] may be in, and then out[i] is in + i * ld_in. */
	void (*finish)(const struct finish *f, float *in, size_t ld_in, int rows, int cols, const float *const *residual,
	               float *const *out);

	/* ---- Rows ---- */

	/* torch layer_norm of `rows` rows of n values, y [rows, ldy]; index [rows]: rows of x, ldx apart, -1 for a result
	 * of zeros; NULL: row i itself. y may be x where index is NULL. */
	void (*layer_norm)(const struct norm *m, const float *x, size_t ldx, const int32_t *index, size_t rows, size_t n,
	                   float *y, size_t ldy);
	/* torch softmax of `rows` rows of n scores, x [rows, ldx], in place. */
	void (*softmax)(const struct scores *s, float *x, size_t ldx, size_t rows, size_t n);
	/* top[j] = max(top[j], x[r, j]) over the rows. */
	void (*column_max)(const float *x, size_t rows, size_t n, float *top);
	/* x[r, j] = exp(x[r, j] - top[j]), and sum[j] += its rows in order; top[j] is no less than any x[r, j]. */
	void (*column_exp)(float *x, size_t rows, size_t n, const float *top, double *sum);
	/* sum[j] += x[r, j], square[j] += x[r, j]^2, in double, rows in order. */
	void (*column_sums)(const float *x, size_t rows, size_t n, double *sum, double *square);
	/* y[j] += x[j]. */
	void (*add)(const float *x, size_t n, float *y);
	/* y[j] = x0[j] + part * (x1[j] - x0[j]). */
	void (*lerp)(const float *x0, const float *x1, float part, size_t n, float *y);

	/* ---- Elements ---- */

	void (*clamp)(float *x, size_t n, float low, float high);
	void (*relu)(const float *x, size_t n, float *y);
	void (*sigmoid)(const float *x, size_t n, float *y);
	/* A row of struct dyrelu_sum's result from a row of each source. */
	void (*dyrelu_row)(const struct dyrelu_sum *d, const float *const *source, float *out);
};

extern const struct kernels glip__kernels_ref;
extern const struct kernels glip__kernels_avx2;
extern const struct kernels glip__kernels_avx512;
extern const struct kernels glip__kernels_neon;

#endif
