/* Comparison of activations with a reference's. */
#ifndef TESTS_SUPPORT_COMPARE_H
#define TESTS_SUPPORT_COMPARE_H

#include <stdint.h>

#include "support/npy.h"

/* Relative L2 error of a channels-last map [height, width, channels] against a reference that PyTorch wrote as [1,
 * channels, height, width]: the whole of it, or 4096 samples of n elements at the flat indices k * n / 4096. Prints
 * name, error, largest difference and, where the error exceeds `tolerance`, the first bad element. A shape that does
 * not fit or a value that is not finite gives infinity. */
double compare_map(const char *name, const struct npy *reference, const float *data, int height, int width,
                   int channels, double tolerance);

/* The same for a text [tokens, hidden] against [1, padded, hidden]: only the first `tokens` tokens count. */
double compare_text(const char *name, const struct npy *reference, int64_t padded, const float *data, int64_t tokens,
                    int hidden, double tolerance);

#endif
