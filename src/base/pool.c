#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#endif

enum { MAX_THREADS = 64 };

struct job {
	pool_task task;
	void *context;
	size_t count, grain;
	atomic_size_t next; /* first item not handed out */
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
	uint64_t generation; /* one more per job */
	int running;         /* workers that have not finished the current job */
	int stop;
	struct job job;
};

static void work(struct job *job, int worker)
{
	for (;;) {
		size_t begin = atomic_fetch_add_explicit(&job->next, job->grain, memory_order_relaxed);
		if (begin >= job->count)
			return;
		size_t end = job->count - begin < job->grain ? job->count : begin + job->grain;
		job->task(job->context, begin, end, worker);
	}
}

static void *worker_main(void *argument)
{
	const struct start *start = argument;
	struct pool *pool = start->pool;
	uint64_t seen = 0;
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (pool->generation == seen && !pool->stop)
			pthread_cond_wait(&pool->wake, &pool->lock);
		if (pool->stop)
			break;
		seen = pool->generation;
		pthread_mutex_unlock(&pool->lock);
		work(&pool->job, start->worker);
		pthread_mutex_lock(&pool->lock);
		if (--pool->running == 0)
			pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
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

void glip__pool_run(struct pool *pool, pool_task task, void *context, size_t count, size_t grain)
{
	if (grain == 0)
		grain = 1;
	struct job *job = &pool->job;
	job->task = task;
	job->context = context;
	job->count = count;
	job->grain = grain;
	atomic_store_explicit(&job->next, 0, memory_order_relaxed);
	if (pool->threads == 1 || count <= grain) {
		work(job, 0);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->generation++;
	pool->running = pool->threads - 1;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	work(job, 0);
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
