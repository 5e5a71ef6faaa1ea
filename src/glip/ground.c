/* Grounding: the image's features and the prompt's through the head, and the boxes that come out. */
#include <stdio.h>
#include <string.h>

#include "glip/boxes.h"
#include "glip/clock.h"
#include "glip/features.h"
#include "glip/observe.h"
#include "glip/options.h"
#include "glip/prompt.h"

struct glip_result {
	struct glip_allocator allocator;
	struct glip_detection *detections;
	size_t count;
	struct glip_timing timing;
};

/* The shares of a pass that are behind after the backbone and after the head; only the progress callback sees them. */
static const float AFTER_BACKBONE = 0.45f, AFTER_HEAD = 0.98f;

/* What one pass of the head works on, in the arena. */
struct head_state {
	struct encoded_image now, next; /* a layer reads one and writes the other */
	float *text;                    /* [tokens, hidden] */
};

/* last_use: the encoded image may be written over. */
static enum glip_status head_state_init(struct glip_session *s, const struct encoded_image *encoded, bool last_use,
                                        const struct prompt_chunk *chunk, struct head_state *out)
{
	size_t values = (size_t)encoded->positions * (size_t)s->model->channels;
	size_t text_values = chunk->tokens * (size_t)s->model->hidden;
	float *a = last_use ? encoded->data : glip__ops_floats(&s->ops, values), *b = glip__ops_floats(&s->ops, values);
	out->text = glip__ops_floats(&s->ops, text_values);
	if (a == NULL || b == NULL || out->text == NULL)
		return GLIP_ERR_NOMEM;
	out->now = out->next = *encoded;
	glip__encoded_image_split(&out->now, encoded->levels, a);
	glip__encoded_image_split(&out->next, encoded->levels, b);
	if (!last_use)
		memcpy(a, encoded->data, values * sizeof *a);
	memcpy(out->text, chunk->embedded, text_values * sizeof *out->text);
	return GLIP_OK;
}

/* modeling/rpn/vldyhead.py, VLDyHead.dyhead_tower: one fusion, one text layer, one dynamic convolution. */
static enum glip_status run_layer(struct glip_session *s, int index, const struct prompt_chunk *chunk,
                                  struct head_state *h)
{
	static const float TEXT_CLAMP = 50000.0f;
	const struct glip_model *m = s->model;
	const struct head_layer *layer = &m->layers[index];
	int64_t tokens = (int64_t)chunk->tokens;
	char name[48];
	if (m->fusion) {
		TRY(glip__fusion_forward(&layer->fusion, &s->ops, h->now.data, h->now.positions, h->text, tokens));
		glip__ops_stage(&s->ops, "head.fusion");
		snprintf(name, sizeof name, "head.%d.fuse.p%%d", index);
		TRY(glip__observe_levels(s, h->now.levels, name));
		snprintf(name, sizeof name, "head.%d.fuse.lang", index);
		TRY(glip__observe_text(s, h->text, chunk->tokens, m->hidden, name));
		TRY(glip__bert_layer_forward(&layer->text, &s->ops, h->text, tokens, TEXT_CLAMP));
		glip__ops_stage(&s->ops, "head.text");
		snprintf(name, sizeof name, "head.%d.bert.lang", index);
		TRY(glip__observe_text(s, h->text, chunk->tokens, m->hidden, name));
	}
	TRY(glip__dyconv_forward(&layer->image, &s->ops, h->now.levels, h->next.levels));
	glip__ops_stage(&s->ops, "head.dyconv");
	struct encoded_image swap = h->now;
	h->now = h->next;
	h->next = swap;
	snprintf(name, sizeof name, "head.%d.dyconv.p%%d", index);
	return glip__observe_levels(s, h->now.levels, name);
}

static enum glip_status observe_outputs(struct glip_session *s, const struct level_output *out, int level,
                                        size_t tokens)
{
	struct feature_map box = {out->box, out->height, out->width, 4};
	struct feature_map centerness = {out->centerness, out->height, out->width, 1};
	char name[32];
	TRY(glip__observe_map(s, &box, "out.bbox_reg.p%d", level + 3));
	TRY(glip__observe_map(s, &centerness, "out.centerness.p%d", level + 3));
	snprintf(name, sizeof name, "out.dot_logits.p%d", level + 3);
	return glip__observe_logits(s, out->logits, (int64_t)out->height * out->width, tokens, name);
}

static enum glip_status run_outputs(struct glip_session *s, const struct prompt_chunk *chunk,
                                    const struct head_state *h, struct level_output out[LEVELS])
{
	const struct glip_model *m = s->model;
	int64_t tokens = (int64_t)chunk->tokens;
	float *projected = glip__ops_floats(&s->ops, chunk->tokens * (size_t)m->channels);
	float *token_bias = glip__ops_floats(&s->ops, chunk->tokens);
	if (projected == NULL || token_bias == NULL)
		return GLIP_ERR_NOMEM;
	TRY(glip__grounding_text(&m->grounding, &s->ops, h->text, tokens, projected, token_bias));
	for (int l = 0; l < LEVELS; l++) {
		const struct feature_map *level = &h->now.levels[l];
		size_t positions = (size_t)level->height * (size_t)level->width;
		out[l].logits = glip__ops_floats(&s->ops, positions * chunk->tokens);
		out[l].box = glip__ops_floats(&s->ops, positions * 4);
		out[l].centerness = glip__ops_floats(&s->ops, positions);
		if (out[l].logits == NULL || out[l].box == NULL || out[l].centerness == NULL)
			return GLIP_ERR_NOMEM;
		TRY(glip__grounding_forward(&m->grounding, &s->ops, level, l, projected, token_bias, tokens, &out[l]));
		TRY(observe_outputs(s, &out[l], l, chunk->tokens));
	}
	return GLIP_OK;
}

/* The labels of a chunk that are to be reported, as the post-processor reads them. */
static enum glip_status collect(struct glip_session *s, const struct glip_prompt *p, const struct prompt_chunk *chunk,
                                const struct box_options *o, const struct level_output levels[LEVELS])
{
	struct box_label *labels = glip__ops_alloc(&s->ops, chunk->label_count, sizeof *labels);
	if (labels == NULL)
		return GLIP_ERR_NOMEM;
	size_t count = 0;
	for (size_t i = chunk->first_label; i < chunk->first_label + chunk->label_count; i++) {
		const struct prompt_label *l = &p->labels[i];
		if ((l->label.flags & GLIP_LABEL_NEGATIVE) == 0)
			labels[count++] = (struct box_label){(uint32_t)i, l->tokens, l->token_count};
	}
	return glip__boxes_collect(o, levels, (int64_t)chunk->tokens, labels, count, &s->candidates, s->ops.err);
}

static enum glip_status run_chunk(struct glip_session *s, const struct encoded_image *encoded, bool last_use,
                                  const struct glip_prompt *p, size_t index, const struct box_options *o,
                                  struct glip_timing *timing)
{
	const struct prompt_chunk *chunk = &p->chunks[index];
	double t0 = glip__clock_ms();
	struct head_state h;
	TRY(head_state_init(s, encoded, last_use, chunk, &h));
	TRY(glip__observe_text(s, chunk->embedded, chunk->tokens, s->model->hidden, "bert.hidden"));
	TRY(glip__observe_text(s, chunk->embedded, chunk->tokens, s->model->hidden, "bert.embedded"));
	int layers = s->model->layer_count;
	for (int i = 0; i < layers; i++) {
		float done = ((float)index + (float)i / (float)layers) / (float)p->chunk_count;
		TRY(glip__session_progress(s, AFTER_BACKBONE + (AFTER_HEAD - AFTER_BACKBONE) * done));
		TRY(run_layer(s, i, chunk, &h));
	}
	struct level_output levels[LEVELS];
	TRY(run_outputs(s, chunk, &h, levels));
	glip__ops_stage(&s->ops, "head.outputs");
	double t1 = glip__clock_ms();
	TRY(collect(s, p, chunk, o, levels));
	timing->head_ms += t1 - t0;
	timing->boxes_ms += glip__clock_ms() - t1;
	return GLIP_OK;
}

/* All chunks over one encoded image, which is kept or may be written over; detections are left in the session's
 * buffer. */
static enum glip_status run_head(struct glip_session *s, const struct encoded_image *encoded, bool kept,
                                 const struct glip_prompt *p, const struct glip_ground_options *options,
                                 struct glip_timing *timing)
{
	float *thresholds = glip__ops_floats(&s->ops, p->label_count);
	if (thresholds == NULL)
		return GLIP_ERR_NOMEM;
	for (size_t i = 0; i < p->label_count; i++)
		thresholds[i] = p->labels[i].label.threshold;
	struct box_options o = {
		.width = encoded->network.width,
		.height = encoded->network.height,
		.image_width = encoded->image.width,
		.image_height = encoded->image.height,
		.aggregation = p->aggregation,
		.score_floor = options->score_floor,
		.max_candidates = options->max_candidates,
		.nms = options->nms,
		.max_detections = options->max_detections,
		.threshold = options->threshold,
		.label_thresholds = thresholds,
	};
	s->candidates.length = s->detections.length = 0;
	for (size_t i = 0; i < p->chunk_count; i++) {
		struct arena_mark mark = glip__arena_mark(&s->arena);
		TRY(run_chunk(s, encoded, !kept && i + 1 == p->chunk_count, p, i, &o, timing));
		glip__arena_release(&s->arena, mark);
	}
	double t0 = glip__clock_ms();
	TRY(glip__boxes_select(&o, &s->candidates, &s->detections, s->ops.err));
	timing->boxes_ms += glip__clock_ms() - t0;
	glip__ops_stage(&s->ops, "boxes");
	return glip__session_progress(s, 1);
}

static enum glip_status make_result(const struct glip_session *s, const struct glip_timing *timing,
                                    struct glip_result **out, struct glip_error *err)
{
	struct glip_result *r = glip__calloc(&s->allocator, 1, sizeof *r);
	struct glip_detection *detections = glip__malloc(&s->allocator, s->detections.length, 1);
	if (r == NULL || detections == NULL) {
		glip__free(&s->allocator, r);
		glip__free(&s->allocator, detections);
		return glip__fail_nomem(err, "a result", s->detections.length);
	}
	if (s->detections.length != 0)
		memcpy(detections, s->detections.data, s->detections.length);
	*r = (struct glip_result){s->allocator, detections, s->detections.length / sizeof *detections, *timing};
	*out = r;
	return GLIP_OK;
}

static enum glip_status check_call(const struct glip_session *s, const struct glip_prompt *p, const void *subject,
                                   const struct glip_model *subject_model, const char *subject_name,
                                   struct glip_result **out, struct glip_error *err)
{
	if (out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "the out-parameter for the result is NULL");
	*out = NULL;
	if (s == NULL || p == NULL || subject == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s is NULL",
		                  s == NULL   ? "session"
		                  : p == NULL ? "prompt"
		                              : subject_name);
	if (p->model != s->model || (subject_model != NULL && subject_model != s->model))
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s and session belong to different models",
		                  p->model != s->model ? "prompt" : subject_name);
	return GLIP_OK;
}

/* Grounds either an image (features NULL) or features. */
static enum glip_status ground(struct glip_session *s, const struct glip_image *image,
                               const struct glip_features *features, const struct glip_prompt *p,
                               const struct glip_ground_options *options, struct glip_result **out,
                               struct glip_error *err)
{
	struct glip_ground_options o;
	TRY(glip__ground_options(&o, options, err));
	double started = glip__clock_ms();
	struct glip_timing timing = {.text_ms = p->text_ms};
	struct encoded_image encoded;
	glip__session_begin(s, err);
	enum glip_status status = glip__session_progress(s, 0);
	if (status == GLIP_OK && features == NULL)
		status = glip__encode_image(s, image, &o, &encoded, &timing);
	if (status == GLIP_OK)
		status = run_head(s, features != NULL ? &features->encoded : &encoded, features != NULL, p, &o, &timing);
	timing.total_ms = glip__clock_ms() - started;
	if (status == GLIP_OK)
		status = make_result(s, &timing, out, err);
	glip__session_end(s);
	return status;
}

enum glip_status glip_ground(struct glip_session *session, const struct glip_image *image,
                             const struct glip_prompt *prompt, const struct glip_ground_options *options,
                             struct glip_result **out, struct glip_error *err)
{
	TRY(check_call(session, prompt, image, NULL, "image", out, err));
	return ground(session, image, NULL, prompt, options, out, err);
}

enum glip_status glip_ground_features(struct glip_session *session, const struct glip_features *features,
                                      const struct glip_prompt *prompt, const struct glip_ground_options *options,
                                      struct glip_result **out, struct glip_error *err)
{
	TRY(check_call(session, prompt, features, features != NULL ? features->model : NULL, "features", out, err));
	return ground(session, NULL, features, prompt, options, out, err);
}

void glip_result_free(struct glip_result *r)
{
	if (r == NULL)
		return;
	struct glip_allocator allocator = r->allocator;
	glip__free(&allocator, r->detections);
	glip__free(&allocator, r);
}

size_t glip_result_count(const struct glip_result *result)
{
	return result != NULL ? result->count : 0;
}

const struct glip_detection *glip_result_detection(const struct glip_result *result, size_t index)
{
	return result != NULL && index < result->count ? &result->detections[index] : NULL;
}

const struct glip_timing *glip_result_timing(const struct glip_result *result)
{
	return result != NULL ? &result->timing : NULL;
}
