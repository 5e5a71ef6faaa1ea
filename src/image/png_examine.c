/* A walk over the chunks of a PNG file. The decoder checks neither the chunks' checksums nor that the end is there. */
#include <string.h>

#include "image/image_format.h"

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void crc_table(uint32_t table[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
}

static uint32_t crc(const uint32_t table[256], const uint8_t *p, size_t n)
{
	uint32_t c = 0xffffffffu;
	for (size_t i = 0; i < n; i++)
		c = table[(c ^ p[i]) & 0xff] ^ c >> 8;
	return ~c;
}

static enum glip_status damaged(const struct image_bytes *file, const char *reason, struct glip_error *err)
{
	return glip__image_damaged(file, IMAGE_KIND_PNG, reason, err);
}

static enum glip_status header(const struct image_bytes *file, const uint8_t *p, size_t n, struct image_header *out,
                               struct glip_error *err)
{
	if (n != 13)
		return damaged(file, "its header has the wrong length", err);
	out->width = be32(p);
	out->height = be32(p + 4);
	if (out->width == 0 || out->height == 0 || out->width > INT32_MAX || out->height > INT32_MAX)
		return damaged(file, "its width or height is 0 or too large", err);
	unsigned depth = p[8], color = p[9];
	int valid = (color == 0 && (depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16)) ||
	            (color == 3 && (depth == 1 || depth == 2 || depth == 4 || depth == 8)) ||
	            ((color == 2 || color == 4 || color == 6) && (depth == 8 || depth == 16));
	if (!valid || p[10] != 0 || p[11] != 0 || p[12] > 1)
		return damaged(file, "its header holds a combination that does not exist", err);
	return GLIP_OK;
}

enum glip_status glip__png_examine(const struct image_bytes *file, struct image_header *out, struct glip_error *err)
{
	uint32_t table[256];
	crc_table(table);
	const uint8_t *data = file->data;
	size_t at = 8;
	int has_data = 0;
	for (int first = 1;; first = 0) {
		if (file->size < at || file->size - at < 12)
			return glip__image_truncated(file, IMAGE_KIND_PNG, err);
		size_t length = be32(data + at);
		const uint8_t *type = data + at + 4;
		if (length > INT32_MAX)
			return damaged(file, "a chunk claims more than 2 GiB", err);
		if (length > file->size - at - 12)
			return glip__image_truncated(file, IMAGE_KIND_PNG, err);
		if (memcmp(type, "CgBI", 4) == 0)
			return glip__image_unsupported(file, "Apple's own PNG variant", "save it as a standard PNG", err);
		if (first != (memcmp(type, "IHDR", 4) == 0))
			return damaged(file, first ? "its first chunk is not IHDR" : "it has two headers", err);
		/* Bit 5 of the first letter marks chunks that do not matter to the pixels. */
		if (!(type[0] & 0x20) && crc(table, type, length + 4) != be32(type + 4 + length))
			return damaged(file, "the checksum of a chunk is wrong", err);
		if (first)
			TRY(header(file, type + 4, length, out, err));
		has_data |= memcmp(type, "IDAT", 4) == 0;
		if (memcmp(type, "IEND", 4) == 0)
			break;
		at += length + 12;
	}
	if (!has_data)
		return damaged(file, "it has no picture data", err);
	return GLIP_OK;
}
