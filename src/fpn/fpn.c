#include <assert.h>
#include <string.h>

#include "fpn/fpn.h"

enum glip_status glip__fpn_bind(struct fpn *out, struct binder *b, const int in_channels[FPN_INPUTS], int channels,
                                struct glip_error *err)
{
	int64_t c = channels;

	memset(out, 0, sizeof *out);
	if (channels < 1 || channels > INT32_MAX / 9)
		return glip__fail(err, GLIP_ERR_MODEL, "a feature pyramid of %d channels", channels);
	out->channels = channels;
	for (int i = 0; i < FPN_INPUTS; i++) {
		int level = i + 3;

		out->in_channels[i] = in_channels[i];
		out->lateral[i] = glip__bind_matrix(b, c, in_channels[i], "fpn.lateral.p%d.weight", level);
		out->lateral_bias[i] = glip__bind_vector(b, c, "fpn.lateral.p%d.bias", level);
		out->output[i] = glip__bind_matrix(b, c, 9 * c, "fpn.output.p%d.weight", level);
		out->output_bias[i] = glip__bind_vector(b, c, "fpn.output.p%d.bias", level);
	}
	out->p6 = glip__bind_matrix(b, c, 9 * c, "fpn.p6.weight");
	out->p6_bias = glip__bind_vector(b, c, "fpn.p6.bias");
	out->p7 = glip__bind_matrix(b, c, 9 * c, "fpn.p7.weight");
	out->p7_bias = glip__bind_vector(b, c, "fpn.p7.bias");
	return GLIP_OK;
}

/* map->data: where the map goes, which has this size; NULL: it gets memory. */
static enum glip_status allocate_map(struct ops *ops, struct feature_map *map, int height, int width, int channels)
{
	assert(map->data == NULL || (map->height == height && map->width == width && map->channels == channels));
	map->height = height;
	map->width = width;
	map->channels = channels;
	if (map->data == NULL)
		map->data = glip__ops_alloc(ops, (size_t)height * (size_t)width, (size_t)channels * sizeof(float));
	return map->data != NULL ? GLIP_OK : GLIP_ERR_NOMEM;
}

/* P3, P4, P5: laterals added up from the coarsest down, each then smoothed. */
static enum glip_status top_down(const struct fpn *m, struct ops *ops, const struct feature_map in[FPN_INPUTS],
                                 struct feature_map out[FPN_LEVELS])
{
	struct feature_map sum, above = {0};

	for (int i = FPN_INPUTS - 1; i >= 0; i--) {
		sum.data = NULL;
		TRY(allocate_map(ops, &sum, in[i].height, in[i].width, m->channels)); /* [h, w, C] */
		TRY(glip__linear(ops, in[i].data, (int64_t)sum.height * sum.width, m->lateral[i], m->lateral_bias[i], ACT_NONE,
		                 sum.data));
		/* WATCH: nearest neighbour to the lateral's exact size, which need not be twice the size above. */
		if (above.data != NULL)
			TRY(glip__upsample_nearest_add(ops, above.data, above.height, above.width, m->channels, sum.data,
			                               sum.height, sum.width));
		TRY(glip__conv2d(ops, sum.data, sum.height, sum.width, m->channels, m->output[i], m->output_bias[i], 3, 1, 1,
		                 out[i].data));
		above = sum;
	}
	return GLIP_OK;
}

/* WATCH: P6 is made from P5, not from Swin's last map; P7 reads relu(P6), while P6 itself goes out without it. */
static enum glip_status extra_levels(const struct fpn *m, struct ops *ops, struct feature_map out[FPN_LEVELS])
{
	const struct feature_map *p5 = &out[2], *p6 = &out[3];
	int64_t count = (int64_t)p6->height * p6->width * m->channels;
	float *positive; /* [h6, w6, C] */

	TRY(glip__conv2d(ops, p5->data, p5->height, p5->width, m->channels, m->p6, m->p6_bias, 3, 2, 1, p6->data));
	positive = glip__ops_floats(ops, (size_t)count);
	if (positive == NULL)
		return GLIP_ERR_NOMEM;
	TRY(glip__relu(ops, p6->data, count, positive));
	return glip__conv2d(ops, positive, p6->height, p6->width, m->channels, m->p7, m->p7_bias, 3, 2, 1, out[4].data);
}

enum glip_status glip__fpn_forward(const struct fpn *m, struct ops *ops, const struct feature_map in[FPN_INPUTS],
                                   struct feature_map out[FPN_LEVELS])
{
	enum glip_status status;
	struct arena_mark mark;

	for (int i = 0; i < FPN_LEVELS; i++) {
		int height = i < FPN_INPUTS ? in[i].height : (out[i - 1].height + 1) / 2;
		int width = i < FPN_INPUTS ? in[i].width : (out[i - 1].width + 1) / 2;

		TRY(allocate_map(ops, &out[i], height, width, m->channels));
	}
	mark = glip__arena_mark(ops->arena);
	status = top_down(m, ops, in, out);
	glip__arena_release(ops->arena, mark);
	if (status == GLIP_OK)
		status = extra_levels(m, ops, out);
	glip__arena_release(ops->arena, mark);
	return status;
}
