/* Image files: every format, and everything that can be wrong with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "support/image_case.h"

enum { WIDTH = 16, HEIGHT = 9 };

static const char *const every_format[] = {
	"rgb.png",  "rgba.png", "grey.png", "grey16.png",   "palette.png",     "rgb.bmp",
	"grey.bmp", "rgb.ppm",  "grey.pgm", "baseline.jpg", "progressive.jpg", "grey.jpg",
};
enum { FORMATS = sizeof(every_format) / sizeof(every_format[0]) };

/* Decodes bytes that must be refused, with this status and a message that names the image and says this. */
static void refuse(const void *data, size_t size, enum glip_status expected, const char *says)
{
	struct damage damage;
	damage_init(&damage);
	damage_begin(&damage);
	const struct glip_image_options options = probed_options(&damage.probe);
	struct glip_image image = {.width = -7};
	struct glip_error err = {GLIP_OK, ""};
	enum glip_status status = glip_image_decode(data, size, "the.image", &options, &image, &err);
	if (status != expected || !strstr(err.message, says) || strncmp(err.message, "the.image: ", 11) != 0)
		fail_msg("expected \"%s\" (%d), got \"%s\" (%d)", says, (int)expected, err.message, (int)status);
	assert_int_equal(err.code, status);
	assert_int_equal(image.width, -7);
	damage_end(&damage, status, err.message, says, size);
	assert_true(damage.probe.peak < 8u << 20);
}

/* The gradient that make_images.py draws. */
static int expected_value(int x, int y, int channel)
{
	return channel == 0 ? 15 * x : channel == 1 ? 28 * y : 255 - 7 * (x + y);
}

static void check_pixels(const char *name, const struct glip_image *image, int grey, int tolerance)
{
	assert_int_equal(image->width, WIDTH);
	assert_int_equal(image->height, HEIGHT);
	assert_int_equal(image->format, GLIP_PIXEL_RGB);
	assert_int_equal(image->stride, WIDTH * 3);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++)
			for (int c = 0; c < 3; c++) {
				int value = image->pixels[(y * WIDTH + x) * 3 + c], expected = expected_value(x, y, grey ? 0 : c);
				if (abs(value - expected) > tolerance)
					fail_msg("%s: %d instead of %d at %d, %d, channel %d", name, value, expected, x, y, c);
			}
}

static void test_every_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMATS; i++) {
		const char *name = every_format[i];
		char path[128];
		snprintf(path, sizeof(path), "tests/data/images/%s", name);
		struct glip_image image = {0};
		struct glip_error err = {GLIP_OK, ""};
		if (glip_image_load(path, NULL, &image, &err) != GLIP_OK)
			fail_msg("%s", err.message);
		int jpeg = strstr(name, ".jpg") != NULL;
		/* palette.png is the grey ramp in a palette. */
		int grey = strstr(name, "grey") != NULL || strstr(name, "palette") != NULL;
		check_pixels(name, &image, grey, jpeg ? 12 : 0);
		glip_image_free(&image);
		assert_null(image.pixels);
		assert_null(image.owner);
	}
}

static void test_pnm_maximum(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t size;
		uint8_t expected[2];
	} cases[] = {
		{"P5 2 1 15\n\x00\x0f", 12, {0, 255}},
		{"P5\n#a comment\n2 # another\n1 7\n\x03\x09", 33, {109, 255}},
		{"P5 2 1 65535\n\x12\xff\xfe\x00", 17, {0x12, 0xfe}},
		{"P5 2 1 1000\n\x01\xf4\x00\x00", 16, {128, 0}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct glip_image image = {0};
		struct glip_error err = {GLIP_OK, ""};
		if (glip_image_decode(cases[i].text, cases[i].size, NULL, NULL, &image, &err) != GLIP_OK)
			fail_msg("%s", err.message);
		for (int x = 0; x < 2; x++)
			for (int c = 0; c < 3; c++)
				assert_int_equal(image.pixels[x * 3 + c], cases[i].expected[x]);
		glip_image_free(&image);
	}
}

static void test_one_pixel(void **state)
{
	(void)state;
	struct glip_image image = {0};
	assert_int_equal(glip_image_decode("P6 1 1 255\nabc", 14, "x", NULL, &image, NULL), GLIP_OK);
	assert_int_equal(image.width, 1);
	assert_memory_equal(image.pixels, "abc", 3);
	glip_image_free(&image);
}

static void test_not_an_image(void **state)
{
	(void)state;
	refuse("", 0, GLIP_ERR_IMAGE, "the file is empty");
	refuse(NULL, 0, GLIP_ERR_IMAGE, "the file is empty");
	refuse("hello, world", 12, GLIP_ERR_IMAGE, "not an image in a known format (JPEG, PNG, BMP, PNM)");
	refuse("B", 1, GLIP_ERR_IMAGE, "not an image");
	refuse("GIF89a......", 12, GLIP_ERR_IMAGE, "a GIF image; JPEG, PNG, BMP and PNM can be read");
	refuse("RIFF\0\0\0\0WEBPVP8 ", 16, GLIP_ERR_IMAGE, "a WebP image");
	refuse("II*\0\x08\0\0\0", 8, GLIP_ERR_IMAGE, "a TIFF image");
	refuse("\0\0\0\x18"
	       "ftypheic",
	       12, GLIP_ERR_IMAGE, "a HEIC image");
	refuse("<!DOCTYPE html>", 15, GLIP_ERR_IMAGE, "a web page");
	refuse("GGUF\3\0\0\0", 8, GLIP_ERR_IMAGE, "a model file");
}

static void test_unsupported_kinds(void **state)
{
	(void)state;
	struct bytes cmyk = read_image("cmyk.jpg");
	refuse(cmyk.data, cmyk.size, GLIP_ERR_UNSUPPORTED, "a CMYK JPEG is not supported; convert it to RGB");
	free(cmyk.data);
	refuse("P3 1 1 255 1 2 3", 16, GLIP_ERR_UNSUPPORTED, "binary grey or colour");
	refuse("P7\nWIDTH 1\n", 11, GLIP_ERR_UNSUPPORTED, "PAM");

	static const struct {
		uint8_t marker;
		const char *says;
	} frames[] = {
		{0xc3, "a lossless JPEG"}, {0xc9, "an arithmetic-coded JPEG"}, {0xca, "arithmetic"}, {0xc5, "hierarchical"}};
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct bytes b = read_image("baseline.jpg");
		b.data[find_marker(b, 0xc0, 0) + 1] = frames[i].marker;
		refuse(b.data, b.size, GLIP_ERR_UNSUPPORTED, frames[i].says);
		free(b.data);
	}

	struct bytes bmp = read_image("grey.bmp");
	bmp.data[30] = 1;
	refuse(bmp.data, bmp.size, GLIP_ERR_UNSUPPORTED, "a run-length coded BMP");
	bmp.data[30] = 0;
	bmp.data[28] = 3;
	refuse(bmp.data, bmp.size, GLIP_ERR_UNSUPPORTED, "this BMP depth");
	bmp.data[14] = 41;
	refuse(bmp.data, bmp.size, GLIP_ERR_UNSUPPORTED, "this version of BMP");
	free(bmp.data);
}

/* A prefix of a file is never taken for the file, whatever its length. */
static void test_every_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMATS; i++) {
		struct bytes b = read_image(every_format[i]);
		for (size_t n = 1; n < b.size; n += damage_step()) {
			struct bytes part = bytes_prefix(b, n);
			/* Two letters tell a BMP or PNM from nothing; eight and three bytes a PNG or JPEG, but one will do. */
			int known = n >= 2 || strstr(every_format[i], ".png") || strstr(every_format[i], ".jpg");
			refuse(part.data, n, GLIP_ERR_IMAGE, known ? "truncated" : "not an image");
			free(part.data);
		}
		free(b.data);
	}
	/* PNM of two bytes a value. */
	static const char deep[2][26] = {"P5 2 2 65535\nabcdefgh", "P6 1 2 4095\nabcdefghijkl"};
	for (size_t i = 0; i < 2; i++)
		for (size_t n = 2; n < strlen(deep[i]); n++)
			refuse(deep[i], n, GLIP_ERR_IMAGE, "truncated");
}

static void test_every_bit_flip(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMATS; i++) {
		const char *name = every_format[i];
		struct damage damage;
		struct bytes b = read_image(name);
		flip_every_bit(&damage, b, name);
		assert_true(damage.refused > 0);
		/* Every critical byte of a PNG is under a checksum. */
		if (strcmp(name, "rgb.png") == 0)
			assert_int_equal(damage.accepted, 0);
		free(b.data);
	}
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t c = 0xffffffffu;
	for (size_t i = 0; i < n; i++) {
		c ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
	}
	return ~c;
}

static void put_be32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Makes a PNG's header good again. */
static void png_sign(struct bytes *b)
{
	put_be32(b->data + 29, crc32_of(b->data + 12, 17));
}

static void png_resize(struct bytes *b, uint32_t width, uint32_t height)
{
	put_be32(b->data + 16, width);
	put_be32(b->data + 20, height);
	png_sign(b);
}

/* Fields behind the size: depth, colour, compression, filter, interlacing; the chunk's length and name. */
static void test_png_headers(void **state)
{
	(void)state;
	static const uint8_t fields[][5] = {{3, 0}, {16, 3},  {4, 2}, {1, 4},  {4, 6},    {8, 1},       {8, 5},
	                                    {8, 7}, {8, 255}, {0, 0}, {32, 2}, {8, 2, 1}, {8, 2, 0, 1}, {8, 2, 0, 0, 2}};
	struct bytes b = read_image("rgb.png"), original = read_image("rgb.png");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		memcpy(b.data + 24, fields[i], 5);
		png_sign(&b);
		refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG image: its header holds a combination that does not exist");
	}
	memcpy(b.data, original.data, b.size);
	b.data[11] = 12;
	put_be32(b.data + 28, crc32_of(b.data + 12, 16));
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG image: its header has the wrong length");
	memcpy(b.data, original.data, b.size);
	memcpy(b.data + 12, "IDAT", 4);
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG image: its first chunk is not IHDR");
	memcpy(b.data + 12, "CgBI", 4);
	refuse(b.data, b.size, GLIP_ERR_UNSUPPORTED, "Apple's own PNG variant");
	memcpy(b.data, original.data, b.size);
	put_be32(b.data + 33, 0x80000000u);
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG image: a chunk claims more than 2 GiB");
	free(b.data);
	free(original.data);
}

static void test_sizes(void **state)
{
	(void)state;
	struct bytes b = read_image("rgb.png");
	png_resize(&b, 20000, 20000);
	refuse(b.data, b.size, GLIP_ERR_LIMIT, "20000 x 20000 pixels are more than the limit of 67108864");
	png_resize(&b, 0, 9);
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG image: its width or height is 0");
	png_resize(&b, 0x80000000u, 9);
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG");
	png_resize(&b, 0x7fffffffu, 0x7fffffffu);
	refuse(b.data, b.size, GLIP_ERR_LIMIT, "more than the limit");
	png_resize(&b, WIDTH, HEIGHT + 1);
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "damaged PNG");
	free(b.data);
	refuse("P5 0 3 255\n", 11, GLIP_ERR_IMAGE, "width or height is 0");
	refuse("P5 3 3 0\nxxxxxxxxx", 18, GLIP_ERR_IMAGE, "its maximum is not 1 to 65535");
	refuse("P5 3 x 255\n", 11, GLIP_ERR_IMAGE, "lacks width, height or maximum");
	refuse("P5 99999999999999999999 3 255\n", 30, GLIP_ERR_IMAGE, "lacks width");
}

static void test_damaged(void **state)
{
	(void)state;
	struct bytes b = read_image("bomb.png");
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "it holds more data than its size can need");
	free(b.data);
	b = read_image("rgb.png");
	b.data[b.size - 25] ^= 1;
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "the checksum of a chunk is wrong");
	b.data[33 + 4] = 'X';
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "the checksum of a chunk is wrong");
	free(b.data);
	b = read_image("rgb.bmp");
	b.data[10] = 20;
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "its pixels would begin inside its header");
	free(b.data);
	/* Codes of a Huffman table that would run over its end. */
	b = read_image("baseline.jpg");
	memset(b.data + find_marker(b, 0xc4, 0) + 5, 255, 16);
	refuse(b.data, b.size, GLIP_ERR_IMAGE, "a Huffman table has too many codes");
	free(b.data);
	refuse("\xff\xd8\xff\xd9", 4, GLIP_ERR_IMAGE, "it has no picture data");
	refuse("\xff\xd8\xff\xe0\0\1....", 10, GLIP_ERR_IMAGE, "shorter than its length field");
}

static void test_limits(void **state)
{
	(void)state;
	struct bytes b = read_image("rgb.png");
	struct glip_image image = {0};
	struct glip_error err;
	struct glip_image_options options;
	glip_image_options_init(&options);
	assert_int_equal(options.struct_size, sizeof(options));
	assert_int_equal(options.max_pixels, 64u * 1024 * 1024);
	assert_int_equal(options.max_bytes, 1u << 30);
	options.max_pixels = WIDTH * HEIGHT - 1;
	assert_int_equal(glip_image_decode(b.data, b.size, "x", &options, &image, &err), GLIP_ERR_LIMIT);
	options.max_pixels = WIDTH * HEIGHT;
	options.max_bytes = 500;
	assert_int_equal(glip_image_decode(b.data, b.size, "x", &options, &image, &err), GLIP_ERR_LIMIT);
	assert_non_null(strstr(err.message, "more than the limit of 500 bytes"));
	options.max_bytes = 100000;
	assert_int_equal(glip_image_decode(b.data, b.size, "x", &options, &image, &err), GLIP_OK);
	glip_image_free(&image);
	options.struct_size = 0;
	assert_int_equal(glip_image_decode(b.data, b.size, "x", &options, &image, &err), GLIP_ERR_ARGUMENT);
	/* A struct of an older version, that ends after the allocator. */
	options.struct_size = offsetof(struct glip_image_options, max_pixels);
	options.max_pixels = 1;
	assert_int_equal(glip_image_decode(b.data, b.size, "x", &options, &image, &err), GLIP_OK);
	glip_image_free(&image);
	free(b.data);
}

static void test_arguments(void **state)
{
	(void)state;
	struct glip_image image = {0};
	assert_int_equal(glip_image_decode("x", 1, "x", NULL, NULL, NULL), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_image_decode(NULL, 1, "x", NULL, &image, NULL), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_image_load(NULL, NULL, &image, NULL), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_image_load("x", NULL, NULL, NULL), GLIP_ERR_ARGUMENT);
	glip_image_free(NULL);
	uint8_t pixel[3] = {1, 2, 3};
	image = (struct glip_image){.pixels = pixel, .width = 1, .height = 1};
	glip_image_free(&image);
	assert_ptr_equal(image.pixels, pixel);
}

static void test_files(void **state)
{
	(void)state;
	struct glip_image image = {0};
	struct glip_error err;
	assert_int_equal(glip_image_load("tests/data/images/none.png", NULL, &image, &err), GLIP_ERR_IO);
	assert_non_null(strstr(err.message, "tests/data/images/none.png"));
	assert_int_equal(glip_image_load("tests/data/images", NULL, &image, &err), GLIP_ERR_IO);
	char path[] = "/tmp/glip-image-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(glip_image_load(path, NULL, &image, &err), GLIP_ERR_IMAGE);
	assert_non_null(strstr(err.message, "the file is empty"));
	assert_non_null(strstr(err.message, path));
	unlink(path);
}

static void test_out_of_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < FORMATS; i++) {
		struct bytes b = read_image(every_format[i]);
		fail_every_allocation(b);
		free(b.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_format),
		cmocka_unit_test(test_pnm_maximum),
		cmocka_unit_test(test_one_pixel),
		cmocka_unit_test(test_not_an_image),
		cmocka_unit_test(test_unsupported_kinds),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_bit_flip),
		cmocka_unit_test(test_png_headers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_out_of_memory),
	};
	return cmocka_run_group_tests_name("image decode", tests, NULL, NULL);
}
