/* Pillow's antialiased BILINEAR, byte for byte.
 *
 * Both passes are the same sum over rows of bytes. For the horizontal one, LANES source rows are transposed piece by
 * piece, so that equal columns lie side by side and the sum runs over contiguous bytes there, too. Its results go into
 * a window of rows that the vertical pass slides over: scratch grows with the filter's support, not with the image.
 * Each thread makes a band of the result. */
#include <math.h>
#include <string.h>

#include "image/preprocess.h"

enum {
	PRECISION = 22, /* fractional bits of a coefficient: 8 bits of pixel and 2 of headroom make 32 */
	LANES = 16,     /* source rows that are resized together */
	PIECE = 128,    /* source columns that are transposed together, at least */
	MIN_BAND = 32   /* rows of the result: every band resizes some source rows that its neighbours resize too */
};

/* Where an output position gets its value from. */
struct taps {
	size_t first, count; /* source positions */
};

struct axis {
	size_t out_size;
	size_t support; /* largest count */
	struct taps *taps;
	int32_t *weights; /* [out_size][support] */
};

/* Pillow's precompute_coeffs for a triangle that reaches one source pixel, or one output pixel if that is wider, to
 * each side. */
static void position_weights(double scale, size_t in_size, size_t position, struct taps *taps, double *scratch,
                             int32_t *weights)
{
	double filter_scale = scale < 1.0 ? 1.0 : scale;
	double center = ((double)position + 0.5) * scale;
	double low = center - filter_scale + 0.5, high = center + filter_scale + 0.5;
	size_t first = low < 0.0 ? 0 : (size_t)low;
	size_t end = high > (double)in_size ? in_size : (size_t)high;
	double inverse = 1.0 / filter_scale, sum = 0.0;
	for (size_t i = first; i < end; i++) {
		double distance = fabs(((double)i - center + 0.5) * inverse);
		scratch[i - first] = distance < 1.0 ? 1.0 - distance : 0.0;
		sum += scratch[i - first];
	}
	for (size_t i = 0; i < end - first; i++) {
		double weight = sum != 0.0 ? scratch[i] / sum : scratch[i];
		weights[i] = (int32_t)(0.5 + weight * (1 << PRECISION));
	}
	taps->first = first;
	taps->count = end - first;
}

static enum glip_status axis_init(struct axis *axis, int in_size, int out_size, const struct glip_allocator *allocator,
                                  struct glip_error *err)
{
	double scale = (double)in_size / out_size;
	axis->out_size = (size_t)out_size;
	axis->support = (size_t)ceil(scale < 1.0 ? 1.0 : scale) * 2 + 1;
	size_t count;
	if (!glip__mul_size(axis->out_size, axis->support, &count))
		return glip__fail_nomem(err, "resizing", SIZE_MAX);
	axis->taps = glip__malloc(allocator, axis->out_size, sizeof(*axis->taps));
	axis->weights = glip__malloc(allocator, count, sizeof(*axis->weights));
	double *scratch = glip__malloc(allocator, axis->support, sizeof(*scratch));
	if (axis->taps && axis->weights && scratch)
		for (size_t i = 0; i < axis->out_size; i++)
			position_weights(scale, (size_t)in_size, i, &axis->taps[i], scratch, axis->weights + i * axis->support);
	int complete = axis->taps && axis->weights && scratch;
	glip__free(allocator, scratch);
	return complete ? GLIP_OK : glip__fail_nomem(err, "resizing", count * sizeof(*axis->weights));
}

static void axis_free(struct axis *axis, const struct glip_allocator *allocator)
{
	glip__free(allocator, axis->taps);
	glip__free(allocator, axis->weights);
}

/* out[i] = sum over t of in[t * stride + i] * weights[t], rounded and clipped. Weights are never negative and add up to
 * 1 << PRECISION but for their rounding. */
static void sum_rows(const uint8_t *restrict in, size_t stride, const int32_t *restrict weights, size_t count,
                     uint8_t *restrict out, size_t width)
{
	size_t i = 0;
	for (; i + 16 <= width; i += 16) {
		uint32_t sum[16];
		for (int j = 0; j < 16; j++)
			sum[j] = 1u << (PRECISION - 1);
		for (size_t t = 0; t < count; t++) {
			const uint8_t *row = in + t * stride + i;
			uint32_t weight = (uint32_t)weights[t];
			for (int j = 0; j < 16; j++)
				sum[j] += row[j] * weight;
		}
		for (int j = 0; j < 16; j++) {
			uint32_t value = sum[j] >> PRECISION;
			out[i + (size_t)j] = (uint8_t)(value > 255 ? 255 : value);
		}
	}
	for (; i < width; i++) {
		uint32_t sum = 1u << (PRECISION - 1);
		for (size_t t = 0; t < count; t++)
			sum += in[t * stride + i] * (uint32_t)weights[t];
		sum >>= PRECISION;
		out[i] = (uint8_t)(sum > 255 ? 255 : sum);
	}
}

struct resizer {
	const struct glip_image *source;
	ptrdiff_t source_stride;
	size_t pixel_bytes, channel[3];
	struct axis x, y;
	size_t piece_columns, row_bytes, capacity;
	size_t bands, band_rows; /* of the result, each by one thread */
	uint8_t *scratch;        /* [bands] of a piece and a window */
	size_t scratch_bytes;
	uint8_t *out;
};

/* What a band is made with. */
struct band {
	uint8_t *piece;  /* [piece_columns][3][LANES] source pixels */
	uint8_t *window; /* horizontally resized rows first .. first + rows of the source */
	size_t first, rows;
};

/* Source columns [begin, end) of `rows` rows from `top` into the piece. */
static void transpose_in(const struct resizer *r, uint8_t *piece, size_t top, size_t rows, size_t begin, size_t end)
{
	for (size_t lane = 0; lane < rows; lane++) {
		const uint8_t *in = r->source->pixels + (ptrdiff_t)(top + lane) * r->source_stride + begin * r->pixel_bytes;
		uint8_t *out = piece + lane;
		for (size_t x = begin; x < end; x++) {
			out[0] = in[r->channel[0]];
			out[LANES] = in[r->channel[1]];
			out[2 * LANES] = in[r->channel[2]];
			in += r->pixel_bytes;
			out += 3 * LANES;
		}
	}
}

/* Resizes source rows [top, top + rows) horizontally into out[rows][x.out_size][3]. */
static void resize_strip(const struct resizer *r, uint8_t *piece, size_t top, size_t rows, uint8_t *out)
{
	size_t begin = 0, end = 0;
	for (size_t x = 0; x < r->x.out_size; x++) {
		struct taps taps = r->x.taps[x];
		if (taps.first + taps.count > end) {
			begin = taps.first;
			end = begin + r->piece_columns;
			if (end > (size_t)r->source->width)
				end = (size_t)r->source->width;
			transpose_in(r, piece, top, rows, begin, end);
		}
		uint8_t pixel[3 * LANES];
		const uint8_t *in = piece + (taps.first - begin) * 3 * LANES;
		sum_rows(in, 3 * LANES, r->x.weights + x * r->x.support, taps.count, pixel, 3 * LANES);
		uint8_t *to = out + x * 3;
		for (size_t lane = 0; lane < rows; lane++) {
			to[0] = pixel[lane];
			to[1] = pixel[LANES + lane];
			to[2] = pixel[2 * LANES + lane];
			to += r->row_bytes;
		}
	}
}

/* Makes the window hold source rows [taps.first, taps.first + taps.count). */
static void fill_window(const struct resizer *r, struct band *b, struct taps taps)
{
	size_t height = (size_t)r->source->height;
	while (b->first + b->rows < taps.first + taps.count) {
		if (b->rows + LANES > r->capacity) {
			size_t passed = taps.first - b->first;
			b->rows -= passed;
			b->first = taps.first;
			memmove(b->window, b->window + passed * r->row_bytes, b->rows * r->row_bytes);
		}
		size_t top = b->first + b->rows;
		size_t rows = height - top < LANES ? height - top : LANES;
		resize_strip(r, b->piece, top, rows, b->window + b->rows * r->row_bytes);
		b->rows += rows;
	}
}

static void resize_bands(void *context, size_t begin, size_t end, int worker)
{
	const struct resizer *r = context;
	(void)worker;
	for (size_t i = begin; i < end; i++) {
		size_t y = i * r->band_rows, last = y + r->band_rows < r->y.out_size ? y + r->band_rows : r->y.out_size;
		struct band b = {.piece = r->scratch + i * r->scratch_bytes};
		b.window = b.piece + r->piece_columns * 3 * LANES;
		b.first = y < last ? r->y.taps[y].first : 0;
		for (; y < last; y++) {
			struct taps taps = r->y.taps[y];
			fill_window(r, &b, taps);
			sum_rows(b.window + (taps.first - b.first) * r->row_bytes, r->row_bytes, r->y.weights + y * r->y.support,
			         taps.count, r->out + y * r->row_bytes, r->row_bytes);
		}
	}
}

static enum glip_status resizer_init(struct resizer *r, const struct glip_image *source, struct image_size size,
                                     const struct glip_allocator *allocator, struct glip_error *err)
{
	r->source = source;
	r->source_stride = glip__image_stride(source);
	r->pixel_bytes = glip__pixel_layout(source->format, r->channel);
	TRY(axis_init(&r->x, source->width, size.width, allocator, err));
	TRY(axis_init(&r->y, source->height, size.height, allocator, err));
	r->row_bytes = r->x.out_size * 3;
	r->piece_columns = r->x.support > PIECE ? 2 * r->x.support : PIECE;
	/* Twice the support: a row is moved once on average. */
	r->capacity = 2 * r->y.support + 2 * LANES;
	size_t most = (r->y.out_size + MIN_BAND - 1) / MIN_BAND;
	r->bands = r->bands < most ? r->bands : most;
	r->band_rows = (r->y.out_size + r->bands - 1) / r->bands;
	if (!glip__mul_size(r->capacity, r->row_bytes, &r->scratch_bytes) ||
	    r->scratch_bytes > SIZE_MAX - r->piece_columns * 3 * LANES)
		return glip__fail_nomem(err, "resizing", SIZE_MAX);
	r->scratch_bytes += r->piece_columns * 3 * LANES;
	r->scratch = glip__calloc(allocator, r->bands, r->scratch_bytes);
	return r->scratch ? GLIP_OK : glip__fail_nomem(err, "resizing", r->scratch_bytes);
}

enum glip_status glip__resize(const struct glip_image *source, struct image_size size, struct pool *pool,
                              const struct glip_allocator *allocator, uint8_t *out, struct glip_error *err)
{
	struct resizer r = {.bands = pool ? (size_t)glip__pool_threads(pool) : 1, .out = out};
	enum glip_status status = GLIP_OK;
	TRY_OUT(resizer_init(&r, source, size, allocator, err));
	if (pool)
		glip__pool_run(pool, resize_bands, &r, r.bands, 1);
	else
		resize_bands(&r, 0, 1, 0);
out:
	glip__free(allocator, r.scratch);
	axis_free(&r.x, allocator);
	axis_free(&r.y, allocator);
	return status;
}
