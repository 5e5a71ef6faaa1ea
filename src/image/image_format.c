#include "image/image_format.h"

#include <string.h>

const char *glip__image_kind_name(enum image_kind kind)
{
	switch (kind) {
	case IMAGE_KIND_JPEG: return "JPEG";
	case IMAGE_KIND_PNG: return "PNG";
	case IMAGE_KIND_BMP: return "BMP";
	case IMAGE_KIND_PNM: return "PNM";
	case IMAGE_KIND_NONE: break;
	}
	return "unknown";
}

enum glip_status glip__image_truncated(const struct image_bytes *file, enum image_kind kind, struct glip_error *err)
{
	return glip__fail(err, GLIP_ERR_IMAGE,
	                  "%s: truncated %s image: the file ends after %zu bytes, before its picture does", file->name,
	                  glip__image_kind_name(kind), file->size);
}

enum glip_status glip__image_damaged(const struct image_bytes *file, enum image_kind kind, const char *reason,
                                     struct glip_error *err)
{
	return glip__fail(err, GLIP_ERR_IMAGE, "%s: damaged %s image: %s", file->name, glip__image_kind_name(kind), reason);
}

enum glip_status glip__image_unsupported(const struct image_bytes *file, const char *what, const char *advice,
                                         struct glip_error *err)
{
	return glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: %s is not supported; %s", file->name, what, advice);
}

static uint32_t le16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

enum { BMP_RGB = 0, BMP_RLE8 = 1, BMP_RLE4 = 2, BMP_BITFIELDS = 3 };

/* Size, depth and compression of a BMP's second header, whatever its age. */
struct bmp_info {
	uint32_t offset; /* of the pixels */
	uint32_t header; /* bytes of the second header */
	uint32_t depth, compression;
};

static enum glip_status bmp_header(const struct image_bytes *file, struct image_header *out, struct bmp_info *info,
                                   struct glip_error *err)
{
	const uint8_t *p = file->data;
	if (file->size < 18)
		return glip__image_truncated(file, IMAGE_KIND_BMP, err);
	info->offset = le32(p + 10);
	info->header = le32(p + 14);
	if (info->header != 12 && info->header != 40 && info->header != 56 && info->header != 108 && info->header != 124)
		return glip__image_unsupported(file, "this version of BMP", "save it as PNG", err);
	if (file->size - 14 < info->header)
		return glip__image_truncated(file, IMAGE_KIND_BMP, err);
	int64_t width, height;
	info->compression = BMP_RGB;
	if (info->header == 12) {
		width = le16(p + 18);
		height = le16(p + 20);
		info->depth = le16(p + 24);
	} else {
		width = (int32_t)le32(p + 18);
		height = (int32_t)le32(p + 22);
		info->depth = le16(p + 28);
		info->compression = le32(p + 30);
	}
	if (height < 0)
		height = -height; /* top row first */
	if (width < 1 || height < 1 || height > INT32_MAX)
		return glip__image_damaged(file, IMAGE_KIND_BMP, "its width or height is 0 or negative", err);
	out->width = (uint32_t)width;
	out->height = (uint32_t)height;
	return GLIP_OK;
}

static enum glip_status examine_bmp(const struct image_bytes *file, struct image_header *out, struct glip_error *err)
{
	struct bmp_info info = {0};
	TRY(bmp_header(file, out, &info, err));
	uint32_t depth = info.depth;
	if (info.compression == BMP_RLE8 || info.compression == BMP_RLE4)
		return glip__image_unsupported(file, "a run-length coded BMP", "save it uncompressed or as PNG", err);
	if (info.compression != BMP_RGB && info.compression != BMP_BITFIELDS)
		return glip__image_unsupported(file, "this BMP compression", "save it as PNG", err);
	if (depth != 1 && depth != 4 && depth != 8 && depth != 16 && depth != 24 && depth != 32)
		return glip__image_unsupported(file, "this BMP depth", "save it as PNG", err);
	if (info.offset < 14 + info.header)
		return glip__image_damaged(file, IMAGE_KIND_BMP, "its pixels would begin inside its header", err);
	/* Below 2^66 in no case: 31 bits of rows times 36 bits of row. The last row may lack its padding. */
	uint64_t row = ((uint64_t)out->width * depth + 7) / 8;
	uint64_t stride = (row + 3) / 4 * 4;
	if (stride > UINT64_MAX / out->height || info.offset > file->size ||
	    stride * (out->height - 1) + row > file->size - info.offset)
		return glip__image_truncated(file, IMAGE_KIND_BMP, err);
	return GLIP_OK;
}

/* One number of a PNM header; white space and comments before it are passed over, the digit after it is not. */
static int pnm_number(const struct image_bytes *file, size_t *at, uint32_t *out)
{
	size_t i = *at;
	while (i < file->size) {
		uint8_t c = file->data[i];
		if (c == '#')
			while (i < file->size && file->data[i] != '\n')
				i++;
		else if (c == ' ' || (c >= '\t' && c <= '\r'))
			i++;
		else
			break;
	}
	size_t first = i;
	uint32_t value = 0;
	for (; i < file->size && file->data[i] >= '0' && file->data[i] <= '9'; i++) {
		if (value > 100000000)
			return 0;
		value = value * 10 + (file->data[i] - '0');
	}
	*at = i;
	*out = value;
	return i > first;
}

static enum glip_status examine_pnm(const struct image_bytes *file, struct image_header *out, struct glip_error *err)
{
	char digit = (char)file->data[1];
	if (digit != '5' && digit != '6')
		return glip__image_unsupported(file,
		                               digit == '7' ? "PAM (P7)" : "a PNM other than binary grey or colour (P5, P6)",
		                               "save it as PNG", err);
	out->components = digit == '6' ? 3 : 1;
	size_t at = 2;
	if (!pnm_number(file, &at, &out->width) || !pnm_number(file, &at, &out->height) ||
	    !pnm_number(file, &at, &out->max_value)) {
		if (at >= file->size)
			return glip__image_truncated(file, IMAGE_KIND_PNM, err);
		return glip__image_damaged(file, IMAGE_KIND_PNM, "its header lacks width, height or maximum", err);
	}
	if (at >= file->size)
		return glip__image_truncated(file, IMAGE_KIND_PNM, err);
	if (out->width < 1 || out->height < 1)
		return glip__image_damaged(file, IMAGE_KIND_PNM, "its width or height is 0", err);
	if (out->max_value < 1 || out->max_value > 65535)
		return glip__image_damaged(file, IMAGE_KIND_PNM, "its maximum is not 1 to 65535", err);
	out->payload = at + 1; /* exactly one byte of white space */
	/* At most 30 bits times 30 bits times 6. */
	uint64_t bytes = (uint64_t)out->width * out->height * out->components * (out->max_value > 255 ? 2 : 1);
	if (bytes > file->size - out->payload)
		return glip__image_truncated(file, IMAGE_KIND_PNM, err);
	return GLIP_OK;
}

/* Well-known formats that are not decoded, so that the message can name them. */
static const char *foreign_format(const struct image_bytes *file)
{
	static const struct {
		const char *name;
		size_t offset, length;
		char magic[16];
	} known[] = {
		{"a GIF image", 0, 4, "GIF8"},        {"a WebP image", 8, 4, "WEBP"},
		{"a TIFF image", 0, 4, "II*\0"},      {"a TIFF image", 0, 4, "MM\0*"},
		{"a HEIC image", 4, 8, "ftypheic"},   {"a HEIC image", 4, 8, "ftypmif1"},
		{"an AVIF image", 4, 8, "ftypavif"},  {"a JPEG XL image", 0, 2, "\xff\x0a"},
		{"a JPEG XL image", 4, 4, "JXL "},    {"a JPEG 2000 image", 4, 4, "jP  "},
		{"a Photoshop image", 0, 4, "8BPS"},  {"an OpenEXR image", 0, 4, "\x76\x2f\x31\x01"},
		{"a Radiance HDR image", 0, 2, "#?"}, {"an ICO image", 0, 4, "\0\0\1\0"},
		{"a PDF document", 0, 5, "%PDF-"},    {"an SVG image or other XML", 0, 5, "<?xml"},
		{"an SVG image", 0, 4, "<svg"},       {"a web page", 0, 5, "<!DOC"},
		{"a web page", 0, 5, "<!doc"},        {"a web page", 0, 5, "<html"},
		{"a zip archive", 0, 4, "PK\3\4"},    {"a gzip archive", 0, 2, "\x1f\x8b"},
		{"a model file", 0, 4, "GGUF"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (file->size >= known[i].offset + known[i].length &&
		    memcmp(file->data + known[i].offset, known[i].magic, known[i].length) == 0)
			return known[i].name;
	return NULL;
}

/* The kind whose signature the file begins with; a file shorter than the signature counts as truncated. */
static enum image_kind sniff(const struct image_bytes *file)
{
	static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
	const uint8_t *p = file->data;
	size_t n = file->size;
	if (memcmp(p, png, n < sizeof(png) ? n : sizeof(png)) == 0)
		return IMAGE_KIND_PNG;
	if (memcmp(p, jpeg, n < sizeof(jpeg) ? n : sizeof(jpeg)) == 0)
		return IMAGE_KIND_JPEG;
	/* Two letters are little evidence: the reserved words of a BMP are 0, a PNM goes on with white space. */
	if (n >= 2 && p[0] == 'B' && p[1] == 'M' && (n < 10 || le32(p + 6) == 0))
		return IMAGE_KIND_BMP;
	if (n >= 2 && p[0] == 'P' && p[1] >= '1' && p[1] <= '7' &&
	    (n == 2 || p[2] == ' ' || p[2] == '#' || (p[2] >= '\t' && p[2] <= '\r')))
		return IMAGE_KIND_PNM;
	return IMAGE_KIND_NONE;
}

enum glip_status glip__image_examine(const struct image_bytes *file, struct image_header *out, struct glip_error *err)
{
	memset(out, 0, sizeof(*out));
	if (file->size == 0)
		return glip__fail(err, GLIP_ERR_IMAGE, "%s: the file is empty", file->name);
	out->kind = sniff(file);
	switch (out->kind) {
	case IMAGE_KIND_JPEG: return glip__jpeg_examine(file, out, err);
	case IMAGE_KIND_PNG: return glip__png_examine(file, out, err);
	case IMAGE_KIND_BMP: return examine_bmp(file, out, err);
	case IMAGE_KIND_PNM: return examine_pnm(file, out, err);
	case IMAGE_KIND_NONE: break;
	}
	const char *foreign = foreign_format(file);
	if (foreign)
		return glip__fail(err, GLIP_ERR_IMAGE, "%s: %s; JPEG, PNG, BMP and PNM can be read", file->name, foreign);
	return glip__fail(err, GLIP_ERR_IMAGE, "%s: not an image in a known format (JPEG, PNG, BMP, PNM)", file->name);
}
