#include "image/jpeg_decode.h"

#define STBI_ONLY_JPEG
#include "image/stb_image_static.h"

const char *glip__jpeg_decoder(void)
{
	return "stb_image";
}

uint8_t *glip__jpeg_decode(struct codec_heap *heap, const struct image_bytes *file, const struct image_header *header,
                           const char **reason)
{
	(void)heap;
	return stb_image_load(file, header, reason);
}
