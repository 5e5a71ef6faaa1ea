/* The thread pool: every item once, in pieces; shares next to one another; nobody is waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

#include "base/pool.h"

enum { MAX_ITEMS = 200, THREADS = 4, PATIENCE = 5000 /* milliseconds */ };

struct record {
	size_t count, grain;
	atomic_int done[MAX_ITEMS];
	atomic_size_t first[THREADS]; /* the item that a worker began with, from 1; 0: none */
	atomic_size_t pieces;
	atomic_int wrong;  /* pieces that should not be */
	size_t stop_after; /* pieces */
	atomic_bool stopped;
	bool hold; /* worker 0 waits for worker 1 to begin, which waits in its first piece for all others */
	atomic_bool held;
};

static _Thread_local bool is_caller;

static struct pool *new_pool(int threads)
{
	struct pool *pool;
	assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &pool, NULL), GLIP_OK);
	return pool;
}

static void pause_a_moment(void)
{
	const struct timespec moment = {.tv_nsec = 1000 * 1000};
	nanosleep(&moment, NULL);
}

static void note(void *context, size_t begin, size_t end, int worker)
{
	struct record *r = context;
	size_t none = 0;
	if (begin % r->grain != 0 || begin >= end || end > r->count || end - begin > r->grain ||
	    (worker == 0) != is_caller || (is_caller && r->stopped))
		atomic_fetch_add(&r->wrong, 1);
	atomic_compare_exchange_strong(&r->first[worker], &none, begin + 1);
	for (size_t i = begin; i < end; i++)
		atomic_fetch_add(&r->done[i], 1);
	size_t all = r->count / r->grain;
	for (int wait = 0; r->hold && worker == 0 && wait < PATIENCE && atomic_load(&r->first[1]) == 0; wait++)
		pause_a_moment();
	if (r->hold && worker == 1 && !atomic_exchange(&r->held, true))
		for (int wait = 0; wait < PATIENCE && atomic_load(&r->pieces) < all - 1; wait++)
			pause_a_moment();
	/* Long enough for all workers to have some. */
	if (r->stop_after > 0)
		pause_a_moment();
	atomic_fetch_add(&r->pieces, 1);
}

static void test_every_item_once(void **state)
{
	(void)state;
	static const size_t counts[] = {0, 1, 2, 3, 4, 5, 7, 16, 33, MAX_ITEMS}, grains[] = {0, 1, 2, 5, 64, 1000};
	for (int threads = 1; threads <= THREADS; threads++) {
		struct pool *pool = new_pool(threads);
		for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
			for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
				struct record r = {.count = counts[c], .grain = grains[g] > 0 ? grains[g] : 1};
				glip__pool_run(pool, note, &r, counts[c], grains[g]);
				assert_int_equal(r.wrong, 0);
				for (size_t i = 0; i < MAX_ITEMS; i++)
					assert_int_equal(r.done[i], i < counts[c]);
			}
		}
		glip__pool_free(pool);
	}
}

/* Each worker begins with a share of its own; one that is kept from it loses the rest to the others. */
static void test_shares(void **state)
{
	(void)state;
	struct pool *pool = new_pool(2);
	struct record r = {.count = 40, .grain = 2, .hold = true};
	const time_t begun = time(NULL);
	glip__pool_run(pool, note, &r, r.count, r.grain);
	assert_true(difftime(time(NULL), begun) < PATIENCE / 1000);
	assert_int_equal(r.first[0], 1);
	assert_int_equal(r.first[1], 21);
	for (size_t i = 0; i < r.count; i++)
		assert_int_equal(r.done[i], 1);
	glip__pool_free(pool);
}

static bool is_enough(void *user)
{
	struct record *r = user;
	if (!is_caller)
		atomic_fetch_add(&r->wrong, 1);
	r->stopped = atomic_load(&r->pieces) >= r->stop_after;
	return r->stopped;
}

static void test_given_up(void **state)
{
	(void)state;
	for (int threads = 1; threads <= THREADS; threads++) {
		struct pool *pool = new_pool(threads);
		struct record r = {.count = MAX_ITEMS, .grain = 1, .stop_after = 5};
		glip__pool_set_stop(pool, is_enough, &r);
		glip__pool_run(pool, note, &r, r.count, r.grain);
		assert_int_equal(r.wrong, 0);
		assert_true(r.pieces >= 5);
		if (threads == 1)
			assert_int_equal(r.pieces, 5);
		/* And the next job is a whole one. */
		struct record next = {.count = MAX_ITEMS, .grain = 3};
		glip__pool_set_stop(pool, NULL, NULL);
		glip__pool_run(pool, note, &next, next.count, next.grain);
		for (size_t i = 0; i < MAX_ITEMS; i++)
			assert_int_equal(next.done[i], 1);
		glip__pool_free(pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_item_once),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_given_up),
	};
	is_caller = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
