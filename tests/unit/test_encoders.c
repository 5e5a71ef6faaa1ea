/* What the encoders promise beside their numbers: refusals, memory, threads, clamps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/bert.h"
#include "fpn/fpn.h"
#include "support/alloc_probe.h"
#include "support/block_env.h"
#include "swin/swin.h"

enum { HEIGHT = 52, WIDTH = 36, SEED = 3 };

static struct rule_config small_config(void)
{
	return (struct rule_config){
		.name = "small",
		.embed_dim = 8,
		.depths = {2, 2, 2, 2},
		.heads = {1, 2, 4, 8},
		.window = 3,
		.vocab = 40,
		.hidden = 8,
		.layers = 2,
		.bert_heads = 2,
		.intermediate = 12,
		.channels = 8,
		.head_layers = 1,
		.fusion = true,
		.fusion_dim = 8,
		.fusion_heads = 2,
		.groups = 2,
	};
}

struct encoders {
	struct swin swin;
	struct fpn fpn;
	struct bert bert;
};

static enum glip_status bind_encoders(struct block_env *e, const struct rule_config *config,
                                      const struct glip_allocator *a, struct encoders *out)
{
	memset(out, 0, sizeof *out);
	TRY(glip__swin_bind(&out->swin, &e->binder, a, &e->err));
	const int channels[FPN_INPUTS] = {out->swin.stages[1].channels, out->swin.stages[2].channels,
	                                  out->swin.stages[3].channels};

	TRY(glip__fpn_bind(&out->fpn, &e->binder, channels, config->channels, &e->err));
	return glip__bert_bind(&out->bert, &e->binder, a, &e->err);
}

static void free_encoders(struct encoders *m)
{
	glip__swin_free(&m->swin);
	glip__bert_free(&m->bert);
}

static const int32_t ids[] = {2, 17, 39, 0, 5};
enum { TOKENS = sizeof ids / sizeof *ids, HIDDEN = 8 };

struct outputs {
	struct feature_map maps[SWIN_STAGES], levels[FPN_LEVELS];
	float hidden[TOKENS * HIDDEN];
};

static enum glip_status forward(struct block_env *e, const struct encoders *m, bool want_stage1, struct outputs *out)
{
	static float input[HEIGHT * WIDTH * 3];

	rule_uniform("input", SEED, input, HEIGHT * WIDTH * 3);
	memset(out->levels, 0, sizeof out->levels);
	TRY(glip__swin_forward(&m->swin, &e->ops, input, HEIGHT, WIDTH, want_stage1, out->maps));
	TRY(glip__fpn_forward(&m->fpn, &e->ops, out->maps + 1, out->levels));
	return glip__bert_forward(&m->bert, &e->ops, ids, TOKENS, out->hidden);
}

static size_t map_bytes(const struct feature_map *m)
{
	return (size_t)m->height * (size_t)m->width * (size_t)m->channels * sizeof(float);
}

static void assert_same_map(const struct feature_map *a, const struct feature_map *b)
{
	assert_int_equal(map_bytes(a), map_bytes(b));
	assert_memory_equal(a->data, b->data, map_bytes(a));
}

static void assert_same(const struct outputs *a, const struct outputs *b)
{
	for (int s = 1; s < SWIN_STAGES; s++)
		assert_same_map(&a->maps[s], &b->maps[s]);
	for (int i = 0; i < FPN_LEVELS; i++)
		assert_same_map(&a->levels[i], &b->levels[i]);
	assert_memory_equal(a->hidden, b->hidden, sizeof a->hidden);
}

/* An open model, bound, with one thread. */
struct fixture {
	struct rule_config config;
	struct block_env env;
	struct encoders model;
};

static void open_fixture(struct fixture *f, int threads)
{
	f->config = small_config();
	block_env_open(&f->env, &f->config, SEED, RULE_SWIN | RULE_FPN | RULE_BERT, threads);
	block_env_check(bind_encoders(&f->env, &f->config, NULL, &f->model), &f->env.err);
	block_env_check_bound(&f->env);
}

static void close_fixture(struct fixture *f)
{
	free_encoders(&f->model);
	block_env_close(&f->env);
}

static void test_threads(void **state)
{
	struct fixture one, three;
	struct outputs a, b;

	(void)state;
	open_fixture(&one, 1);
	open_fixture(&three, 3);
	block_env_check(forward(&one.env, &one.model, false, &a), &one.env.err);
	block_env_check(forward(&three.env, &three.model, true, &b), &three.env.err);
	assert_same(&a, &b);
	close_fixture(&one);
	close_fixture(&three);
}

/* Only the outputs stay in the arena, and the raw first stage only where it was asked for. */
static void test_arena(void **state)
{
	struct fixture f;
	struct outputs out;
	size_t wanted = 0;

	(void)state;
	open_fixture(&f, 1);
	block_env_check(forward(&f.env, &f.model, false, &out), &f.env.err);
	assert_null(out.maps[0].data);
	for (int s = 1; s < SWIN_STAGES; s++)
		wanted += (map_bytes(&out.maps[s]) + 63) / 64 * 64;
	for (int i = 0; i < FPN_LEVELS; i++)
		wanted += (map_bytes(&out.levels[i]) + 63) / 64 * 64;
	assert_int_equal(f.env.arena.used, wanted);
	assert_int_equal(out.maps[0].height, HEIGHT / 4);
	assert_int_equal(out.maps[3].height, 2);
	glip__arena_reset(&f.env.arena);
	block_env_check(forward(&f.env, &f.model, true, &out), &f.env.err);
	assert_non_null(out.maps[0].data);
	assert_int_equal(f.env.arena.used, wanted + (map_bytes(&out.maps[0]) + 63) / 64 * 64);
	close_fixture(&f);
}

/* ---- Refusals --------------------------------------------------------------------------------------------------- */

static void test_refused_arguments(void **state)
{
	struct fixture f;
	struct feature_map maps[SWIN_STAGES];
	float image[8 * 8 * 3] = {0}, hidden[300 * HIDDEN];
	const int32_t past[] = {1, 40}, negative[] = {-1};
	int32_t many[257] = {0};

	(void)state;
	open_fixture(&f, 1);
	struct ops *ops = &f.env.ops;

	assert_int_equal(glip__swin_forward(&f.model.swin, ops, image, 8, 6, false, maps), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(f.env.err.message, "6 x 8"));
	assert_int_equal(glip__swin_forward(&f.model.swin, ops, image, 0, 8, false, maps), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip__swin_forward(&f.model.swin, ops, image, 1 << 20, 1 << 20, false, maps), GLIP_ERR_LIMIT);
	assert_int_equal(glip__bert_forward(&f.model.bert, ops, past, 2, hidden), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(f.env.err.message, "token 1 has id 40"));
	assert_int_equal(glip__bert_forward(&f.model.bert, ops, negative, 1, hidden), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip__bert_forward(&f.model.bert, ops, many, 257, hidden), GLIP_ERR_LIMIT);
	assert_int_equal(glip__bert_forward(&f.model.bert, ops, many, 0, hidden), GLIP_ERR_LIMIT);
	assert_int_equal(glip__bert_forward(&f.model.bert, ops, many, 256, hidden), GLIP_OK);
	assert_int_equal(f.env.arena.used, 0);
	close_fixture(&f);
}

static bool always(void *user)
{
	(void)user;
	return true;
}

static void test_cancelled(void **state)
{
	struct fixture f;
	struct outputs out, again;

	(void)state;
	open_fixture(&f, 1);
	f.env.ops.cancelled = always;
	assert_int_equal(forward(&f.env, &f.model, false, &out), GLIP_ERR_CANCELLED);
	assert_int_equal(glip__bert_forward(&f.model.bert, &f.env.ops, ids, TOKENS, out.hidden), GLIP_ERR_CANCELLED);
	f.env.ops.cancelled = NULL;
	glip__arena_reset(&f.env.arena);
	block_env_check(forward(&f.env, &f.model, false, &again), &f.env.err);
	close_fixture(&f);
}

/* A configuration that contradicts itself or its tensors: MODEL, naming the field or the tensor. */
static void expect_refused(const struct rule_config *config, const char *word)
{
	struct block_env e;
	struct encoders m;
	enum glip_status status;

	block_env_open(&e, config, SEED, RULE_SWIN | RULE_FPN | RULE_BERT, 1);
	status = bind_encoders(&e, config, NULL, &m);
	if (status == GLIP_OK)
		status = glip__binder_finish(&e.binder, &e.err);
	assert_int_equal(status, GLIP_ERR_MODEL);
	if (strstr(e.err.message, word) == NULL)
		fail_msg("\"%s\" does not name %s", e.err.message, word);
	free_encoders(&m);
	block_env_close(&e);
}

static void test_refused_models(void **state)
{
	struct rule_config c = small_config();

	(void)state;
	c.heads[1] = 3;
	expect_refused(&c, "glip.swin.heads[1]");
	c = small_config();
	c.heads[2] = 257;
	expect_refused(&c, "glip.swin.heads[2]");
	c = small_config();
	c.depths[0] = 0;
	expect_refused(&c, "glip.swin.depths[0]");
	c = small_config();
	c.window = 33;
	expect_refused(&c, "glip.swin.window");
	c = small_config();
	c.bert_heads = 3;
	expect_refused(&c, "bert.0: 3 heads");
	c = small_config();
	c.layers = 0;
	expect_refused(&c, "glip.bert.layers");
	c = small_config();
	c.bert_heads = 1 << 20;
	expect_refused(&c, "glip.bert.heads");
}

/* Embeddings alone: a row table that leads past the word table, and fewer positions than tokens. */
static void test_refused_embeddings(void **state)
{
	static const char *const keys[] = {"glip.bert.vocab", "glip.bert.hidden",       "glip.bert.layers",
	                                   "glip.bert.heads", "glip.bert.intermediate", "glip.bert.max_tokens"};
	static const int64_t values[] = {3, 8, 1, 2, 12, 5};
	static const int32_t rows[] = {0, 2, 1};
	static const float zeros[4 * HIDDEN];
	const struct tensor row_table = {.shape = {3}, .ndim = 1, .dtype = DTYPE_I32};
	const struct tensor words = {.shape = {2, HIDDEN}, .ndim = 2, .dtype = DTYPE_F32};
	const struct tensor positions = {.shape = {4, HIDDEN}, .ndim = 2, .dtype = DTYPE_F32};
	char path[] = "/tmp/glip-test-XXXXXX";
	struct weights_writer *writer;
	struct weights *weights;
	struct binder binder;
	struct glip_error err;
	struct bert bert;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	block_env_check(glip__weights_writer_create(path, NULL, &writer, &err), &err);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_int_equal(glip__weights_put_int(writer, keys[i], values[i]), GLIP_OK);
	block_env_check(glip__weights_declare(writer, "bert.embed.word.rows", &row_table, &err), &err);
	block_env_check(glip__weights_declare(writer, "bert.embed.word.weight", &words, &err), &err);
	block_env_check(glip__weights_declare(writer, "bert.embed.position.weight", &positions, &err), &err);
	block_env_check(glip__weights_write(writer, rows, &err), &err);
	block_env_check(glip__weights_write(writer, zeros, &err), &err);
	block_env_check(glip__weights_write(writer, zeros, &err), &err);
	block_env_check(glip__weights_writer_commit(writer, &err), &err);
	glip__weights_writer_free(writer);
	block_env_check(glip__weights_open(path, 1, NULL, &weights, &err), &err);
	unlink(path);
	block_env_check(glip__binder_init(&binder, weights, NULL, &err), &err);
	assert_int_equal(glip__bert_bind(&bert, &binder, NULL, &err), GLIP_OK);
	assert_int_equal(glip__binder_finish(&binder, &err), GLIP_ERR_MODEL);
	assert_non_null(strstr(binder.problems.data, "bert.embed.word.rows[1] is 2, but there are 2 rows"));
	assert_non_null(strstr(binder.problems.data, "glip.bert.max_tokens is 5, but bert.embed.position.weight has 4"));
	glip__bert_free(&bert);
	glip__binder_free(&binder);
	glip__weights_close(weights);
}

static void test_missing_tensors(void **state)
{
	struct rule_config c = small_config();
	struct block_env e;
	struct encoders m;

	(void)state;
	block_env_open(&e, &c, SEED, RULE_SWIN, 1);
	assert_int_equal(bind_encoders(&e, &c, NULL, &m), GLIP_OK);
	assert_int_equal(glip__binder_finish(&e.binder, &e.err), GLIP_ERR_MODEL);
	assert_non_null(strstr(e.err.message, "fpn.lateral.p3.weight"));
	free_encoders(&m);
	block_env_close(&e);
}

/* ---- Memory failure --------------------------------------------------------------------------------------------- */

/* The nth allocation fails, and those after it with it where `all` is set, for every n until nothing fails. */
static void fail_each(struct fixture *f, const struct outputs *wanted, int all)
{
	enum glip_status status = GLIP_ERR_NOMEM;
	struct alloc_probe probe;
	struct outputs out;
	struct arena arena;
	long n;

	alloc_probe_init(&probe);
	for (n = 1; status != GLIP_OK && n < 1000; n++) {
		struct encoders m;

		alloc_probe_arm(&probe, n, all);
		glip__arena_init(&arena, &probe.allocator);
		f->env.ops.arena = &arena;
		status = bind_encoders(&f->env, &f->config, &probe.allocator, &m);
		if (status == GLIP_OK)
			status = forward(&f->env, &m, false, &out);
		if (status == GLIP_OK)
			assert_same(wanted, &out);
		else
			assert_int_equal(status, GLIP_ERR_NOMEM);
		free_encoders(&m);
		glip__arena_free(&arena);
		assert_int_equal(probe.live, 0);
	}
	assert_int_equal(status, GLIP_OK);
	assert_true(n > 3);
}

static void test_memory_failure(void **state)
{
	struct fixture f;
	struct outputs wanted;

	(void)state;
	open_fixture(&f, 1);
	block_env_check(forward(&f.env, &f.model, false, &wanted), &f.env.err);
	fail_each(&f, &wanted, 0);
	fail_each(&f, &wanted, 1);
	f.env.ops.arena = &f.env.arena;
	close_fixture(&f);
}

/* ---- BERT ------------------------------------------------------------------------------------------------------- */

/* Equal rows of the word table stored once: the same as the whole table with the row's own id. */
static void test_word_rows(void **state)
{
	struct rule_config c = small_config();
	struct block_env whole, shared;
	struct bert a, b;
	int32_t rows[TOKENS];
	float wanted[TOKENS * HIDDEN], hidden[TOKENS * HIDDEN];

	(void)state;
	block_env_open(&whole, &c, SEED, RULE_BERT, 1);
	c.word_rows = 6;
	block_env_open(&shared, &c, SEED, RULE_BERT, 1);
	block_env_check(glip__bert_bind(&a, &whole.binder, NULL, &whole.err), &whole.err);
	block_env_check(glip__bert_bind(&b, &shared.binder, NULL, &shared.err), &shared.err);
	block_env_check_bound(&shared);
	for (int t = 0; t < TOKENS; t++)
		rows[t] = ids[t] % c.word_rows;
	block_env_check(glip__bert_forward(&a, &whole.ops, rows, TOKENS, wanted), &whole.err);
	block_env_check(glip__bert_forward(&b, &shared.ops, ids, TOKENS, hidden), &shared.err);
	assert_memory_equal(wanted, hidden, sizeof hidden);
	glip__bert_free(&a);
	glip__bert_free(&b);
	block_env_close(&whole);
	block_env_close(&shared);
}

static double limited(double x, double clamp)
{
	return x > clamp ? clamp : x < -clamp ? -clamp : x;
}

/* out[o] = w x + bias */
static void plain_linear(struct matrix w, const float *bias, const double *x, double *out)
{
	for (int64_t o = 0; o < w.rows; o++) {
		out[o] = (double)bias[o];
		for (int64_t i = 0; i < w.cols; i++)
			out[o] += (double)((const float *)w.data)[o * w.cols + i] * x[i];
	}
}

static void plain_norm(const float *weight, const float *bias, double *x)
{
	double mean = 0.0, variance = 0.0;

	for (int i = 0; i < HIDDEN; i++)
		mean += x[i] / HIDDEN;
	for (int i = 0; i < HIDDEN; i++)
		variance += (x[i] - mean) * (x[i] - mean) / HIDDEN;
	for (int i = 0; i < HIDDEN; i++)
		x[i] = (x[i] - mean) / sqrt(variance + 1e-12) * (double)weight[i] + (double)bias[i];
}

/* The feed-forward's half of a layer over one token, as the head's layers clamp it. */
static void plain_feed_forward(const struct bert_layer *m, double clamp, double *x)
{
	double wide[64], y[HIDDEN];

	plain_linear(m->up, m->up_bias, x, wide);
	for (int i = 0; i < m->intermediate; i++) {
		double z = limited(wide[i], clamp);

		wide[i] = limited(0.5 * z * (1.0 + erf(z / sqrt(2.0))), clamp);
	}
	plain_linear(m->down, m->down_bias, wide, y);
	for (int i = 0; i < HIDDEN; i++)
		x[i] += limited(y[i], clamp);
	plain_norm(m->mlp_norm_weight, m->mlp_norm_bias, x);
	for (int i = 0; i < HIDDEN; i++)
		x[i] = limited(x[i], clamp);
}

/* One token alone: attention is its value. The layer is scaled so that every limit is met on both sides. */
static void test_clamps(void **state)
{
	const double clamp = 8.0;
	struct fixture f;
	struct bert_layer m;
	float x[HIDDEN], up[12 * HIDDEN], down[12 * HIDDEN], norm[HIDDEN];
	double y[HIDDEN], value[HIDDEN], context[HIDDEN];

	(void)state;
	open_fixture(&f, 1);
	m = f.model.bert.layers[1];
	for (int i = 0; i < 12 * HIDDEN; i++) {
		up[i] = 20.0f * ((const float *)m.up.data)[i];
		down[i] = 4.0f * ((const float *)m.down.data)[i];
	}
	for (int i = 0; i < HIDDEN; i++)
		norm[i] = 20.0f * m.mlp_norm_weight[i];
	m.up.data = up;
	m.down.data = down;
	m.mlp_norm_weight = norm;
	for (int i = 0; i < HIDDEN; i++)
		y[i] = (double)(x[i] = (float)(i * i % 5) - 2.0f);
	plain_linear(m.value, m.value_bias, y, value);
	plain_linear(m.output, m.output_bias, value, context);
	for (int i = 0; i < HIDDEN; i++)
		y[i] += context[i];
	plain_norm(m.attn_norm_weight, m.attn_norm_bias, y);
	plain_feed_forward(&m, clamp, y);
	block_env_check(glip__bert_layer_forward(&m, &f.env.ops, x, 1, (float)clamp), &f.env.err);
	for (int i = 0; i < HIDDEN; i++)
		assert_true(fabs((double)x[i] - y[i]) < 1e-4);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),           cmocka_unit_test(test_arena),
		cmocka_unit_test(test_refused_arguments), cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_refused_models),    cmocka_unit_test(test_refused_embeddings),
		cmocka_unit_test(test_missing_tensors),   cmocka_unit_test(test_memory_failure),
		cmocka_unit_test(test_word_rows),         cmocka_unit_test(test_clamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
