/* stb_image, compiled for JPEG, PNG and BMP from memory. */
#ifndef GLIP_IMAGE_STB_DECODE_H
#define GLIP_IMAGE_STB_DECODE_H

#include <stddef.h>
#include <stdint.h>

/* Packed 8-bit RGB of the file's width x height, from the stb_heap in force (which may escape); NULL with *reason, a
 * constant, where the file is damaged. `size` is at most INT_MAX. */
uint8_t *glip__stb_decode(const uint8_t *data, size_t size, int *width, int *height, const char **reason);

#endif
