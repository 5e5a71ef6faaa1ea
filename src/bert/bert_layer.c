#include <math.h>
#include <string.h>

#include "bert/bert_layer.h"

void glip__bert_layer_bind(struct bert_layer *out, struct binder *b, const char *prefix, int hidden, int intermediate,
                           int heads)
{
	int64_t h = hidden, i = intermediate;

	memset(out, 0, sizeof *out);
	if (heads < 1 || hidden % heads != 0)
		glip__binder_note(b, "%s: %d heads do not divide its width of %d", prefix, heads, hidden);
	out->hidden = hidden;
	out->intermediate = intermediate;
	out->heads = heads;
	out->query = glip__bind_matrix(b, h, h, "%s.attn.query.weight", prefix);
	out->query_bias = glip__bind_vector(b, h, "%s.attn.query.bias", prefix);
	out->key = glip__bind_matrix(b, h, h, "%s.attn.key.weight", prefix);
	out->key_bias = glip__bind_vector(b, h, "%s.attn.key.bias", prefix);
	out->value = glip__bind_matrix(b, h, h, "%s.attn.value.weight", prefix);
	out->value_bias = glip__bind_vector(b, h, "%s.attn.value.bias", prefix);
	out->output = glip__bind_matrix(b, h, h, "%s.attn.output.weight", prefix);
	out->output_bias = glip__bind_vector(b, h, "%s.attn.output.bias", prefix);
	out->attn_norm_weight = glip__bind_vector(b, h, "%s.attn.norm.weight", prefix);
	out->attn_norm_bias = glip__bind_vector(b, h, "%s.attn.norm.bias", prefix);
	out->up = glip__bind_matrix(b, i, h, "%s.mlp.up.weight", prefix);
	out->up_bias = glip__bind_vector(b, i, "%s.mlp.up.bias", prefix);
	out->down = glip__bind_matrix(b, h, i, "%s.mlp.down.weight", prefix);
	out->down_bias = glip__bind_vector(b, h, "%s.mlp.down.bias", prefix);
	out->mlp_norm_weight = glip__bind_vector(b, h, "%s.mlp.norm.weight", prefix);
	out->mlp_norm_bias = glip__bind_vector(b, h, "%s.mlp.norm.bias", prefix);
}

/* x = LayerNorm(x + attention(x)) */
static enum glip_status attend(const struct bert_layer *m, struct ops *ops, float *x, int64_t tokens, float clamp)
{
	int64_t h = m->hidden;
	float *scratch = glip__ops_alloc(ops, 4 * (size_t)tokens, (size_t)h * sizeof *scratch);
	float *q = scratch, *k, *v, *context; /* [tokens, H] each */

	if (scratch == NULL)
		return GLIP_ERR_NOMEM;
	k = q + tokens * h;
	v = k + tokens * h;
	context = v + tokens * h;
	TRY(glip__linear(ops, x, tokens, m->query, m->query_bias, ACT_NONE, q));
	TRY(glip__linear(ops, x, tokens, m->key, m->key_bias, ACT_NONE, k));
	TRY(glip__linear(ops, x, tokens, m->value, m->value_bias, ACT_NONE, v));
	int head_dim = m->hidden / m->heads;
	struct attention attention = {
		.batch = 1,
		.tokens = tokens,
		.heads = m->heads,
		.head_dim = head_dim,
		.q = q,
		.k = k,
		.v = v,
		.ld = h,
		.out = context,
		.ld_out = h,
		.scale = 1.0f / sqrtf((float)head_dim),
		.clamp = clamp,
	};
	TRY(glip__attention(ops, &attention));
	struct gemm output = {
		.m = tokens,
		.n = h,
		.k = h,
		.a = {.data = context, .ld = h},
		.b = m->output,
		.bias = m->output_bias,
		.residual = x,
		.c = x,
	};
	TRY(glip__gemm(ops, &output));
	return glip__layer_norm(ops, x, tokens, h, m->attn_norm_weight, m->attn_norm_bias, BERT_NORM_EPS, x);
}

/* x = LayerNorm(x + down(gelu(up(x)))). WATCH: the head's layers hold the values in +-clamp before and after gelu (one
 * clamp after it does both: gelu is the identity above and 0 below the limit), after the second product *before* the
 * residual is added, and after the norm. */
static enum glip_status feed_forward(const struct bert_layer *m, struct ops *ops, float *x, int64_t tokens, float clamp)
{
	int64_t h = m->hidden, i = m->intermediate, count = tokens * h;
	float *wide = glip__ops_alloc(ops, (size_t)tokens, (size_t)i * sizeof *wide); /* [tokens, I] */
	float *y = glip__ops_alloc(ops, (size_t)tokens, (size_t)h * sizeof *y);       /* [tokens, H] */

	if (wide == NULL || y == NULL)
		return GLIP_ERR_NOMEM;
	TRY(glip__linear(ops, x, tokens, m->up, m->up_bias, ACT_GELU, wide));
	if (clamp > 0.0f)
		TRY(glip__clamp(ops, wide, tokens * i, -clamp, clamp));
	TRY(glip__linear(ops, wide, tokens, m->down, m->down_bias, ACT_NONE, y));
	if (clamp > 0.0f)
		TRY(glip__clamp(ops, y, count, -clamp, clamp));
	for (int64_t j = 0; j < count; j++)
		x[j] += y[j];
	TRY(glip__layer_norm(ops, x, tokens, h, m->mlp_norm_weight, m->mlp_norm_bias, BERT_NORM_EPS, x));
	return clamp > 0.0f ? glip__clamp(ops, x, count, -clamp, clamp) : GLIP_OK;
}

enum glip_status glip__bert_layer_forward(const struct bert_layer *m, struct ops *ops, float *x, int64_t tokens,
                                          float clamp)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = attend(m, ops, x, tokens, clamp);

	glip__arena_release(ops->arena, mark);
	if (status == GLIP_OK)
		status = feed_forward(m, ops, x, tokens, clamp);
	glip__arena_release(ops->arena, mark);
	return status;
}
