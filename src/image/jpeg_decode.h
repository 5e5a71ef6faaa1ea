/* The one JPEG decoder of a build: libjpeg-turbo (turbo_jpeg.c) where the Makefile finds it, else stb_image
 * (stb_jpeg.c). */
#ifndef GLIP_IMAGE_JPEG_DECODE_H
#define GLIP_IMAGE_JPEG_DECODE_H

#include "image/codec_heap.h"
#include "image/image_format.h"

/* "libjpeg-turbo 2.1.5" or "stb_image". */
const char *glip__jpeg_decoder(void);

/* Packed 8-bit RGB of the header's width x height, from `heap`, which is in force and may escape; NULL where the file
 * is damaged, with *reason, which lives as long as the heap. glip__jpeg_examine has passed the file; it has at most
 * INT_MAX bytes. */
uint8_t *glip__jpeg_decode(struct codec_heap *heap, const struct image_bytes *file, const struct image_header *header,
                           const char **reason);

#endif
