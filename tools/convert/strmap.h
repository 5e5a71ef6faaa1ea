/* Strings to numbers 0, 1, 2... in order of arrival; the strings are not copied. */
#ifndef GLIP_CONVERT_STRMAP_H
#define GLIP_CONVERT_STRMAP_H

#include "base/alloc.h"

struct strmap {
	struct buf entries; /* struct strmap_entry */
	uint32_t *slots;    /* entry + 1, 0 where free */
	size_t mask, count;
};

struct strmap_entry {
	const char *text;
	size_t length;
};

void strmap_init(struct strmap *map, const struct glip_allocator *allocator);
void strmap_free(struct strmap *map);
/* The number of `text`, which is added where it is new. False when out of memory. */
bool strmap_add(struct strmap *map, const char *text, size_t length, size_t *number, bool *is_new);
bool strmap_find(const struct strmap *map, const char *text, size_t length, size_t *number);

#endif
