/* stb_image, compiled for PNG and BMP from memory. */
#ifndef GLIP_IMAGE_STB_DECODE_H
#define GLIP_IMAGE_STB_DECODE_H

#include "image/image_format.h"

/* Packed 8-bit RGB of the header's width x height, from the codec_heap in force (which may escape); NULL with *reason,
 * a constant, where the file is damaged. The file has at most INT_MAX bytes. */
uint8_t *glip__stb_decode(const struct image_bytes *file, const struct image_header *header, const char **reason);

#endif
