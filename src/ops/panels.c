#include "ops/panels.h"

#include <pthread.h>

enum { BUCKETS = 512, WORDS_OFFSET = 64 }; /* a model has some hundred matrices */

/* Stands before its words, which begin WORDS_OFFSET bytes on. */
struct entry {
	struct entry *next;
	struct panels_key key;
	size_t charged; /* bytes of the limit that it takes */
};
_Static_assert(sizeof(struct entry) <= WORDS_OFFSET, "the words follow, on a cache line of their own");

struct panels {
	struct glip_allocator allocator;
	pthread_mutex_t lock;        /* over the lists and the bytes; an entry in them never changes */
	struct panels_limits limits; /* of the bytes, what is left */
	struct entry *bucket[BUCKETS];
};

static const void *words_of(const struct entry *e)
{
	return (const char *)e + WORDS_OFFSET;
}

static struct entry *entry_of(void *words)
{
	return (struct entry *)(void *)((char *)words - WORDS_OFFSET);
}

enum glip_status glip__panels_create(const struct glip_allocator *allocator, const struct panels_limits *limits,
                                     struct panels **out, struct glip_error *err)
{
	struct panels *p = glip__calloc(allocator, 1, sizeof *p);
	if (!p)
		return glip__fail_nomem(err, "a list of packed weights", sizeof *p);
	p->allocator = *allocator;
	p->limits = *limits;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return GLIP_OK;
}

void glip__panels_free(struct panels *p)
{
	if (!p)
		return;
	struct glip_allocator allocator = p->allocator;
	for (int i = 0; i < BUCKETS; i++) {
		while (p->bucket[i]) {
			struct entry *e = p->bucket[i];
			p->bucket[i] = e->next;
			glip__free(&allocator, e);
		}
	}
	pthread_mutex_destroy(&p->lock);
	glip__free(&allocator, p);
}

/* Matrices of a file begin at multiples of 32 bytes. */
static struct entry **bucket_of(struct panels *p, const struct panels_key *key)
{
	uint64_t hash = ((uint64_t)(uintptr_t)key->data >> 5) * 0x9e3779b97f4a7c15U;
	return &p->bucket[(hash >> 32) % BUCKETS];
}

static const void *find_in(const struct entry *e, const struct panels_key *key)
{
	for (; e; e = e->next)
		if (e->key.data == key->data && e->key.rows == key->rows && e->key.cols == key->cols && e->key.ld == key->ld &&
		    e->key.kernels == key->kernels && e->key.rows_are_k == key->rows_are_k)
			return words_of(e);
	return NULL;
}

const void *glip__panels_find(struct panels *p, const struct panels_key *key)
{
	pthread_mutex_lock(&p->lock);
	const void *words = find_in(*bucket_of(p, key), key);
	pthread_mutex_unlock(&p->lock);
	return words;
}

static void *alloc_entry(struct panels *p, size_t bytes, size_t charged)
{
	size_t whole;
	char *data;
	if (!glip__add_size(bytes, WORDS_OFFSET, &whole) || !(data = glip__malloc(&p->allocator, whole, 1)))
		return NULL;
	((struct entry *)(void *)data)->charged = charged;
	return data + WORDS_OFFSET;
}

/* False, and nothing, where fewer are left. */
static bool take_bytes(struct panels *p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	bool enough = bytes <= p->limits.float_bytes;
	if (enough)
		p->limits.float_bytes -= bytes;
	pthread_mutex_unlock(&p->lock);
	return enough;
}

static void give_back(struct panels *p, size_t bytes)
{
	pthread_mutex_lock(&p->lock);
	p->limits.float_bytes += bytes;
	pthread_mutex_unlock(&p->lock);
}

uint32_t *glip__panels_alloc(struct panels *p, size_t words)
{
	size_t bytes;
	return glip__mul_size(words, sizeof(uint32_t), &bytes) ? alloc_entry(p, bytes, 0) : NULL;
}

float *glip__panels_alloc_floats(struct panels *p, size_t rows, size_t floats)
{
	size_t bytes;
	if (rows > p->limits.float_rows || !glip__mul_size(floats, sizeof(float), &bytes) || !take_bytes(p, bytes))
		return NULL;
	float *panels = alloc_entry(p, bytes, bytes);
	if (!panels)
		give_back(p, bytes);
	return panels;
}

void glip__panels_drop(struct panels *p, void *words)
{
	give_back(p, entry_of(words)->charged);
	glip__free(&p->allocator, entry_of(words));
}

const void *glip__panels_keep(struct panels *p, const struct panels_key *key, void *words)
{
	struct entry *e = entry_of(words), **bucket = bucket_of(p, key);
	pthread_mutex_lock(&p->lock);
	const void *kept = find_in(*bucket, key);
	if (!kept) {
		e->next = *bucket;
		e->key = *key;
		*bucket = e;
	}
	pthread_mutex_unlock(&p->lock);
	if (!kept)
		return words;
	glip__panels_drop(p, words);
	return kept;
}
