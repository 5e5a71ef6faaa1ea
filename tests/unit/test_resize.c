/* Resizing and normalising, byte for byte and bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/preprocess.h"
#include "support/alloc_probe.h"
#include "support/json.h"
#include "support/npy.h"

static struct glip_image load(const char *path)
{
	struct glip_image image = {0};
	struct glip_error err = {GLIP_OK, ""};
	if (glip_image_load(path, NULL, &image, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	return image;
}

static uint8_t *resize(const struct glip_image *image, struct image_size size)
{
	struct glip_error err = {GLIP_OK, ""};
	uint8_t *out = malloc((size_t)size.width * (size_t)size.height * 3);
	assert_non_null(out);
	if (glip__resize(image, size, NULL, &glip__default_allocator, out, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	return out;
}

/* However many threads there are, each byte is the same. */
static void test_threads(void **state)
{
	(void)state;
	static const struct image_size sizes[] = {{61, 380}, {200, 120}, {7, 33}, {370, 64}, {1, 1}};
	struct glip_image source = load("tests/data/images/resize.png");
	for (int threads = 2; threads <= 5; threads += 3) {
		struct pool *pool;
		assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &pool, NULL), GLIP_OK);
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			size_t bytes = (size_t)sizes[i].width * (size_t)sizes[i].height * 3;
			uint8_t *alone = resize(&source, sizes[i]), *together = malloc(bytes);
			assert_non_null(together);
			assert_int_equal(glip__resize(&source, sizes[i], pool, &glip__default_allocator, together, NULL), GLIP_OK);
			assert_memory_equal(together, alone, bytes);
			free(alone);
			free(together);
		}
		glip__pool_free(pool);
	}
	glip_image_free(&source);
}

static size_t different_bytes(const uint8_t *a, const uint8_t *b, size_t count)
{
	size_t different = 0;
	for (size_t i = 0; i < count; i++)
		different += a[i] != b[i];
	return different;
}

/* Compares with a picture that Pillow resized; returns the bytes that differ. */
static size_t compare_resized(const struct glip_image *source, const char *path, struct image_size size)
{
	struct glip_image expected = load(path);
	assert_int_equal(expected.width, size.width);
	assert_int_equal(expected.height, size.height);
	uint8_t *out = resize(source, size);
	size_t different = different_bytes(out, expected.pixels, (size_t)size.width * (size_t)size.height * 3);
	free(out);
	glip_image_free(&expected);
	return different;
}

static void test_equals_pillow(void **state)
{
	(void)state;
	static const struct image_size sizes[] = {{61, 38}, {20, 12}, {7, 5}, {37, 9}, {11, 23}, {1, 1}, {100, 3}};
	struct glip_image source = load("tests/data/images/resize.png");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char path[128];
		snprintf(path, sizeof(path), "tests/data/images/resize_%dx%d.png", sizes[i].width, sizes[i].height);
		size_t different = compare_resized(&source, path, sizes[i]);
		if (different)
			fail_msg("%s: %zu bytes differ", path, different);
	}
	glip_image_free(&source);
}

/* The same picture in every format, with a stride of its own and upside down in memory. */
static void test_pixel_formats(void **state)
{
	(void)state;
	struct image_size size = {21, 17};
	struct glip_image source = load("tests/data/images/resize.png");
	uint8_t *expected = resize(&source, size);
	size_t bytes = (size_t)size.width * (size_t)size.height * 3;
	for (int format = GLIP_PIXEL_RGB; format <= GLIP_PIXEL_BGRA; format++) {
		size_t channel[3], pixel = glip__pixel_layout((enum glip_pixel_format)format, channel);
		for (int down = 0; down < 2; down++) {
			size_t stride = (size_t)source.width * pixel + 5;
			uint8_t *copy = calloc((size_t)source.height, stride);
			assert_non_null(copy);
			for (int y = 0; y < source.height; y++) {
				uint8_t *row = copy + (size_t)(down ? source.height - 1 - y : y) * stride;
				for (int x = 0; x < source.width; x++)
					for (int c = 0; c < 3; c++)
						row[(size_t)x * pixel + channel[c]] =
							source.pixels[(size_t)(y * source.width + x) * 3 + (size_t)c];
			}
			struct glip_image image = {.width = source.width, .height = source.height};
			image.format = (enum glip_pixel_format)format;
			image.pixels = down ? copy + (size_t)(source.height - 1) * stride : copy;
			image.stride = down ? -(ptrdiff_t)stride : (ptrdiff_t)stride;
			assert_int_equal(glip__image_check(&image, NULL), GLIP_OK);
			uint8_t *out = resize(&image, size);
			assert_int_equal(different_bytes(out, expected, bytes), 0);
			free(out);
			free(copy);
		}
	}
	free(expected);
	glip_image_free(&source);
}

static void test_grey_is_spread(void **state)
{
	(void)state;
	uint8_t pixels[6] = {0, 50, 100, 150, 200, 250};
	struct glip_image image = {.pixels = pixels, .width = 3, .height = 2, .format = GLIP_PIXEL_GRAY};
	struct image_size size = {3, 2};
	uint8_t *out = resize(&image, size);
	for (int i = 0; i < 18; i++)
		assert_int_equal(out[i], pixels[i / 3]);
	free(out);
}

/* Very thin and very large sources need little scratch: a constant picture stays constant. */
static void test_extreme_shapes(void **state)
{
	(void)state;
	static const struct {
		int width, height;
		struct image_size size;
	} shapes[] = {
		{200000, 7, {32768, 1}}, {7, 200000, {1, 32768}}, {9000, 3000, {5, 3}}, {1, 1, {800, 800}}, {3, 1, {2, 900}}};
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		size_t bytes = (size_t)shapes[i].width * (size_t)shapes[i].height;
		uint8_t *pixels = malloc(bytes);
		assert_non_null(pixels);
		memset(pixels, 173, bytes);
		struct glip_image image = {
			.pixels = pixels, .width = shapes[i].width, .height = shapes[i].height, .format = GLIP_PIXEL_GRAY};
		struct alloc_probe probe;
		alloc_probe_init(&probe);
		size_t out_bytes = (size_t)shapes[i].size.width * (size_t)shapes[i].size.height * 3;
		uint8_t *out = malloc(out_bytes);
		assert_non_null(out);
		assert_int_equal(glip__resize(&image, shapes[i].size, NULL, &probe.allocator, out, NULL), GLIP_OK);
		for (size_t k = 0; k < out_bytes; k++)
			if (out[k] != 173)
				fail_msg("%d x %d: byte %zu is %d", shapes[i].width, shapes[i].height, k, out[k]);
		assert_int_equal(probe.live, 0);
		assert_true(probe.peak < 16u << 20);
		free(out);
		free(pixels);
	}
}

static void test_resize_out_of_memory(void **state)
{
	(void)state;
	struct glip_image source = load("tests/data/images/resize.png");
	struct image_size size = {50, 40};
	uint8_t *expected = resize(&source, size), *out = malloc(50 * 40 * 3);
	struct alloc_probe probe;
	alloc_probe_init(&probe);
	long n = 1;
	for (;; n++) {
		struct glip_error err = {GLIP_OK, ""};
		alloc_probe_arm(&probe, n, 0);
		enum glip_status status = glip__resize(&source, size, NULL, &probe.allocator, out, &err);
		assert_int_equal(probe.live, 0);
		if (status == GLIP_OK)
			break;
		assert_int_equal(status, GLIP_ERR_NOMEM);
		assert_true(err.message[0] != '\0');
	}
	assert_true(n > 5);
	assert_int_equal(different_bytes(out, expected, 50 * 40 * 3), 0);
	free(out);
	free(expected);
	glip_image_free(&source);
}

static void test_network_size(void **state)
{
	(void)state;
	static const struct {
		struct image_size image;
		int short_side, long_side;
		struct image_size expected;
	} cases[] = {
		{{1200, 901}, 800, 1333, {1065, 800}},
		{{1200, 901}, 800, 0, {1065, 800}},
		{{640, 480}, 800, 1333, {1066, 800}},
		{{480, 640}, 800, 1333, {800, 1066}},
		{{1000, 1000}, 800, 1333, {800, 800}},
		{{1, 1}, 800, 1333, {800, 800}},
		/* Over the cap: 1333 * 500 / 1000 = 666.5 goes to the even 666. */
		{{1000, 500}, 800, 1333, {1332, 666}},
		{{500, 1000}, 800, 1333, {666, 1332}},
		/* 10 * 150 / 200 = 7.5 goes to the even 8. */
		{{200, 150}, 100, 10, {10, 8}},
		{{2000, 500}, 800, 0, {3200, 800}},
		{{1333, 800}, 800, 1333, {1333, 800}},
		{{3000, 1001}, 800, 1333, {1333, 445}},
		{{4096, 3}, 800, 1333, {1365, 1}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct image_size out = {0, 0};
		struct glip_error err = {GLIP_OK, ""};
		enum glip_status status =
			glip__network_size(cases[i].image, cases[i].short_side, cases[i].long_side, &out, &err);
		if (status != GLIP_OK || out.width != cases[i].expected.width || out.height != cases[i].expected.height)
			fail_msg("%d x %d: %d x %d %s", cases[i].image.width, cases[i].image.height, out.width, out.height,
			         err.message);
	}
}

static void test_network_size_errors(void **state)
{
	(void)state;
	struct image_size out = {7, 7};
	struct glip_error err;
	struct image_size image = {640, 480};
	assert_int_equal(glip__network_size(image, 0, 0, &out, &err), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(err.message, "short_side is 0"));
	assert_int_equal(glip__network_size(image, 8193, 0, &out, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip__network_size(image, 800, -1, &out, &err), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(err.message, "long_side is -1"));
	assert_int_equal(glip__network_size((struct image_size){5000, 1}, 800, 1333, &out, &err), GLIP_ERR_IMAGE);
	assert_non_null(strstr(err.message, "5000 x 1 pixels is too thin"));
	assert_int_equal(glip__network_size((struct image_size){1, 5000}, 800, 0, &out, &err), GLIP_ERR_IMAGE);
	assert_int_equal(glip__network_size((struct image_size){INT32_MAX, 1}, 8192, 0, &out, NULL), GLIP_ERR_IMAGE);
	assert_int_equal(out.width, 7);
}

static void test_image_check(void **state)
{
	(void)state;
	uint8_t pixels[12] = {0};
	struct glip_image good = {.pixels = pixels, .width = 2, .height = 2};
	struct glip_image bad[] = {good, good, good, good, good, good};
	bad[0].pixels = NULL;
	bad[1].width = 0;
	bad[2].height = -3;
	bad[3].stride = 5;
	bad[4].format = (enum glip_pixel_format)9;
	bad[5].stride = -5;
	assert_int_equal(glip__image_check(&good, NULL), GLIP_OK);
	assert_int_equal(glip__image_check(NULL, NULL), GLIP_ERR_ARGUMENT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct glip_error err = {GLIP_OK, ""};
		assert_int_equal(glip__image_check(&bad[i], &err), GLIP_ERR_ARGUMENT);
		assert_true(err.message[0] != '\0');
	}
}

static void test_normalise(void **state)
{
	(void)state;
	static const float mean[3] = {103.530f, 116.280f, 123.675f}, std[3] = {57.375f, 57.120f, 58.395f};
	uint8_t rgb[2 * 3 * 3];
	for (int i = 0; i < 18; i++)
		rgb[i] = (uint8_t)(i * 15);
	float out[4 * 5 * 3];
	glip__normalise(rgb, (struct image_size){3, 2}, (struct image_size){5, 4}, NULL, out);
	for (int y = 0; y < 4; y++)
		for (int x = 0; x < 5; x++)
			for (int c = 0; c < 3; c++) {
				float expected = 0.0f;
				if (x < 3 && y < 2)
					expected = ((float)rgb[(y * 3 + x) * 3 + 2 - c] - mean[c]) / std[c];
				assert_memory_equal(&out[(y * 5 + x) * 3 + c], &expected, sizeof(float));
			}
}

/* On several threads, rows of padding among them. */
static void test_normalise_on_threads(void **state)
{
	enum { WIDTH = 5, HEIGHT = 70, PADDED_WIDTH = 7, PADDED_HEIGHT = 140, COUNT = PADDED_HEIGHT * PADDED_WIDTH * 3 };
	const struct image_size size = {WIDTH, HEIGHT}, padded = {PADDED_WIDTH, PADDED_HEIGHT};
	uint8_t rgb[HEIGHT * WIDTH * 3];
	float alone[COUNT], out[COUNT];
	struct pool *pool;

	(void)state;
	for (size_t i = 0; i < sizeof rgb; i++)
		rgb[i] = (uint8_t)(i * 7);
	memset(out, 0xff, sizeof out);
	memset(alone, 0xff, sizeof alone);
	assert_int_equal(glip__pool_create(3, &glip__default_allocator, &pool, NULL), GLIP_OK);
	glip__normalise(rgb, size, padded, NULL, alone);
	glip__normalise(rgb, size, padded, pool, out);
	assert_memory_equal(out, alone, sizeof out);
	glip__pool_free(pool);
}

/* ---- The reference's cases, where they are ----------------------------------------------------------------------- */

static const char reference[] = "../shared/reference";

static struct image_size case_size(const struct json *object, const char *key)
{
	const struct json *pair = json_get(object, key);
	assert_int_equal(pair->length, 2);
	return (struct image_size){(int)pair->items[0].number, (int)pair->items[1].number};
}

/* The network's input against the dump: the whole of it, or 4096 samples. Values that are not bit-equal are counted. */
static size_t compare_input(const char *folder, const uint8_t *rgb, struct image_size size, struct image_size padded)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/input.npy", folder);
	struct npy npy;
	if (!npy_read(path, &npy))
		fail_msg("%s cannot be read", path);
	size_t plane = (size_t)padded.width * (size_t)padded.height, n = plane * 3, different = 0;
	float *out = malloc(n * sizeof(*out));
	assert_non_null(out);
	glip__normalise(rgb, size, padded, NULL, out);
	size_t count = (size_t)npy.count;
	assert_true(count == n || count == 4096);
	for (size_t k = 0; k < count; k++) {
		size_t flat = count == n ? k : k * n / 4096;
		different += memcmp(&npy.data[k], &out[flat % plane * 3 + flat / plane], sizeof(float)) != 0;
	}
	free(out);
	npy_free(&npy);
	return different;
}

static void check_case(const char *name)
{
	char folder[128], path[256];
	snprintf(folder, sizeof(folder), "%s/cases/%s", reference, name);
	snprintf(path, sizeof(path), "%s/case.json", folder);
	size_t length;
	char *text = test_read_file(path, &length);
	if (!text)
		fail_msg("%s cannot be read", path);
	struct json *json = json_parse(text, length);
	struct image_size image_size = case_size(json, "image_size"), network = case_size(json, "network_size");
	struct image_size padded = case_size(json, "padded_size"), computed = {0, 0};
	const struct json *cap = json_get(json, "longest_side");
	int long_side = cap->kind == JSON_NUMBER ? (int)cap->number : 0;
	int short_side = (int)json_get(json, "short_side")->number;
	assert_int_equal(glip__network_size(image_size, short_side, long_side, &computed, NULL), GLIP_OK);
	assert_int_equal(computed.width, network.width);
	assert_int_equal(computed.height, network.height);
	snprintf(path, sizeof(path), "%s/images/%s", reference, json_get(json, "image")->text);
	struct glip_image source = load(path);
	snprintf(path, sizeof(path), "%s/resized.png", folder);
	size_t bytes = (size_t)network.width * (size_t)network.height * 3;
	size_t different = compare_resized(&source, path, network);
	uint8_t *rgb = resize(&source, network);
	size_t floats = compare_input(folder, rgb, network, padded);
	printf("%-16s %4d x %-4d  %zu of %zu bytes differ, %zu inputs differ\n", name, network.width, network.height,
	       different, bytes, floats);
	assert_int_equal(different, 0);
	assert_int_equal(floats, 0);
	free(rgb);
	glip_image_free(&source);
	json_free(json);
	free(text);
}

static void test_reference_cases(void **state)
{
	(void)state;
	static const char *const names[] = {"glip-a-coco80",  "glip-t-classes", "glip-t-phrases",
	                                    "mini-a-classes", "mini-l-classes", "mini-t-classes",
	                                    "mini-t-coco80",  "mini-t-phrases", "mini-t-portrait"};
	FILE *there = fopen("../shared/reference/README.md", "rb");
	if (!there)
		skip();
	fclose(there);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check_case(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equals_pillow),        cmocka_unit_test(test_threads),
		cmocka_unit_test(test_pixel_formats),        cmocka_unit_test(test_grey_is_spread),
		cmocka_unit_test(test_extreme_shapes),       cmocka_unit_test(test_resize_out_of_memory),
		cmocka_unit_test(test_network_size),         cmocka_unit_test(test_network_size_errors),
		cmocka_unit_test(test_image_check),          cmocka_unit_test(test_normalise),
		cmocka_unit_test(test_normalise_on_threads), cmocka_unit_test(test_reference_cases),
	};
	return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
