#include "dyhead/grounding.h"

#include <assert.h>
#include <math.h>

#define LOGIT_LIMIT 50000.0f

void glip__grounding_bind(struct grounding_head *out, struct binder *b, int channels, int hidden)
{
	*out = (struct grounding_head){.channels = channels, .hidden = hidden};
	/* What the network reads out is read in full precision. */
	out->box = glip__bind_exact_matrix(b, 4, channels, "head.box.weight");
	out->box_bias = glip__bind_vector(b, 4, "head.box.bias");
	out->centerness = glip__bind_exact_matrix(b, 1, channels, "head.centerness.weight");
	out->centerness_bias = glip__bind_vector(b, 1, "head.centerness.bias");
	out->scale = glip__bind_vector(b, LEVELS, "head.scale");
	out->dot = glip__bind_exact_matrix(b, channels, hidden, "head.dot.weight");
	out->dot_bias = glip__bind_vector(b, channels, "head.dot.bias");
	out->log_scale = glip__bind_vector(b, 1, "head.dot.log_scale");
	out->bias_lang = glip__bind_vector(b, hidden, "head.dot.bias_lang");
	out->bias0 = glip__bind_vector(b, 1, "head.dot.bias0");
}

enum glip_status glip__grounding_text(const struct grounding_head *m, struct ops *ops, const float *text,
                                      int64_t tokens, float *projected, float *token_bias)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	const int64_t hidden = m->hidden;
	const float divisor = expf(m->log_scale[0]);
	float *half = glip__ops_floats(ops, (size_t)(tokens * hidden)); /* [tokens, hidden] half the unit vector */

	if (!half)
		return GLIP_ERR_NOMEM;
	for (int64_t t = 0; t < tokens; t++) {
		const float *x = text + t * hidden;
		float *y = half + t * hidden;
		double squares = 0.0, bias = 0.0;

		for (int64_t i = 0; i < hidden; i++)
			squares += (double)x[i] * (double)x[i];
		const double length = sqrt(squares);
		const double factor = 1.0 / (length > 1e-12 ? length : 1e-12);
		for (int64_t i = 0; i < hidden; i++) {
			bias += (double)x[i] * factor * (double)m->bias_lang[i];
			/* WATCH: the projection sees half the unit vector, the bias the whole one. */
			y[i] = (float)((double)x[i] * factor * 0.5);
		}
		token_bias[t] = (float)bias + m->bias0[0];
	}
	enum glip_status status = glip__linear(ops, half, tokens, m->dot, m->dot_bias, ACT_NONE, projected);
	glip__arena_release(ops->arena, mark);
	TRY(status);
	for (int64_t i = 0; i < tokens * m->channels; i++)
		projected[i] /= divisor;
	return GLIP_OK;
}

enum glip_status glip__grounding_forward(const struct grounding_head *m, struct ops *ops,
                                         const struct feature_map *level, int level_index, const float *projected,
                                         const float *token_bias, int64_t tokens, struct level_output *out)
{
	const int64_t positions = (int64_t)level->height * level->width;
	const float scale = m->scale[level_index], scales[4] = {scale, scale, scale, scale};

	assert(level->channels == m->channels && level_index >= 0 && level_index < LEVELS);
	out->height = level->height;
	out->width = level->width;
	const struct matrix text = {.data = projected, .rows = tokens, .cols = m->channels, .precision = PRECISION_FLOAT};
	TRY(glip__linear(ops, level->data, positions, text, token_bias, ACT_NONE, out->logits));
	TRY(glip__clamp(ops, out->logits, positions * tokens, -LOGIT_LIMIT, LOGIT_LIMIT));
	struct gemm box = {
		.m = positions,
		.n = 4,
		.k = m->channels,
		.a = {.data = level->data, .ld = m->channels},
		.b = m->box,
		.bias = m->box_bias,
		.scale = scales,
		.c = out->box,
	};
	TRY(glip__gemm(ops, &box));
	return glip__linear(ops, level->data, positions, m->centerness, m->centerness_bias, ACT_NONE, out->centerness);
}
