#include "image/stb_decode.h"

#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#include "image/stb_image_static.h"

uint8_t *glip__stb_decode(const struct image_bytes *file, const struct image_header *header, const char **reason)
{
	return stb_image_load(file, header, reason);
}
