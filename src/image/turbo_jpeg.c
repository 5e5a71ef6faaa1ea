/* JPEG by libjpeg-turbo, with the settings of Pillow (which are the library's own): the same bytes.
 *
 * libjpeg allocates and frees through a memory manager. Here another one stands in the place of its own, which takes
 * from the codec_heap. Creating a decoder comes before that: some 2 KiB are taken by malloc, and given back by
 * libjpeg's own manager. An error leaves libjpeg the way a failed allocation does, by a jump to heap->escape. */
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "image/jpeg_decode.h"

#ifndef LIBJPEG_TURBO_VERSION
#error "this jpeglib.h is not libjpeg-turbo's; use make JPEG=stb"
#endif

#define TEXT(x) #x
#define TEXT_OF(macro) TEXT(macro)

/* What vector code may read and write behind the end of a row or an object, and its alignment (the heap's own, too). */
enum { ROW_BYTES = 64 };

struct turbo {
	struct jpeg_decompress_struct jpeg; /* its client_data is this struct */
	struct jpeg_error_mgr errors;
	struct jpeg_memory_mgr memory;
	struct jpeg_memory_mgr *first_memory; /* libjpeg's own */
	struct codec_heap *heap;
	char reason[JMSG_LENGTH_MAX]; /* of the failure */
};

const char *glip__jpeg_decoder(void)
{
	return "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION);
}

/* What this decoder has no use for: printing a message, moving arrays to memory, freeing itself. */
static void nothing(j_common_ptr jpeg)
{
	(void)jpeg;
}

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

static _Noreturn void give_up(struct turbo *t, const char *reason)
{
	snprintf(t->reason, sizeof(t->reason), "%s", reason);
	longjmp(t->heap->escape, 1);
}

static void error_exit(j_common_ptr jpeg)
{
	struct turbo *t = jpeg->client_data;
	/* Of its own manager, while the decoder is created. */
	if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
		t->heap->status = GLIP_ERR_NOMEM;
	char text[JMSG_LENGTH_MAX];
	jpeg->err->format_message(jpeg, text);
	give_up(t, text);
}

/* libjpeg warns of damage and goes on with a guess. A picture that is partly a guess is refused, as one whose file ends
 * early; what costs no pixel passes: bytes between segments, odd versions, parameters that are out of use. */
static void emit_message(j_common_ptr jpeg, int level)
{
	if (level >= 0)
		return;
	switch (jpeg->err->msg_code) {
	case JWRN_HIT_MARKER:
	case JWRN_JPEG_EOF: give_up(jpeg->client_data, "its coded data end before the picture does");
	case JWRN_HUFF_BAD_CODE: give_up(jpeg->client_data, "its coded data hold a code that does not exist");
	case JWRN_MUST_RESYNC: give_up(jpeg->client_data, "a restart marker is not where it belongs");
	case JWRN_BOGUS_PROGRESSION: give_up(jpeg->client_data, "its scans contradict each other");
	default: break;
	}
}

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

/* One picture, one decoder: nothing is freed before the heap is. */
static void *take(j_common_ptr jpeg, int pool, size_t size)
{
	(void)jpeg;
	(void)pool;
	size_t padded;
	return glip__codec_malloc(glip__add_size(size, ROW_BYTES - 1, &padded) ? padded / ROW_BYTES * ROW_BYTES : size);
}

/* Pointers to `count` rows of `size` bytes. */
static void **take_rows(j_common_ptr jpeg, size_t size, size_t count)
{
	size_t stride = (size + ROW_BYTES - 1) / ROW_BYTES * ROW_BYTES, bytes;
	char *data = take(jpeg, 0, glip__mul_size(stride, count, &bytes) ? bytes : SIZE_MAX);
	void **rows = take(jpeg, 0, count * sizeof(*rows));
	for (size_t i = 0; i < count; i++)
		rows[i] = data + i * stride;
	return rows;
}

static JSAMPARRAY take_samples(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
	(void)pool;
	return (JSAMPARRAY)(void *)take_rows(jpeg, (size_t)width * sizeof(JSAMPLE), rows);
}

static JBLOCKARRAY take_blocks(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
	(void)pool;
	return (JBLOCKARRAY)(void *)take_rows(jpeg, (size_t)width * sizeof(JBLOCK), rows);
}

/* Virtual arrays, which libjpeg would move to files: here wholly in memory, at once. New memory of the heap is zero. */
struct jvirt_barray_control {
	JBLOCKARRAY rows;
	JDIMENSION count;
};

static jvirt_barray_ptr request_blocks(j_common_ptr jpeg, int pool, boolean zero, JDIMENSION width, JDIMENSION rows,
                                       JDIMENSION access)
{
	(void)zero;
	(void)access;
	jvirt_barray_ptr array = take(jpeg, pool, sizeof(*array));
	array->rows = take_blocks(jpeg, pool, width, rows);
	array->count = rows;
	return array;
}

static JBLOCKARRAY access_blocks(j_common_ptr jpeg, jvirt_barray_ptr array, JDIMENSION first, JDIMENSION count,
                                 boolean writable)
{
	(void)writable;
	if (first > array->count || count > array->count - first)
		ERREXIT(jpeg, JERR_BAD_VIRTUAL_ACCESS);
	return array->rows + first;
}

/* The virtual arrays of samples, for palettes of two passes, are never asked for. */
static void replace_memory(struct turbo *t)
{
	t->first_memory = t->jpeg.mem;
	t->memory = *t->jpeg.mem;
	t->memory.alloc_small = take;
	t->memory.alloc_large = take;
	t->memory.alloc_sarray = take_samples;
	t->memory.alloc_barray = take_blocks;
	t->memory.request_virt_sarray = NULL;
	t->memory.access_virt_sarray = NULL;
	t->memory.request_virt_barray = request_blocks;
	t->memory.realize_virt_arrays = nothing;
	t->memory.access_virt_barray = access_blocks;
	t->memory.free_pool = NULL;
	t->memory.self_destruct = nothing;
	t->jpeg.mem = &t->memory;
}

/* ---- Decoding --------------------------------------------------------------------------------------------------- */

static uint8_t *read_pixels(struct turbo *t, const struct image_bytes *file, const struct image_header *header)
{
	struct jpeg_decompress_struct *jpeg = &t->jpeg;
	jpeg_create_decompress(jpeg);
	replace_memory(t);
	jpeg_mem_src(jpeg, file->data, (unsigned long)file->size);
	jpeg_read_header(jpeg, TRUE);
	if (jpeg->image_width != header->width || jpeg->image_height != header->height)
		give_up(t, "its headers contradict each other");
	jpeg->out_color_space = JCS_RGB;
	jpeg_start_decompress(jpeg);
	size_t stride = (size_t)header->width * 3;
	uint8_t *pixels = glip__codec_malloc(stride * header->height);
	while (jpeg->output_scanline < jpeg->output_height) {
		JSAMPROW row = pixels + jpeg->output_scanline * stride;
		jpeg_read_scanlines(jpeg, &row, 1);
	}
	return pixels;
}

/* Alone in a function: after a jump out of libjpeg no variable of it is used. */
static uint8_t *try_decode(struct turbo *t, const struct image_bytes *file, const struct image_header *header)
{
	if (setjmp(t->heap->escape))
		return NULL;
	return read_pixels(t, file, header);
}

uint8_t *glip__jpeg_decode(struct codec_heap *heap, const struct image_bytes *file, const struct image_header *header,
                           const char **reason)
{
	struct turbo *t = glip__codec_malloc(sizeof(*t));
	t->heap = heap;
	t->jpeg.client_data = t;
	t->jpeg.err = jpeg_std_error(&t->errors);
	t->errors.error_exit = error_exit;
	t->errors.emit_message = emit_message;
	t->errors.output_message = nothing;
	uint8_t *pixels = try_decode(t, file, header);
	if (t->first_memory)
		t->jpeg.mem = t->first_memory;
	jpeg_destroy_decompress(&t->jpeg);
	*reason = t->reason;
	return pixels;
}
