/* The memory of libjpeg-turbo's decoder: its own manager is made, is asked for nothing afterwards, and is unmade,
 * however decoding ends. jpeg_CreateDecompress is the linker's --wrap. Part of test_jpeg_decode where libjpeg-turbo
 * decodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <jpeglib.h>
#include <jerror.h>

#include "support/image_case.h"
#include "turbo_memory.h"

static const char sound[] = "tests/data/images/jpeg/progressive.jpg";

/* When the system has no memory for libjpeg's own manager. */
enum starved { NEVER, FOR_MANAGER, FOR_DECODER };

static struct {
	enum starved starved;
	int made, unmade;
	const char *asked; /* the method of the own manager that was called */
	void (*self_destruct)(j_common_ptr jpeg);
} own;

static void *asked_for(j_common_ptr jpeg, const char *method)
{
	own.asked = method;
	ERREXIT(jpeg, JERR_BAD_POOL_ID);
	return NULL;
}

static void *alloc_small(j_common_ptr jpeg, int pool, size_t size)
{
	(void)pool;
	(void)size;
	return asked_for(jpeg, "alloc_small");
}

static void *alloc_large(j_common_ptr jpeg, int pool, size_t size)
{
	(void)pool;
	(void)size;
	return asked_for(jpeg, "alloc_large");
}

static JSAMPARRAY alloc_sarray(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
	(void)pool;
	(void)width;
	(void)rows;
	return asked_for(jpeg, "alloc_sarray");
}

static JBLOCKARRAY alloc_barray(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
	(void)pool;
	(void)width;
	(void)rows;
	return asked_for(jpeg, "alloc_barray");
}

static void self_destruct(j_common_ptr jpeg)
{
	own.unmade++;
	own.self_destruct(jpeg);
}

void __real_jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size);
void __wrap_jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size);

void __wrap_jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size)
{
	/* As libjpeg does it, with what it has made so far. */
	if (own.starved == FOR_MANAGER)
		ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
	__real_jpeg_CreateDecompress(jpeg, version, size);
	own.made++;
	own.self_destruct = jpeg->mem->self_destruct;
	jpeg->mem->alloc_small = alloc_small;
	jpeg->mem->alloc_large = alloc_large;
	jpeg->mem->alloc_sarray = alloc_sarray;
	jpeg->mem->alloc_barray = alloc_barray;
	jpeg->mem->self_destruct = self_destruct;
	if (own.starved == FOR_DECODER)
		ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 1);
}

/* Loads the picture with the fail_at-th allocation refused (0: none) and no more than max_bytes. */
static enum glip_status load(const char *path, enum starved starved, long fail_at, uint64_t max_bytes)
{
	struct alloc_probe probe;
	alloc_probe_init(&probe);
	alloc_probe_arm(&probe, fail_at, 0);
	struct glip_image_options options = probed_options(&probe);
	options.max_bytes = max_bytes;
	struct glip_image image = {0};
	struct glip_error err = {GLIP_OK, ""};
	memset(&own, 0, sizeof(own));
	own.starved = starved;
	enum glip_status status = glip_image_load(path, &options, &image, &err);
	glip_image_free(&image);
	if (own.asked)
		fail_msg("libjpeg's own %s was called", own.asked);
	if (own.made != own.unmade)
		fail_msg("libjpeg's own memory manager is left (%s)", err.message);
	assert_int_equal(probe.live, 0);
	return status;
}

static void test_own_manager(void **state)
{
	(void)state;
	const uint64_t enough = 1u << 30;
	assert_int_equal(load(sound, NEVER, 0, enough), GLIP_OK);
	assert_int_equal(own.made, 1);
	assert_int_equal(load("tests/data/images/jpeg/420.jpg", NEVER, 0, enough), GLIP_OK);
	for (uint64_t limit = 1024; load(sound, NEVER, 0, limit) != GLIP_OK; limit += 256)
		assert_true(limit < enough);
	for (long n = 1; load(sound, NEVER, n, enough) != GLIP_OK; n++)
		assert_true(n < 1000);
}

static void test_starved(void **state)
{
	(void)state;
	assert_int_equal(load(sound, FOR_MANAGER, 0, 1u << 30), GLIP_ERR_NOMEM);
	assert_int_equal(load(sound, FOR_DECODER, 0, 1u << 30), GLIP_ERR_NOMEM);
	assert_int_equal(own.made, 1);
}

int turbo_memory_tests(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_manager), cmocka_unit_test(test_starved)};
	return cmocka_run_group_tests_name("memory of libjpeg-turbo", tests, NULL, NULL);
}
