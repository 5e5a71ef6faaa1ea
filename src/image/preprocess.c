#include "image/preprocess.h"

#include <math.h>
#include <string.h>

enum { MAX_OPTION_SIDE = 8192, MAX_NETWORK_SIDE = 32768, GRAIN_ROWS = 32 };

size_t glip__pixel_layout(enum glip_pixel_format format, size_t channel[3])
{
	size_t red = 0, blue = 2, green = 1, bytes = 3;
	switch (format) {
	case GLIP_PIXEL_RGB: break;
	case GLIP_PIXEL_BGR: red = 2, blue = 0; break;
	case GLIP_PIXEL_RGBA: bytes = 4; break;
	case GLIP_PIXEL_BGRA: red = 2, blue = 0, bytes = 4; break;
	case GLIP_PIXEL_GRAY: green = 0, blue = 0, bytes = 1; break;
	}
	channel[0] = red;
	channel[1] = green;
	channel[2] = blue;
	return bytes;
}

ptrdiff_t glip__image_stride(const struct glip_image *image)
{
	size_t channel[3];
	size_t bytes = glip__pixel_layout(image->format, channel);
	return image->stride ? image->stride : (ptrdiff_t)((size_t)image->width * bytes);
}

enum glip_status glip__image_check(const struct glip_image *image, struct glip_error *err)
{
	if (!image || !image->pixels)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s is NULL", image ? "the image's pixels pointer" : "the image");
	if (image->width < 1 || image->height < 1)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "an image of %d x %d pixels: both sides must be at least 1",
		                  image->width, image->height);
	if ((int)image->format < GLIP_PIXEL_RGB || (int)image->format > GLIP_PIXEL_GRAY)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%d is not a pixel format", (int)image->format);
	size_t channel[3];
	uint64_t row = (uint64_t)image->width * glip__pixel_layout(image->format, channel);
	ptrdiff_t stride = image->stride;
	uint64_t step = stride < 0 ? 0 - (uint64_t)stride : (uint64_t)stride;
	if (step && step < row)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "the image's stride of %td bytes is less than a row of %llu", stride,
		                  (unsigned long long)row);
	if (row > PTRDIFF_MAX || (step ? step : row) > PTRDIFF_MAX / (uint64_t)image->height)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "an image of %d x %d pixels does not fit the address space",
		                  image->width, image->height);
	return GLIP_OK;
}

/* Python's round(): halves go to the even neighbour. `x` is positive. */
static double round_half_even(double x)
{
	double below = floor(x), rest = x - below;
	if (rest > 0.5 || (rest == 0.5 && fmod(below, 2.0) == 1.0))
		below += 1.0;
	return below;
}

enum glip_status glip__network_size(struct image_size image, int short_side, int long_side, struct image_size *out,
                                    struct glip_error *err)
{
	if (short_side < 1 || short_side > MAX_OPTION_SIDE)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "short_side is %d; it must be 1 to %d", short_side, MAX_OPTION_SIDE);
	if (long_side < 0 || long_side > MAX_OPTION_SIDE)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "long_side is %d; it must be 0 (no limit) to %d", long_side,
		                  MAX_OPTION_SIDE);
	if (image.width < 1 || image.height < 1)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "an image of %d x %d pixels: both sides must be at least 1",
		                  image.width, image.height);
	int landscape = image.width >= image.height;
	double longer = landscape ? image.width : image.height;
	double shorter = landscape ? image.height : image.width;
	/* WATCH: the original's order of operations, in double as in Python: the products below 2^53 are exact. */
	double network_short = short_side;
	if (long_side > 0 && longer / shorter * network_short > long_side)
		network_short = round_half_even(long_side * shorter / longer);
	double network_long = floor(network_short * longer / shorter);
	if (network_short < 1 || network_long > MAX_NETWORK_SIDE)
		return glip__fail(err, GLIP_ERR_IMAGE, "an image of %d x %d pixels is too thin: it would become %.0f x %.0f",
		                  image.width, image.height, landscape ? network_long : network_short,
		                  landscape ? network_short : network_long);
	out->width = (int)(landscape ? network_long : network_short);
	out->height = (int)(landscape ? network_short : network_long);
	return GLIP_OK;
}

struct normalise_task {
	const uint8_t *rgb;
	struct image_size size, padded;
	float table[3][256]; /* in the order of the output */
	float *out;
};

static void normalise_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct normalise_task *t = context;
	size_t width = (size_t)t->size.width, padded_width = (size_t)t->padded.width;
	(void)worker;
	for (size_t y = begin; y < end; y++) {
		float *row = t->out + y * padded_width * 3;
		if (y >= (size_t)t->size.height) {
			memset(row, 0, padded_width * 3 * sizeof(*row));
			continue;
		}
		const uint8_t *in = t->rgb + y * width * 3;
		for (size_t x = 0; x < width; x++) {
			row[3 * x] = t->table[0][in[3 * x + 2]];
			row[3 * x + 1] = t->table[1][in[3 * x + 1]];
			row[3 * x + 2] = t->table[2][in[3 * x]];
		}
		memset(row + width * 3, 0, (padded_width - width) * 3 * sizeof(*row));
	}
}

void glip__normalise(const uint8_t *rgb, struct image_size size, struct image_size padded, struct pool *pool,
                     float *out)
{
	/* BGR. */
	static const float mean[3] = {103.530f, 116.280f, 123.675f};
	static const float std[3] = {57.375f, 57.120f, 58.395f};
	struct normalise_task t = {.rgb = rgb, .size = size, .padded = padded, .out = out};
	for (int c = 0; c < 3; c++)
		for (int value = 0; value < 256; value++)
			t.table[c][value] = ((float)value - mean[c]) / std[c];
	if (pool)
		glip__pool_run(pool, normalise_rows, &t, (size_t)padded.height, GRAIN_ROWS);
	else
		normalise_rows(&t, 0, (size_t)padded.height, 0);
}
