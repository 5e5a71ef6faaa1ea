#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static void *default_alloc(void *user, size_t size, size_t align)
{
	(void)user;
	if (size > SIZE_MAX - align)
		return NULL;
	return aligned_alloc(align, (size + align - 1) / align * align);
}

static void default_free(void *user, void *pointer)
{
	(void)user;
	free(pointer);
}

const struct glip_allocator glip__default_allocator = {default_alloc, default_free, NULL};

struct glip_allocator glip__allocator_or_default(const struct glip_allocator *allocator)
{
	return allocator != NULL && allocator->alloc != NULL ? *allocator : glip__default_allocator;
}

bool glip__mul_size(size_t a, size_t b, size_t *out)
{
	if (a != 0 && b > SIZE_MAX / a)
		return false;
	*out = a * b;
	return true;
}

bool glip__add_size(size_t a, size_t b, size_t *out)
{
	if (b > SIZE_MAX - a)
		return false;
	*out = a + b;
	return true;
}

void *glip__malloc(const struct glip_allocator *a, size_t count, size_t size)
{
	size_t bytes;
	if (!glip__mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX)
		return NULL;
	return a->alloc(a->user, bytes != 0 ? bytes : 1, ALIGNMENT);
}

void *glip__calloc(const struct glip_allocator *a, size_t count, size_t size)
{
	void *p = glip__malloc(a, count, size);
	if (p != NULL)
		memset(p, 0, count * size);
	return p;
}

void glip__free(const struct glip_allocator *a, void *pointer)
{
	if (pointer != NULL)
		a->free(a->user, pointer);
}

char *glip__strndup(const struct glip_allocator *a, const char *text, size_t length)
{
	if (length == SIZE_MAX)
		return NULL;
	char *copy = glip__malloc(a, length + 1, 1);
	if (copy != NULL) {
		memcpy(copy, text, length);
		copy[length] = '\0';
	}
	return copy;
}

bool glip__buf_reserve(struct buf *b, size_t extra)
{
	size_t need;
	if (!glip__add_size(b->length, extra, &need))
		return false;
	if (need <= b->capacity)
		return true;
	size_t capacity = b->capacity != 0 ? b->capacity : 256;
	while (capacity < need) {
		if (!glip__mul_size(capacity, 2, &capacity))
			return false;
	}
	char *data = glip__malloc(b->allocator, capacity, 1);
	if (data == NULL)
		return false;
	if (b->length != 0)
		memcpy(data, b->data, b->length);
	glip__free(b->allocator, b->data);
	b->data = data;
	b->capacity = capacity;
	return true;
}

bool glip__buf_append(struct buf *b, const void *data, size_t size)
{
	if (!glip__buf_reserve(b, size))
		return false;
	if (size != 0)
		memcpy(b->data + b->length, data, size);
	b->length += size;
	return true;
}

bool glip__buf_puts(struct buf *b, const char *text)
{
	if (!glip__buf_append(b, text, strlen(text) + 1))
		return false;
	b->length--;
	return true;
}

bool glip__buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	bool ok = n >= 0 && glip__buf_reserve(b, (size_t)n + 1);
	if (ok) {
		vsnprintf(b->data + b->length, (size_t)n + 1, format, again);
		b->length += (size_t)n;
	}
	va_end(again);
	return ok;
}

void glip__buf_free(struct buf *b)
{
	glip__free(b->allocator, b->data);
	b->data = NULL;
	b->length = b->capacity = 0;
}
