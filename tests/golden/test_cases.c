/* The whole model through the public API against the reference: every named activation and the detections.
 *
 * One case lies in the repository (tools/reference/make_golden_case.py), the others beside it; those are skipped where
 * they are missing. The models are written by the rule of the reference data; the full-size ones take 900 MB of disk
 * while they are in use. Slow builds (sanitizers) leave those out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "glip.h"
#include "support/block_env.h"
#include "support/json.h"
#include "support/npy.h"
#include "support/rule_weights.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW_BUILD 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOW_BUILD 1
#endif
#endif
#ifndef SLOW_BUILD
#define SLOW_BUILD 0
#endif

/* Score that a label's best box may gain or lose by narrower numbers; no run goes beyond a third of it. */
#define NARROW_SCORE 0.1

#define CASES "../shared/reference/cases/"

/* One case with one choice of kernels. */
struct run {
	const char *name;
	enum glip_gemm gemm;
	uint32_t cpu_mask;
	int threads;
	enum glip_compute compute;
	double error; /* BF16, I8, I16: relative error that an activation may have */
	bool i8;      /* the file holds 8-bit integers */
};

/* Tolerances of a case: relative L2 error of an activation, scores, pixels of the network's image. */
struct tolerance {
	double activation, score, box;
};

/* What the observer holds against the reference. */
struct check {
	const char *folder;
	const struct json *tensors;
	const struct json *exact; /* float64 values of some tensors: see observe() */
	double tolerance;
	int64_t valid_tokens;
	size_t seen, wrong;
	double worst;
	char worst_name[64];
};

/* ---- Models: the last one is kept, cases that share it stand next to each other ---------------------------------- */

static struct {
	const struct rule_config *config;
	uint64_t seed;
	bool i8;
	struct glip_model *model;
} kept;

static struct glip_model *open_model(const struct rule_config *config, uint64_t seed, bool i8)
{
	char path[] = "build/model-XXXXXX";
	struct rule_config c = *config;
	struct glip_error err = {GLIP_OK, ""};
	enum glip_status status;
	int fd;

	if (kept.model != NULL && kept.config == config && kept.seed == seed && kept.i8 == i8)
		return kept.model;
	glip_model_free(kept.model);
	kept.model = NULL;
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	c.i8 = i8;
	bool written = rule_weights_write(path, &c, seed, RULE_MODEL);
	status = written ? glip_model_load(path, NULL, &kept.model, &err) : GLIP_ERR_IO;
	/* The mapping keeps the content; so nothing is left behind where a test fails. */
	unlink(path);
	if (status != GLIP_OK)
		fail_msg("%s", err.message);
	kept.config = config;
	kept.seed = seed;
	kept.i8 = i8;
	return kept.model;
}

/* ---- Activations ------------------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *ending)
{
	size_t n = strlen(text), m = strlen(ending);

	return n >= m && strcmp(text + n - m, ending) == 0;
}

/* Whether only the valid tokens of this element mean anything, and it is not one of them. */
static bool padding(const struct check *c, const char *name, const int64_t *shape, int64_t flat)
{
	if (strncmp(name, "out.dot_logits", 14) == 0)
		return flat % shape[2] >= c->valid_tokens;
	if (strncmp(name, "bert.", 5) == 0 || ends_with(name, ".lang"))
		return flat / shape[2] >= c->valid_tokens;
	return false;
}

/* Relative L2 error against all elements of the reference, or its 4096 samples. */
static double activation_error(const struct check *c, const char *name, const struct npy *wanted, const float *data,
                               const int64_t *shape, int64_t count)
{
	double difference = 0.0, norm = 0.0;

	for (int64_t k = 0; k < wanted->count; k++) {
		int64_t flat = wanted->count == count ? k : k * count / wanted->count;

		if (padding(c, name, shape, flat))
			continue;
		double w = (double)wanted->data[k], d = (double)data[flat] - w;
		difference += d * d;
		norm += w * w;
	}
	return sqrt(difference / (norm > 0.0 ? norm : 1.0));
}

/* A member of an object that may lack it. */
static const struct json *find(const struct json *object, const char *key)
{
	for (size_t i = 0; object != NULL && i < object->length; i++)
		if (strcmp(object->keys[i], key) == 0)
			return &object->items[i];
	return NULL;
}

/* Whether the activation is no farther from the network's float64 value than the float32 reference is. The values hold
 * the valid tokens alone. */
static bool nearer_than_reference(const struct check *c, const char *name, const float *data, const int64_t *shape,
                                  int64_t count)
{
	const struct json *exact = find(c->exact, name);
	if (exact == NULL)
		return false;
	const struct json *values = json_get(exact, "values");
	double difference = 0.0, norm = 0.0;
	size_t k = 0;

	for (int64_t flat = 0; flat < count; flat++) {
		if (padding(c, name, shape, flat))
			continue;
		assert_true(k < values->length);
		double d = (double)data[flat] - values->items[k].number;
		difference += d * d;
		norm += values->items[k].number * values->items[k].number;
		k++;
	}
	assert_int_equal(k, values->length);
	double error = sqrt(difference / norm), reference = json_get(exact, "dump")->number;
	fprintf(stderr, "  %s: %.2e from float64, the reference %.2e\n", name, error, reference);
	return error <= reference;
}

static bool same_shape(const struct json *wanted, const int64_t *shape, int ndim)
{
	if (wanted->length != (size_t)ndim)
		return false;
	for (int i = 0; i < ndim; i++)
		if ((int64_t)wanted->items[i].number != shape[i])
			return false;
	return true;
}

static void observe(void *user, const char *name, const float *data, const int64_t *shape, int ndim)
{
	struct check *c = user;
	const struct json *wanted_shape = find(c->tensors, name);
	struct npy wanted;
	char path[400];
	int64_t count = 1;

	if (wanted_shape == NULL)
		return;
	for (int i = 0; i < ndim; i++)
		count *= shape[i];
	c->seen++;
	snprintf(path, sizeof path, "%s/%s.npy", c->folder, name);
	if (!same_shape(wanted_shape, shape, ndim) || !npy_read(path, &wanted)) {
		fprintf(stderr, "%s: the shape is not the reference's, or there is no file\n", name);
		c->wrong++;
		return;
	}
	double error = wanted.count == count || (wanted.count == 4096 && count > 4096)
	                   ? activation_error(c, name, &wanted, data, shape, count)
	                   : HUGE_VAL;
	npy_free(&wanted);
	/* A few numbers of the small cases' top levels are sums that nearly cancel: there the float32 reference itself is
	 * up to 1.4e-5 away from the same network in float64, and what counts is who is nearer to that. */
	if (!(error <= c->tolerance) && !nearer_than_reference(c, name, data, shape, count)) {
		fprintf(stderr, "%s: relative error %.2e exceeds %.0e\n", name, error, c->tolerance);
		c->wrong++;
	}
	if (!(error <= c->worst)) {
		c->worst = error;
		snprintf(c->worst_name, sizeof c->worst_name, "%s", name);
	}
}

/* ---- Detections -------------------------------------------------------------------------------------------------- */

struct detection {
	size_t label;
	double score, box[4]; /* in pixels of the original image */
};

static struct detection reference_detection(const struct json *j)
{
	struct detection d = {(size_t)json_get(j, "label")->number - 1, json_get(j, "score")->number, {0}};
	const struct json *box = json_get(j, "box_image");

	for (int k = 0; k < 4; k++)
		d.box[k] = box->items[k].number;
	return d;
}

struct distance {
	double score, box; /* the box in pixels of the network's image */
};

static struct distance distance(const struct detection *wanted, const struct glip_detection *got, const double scale[2])
{
	struct distance d = {fabs(wanted->score - (double)got->score), 0.0};

	for (int k = 0; k < 4; k++) {
		double pixels = fabs(wanted->box[k] - (double)got->box[k]) * scale[k % 2];

		d.box = pixels > d.box ? pixels : d.box;
	}
	return d;
}

/* Each of ours is one of theirs, and they stand in the same order unless their scores are equal in six digits, which
 * is what the reference's are rounded to. */
static void compare_detections(const struct json *wanted, const struct glip_result *result, const double scale[2],
                               const struct tolerance *t)
{
	size_t count = wanted->length, moved = 0;
	bool *taken = calloc(count + 1, sizeof *taken);
	struct distance worst = {0.0, 0.0};

	assert_non_null(taken);
	assert_int_equal(glip_result_count(result), count);
	for (size_t i = 0; i < count; i++) {
		const struct glip_detection *got = glip_result_detection(result, i);
		struct detection here = reference_detection(&wanted->items[i]);
		struct distance d = {0.0, 0.0};
		size_t j, found = count;

		for (j = 0; j < count && found == count; j++) {
			struct detection there = reference_detection(&wanted->items[j]);

			d = distance(&there, got, scale);
			if (!taken[j] && there.label == got->label && d.score <= t->score && d.box <= t->box &&
			    fabs(there.score - here.score) < 1.5e-6)
				found = j;
		}
		if (found == count)
			fail_msg(
				"detection %zu: label %zu, score %.6f, box %.2f %.2f %.2f %.2f; the reference has label %zu, score "
				"%.6f, box %.2f %.2f %.2f %.2f",
				i, got->label, (double)got->score, (double)got->box[0], (double)got->box[1], (double)got->box[2],
				(double)got->box[3], here.label, here.score, here.box[0], here.box[1], here.box[2], here.box[3]);
		taken[found] = true;
		moved += found != i;
		worst.score = d.score > worst.score ? d.score : worst.score;
		worst.box = d.box > worst.box ? d.box : worst.box;
	}
	free(taken);
	printf("  %zu detections, scores within %.1e, boxes within %.1e px, %zu in another order among equal scores\n",
	       count, worst.score, worst.box, moved);
}

/* With narrower numbers near equal candidates change places, also at the end of the list, but the best score of a label
 * that is found stays what it was. */
static void compare_best_scores(const struct json *wanted, const struct glip_result *result, size_t labels)
{
	double worst = 0.0;
	size_t found = 0;

	for (size_t label = 0; label < labels; label++) {
		double theirs = 0.0, ours = 0.0;

		for (size_t i = 0; i < wanted->length; i++) {
			struct detection d = reference_detection(&wanted->items[i]);
			theirs = d.label == label ? fmax(theirs, d.score) : theirs;
		}
		for (size_t i = 0; i < glip_result_count(result); i++) {
			const struct glip_detection *d = glip_result_detection(result, i);
			ours = d->label == label ? fmax(ours, (double)d->score) : ours;
		}
		if (theirs == 0.0 || ours == 0.0)
			continue;
		found++;
		worst = fmax(worst, fabs(theirs - ours));
	}
	printf("  best scores of %zu of %zu labels within %.1e\n", found, labels, worst);
	assert_true(found > 0 && worst <= NARROW_SCORE);
}

/* ---- A case ------------------------------------------------------------------------------------------------------ */

enum { MAX_LABELS = 100, MAX_SPANS = 200 };

static struct glip_prompt *make_prompt(struct glip_session *session, const struct json *j)
{
	static struct glip_label labels[MAX_LABELS];
	static struct glip_span spans[MAX_SPANS];
	const struct json *list = json_get(j, "tokens_positive"), *ids = json_get(j, "token_ids");
	struct glip_prompt *prompt = NULL;
	struct glip_error err;
	size_t used = 0, count;

	assert_true(list->length <= MAX_LABELS);
	for (size_t i = 0; i < list->length; i++) {
		const struct json *parts = &list->items[i];

		labels[i] = (struct glip_label){.spans = spans + used, .span_count = parts->length};
		assert_true(used + parts->length <= MAX_SPANS);
		for (size_t k = 0; k < parts->length; k++)
			spans[used++] =
				(struct glip_span){(int)parts->items[k].items[0].number, (int)parts->items[k].items[1].number};
	}
	if (glip_prompt_labels(session, json_get(j, "caption")->text, labels, list->length, NULL, &prompt, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	const int32_t *tokens = glip_prompt_chunk_tokens(prompt, 0, &count);
	assert_int_equal(count, ids->length);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(tokens[i], (int)ids->items[i].number);
	return prompt;
}

static struct json *read_json(const char *folder, const char *file)
{
	char path[300], *text;
	size_t size = 0;

	snprintf(path, sizeof path, "%s/%s", folder, file);
	text = test_read_file(path, &size);
	if (text == NULL)
		return NULL;
	struct json *j = json_parse(text, size);
	free(text);
	return j;
}

static void ground_case(struct glip_session *session, const struct json *j, const struct glip_prompt *prompt,
                        const char *folder, const struct tolerance *t)
{
	struct glip_ground_options options;
	struct glip_image image = {0};
	struct glip_result *result = NULL;
	struct glip_error err;
	char path[300];

	glip_ground_options_init(&options);
	options.short_side = (int)json_get(j, "short_side")->number;
	const struct json *longest = json_get(j, "longest_side");
	options.long_side = longest->kind == JSON_NULL ? 0 : (int)longest->number;
	options.threshold = 0.0f;
	const char *name = json_get(j, "image")->text;
	snprintf(path, sizeof path, "%s%s", strchr(name, '/') != NULL ? "" : "../shared/reference/images/", name);
	if (glip_image_load(path, NULL, &image, &err) != GLIP_OK ||
	    glip_ground(session, &image, prompt, &options, &result, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	struct json *wanted = read_json(folder, "detections.json");
	assert_non_null(wanted);
	const struct json *network = json_get(j, "network_size");
	double scale[2] = {network->items[0].number / image.width, network->items[1].number / image.height};
	if (t->score > 0)
		compare_detections(wanted, result, scale, t);
	else
		compare_best_scores(wanted, result, glip_prompt_label_count(prompt));
	printf("  %.0f ms\n", glip_result_timing(result)->total_ms);
	json_free(wanted);
	glip_result_free(result);
	glip_image_free(&image);
}

static void test_case(void **state)
{
	const struct run *run = *state;
	bool full_size = strncmp(run->name, "glip-", 5) == 0;
	struct tolerance t = full_size ? (struct tolerance){1e-4, 1e-4, 0.05} : (struct tolerance){1e-5, 1e-5, 0.01};
	if (run->error > 0)
		t = (struct tolerance){run->error, 0, 0};
	struct glip_session_options options;
	struct glip_session *session = NULL;
	struct glip_error err;
	char folder[200];

	snprintf(folder, sizeof folder, "%s%s", strcmp(run->name, "photo") == 0 ? "tests/data/cases/" : CASES, run->name);
	struct json *j = read_json(folder, "case.json");
	/* With a mask for the whole run, the cases that ask for kernels of their own or are large add nothing. */
	if (j == NULL || (full_size && (SLOW_BUILD || test_cpu_mask() != 0)) ||
	    (test_cpu_mask() != 0 && run->cpu_mask != 0) || (run->cpu_mask & ~(glip_cpu_detect() | GLIP_CPU_SCALAR)) != 0) {
		json_free(j);
		skip();
	}
	struct glip_model *model =
		open_model(rule_variant(json_get(j, "variant")->text), (uint64_t)json_get(j, "seed")->number, run->i8);
	struct check c = {.folder = folder, .tensors = json_get(j, "tensors"), .tolerance = t.activation};
	c.valid_tokens = (int64_t)json_get(j, "token_ids")->length;
	struct json *exact = read_json("tests/data", "exact.json");
	assert_non_null(exact);
	c.exact = find(exact, run->name);
	glip_session_options_init(&options);
	options.gemm = run->gemm;
	options.cpu_mask = run->cpu_mask != 0 ? run->cpu_mask : test_cpu_mask();
	options.threads = run->threads;
	options.compute = run->compute;
	options.observer = observe;
	options.observer_user = &c;
	if (glip_session_create(model, &options, &session, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	struct glip_prompt *prompt = make_prompt(session, j);
	ground_case(session, j, prompt, folder, &t);
	printf("  %zu activations, worst relative error %.2e (%s)\n", c.seen, c.worst, c.worst_name);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.seen, c.tensors->length);
	glip_prompt_free(prompt);
	glip_session_free(session);
	json_free(exact);
	json_free(j);
}

/* ---- All cases --------------------------------------------------------------------------------------------------- */

/* Bfloat16's own instruction, where there is one. */
#define BFLOAT16 (GLIP_CPU_SCALAR | GLIP_CPU_AVX2 | GLIP_CPU_AVX512 | GLIP_CPU_AVX512_BF16)
/* Integers without the matrix unit. */
#define VNNI (GLIP_CPU_SCALAR | GLIP_CPU_AVX2 | GLIP_CPU_AVX512 | GLIP_CPU_AVX512_VNNI)

static struct run runs[] = {
	{"photo", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"photo", GLIP_GEMM_NATIVE, GLIP_CPU_SCALAR, 2, GLIP_COMPUTE_AUTO, 0, false},
	{"photo", GLIP_GEMM_BLAS, 0, 1, GLIP_COMPUTE_AUTO, 0, false},
	{"photo", GLIP_GEMM_AUTO, BFLOAT16, 0, GLIP_COMPUTE_BF16, 0.07, false},
	{"photo", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I16, 0.01, false},
	{"photo", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I8, 0.2, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-t-classes", GLIP_GEMM_NATIVE, GLIP_CPU_SCALAR, 1, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-t-classes", GLIP_GEMM_NATIVE, GLIP_CPU_SCALAR | GLIP_CPU_AVX2, 2, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-t-classes", GLIP_GEMM_BLAS, 0, 2, GLIP_COMPUTE_AUTO, 0, false},
	/* Errors measured, times 1.5. Random weights pass on more of an error than trained ones. */
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_BF16, 0.01, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, BFLOAT16, 0, GLIP_COMPUTE_BF16, 0.07, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I16, 0.01, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, VNNI, 0, GLIP_COMPUTE_I16, 0.01, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I8, 0.2, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, VNNI, 0, GLIP_COMPUTE_I8, 0.2, false},
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0.36, true},
	{"mini-t-classes", GLIP_GEMM_NATIVE, GLIP_CPU_SCALAR, 0, GLIP_COMPUTE_AUTO, 0.36, true},
	{"mini-t-classes", GLIP_GEMM_BLAS, 0, 0, GLIP_COMPUTE_AUTO, 0.36, true},
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_BF16, 0.36, true},
	{"mini-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I8, 0.36, true},
	{"mini-t-phrases", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-t-coco80", GLIP_GEMM_AUTO, 0, 3, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-t-portrait", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-t-portrait", GLIP_GEMM_NATIVE, GLIP_CPU_SCALAR, 2, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-a-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-a-classes", GLIP_GEMM_BLAS, GLIP_CPU_SCALAR, 1, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-l-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"mini-l-classes", GLIP_GEMM_NATIVE, GLIP_CPU_SCALAR, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"glip-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"glip-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_BF16, 0.01, false},
	{"glip-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I16, 0.01, false},
	{"glip-t-classes", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I8, 0.5, false},
	{"glip-t-phrases", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"glip-t-phrases", GLIP_GEMM_BLAS, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"glip-t-phrases", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I16, 0.01, false},
	{"glip-a-coco80", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_AUTO, 0, false},
	{"glip-a-coco80", GLIP_GEMM_AUTO, 0, 0, GLIP_COMPUTE_I16, 0.01, false},
};
enum { RUNS = sizeof runs / sizeof *runs };

int main(int argc, char **argv)
{
	static const char *const gemms[] = {"", " native", " blas"}, *const computes[] = {"", "", " bf16", " i8", " i16"};
	static struct CMUnitTest tests[RUNS];
	static char names[RUNS][64];

	for (int i = 0; i < RUNS; i++) {
		snprintf(names[i], sizeof names[i], "%s%s%s%s, mask %u, threads %d", runs[i].name, runs[i].i8 ? " (i8)" : "",
		         computes[runs[i].compute], gemms[runs[i].gemm], (unsigned)runs[i].cpu_mask, runs[i].threads);
		tests[i] = (struct CMUnitTest){.name = names[i], .test_func = test_case, .initial_state = &runs[i]};
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip_model_free(kept.model);
	return failed;
}
