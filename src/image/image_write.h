/* Images into files. */
#ifndef GLIP_IMAGE_IMAGE_WRITE_H
#define GLIP_IMAGE_IMAGE_WRITE_H

#include "base/alloc.h"
#include "image/canvas.h"

enum image_file { IMAGE_FILE_PNG, IMAGE_FILE_JPEG };

/* The kind that the ending of `path` asks for: .png, .jpg or .jpeg in any case. Errors: ARGUMENT. */
enum glip_status glip__image_file_kind(const char *path, enum image_file *out, struct glip_error *err);

/* Whether a picture of this size can be stored as `kind`. Errors: LIMIT. */
enum glip_status glip__image_file_fits(enum image_file kind, int width, int height, const char *path,
                                       struct glip_error *err);

/* Writes under a temporary name and renames. JPEG has quality 92 and unreduced colour. Errors: IO, NOMEM. */
enum glip_status glip__image_write(const struct canvas *canvas, enum image_file kind, const char *path,
                                   const struct glip_allocator *allocator, struct glip_error *err);

#endif
