/* From 8-bit pixels to the network's input (model.md section 1). */
#ifndef GLIP_IMAGE_PREPROCESS_H
#define GLIP_IMAGE_PREPROCESS_H

#include "base/alloc.h"
#include "base/pool.h"

struct image_size {
	int width, height;
};

/* A caller's image: pixels there, sides at least 1, a known format, rows no longer than the stride (which may be
 * negative). Errors: ARGUMENT. */
enum glip_status glip__image_check(const struct glip_image *image, struct glip_error *err);
/* Bytes from one row to the next. */
ptrdiff_t glip__image_stride(const struct glip_image *image);
/* Bytes of a pixel, and where in it red, green and blue stand. */
size_t glip__pixel_layout(enum glip_pixel_format format, size_t channel[3]);

/* The network size for an image: short side to `short_side`; long side at most `long_side` (0: no cap), by the
 * original's truncations. Errors: ARGUMENT (sides out of 1..8192), IMAGE (a side becomes 0 or over 32768). */
enum glip_status glip__network_size(struct image_size image, int short_side, int long_side, struct image_size *out,
                                    struct glip_error *err);

/* Pillow's BILINEAR with antialiasing on 8-bit data, byte for byte: horizontal pass first, 22-bit fixed-point
 * coefficients. `source` passed glip__image_check and may have any format; out is packed RGB, size.width *
 * size.height * 3 bytes. Scratch comes from the allocator; pool NULL: by the calling thread alone. Errors: NOMEM. */
enum glip_status glip__resize(const struct glip_image *source, struct image_size size, struct pool *pool,
                              const struct glip_allocator *allocator, uint8_t *out, struct glip_error *err);

/* Packed RGB bytes to normalised BGR floats, channels-last, zero-padded right and bottom:
 * out[padded.height][padded.width][3] = (x - mean) / std. pool NULL: by the calling thread alone. */
void glip__normalise(const uint8_t *rgb, struct image_size size, struct image_size padded, struct pool *pool,
                     float *out);

#endif
