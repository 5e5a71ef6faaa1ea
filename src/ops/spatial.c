/* Operators on maps [height, width, channels]: convolution by its index table, up-sampling. */
#include "ops/ops_internal.h"

static int conv_size(int size, int kernel, int stride, int padding)
{
	int64_t room = (int64_t)size + 2 * (int64_t)padding - kernel;
	return room < 0 ? 0 : (int)(room / stride) + 1;
}

void glip__conv_index(int height, int width, int kernel, int stride, int padding, int32_t *index)
{
	int out_height = conv_size(height, kernel, stride, padding), out_width = conv_size(width, kernel, stride, padding);
	for (int oy = 0; oy < out_height; oy++) {
		for (int ox = 0; ox < out_width; ox++) {
			for (int ky = 0; ky < kernel; ky++) {
				for (int kx = 0; kx < kernel; kx++) {
					int y = oy * stride - padding + ky, x = ox * stride - padding + kx;
					bool inside = y >= 0 && y < height && x >= 0 && x < width;
					*index++ = inside ? y * width + x : -1;
				}
			}
		}
	}
}

enum glip_status glip__conv2d(struct ops *ops, const float *x, int height, int width, int channels,
                              struct matrix weight, const float *bias, int kernel, int stride, int padding, float *y)
{
	if (height < 1 || width < 1 || channels < 1 || kernel < 1 || kernel > 15 || stride < 1 || padding < 0 ||
	    padding >= kernel || (int64_t)height * width > INT32_MAX)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "convolution %dx%d, stride %d, padding %d, of a %dx%dx%d map",
		                  kernel, kernel, stride, padding, height, width, channels);
	int64_t taps = (int64_t)kernel * kernel;
	int64_t out = (int64_t)conv_size(height, kernel, stride, padding) * conv_size(width, kernel, stride, padding);
	struct gemm g = {
		.m = out,
		.n = weight.rows,
		.k = taps * channels,
		.a = {.data = x, .ld = channels, .taps = (int)taps},
		.b = weight,
		.bias = bias,
		.c = y,
	};
	struct arena_mark mark = glip__arena_mark(ops->arena);
	if (kernel != 1 || stride != 1) {
		int32_t *index = glip__ops_alloc(ops, (size_t)out, (size_t)taps * sizeof *index);
		if (!index)
			return GLIP_ERR_NOMEM;
		glip__conv_index(height, width, kernel, stride, padding, index);
		g.a.index = index;
	}
	enum glip_status status = glip__gemm(ops, &g);
	glip__arena_release(ops->arena, mark);
	return status;
}

struct upsample_task {
	const struct kernels *kernels;
	const float *x;
	size_t h, w, channels, height, width;
	float *y;
	float scale_y, scale_x; /* input positions per output position */
	struct worker_scratch scratch;
};

static enum glip_status check_maps(struct ops *ops, int h, int w, int channels, int height, int width)
{
	TRY(glip__ops_begin(ops));
	if (h < 1 || w < 1 || channels < 0 || height < 0 || width < 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "up-sampling of a %dx%dx%d map to %dx%d", h, w, channels, height,
		                  width);
	return GLIP_OK;
}

/* Positions are computed in float, as torch does: in double some sizes would give other neighbours. */
static size_t nearest(size_t position, float scale, size_t size)
{
	size_t source = (size_t)((float)position * scale);
	return source < size ? source : size - 1;
}

static void add_nearest(void *context, size_t begin, size_t end, int worker)
{
	const struct upsample_task *t = context;
	(void)worker;
	for (size_t row = begin; row < end; row++) {
		const float *x = t->x + nearest(row, t->scale_y, t->h) * t->w * t->channels;
		float *y = t->y + row * t->width * t->channels;
		for (size_t column = 0; column < t->width; column++, y += t->channels)
			t->kernels->add(x + nearest(column, t->scale_x, t->w) * t->channels, t->channels, y);
	}
}

enum glip_status glip__upsample_nearest_add(struct ops *ops, const float *x, int h, int w, int channels, float *y,
                                            int height, int width)
{
	TRY(check_maps(ops, h, w, channels, height, width));
	struct upsample_task t = {
		.kernels = ops->kernels,
		.x = x,
		.y = y,
		.h = (size_t)h,
		.w = (size_t)w,
		.channels = (size_t)channels,
		.height = (size_t)height,
		.width = (size_t)width,
		.scale_y = (float)h / (float)height,
		.scale_x = (float)w / (float)width,
	};
	glip__pool_run(ops->pool, add_nearest, &t, t.height, 1);
	return GLIP_OK;
}

static void lerp_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct upsample_task *t = context;
	size_t line = t->w * t->channels;
	float *between = glip__worker_floats(&t->scratch, worker);
	for (size_t row = begin; row < end; row++) {
		float at = (float)row * t->scale_y;
		size_t low = nearest(row, t->scale_y, t->h), high = low + 1 < t->h ? low + 1 : low;
		t->kernels->lerp(t->x + low * line, t->x + high * line, at - (float)low, line, between);
		float *y = t->y + row * t->width * t->channels;
		for (size_t column = 0; column < t->width; column++, y += t->channels) {
			at = (float)column * t->scale_x;
			low = nearest(column, t->scale_x, t->w);
			high = low + 1 < t->w ? low + 1 : low;
			t->kernels->lerp(between + low * t->channels, between + high * t->channels, at - (float)low, t->channels,
			                 y);
		}
	}
}

enum glip_status glip__upsample_bilinear(struct ops *ops, const float *x, int h, int w, int channels, float *y,
                                         int height, int width)
{
	TRY(check_maps(ops, h, w, channels, height, width));
	struct upsample_task t = {
		.kernels = ops->kernels,
		.x = x,
		.y = y,
		.h = (size_t)h,
		.w = (size_t)w,
		.channels = (size_t)channels,
		.height = (size_t)height,
		.width = (size_t)width,
		.scale_y = height > 1 ? (float)(h - 1) / (float)(height - 1) : 0,
		.scale_x = width > 1 ? (float)(w - 1) / (float)(width - 1) : 0,
	};
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = glip__worker_scratch(ops, t.w * t.channels, &t.scratch);
	if (status == GLIP_OK)
		glip__pool_run(ops->pool, lerp_rows, &t, t.height, 1);
	glip__arena_release(ops->arena, mark);
	return status;
}
