/* The plain C kernels by name: what a table starts from and what tests compare with. Contracts: ops/kernels_table.h. */
#ifndef GLIP_OPS_REF_H
#define GLIP_OPS_REF_H

#include "ops/kernels_table.h"

float glip__widen_bf16(uint16_t bits);

void glip__gemm_tile__ref(size_t k, const float *a, size_t lda, const float *panel, const float *init, size_t init_ld,
                          float *c, size_t ldc, int rows, int cols, const void *ahead);
void glip__pack_columns__ref(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel);
void glip__pack_rows__ref(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel);
void glip__transpose__ref(const float *x, size_t ldx, size_t rows, size_t cols, float *y, size_t ldy);
void glip__dot_rows__ref(size_t k, const float *a, size_t lda, int rows, const void *b, enum dtype dtype, size_t ldb,
                         int cols, const float *bias, float *c, size_t ldc);
void glip__sample__ref(const float *x, size_t ldx, const int32_t *index, const float *blend, const int32_t *next,
                       size_t taps, size_t n, float *out, float *range);
void glip__finish__ref(const struct finish *f, float *in, size_t ld_in, int rows, int cols,
                       const float *const *residual, float *const *out);

void glip__layer_norm__ref(const struct norm *m, const float *x, size_t ldx, const int32_t *index, size_t rows,
                           size_t n, float *y, size_t ldy);
void glip__softmax__ref(const struct scores *s, float *x, size_t ldx, size_t rows, size_t n);
void glip__column_max__ref(const float *x, size_t rows, size_t n, float *top);
void glip__column_exp__ref(float *x, size_t rows, size_t n, const float *top, double *sum);
void glip__column_sums__ref(const float *x, size_t rows, size_t n, double *sum, double *square);
void glip__add__ref(const float *x, size_t n, float *y);
void glip__lerp__ref(const float *x0, const float *x1, float part, size_t n, float *y);
void glip__clamp__ref(float *x, size_t n, float low, float high);
void glip__relu__ref(const float *x, size_t n, float *y);
void glip__sigmoid__ref(const float *x, size_t n, float *y);
void glip__dyrelu_row__ref(const struct dyrelu_sum *d, const float *const *source, float *out);

#endif
