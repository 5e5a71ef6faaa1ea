/* The fusion of image and text against the reference's activations, against PyTorch on a very small head, and against
 * the plain equations where dumps do not reach. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fusion/fusion.h"
#include "ops/kernels_table.h"
#include "support/compare.h"
#include "support/head_maps.h"

static void test_reference(void **state)
{
	const double tolerance = 1e-5;
	struct reference_case c;
	struct block_env e;

	if (!reference_case_open(&c, *state))
		skip();
	block_env_open(&e, c.config, c.seed, RULE_HEAD, 2);
	for (int i = 0; i < c.config->head_layers; i++) {
		char prefix[32], maps_in[40], text_in[40], maps_out[40], text_out[40];
		struct head_maps maps;
		struct fusion fusion;
		int64_t tokens;

		snprintf(prefix, sizeof prefix, "head.%d.fuse", i);
		snprintf(maps_in, sizeof maps_in, i ? "head.%d.dyconv.p%%d" : "fpn.p%%d", i - 1);
		snprintf(text_in, sizeof text_in, i ? "head.%d.bert.lang" : "bert.hidden", i - 1);
		snprintf(maps_out, sizeof maps_out, "head.%d.fuse.p%%d", i);
		snprintf(text_out, sizeof text_out, "head.%d.fuse.lang", i);
		glip__fusion_bind(&fusion, &e.binder, prefix, c.config->channels, c.config->hidden, c.config->fusion_dim,
		                  c.config->fusion_heads);
		block_env_check_bound(&e);
		head_maps_read(&maps, &c, maps_in);
		float *text = head_text_read(&c, text_in, &tokens);
		assert_int_equal(glip__fusion_forward(&fusion, &e.ops, maps.data, maps.positions, text, tokens), GLIP_OK);
		assert_true(head_maps_compare(&maps, &c, maps_out, tolerance) <= tolerance);
		struct npy wanted = reference_tensor(&c, text_out);
		assert_true(compare_text(text_out, &wanted, 256, text, tokens, c.config->hidden, tolerance) <= tolerance);
		npy_free(&wanted);
		free(text);
		head_maps_free(&maps);
	}
	block_env_close(&e);
	reference_case_close(&c);
}

static void bind_small(struct fusion *fusion, struct block_env *e)
{
	glip__fusion_bind(fusion, &e->binder, "head.0.fuse", SMALL_CHANNELS, SMALL_HIDDEN, SMALL_DIM, SMALL_HEADS);
	block_env_check_bound(e);
}

static float *copy_of(const float *x, size_t count)
{
	float *copy = malloc(count * sizeof *copy);

	assert_non_null(copy);
	memcpy(copy, x, count * sizeof *copy);
	return copy;
}

static void test_small(void **state)
{
	const int64_t positions = 70 + 20 + 6 + 2 + 1, visual = positions * SMALL_CHANNELS;
	const int64_t text = SMALL_TOKENS * SMALL_HIDDEN;
	struct block_env e;
	struct fusion fusion;

	(void)state;
	small_head_open(&e, 2);
	bind_small(&fusion, &e);
	float *v = copy_of(small_head_tensor(&e, "in.visual", visual), (size_t)visual);
	float *l = copy_of(small_head_tensor(&e, "in.text", text), (size_t)text);
	assert_int_equal(glip__fusion_forward(&fusion, &e.ops, v, positions, l, SMALL_TOKENS), GLIP_OK);
	const double image = relative_error(v, small_head_tensor(&e, "fuse.visual", visual), visual);
	const double words = relative_error(l, small_head_tensor(&e, "fuse.text", text), text);
	printf("  image %.2e, text %.2e\n", image, words);
	assert_true(image <= 2e-6 && words <= 2e-6);
	free(v);
	free(l);
	block_env_close(&e);
}

/* ---- The plain equations, unfolded, in double ------------------------------------------------------------------- */

static double at(struct matrix m, int64_t row, int64_t col)
{
	const float *data = m.data;

	return (double)data[row * m.cols + col];
}

static double *project(const double *x, int64_t rows, struct matrix w, const float *bias)
{
	double *y = calloc((size_t)(rows * w.rows), sizeof *y);

	assert_non_null(y);
	for (int64_t r = 0; r < rows; r++)
		for (int64_t n = 0; n < w.rows; n++) {
			y[r * w.rows + n] = (double)bias[n];
			for (int64_t k = 0; k < w.cols; k++)
				y[r * w.rows + n] += x[r * w.cols + k] * at(w, n, k);
		}
	return y;
}

static double *normalised(const float *x, int64_t rows, int n, const float *weight, const float *bias)
{
	double *y = calloc((size_t)(rows * n), sizeof *y);

	assert_non_null(y);
	for (int64_t r = 0; r < rows; r++) {
		double mean = 0.0, variance = 0.0;

		for (int i = 0; i < n; i++)
			mean += (double)x[r * n + i] / n;
		for (int i = 0; i < n; i++)
			variance += pow((double)x[r * n + i] - mean, 2.0) / n;
		for (int i = 0; i < n; i++)
			y[r * n + i] = ((double)x[r * n + i] - mean) / sqrt(variance + 1e-5) * (double)weight[i] + (double)bias[i];
	}
	return y;
}

/* out[i] += sum_j softmax_j(score(i, j)) value[j], for one head of width d; scores [n, m] by strides. */
static void attend(const double *score, int64_t n, int64_t row, int64_t m, int64_t col, const double *value,
                   double *out, int64_t dim, int64_t d)
{
	for (int64_t i = 0; i < n; i++) {
		double max = -HUGE_VAL, sum = 0.0;

		for (int64_t j = 0; j < m; j++)
			max = fmax(max, score[i * row + j * col]);
		for (int64_t j = 0; j < m; j++)
			sum += exp(score[i * row + j * col] - max);
		for (int64_t j = 0; j < m; j++)
			for (int64_t k = 0; k < d; k++)
				out[i * dim + k] += exp(score[i * row + j * col] - max) / sum * value[j * dim + k];
	}
}

static void plain_fusion(const struct fusion *m, float *visual, int64_t n, float *text, int64_t tokens)
{
	const int64_t dim = m->dim, d = dim / m->heads;
	double *v = normalised(visual, n, m->channels, m->norm_v_weight, m->norm_v_bias);
	double *l = normalised(text, tokens, m->hidden, m->norm_l_weight, m->norm_l_bias);
	double *q = project(v, n, m->query, m->query_bias), *k = project(l, tokens, m->key, m->key_bias);
	double *vv = project(v, n, m->values_v, m->values_v_bias), *vl = project(l, tokens, m->values_l, m->values_l_bias);
	double *to_v = calloc((size_t)(n * dim), sizeof *to_v), *to_l = calloc((size_t)(tokens * dim), sizeof *to_l);
	double *score = calloc((size_t)(n * tokens), sizeof *score);

	assert_true(to_v && to_l && score);
	for (int64_t h = 0; h < dim; h += d) {
		for (int64_t i = 0; i < n; i++)
			for (int64_t t = 0; t < tokens; t++) {
				double sum = 0.0;
				for (int64_t j = h; j < h + d; j++)
					sum += q[i * dim + j] * k[t * dim + j];
				score[i * tokens + t] = fmin(fmax(sum / sqrt((double)d), -50000.0), 50000.0);
			}
		attend(score, n, tokens, tokens, 1, vl + h, to_v + h, dim, d);
		attend(score, tokens, 1, n, tokens, vv + h, to_l + h, dim, d);
	}
	double *out_v = project(to_v, n, m->out_v, m->out_v_bias), *out_l = project(to_l, tokens, m->out_l, m->out_l_bias);
	for (int64_t i = 0; i < n * m->channels; i++)
		visual[i] = (float)(v[i] + (double)m->gamma_v[i % m->channels] * out_v[i]);
	for (int64_t i = 0; i < tokens * m->hidden; i++)
		text[i] = (float)(l[i] + (double)m->gamma_l[i % m->hidden] * out_l[i]);
	double *all[] = {v, l, q, k, vv, vl, to_v, to_l, score, out_v, out_l};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

/* Runs both on random inputs, with 1 to 3 threads, whose bits must agree. */
static void compare_with_plain(const struct fusion *m, int64_t positions, int64_t tokens,
                               const struct narrow_kernels *narrow, double tolerance)
{
	const size_t visual = (size_t)(positions * m->channels), text = (size_t)(tokens * m->hidden);
	float *v = malloc(visual * sizeof *v), *l = malloc(text * sizeof *l);

	assert_true(v && l);
	rule_uniform("visual", (uint64_t)positions, v, visual);
	rule_uniform("text", (uint64_t)tokens, l, text);
	float *wanted_v = copy_of(v, visual), *wanted_l = copy_of(l, text), *first_v = NULL, *first_l = NULL;
	plain_fusion(m, wanted_v, positions, wanted_l, tokens);
	for (int threads = 1; threads <= 3; threads++) {
		struct block_env e;
		float *got_v = copy_of(v, visual), *got_l = copy_of(l, text);

		small_head_open(&e, threads);
		e.ops.narrow_16 = narrow;
		/* With few tokens only the attention has products of many rows: none of them may be narrower. */
		if (narrow && tokens * m->heads <= KERNEL_MAX_DOT_ROWS)
			e.ops.narrow = &glip__narrow_i8_ref;
		assert_int_equal(glip__fusion_forward(m, &e.ops, got_v, positions, got_l, tokens), GLIP_OK);
		/* Attention both ways; the text's projections, and the image's folded into them. */
		assert_true(e.ops.multiply_adds == 3.0 * (double)(positions * tokens) * m->heads * m->channels +
		                                       3.0 * (double)tokens * m->dim * (m->hidden + m->channels));
		block_env_close(&e);
		if (threads == 1) {
			const double image = relative_error(got_v, wanted_v, (int64_t)visual);
			const double words = relative_error(got_l, wanted_l, (int64_t)text);

			printf("  %lld positions, %lld tokens: image %.2e, text %.2e\n", (long long)positions, (long long)tokens,
			       image, words);
			assert_true(image <= tolerance && words <= tolerance);
			if (narrow)
				assert_true(image > 1e-6 && words > 1e-7);
			first_v = got_v;
			first_l = got_l;
		} else {
			assert_memory_equal(got_v, first_v, visual * sizeof *got_v);
			assert_memory_equal(got_l, first_l, text * sizeof *got_l);
			free(got_v);
			free(got_l);
		}
	}
	float *all[] = {v, l, wanted_v, wanted_l, first_v, first_l};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

/* Positions in one piece and in several, heads all at once and (256 tokens) in groups. */
static const int64_t sizes[][2] = {{1, 1}, {1, 7}, {63, 1}, {300, 12}, {4200, 64}, {1500, 128}, {1100, 256}};

static void test_sizes(void **state)
{
	struct block_env e;
	struct fusion fusion;

	(void)state;
	small_head_open(&e, 1);
	bind_small(&fusion, &e);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		compare_with_plain(&fusion, sizes[i][0], sizes[i][1], NULL, 2e-6);
	block_env_close(&e);
}

/* The image's products made of 16-bit integers. */
static void test_in_16_bits(void **state)
{
	const struct narrow_kernels *kinds[] = {&glip__narrow_i16_ref,
	                                        glip__narrow_kernels(GLIP_COMPUTE_I16, glip_cpu_detect())};
	struct block_env e;
	struct fusion fusion;

	(void)state;
	small_head_open(&e, 1);
	bind_small(&fusion, &e);
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds && kinds[k]; k++)
		for (size_t i = 3; i < sizeof sizes / sizeof *sizes; i++)
			compare_with_plain(&fusion, sizes[i][0], sizes[i][1], kinds[k], 3e-4);
	block_env_close(&e);
}

/* Projections so large that scores reach the limit of +-50000: clamped, many tokens share the maximum. */
static void test_limit(void **state)
{
	enum { COUNT = SMALL_DIM * SMALL_HIDDEN };
	struct block_env e;
	struct fusion fusion;
	float key[COUNT];

	(void)state;
	small_head_open(&e, 1);
	bind_small(&fusion, &e);
	for (int i = 0; i < COUNT; i++)
		key[i] = (float)at(fusion.key, i / SMALL_HIDDEN, i % SMALL_HIDDEN) * 1e8f;
	fusion.key.data = key;
	compare_with_plain(&fusion, 200, 9, NULL, 1e-5);
	block_env_close(&e);
}

static void test_bad_heads(void **state)
{
	struct block_env e;
	struct fusion fusion;

	(void)state;
	small_head_open(&e, 1);
	glip__fusion_bind(&fusion, &e.binder, "head.0.fuse", SMALL_CHANNELS, SMALL_HIDDEN, SMALL_DIM, 3);
	assert_int_equal(glip__binder_finish(&e.binder, &e.err), GLIP_ERR_MODEL);
	assert_non_null(strstr(e.err.message, "head.0.fuse"));
	block_env_close(&e);
}

int main(void)
{
	static char *cases[] = {"mini-t-classes", "mini-t-coco80", "mini-t-phrases", "mini-t-portrait", "mini-l-classes"};
	const struct CMUnitTest tests[] = {
		{.name = "mini-t-classes", .test_func = test_reference, .initial_state = cases[0]},
		{.name = "mini-t-coco80", .test_func = test_reference, .initial_state = cases[1]},
		{.name = "mini-t-phrases", .test_func = test_reference, .initial_state = cases[2]},
		{.name = "mini-t-portrait", .test_func = test_reference, .initial_state = cases[3]},
		{.name = "mini-l-classes", .test_func = test_reference, .initial_state = cases[4]},
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_in_16_bits),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_bad_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
