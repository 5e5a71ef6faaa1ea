/* Boxes: the reference's detections from its own head outputs, and by hand what those do not tell apart. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "glip/boxes.h"
#include "support/alloc_probe.h"
#include "support/block_env.h"

/* ---- The reference's detections --------------------------------------------------------------------------------- */

enum { MAX_LABELS = 128, MAX_LABEL_TOKENS = 16 };

struct case_labels {
	struct box_label labels[MAX_LABELS];
	int32_t tokens[MAX_LABELS][MAX_LABEL_TOKENS];
	size_t count;
};

static void read_labels(const struct reference_case *c, struct case_labels *out)
{
	const struct json *map = json_get(c->json, "positive_map");

	out->count = map->length;
	assert_true(map->length <= MAX_LABELS);
	for (size_t i = 0; i < map->length; i++) {
		const struct json *tokens = &map->items[i];

		assert_true(tokens->length <= MAX_LABEL_TOKENS);
		for (size_t t = 0; t < tokens->length; t++)
			out->tokens[i][t] = (int32_t)tokens->items[t].number;
		/* The reference counts labels from 1. */
		out->labels[i] = (struct box_label){(uint32_t)atoi(map->keys[i]) - 1, out->tokens[i], tokens->length};
	}
}

/* A level's outputs, free() the buffers; tokens stay padded to 256. */
static struct level_output read_level(const struct reference_case *c, int level)
{
	struct npy dumps[3];
	static const char *const names[] = {"dot_logits", "bbox_reg", "centerness"};

	for (int i = 0; i < 3; i++) {
		char name[64];

		snprintf(name, sizeof name, "out.%s.p%d", names[i], level + 3);
		dumps[i] = reference_tensor(c, name);
	}
	const int64_t positions = dumps[2].count;
	float *box = malloc((size_t)positions * 4 * sizeof *box);
	assert_non_null(box);
	for (int64_t i = 0; i < positions * 4; i++)
		box[i % positions * 4 + i / positions] = dumps[1].data[i];
	npy_free(&dumps[1]);
	return (struct level_output){(int)dumps[2].shape[2], (int)dumps[2].shape[3], dumps[0].data, box, dumps[2].data};
}

static struct box_options default_options(void)
{
	return (struct box_options){
		.width = 320,
		.height = 256,
		.image_width = 320,
		.image_height = 256,
		.aggregation = GLIP_SCORE_MEAN,
		.score_floor = 0.05f,
		.max_candidates = 1000,
		.nms = 0.6f,
		.max_detections = 100,
		.threshold = 0.0f,
	};
}

static void check_detections(const struct reference_case *c, const struct buf *got)
{
	const struct glip_detection *d = (const struct glip_detection *)(const void *)got->data;
	char path[300];
	size_t length;

	snprintf(path, sizeof path, "%s/detections.json", c->folder);
	char *text = test_read_file(path, &length);
	assert_non_null(text);
	struct json *wanted = json_parse(text, length);
	double score_error = 0.0, box_error = 0.0;
	assert_int_equal(got->length / sizeof *d, wanted->length);
	for (size_t i = 0; i < wanted->length; i++) {
		const struct json *box = json_get(&wanted->items[i], "box_image");

		assert_int_equal(d[i].label + 1, (size_t)json_get(&wanted->items[i], "label")->number);
		score_error = fmax(score_error, fabs((double)d[i].score - json_get(&wanted->items[i], "score")->number));
		for (int k = 0; k < 4; k++)
			box_error = fmax(box_error, fabs((double)d[i].box[k] - box->items[k].number));
	}
	printf("  %zu detections, score within %.1e, box within %.1e px\n", wanted->length, score_error, box_error);
	assert_true(score_error <= 1e-5 && box_error <= 0.01);
	json_free(wanted);
	free(text);
}

static void test_reference(void **state)
{
	struct reference_case c;
	struct case_labels labels;
	struct level_output levels[LEVELS];
	struct buf candidates = {.allocator = &glip__default_allocator}, detections = candidates;
	struct box_options o = default_options();

	if (!reference_case_open(&c, *state))
		skip();
	o.width = (int)json_get(c.json, "network_size")->items[0].number;
	o.height = (int)json_get(c.json, "network_size")->items[1].number;
	o.image_width = (int)json_get(c.json, "image_size")->items[0].number;
	o.image_height = (int)json_get(c.json, "image_size")->items[1].number;
	read_labels(&c, &labels);
	for (int l = 0; l < LEVELS; l++)
		levels[l] = read_level(&c, l);
	assert_int_equal(glip__boxes_collect(&o, levels, 256, labels.labels, labels.count, &candidates, NULL), GLIP_OK);
	assert_int_equal(glip__boxes_select(&o, &candidates, &detections, NULL), GLIP_OK);
	check_detections(&c, &detections);
	for (int l = 0; l < LEVELS; l++) {
		free(levels[l].logits);
		free(levels[l].box);
		free(levels[l].centerness);
	}
	glip__buf_free(&candidates);
	glip__buf_free(&detections);
	reference_case_close(&c);
}

/* ---- By hand ---------------------------------------------------------------------------------------------------- */

enum { P3_HEIGHT = 32, P3_WIDTH = 40, TOKENS = 4 };

/* Five levels of a 320 x 256 image on which nothing is found, and what is found on them. */
struct scene {
	struct level_output levels[LEVELS];
	struct box_options o;
	struct buf candidates, detections;
};

static float logit(double p)
{
	return (float)log(p / (1.0 - p));
}

static void scene_open(struct scene *s)
{
	*s = (struct scene){.o = default_options()};
	s->candidates.allocator = s->detections.allocator = &glip__default_allocator;
	for (int l = 0, h = P3_HEIGHT, w = P3_WIDTH; l < LEVELS; l++, h = (h + 1) / 2, w = (w + 1) / 2) {
		const size_t positions = (size_t)h * (size_t)w;

		s->levels[l] = (struct level_output){
			h,
			w,
			calloc(positions * TOKENS, sizeof(float)),
			calloc(positions * 4, sizeof(float)),
			calloc(positions, sizeof(float)),
		};
		assert_true(s->levels[l].logits && s->levels[l].box && s->levels[l].centerness);
		for (size_t i = 0; i < positions * TOKENS; i++)
			s->levels[l].logits[i] = -20.0f;
		for (size_t i = 0; i < positions; i++)
			s->levels[l].centerness[i] = 20.0f;
	}
}

static void scene_close(struct scene *s)
{
	for (int l = 0; l < LEVELS; l++) {
		free(s->levels[l].logits);
		free(s->levels[l].box);
		free(s->levels[l].centerness);
	}
	glip__buf_free(&s->candidates);
	glip__buf_free(&s->detections);
}

/* Token `token` has probability p at (y, x) of a level. */
static void put(struct scene *s, int level, int y, int x, int token, double p)
{
	s->levels[level].logits[(y * s->levels[level].width + x) * TOKENS + token] = logit(p);
}

static const int32_t token_ids[TOKENS] = {0, 1, 2, 3};
/* A label for each token. */
static const struct box_label single[TOKENS] = {
	{0, token_ids, 1},
	{1, token_ids + 1, 1},
	{2, token_ids + 2, 1},
	{3, token_ids + 3, 1},
};

static void collect(struct scene *s, const struct box_label *labels, size_t count)
{
	assert_int_equal(glip__boxes_collect(&s->o, s->levels, TOKENS, labels, count, &s->candidates, NULL), GLIP_OK);
}

/* Selects, returns how many. */
static size_t choose(struct scene *s)
{
	assert_int_equal(glip__boxes_select(&s->o, &s->candidates, &s->detections, NULL), GLIP_OK);
	return s->detections.length / sizeof(struct glip_detection);
}

static size_t run(struct scene *s, const struct box_label *labels, size_t count)
{
	s->candidates.length = 0;
	collect(s, labels, count);
	return choose(s);
}

static const struct glip_detection *found(const struct scene *s, size_t i)
{
	return (const struct glip_detection *)(const void *)s->detections.data + i;
}

static const struct box_candidate *candidate(const struct scene *s, size_t i)
{
	return (const struct box_candidate *)(const void *)s->candidates.data + i;
}

static bool box_is(const float box[4], double x1, double y1, double x2, double y2)
{
	const double wanted[4] = {x1, y1, x2, y2};

	for (int i = 0; i < 4; i++)
		if (fabs((double)box[i] - wanted[i]) > 1e-3) {
			printf("  %g %g %g %g\n", (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
			return false;
		}
	return true;
}

static void test_nothing(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	assert_int_equal(run(&s, single, TOKENS), 0);
	assert_int_equal(run(&s, single, 0), 0);
	const struct box_label nowhere = {0, NULL, 0};
	s.o.score_floor = 0.0f;
	assert_int_equal(run(&s, &nowhere, 1), 0);
	scene_close(&s);
}

/* Anchor of p4 at row 3, column 5: centre (5 * 16 + 7.5, 3 * 16 + 7.5), side 128. */
static void test_decoding(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	float *delta = s.levels[1].box + (3 * s.levels[1].width + 5) * 4;
	put(&s, 1, 3, 5, 0, 0.81);
	assert_int_equal(run(&s, single, TOKENS), 1);
	assert_true(box_is(found(&s, 0)->box, 24.0, 0.0, 151.0, 119.0));
	assert_true(fabsf(found(&s, 0)->score - 0.9f) < 1e-5f);
	/* dx, dy in tenths of the side, dw, dh in fifths of the logarithm. */
	delta[0] = 1.0f;
	delta[1] = 2.0f;
	delta[2] = (float)(5.0 * log(0.25));
	delta[3] = (float)(5.0 * log(0.5));
	assert_int_equal(run(&s, single, TOKENS), 1);
	assert_true(box_is(found(&s, 0)->box, 100.3 - 15.5, 81.1 - 31.5, 100.3 + 15.5, 81.1 + 31.5));
	/* x and y are scaled apart. */
	s.o.image_width = 960;
	s.o.image_height = 128;
	assert_int_equal(run(&s, single, TOKENS), 1);
	assert_true(box_is(found(&s, 0)->box, 3 * 84.8, 0.5 * 49.6, 3 * 115.8, 0.5 * 112.6));
	/* Boxes end at the unpadded image's last pixel. */
	s.o = default_options();
	s.o.width = 110;
	s.o.height = 100;
	s.o.image_width = 110;
	s.o.image_height = 100;
	assert_int_equal(run(&s, single, TOKENS), 1);
	assert_true(box_is(found(&s, 0)->box, 84.8, 49.6, 109.0, 99.0));
	/* What is not a number is a box all the same. */
	delta[0] = NAN;
	delta[3] = INFINITY;
	assert_int_equal(run(&s, single, TOKENS), 1);
	assert_true(box_is(found(&s, 0)->box, 0.0, 0.0, 0.0, 99.0));
	scene_close(&s);
}

/* dw, dh / 5 count up to log(1000 / 16): 62.5 anchor sides. */
static void test_size_limit(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.o.width = s.o.height = s.o.image_width = s.o.image_height = 20000;
	float *delta = s.levels[0].box + (10 * P3_WIDTH + 10) * 4;
	put(&s, 0, 10, 10, 0, 0.9);
	delta[0] = delta[1] = 10.0f * 8000.0f / 64.0f;
	delta[2] = 5.0f * 4.0f;
	delta[3] = 1000.0f;
	assert_int_equal(run(&s, single, TOKENS), 1);
	const double centre = 83.5 + 8000.0, half_x = (exp(4.0) * 64.0 - 1.0) / 2.0, half_y = (62.5 * 64.0 - 1.0) / 2.0;
	const float *box = found(&s, 0)->box;
	assert_true(fabs((double)box[0] - (centre - half_x)) < 0.01 && fabs((double)box[2] - (centre + half_x)) < 0.01);
	assert_true(fabs((double)box[1] - (centre - half_y)) < 0.01 && fabs((double)box[3] - (centre + half_y)) < 0.01);
	delta[2] = 5.0f * 4.2f;
	assert_int_equal(run(&s, single, TOKENS), 1);
	box = found(&s, 0)->box;
	assert_true(fabs((double)box[0] - (centre - half_y)) < 0.01 && fabs((double)box[2] - (centre + half_y)) < 0.01);
	scene_close(&s);
}

/* The floor is for the label's score alone; centerness may take the product below it. */
static void test_floor_before_centerness(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	put(&s, 0, 4, 4, 0, 0.06);
	s.levels[0].centerness[4 * P3_WIDTH + 4] = logit(0.01);
	put(&s, 0, 20, 30, 0, 0.049);
	assert_int_equal(run(&s, single, TOKENS), 1);
	assert_true(fabsf(found(&s, 0)->score - sqrtf(0.06f * 0.01f)) < 1e-6f);
	scene_close(&s);
}

static void test_aggregation(void **state)
{
	const struct box_label label = {0, token_ids, 3};
	struct scene s;

	(void)state;
	scene_open(&s);
	put(&s, 0, 4, 4, 0, 0.9);
	put(&s, 0, 4, 4, 1, 0.6);
	put(&s, 0, 4, 4, 2, 0.3);
	assert_int_equal(run(&s, &label, 1), 1);
	assert_true(fabsf(found(&s, 0)->score - sqrtf(0.6f)) < 1e-5f);
	s.o.aggregation = GLIP_SCORE_MAX;
	assert_int_equal(run(&s, &label, 1), 1);
	assert_true(fabsf(found(&s, 0)->score - sqrtf(0.9f)) < 1e-5f);
	/* One token above the floor does not carry the mean above it. */
	put(&s, 0, 4, 4, 0, 0.14);
	put(&s, 0, 4, 4, 1, 1e-9);
	put(&s, 0, 4, 4, 2, 1e-9);
	assert_int_equal(run(&s, &label, 1), 1);
	s.o.aggregation = GLIP_SCORE_MEAN;
	assert_int_equal(run(&s, &label, 1), 0);
	scene_close(&s);
}

/* The pairs kept per level are the best products, not the best label scores; each level is cut apart. */
static void test_candidate_cut(void **state)
{
	struct scene s;
	size_t kept = 0;

	(void)state;
	scene_open(&s);
	s.o.max_candidates = 1000;
	for (int p = 0; p < P3_HEIGHT * P3_WIDTH; p++) {
		const double rank = (double)(p * 7919 % (P3_HEIGHT * P3_WIDTH)) / (P3_HEIGHT * P3_WIDTH);

		put(&s, 0, p / P3_WIDTH, p % P3_WIDTH, 1, 0.9 - 0.5 * rank);
		s.levels[0].centerness[p] = logit(0.1 + 0.8 * rank);
	}
	put(&s, 2, 0, 0, 3, 0.06);
	collect(&s, single, TOKENS);
	assert_int_equal(s.candidates.length / sizeof(struct box_candidate), 1001);
	/* The product (0.9 - 0.5 r)(0.1 + 0.8 r) rises up to r = 0.84 and is as at r = 0.68 at the end. */
	double worst = 1.0;
	for (size_t i = 0; i < 1000; i++)
		worst = fmin(worst, (double)candidate(&s, i)->score);
	for (int p = 0; p < P3_HEIGHT * P3_WIDTH; p++) {
		const double rank = (double)(p * 7919 % (P3_HEIGHT * P3_WIDTH)) / (P3_HEIGHT * P3_WIDTH);

		kept += sqrt((0.9 - 0.5 * rank) * (0.1 + 0.8 * rank)) >= worst - 1e-7;
	}
	assert_int_equal(kept, 1000);
	assert_int_equal(candidate(&s, 1000)->level, 2);
	scene_close(&s);
}

/* Among equals the earlier position stays, then the lower label. */
static void test_candidate_ties(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	s.o.max_candidates = 5;
	for (int p = 0; p < 40; p++)
		for (int t = 0; t < 3; t++)
			put(&s, 0, 0, p, t, 0.5);
	collect(&s, single, TOKENS);
	assert_int_equal(s.candidates.length / sizeof(struct box_candidate), 5);
	int pairs = 0;
	for (size_t i = 0; i < 5; i++)
		pairs |= 1 << (candidate(&s, i)->position * 3 + (int)candidate(&s, i)->label);
	assert_int_equal(pairs, 31);
	scene_close(&s);
}

/* Boxes of p3 a column apart overlap by 56 x 64 of 72 x 64 in the + 1 convention: 0.7778. */
static void test_suppression(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	put(&s, 0, 16, 16, 0, 0.7);
	put(&s, 0, 16, 17, 0, 0.8);
	put(&s, 0, 16, 18, 1, 0.6);
	assert_int_equal(run(&s, single, TOKENS), 2);
	assert_int_equal(found(&s, 0)->label, 0);
	assert_true(fabsf(found(&s, 0)->score - sqrtf(0.8f)) < 1e-5f);
	assert_int_equal(found(&s, 1)->label, 1);
	s.o.nms = 0.777f;
	assert_int_equal(run(&s, single, TOKENS), 2);
	s.o.nms = 0.778f;
	assert_int_equal(run(&s, single, TOKENS), 3);
	/* What is dropped drops nothing: 0.8 drops 0.7, which would have dropped 0.65 two columns from it. */
	s.o.nms = 0.6f;
	put(&s, 0, 16, 18, 1, 0.001);
	put(&s, 0, 16, 15, 0, 0.65);
	assert_int_equal(run(&s, single, TOKENS), 2);
	scene_close(&s);
}

/* Score, then label, then level, then position; ties at the cut all stay. */
static void test_order_and_ties(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	put(&s, 0, 4, 30, 2, 0.5);
	put(&s, 0, 4, 4, 2, 0.5);
	put(&s, 1, 12, 10, 2, 0.5);
	put(&s, 0, 28, 4, 1, 0.5);
	put(&s, 0, 28, 30, 3, 0.6);
	assert_int_equal(run(&s, single, TOKENS), 5);
	static const size_t labels[] = {3, 1, 2, 2, 2};
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(found(&s, i)->label, labels[i]);
	assert_true(found(&s, 2)->box[0] < found(&s, 3)->box[0]);
	assert_true(found(&s, 4)->box[2] - found(&s, 4)->box[0] > 100.0f);
	s.o.max_detections = 2;
	assert_int_equal(run(&s, single, TOKENS), 5);
	s.o.max_detections = 1;
	assert_int_equal(run(&s, single, TOKENS), 1);
	scene_close(&s);
}

/* Thresholds come last: a box that is not reported still counts among the best. */
static void test_thresholds(void **state)
{
	const float own[TOKENS] = {0.0f, 0.95f, 0.3f, 0.0f};
	struct scene s;

	(void)state;
	scene_open(&s);
	for (int t = 0; t < TOKENS; t++)
		put(&s, 0, 4, 4 + 10 * t, t, 0.25 + 0.16 * t);
	s.o.threshold = 0.55f;
	assert_int_equal(run(&s, single, TOKENS), 3);
	s.o.label_thresholds = own;
	assert_int_equal(run(&s, single, TOKENS), 2);
	assert_int_equal(found(&s, 0)->label, 3);
	assert_int_equal(found(&s, 1)->label, 2);
	s.o.max_detections = 2;
	assert_int_equal(run(&s, single, TOKENS), 2);
	s.o.max_detections = 1;
	put(&s, 0, 4, 14, 1, 0.9);
	assert_int_equal(run(&s, single, TOKENS), 0);
	scene_close(&s);
}

/* Two passes give what one would: suppression and the cut are over both. */
static void test_chunks(void **state)
{
	const struct box_label first[] = {single[0], single[1]}, second[] = {single[2], single[3]};
	struct scene s, whole;

	(void)state;
	scene_open(&s);
	scene_open(&whole);
	for (int i = 0; i < 60; i++)
		for (int t = 0; t < TOKENS; t++) {
			const double p = 0.2 + 0.6 * (i * 37 % 60 + t * 0.25) / 61.0;

			put(&s, 0, i * 13 % P3_HEIGHT, i * 7 % P3_WIDTH, t, p);
			put(&whole, 0, i * 13 % P3_HEIGHT, i * 7 % P3_WIDTH, t, p);
		}
	s.o.max_detections = whole.o.max_detections = 20;
	const size_t count = run(&whole, single, TOKENS);
	assert_int_equal(count, 20);
	collect(&s, second, 2);
	collect(&s, first, 2);
	assert_int_equal(choose(&s), count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(found(&s, i)->label, found(&whole, i)->label);
		assert_memory_equal(&found(&s, i)->score, &found(&whole, i)->score, sizeof(float));
		assert_memory_equal(found(&s, i)->box, found(&whole, i)->box, 4 * sizeof(float));
	}
	scene_close(&s);
	scene_close(&whole);
}

static void test_not_a_number(void **state)
{
	struct scene s;

	(void)state;
	scene_open(&s);
	for (int p = 0; p < P3_HEIGHT * P3_WIDTH; p++) {
		s.levels[0].logits[p * TOKENS] = NAN;
		s.levels[0].logits[p * TOKENS + 1] = 3.0f;
		s.levels[0].centerness[p] = p % 2 ? NAN : INFINITY;
	}
	s.o.max_candidates = 10;
	for (int floor = 0; floor < 2; floor++) {
		s.o.score_floor = floor ? 0.05f : 1e-6f;
		const size_t count = run(&s, single, 2);
		assert_true(count > 0 && count <= 10);
		for (size_t i = 0; i < count; i++)
			assert_true(found(&s, i)->label == 1 && isfinite(found(&s, i)->score));
		for (size_t i = 0; i < s.candidates.length / sizeof(struct box_candidate); i++)
			assert_true(candidate(&s, i)->score > 0.0f);
	}
	scene_close(&s);
}

static void test_out_of_memory(void **state)
{
	struct scene s;
	struct alloc_probe probe;
	enum glip_status status = GLIP_ERR_NOMEM;
	int tries = 0;

	(void)state;
	alloc_probe_init(&probe);
	scene_open(&s);
	for (int p = 0; p < 200; p++)
		put(&s, 0, p / P3_WIDTH, p % P3_WIDTH, 0, 0.5);
	for (; status != GLIP_OK && tries < 20; tries++) {
		struct buf candidates = {.allocator = &probe.allocator}, detections = {.allocator = &probe.allocator};
		struct glip_error err = {0};

		alloc_probe_arm(&probe, tries + 1, 1);
		status = glip__boxes_collect(&s.o, s.levels, TOKENS, single, TOKENS, &candidates, &err);
		if (status == GLIP_OK)
			status = glip__boxes_select(&s.o, &candidates, &detections, &err);
		assert_int_equal(status, err.code);
		glip__buf_free(&candidates);
		glip__buf_free(&detections);
		assert_int_equal(probe.live, 0);
	}
	assert_int_equal(status, GLIP_OK);
	assert_true(tries > 2);
	scene_close(&s);
}

int main(void)
{
	static char *cases[] = {"mini-t-classes",  "mini-t-coco80",  "mini-t-phrases",
	                        "mini-t-portrait", "mini-l-classes", "mini-a-classes"};
	const struct CMUnitTest tests[] = {
		{.name = "mini-t-classes", .test_func = test_reference, .initial_state = cases[0]},
		{.name = "mini-t-coco80", .test_func = test_reference, .initial_state = cases[1]},
		{.name = "mini-t-phrases", .test_func = test_reference, .initial_state = cases[2]},
		{.name = "mini-t-portrait", .test_func = test_reference, .initial_state = cases[3]},
		{.name = "mini-l-classes", .test_func = test_reference, .initial_state = cases[4]},
		{.name = "mini-a-classes", .test_func = test_reference, .initial_state = cases[5]},
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_decoding),
		cmocka_unit_test(test_size_limit),
		cmocka_unit_test(test_floor_before_centerness),
		cmocka_unit_test(test_aggregation),
		cmocka_unit_test(test_candidate_cut),
		cmocka_unit_test(test_candidate_ties),
		cmocka_unit_test(test_suppression),
		cmocka_unit_test(test_order_and_ties),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_not_a_number),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
