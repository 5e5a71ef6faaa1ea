/* Drawing: shapes, text, where labels go, and files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "image/canvas.h"
#include "image/stroke_font.h"
#include "image/stroke_glyphs.h"
#include "support/alloc_probe.h"

static char folder[] = "/tmp/glip-draw-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	/* Fails, and so does the program, where a temporary file was left behind. */
	return rmdir(folder);
}

static const char *file_path(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* A plain grey picture, with boxes drawn on it, read back. */
static struct glip_image drawn(int width, int height, const struct glip_draw_box *boxes, size_t count, const char *name)
{
	size_t bytes = (size_t)width * (size_t)height;
	uint8_t *grey = malloc(bytes);
	assert_non_null(grey);
	memset(grey, 128, bytes);
	struct glip_image image = {.pixels = grey, .width = width, .height = height, .format = GLIP_PIXEL_GRAY};
	struct glip_image out = {0};
	struct glip_error err = {GLIP_OK, ""};
	const char *path = file_path(name);
	if (glip_draw(&image, boxes, count, path, NULL, &err) != GLIP_OK ||
	    glip_image_load(path, NULL, &out, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	assert_int_equal(out.width, width);
	assert_int_equal(out.height, height);
	unlink(path);
	free(grey);
	return out;
}

static const uint8_t *pixel(const struct glip_image *image, int x, int y)
{
	return image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
}

static int is_grey(const struct glip_image *image, int x, int y)
{
	const uint8_t *p = pixel(image, x, y);
	return p[0] == 128 && p[1] == 128 && p[2] == 128;
}

static void test_nothing_drawn(void **state)
{
	(void)state;
	struct glip_image image = drawn(33, 21, NULL, 0, "a.png");
	for (int y = 0; y < 21; y++)
		for (int x = 0; x < 33; x++)
			assert_true(is_grey(&image, x, y));
	glip_image_free(&image);
}

static void test_box(void **state)
{
	(void)state;
	struct glip_draw_box box = {{20, 30, 80, 90}, 0, NULL};
	struct glip_image image = drawn(100, 120, &box, 1, "box.PNG");
	/* The middle of each side is in the colour, inside and outside are untouched. */
	static const int on[4][2] = {{50, 30}, {50, 89}, {20, 60}, {79, 60}};
	for (int i = 0; i < 4; i++) {
		const uint8_t *p = pixel(&image, on[i][0], on[i][1]);
		assert_int_equal(p[0], 230);
		assert_int_equal(p[1], 50);
		assert_int_equal(p[2], 60);
	}
	assert_true(is_grey(&image, 50, 60));
	assert_true(is_grey(&image, 10, 60));
	assert_true(is_grey(&image, 50, 100));
	glip_image_free(&image);
}

static void test_colors_differ(void **state)
{
	(void)state;
	uint8_t seen[17][3];
	for (size_t color = 0; color < 17; color++) {
		struct glip_draw_box box = {{5, 5, 35, 35}, color, ""};
		struct glip_image image = drawn(40, 40, &box, 1, "c.png");
		memcpy(seen[color], pixel(&image, 20, 5), 3);
		for (size_t i = 0; i < color && color < 16; i++)
			assert_true(memcmp(seen[i], seen[color], 3) != 0);
		glip_image_free(&image);
	}
	assert_memory_equal(seen[0], seen[16], 3);
}

/* Bounds of what is not grey; false where all is. */
static int changed_bounds(const struct glip_image *image, int bounds[4])
{
	bounds[0] = image->width, bounds[1] = image->height, bounds[2] = -1, bounds[3] = -1;
	for (int y = 0; y < image->height; y++)
		for (int x = 0; x < image->width; x++)
			if (!is_grey(image, x, y)) {
				bounds[0] = x < bounds[0] ? x : bounds[0];
				bounds[1] = y < bounds[1] ? y : bounds[1];
				bounds[2] = x > bounds[2] ? x : bounds[2];
				bounds[3] = y > bounds[3] ? y : bounds[3];
			}
	return bounds[2] >= 0;
}

static void test_label_above_or_inside(void **state)
{
	(void)state;
	int bounds[4];
	struct glip_draw_box box = {{60, 100, 200, 200}, 1, "cat 0.93"};
	struct glip_image image = drawn(400, 300, &box, 1, "above.png");
	assert_true(changed_bounds(&image, bounds));
	assert_in_range(bounds[1], 80, 95);
	assert_in_range(bounds[3], 199, 201);
	glip_image_free(&image);
	/* No room above: inside. */
	box.box[1] = 3;
	image = drawn(400, 300, &box, 1, "inside.png");
	assert_true(!is_grey(&image, 70, 8));
	assert_true(!is_grey(&image, 70, 12));
	assert_true(is_grey(&image, 70, 40));
	glip_image_free(&image);
}

/* Two equal boxes: the second label does not cover the first. */
static void test_labels_do_not_overlap(void **state)
{
	(void)state;
	struct glip_draw_box boxes[2] = {{{60, 100, 200, 200}, 0, "first"}, {{60, 100, 200, 200}, 1, "second"}};
	struct glip_image one = drawn(400, 300, boxes, 1, "one.png"), two = drawn(400, 300, boxes, 2, "two.png");
	for (int y = 80; y < 98; y++)
		for (int x = 60; x < 200; x++)
			assert_memory_equal(pixel(&one, x, y), pixel(&two, x, y), 3);
	assert_true(!is_grey(&two, 66, 106));
	glip_image_free(&one);
	glip_image_free(&two);
}

/* Boxes that leave the image, are reversed or have no area, texts that are far too long, tiny images. */
static void test_odd_boxes(void **state)
{
	(void)state;
	char text[2000];
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[sizeof(text) - 2] = '\0';
	const struct glip_draw_box boxes[] = {
		{{-1e30f, -1e30f, 1e30f, 1e30f}, 0, "all"},
		{{50, 50, 10, 10}, 1, "reversed"},
		{{30, 30, 30, 30}, 2, "a point"},
		{{1e9f, 1e9f, 2e9f, 2e9f}, 3, "outside"},
		{{-50, 5, -20, 9}, (size_t)-1, text},
		{{3, 3, 20, 20}, 5, "\xff\xfe not UTF-8 \x01\n\t"},
		{{3, 3, 20, 20}, 6, "\xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x90\xb1\xef\xb8\x8f"},
	};
	static const int sizes[][2] = {{1, 1}, {2, 7}, {60, 60}, {300, 1}, {1, 300}, {640, 400}};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int bounds[4];
		struct glip_image image = drawn(sizes[i][0], sizes[i][1], boxes, sizeof(boxes) / sizeof(boxes[0]), "odd.png");
		assert_true(changed_bounds(&image, bounds));
		glip_image_free(&image);
	}
}

static void test_jpeg(void **state)
{
	(void)state;
	struct glip_draw_box box = {{20, 30, 80, 90}, 1, "dog"};
	static const char *const names[] = {"a.jpg", "a.JPEG"};
	for (int i = 0; i < 2; i++) {
		struct glip_image image = drawn(100, 120, &box, 1, names[i]);
		for (int c = 0; c < 3; c++)
			assert_in_range(pixel(&image, 50, 60)[c], 126, 130);
		glip_image_free(&image);
	}
}

static void test_arguments(void **state)
{
	(void)state;
	uint8_t grey[4] = {0};
	struct glip_image image = {.pixels = grey, .width = 2, .height = 2, .format = GLIP_PIXEL_GRAY};
	struct glip_draw_box box = {{0, 0, NAN, 1}, 0, NULL};
	struct glip_error err;
	assert_int_equal(glip_draw(&image, NULL, 0, "x.gif", NULL, &err), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(err.message, "x.gif: a picture is written as .png, .jpg or .jpeg"));
	assert_int_equal(glip_draw(&image, NULL, 0, "png", NULL, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_draw(NULL, NULL, 0, "x.png", NULL, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_draw(&image, NULL, 1, "x.png", NULL, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_draw(&image, NULL, 0, NULL, NULL, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip_draw(&image, &box, 1, "x.png", NULL, &err), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(err.message, "box 0 has a coordinate that is not a number"));
	assert_int_equal(glip_draw(&image, NULL, 0, "/none/x.png", NULL, &err), GLIP_ERR_IO);
	assert_non_null(strstr(err.message, "/none/x.png"));
	image.width = 70000;
	image.height = 1;
	assert_int_equal(glip_draw(&image, NULL, 0, "x.jpg", NULL, &err), GLIP_ERR_LIMIT);
	image.width = 40000;
	image.height = 40000;
	assert_int_equal(glip_draw(&image, NULL, 0, "x.png", NULL, &err), GLIP_ERR_LIMIT);
}

/* Each allocation in turn fails: a status, no leak, no file; remove_folder() sees to the temporary ones. */
static void test_out_of_memory(void **state)
{
	(void)state;
	uint8_t grey[64 * 64] = {0};
	struct glip_image image = {.pixels = grey, .width = 64, .height = 64, .format = GLIP_PIXEL_GRAY};
	struct glip_draw_box box = {{5, 5, 50, 50}, 0, "x"};
	static const char *const names[] = {"oom.png", "oom.jpg"};
	for (int i = 0; i < 2; i++) {
		struct alloc_probe probe;
		alloc_probe_init(&probe);
		const char *path = file_path(names[i]);
		enum glip_status status = GLIP_ERR_NOMEM;
		for (long n = 1; status != GLIP_OK; n++) {
			struct glip_error err = {GLIP_OK, ""};
			alloc_probe_arm(&probe, n, 0);
			status = glip_draw(&image, &box, 1, path, &probe.allocator, &err);
			assert_true(status == GLIP_OK || status == GLIP_ERR_NOMEM);
			assert_int_equal(probe.live, 0);
			assert_int_equal(access(path, F_OK) == 0, status == GLIP_OK);
		}
		unlink(path);
	}
}

static void test_text_width(void **state)
{
	(void)state;
	assert_true(glip__text_width("", 0, 20) == 0.0f);
	float a = glip__text_width("a", 1, 20), aa = glip__text_width("aa", 2, 20);
	assert_true(a > 8 && a < 16 && aa > 2 * a);
	assert_true(fabsf(glip__text_width("aa", 2, 40) - 2 * aa) < 1e-3f);
	/* A mark adds nothing, alone or in the letter; a ligature is its letters. */
	assert_true(fabsf(glip__text_width("\xc3\xa4", 2, 20) - a) < 1e-4f);
	assert_true(fabsf(glip__text_width("a\xcc\x88", 3, 20) - a) < 1e-4f);
	assert_true(fabsf(glip__text_width("\xc3\xa6", 2, 20) - glip__text_width("ae", 2, 20)) < 1e-4f);
	assert_true(glip__text_width("\xe2\x80\x8d", 3, 20) == 0.0f);
}

/* Sum of ink of one character, in a canvas with room around it. */
static long ink(uint32_t code_point)
{
	enum { SIDE = 120 };
	static uint8_t rgb[SIDE * SIDE * 3];
	memset(rgb, 0, sizeof(rgb));
	struct canvas canvas = {rgb, SIDE, SIDE};
	char text[4];
	size_t length = glip__utf8_encode(code_point, text);
	glip__text_draw(&canvas, text, length, 30, 85, 40, (struct paint){255, 255, 255, 1.0f});
	long sum = 0;
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			long value = rgb[(y * SIDE + x) * 3];
			sum += value;
			/* Within the height that a label has, 1.86 capitals. */
			if (value && (y < 85 - 58 || y > 85 + 18))
				fail_msg("U+%04X leaves its line at %d, %d", (unsigned)code_point, x, y);
		}
	return sum;
}

static void test_every_glyph(void **state)
{
	(void)state;
	assert_int_equal(ink(' '), 0);
	for (uint32_t c = '!'; c < 0x7f; c++)
		assert_true(ink(c) > 255 * 10);
	for (uint32_t c = 0xc0; c < 0x180; c++) {
		struct composition parts;
		assert_true(glip__glyph(c) || (glip__compose(c, &parts) && glip__glyph(parts.base)));
		assert_true(ink(c) > 255 * 10);
	}
	assert_true(ink(0xe4) > ink('a'));
	assert_true(ink(0x65e5) > 255 * 10);
	assert_true(ink(0x65e5) == ink(0x6708));
}

/* A filled rectangle covers as much as its area, also between pixels. */
static void test_coverage(void **state)
{
	(void)state;
	uint8_t rgb[20 * 20 * 3] = {0};
	struct canvas canvas = {rgb, 20, 20};
	glip__canvas_fill(&canvas, (struct rect){3, 4, 9.5f, 10}, 0, (struct paint){200, 100, 50, 1.0f});
	assert_int_equal(rgb[(5 * 20 + 5) * 3], 200);
	assert_int_equal(rgb[(5 * 20 + 5) * 3 + 1], 100);
	assert_int_equal(rgb[(5 * 20 + 2) * 3], 0);
	assert_int_equal(rgb[(5 * 20 + 9) * 3], 100);
	assert_int_equal(rgb[(10 * 20 + 5) * 3], 0);
	/* Overlapping strokes are painted once. */
	memset(rgb, 0, sizeof(rgb));
	struct segment twice[2] = {{2, 10, 18, 10, 3}, {2, 10, 18, 10, 3}};
	glip__canvas_strokes(&canvas, twice, 2, (struct paint){200, 200, 200, 0.5f});
	assert_int_equal(rgb[(10 * 20 + 10) * 3], 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_drawn),
		cmocka_unit_test(test_box),
		cmocka_unit_test(test_colors_differ),
		cmocka_unit_test(test_label_above_or_inside),
		cmocka_unit_test(test_labels_do_not_overlap),
		cmocka_unit_test(test_odd_boxes),
		cmocka_unit_test(test_jpeg),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_text_width),
		cmocka_unit_test(test_every_glyph),
		cmocka_unit_test(test_coverage),
	};
	return cmocka_run_group_tests_name("draw", tests, make_folder, remove_folder);
}
