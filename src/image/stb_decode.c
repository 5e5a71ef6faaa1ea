#include "image/stb_decode.h"

#include "image/stb_heap.h"

/* For this whole file: some of these warnings are given at its end. */
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
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MALLOC(size) glip__stb_malloc(size)
#define STBI_REALLOC(pointer, size) glip__stb_realloc(pointer, size)
#define STBI_FREE(pointer) glip__stb_free(pointer)
#define STBI_ASSERT(condition) ((condition) ? (void)0 : glip__stb_fault())
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

uint8_t *glip__stb_decode(const uint8_t *data, size_t size, int *width, int *height, const char **reason)
{
	int components;
	uint8_t *pixels = stbi_load_from_memory(data, (int)size, width, height, &components, STBI_rgb);
	*reason = pixels ? NULL : stbi_failure_reason();
	return pixels;
}
