#include <stdio.h>
#include <string.h>

#include "bert/bert.h"

enum {
	MAX_VOCAB = 1 << 24,
	MAX_HIDDEN = 1 << 14,
	MAX_LAYERS = 256,
	MAX_INTERMEDIATE = 1 << 17,
	MAX_TOKENS = 1 << 14,
	TOKEN_TYPES = 2
};

/* Where equal rows of the word table are stored once: the row of each token id. */
#define WORD_ROWS "bert.embed.word.rows"

/* The first dimension of a tensor, `fallback` where there is no such tensor (which binding then reports). */
static int64_t rows_of(const struct binder *b, const char *name, int64_t fallback)
{
	const struct tensor *t = glip__weights_find(b->weights, name);

	return t != NULL && t->ndim > 0 ? t->shape[0] : fallback;
}

static void bind_word_rows(struct bert *m, struct binder *b, int64_t rows)
{
	m->word_rows = glip__bind_indices(b, m->vocab, WORD_ROWS);
	for (int i = 0; m->word_rows != NULL && i < m->vocab; i++) {
		if (m->word_rows[i] >= 0 && m->word_rows[i] < rows)
			continue;
		glip__binder_note(b, WORD_ROWS "[%d] is %d, but there are %lld rows", i, (int)m->word_rows[i], (long long)rows);
		return;
	}
}

static void bind_embeddings(struct bert *m, struct binder *b)
{
	int64_t h = m->hidden, rows = m->vocab, positions = rows_of(b, "bert.embed.position.weight", m->max_tokens);

	if (glip__bind_has(b, WORD_ROWS)) {
		rows = rows_of(b, "bert.embed.word.weight", m->vocab);
		bind_word_rows(m, b, rows);
	}
	m->word = glip__bind_matrix(b, rows, h, "bert.embed.word.weight");
	m->position = glip__bind_matrix(b, positions, h, "bert.embed.position.weight");
	if (positions < m->max_tokens)
		glip__binder_note(b, "glip.bert.max_tokens is %d, but bert.embed.position.weight has %lld rows", m->max_tokens,
		                  (long long)positions);
	m->type = glip__bind_matrix(b, TOKEN_TYPES, h, "bert.embed.type.weight");
	m->norm_weight = glip__bind_vector(b, h, "bert.embed.norm.weight");
	m->norm_bias = glip__bind_vector(b, h, "bert.embed.norm.bias");
}

enum glip_status glip__bert_bind(struct bert *out, struct binder *b, const struct glip_allocator *a,
                                 struct glip_error *err)
{
	struct bert m;

	memset(&m, 0, sizeof m);
	memset(out, 0, sizeof *out);
	m.allocator = glip__allocator_or_default(a);
	m.vocab = glip__bind_size(b, "glip.bert.vocab", 1, MAX_VOCAB, 0,
	                          glip__bind_has(b, WORD_ROWS) ? WORD_ROWS : "bert.embed.word.weight");
	m.hidden = glip__bind_size(b, "glip.bert.hidden", 1, MAX_HIDDEN, 1, "bert.embed.word.weight");
	m.layer_count = glip__bind_int(b, "glip.bert.layers", 1, MAX_LAYERS);
	glip__bind_check_count(b, "glip.bert.layers", m.layer_count, "bert", "attn.query.weight");
	m.heads = glip__bind_int(b, "glip.bert.heads", 1, MAX_HIDDEN);
	m.intermediate = glip__bind_size(b, "glip.bert.intermediate", 1, MAX_INTERMEDIATE, 0, "bert.0.mlp.up.weight");
	m.max_tokens = glip__bind_int(b, "glip.bert.max_tokens", 2, MAX_TOKENS);
	bind_embeddings(&m, b);
	m.layers = glip__calloc(&m.allocator, (size_t)m.layer_count, sizeof *m.layers);
	if (m.layers == NULL)
		return glip__fail_nomem(err, "the text encoder's layers", (size_t)m.layer_count * sizeof *m.layers);
	for (int i = 0; i < m.layer_count; i++) {
		char prefix[32];

		snprintf(prefix, sizeof prefix, "bert.%d", i);
		glip__bert_layer_bind(&m.layers[i], b, prefix, m.hidden, m.intermediate, m.heads);
	}
	*out = m;
	return GLIP_OK;
}

void glip__bert_free(struct bert *m)
{
	if (m->layers != NULL)
		glip__free(&m->allocator, m->layers);
	memset(m, 0, sizeof *m);
}

static void add(const float *from, int64_t count, float *to)
{
	for (int64_t i = 0; i < count; i++)
		to[i] += from[i];
}

/* hidden [tokens, H] = LayerNorm(word + position + type) */
static enum glip_status embed(const struct bert *m, struct ops *ops, const int32_t *ids, int64_t tokens, float *hidden)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	float *row = glip__ops_floats(ops, (size_t)m->hidden);

	if (row == NULL)
		return GLIP_ERR_NOMEM;
	for (int64_t t = 0; t < tokens; t++) {
		float *x = hidden + t * m->hidden;

		glip__matrix_row(&m->word, m->hidden, m->word_rows != NULL ? m->word_rows[ids[t]] : ids[t], x);
		glip__matrix_row(&m->position, m->hidden, t, row);
		add(row, m->hidden, x);
		/* WATCH: every token is of type 0. */
		glip__matrix_row(&m->type, m->hidden, 0, row);
		add(row, m->hidden, x);
	}
	glip__arena_release(ops->arena, mark);
	return glip__layer_norm(ops, hidden, tokens, m->hidden, m->norm_weight, m->norm_bias, BERT_NORM_EPS, hidden);
}

enum glip_status glip__bert_forward(const struct bert *m, struct ops *ops, const int32_t *ids, int64_t tokens,
                                    float *hidden)
{
	if (tokens < 1 || tokens > m->max_tokens)
		return glip__fail(ops->err, GLIP_ERR_LIMIT, "a text of %lld tokens, not 1 to %d", (long long)tokens,
		                  m->max_tokens);
	for (int64_t t = 0; t < tokens; t++)
		if (ids[t] < 0 || ids[t] >= m->vocab)
			return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "token %lld has id %d, but the vocabulary ends at %d",
			                  (long long)t, (int)ids[t], m->vocab - 1);
	TRY(embed(m, ops, ids, tokens, hidden));
	/* WATCH: the original pads to 256 tokens and masks; nothing of the padding reaches a valid token. */
	for (int i = 0; i < m->layer_count; i++)
		TRY(glip__bert_layer_forward(&m->layers[i], ops, hidden, tokens, 0.0f));
	return GLIP_OK;
}
