#include "tensor/tensor.h"

#include <string.h>

void glip__matrix_row(const struct matrix *m, int64_t row, float *out)
{
	if (m->dtype == DTYPE_F32) {
		memcpy(out, (const float *)m->data + row * m->cols, (size_t)m->cols * sizeof *out);
		return;
	}
	/* bfloat16 is the upper half of a float32. */
	const uint16_t *from = (const uint16_t *)m->data + row * m->cols;
	for (int64_t i = 0; i < m->cols; i++) {
		uint32_t bits = (uint32_t)from[i] << 16;
		memcpy(&out[i], &bits, sizeof bits);
	}
}
