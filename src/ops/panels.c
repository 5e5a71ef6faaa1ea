#include "ops/panels.h"

#include <pthread.h>

enum { BUCKETS = 512, WORDS_OFFSET = 64 }; /* a model has some hundred matrices */

/* Stands before its words, which begin WORDS_OFFSET bytes on. */
struct entry {
	struct entry *next;
	struct panels_key key;
};
_Static_assert(sizeof(struct entry) <= WORDS_OFFSET, "the words follow, on a cache line of their own");

struct panels {
	struct glip_allocator allocator;
	pthread_mutex_t lock; /* over the lists; an entry in them never changes */
	struct entry *bucket[BUCKETS];
};

static const uint32_t *words_of(const struct entry *e)
{
	return (const uint32_t *)(const void *)((const char *)e + WORDS_OFFSET);
}

static struct entry *entry_of(uint32_t *words)
{
	return (struct entry *)(void *)((char *)words - WORDS_OFFSET);
}

enum glip_status glip__panels_create(const struct glip_allocator *allocator, struct panels **out,
                                     struct glip_error *err)
{
	struct panels *p = glip__calloc(allocator, 1, sizeof *p);
	if (!p)
		return glip__fail_nomem(err, "a list of packed weights", sizeof *p);
	p->allocator = *allocator;
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

static const uint32_t *find_in(const struct entry *e, const struct panels_key *key)
{
	for (; e; e = e->next)
		if (e->key.data == key->data && e->key.rows == key->rows && e->key.cols == key->cols && e->key.ld == key->ld &&
		    e->key.narrow == key->narrow)
			return words_of(e);
	return NULL;
}

const uint32_t *glip__panels_find(struct panels *p, const struct panels_key *key)
{
	pthread_mutex_lock(&p->lock);
	const uint32_t *words = find_in(*bucket_of(p, key), key);
	pthread_mutex_unlock(&p->lock);
	return words;
}

uint32_t *glip__panels_alloc(struct panels *p, size_t words)
{
	size_t bytes;
	if (!glip__mul_size(words, sizeof(uint32_t), &bytes) || !glip__add_size(bytes, WORDS_OFFSET, &bytes))
		return NULL;
	char *data = glip__malloc(&p->allocator, bytes, 1);
	return data ? (uint32_t *)(void *)(data + WORDS_OFFSET) : NULL;
}

void glip__panels_drop(struct panels *p, uint32_t *words)
{
	glip__free(&p->allocator, entry_of(words));
}

const uint32_t *glip__panels_keep(struct panels *p, const struct panels_key *key, uint32_t *words)
{
	struct entry *e = entry_of(words), **bucket = bucket_of(p, key);
	pthread_mutex_lock(&p->lock);
	const uint32_t *kept = find_in(*bucket, key);
	if (!kept) {
		*e = (struct entry){*bucket, *key};
		*bucket = e;
	}
	pthread_mutex_unlock(&p->lock);
	if (!kept)
		return words;
	glip__panels_drop(p, words);
	return kept;
}
