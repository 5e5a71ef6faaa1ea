#include "support/image_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/json.h"

struct bytes bytes_splice(struct bytes b, size_t from, size_t to, const void *extra, size_t count)
{
	struct bytes out = {malloc(b.size - (to - from) + count), b.size - (to - from) + count};
	assert_non_null(out.data);
	memcpy(out.data, b.data, from);
	if (count)
		memcpy(out.data + from, extra, count);
	memcpy(out.data + from + count, b.data + to, b.size - to);
	return out;
}

struct bytes bytes_prefix(struct bytes b, size_t n)
{
	return bytes_splice(b, n, b.size, NULL, 0);
}

struct bytes read_image(const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "tests/data/images/%s", name);
	struct bytes b = {NULL, 0};
	char *text = test_read_file(path, &b.size);
	if (!text)
		fail_msg("%s cannot be read", path);
	/* It is terminated: a byte too many. */
	b.data = (uint8_t *)text;
	struct bytes out = bytes_prefix(b, b.size);
	free(text);
	return out;
}

size_t find_marker(struct bytes b, uint8_t marker, size_t from)
{
	for (size_t i = from; i + 1 < b.size; i++)
		if (b.data[i] == 0xff && b.data[i + 1] == marker)
			return i;
	fail_msg("there is no marker %02x", marker);
	return 0;
}

struct glip_image_options probed_options(struct alloc_probe *probe)
{
	struct glip_image_options options;
	glip_image_options_init(&options);
	options.allocator = &probe->allocator;
	return options;
}

void flip_every_bit(struct damage *d, struct bytes b, const char *name)
{
	damage_init(d);
	struct glip_image_options options = probed_options(&d->probe);
	/* A flipped size may make a picture of many pixels: not here. */
	options.max_pixels = 1 << 16;
	for (size_t bit = 0; bit < b.size * 8; bit += damage_step()) {
		struct glip_image image = {0};
		struct glip_error err = {GLIP_OK, ""};
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		damage_begin(d);
		enum glip_status status = glip_image_decode(b.data, b.size, "x", &options, &image, &err);
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(status == GLIP_OK, image.pixels != NULL);
		assert_int_equal(status != GLIP_OK, err.message[0] != '\0');
		glip_image_free(&image);
		damage_end(d, status, err.message, name, bit);
	}
	damage_summary(d, name, 1);
}

void fail_every_allocation(struct bytes b)
{
	struct alloc_probe probe;
	alloc_probe_init(&probe);
	struct glip_image_options options = probed_options(&probe);
	int done = 0;
	for (long n = 1; !done; n++)
		for (int all_after = 0; all_after < 2; all_after++) {
			struct glip_image image = {0};
			struct glip_error err = {GLIP_OK, ""};
			alloc_probe_arm(&probe, n, all_after);
			enum glip_status status = glip_image_decode(b.data, b.size, "x", &options, &image, &err);
			done = status == GLIP_OK;
			assert_true(done || (status == GLIP_ERR_NOMEM && strncmp(err.message, "out of memory for x (", 21) == 0));
			assert_int_equal(probe.live, done ? 1 : 0);
			glip_image_free(&image);
			assert_int_equal(probe.live, 0);
		}
}
