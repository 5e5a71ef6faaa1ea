#include "fusion/fusion.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Scores are held within this (PyTorch clamp in the original, for half precision's sake). */
#define SCORE_LIMIT 50000.0f
/* Scores in memory at a time: pieces of positions are as long as this allows. A function of the shape alone, so that
 * the sums over positions are the same whatever the threads. */
#define PIECE_SCORES (INT64_C(1) << 19)
#define PIECE_ROWS_MIN 64
/* Columns per task of the column maxima: whole cache lines. */
#define MAX_COLUMNS 32

/* The text's side of the scores, with the image's projections folded in: S = v keys^T + key_bias replaces
 * (v Wq^T + bq) K^T, and P outputs replaces (P V) Wo^T, so that nothing of width D exists per position. Row h * T + t
 * belongs to head h and token t. */
struct folded {
	float *keys;     /* [heads * T, C] */
	float *key_bias; /* [heads * T] */
	float *outputs;  /* [heads * T, C] */
};

/* What the text has gathered from the positions seen so far, as running softmax over positions. */
struct pooled {
	float *mean;   /* [heads * T, C] weighted mean of v */
	float *max;    /* [heads * T] largest score */
	float *weight; /* [heads * T] sum of exp(score - max) */
};

static struct matrix rows_of(struct matrix m, int64_t first, int64_t count)
{
	const char *data = m.data;

	return (struct matrix){data + (size_t)(first * m.cols) * glip__dtype_size(m.dtype), count, m.cols, m.dtype};
}

/* Columns [first, first + count): to be read with ldb = m.cols. */
static struct matrix columns_of(struct matrix m, int64_t first, int64_t count)
{
	const char *data = m.data;

	return (struct matrix){data + (size_t)first * glip__dtype_size(m.dtype), m.rows, count, m.dtype};
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
			.m = tokens, .n = m->channels, .k = d,
			.a = {.data = key + h * d, .ld = m->dim},
			.b = rows_of(m->query, h * d, d), .b_rows_are_k = true,
			.c = f->keys + h * tokens * m->channels,
		};
		struct gemm outputs = {
			.m = tokens, .n = m->channels, .k = d,
			.a = {.data = value + h * d, .ld = m->dim},
			.b = columns_of(m->out_v, h * d, d), .ldb = m->dim,
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

struct column_max {
	const float *x; /* [rows, n] */
	int64_t rows, n;
	float *max; /* [n] */
};

static void column_max_task(void *context, size_t begin, size_t end, int worker)
{
	const struct column_max *c = context;

	(void)worker;
	memcpy(c->max + begin, c->x + begin, (end - begin) * sizeof *c->max);
	for (int64_t r = 1; r < c->rows; r++) {
		const float *x = c->x + r * c->n;
		for (size_t i = begin; i < end; i++)
			c->max[i] = x[i] > c->max[i] ? x[i] : c->max[i];
	}
}

static void column_max(struct ops *ops, const float *x, int64_t rows, int64_t n, float *max)
{
	struct column_max c = {x, rows, n, max};

	glip__pool_run(ops->pool, column_max_task, &c, (size_t)n, MAX_COLUMNS);
}

/* Adds a piece of positions to what is pooled: v [rows, C], scores [rows, n] (overwritten). */
static enum glip_status pool_piece(struct ops *ops, const float *v, int64_t rows, int64_t channels, float *scores,
                                   int64_t n, struct pooled *p)
{
	struct arena_mark mark = glip__arena_mark(ops->arena);
	float *max = glip__ops_floats(ops, (size_t)n);
	float *largest = glip__ops_floats(ops, (size_t)n);
	float *mean = glip__ops_floats(ops, (size_t)(n * channels)); /* [n, C] */

	if (!max || !largest || !mean)
		return GLIP_ERR_NOMEM;
	column_max(ops, scores, rows, n, max);
	TRY(glip__softmax_columns(ops, scores, rows, n));
	/* The largest score has become exp(0) / sum, which tells the sum. */
	column_max(ops, scores, rows, n, largest);
	TRY(glip__gemm_over_rows(ops, rows, n, channels, scores, n, v, channels, mean));
	for (int64_t j = 0; j < n; j++) {
		const float top = max[j] > p->max[j] ? max[j] : p->max[j];
		const float before = p->weight[j] * expf(p->max[j] - top);
		const float here = expf(max[j] - top) / largest[j];
		const float share = here / (before + here);
		float *to = p->mean + j * channels;
		const float *from = mean + j * channels;

		for (int64_t i = 0; i < channels; i++)
			to[i] = (1.0f - share) * to[i] + share * from[i];
		p->max[j] = top;
		p->weight[j] = before + here;
	}
	glip__arena_release(ops->arena, mark);
	return GLIP_OK;
}

/* Fuses one piece of positions, visual [rows, C] normalised, in place. */
static enum glip_status fuse_piece(const struct fusion *m, struct ops *ops, const struct folded *f, float *visual,
                                   int64_t rows, int64_t tokens, float *scores, float *copy, struct pooled *p)
{
	const int64_t n = m->heads * tokens;
	struct gemm score = {
		.m = rows, .n = n, .k = m->channels,
		.a = {.data = visual, .ld = m->channels},
		.b = {f->keys, n, m->channels, DTYPE_F32},
		.bias = f->key_bias, .c = scores,
	};
	/* WATCH: the residual is the normalised input, which `visual` holds by now. */
	struct gemm output = {
		.m = rows, .n = m->channels, .k = n,
		.a = {.data = scores, .ld = n},
		.b = {f->outputs, n, m->channels, DTYPE_F32}, .b_rows_are_k = true,
		.bias = m->out_v_bias, .scale = m->gamma_v, .residual = visual, .c = visual,
	};

	TRY(glip__gemm(ops, &score));
	TRY(glip__clamp(ops, scores, rows * n, -SCORE_LIMIT, SCORE_LIMIT));
	memcpy(copy, scores, (size_t)(rows * n) * sizeof *copy);
	TRY(pool_piece(ops, visual, rows, m->channels, copy, n, p));
	TRY(glip__softmax(ops, scores, rows * m->heads, tokens));
	return glip__gemm(ops, &output);
}

/* text [tokens, H] normalised, in place. */
static enum glip_status fuse_text(const struct fusion *m, struct ops *ops, const struct pooled *p, float *text,
                                  int64_t tokens)
{
	const int64_t d = m->dim / m->heads;
	float *joined = glip__ops_floats(ops, (size_t)(tokens * m->dim)); /* [T, D] */

	if (!joined)
		return GLIP_ERR_NOMEM;
	/* The shares of a token sum to 1, so the pooled positions projected are the projected positions pooled. */
	for (int h = 0; h < m->heads; h++) {
		struct gemm values = {
			.m = tokens, .n = d, .k = m->channels,
			.a = {.data = p->mean + h * tokens * m->channels, .ld = m->channels},
			.b = rows_of(m->values_v, h * d, d), .bias = m->values_v_bias + h * d,
			.c = joined + h * d, .ldc = m->dim,
		};
		TRY(glip__gemm(ops, &values));
	}
	/* WATCH: the residual is the normalised input here as well. */
	struct gemm output = {
		.m = tokens, .n = m->hidden, .k = m->dim,
		.a = {.data = joined, .ld = m->dim},
		.b = m->out_l, .bias = m->out_l_bias, .scale = m->gamma_l, .residual = text, .c = text,
	};
	return glip__gemm(ops, &output);
}

static int64_t piece_rows(int64_t positions, int64_t n)
{
	int64_t rows = PIECE_SCORES / n / PIECE_ROWS_MIN * PIECE_ROWS_MIN;

	if (rows < PIECE_ROWS_MIN)
		rows = PIECE_ROWS_MIN;
	return rows < positions ? rows : positions;
}

static enum glip_status fuse(const struct fusion *m, struct ops *ops, float *visual, int64_t positions, float *text,
                             int64_t tokens)
{
	const int64_t n = m->heads * tokens, rows = piece_rows(positions, n);
	struct folded f;
	struct pooled p;
	float *scores, *copy;

	TRY(glip__layer_norm(ops, visual, positions, m->channels, m->norm_v_weight, m->norm_v_bias, 1e-5f, visual));
	TRY(glip__layer_norm(ops, text, tokens, m->hidden, m->norm_l_weight, m->norm_l_bias, 1e-5f, text));
	TRY(fold_text(m, ops, text, tokens, &f));
	if (!(p.mean = glip__ops_floats(ops, (size_t)(n * m->channels))) ||
	    !(p.max = glip__ops_floats(ops, (size_t)n)) || !(p.weight = glip__ops_floats(ops, (size_t)n)) ||
	    !(scores = glip__ops_floats(ops, (size_t)(rows * n))) || !(copy = glip__ops_floats(ops, (size_t)(rows * n))))
		return GLIP_ERR_NOMEM;
	memset(p.mean, 0, (size_t)(n * m->channels) * sizeof *p.mean);
	for (int64_t j = 0; j < n; j++) {
		p.max[j] = -SCORE_LIMIT;
		p.weight[j] = 0.0f;
	}
	for (int64_t first = 0; first < positions; first += rows) {
		const int64_t count = positions - first < rows ? positions - first : rows;

		TRY(fuse_piece(m, ops, &f, visual + first * m->channels, count, tokens, scores, copy, &p));
	}
	return fuse_text(m, ops, &p, text, tokens);
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
