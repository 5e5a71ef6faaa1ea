#include "glip/features.h"

#include <string.h>

#include "glip/clock.h"
#include "glip/observe.h"
#include "glip/options.h"

enum { PAD_TO = 32 }; /* DATALOADER.SIZE_DIVISIBILITY */

void glip__encoded_image_split(struct encoded_image *out, const struct feature_map like[LEVELS], float *data)
{
	out->data = data;
	out->positions = 0;
	for (int l = 0; l < LEVELS; l++) {
		out->levels[l] = like[l];
		out->levels[l].data = data + out->positions * like[l].channels;
		out->positions += (int64_t)like[l].height * like[l].width;
	}
}

static void *arena_alloc(void *user, size_t size, size_t align)
{
	(void)align; /* the arena's pieces have more */
	return glip__arena_alloc(user, size, 1);
}

static void released_with_its_mark(void *user, void *pointer)
{
	(void)user;
	(void)pointer;
}

/* Pixels to the padded network input [height, width, 3] in the arena. */
static enum glip_status prepare(struct glip_session *s, const struct glip_image *image, struct image_size network,
                                struct image_size padded, float **out)
{
	*out = glip__ops_floats(&s->ops, (size_t)padded.width * (size_t)padded.height * 3);
	struct arena_mark mark = glip__arena_mark(&s->arena);
	uint8_t *resized = glip__ops_alloc(&s->ops, (size_t)network.width * (size_t)network.height, 3);
	if (*out == NULL || resized == NULL)
		return GLIP_ERR_NOMEM;
	const struct glip_allocator scratch = {arena_alloc, released_with_its_mark, &s->arena};
	TRY(glip__resize(image, network, s->pool, &scratch, resized, s->ops.err));
	/* Given up, rows may be missing. */
	TRY(glip__ops_begin(&s->ops));
	glip__normalise(resized, network, padded, s->pool, *out);
	TRY(glip__ops_begin(&s->ops));
	glip__arena_release(&s->arena, mark);
	struct feature_map input = {*out, padded.height, padded.width, 3};
	return glip__observe_map(s, &input, "input", 0);
}

/* levels: where they go. */
static enum glip_status run_backbone(struct glip_session *s, const float *input, struct image_size padded,
                                     struct feature_map levels[LEVELS])
{
	const struct glip_model *m = s->model;
	struct feature_map stages[SWIN_STAGES];
	bool observed = s->options.observer != NULL;
	TRY(glip__swin_forward(&m->swin, &s->ops, input, padded.height, padded.width, observed, stages));
	for (int i = observed ? 0 : 1; i < SWIN_STAGES; i++)
		TRY(glip__observe_map(s, &stages[i], "swin.stage%d", i + 1));
	TRY(glip__fpn_forward(&m->fpn, &s->ops, stages + 1, levels));
	glip__ops_stage(&s->ops, "fpn");
	return glip__observe_levels(s, levels, "fpn.p%d");
}

enum glip_status glip__encode_image(struct glip_session *s, const struct glip_image *image,
                                    const struct glip_ground_options *o, struct encoded_image *out,
                                    struct glip_timing *timing)
{
	double t0 = glip__clock_ms();
	TRY(glip__image_check(image, s->ops.err));
	out->image = (struct image_size){image->width, image->height};
	int short_side = o->short_side > 0 ? o->short_side : s->model->short_side;
	int long_side = o->long_side >= 0 ? o->long_side : s->model->long_side;
	TRY(glip__network_size(out->image, short_side, long_side, &out->network, s->ops.err));
	struct image_size padded = {(out->network.width + PAD_TO - 1) / PAD_TO * PAD_TO,
	                            (out->network.height + PAD_TO - 1) / PAD_TO * PAD_TO};
	/* Each map halves the one before, rounding up: the sizes of the levels are known beforehand, so that their home is
	 * allocated below the backbone's scratch and outlives it. */
	struct feature_map like[LEVELS];
	size_t positions = 0;
	for (int l = 0; l < LEVELS; l++) {
		int stride = 8 << l;
		like[l] = (struct feature_map){NULL, (padded.height + stride - 1) / stride,
		                               (padded.width + stride - 1) / stride, s->model->channels};
		positions += (size_t)like[l].height * (size_t)like[l].width;
	}
	float *home = glip__ops_floats(&s->ops, positions * (size_t)s->model->channels);
	if (home == NULL)
		return GLIP_ERR_NOMEM;
	glip__encoded_image_split(out, like, home);
	struct arena_mark mark = glip__arena_mark(&s->arena);
	float *input;
	TRY(prepare(s, image, out->network, padded, &input));
	glip__ops_stage(&s->ops, "preprocess");
	double t1 = glip__clock_ms();
	TRY(run_backbone(s, input, padded, out->levels));
	glip__arena_release(&s->arena, mark);
	timing->preprocess_ms = t1 - t0;
	timing->backbone_ms = glip__clock_ms() - t1;
	return GLIP_OK;
}

/* A copy of the encoded image that outlives the session's scratch. */
static enum glip_status keep(const struct glip_session *s, const struct encoded_image *encoded,
                             struct glip_features **out, struct glip_error *err)
{
	size_t count = (size_t)encoded->positions * (size_t)s->model->channels;
	struct glip_features *f = glip__calloc(&s->allocator, 1, sizeof *f);
	float *data = glip__malloc(&s->allocator, count, sizeof *data);
	if (f == NULL || data == NULL) {
		glip__free(&s->allocator, f);
		glip__free(&s->allocator, data);
		return glip__fail_nomem(err, "image features", count * sizeof *data);
	}
	memcpy(data, encoded->data, count * sizeof *data);
	f->allocator = s->allocator;
	f->model = s->model;
	f->encoded = *encoded;
	glip__encoded_image_split(&f->encoded, encoded->levels, data);
	*out = f;
	return GLIP_OK;
}

enum glip_status glip_features_create(struct glip_session *session, const struct glip_image *image,
                                      const struct glip_ground_options *options, struct glip_features **out,
                                      struct glip_error *err)
{
	if (out != NULL)
		*out = NULL;
	if (session == NULL || out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_features_create: %s is NULL", out == NULL ? "out" : "session");
	struct glip_ground_options o;
	TRY(glip__ground_options(&o, options, err));
	struct encoded_image encoded;
	struct glip_timing timing;
	glip__session_begin(session, err);
	enum glip_status status = glip__encode_image(session, image, &o, &encoded, &timing);
	if (status == GLIP_OK)
		status = glip__session_complete(session);
	if (status == GLIP_OK)
		status = keep(session, &encoded, out, err);
	glip__session_end(session);
	return status;
}

void glip_features_free(struct glip_features *f)
{
	if (f == NULL)
		return;
	struct glip_allocator allocator = f->allocator;
	glip__free(&allocator, f->encoded.data);
	glip__free(&allocator, f);
}
