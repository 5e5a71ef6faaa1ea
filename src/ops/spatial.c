/* Operators on maps [height, width, channels]: convolution by its index table, up-sampling, the sum of maps. */
#include <assert.h>

#include "ops/ops_internal.h"

enum { GRAIN_FLOATS = 16384 };

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

/* Between which of `size` positions, and how far, position `at` of `count` lies; the outermost ones coincide. */
struct between {
	size_t low, high;
	float part;
};

static struct between between(size_t at, size_t count, size_t size)
{
	float scale = count > 1 ? (float)(size - 1) / (float)(count - 1) : 0;
	size_t low = nearest(at, scale, size);
	return (struct between){low, low + 1 < size ? low + 1 : low, (float)at * scale - (float)low};
}

/* weight[i] = what all `count` positions together take from position i of `size`. */
static void add_parts(size_t count, size_t size, float *weight)
{
	for (size_t i = 0; i < size; i++)
		weight[i] = 0;
	for (size_t at = 0; at < count; at++) {
		struct between b = between(at, count, size);
		weight[b.low] += 1 - b.part;
		weight[b.high] += b.part;
	}
}

enum glip_status glip__upsampled_mean(struct ops *ops, const struct upsampled *u, int channels, float *mean)
{
	size_t h = (size_t)u->h, w = (size_t)u->w, height = (size_t)u->height, width = (size_t)u->width;
	TRY(check_maps(ops, u->h, u->w, channels, u->height, u->width));
	struct arena_mark mark = glip__arena_mark(ops->arena);
	float *weight = glip__ops_floats(ops, h * w), *of_row = glip__ops_floats(ops, h);
	float *of_column = glip__ops_floats(ops, w);
	if (!weight || !of_row || !of_column)
		return GLIP_ERR_NOMEM;
	add_parts(height, h, of_row);
	add_parts(width, w, of_column);
	for (size_t i = 0; i < h * w; i++)
		weight[i] = of_row[i / w] / (float)height * (of_column[i % w] / (float)width);
	TRY(glip__gemm_over_rows(ops, (int64_t)(h * w), 1, channels, weight, 1, u->data, channels, mean));
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

struct dyrelu_task {
	const struct kernels *kernels;
	const struct dyrelu_sum *d;
	struct worker_scratch scratch; /* a line of the map that is up-sampled, at the height of the row, and a position */
};

/* Position `row` of the up-sampled map, to out; line: that of its own row of positions, made at the first of them. */
static void upsampled_position(const struct dyrelu_task *t, size_t row, float *line, float *out)
{
	const struct upsampled *u = t->d->upsampled;
	size_t n = (size_t)t->d->channels, width = (size_t)u->width, w = (size_t)u->w;
	struct between x = between(row % width, width, w);
	if (row % width == 0) {
		struct between y = between(row / width, (size_t)u->height, (size_t)u->h);
		t->kernels->lerp(u->data + y.low * w * n, u->data + y.high * w * n, y.part, w * n, line);
	}
	t->kernels->lerp(line + x.low * n, line + x.high * n, x.part, n, out);
}

static void dyrelu_rows(void *context, size_t begin, size_t end, int worker)
{
	const struct dyrelu_task *t = context;
	const struct dyrelu_sum *d = t->d;
	size_t n = (size_t)d->channels;
	int stored = d->upsampled ? d->sources - 1 : d->sources;
	const float *source[3];
	float *position = d->upsampled ? glip__worker_floats(&t->scratch, worker) : NULL;
	for (size_t row = begin; row < end; row++) {
		for (int s = 0; s < stored; s++)
			source[s] = d->source[s] + row * n;
		if (d->upsampled) {
			upsampled_position(t, row, position + n, position);
			source[stored] = position;
		}
		t->kernels->dyrelu_row(d, source, d->out + row * n);
	}
}

enum glip_status glip__dyrelu_sum(struct ops *ops, const struct dyrelu_sum *d)
{
	const struct upsampled *u = d->upsampled;
	TRY(glip__ops_begin(ops));
	if (d->sources < 1 || d->sources > 3 || d->rows < 0 || d->channels < 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "dynamic ReLU over %d sources of %lld x %lld", d->sources,
		                  (long long)d->rows, (long long)d->channels);
	struct dyrelu_task t = {.kernels = ops->kernels, .d = d};
	size_t grain = GRAIN_FLOATS / (size_t)(d->channels + 1);
	struct arena_mark mark = glip__arena_mark(ops->arena);
	if (u) {
		assert(d->rows == (int64_t)u->height * u->width);
		TRY(glip__worker_scratch(ops, ((size_t)u->w + 1) * (size_t)d->channels, &t.scratch));
		grain = (size_t)u->width;
	}
	glip__pool_run(ops->pool, dyrelu_rows, &t, (size_t)d->rows, grain ? grain : 1);
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}
