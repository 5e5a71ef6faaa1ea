#include "dyhead/dyconv.h"

#include <assert.h>
#include <math.h>

#include "ops/few_channels.h"

enum { TAPS = 9, OFFSETS = 18, CHANNELS = OFFSETS + TAPS, MAX_BRANCHES = 3, GRAIN_ROWS = 512 };

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
	out->offset = glip__bind_exact_matrix(b, CHANNELS, TAPS * c, "%s.offset.weight", prefix);
	out->offset_bias = glip__bind_vector(b, CHANNELS, "%s.offset.bias", prefix);
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

/* A branch's convolution at the levels from `begin` on. */
struct convolved {
	int begin;
	float *data;          /* [rows of these levels, C] */
	double *sum, *square; /* [LEVELS - begin, C] over the rows of each level */
};

/* One forward pass. A branch's convolution has the same weights at every level, so it is one product over the positions
 * of all levels; position p of level l is row first[l] + p. */
struct pass {
	const struct dyconv *m;
	struct ops *ops;
	const struct feature_map *in;
	size_t first[LEVELS + 1]; /* [LEVELS]: of all levels */
	float *points;            /* [first[LEVELS], 27] channels 2k, 2k + 1 are dy, dx of tap k, 18 + k its modulation */
	struct convolved same;    /* in the memory of the result, which takes its place position by position */
	struct convolved fine;    /* of the levels but the first */
	struct convolved coarse;  /* likewise: what a level gives to the finer one, before it is up-sampled */
};

/* A branch's values at a level's size before its group norm, which is a factor and a shift per channel. */
struct branch_values {
	const float *data; /* [positions, C], or what up-sampling makes them of */
	float *scale;      /* [C] */
	float *shift;      /* [C] */
};

static size_t positions_of(const struct feature_map *map)
{
	return (size_t)map->height * (size_t)map->width;
}

/* Where the taps of all levels look and how much they count: one convolution, read by all three branches. */
static enum glip_status sample_levels(struct pass *d)
{
	const size_t rows = d->first[LEVELS];
	int height[LEVELS], width[LEVELS];

	if (!(d->points = glip__ops_floats(d->ops, rows * CHANNELS)))
		return GLIP_ERR_NOMEM;
	for (int level = 0; level < LEVELS; level++) {
		height[level] = d->in[level].height;
		width[level] = d->in[level].width;
	}
	struct few_channels f = {
		.maps = LEVELS,
		.channels = d->m->channels,
		.height = height,
		.width = width,
		.x = d->in[0].data,
		.weight = d->m->offset,
		.bias = d->m->offset_bias,
		.gates = TAPS,
		.out = d->points,
	};
	/* Places to read at: an error there moves what is read. */
	f.weight.precision = PRECISION_16_BITS;
	return glip__conv_to_few(d->ops, &f);
}

struct reorder {
	const float *x; /* [positions, 27] */
	size_t positions, count;
	float *out;
};

static void reorder_positions(void *context, size_t begin, size_t end, int worker)
{
	const struct reorder *r = context;

	(void)worker;
	for (size_t p = begin; p < end; p++)
		for (size_t at = p, c = 0; at < r->count; at += r->positions, c++)
			r->out[at] = r->x[p * CHANNELS + c];
}

/* The first `count` elements of the channel-first buffer that holds what `x` holds, points from some channel on. */
static void channel_first(struct ops *ops, const float *x, size_t positions, size_t count, float *out)
{
	struct reorder r = {x, positions, count, out};

	glip__pool_run(ops->pool, reorder_positions, &r, positions, GRAIN_ROWS);
}

/* Sampling points of `to` from `from`, at `to`'s own offsets. */
static enum glip_status near_points(const struct pass *d, int from, int to, int32_t *index, float *blend)
{
	struct deform_points points = {
		.height = d->in[from].height,
		.width = d->in[from].width,
		.first_row = (int32_t)d->first[from],
		.out_height = d->in[to].height,
		.out_width = d->in[to].width,
		.stride = from == to ? 1 : 2,
		.offset = d->points + d->first[to] * CHANNELS,
		.offset_row = CHANNELS,
		.offset_step = 1,
		.modulation = d->points + d->first[to] * CHANNELS + OFFSETS,
		.modulation_row = CHANNELS,
		.modulation_step = 1,
		.index = index,
		.blend = blend,
	};

	return glip__deform_points(d->ops, &points);
}

/* Sampling points of `level` from itself, at the offsets of the finer level before it. */
static enum glip_status coarse_points(const struct pass *d, int level, int32_t *index, float *blend)
{
	struct arena_mark mark = glip__arena_mark(d->ops->arena);
	const struct feature_map *map = &d->in[level];
	const size_t small = positions_of(map), large = positions_of(&d->in[level - 1]), finer = d->first[level - 1];
	float *offset = glip__ops_floats(d->ops, OFFSETS * small);
	float *modulation = glip__ops_floats(d->ops, TAPS * small);

	if (!offset || !modulation)
		return GLIP_ERR_NOMEM;
	assert(small <= large);
	/* WATCH: the original reads the larger level's channel-first buffers with the smaller output's strides: channel c
	 * of output p is element c * small + p of the buffer, whatever channel and place that is. */
	channel_first(d->ops, d->points + finer * CHANNELS, large, OFFSETS * small, offset);
	channel_first(d->ops, d->points + finer * CHANNELS + OFFSETS, large, TAPS * small, modulation);
	struct deform_points points = {
		.height = map->height,
		.width = map->width,
		.first_row = (int32_t)d->first[level],
		.out_height = map->height,
		.out_width = map->width,
		.stride = 1,
		.offset = offset,
		.offset_row = 1,
		.offset_step = (int64_t)small,
		.modulation = modulation,
		.modulation_row = 1,
		.modulation_step = (int64_t)small,
		.index = index,
		.blend = blend,
	};
	TRY(glip__deform_points(d->ops, &points));
	glip__arena_release(d->ops->arena, mark);
	return GLIP_OK;
}

/* data: for the values; NULL: they get memory of their own. */
static enum glip_status new_convolved(const struct pass *d, int begin, float *data, struct convolved *out)
{
	const size_t rows = d->first[LEVELS] - d->first[begin], channels = (size_t)d->m->channels;

	out->begin = begin;
	out->data = data ? data : glip__ops_alloc(d->ops, rows, channels * sizeof *out->data);
	out->sum = glip__ops_alloc(d->ops, LEVELS, channels * sizeof *out->sum);
	out->square = glip__ops_alloc(d->ops, LEVELS, channels * sizeof *out->square);
	return out->data && out->sum && out->square ? GLIP_OK : GLIP_ERR_NOMEM;
}

/* The values of a level. */
static const float *convolved_at(const struct pass *d, const struct convolved *x, int level)
{
	return x->data + (d->first[level] - d->first[x->begin]) * (size_t)d->m->channels;
}

/* The deformable convolution of a branch. */
static enum glip_status convolve(const struct pass *d, const struct dyconv_branch *b, const struct convolved *out)
{
	struct arena_mark mark = glip__arena_mark(d->ops->arena);
	const int begin = out->begin;
	const size_t rows = d->first[LEVELS] - d->first[begin];
	int32_t *index = glip__ops_alloc(d->ops, rows, TAPS * 4 * sizeof *index);
	float *blend = glip__ops_floats(d->ops, rows * TAPS * 4);

	if (!index || !blend)
		return GLIP_ERR_NOMEM;
	for (int level = begin; level < LEVELS; level++) {
		const size_t skip = (d->first[level] - d->first[begin]) * TAPS * 4;
		/* WATCH: the neighbours are read at the receiving level's offsets and modulations, not at their own. */
		if (b == &d->m->coarse)
			TRY(coarse_points(d, level, index + skip, blend + skip));
		else
			TRY(near_points(d, b == &d->m->fine ? level - 1 : level, level, index + skip, blend + skip));
	}
	const struct gemm_sums sums = {
		.runs = LEVELS - begin,
		.first = d->first + begin,
		.sum = out->sum,
		.square = out->square,
	};
	struct gemm g = {
		.m = (int64_t)rows,
		.n = b->weight.rows,
		.k = b->weight.cols,
		.a = {.data = d->in[0].data, .ld = d->m->channels, .index = index, .taps = TAPS, .blend = blend},
		.b = b->weight,
		.bias = b->bias,
		.c = out->data,
		.sums = &sums,
	};
	TRY(glip__gemm(d->ops, &g));
	glip__arena_release(d->ops->arena, mark);
	return GLIP_OK;
}

/* torch group_norm (eps 1e-5) of a level of x as scale and shift. */
static void group_norm(const struct pass *d, const struct dyconv_branch *b, const struct convolved *x, int level,
                       float *scale, float *shift)
{
	const int channels = d->m->channels, width = channels / d->m->groups, at = (level - x->begin) * channels;
	const double count = (double)positions_of(&d->in[level]) * width;

	for (int first = 0; first < channels; first += width) {
		double sum = 0.0, squares = 0.0;

		for (int c = first; c < first + width; c++) {
			sum += x->sum[at + c];
			squares += x->square[at + c];
		}
		const double centre = sum / count, variance = squares / count - centre * centre;
		const double factor = 1.0 / sqrt((variance > 0.0 ? variance : 0.0) + 1e-5);
		for (int c = first; c < first + width; c++) {
			scale[c] = (float)((double)b->norm_weight[c] * factor);
			shift[c] = (float)((double)b->norm_bias[c] - (double)b->norm_weight[c] * factor * centre);
		}
	}
}

/* The branch that reads the same level or the finer one, at the level's own size. mean [C] receives the mean over
 * positions after the norm. */
static void near_branch(const struct pass *d, const struct dyconv_branch *b, const struct convolved *x, int level,
                        struct branch_values *out, float *mean)
{
	const int channels = d->m->channels;
	const double *sum = x->sum + (level - x->begin) * channels;

	out->data = convolved_at(d, x, level);
	group_norm(d, b, x, level, out->scale, out->shift);
	for (int c = 0; c < channels; c++)
		mean[c] = (float)(sum[c] / (double)positions_of(&d->in[level])) * out->scale[c] + out->shift[c];
}

/* The branch that reads the coarser level: its convolution is at that level's size, and read up-sampled. */
static enum glip_status coarse_branch(const struct pass *d, int level, struct upsampled *u, struct branch_values *out,
                                      float *mean)
{
	const struct feature_map *here = &d->in[level], *small = &d->in[level + 1];
	const float *data = convolved_at(d, &d->coarse, level + 1);

	*u = (struct upsampled){data, small->height, small->width, here->height, here->width};
	out->data = data;
	/* Up-sampling blends with weights that sum to 1, so the norm's factors may be applied after it. */
	group_norm(d, &d->m->coarse, &d->coarse, level + 1, out->scale, out->shift);
	/* WATCH: the mean is over the up-sampled map; the small map's mean weighs its border differently. */
	TRY(glip__upsampled_mean(d->ops, u, d->m->channels, mean));
	for (int c = 0; c < d->m->channels; c++)
		mean[c] = mean[c] * out->scale[c] + out->shift[c];
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

static enum glip_status new_values(struct ops *ops, size_t channels, struct branch_values *out)
{
	out->scale = glip__ops_floats(ops, channels);
	out->shift = glip__ops_floats(ops, channels);
	return out->scale && out->shift ? GLIP_OK : GLIP_ERR_NOMEM;
}

/* The branches of a level, each after its norm, joined and rectified: out [positions, C]. */
static enum glip_status join_level(const struct pass *d, int level, float *out)
{
	const struct dyconv *m = d->m;
	struct ops *ops = d->ops;
	const size_t positions = positions_of(&d->in[level]), channels = (size_t)m->channels;
	struct branch_values branches[MAX_BRANCHES];
	struct upsampled coarser;
	int count = 0;
	float *means = glip__ops_floats(ops, MAX_BRANCHES * channels); /* [branch, C] */
	float *shift = glip__ops_floats(ops, channels);
	float *mean = glip__ops_floats(ops, channels);
	float *lines = glip__ops_floats(ops, 4 * channels); /* [a1, b1, a2, b2; C] */

	if (!means || !shift || !mean || !lines)
		return GLIP_ERR_NOMEM;
	for (int i = 0; i < MAX_BRANCHES; i++)
		TRY(new_values(ops, channels, &branches[i]));
	near_branch(d, &m->same, &d->same, level, &branches[count++], means);
	if (level > 0) {
		near_branch(d, &m->fine, &d->fine, level, &branches[count], means + (size_t)count * channels);
		count++;
	}
	if (level + 1 < LEVELS) {
		TRY(coarse_branch(d, level, &coarser, &branches[count], means + (size_t)count * channels));
		count++;
	}
	TRY(weigh_branches(m, ops, branches, count, means, shift, mean));
	TRY(rectifier_lines(m, ops, mean, lines));
	struct dyrelu_sum sum = {
		.sources = count,
		.upsampled = level + 1 < LEVELS ? &coarser : NULL,
		.shift = shift,
		.a1 = lines,
		.b1 = lines + channels,
		.a2 = lines + 2 * channels,
		.b2 = lines + 3 * channels,
		.rows = (int64_t)positions,
		.channels = (int64_t)channels,
		.out = out,
	};
	for (int i = 0; i < count; i++) {
		sum.source[i] = branches[i].data;
		sum.scale[i] = branches[i].scale;
	}
	return glip__dyrelu_sum(ops, &sum);
}

static enum glip_status run(struct pass *d, struct feature_map out[LEVELS])
{
	TRY(new_convolved(d, 0, out[0].data, &d->same));
	TRY(new_convolved(d, 1, NULL, &d->fine));
	TRY(new_convolved(d, 1, NULL, &d->coarse));
	TRY(sample_levels(d));
	TRY(convolve(d, &d->m->same, &d->same));
	TRY(convolve(d, &d->m->fine, &d->fine));
	TRY(convolve(d, &d->m->coarse, &d->coarse));
	for (int level = 0; level < LEVELS; level++) {
		struct arena_mark mark = glip__arena_mark(d->ops->arena);

		TRY(join_level(d, level, out[level].data));
		glip__arena_release(d->ops->arena, mark);
	}
	return GLIP_OK;
}

enum glip_status glip__dyconv_forward(const struct dyconv *m, struct ops *ops, const struct feature_map in[LEVELS],
                                      struct feature_map out[LEVELS])
{
	struct pass d = {.m = m, .ops = ops, .in = in};

	for (int level = 0; level < LEVELS; level++) {
		assert(in[level].channels == m->channels && out[level].channels == m->channels);
		assert(out[level].height == in[level].height && out[level].width == in[level].width);
		assert(in[level].data == in[0].data + d.first[level] * (size_t)m->channels);
		assert(out[level].data == out[0].data + d.first[level] * (size_t)m->channels);
		assert(!level || (in[level].height == (in[level - 1].height + 1) / 2 &&
		                  in[level].width == (in[level - 1].width + 1) / 2));
		d.first[level + 1] = d.first[level] + positions_of(&in[level]);
	}
	if (d.first[LEVELS] > INT32_MAX)
		return glip__fail(ops->err, GLIP_ERR_LIMIT, "the head's levels have %zu positions: too many", d.first[LEVELS]);
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = run(&d, out);
	glip__arena_release(ops->arena, mark);
	return status;
}
