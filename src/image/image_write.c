#include "image/image_write.h"

#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "image/stb_encode.h"
#include "image/codec_heap.h"

enum { JPEG_QUALITY = 92, JPEG_MAX_SIDE = 65500, SINK_BYTES = 4096 };

static int ends_with(const char *path, const char *ending)
{
	size_t length = strlen(path), n = strlen(ending);
	if (length < n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		char c = path[length - n + i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != ending[i])
			return 0;
	}
	return 1;
}

enum glip_status glip__image_file_kind(const char *path, enum image_file *out, struct glip_error *err)
{
	if (ends_with(path, ".png"))
		*out = IMAGE_FILE_PNG;
	else if (ends_with(path, ".jpg") || ends_with(path, ".jpeg"))
		*out = IMAGE_FILE_JPEG;
	else
		return glip__fail(err, GLIP_ERR_ARGUMENT,
		                  "%s: a picture is written as .png, .jpg or .jpeg; choose one of these endings", path);
	return GLIP_OK;
}

enum glip_status glip__image_file_fits(enum image_file kind, int width, int height, const char *path,
                                       struct glip_error *err)
{
	if (kind == IMAGE_FILE_JPEG && (width > JPEG_MAX_SIDE || height > JPEG_MAX_SIDE))
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: %d x %d pixels are too many for JPEG; write a .png", path, width,
		                  height);
	/* The encoder counts bytes in int; the compressed data may be somewhat larger than the pixels. */
	if (((uint64_t)width * 3 + 1) * (uint64_t)height > INT_MAX / 2)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: %d x %d pixels are too many to be written", path, width, height);
	return GLIP_OK;
}

/* The encoders deliver bytes singly: they are gathered here. After a failure nothing more is written. */
struct sink {
	struct file_writer writer;
	enum glip_status status;
	struct glip_error *err;
	size_t length;
	uint8_t bytes[SINK_BYTES];
};

static void flush(struct sink *sink)
{
	if (sink->status == GLIP_OK && sink->length)
		sink->status = glip__file_write(&sink->writer, sink->bytes, sink->length, sink->err);
	sink->length = 0;
}

static void take(void *context, void *data, int size)
{
	struct sink *sink = context;
	size_t count = (size_t)size;
	if (count > SINK_BYTES - sink->length)
		flush(sink);
	if (count > SINK_BYTES) {
		if (sink->status == GLIP_OK)
			sink->status = glip__file_write(&sink->writer, data, count, sink->err);
		return;
	}
	memcpy(sink->bytes + sink->length, data, count);
	sink->length += count;
}

/* Alone in a function: after a jump out of the encoder no variable of it is used. */
static int encode(struct codec_heap *heap, const struct canvas *canvas, enum image_file kind, struct sink *sink)
{
	if (setjmp(heap->escape))
		return 0;
	if (kind == IMAGE_FILE_PNG)
		return glip__stb_encode_png(take, sink, canvas->width, canvas->height, canvas->rgb);
	return glip__stb_encode_jpeg(take, sink, canvas->width, canvas->height, canvas->rgb, JPEG_QUALITY);
}

enum glip_status glip__image_write(const struct canvas *canvas, enum image_file kind, const char *path,
                                   const struct glip_allocator *allocator, struct glip_error *err)
{
	struct sink *sink = glip__calloc(allocator, 1, sizeof(*sink));
	if (!sink)
		return glip__fail_nomem(err, path, sizeof(*sink));
	sink->err = err;
	enum glip_status status = GLIP_OK;
	TRY_OUT(glip__file_writer_open(path, allocator, &sink->writer, err));
	struct codec_heap heap;
	glip__codec_heap_enter(&heap, allocator, SIZE_MAX);
	int done = encode(&heap, canvas, kind, sink);
	glip__codec_heap_leave(&heap);
	flush(sink);
	if (!done && heap.status == GLIP_OK)
		heap.status = GLIP_ERR_IMAGE;
	if (!done && heap.status == GLIP_ERR_NOMEM)
		TRY_OUT(glip__fail_nomem(err, path, heap.wanted));
	if (!done)
		TRY_OUT(glip__fail(err, heap.status, "%s: the picture cannot be encoded", path));
	TRY_OUT(sink->status);
	TRY_OUT(glip__file_writer_commit(&sink->writer, err));
out:
	glip__file_writer_discard(&sink->writer);
	glip__free(allocator, sink);
	return status;
}
