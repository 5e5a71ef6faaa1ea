/* What the two JPEG decoders make of the same file, sound or not: libjpeg-turbo the pixels of Pillow, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/image_write.h"
#include "image/jpeg_decode.h"
#include "support/image_case.h"
#include "turbo_memory.h"

enum { WIDTH = 29, HEIGHT = 19 };

static const char *const kinds[] = {
	"444", "422", "420", "411", "coarse", "luma", "progressive", "restart", "adobe_rgb",
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int is_turbo(void)
{
	return strncmp(glip__jpeg_decoder(), "libjpeg-turbo ", 14) == 0;
}

static struct bytes read_kind(const char *kind)
{
	char name[64];
	snprintf(name, sizeof(name), "jpeg/%s.jpg", kind);
	return read_image(name);
}

/* The offset of the coded data behind the first SOS. */
static size_t find_data(struct bytes b)
{
	size_t at = find_marker(b, 0xda, 0);
	return at + 2 + (size_t)(b.data[at + 2] << 8 | b.data[at + 3]);
}

/* Decodes the bytes as a caller with this limit would; nothing may be left, and nothing may stand on standard error. */
static enum glip_status decode(struct bytes b, uint64_t max_bytes, struct glip_error *err)
{
	struct damage damage;
	damage_init(&damage);
	struct glip_image_options options = probed_options(&damage.probe);
	options.max_bytes = max_bytes;
	struct glip_image image = {0};
	*err = (struct glip_error){GLIP_OK, ""};
	FILE *printed = tmpfile();
	int kept = dup(2);
	assert_non_null(printed);
	dup2(fileno(printed), 2);
	damage_begin(&damage);
	enum glip_status status = glip_image_decode(b.data, b.size, "x", &options, &image, err);
	dup2(kept, 2);
	close(kept);
	assert_int_equal(fseek(printed, 0, SEEK_END), 0);
	assert_int_equal(ftell(printed), 0);
	fclose(printed);
	assert_int_equal(status == GLIP_OK, image.pixels != NULL);
	glip_image_free(&image);
	damage_end(&damage, status, err->message, "decode", b.size);
	return status;
}

/* Refused by libjpeg-turbo with these words; by stb_image if it sees the damage at all. Frees the bytes. */
static void refuse(struct bytes b, const char *says, int stb_refuses)
{
	struct glip_error err;
	enum glip_status status = decode(b, 1u << 30, &err);
	free(b.data);
	if (!is_turbo()) {
		assert_int_equal(status, stb_refuses ? GLIP_ERR_IMAGE : GLIP_OK);
		return;
	}
	if (status != GLIP_ERR_IMAGE || !strstr(err.message, says))
		fail_msg("expected \"%s\", got \"%s\" (%d)", says, err.message, (int)status);
}

static void test_pixels(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct glip_image jpeg = {0}, expected = {0};
		struct glip_error err = {GLIP_OK, ""};
		char path[128];
		snprintf(path, sizeof(path), "tests/data/images/jpeg/%s.jpg", kinds[i]);
		if (glip_image_load(path, NULL, &jpeg, &err) != GLIP_OK)
			fail_msg("%s", err.message);
		snprintf(path, sizeof(path), "tests/data/images/jpeg/%s.png", kinds[i]);
		assert_int_equal(glip_image_load(path, NULL, &expected, &err), GLIP_OK);
		assert_int_equal(jpeg.width, WIDTH);
		assert_int_equal(jpeg.height, HEIGHT);
		double sum = 0;
		int most = 0;
		for (size_t k = 0; k < WIDTH * HEIGHT * 3; k++) {
			int difference = abs(jpeg.pixels[k] - expected.pixels[k]);
			sum += difference;
			most = difference > most ? difference : most;
		}
		/* stb_image errs by much in the last column where colour is halved across. */
		if (is_turbo() ? most > 0 : sum > WIDTH * HEIGHT * 3 || most > 64)
			fail_msg("%s: differs from Pillow's by %d at most, %.3f in the mean", kinds[i], most,
			         sum / (WIDTH * HEIGHT * 3));
		glip_image_free(&jpeg);
		glip_image_free(&expected);
	}
}

static void test_truncated(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct bytes b = read_kind(kinds[i]);
		for (size_t n = 1; n < b.size; n += damage_step()) {
			struct bytes part = bytes_prefix(b, n);
			struct glip_error err;
			assert_int_equal(decode(part, 1u << 30, &err), GLIP_ERR_IMAGE);
			assert_non_null(strstr(err.message, "truncated"));
			free(part.data);
		}
		free(b.data);
	}
}

static void test_flipped_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct bytes b = read_kind(kinds[i]);
		struct damage damage;
		flip_every_bit(&damage, b, kinds[i]);
		free(b.data);
	}
}

/* Files with their end where it belongs, but with other data than their header says. */
static void test_damaged_data(void **state)
{
	(void)state;
	const char *early = "damaged JPEG image: its coded data end before the picture does";
	struct bytes b = read_kind("420");
	size_t data = find_data(b), end = find_marker(b, 0xd9, data);
	refuse(bytes_splice(b, data + (end - data) / 2, end, NULL, 0), early, 0);
	refuse(bytes_splice(b, data, end, NULL, 0), early, 0);
	/* Sixteen ones are no code of any table. */
	static const uint8_t ones[16] = {255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0};
	refuse(bytes_splice(b, data, data + 8, ones, sizeof(ones)), "its coded data hold a code that does not exist", 1);
	/* Bytes too many are passed over, behind the data as between segments; there stb_image wants none. */
	struct glip_error err;
	for (int i = 0; i < 2; i++) {
		size_t at = i ? find_marker(b, 0xda, 0) : end;
		struct bytes more = bytes_splice(b, at, at, "abcdefgh", 8);
		assert_int_equal(decode(more, 1u << 30, &err), i == 0 || is_turbo() ? GLIP_OK : GLIP_ERR_IMAGE);
		free(more.data);
	}
	/* libjpeg's own words, for the rest. */
	size_t table = find_marker(b, 0xdb, 0);
	size_t length = 2 + (size_t)(b.data[table + 2] << 8 | b.data[table + 3]);
	refuse(bytes_splice(b, table, table + length, NULL, 0),
	       "damaged JPEG image: Quantization table 0x00 was not defined", 0);
	free(b.data);

	b = read_kind("restart");
	size_t restart = find_marker(b, 0xd0, find_data(b));
	refuse(bytes_splice(b, restart, restart + 2, "\xff\xd5", 2), "a restart marker is not where it belongs", 0);
	free(b.data);

	/* The first scan, of the lowest coefficients, gone: the others refine what is not there. */
	b = read_kind("progressive");
	size_t first = find_marker(b, 0xda, 0), second = find_marker(b, 0xc4, first);
	refuse(bytes_splice(b, first, second, NULL, 0), "its scans contradict each other", 0);
	free(b.data);
}

/* A file of ever more scans over the same picture. */
static void test_scans(void **state)
{
	(void)state;
	struct bytes b = read_kind("420");
	size_t scan = find_marker(b, 0xda, 0), end = find_marker(b, 0xd9, scan);
	struct glip_error err;
	for (int more = 99; more < 101; more++) {
		struct bytes many = bytes_prefix(b, b.size);
		for (int i = 0; i < more; i++) {
			struct bytes longer = bytes_splice(many, end, end, b.data + scan, end - scan);
			free(many.data);
			many = longer;
		}
		assert_int_equal(decode(many, 1u << 30, &err), more < 100 ? GLIP_OK : GLIP_ERR_LIMIT);
		free(many.data);
	}
	assert_non_null(strstr(err.message, "a JPEG of more than 100 scans"));
	free(b.data);
}

/* The most pixels a side: what is larger is no damage, and not written either. */
static void test_sides(void **state)
{
	(void)state;
	struct bytes b = read_kind("420");
	size_t frame = find_marker(b, 0xc0, 0);
	for (int side = 65500; side <= 65501; side++) {
		assert_int_equal(glip__image_file_fits(IMAGE_FILE_JPEG, side, 1, "out.jpg", NULL) == GLIP_OK, side == 65500);
		assert_int_equal(glip__image_file_fits(IMAGE_FILE_JPEG, 1, side, "out.jpg", NULL) == GLIP_OK, side == 65500);
		for (size_t at = frame + 5; at <= frame + 7; at += 2) {
			const char size[2] = {(char)(side >> 8), (char)(side & 0xff)};
			struct bytes large = bytes_splice(b, at, at + 2, size, 2);
			struct glip_error err = {GLIP_OK, ""};
			enum glip_status status = decode(large, 1u << 30, &err);
			assert_int_equal(status == GLIP_ERR_LIMIT, side > 65500);
			assert_int_equal(strstr(err.message, "a JPEG of more than 65500 pixels") != NULL, side > 65500);
			free(large.data);
		}
	}
	free(b.data);
}

/* The decoder's memory is the allocator's, and the limit holds for all of it. */
static void test_memory(void **state)
{
	(void)state;
	enum { COEFFICIENTS = 2 * 3 * 32 * 32 / 2 }; /* of 4:2:0, in whole blocks of 16 x 16 */
	for (size_t i = 0; i < KINDS; i++) {
		struct bytes b = read_kind(kinds[i]);
		struct alloc_probe probe;
		alloc_probe_init(&probe);
		const struct glip_image_options options = probed_options(&probe);
		struct glip_image image = {0};
		assert_int_equal(glip_image_decode(b.data, b.size, "x", &options, &image, NULL), GLIP_OK);
		glip_image_free(&image);
		assert_int_equal(probe.live, 0);
		assert_true(probe.peak > WIDTH * HEIGHT * 3 + (strcmp(kinds[i], "progressive") == 0 ? COEFFICIENTS : 0));

		/* Every limit below what it takes is said to be one. */
		struct glip_error err;
		int done = 0;
		for (uint64_t limit = 256; !done; limit += 256) {
			enum glip_status status = decode(b, limit, &err);
			done = status == GLIP_OK;
			if (!done && (status != GLIP_ERR_LIMIT || !strstr(err.message, "more than the limit of")))
				fail_msg("%s with %d bytes: %s", kinds[i], (int)limit, err.message);
			assert_true(limit <= probe.peak + 256);
		}
		free(b.data);
	}
}

static void test_out_of_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct bytes b = read_kind(kinds[i]);
		fail_every_allocation(b);
		free(b.data);
	}
}

/* Alone in a function: a decoder that escapes lands here. */
static uint8_t *decode_pixels(struct codec_heap *heap, const struct image_bytes *file,
                              const struct image_header *header, const char **reason)
{
	if (setjmp(heap->escape))
		return NULL;
	return glip__jpeg_decode(heap, file, header, reason);
}

/* The decoder does not rely on the size that was read before it: no file is known for which the two readers differ, so
 * it is called with another size than the file's. */
static void test_other_size(void **state)
{
	(void)state;
	struct bytes b = read_kind("420");
	const struct image_bytes file = {.data = b.data, .size = b.size, .name = "x"};
	for (uint32_t wider = 0; wider < 2; wider++)
		for (uint32_t higher = 0; higher < 2; higher++) {
			const struct image_header header = {IMAGE_KIND_JPEG, WIDTH + wider, HEIGHT + higher, 0, 0, 0};
			struct codec_heap heap;
			const char *reason = NULL;
			glip__codec_heap_enter(&heap, NULL, 1 << 20);
			uint8_t *pixels = decode_pixels(&heap, &file, &header, &reason);
			assert_int_equal(pixels != NULL, !wider && !higher);
			if (!pixels)
				assert_string_equal(reason, "its headers contradict each other");
			glip__codec_heap_leave(&heap);
		}
	free(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pixels),       cmocka_unit_test(test_truncated),     cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_damaged_data), cmocka_unit_test(test_scans),         cmocka_unit_test(test_sides),
		cmocka_unit_test(test_memory),       cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_other_size),
	};
	int failed = cmocka_run_group_tests_name("JPEG decode", tests, NULL, NULL);
	return failed + (turbo_memory_tests ? turbo_memory_tests() : 0);
}
