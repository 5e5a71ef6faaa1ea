/* What every forward pass gets: kernels, worker threads and scratch memory of one session. */
#ifndef GLIP_OPS_OPS_H
#define GLIP_OPS_OPS_H

#include "base/arena.h"
#include "base/pool.h"
#include "ops/kernels.h"
#include "ops/narrow.h"
#include "ops/panels.h"
#include "tensor/tensor.h"

struct ops {
	const struct kernels *kernels;
	struct pool *pool;
	struct arena *arena; /* scratch; ops take marks and release them before they return */
	enum glip_gemm gemm; /* NATIVE or BLAS, never AUTO */
	size_t cache;        /* bytes of a core's second-level cache, for the sizes of blocks; 0: glip__cpu_cache() */
	/* What native products are made with where the right matrix allows any precision, and where it needs 16 bits; few
	 * rows only where they are large and kept. NULL: float32. */
	const struct narrow_kernels *narrow, *narrow_16;
	struct panels *panels;  /* of the model, for its weights packed; NULL: packed for every product */
	struct glip_error *err; /* where faults of this pass are described; may be NULL */
	/* Asked between ops: true stops the pass with GLIP_ERR_CANCELLED. NULL: never. */
	bool (*cancelled)(void *user);
	void *cancel_user;
	/* Told when a stage of a pass ends, for profiles. NULL: nobody. */
	void (*stage_done)(void *user, const char *stage);
	void *stage_user;
	double multiply_adds; /* of the matrix products and attentions so far */
};

static inline void glip__ops_stage(const struct ops *ops, const char *stage)
{
	if (ops->stage_done != NULL)
		ops->stage_done(ops->stage_user, stage);
}

/* GLIP_ERR_CANCELLED once the caller wants to stop: the first line of every operator, and due wherever the pool may
 * have left work undone. */
enum glip_status glip__ops_begin(struct ops *ops);

/* count floats (or `size`-byte items) of scratch; NULL when out of memory, with ops->err set. */
float *glip__ops_floats(struct ops *ops, size_t count);
void *glip__ops_alloc(struct ops *ops, size_t count, size_t size);

/* ---- Matrix products --------------------------------------------------------------------------------------------- */

enum activation { ACT_NONE, ACT_RELU, ACT_GELU };

/* How row m of the left matrix is read. K = taps * tap_width; tap t of row m begins at data + index[m * taps + t] * ld.
 * With this one form a linear layer (index NULL), a window partition with its shift (taps 1), patch merging (taps 4)
 * and a convolution (taps 9) are the same product, and nothing is copied in memory but a tile while it is packed. */
struct gemm_rows {
	const float *data;
	int64_t ld;           /* floats from one row to the next */
	const int32_t *index; /* [m, taps] rows of data, -1: zeros; NULL: row m itself (taps 1) */
	int taps;             /* 0 counts as 1 */
	/* Bilinear samples: index is then [m, taps, 4] and blend [m, taps, 4] the factors of the four rows. */
	const float *blend;
};

/* Sums and sums of squares of each column of C over runs of its rows, in double: gathered by whoever writes the rows,
 * while a cache has them. */
struct gemm_sums {
	int runs;
	const size_t *first;  /* [runs + 1] run r is rows [first[r], first[r + 1]), counted from first[0], of m */
	double *sum, *square; /* [runs, n] */
};

/* C[row(m), n] = residual[row(m), n] + scale[n] * act(sum_k A[m, k] * B[n, k] + bias[n]) */
struct gemm {
	int64_t m, n, k;
	struct gemm_rows a;
	struct matrix b; /* [n, k]; or [k, n] with b_rows_are_k */
	int64_t ldb;     /* elements from one row of b to the next; 0: contiguous */
	bool b_rows_are_k;
	const float *bias; /* [n] or NULL */
	enum activation act;
	const float *scale;    /* [n] or NULL */
	const float *residual; /* same rows and leading dimension as c, may be c itself; NULL: none */
	float *c;
	int64_t ldc;                  /* 0: n */
	const int32_t *c_index;       /* [m] row of c that row m goes to, -1: dropped; NULL: m */
	const struct gemm_sums *sums; /* without c_index; NULL: none */
};

enum glip_status glip__gemm(struct ops *ops, const struct gemm *g);

/* y[m, n] = x[m, k] w^T + bias: the common case. */
enum glip_status glip__linear(struct ops *ops, const float *x, int64_t m, struct matrix w, const float *bias,
                              enum activation act, float *y);

/* C[m, n] = sum_r A[r, m] * B[r, n] over many rows r: fixed pieces of rows are summed in order, so the bits do not
 * depend on the threads. c is [m, n] contiguous. */
enum glip_status glip__gemm_over_rows(struct ops *ops, int64_t rows, int64_t m, int64_t n, const float *a, int64_t lda,
                                      const float *b, int64_t ldb, float *c);

/* ---- Convolution geometry ---------------------------------------------------------------------------------------- */

/* The index table of a k x k convolution over an [height, width, C] map (torch conv2d with this stride and padding):
 * out [out_height * out_width, k * k], -1 outside. */
void glip__conv_index(int height, int width, int kernel, int stride, int padding, int32_t *index);

/* 3x3 or 1x1 convolution, channels-last: y [oh * ow, n], weight [n, k * k * c] tap-major. */
enum glip_status glip__conv2d(struct ops *ops, const float *x, int height, int width, int channels,
                              struct matrix weight, const float *bias, int kernel, int stride, int padding, float *y);

/* ---- Attention --------------------------------------------------------------------------------------------------- */

/* softmax(scale * q k^T + bias, masked) v for `batch` groups of `tokens` rows and `heads` heads. Row r of group g is at
 * q + (g * tokens + r) * ld, head h at + h * head_dim; the same for k and v, and out with ld_out. */
struct attention {
	int64_t batch, tokens;
	int heads, head_dim;
	const float *q, *k, *v;
	int64_t ld;
	float *out;
	int64_t ld_out;
	float scale;
	const float *bias;     /* [heads, tokens, tokens] or NULL */
	const uint8_t *region; /* [batch, tokens] or NULL: -100 is added between rows of different regions */
	float clamp;           /* scores are held in +-clamp; 0: not */
};

enum glip_status glip__attention(struct ops *ops, const struct attention *a);

/* ---- Rows and elements ------------------------------------------------------------------------------------------- */

/* torch layer_norm over the last dimension: y[rows, n]; y may be x. */
enum glip_status glip__layer_norm(struct ops *ops, const float *x, int64_t rows, int64_t n, const float *weight,
                                  const float *bias, float eps, float *y);

/* y += nearest-neighbour up-sampling of x [h, w, c] to [height, width, c] (torch interpolate to an exact size). */
enum glip_status glip__upsample_nearest_add(struct ops *ops, const float *x, int h, int w, int channels, float *y,
                                            int height, int width);

/* A map [h, w, C] as it is read where it is up-sampled to [height, width, C], bilinearly with align_corners = true: the
 * large map does not exist in memory. */
struct upsampled {
	const float *data;
	int h, w, height, width;
};

/* The means over the up-sampled map's positions: mean [channels]. */
enum glip_status glip__upsampled_mean(struct ops *ops, const struct upsampled *u, int channels, float *mean);

/* x = min(max(x, low), high) over count floats. */
enum glip_status glip__clamp(struct ops *ops, float *x, int64_t count, float low, float high);
enum glip_status glip__relu(struct ops *ops, const float *x, int64_t count, float *y);

/* out[r, c] = max(a1[c] x + b1[c], a2[c] x + b2[c]) with x = sum over sources s of scale[s][c] * source[s][r, c] +
 * shift[c]: what a dynamic convolution does after its branches, in one pass. */
struct dyrelu_sum {
	int sources; /* 1..3 */
	const float *source[3];
	const struct upsampled *upsampled; /* the last source, instead of source[sources - 1]; NULL: it is stored too */
	const float *scale[3];             /* [channels] each */
	const float *shift;                /* [channels] */
	const float *a1, *b1, *a2, *b2;    /* [channels] */
	int64_t rows, channels;
	float *out; /* may be a stored source */
};

enum glip_status glip__dyrelu_sum(struct ops *ops, const struct dyrelu_sum *d);

/* Deformable sampling points to the index and blend tables of struct gemm_rows: output (oy, ox) of an out_height x
 * out_width map samples the [height, width] input for tap t = (ky, kx) at y = oy * stride - 1 + ky + dy, x likewise;
 * factors are the bilinear weights times the modulation. A point outside (-1, height) x (-1, width) is 0; neighbours
 * outside count as 0 (torchvision deform_conv2d, padding 1). offset points at (dy, dx) pairs: that of output p, tap t
 * begins at offset[p * offset_row + 2 * t * offset_step], its dx offset_step further; modulation of p, t at
 * modulation[p * modulation_row + t * modulation_step]. The input's first position is row first_row of the left
 * matrix's data. */
struct deform_points {
	int height, width, out_height, out_width, stride;
	int32_t first_row;
	const float *offset, *modulation;
	int64_t offset_row, offset_step, modulation_row, modulation_step;
	int32_t *index; /* [out, 9, 4] */
	float *blend;   /* [out, 9, 4] */
};

enum glip_status glip__deform_points(struct ops *ops, const struct deform_points *d);

#endif
