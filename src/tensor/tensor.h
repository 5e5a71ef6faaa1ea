/* Typed arrays, row-major and contiguous. A tensor does not own its data: weights lie in the file mapping, activations
 * in the session's arena. */
#ifndef GLIP_TENSOR_TENSOR_H
#define GLIP_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_DIMS = 4 };

enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_I8, DTYPE_I32, DTYPE_I64, DTYPE_COUNT };

struct tensor {
	void *data;
	int64_t shape[TENSOR_MAX_DIMS]; /* outermost first, as PyTorch prints it */
	int ndim;
	enum dtype dtype;
};

/* What products with a matrix are made of, at the least, where a pass is made of narrower numbers than float32. */
enum precision { PRECISION_ANY, PRECISION_16_BITS, PRECISION_FLOAT };

/* A weight matrix as the kernels read it: row-major [rows, cols] = [out, in]. float32, or narrower numbers that are
 * widened while they are packed. */
struct matrix {
	const void *data;
	int64_t rows, cols;
	enum dtype dtype;   /* DTYPE_F32, DTYPE_BF16 or DTYPE_I8 */
	const float *scale; /* [rows] of DTYPE_I8: what an element of the row counts; else NULL */
	enum precision precision;
	bool lasting; /* of the model: unchanged as long as that lives, so what is made of it may be kept */
};

/* Row `row` of the matrix as float32: out[cols]. Rows begin `ld` elements apart. */
void glip__matrix_row(const struct matrix *m, int64_t ld, int64_t row, float *out);

/* A channels-last activation map [height, width, channels], float32. */
struct feature_map {
	float *data;
	int height, width, channels;
};

/* Bytes of one element; 0 for a value outside the enum. */
size_t glip__dtype_size(enum dtype dtype);
/* "f32", "bf16", ... */
const char *glip__dtype_name(enum dtype dtype);
/* Elements; false where the product overflows int64 or a dimension is negative. */
bool glip__tensor_count(const struct tensor *t, int64_t *count);
/* "256x768" into out; "scalar" for no dimensions. */
void glip__tensor_shape_text(const struct tensor *t, char *out, size_t size);

#endif
