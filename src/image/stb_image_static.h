/* stb_image for one file of ours, which says first what it decodes (STBI_ONLY_...). */
#ifndef GLIP_IMAGE_STB_IMAGE_STATIC_H
#define GLIP_IMAGE_STB_IMAGE_STATIC_H

#include "image/codec_heap.h"
#include "image/image_format.h"

/* For the whole file that includes this: some of these warnings are given at its end. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wundef"
#endif
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MALLOC(size) glip__codec_malloc(size)
#define STBI_REALLOC(pointer, size) glip__codec_realloc(pointer, size)
#define STBI_FREE(pointer) glip__codec_free(pointer)
#define STBI_ASSERT(condition) ((condition) ? (void)0 : glip__codec_fault())
/* In a damaged JPEG coefficients wrap around, and behind the end of the coded data zeros are shifted by too much. Both
 * only make a damaged picture; everything that reaches memory stays under the sanitizers. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("shift", "signed-integer-overflow"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wattributes"
#define static static __attribute__((no_sanitize("shift", "signed-integer-overflow")))
#endif
#include <stb/stb_image.h>
#if defined(__clang__)
#pragma clang attribute pop
#endif
#undef static

/* As glip__stb_decode. */
static uint8_t *stb_image_load(const struct image_bytes *file, const struct image_header *header, const char **reason)
{
	int width, height, components;
	uint8_t *pixels = stbi_load_from_memory(file->data, (int)file->size, &width, &height, &components, STBI_rgb);
	if (!pixels) {
		*reason = stbi_failure_reason();
	} else if ((uint32_t)width != header->width || (uint32_t)height != header->height) {
		*reason = "its headers contradict each other";
		pixels = NULL;
	}
	return pixels;
}

#endif
