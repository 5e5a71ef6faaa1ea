/* NumPy files of float32 in C order, for the tests. */
#ifndef TESTS_SUPPORT_NPY_H
#define TESTS_SUPPORT_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NPY_MAX_DIMS = 8 };

struct npy {
	float *data; /* free() */
	int64_t shape[NPY_MAX_DIMS];
	int ndim;
	int64_t count; /* elements */
};

/* False, with a line on stderr, where the file is missing or is not a float32 array in C order. */
bool npy_read(const char *path, struct npy *out);
void npy_free(struct npy *array);
bool npy_write(const char *path, const float *data, const int64_t *shape, int ndim);

#endif
