/* Image files as bytes, to be damaged and decoded. */
#ifndef TESTS_SUPPORT_IMAGE_CASE_H
#define TESTS_SUPPORT_IMAGE_CASE_H

#include <stddef.h>
#include <stdint.h>

#include "support/damage.h"

/* free() the data: exactly `size` bytes, so that a sanitizer sees every read past the end. */
struct bytes {
	uint8_t *data;
	size_t size;
};

/* A file of tests/data/images. */
struct bytes read_image(const char *name);
/* The bytes without [from, to) and with `extra` in their place. */
struct bytes bytes_splice(struct bytes b, size_t from, size_t to, const void *extra, size_t count);
/* The first n bytes. */
struct bytes bytes_prefix(struct bytes b, size_t n);
/* The offset of the first marker of this kind in a JPEG from there on. */
size_t find_marker(struct bytes b, uint8_t marker, size_t from);

/* The default options with this allocator. */
struct glip_image_options probed_options(struct alloc_probe *probe);
/* Decodes the file with every bit flipped in turn: a picture or a status. Prints the counts, which *d has. */
void flip_every_bit(struct damage *d, struct bytes b, const char *name);
/* Each allocation in turn fails, alone or with all later ones: a status, no leak, and at last the picture. */
void fail_every_allocation(struct bytes b);

#endif
