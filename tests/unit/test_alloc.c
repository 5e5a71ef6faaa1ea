/* Sizes that do not fit, and buffers that cannot grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "support/alloc_probe.h"

/* Products and sums of sizes that wrap give no memory, also from the allocator itself. */
static void test_sizes_that_wrap(void **state)
{
	const struct glip_allocator *a = &glip__default_allocator;
	size_t out = 7;

	(void)state;
	assert_null(a->alloc(a->user, SIZE_MAX, 64));
	assert_null(a->alloc(a->user, SIZE_MAX - 63, 64));
	assert_null(glip__malloc(a, SIZE_MAX / 2 + 1, 2));
	assert_null(glip__malloc(a, (size_t)1 << sizeof(size_t) * 4, (size_t)1 << sizeof(size_t) * 4));
	assert_null(glip__malloc(a, 1, (size_t)PTRDIFF_MAX + 1));
	assert_null(glip__calloc(a, SIZE_MAX, SIZE_MAX));
	assert_null(glip__strndup(a, "", SIZE_MAX));
	assert_false(glip__mul_size(SIZE_MAX, 2, &out));
	assert_false(glip__add_size(SIZE_MAX, 1, &out));
	assert_int_equal(out, 7);
	assert_true(glip__mul_size(SIZE_MAX, 1, &out) && out == SIZE_MAX);
	assert_true(glip__add_size(SIZE_MAX, 0, &out) && out == SIZE_MAX);
}

static void test_nothing_is_something(void **state)
{
	const struct glip_allocator *a = &glip__default_allocator;
	void *p = glip__malloc(a, 0, 8);

	(void)state;
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 64, 0);
	glip__free(a, p);
	glip__free(a, NULL);
}

/* What cannot grow keeps what it holds. */
static void test_buffer_that_cannot_grow(void **state)
{
	struct alloc_probe probe;
	struct buf b = {.allocator = &probe.allocator};

	(void)state;
	alloc_probe_init(&probe);
	assert_true(glip__buf_puts(&b, "kept"));
	assert_false(glip__buf_reserve(&b, SIZE_MAX));
	assert_false(glip__buf_reserve(&b, SIZE_MAX - b.length));
	assert_false(glip__buf_reserve(&b, SIZE_MAX / 2));
	alloc_probe_arm(&probe, 1, 1);
	assert_false(glip__buf_append(&b, "x", 300));
	assert_false(glip__buf_printf(&b, "%300d", 1));
	char long_text[300];
	memset(long_text, 'x', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	assert_false(glip__buf_puts(&b, long_text));
	assert_int_equal(b.length, 4);
	assert_string_equal(b.data, "kept");
	glip__buf_free(&b);
	assert_int_equal(probe.live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_that_wrap),
		cmocka_unit_test(test_nothing_is_something),
		cmocka_unit_test(test_buffer_that_cannot_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
