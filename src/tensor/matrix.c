#include "tensor/tensor.h"

#include <string.h>

void glip__matrix_row(const struct matrix *m, int64_t ld, int64_t row, float *out)
{
	const void *from = (const char *)m->data + (size_t)(row * ld) * glip__dtype_size(m->dtype);

	if (m->dtype == DTYPE_I8) {
		const int8_t *q = from;
		const float scale = m->scale[row];
		for (int64_t i = 0; i < m->cols; i++)
			out[i] = scale * (float)q[i];
	} else if (m->dtype == DTYPE_BF16) {
		/* The upper half of a float32. */
		const uint16_t *half = from;
		for (int64_t i = 0; i < m->cols; i++) {
			uint32_t bits = (uint32_t)half[i] << 16;
			memcpy(&out[i], &bits, sizeof bits);
		}
	} else {
		memcpy(out, from, (size_t)m->cols * sizeof *out);
	}
}
