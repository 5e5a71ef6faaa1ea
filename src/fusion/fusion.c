#include "fusion/fusion.h"

#include <assert.h>
#include <math.h>

#include "ops/cross_attention.h"

/* Scores are held within this (PyTorch clamp in the original, for half precision's sake). */
#define SCORE_LIMIT 50000.0f
#define NORM_EPS 1e-5f

/* The text's side of the scores, with the image's projections folded in: S = v keys^T + key_bias replaces
 * (v Wq^T + bq) K^T, and P outputs replaces (P V) Wo^T, so that nothing of width D exists per position. Row h * T + t
 * belongs to head h and token t. */
struct folded {
	float *keys;     /* [heads * T, C] */
	float *key_bias; /* [heads * T] */
	float *outputs;  /* [heads * T, C] */
};

static struct matrix rows_of(struct matrix m, int64_t first, int64_t count)
{
	m.data = (const char *)m.data + (size_t)(first * m.cols) * glip__dtype_size(m.dtype);
	m.scale = m.scale != NULL ? m.scale + first : NULL;
	m.rows = count;
	return m;
}

/* Columns [first, first + count): to be read with ldb = m.cols. */
static struct matrix columns_of(struct matrix m, int64_t first, int64_t count)
{
	m.data = (const char *)m.data + (size_t)first * glip__dtype_size(m.dtype);
	m.cols = count;
	return m;
}

void glip__fusion_bind(struct fusion *out, struct binder *b, const char *prefix, int channels, int text_hidden,
                       int fusion_dim, int heads)
{
	const int64_t c = channels, h = text_hidden, d = fusion_dim;

	*out = (struct fusion){.channels = channels, .hidden = text_hidden, .dim = fusion_dim, .heads = heads};
	if (heads < 1 || fusion_dim % heads)
		glip__binder_note(b, "%s: a width of %d cannot be split into %d heads", prefix, fusion_dim, heads);
	out->norm_v_weight = glip__bind_vector(b, c, "%s.norm_v.weight", prefix);
	out->norm_v_bias = glip__bind_vector(b, c, "%s.norm_v.bias", prefix);
	out->norm_l_weight = glip__bind_vector(b, h, "%s.norm_l.weight", prefix);
	out->norm_l_bias = glip__bind_vector(b, h, "%s.norm_l.bias", prefix);
	out->query = glip__bind_matrix(b, d, c, "%s.v_proj.weight", prefix);
	out->query_bias = glip__bind_vector(b, d, "%s.v_proj.bias", prefix);
	out->key = glip__bind_matrix(b, d, h, "%s.l_proj.weight", prefix);
	out->key_bias = glip__bind_vector(b, d, "%s.l_proj.bias", prefix);
	out->values_v = glip__bind_matrix(b, d, c, "%s.values_v.weight", prefix);
	out->values_v_bias = glip__bind_vector(b, d, "%s.values_v.bias", prefix);
	out->values_l = glip__bind_matrix(b, d, h, "%s.values_l.weight", prefix);
	out->values_l_bias = glip__bind_vector(b, d, "%s.values_l.bias", prefix);
	out->out_v = glip__bind_matrix(b, c, d, "%s.out_v.weight", prefix);
	out->out_v_bias = glip__bind_vector(b, c, "%s.out_v.bias", prefix);
	out->out_l = glip__bind_matrix(b, h, d, "%s.out_l.weight", prefix);
	out->out_l_bias = glip__bind_vector(b, h, "%s.out_l.bias", prefix);
	out->gamma_v = glip__bind_vector(b, c, "%s.gamma_v", prefix);
	out->gamma_l = glip__bind_vector(b, h, "%s.gamma_l", prefix);
}

/* text: the normalised text [tokens, H]. */
static enum glip_status fold_text(const struct fusion *m, struct ops *ops, const float *text, int64_t tokens,
                                  struct folded *f)
{
	const int64_t d = m->dim / m->heads;
	const float scale = 1.0f / sqrtf((float)d);
	const size_t count = (size_t)m->heads * (size_t)tokens;

	if (!(f->keys = glip__ops_floats(ops, count * (size_t)m->channels)) ||
	    !(f->key_bias = glip__ops_floats(ops, count)) ||
	    !(f->outputs = glip__ops_floats(ops, count * (size_t)m->channels)))
		return GLIP_ERR_NOMEM;
	struct arena_mark mark = glip__arena_mark(ops->arena);
	float *key = glip__ops_floats(ops, (size_t)(tokens * m->dim));   /* [T, D] */
	float *value = glip__ops_floats(ops, (size_t)(tokens * m->dim)); /* [T, D] */
	if (!key || !value)
		return GLIP_ERR_NOMEM;
	TRY(glip__linear(ops, text, tokens, m->key, m->key_bias, ACT_NONE, key));
	TRY(glip__linear(ops, text, tokens, m->values_l, m->values_l_bias, ACT_NONE, value));
	for (int64_t i = 0; i < tokens * m->dim; i++)
		key[i] *= scale;
	for (int h = 0; h < m->heads; h++) {
		const float *query_bias = m->query_bias + h * d;
		struct gemm keys = {
			.m = tokens,
			.n = m->channels,
			.k = d,
			.a = {.data = key + h * d, .ld = m->dim},
			.b = rows_of(m->query, h * d, d),
			.b_rows_are_k = true,
			.c = f->keys + h * tokens * m->channels,
		};
		struct gemm outputs = {
			.m = tokens,
			.n = m->channels,
			.k = d,
			.a = {.data = value + h * d, .ld = m->dim},
			.b = columns_of(m->out_v, h * d, d),
			.ldb = m->dim,
			.c = f->outputs + h * tokens * m->channels,
		};
		TRY(glip__gemm(ops, &keys));
		TRY(glip__gemm(ops, &outputs));
		for (int64_t t = 0; t < tokens; t++) {
			double sum = 0.0;
			for (int64_t i = 0; i < d; i++)
				sum += (double)key[t * m->dim + h * d + i] * (double)query_bias[i];
			f->key_bias[h * tokens + t] = (float)sum;
		}
	}
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

/* text [tokens, H] normalised, in place; pooled [heads * T, C]: the positions as each head's tokens weigh them. */
static enum glip_status fuse_text(const struct fusion *m, struct ops *ops, const float *pooled, float *text,
                                  int64_t tokens)
{
	const int64_t d = m->dim / m->heads;
	float *joined = glip__ops_floats(ops, (size_t)(tokens * m->dim)); /* [T, D] */

	if (!joined)
		return GLIP_ERR_NOMEM;
	/* The shares of a token sum to 1, so the pooled positions projected are the projected positions pooled. */
	for (int h = 0; h < m->heads; h++) {
		struct gemm values = {
			.m = tokens,
			.n = d,
			.k = m->channels,
			.a = {.data = pooled + h * tokens * m->channels, .ld = m->channels},
			.b = rows_of(m->values_v, h * d, d),
			.bias = m->values_v_bias + h * d,
			.c = joined + h * d,
			.ldc = m->dim,
		};
		TRY(glip__gemm(ops, &values));
	}
	/* WATCH: the residual is the normalised input here as well. */
	struct gemm output = {
		.m = tokens,
		.n = m->hidden,
		.k = m->dim,
		.a = {.data = joined, .ld = m->dim},
		.b = m->out_l,
		.bias = m->out_l_bias,
		.scale = m->gamma_l,
		.residual = text,
		.c = text,
	};
	return glip__gemm(ops, &output);
}

static enum glip_status fuse(const struct fusion *m, struct ops *ops, float *visual, int64_t positions, float *text,
                             int64_t tokens)
{
	struct folded f;
	float *pooled = glip__ops_floats(ops, (size_t)m->heads * (size_t)tokens * (size_t)m->channels); /* [heads * T, C] */

	if (!pooled)
		return GLIP_ERR_NOMEM;
	TRY(glip__layer_norm(ops, text, tokens, m->hidden, m->norm_l_weight, m->norm_l_bias, NORM_EPS, text));
	TRY(fold_text(m, ops, text, tokens, &f));
	/* WATCH: the residual of the image's side is the normalised input. */
	struct cross_attention attention = {
		.positions = positions,
		.channels = m->channels,
		.tokens = tokens,
		.heads = m->heads,
		.norm_weight = m->norm_v_weight,
		.norm_bias = m->norm_v_bias,
		.norm_eps = NORM_EPS,
		.keys = f.keys,
		.key_bias = f.key_bias,
		.clamp = SCORE_LIMIT,
		.outputs = f.outputs,
		.out_bias = m->out_v_bias,
		.scale = m->gamma_v,
		.visual = visual,
		.pooled = pooled,
	};
	TRY(glip__cross_attention(ops, &attention));
	return fuse_text(m, ops, pooled, text, tokens);
}

enum glip_status glip__fusion_forward(const struct fusion *m, struct ops *ops, float *visual, int64_t positions,
                                      float *text, int64_t tokens)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);

	assert(positions > 0 && tokens > 0);
	enum glip_status status = fuse(m, ops, visual, positions, text, tokens);
	glip__arena_release(ops->arena, mark);
	return status;
}
