#include "strmap.h"

#include <string.h>

void strmap_init(struct strmap *map, const struct glip_allocator *allocator)
{
	*map = (struct strmap){.entries = {.allocator = allocator}};
}

void strmap_free(struct strmap *map)
{
	if (map->entries.allocator == NULL)
		return;
	glip__free(map->entries.allocator, map->slots);
	glip__buf_free(&map->entries);
	*map = (struct strmap){0};
}

static const struct strmap_entry *entry_at(const struct strmap *map, size_t index)
{
	return (const struct strmap_entry *)(const void *)map->entries.data + index;
}

static size_t hash(const char *text, size_t length)
{
	uint64_t h = 0xCBF29CE484222325u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ (uint8_t)text[i]) * 0x100000001B3u;
	h ^= h >> 29;
	h *= 0xBF58476D1CE4E5B9u;
	return (size_t)(h ^ h >> 32);
}

static size_t find_slot(const struct strmap *map, const char *text, size_t length)
{
	size_t slot = hash(text, length) & map->mask;

	while (map->slots[slot] != 0) {
		const struct strmap_entry *e = entry_at(map, map->slots[slot] - 1);
		if (e->length == length && memcmp(e->text, text, length) == 0)
			break;
		slot = (slot + 1) & map->mask;
	}
	return slot;
}

static bool grow(struct strmap *map)
{
	struct strmap wider = *map;
	size_t size = map->slots == NULL ? 64 : (map->mask + 1) * 2;

	wider.slots = glip__calloc(map->entries.allocator, size, sizeof(*wider.slots));
	if (wider.slots == NULL)
		return false;
	wider.mask = size - 1;
	for (size_t i = 0; i < map->count; i++) {
		const struct strmap_entry *e = entry_at(map, i);
		wider.slots[find_slot(&wider, e->text, e->length)] = (uint32_t)i + 1;
	}
	glip__free(map->entries.allocator, map->slots);
	*map = wider;
	return true;
}

bool strmap_add(struct strmap *map, const char *text, size_t length, size_t *number, bool *is_new)
{
	struct strmap_entry e = {text, length};
	size_t slot;

	if (map->slots == NULL || 2 * (map->count + 1) > map->mask + 1)
		if (map->count >= UINT32_MAX / 4 || !grow(map))
			return false;
	slot = find_slot(map, text, length);
	*is_new = map->slots[slot] == 0;
	if (*is_new) {
		if (!glip__buf_append(&map->entries, &e, sizeof(e)))
			return false;
		map->slots[slot] = (uint32_t)++map->count;
	}
	*number = map->slots[slot] - 1;
	return true;
}

bool strmap_find(const struct strmap *map, const char *text, size_t length, size_t *number)
{
	size_t slot;

	if (map->slots == NULL)
		return false;
	slot = find_slot(map, text, length);
	if (map->slots[slot] == 0)
		return false;
	*number = map->slots[slot] - 1;
	return true;
}
