/* stb_image_write, compiled for PNG and JPEG to a callback. */
#ifndef GLIP_IMAGE_STB_ENCODE_H
#define GLIP_IMAGE_STB_ENCODE_H

#include <stdint.h>

typedef void (*stb_encode_sink)(void *context, void *data, int size);

/* Packed 8-bit RGB; memory from the codec_heap in force (which may escape). 0 on failure. */
int glip__stb_encode_png(stb_encode_sink sink, void *context, int width, int height, const uint8_t *rgb);
/* `quality` 1..100; above 90 the colour keeps its full resolution. */
int glip__stb_encode_jpeg(stb_encode_sink sink, void *context, int width, int height, const uint8_t *rgb, int quality);

#endif
