#include "dyhead/dyconv.h"

#include <assert.h>
#include <math.h>

enum { TAPS = 9, OFFSETS = 18, MAX_BRANCHES = 3 };

static void bind_branch(struct dyconv_branch *out, struct binder *b, const char *prefix, const char *name, int64_t c)
{
	out->weight = glip__bind_matrix(b, c, TAPS * c, "%s.%s.conv.weight", prefix, name);
	out->bias = glip__bind_vector(b, c, "%s.%s.conv.bias", prefix, name);
	out->norm_weight = glip__bind_vector(b, c, "%s.%s.norm.weight", prefix, name);
	out->norm_bias = glip__bind_vector(b, c, "%s.%s.norm.bias", prefix, name);
}

void glip__dyconv_bind(struct dyconv *out, struct binder *b, const char *prefix, int channels, int groups)
{
	const int64_t c = channels;

	*out = (struct dyconv){.channels = channels, .groups = groups};
	if (groups < 1 || channels % groups || channels % 4)
		glip__binder_note(b, "%s: %d channels cannot be split into %d groups and into quarters", prefix, channels,
		                  groups);
	out->offset = glip__bind_matrix(b, OFFSETS + TAPS, TAPS * c, "%s.offset.weight", prefix);
	out->offset_bias = glip__bind_vector(b, OFFSETS + TAPS, "%s.offset.bias", prefix);
	bind_branch(&out->coarse, b, prefix, "coarse", c);
	bind_branch(&out->same, b, prefix, "same", c);
	bind_branch(&out->fine, b, prefix, "fine", c);
	out->attn = glip__bind_matrix(b, 1, c, "%s.attn.weight", prefix);
	out->attn_bias = glip__bind_vector(b, 1, "%s.attn.bias", prefix);
	out->relu_down = glip__bind_matrix(b, c / 4, c, "%s.relu.down.weight", prefix);
	out->relu_down_bias = glip__bind_vector(b, c / 4, "%s.relu.down.bias", prefix);
	out->relu_up = glip__bind_matrix(b, 4 * c, c / 4, "%s.relu.up.weight", prefix);
	out->relu_up_bias = glip__bind_vector(b, 4 * c, "%s.relu.up.bias", prefix);
}

/* Where a level's taps look and how much they count: one convolution's output, read by all three branches. */
struct sampling {
	float *raw;        /* [positions, 27] channels 2k, 2k + 1: dy, dx of tap k */
	float *modulation; /* [positions, 9] */
};

/* A branch's values at a level's size before its group norm, which is a factor and a shift per channel. */
struct branch_values {
	float *data;   /* [positions, C] */
	float *scale;  /* [C] */
	float *shift;  /* [C] */
};

static enum glip_status sample_level(const struct dyconv *m, struct ops *ops, const struct feature_map *x,
                                     struct sampling *s)
{
	const size_t positions = (size_t)x->height * (size_t)x->width;

	if (!(s->raw = glip__ops_floats(ops, positions * (OFFSETS + TAPS))) ||
	    !(s->modulation = glip__ops_floats(ops, positions * TAPS)))
		return GLIP_ERR_NOMEM;
	TRY(glip__conv2d(ops, x->data, x->height, x->width, x->channels, m->offset, m->offset_bias, 3, 1, 1, s->raw));
	for (size_t p = 0; p < positions; p++)
		for (size_t t = 0; t < TAPS; t++)
			s->modulation[p * TAPS + t] = s->raw[p * (OFFSETS + TAPS) + OFFSETS + t];
	return glip__sigmoid(ops, s->modulation, (int64_t)positions * TAPS, s->modulation);
}

/* The first `count` elements of the channel-first buffer that holds what `x` [positions, row] holds. */
static void channel_first(const float *x, size_t positions, size_t row, size_t count, float *out)
{
	for (size_t c = 0; c * positions < count; c++) {
		const size_t left = count - c * positions, n = left < positions ? left : positions;
		for (size_t p = 0; p < n; p++)
			out[c * positions + p] = x[p * row + c];
	}
}

/* Deformable convolution of `x` to a [height, width] map; the points' offsets and modulation are set by the caller. */
static enum glip_status deform_conv(struct ops *ops, const struct dyconv_branch *b, const struct feature_map *x,
                                    struct deform_points *points, float *out)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	const size_t positions = (size_t)points->out_height * (size_t)points->out_width;

	points->height = x->height;
	points->width = x->width;
	points->index = glip__ops_alloc(ops, positions * TAPS * 4, sizeof *points->index);
	points->blend = glip__ops_floats(ops, positions * TAPS * 4);
	if (!points->index || !points->blend)
		return GLIP_ERR_NOMEM;
	TRY(glip__deform_points(ops, points));
	struct gemm g = {
		.m = (int64_t)positions, .n = b->weight.rows, .k = b->weight.cols,
		.a = {.data = x->data, .ld = x->channels, .index = points->index, .taps = TAPS, .blend = points->blend},
		.b = b->weight, .bias = b->bias, .c = out,
	};
	TRY(glip__gemm(ops, &g));
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

/* torch group_norm (eps 1e-5) over x [positions, C] as scale and shift; mean [C] receives x's plain mean. */
static enum glip_status group_norm(const struct dyconv *m, struct ops *ops, const struct dyconv_branch *b,
                                   const float *x, int64_t positions, float *scale, float *shift, double *mean)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	const int channels = m->channels, width = channels / m->groups;
	double *square = glip__ops_alloc(ops, (size_t)channels, sizeof *square);

	if (!square)
		return GLIP_ERR_NOMEM;
	TRY(glip__column_sums(ops, x, positions, channels, mean, square));
	for (int first = 0; first < channels; first += width) {
		const double count = (double)positions * width;
		double sum = 0.0, squares = 0.0;

		for (int c = first; c < first + width; c++) {
			sum += mean[c];
			squares += square[c];
		}
		const double centre = sum / count, variance = squares / count - centre * centre;
		const double factor = 1.0 / sqrt((variance > 0.0 ? variance : 0.0) + 1e-5);
		for (int c = first; c < first + width; c++) {
			mean[c] /= (double)positions;
			scale[c] = (float)((double)b->norm_weight[c] * factor);
			shift[c] = (float)((double)b->norm_bias[c] - (double)b->norm_weight[c] * factor * centre);
		}
	}
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

/* The branch that reads the same level or the finer one: output at the level's own size. mean [C] receives the mean
 * over positions after the norm. */
static enum glip_status near_branch(const struct dyconv *m, struct ops *ops, const struct dyconv_branch *b,
                                    const struct feature_map *x, int stride, const struct sampling *s, int height,
                                    int width, struct branch_values *out, float *mean)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	double *raw_mean = glip__ops_alloc(ops, (size_t)m->channels, sizeof *raw_mean);
	struct deform_points points = {
		.out_height = height, .out_width = width, .stride = stride,
		.offset = s->raw, .offset_row = OFFSETS + TAPS, .offset_step = 1,
		.modulation = s->modulation, .modulation_row = TAPS, .modulation_step = 1,
	};

	if (!raw_mean)
		return GLIP_ERR_NOMEM;
	TRY(deform_conv(ops, b, x, &points, out->data));
	TRY(group_norm(m, ops, b, out->data, (int64_t)height * width, out->scale, out->shift, raw_mean));
	for (int c = 0; c < m->channels; c++)
		mean[c] = (float)raw_mean[c] * out->scale[c] + out->shift[c];
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

/* The branch that reads the coarser level: convolution at that level's size, then up-sampling to height x width. */
static enum glip_status coarse_branch(const struct dyconv *m, struct ops *ops, const struct feature_map *x,
                                      const struct sampling *s, int height, int width, struct branch_values *out,
                                      float *mean)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	const size_t here = (size_t)height * (size_t)width, small = (size_t)x->height * (size_t)x->width;
	float *offset = glip__ops_floats(ops, OFFSETS * small);
	float *modulation = glip__ops_floats(ops, TAPS * small);
	float *low = glip__ops_floats(ops, small * (size_t)m->channels); /* [small, C] */
	double *sums = glip__ops_alloc(ops, 2 * (size_t)m->channels, sizeof *sums);

	if (!offset || !modulation || !low || !sums)
		return GLIP_ERR_NOMEM;
	assert(small <= here);
	/* WATCH: the original reads the larger level's channel-first buffers with the smaller output's strides: channel c
	 * of output p is element c * small + p of the buffer, whatever channel and place that is. */
	channel_first(s->raw, here, OFFSETS + TAPS, OFFSETS * small, offset);
	channel_first(s->modulation, here, TAPS, TAPS * small, modulation);
	struct deform_points points = {
		.out_height = x->height, .out_width = x->width, .stride = 1,
		.offset = offset, .offset_row = 1, .offset_step = (int64_t)small,
		.modulation = modulation, .modulation_row = 1, .modulation_step = (int64_t)small,
	};
	TRY(deform_conv(ops, &m->coarse, x, &points, low));
	TRY(group_norm(m, ops, &m->coarse, low, (int64_t)small, out->scale, out->shift, sums));
	/* Up-sampling blends with weights that sum to 1, so the norm's factors may be applied after it. */
	TRY(glip__upsample_bilinear(ops, low, x->height, x->width, m->channels, out->data, height, width));
	/* WATCH: the mean is over the up-sampled map; the small map's mean weighs its border differently. */
	TRY(glip__column_sums(ops, out->data, (int64_t)here, m->channels, sums, sums + m->channels));
	for (int c = 0; c < m->channels; c++)
		mean[c] = (float)(sums[c] / (double)here) * out->scale[c] + out->shift[c];
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

static float h_sigmoid(float x)
{
	const float y = x + 3.0f;

	return (y < 0.0f ? 0.0f : y > 6.0f ? 6.0f : y) / 6.0f;
}

/* Weighs the branches against each other and folds their norms in: branches[s].scale becomes the factor of branch s,
 * shift [C] what is added once, mean [C] the mean of the sum. means [count, C]: of each branch after its norm. */
static enum glip_status weigh_branches(const struct dyconv *m, struct ops *ops, struct branch_values *branches,
                                       int count, const float *means, float *shift, float *mean)
{
	float weight[MAX_BRANCHES];

	TRY(glip__linear(ops, means, count, m->attn, m->attn_bias, ACT_RELU, weight));
	for (int c = 0; c < m->channels; c++)
		shift[c] = mean[c] = 0.0f;
	for (int s = 0; s < count; s++) {
		const float share = h_sigmoid(weight[s]) / (float)count;

		for (int c = 0; c < m->channels; c++) {
			branches[s].scale[c] *= share;
			shift[c] += share * branches[s].shift[c];
			mean[c] += share * means[s * m->channels + c];
		}
	}
	return GLIP_OK;
}

/* Slopes and intercepts of the rectifier from the level's mean [C]: lines [4, C] = a1, b1, a2, b2. */
static enum glip_status rectifier_lines(const struct dyconv *m, struct ops *ops, const float *mean, float *lines)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	const int channels = m->channels;
	float *hidden = glip__ops_floats(ops, (size_t)channels / 4);

	if (!hidden)
		return GLIP_ERR_NOMEM;
	TRY(glip__linear(ops, mean, 1, m->relu_down, m->relu_down_bias, ACT_RELU, hidden));
	TRY(glip__linear(ops, hidden, 1, m->relu_up, m->relu_up_bias, ACT_NONE, lines));
	for (int c = 0; c < channels; c++) {
		lines[c] = 2.0f * h_sigmoid(lines[c]);
		lines[channels + c] = h_sigmoid(lines[channels + c]) - 0.5f;
		lines[2 * channels + c] = 2.0f * h_sigmoid(lines[2 * channels + c]) - 1.0f;
		lines[3 * channels + c] = h_sigmoid(lines[3 * channels + c]) - 0.5f;
	}
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

static enum glip_status new_values(struct ops *ops, size_t positions, size_t channels, struct branch_values *out)
{
	if (!(out->data = glip__ops_floats(ops, positions * channels)) || !(out->scale = glip__ops_floats(ops, channels)) ||
	    !(out->shift = glip__ops_floats(ops, channels)))
		return GLIP_ERR_NOMEM;
	return GLIP_OK;
}

static enum glip_status level_forward(const struct dyconv *m, struct ops *ops, const struct feature_map in[LEVELS],
                                      int level, float *out)
{
	const int height = in[level].height, width = in[level].width, channels = m->channels;
	const size_t positions = (size_t)height * (size_t)width;
	struct branch_values branches[MAX_BRANCHES];
	struct sampling s;
	int count = 0;
	float *means = glip__ops_floats(ops, MAX_BRANCHES * (size_t)channels); /* [branch, C] */
	float *shift = glip__ops_floats(ops, (size_t)channels);
	float *mean = glip__ops_floats(ops, (size_t)channels);
	float *lines = glip__ops_floats(ops, 4 * (size_t)channels); /* [a1, b1, a2, b2; C] */

	if (!means || !shift || !mean || !lines)
		return GLIP_ERR_NOMEM;
	TRY(sample_level(m, ops, &in[level], &s));
	TRY(new_values(ops, positions, (size_t)channels, &branches[count]));
	TRY(near_branch(m, ops, &m->same, &in[level], 1, &s, height, width, &branches[count], means));
	count++;
	/* WATCH: the neighbours are read at this level's offsets and modulations, not at their own. */
	if (level > 0) {
		TRY(new_values(ops, positions, (size_t)channels, &branches[count]));
		TRY(near_branch(m, ops, &m->fine, &in[level - 1], 2, &s, height, width, &branches[count],
		                means + count * channels));
		count++;
	}
	if (level + 1 < LEVELS) {
		TRY(new_values(ops, positions, (size_t)channels, &branches[count]));
		TRY(coarse_branch(m, ops, &in[level + 1], &s, height, width, &branches[count], means + count * channels));
		count++;
	}
	TRY(weigh_branches(m, ops, branches, count, means, shift, mean));
	TRY(rectifier_lines(m, ops, mean, lines));
	struct dyrelu_sum sum = {
		.sources = count, .shift = shift,
		.a1 = lines, .b1 = lines + channels, .a2 = lines + 2 * channels, .b2 = lines + 3 * channels,
		.rows = (int64_t)positions, .channels = channels, .out = out,
	};
	for (int i = 0; i < count; i++) {
		sum.source[i] = branches[i].data;
		sum.scale[i] = branches[i].scale;
	}
	return glip__dyrelu_sum(ops, &sum);
}

enum glip_status glip__dyconv_forward(const struct dyconv *m, struct ops *ops, const struct feature_map in[LEVELS],
                                      struct feature_map out[LEVELS])
{
	for (int level = 0; level < LEVELS; level++) {
		struct arena_mark mark = glip__arena_mark(ops->arena);

		assert(in[level].channels == m->channels && out[level].channels == m->channels);
		assert(out[level].height == in[level].height && out[level].width == in[level].width);
		assert(!level || (in[level].height == (in[level - 1].height + 1) / 2 &&
		                  in[level].width == (in[level - 1].width + 1) / 2));
		enum glip_status status = level_forward(m, ops, in, level, out[level].data);
		glip__arena_release(ops->arena, mark);
		TRY(status);
	}
	return GLIP_OK;
}
