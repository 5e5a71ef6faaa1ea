/* Deformable sampling points as rows and factors of a matrix product (torchvision deform_conv2d, 3x3, padding 1). */
#include "ops/ops_internal.h"

enum { TAPS = 9, GRAIN_POINTS = 256 };

/* The four neighbours of (y, x) with their bilinear weights times `modulation`; -1 and 0 outside. */
static void sample_point(const struct deform_points *d, float y, float x, float modulation, int32_t *index,
                         float *blend)
{
	/* Written so that not-a-number is outside as well. */
	if (!(y > -1 && y < (float)d->height && x > -1 && x < (float)d->width)) {
		for (int q = 0; q < 4; q++) {
			index[q] = -1;
			blend[q] = 0;
		}
		return;
	}
	/* Rounded down: both are above -1. */
	int top = y < 0 ? -1 : (int)y, left = x < 0 ? -1 : (int)x;
	float part_y = y - (float)top, part_x = x - (float)left;
	bool inside = top >= 0 && top + 1 < d->height && left >= 0 && left + 1 < d->width;
	for (int q = 0; q < 4; q++) {
		int row = top + (q >> 1), column = left + (q & 1);
		if (!inside && (row < 0 || row >= d->height || column < 0 || column >= d->width)) {
			index[q] = -1;
			blend[q] = 0;
			continue;
		}
		index[q] = d->first_row + row * d->width + column;
		blend[q] = (q >> 1 ? part_y : 1 - part_y) * (q & 1 ? part_x : 1 - part_x) * modulation;
	}
}

static void sample_points(void *context, size_t begin, size_t end, int worker)
{
	const struct deform_points *d = context;
	(void)worker;
	for (size_t p = begin; p < end; p++) {
		int oy = (int)(p / (size_t)d->out_width), ox = (int)(p % (size_t)d->out_width);
		const float *offset = d->offset + (int64_t)p * d->offset_row;
		const float *modulation = d->modulation + (int64_t)p * d->modulation_row;
		for (int t = 0; t < TAPS; t++) {
			float y = (float)(oy * d->stride - 1 + t / 3) + offset[2 * t * d->offset_step];
			float x = (float)(ox * d->stride - 1 + t % 3) + offset[(2 * t + 1) * d->offset_step];
			size_t at = (p * TAPS + (size_t)t) * 4;
			sample_point(d, y, x, modulation[t * d->modulation_step], d->index + at, d->blend + at);
		}
	}
}

enum glip_status glip__deform_points(struct ops *ops, const struct deform_points *d)
{
	TRY(glip__ops_begin(ops));
	if (d->height < 1 || d->width < 1 || d->out_height < 0 || d->out_width < 0 || d->stride < 1 || d->first_row < 0 ||
	    (int64_t)d->height * d->width > INT32_MAX - d->first_row ||
	    (int64_t)d->out_height * d->stride > INT32_MAX - 4 || (int64_t)d->out_width * d->stride > INT32_MAX - 4)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "deformable sampling of a %dx%d map to %dx%d with stride %d",
		                  d->height, d->width, d->out_height, d->out_width, d->stride);
	struct deform_points copy = *d;
	glip__pool_run(ops->pool, sample_points, &copy, (size_t)d->out_height * (size_t)d->out_width, GRAIN_POINTS);
	return GLIP_OK;
}
