/* A walk over the markers of a JPEG file. The decoder paints whatever it has read when a file ends early, and trusts
 * the counts of its Huffman tables: both are settled here. So is a small file that would make it work for long: a scan
 * of a few bytes passes over the whole picture. */
#include <string.h>

#include "image/image_format.h"

enum {
	MAX_SCANS = 100, /* progressive files have about ten; more than these are bent on the time they cost */
	MAX_SIDE = 65500 /* libjpeg's; the same whoever decodes */
};

struct jpeg_walk {
	const struct image_bytes *file;
	struct image_header *out;
	struct glip_error *err;
	size_t at;  /* next byte */
	int frames; /* SOF markers seen */
	int scans;  /* SOS markers seen */
};

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static enum glip_status damaged(const struct jpeg_walk *w, const char *reason)
{
	return glip__image_damaged(w->file, IMAGE_KIND_JPEG, reason, w->err);
}

/* `p` is the segment after its length, of n bytes. */
static enum glip_status frame(struct jpeg_walk *w, uint8_t marker, const uint8_t *p, size_t n)
{
	if (w->frames++)
		return damaged(w, "it has two frame headers");
	if (marker == 0xc3 || marker == 0xc7 || marker == 0xcb || marker == 0xcf)
		return glip__image_unsupported(w->file, "a lossless JPEG", "save it as a standard JPEG or PNG", w->err);
	if (marker > 0xc8)
		return glip__image_unsupported(w->file, "an arithmetic-coded JPEG", "save it as a standard JPEG or PNG",
		                               w->err);
	if (marker > 0xc2)
		return glip__image_unsupported(w->file, "a hierarchical JPEG", "save it as a standard JPEG or PNG", w->err);
	if (n < 6 || n != 6 + 3u * p[5])
		return damaged(w, "its frame header has the wrong length");
	if (p[0] != 8)
		return glip__image_unsupported(w->file, "a JPEG with other than 8 bits", "save it with 8 bits or as PNG",
		                               w->err);
	w->out->height = be16(p + 1);
	w->out->width = be16(p + 3);
	if (p[5] == 4)
		return glip__image_unsupported(w->file, "a CMYK JPEG", "convert it to RGB", w->err);
	if (p[5] != 1 && p[5] != 3)
		return glip__image_unsupported(w->file, "a JPEG of this number of channels", "convert it to RGB", w->err);
	if (w->out->width == 0 || w->out->height == 0)
		return damaged(w, "its width or height is 0");
	if (w->out->width > MAX_SIDE || w->out->height > MAX_SIDE)
		return glip__fail(w->err, GLIP_ERR_LIMIT,
		                  "%s: a JPEG of more than %d pixels in width or height; save it as PNG", w->file->name,
		                  MAX_SIDE);
	return GLIP_OK;
}

static enum glip_status huffman(const struct jpeg_walk *w, const uint8_t *p, size_t n)
{
	while (n > 0) {
		if (n < 17)
			return damaged(w, "a Huffman table is cut short");
		size_t codes = 0;
		for (int i = 1; i <= 16; i++)
			codes += p[i];
		if (codes > 256 || codes > n - 17)
			return damaged(w, "a Huffman table has too many codes");
		p += 17 + codes;
		n -= 17 + codes;
	}
	return GLIP_OK;
}

/* Moves to the next marker behind coded data: 0xff followed by neither 0, a restart nor another 0xff. */
static enum glip_status skip_scan(struct jpeg_walk *w)
{
	const uint8_t *data = w->file->data;
	size_t size = w->file->size;
	while (w->at < size) {
		const uint8_t *found = memchr(data + w->at, 0xff, size - w->at);
		if (!found || (size_t)(found - data) + 1 >= size)
			break;
		w->at = (size_t)(found - data);
		uint8_t next = found[1];
		if (next != 0 && next != 0xff && (next < 0xd0 || next > 0xd7))
			return GLIP_OK;
		w->at += next == 0xff ? 1 : 2;
	}
	return glip__image_truncated(w->file, IMAGE_KIND_JPEG, w->err);
}

static enum glip_status segment(struct jpeg_walk *w, uint8_t marker)
{
	const uint8_t *data = w->file->data;
	size_t left = w->file->size - w->at;
	if (left < 2)
		return glip__image_truncated(w->file, IMAGE_KIND_JPEG, w->err);
	size_t length = be16(data + w->at);
	if (length < 2)
		return damaged(w, "a segment is shorter than its length field");
	if (length > left)
		return glip__image_truncated(w->file, IMAGE_KIND_JPEG, w->err);
	const uint8_t *content = data + w->at + 2;
	w->at += length;
	if (marker == 0xc4)
		return huffman(w, content, length - 2);
	if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc8 && marker != 0xcc)
		return frame(w, marker, content, length - 2);
	if (marker == 0xda) {
		if (!w->frames)
			return damaged(w, "its data come before its frame header");
		if (++w->scans > MAX_SCANS)
			return glip__fail(w->err, GLIP_ERR_LIMIT, "%s: a JPEG of more than %d scans; save it anew", w->file->name,
			                  MAX_SCANS);
		return skip_scan(w);
	}
	return GLIP_OK;
}

enum glip_status glip__jpeg_examine(const struct image_bytes *file, struct image_header *out, struct glip_error *err)
{
	struct jpeg_walk w = {.file = file, .out = out, .err = err, .at = 2};
	for (;;) {
		/* Fill bytes before a marker are allowed; other bytes between segments are passed over, as by decoders. */
		while (w.at < file->size && file->data[w.at] != 0xff)
			w.at++;
		while (w.at < file->size && file->data[w.at] == 0xff)
			w.at++;
		if (w.at >= file->size)
			return glip__image_truncated(file, IMAGE_KIND_JPEG, err);
		uint8_t marker = file->data[w.at++];
		if (marker == 0xd9)
			break;
		if (marker == 0 || marker == 1 || (marker >= 0xd0 && marker <= 0xd8))
			continue; /* markers without a segment */
		TRY(segment(&w, marker));
	}
	if (!w.frames || !w.scans)
		return damaged(&w, "it has no picture data");
	return GLIP_OK;
}
