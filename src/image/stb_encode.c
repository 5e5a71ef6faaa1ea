#include "image/stb_encode.h"

#include "image/codec_heap.h"

/* For this whole file: some of these warnings are given at its end. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#pragma GCC diagnostic ignored "-Wundef"
#endif
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STBIW_MALLOC(size) glip__codec_malloc(size)
#define STBIW_REALLOC(pointer, size) glip__codec_realloc(pointer, size)
#define STBIW_FREE(pointer) glip__codec_free(pointer)
#define STBIW_ASSERT(condition) ((condition) ? (void)0 : glip__codec_fault())
/* Its bit buffer is an int whose high bits are shifted out on purpose. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("shift"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wattributes"
#define static static __attribute__((no_sanitize("shift")))
#endif
#include <stb/stb_image_write.h>
#if defined(__clang__)
#pragma clang attribute pop
#endif
#undef static

int glip__stb_encode_png(stb_encode_sink sink, void *context, int width, int height, const uint8_t *rgb)
{
	return stbi_write_png_to_func(sink, context, width, height, 3, rgb, width * 3);
}

int glip__stb_encode_jpeg(stb_encode_sink sink, void *context, int width, int height, const uint8_t *rgb, int quality)
{
	return stbi_write_jpg_to_func(sink, context, width, height, 3, rgb, quality);
}
