#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/pool.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif

#include "base/cpu.h"

enum {
	MAX_THREADS = 64,
	/* Looks at the other side before sleeping: below a tenth of a millisecond, the order of what waking up costs. The
	 * jobs of a pass follow each other within that time; after it a waiting thread costs nothing. */
	SPINS = 4000
};

/* Tells the core that this is a waiting loop. */
static inline void relax(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
	__asm__ volatile("yield");
#endif
}

/* A worker's share of a job: pieces next to one another, so that it works on what its caches have of the job before. */
struct share {
	alignas(CACHE_LINE) atomic_size_t next; /* first piece not handed out */
	size_t end;
};

struct job {
	pool_task task;
	void *context;
	size_t count, grain; /* items, and how many of them are a piece */
	struct share share[MAX_THREADS];
};

struct pool {
	struct glip_allocator allocator;
	int threads; /* the caller's included */
	pthread_t worker[MAX_THREADS];
	struct start {
		struct pool *pool;
		int worker;
	} start[MAX_THREADS];
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	/* Changed under the lock; read without it only to see whether sleeping can be avoided. */
	atomic_uint generation; /* one more per job */
	atomic_int running;     /* workers that are in the current job */
	bool open;              /* workers may still join it: one that wakes up too late is not waited for */
	atomic_int stop;
	int spins;
	struct job job;
	bool (*abandon)(void *user);
	void *abandon_user;
};

static void give_up(struct pool *pool)
{
	for (int i = 0; i < pool->threads; i++)
		atomic_store_explicit(&pool->job.share[i].next, pool->job.share[i].end, memory_order_relaxed);
}

static void work_on(struct pool *pool, struct share *share, int worker)
{
	struct job *job = &pool->job;
	/* Looked at first: what is at its end stays in all caches. */
	while (atomic_load_explicit(&share->next, memory_order_relaxed) < share->end) {
		size_t piece = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
		if (piece >= share->end)
			return;
		size_t begin = piece * job->grain, left = job->count - begin;
		job->task(job->context, begin, begin + (left < job->grain ? left : job->grain), worker);
		if (worker == 0 && pool->abandon != NULL && pool->abandon(pool->abandon_user))
			give_up(pool);
	}
}

/* A worker's own share first, then what is left of the others'. */
static void work(struct pool *pool, int worker)
{
	for (int i = 0; i < pool->threads; i++)
		work_on(pool, &pool->job.share[(worker + i) % pool->threads], worker);
}

static void *worker_main(void *argument)
{
	const struct start *start = argument;
	struct pool *pool = start->pool;
	unsigned seen = 0;
	for (;;) {
		for (int i = 0; i < pool->spins && pool->generation == seen && !pool->stop; i++)
			relax();
		pthread_mutex_lock(&pool->lock);
		while (pool->generation == seen && !pool->stop)
			pthread_cond_wait(&pool->wake, &pool->lock);
		seen = pool->generation;
		bool joins = pool->open;
		if (joins)
			pool->running++;
		pthread_mutex_unlock(&pool->lock);
		if (pool->stop)
			return NULL;
		if (!joins)
			continue;
		work(pool, start->worker);
		pthread_mutex_lock(&pool->lock);
		if (--pool->running == 0)
			pthread_cond_signal(&pool->done);
		pthread_mutex_unlock(&pool->lock);
	}
}

enum glip_status glip__pool_create(int threads, const struct glip_allocator *allocator, struct pool **out,
                                   struct glip_error *err)
{
	*out = NULL;
	if (threads < 1 || threads > MAX_THREADS)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "threads is %d: must be 1 to %d", threads, MAX_THREADS);
	struct pool *pool = glip__calloc(allocator, 1, sizeof *pool);
	if (pool == NULL)
		return glip__fail_nomem(err, "a thread pool", sizeof *pool);
	pool->allocator = *allocator;
	pool->threads = 1;
	/* With more threads than processors a spinning thread would keep a working one from running. */
	pool->spins = threads <= glip__cpu_count() ? SPINS : 0;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->done, NULL);
	for (int i = 1; i < threads; i++) {
		pool->start[i] = (struct start){pool, i};
		if (pthread_create(&pool->worker[i], NULL, worker_main, &pool->start[i]) != 0) {
			glip__pool_free(pool);
			return glip__fail(err, GLIP_ERR_THREAD, "cannot start worker thread %d of %d: ask for fewer", i,
			                  threads - 1);
		}
		pool->threads++;
	}
	*out = pool;
	return GLIP_OK;
}

void glip__pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = 1;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (int i = 1; i < pool->threads; i++)
		pthread_join(pool->worker[i], NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	struct glip_allocator allocator = pool->allocator;
	glip__free(&allocator, pool);
}

int glip__pool_threads(const struct pool *pool)
{
	return pool->threads;
}

void glip__pool_set_stop(struct pool *pool, bool (*stop)(void *user), void *user)
{
	pool->abandon = stop;
	pool->abandon_user = user;
}

void glip__pool_run(struct pool *pool, pool_task task, void *context, size_t count, size_t grain)
{
	if (grain == 0)
		grain = 1;
	struct job *job = &pool->job;
	job->task = task;
	job->context = context;
	job->count = count;
	job->grain = grain;
	size_t pieces = count / grain + (count % grain != 0), threads = (size_t)pool->threads, begin = 0;
	for (size_t i = 0; i < threads; i++) {
		size_t end = begin + pieces / threads + (i < pieces % threads);
		atomic_store_explicit(&job->share[i].next, begin, memory_order_relaxed);
		job->share[i].end = end;
		begin = end;
	}
	if (pool->threads == 1 || count <= grain) {
		work(pool, 0);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->open = true;
	pool->generation++;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	work(pool, 0);
	pthread_mutex_lock(&pool->lock);
	pool->open = false;
	pthread_mutex_unlock(&pool->lock);
	for (int i = 0; i < pool->spins && pool->running > 0; i++)
		relax();
	pthread_mutex_lock(&pool->lock);
	while (pool->running > 0)
		pthread_cond_wait(&pool->done, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

int glip__cpu_count(void)
{
	long n = 0;
#if defined(__linux__)
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		n = CPU_COUNT(&set);
#endif
	if (n < 1)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}
