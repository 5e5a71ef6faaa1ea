/* What an image file says about itself, checked before a decoder sees it. */
#ifndef GLIP_IMAGE_IMAGE_FORMAT_H
#define GLIP_IMAGE_IMAGE_FORMAT_H

#include "base/error.h"

enum image_kind { IMAGE_KIND_NONE = 0, IMAGE_KIND_JPEG, IMAGE_KIND_PNG, IMAGE_KIND_BMP, IMAGE_KIND_PNM };

struct image_header {
	enum image_kind kind;
	uint32_t width, height; /* pixels, each at least 1 */
	/* PNM only. */
	size_t payload;      /* offset of the first sample */
	uint32_t max_value;  /* of a sample, 1..65535 */
	uint32_t components; /* 1 or 3 */
};

struct image_bytes {
	const uint8_t *data;
	size_t size;
	const char *name; /* for messages */
};

/* "JPEG" and so on. */
const char *glip__image_kind_name(enum image_kind kind);

/* Finds the format by its first bytes, reads the size, and makes sure that the file is complete to its last byte and of
 * a kind that is handled. Errors: IMAGE (empty, not an image, damaged, truncated), UNSUPPORTED. */
enum glip_status glip__image_examine(const struct image_bytes *file, struct image_header *out, struct glip_error *err);

/* The parts of glip__image_examine. */
enum glip_status glip__jpeg_examine(const struct image_bytes *file, struct image_header *out, struct glip_error *err);
enum glip_status glip__png_examine(const struct image_bytes *file, struct image_header *out, struct glip_error *err);

enum glip_status glip__image_truncated(const struct image_bytes *file, enum image_kind kind, struct glip_error *err);
enum glip_status glip__image_damaged(const struct image_bytes *file, enum image_kind kind, const char *reason,
                                     struct glip_error *err);
enum glip_status glip__image_unsupported(const struct image_bytes *file, const char *what, const char *advice,
                                         struct glip_error *err);

#endif
