/* Sizes that do not fit, buffers that cannot grow, and the blocks of an arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
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

/* Blocks that a pass needs no more make room for a larger one; what is in use stays. */
static void test_arena_blocks(void **state)
{
	enum { BLOCK = 1 << 20, PER_BLOCK = 2 /* allocations */ };
	struct alloc_probe probe;
	struct arena arena;

	(void)state;
	alloc_probe_init(&probe);
	glip__arena_init(&arena, &probe.allocator);
	char *kept = glip__arena_alloc(&arena, BLOCK, 1);
	assert_non_null(kept);
	memset(kept, 7, BLOCK);
	struct arena_mark mark = glip__arena_mark(&arena);
	for (int i = 0; i < 3; i++)
		assert_non_null(glip__arena_alloc(&arena, BLOCK, 1));
	assert_int_equal(probe.live, 4 * PER_BLOCK);
	glip__arena_release(&arena, mark);
	assert_non_null(glip__arena_alloc(&arena, BLOCK, 1));
	assert_int_equal(probe.live, 4 * PER_BLOCK);
	assert_non_null(glip__arena_alloc(&arena, 2 * BLOCK, 1));
	assert_int_equal(probe.live, 3 * PER_BLOCK);
	/* Where there is no memory for a block of the usual size, there may be for what is needed. */
	alloc_probe_arm(&probe, PER_BLOCK, 0);
	assert_non_null(glip__arena_alloc(&arena, 1, 64));
	assert_int_equal(probe.live, 4 * PER_BLOCK);
	glip__arena_release(&arena, mark);
	alloc_probe_arm(&probe, 1, 1);
	assert_null(glip__arena_alloc(&arena, 3 * BLOCK, 1));
	assert_int_equal(probe.live, PER_BLOCK);
	alloc_probe_arm(&probe, 0, 0);
	assert_non_null(glip__arena_alloc(&arena, 3 * BLOCK, 1));
	for (int i = 0; i < BLOCK; i++)
		assert_int_equal(kept[i], 7);
	glip__arena_free(&arena);
	assert_int_equal(probe.live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_that_wrap),
		cmocka_unit_test(test_nothing_is_something),
		cmocka_unit_test(test_buffer_that_cannot_grow),
		cmocka_unit_test(test_arena_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
