/* From a file's bytes to 8-bit RGB. */
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "image/jpeg_decode.h"
#include "image/stb_decode.h"

enum { DEFAULT_MAX_PIXELS = 64 * 1024 * 1024, DEFAULT_MAX_BYTES = 1 << 30 };

void glip_image_options_init(struct glip_image_options *options)
{
	if (!options)
		return;
	memset(options, 0, sizeof(*options));
	options->struct_size = sizeof(*options);
	options->max_pixels = DEFAULT_MAX_PIXELS;
	options->max_bytes = DEFAULT_MAX_BYTES;
}

/* The defaults, overlaid by as much of the caller's struct as its version has. */
static enum glip_status read_options(const struct glip_image_options *options, struct glip_image_options *out,
                                     struct glip_error *err)
{
	glip_image_options_init(out);
	if (!options)
		return GLIP_OK;
	if (options->struct_size < sizeof(options->struct_size))
		return glip__fail(err, GLIP_ERR_ARGUMENT,
		                  "image options: struct_size is not set; call glip_image_options_init");
	memcpy(out, options, options->struct_size < sizeof(*out) ? options->struct_size : sizeof(*out));
	return GLIP_OK;
}

/* A bound on what decoding an honest file of this size takes: both images of a 16-bit PNG with alpha, its inflated
 * data grown by doubling, the coefficients of a progressive JPEG padded to its largest block. */
static uint64_t honest_bytes(const struct image_bytes *file, const struct image_header *header)
{
	uint64_t padded = ((uint64_t)header->width + 32) * ((uint64_t)header->height + 32);
	return padded * 32 + (uint64_t)file->size * 4 + (1u << 20);
}

static uint8_t *decode_pnm(const struct image_bytes *file, const struct image_header *header)
{
	size_t count = (size_t)header->width * header->height;
	uint8_t *rgb = glip__codec_malloc(count * 3);
	const uint8_t *in = file->data + header->payload;
	uint32_t max = header->max_value;
	size_t repeat = header->components == 1 ? 3 : 1;
	uint8_t *out = rgb;
	for (size_t i = 0; i < count * header->components; i++) {
		uint32_t value;
		if (max == 255) {
			value = in[i];
		} else if (max == 65535) {
			value = in[2 * i];
		} else {
			value = max > 255 ? (uint32_t)in[2 * i] << 8 | in[2 * i + 1] : in[i];
			value = value < max ? (value * 255 + max / 2) / max : 255;
		}
		for (size_t r = 0; r < repeat; r++)
			*out++ = (uint8_t)value;
	}
	return rgb;
}

/* Alone in a function: after a jump out of the decoder no variable of it is used. */
static uint8_t *decode_pixels(struct codec_heap *heap, const struct image_bytes *file,
                              const struct image_header *header, const char **reason)
{
	if (setjmp(heap->escape))
		return NULL;
	switch (header->kind) {
	case IMAGE_KIND_JPEG: return glip__jpeg_decode(heap, file, header, reason);
	case IMAGE_KIND_PNM: return decode_pnm(file, header);
	default: return glip__stb_decode(file, header, reason);
	}
}

static enum glip_status describe_failure(const struct codec_heap *heap, const struct image_bytes *file,
                                         const struct image_header *header, const char *reason, uint64_t max_bytes,
                                         struct glip_error *err)
{
	if (heap->status == GLIP_ERR_NOMEM)
		return glip__fail_nomem(err, file->name, heap->wanted);
	if (heap->status == GLIP_ERR_LIMIT && heap->limit >= max_bytes)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: decoding it takes more than the limit of %llu bytes", file->name,
		                  (unsigned long long)max_bytes);
	if (heap->status == GLIP_ERR_LIMIT)
		reason = "it holds more data than its size can need";
	return glip__image_damaged(file, header->kind, reason ? reason : "its data are inconsistent", err);
}

static enum glip_status check_size(const struct image_bytes *file, const struct image_header *header,
                                   const struct glip_image_options *options, struct glip_error *err)
{
	uint64_t pixels = (uint64_t)header->width * header->height;
	if (pixels > options->max_pixels || pixels > SIZE_MAX / 3 || header->width > INT_MAX || header->height > INT_MAX)
		return glip__fail(err, GLIP_ERR_LIMIT,
		                  "%s: %u x %u pixels are more than the limit of %llu; scale it down first", file->name,
		                  (unsigned)header->width, (unsigned)header->height, (unsigned long long)options->max_pixels);
	return GLIP_OK;
}

static enum glip_status decode(const struct image_bytes *file, const struct glip_image_options *options,
                               struct glip_image *out, struct glip_error *err)
{
	struct image_header header;
	TRY(glip__image_examine(file, &header, err));
	TRY(check_size(file, &header, options, err));
	if (file->size > INT_MAX)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: an image file may not have more than 2 GiB", file->name);

	uint64_t limit = honest_bytes(file, &header);
	if (limit > options->max_bytes)
		limit = options->max_bytes;
	struct codec_heap heap;
	glip__codec_heap_enter(&heap, options->allocator, limit < SIZE_MAX ? (size_t)limit : SIZE_MAX);
	const char *reason = NULL;
	uint8_t *pixels = decode_pixels(&heap, file, &header, &reason);
	enum glip_status status = GLIP_OK;
	if (pixels) {
		memset(out, 0, sizeof(*out));
		out->pixels = pixels;
		out->width = (int)header.width;
		out->height = (int)header.height;
		out->stride = (ptrdiff_t)header.width * 3;
		out->format = GLIP_PIXEL_RGB;
		out->owner = glip__codec_heap_keep(&heap, pixels);
	} else {
		status = describe_failure(&heap, file, &header, reason, options->max_bytes, err);
	}
	glip__codec_heap_leave(&heap);
	return status;
}

enum glip_status glip_image_decode(const void *data, size_t size, const char *name,
                                   const struct glip_image_options *options, struct glip_image *out,
                                   struct glip_error *err)
{
	if (!out)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_image_decode: out is NULL");
	if (!data && size)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_image_decode: data is NULL");
	struct glip_image_options o;
	TRY(read_options(options, &o, err));
	struct image_bytes file = {.data = data, .size = size, .name = name ? name : "image"};
	return decode(&file, &o, out, err);
}

enum glip_status glip_image_load(const char *path, const struct glip_image_options *options, struct glip_image *out,
                                 struct glip_error *err)
{
	if (!path || !out)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_image_load: %s is NULL", path ? "out" : "path");
	struct glip_image_options o;
	TRY(read_options(options, &o, err));
	/* A first look that reads nothing: files far too large are not brought into memory. The pixels are decoded from a
	 * copy, because a mapping fails when another process cuts the file short. */
	struct file_view view;
	struct glip_allocator allocator = glip__allocator_or_default(o.allocator);
	TRY(glip__file_open(path, 1, &allocator, &view, err));
	size_t size = view.size;
	glip__file_close(&view);
	if (size > INT_MAX || size > o.max_bytes)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: %zu bytes are too many for an image file", path, size);
	TRY(glip__file_open(path, 0, &allocator, &view, err));
	struct image_bytes file = {.data = view.data, .size = view.size, .name = path};
	enum glip_status status = decode(&file, &o, out, err);
	glip__file_close(&view);
	return status;
}

void glip_image_free(struct glip_image *image)
{
	if (!image || !image->owner)
		return;
	glip__codec_block_free(image->owner);
	memset(image, 0, sizeof(*image));
}
