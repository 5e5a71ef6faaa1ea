/* Prompts and options through the public functions: what of a caption becomes a label, and what a call's settings do.
 *  */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "glip/prompt.h"
#include "glip/session.h"
#include "support/tiny_model.h"

enum { SEP = 3, CAT = 8, PROMPT_ROWS = 1000, MOST_HIDDEN = 64 };

struct world {
	struct scratch_file file;
	struct glip_model *model;
	struct glip_session *session;
	uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3];
	struct glip_image image;
	struct glip_ground_options options;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	scratch_file_new(&w->file);
	tiny_model_write(&w->file);
	assert_int_equal(glip_model_load(w->file.path, NULL, &w->model, NULL), GLIP_OK);
	assert_int_equal(glip_session_create(w->model, NULL, &w->session, NULL), GLIP_OK);
	w->image = tiny_image(w->pixels);
	w->options = tiny_ground_options();
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	glip_session_free(w->session);
	glip_model_free(w->model);
	scratch_file_remove(&w->file);
	free(w);
	return 0;
}

static struct glip_prompt *of_classes(struct world *w, const struct glip_class *classes, size_t count,
                                      const struct glip_prompt_options *options)
{
	struct glip_prompt *p = NULL;

	assert_int_equal(glip_prompt_class_list(w->session, classes, count, options, &p, NULL), GLIP_OK);
	return p;
}

static struct glip_result *found(struct world *w, const struct glip_prompt *p)
{
	struct glip_result *r = NULL;

	assert_int_equal(glip_ground(w->session, &w->image, p, &w->options, &r, NULL), GLIP_OK);
	return r;
}

/* How many detections have the label, and the best of their scores. */
static size_t count_label(const struct glip_result *r, size_t label, float *best)
{
	size_t n = 0;

	*best = 0;
	for (size_t i = 0; i < glip_result_count(r); i++) {
		const struct glip_detection *d = glip_result_detection(r, i);
		if (d->label == label && n++ == 0)
			*best = d->score;
	}
	return n;
}

static size_t found_count(struct world *w, const struct glip_prompt *p)
{
	struct glip_result *r = found(w, p);
	size_t count = glip_result_count(r);

	glip_result_free(r);
	return count;
}

/* ---- Labels ------------------------------------------------------------------------------------------------------ */

static void test_negatives_and_thresholds(void **state)
{
	static const char *const names[] = {"cat", "dog", "bird"};
	struct glip_class classes[3];
	struct world *w = *state;
	float best, own;

	for (int i = 0; i < 3; i++)
		classes[i] = (struct glip_class){.names = &names[i], .name_count = 1};
	struct glip_prompt *p = of_classes(w, classes, 3, NULL);
	struct glip_result *r = found(w, p);
	assert_true(count_label(r, 0, &best) > 0 && count_label(r, 1, &own) > 0 && count_label(r, 2, &own) > 0);
	glip_result_free(r);
	glip_prompt_free(p);

	classes[1].flags = GLIP_LABEL_NEGATIVE;
	classes[0].threshold = best * 0.999f;
	p = of_classes(w, classes, 3, NULL);
	assert_string_equal(glip_prompt_chunk_caption(p, 0), "cat. dog. bird");
	r = found(w, p);
	assert_int_equal(count_label(r, 0, &best), 1);
	assert_int_equal(count_label(r, 1, &own), 0);
	assert_true(count_label(r, 2, &own) > 1);
	glip_result_free(r);
	glip_prompt_free(p);
}

static void test_impossible_settings_are_refused(void **state)
{
	static const char *const names[] = {"cat", "dog"};
	static const float thresholds[] = {-0.1f, 1.5f, NAN};
	struct glip_prompt_options o;
	struct glip_prompt *p = NULL;
	struct glip_error err;
	struct world *w = *state;

	for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
		struct glip_class class = {.names = names, .name_count = 1, .threshold = thresholds[i]};
		assert_int_equal(glip_prompt_class_list(w->session, &class, 1, NULL, &p, &err), GLIP_ERR_ARGUMENT);
		assert_null(p);
		assert_non_null(strstr(err.message, "threshold"));
	}
	glip_prompt_options_init(&o);
	o.separator = "";
	assert_int_equal(glip_prompt_classes(w->session, names, 2, &o, &p, &err), GLIP_ERR_ARGUMENT);
	assert_non_null(strstr(err.message, "separator"));
}

/* Every label's span holds that label's words and no other label's, whatever words contain each other. */
static void labels_stand_where_they_say(const struct glip_prompt *p)
{
	const char *caption = glip_prompt_chunk_caption(p, 0);
	size_t count = glip_prompt_label_count(p);

	for (size_t i = 0; i < count; i++) {
		const struct glip_label *l = glip_prompt_label(p, i);
		assert_int_equal(l->span_count, 1);
		assert_int_equal(l->spans[0].end - l->spans[0].begin, strlen(l->text));
		assert_memory_equal(caption + l->spans[0].begin, l->text, strlen(l->text));
		for (size_t j = 0; j < i; j++) {
			const struct glip_span *other = glip_prompt_label(p, j)->spans;
			assert_true(other->end <= l->spans[0].begin || other->begin >= l->spans[0].end);
		}
	}
}

static void test_confusable_names_keep_their_labels(void **state)
{
	static const char *const names[] = {"car", "cart", "carton", "dog", "hot dog", "scar"};
	static const char caption[] = "a carton in a cart beside a car, a hot dog and a dog with a scar";
	static const char *const phrases[] = {"a carton", "a cart", "a car", "a hot dog", "a dog", "a scar"};
	struct world *w = *state;
	struct glip_prompt *p = NULL;
	struct glip_error err;

	assert_int_equal(glip_prompt_classes(w->session, names, 6, NULL, &p, &err), GLIP_OK);
	labels_stand_where_they_say(p);
	glip_prompt_free(p);
	assert_int_equal(glip_prompt_caption(w->session, caption, NULL, &p, &err), GLIP_OK);
	assert_int_equal(glip_prompt_label_count(p), 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(glip_prompt_label(p, i)->text, phrases[i]);
	labels_stand_where_they_say(p);
	glip_prompt_free(p);
}

static void test_mean_and_max(void **state)
{
	static const struct glip_span span = {0, 12};
	static const struct glip_label label = {.spans = &span, .span_count = 1};
	struct glip_prompt_options o;
	struct world *w = *state;
	float best[2];

	glip_prompt_options_init(&o);
	for (int i = 0; i < 2; i++) {
		struct glip_prompt *p = NULL;
		o.aggregation = i == 0 ? GLIP_SCORE_MEAN : GLIP_SCORE_MAX;
		assert_int_equal(glip_prompt_labels(w->session, "cat dog bird", &label, 1, &o, &p, NULL), GLIP_OK);
		assert_string_equal(glip_prompt_label(p, 0)->text, "cat dog bird");
		struct glip_result *r = found(w, p);
		assert_true(count_label(r, 0, &best[i]) > 0);
		glip_result_free(r);
		glip_prompt_free(p);
	}
	assert_true(best[1] > best[0] * 1.001f);
}

/* "cat cat ... cat": word i stands at [4i, 4i + 3) and is token i + 1 of 256, of which the last is [SEP]. */
static void test_caption_past_the_end(void **state)
{
	enum { WORDS = 300, LAST = 253 };
	static const struct glip_span spans[] = {
		{0, 3}, {4 * LAST, 4 * LAST + 3}, {4 * LAST + 4, 4 * LAST + 7}, {1000, 1100}};
	static const size_t tokens[] = {1, 1, 0, 4};
	struct glip_label labels[4];
	struct world *w = *state;
	struct glip_prompt *p = NULL;
	char caption[WORDS * 4 + 1] = "";
	size_t count;

	for (int i = 0; i < WORDS; i++)
		memcpy(caption + 4 * i, i == LAST + 1 ? "dog " : "cat ", 5);
	for (int i = 0; i < 4; i++)
		labels[i] = (struct glip_label){.spans = &spans[i], .span_count = 1};
	assert_int_equal(glip_prompt_labels(w->session, caption, labels, 4, NULL, &p, NULL), GLIP_OK);
	const int32_t *ids = glip_prompt_chunk_tokens(p, 0, &count);
	assert_int_equal(count, 256);
	assert_int_equal(ids[254], CAT);
	assert_int_equal(ids[255], SEP);
	for (int i = 0; i < 4; i++)
		assert_int_equal(p->labels[i].token_count, tokens[i]);
	assert_int_equal(p->labels[1].tokens[0], 254);
	assert_string_equal(glip_prompt_warning(p, 0),
	                    "label \"dog\" lies past the tokens that the model reads: it will not be found");
	assert_non_null(strstr(glip_prompt_warning(p, 1), "only its beginning counts"));
	assert_null(glip_prompt_warning(p, 2));
	float best;
	struct glip_result *r = found(w, p);
	assert_true(count_label(r, 1, &best) > 0);
	assert_int_equal(count_label(r, 2, &best), 0);
	glip_result_free(r);
	glip_prompt_free(p);
}

static void test_unknown_words(void **state)
{
	struct world *w = *state;
	struct glip_prompt *p = NULL;

	assert_int_equal(glip_prompt_labels(w->session, "a cat and a zebra", NULL, 0, NULL, &p, NULL), GLIP_OK);
	assert_string_equal(glip_prompt_warning(p, 0), "the model does not know the word \"zebra\": it reads [UNK]");
	assert_null(glip_prompt_warning(p, 1));
	glip_prompt_free(p);
}

static void test_merged_phrases(void **state)
{
	struct world *w = *state;
	struct glip_prompt_options o;

	glip_prompt_options_init(&o);
	for (int merge = 0; merge < 2; merge++) {
		struct glip_prompt *p = NULL;
		o.merge_phrases = merge;
		assert_int_equal(glip_prompt_caption(w->session, "The cat and a dog and the cat", &o, &p, NULL), GLIP_OK);
		assert_int_equal(glip_prompt_label_count(p), merge ? 2 : 3);
		const struct glip_label *l = glip_prompt_label(p, 0);
		assert_int_equal(l->span_count, merge ? 2 : 1);
		assert_int_equal(l->spans[0].begin, 0);
		assert_int_equal(l->spans[l->span_count - 1].begin, merge ? 22 : 0);
		glip_prompt_free(p);
	}
}

/* ---- Text features ----------------------------------------------------------------------------------------------- */

static void test_prompt_tuning(void **state)
{
	static const char *const names[] = {"cat", "dog"};
	static float table[PROMPT_ROWS * MOST_HIDDEN];
	struct world *w = *state;
	struct glip_prompt *plain = NULL, *tuned = NULL;

	const int hidden = w->model->hidden;
	assert_true(hidden <= MOST_HIDDEN);
	for (int i = 0; i < PROMPT_ROWS * hidden; i++)
		table[i] = (float)(i % 97) * 0.01f;
	assert_int_equal(glip_prompt_classes(w->session, names, 2, NULL, &plain, NULL), GLIP_OK);
	w->model->prompt_tuning = (struct matrix){.data = table, .rows = PROMPT_ROWS, .cols = hidden};
	assert_int_equal(glip_prompt_classes(w->session, names, 2, NULL, &tuned, NULL), GLIP_OK);
	w->model->prompt_tuning = (struct matrix){0};
	const struct prompt_chunk *a = &plain->chunks[0], *b = &tuned->chunks[0];
	assert_int_equal(a->tokens, 5);
	for (size_t i = 0; i < a->tokens * (size_t)hidden; i++)
		assert_float_equal(b->embedded[i], a->embedded[i] + table[i], 0.0f);
	glip_prompt_free(plain);
	glip_prompt_free(tuned);
}

/* ---- Settings of a call ------------------------------------------------------------------------------------------ */

static void test_chunks_that_are_none(void **state)
{
	static const char *const names[] = {"cat", "dog", "the red bird"};
	struct world *w = *state;
	struct glip_prompt_options o;
	uint64_t digest[3];

	glip_prompt_options_init(&o);
	for (int i = 0; i < 3; i++) {
		struct glip_prompt *p = NULL;
		o.classes_per_pass = i == 0 ? 0 : 2 + i;
		assert_int_equal(glip_prompt_classes(w->session, names, 3, &o, &p, NULL), GLIP_OK);
		assert_int_equal(glip_prompt_chunk_count(p), 1);
		struct glip_result *r = found(w, p);
		digest[i] = tiny_digest_result(1, r);
		assert_true(glip_result_count(r) > 0);
		glip_result_free(r);
		glip_prompt_free(p);
	}
	assert_true(digest[0] == digest[1] && digest[0] == digest[2]);
}

/* Labels keep their numbers over all chunks, and each chunk's labels are found by its own words. */
static void test_chunks(void **state)
{
	static const char *const names[] = {"cat", "dog", "bird"};
	struct world *w = *state;
	struct glip_prompt_options o;
	struct glip_prompt *all = NULL, *one = NULL;
	float best, alone;

	glip_prompt_options_init(&o);
	o.classes_per_pass = 1;
	w->options.max_detections = 1 << 20;
	assert_int_equal(glip_prompt_classes(w->session, names, 3, &o, &all, NULL), GLIP_OK);
	assert_int_equal(glip_prompt_chunk_count(all), 3);
	struct glip_result *r = found(w, all);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(glip_prompt_label_chunk(all, i), i);
		assert_string_equal(glip_prompt_chunk_caption(all, i), names[i]);
		assert_int_equal(glip_prompt_classes(w->session, &names[i], 1, &o, &one, NULL), GLIP_OK);
		struct glip_result *single = found(w, one);
		assert_int_equal(count_label(r, i, &best), count_label(single, 0, &alone));
		assert_true(best > 0 && best >= alone && best <= alone);
		glip_result_free(single);
		glip_prompt_free(one);
	}
	glip_result_free(r);
	glip_prompt_free(all);
}

static void test_options_of_a_call(void **state)
{
	static const char *const name = "cat";
	struct world *w = *state;
	struct glip_prompt *p = NULL;

	assert_int_equal(glip_prompt_classes(w->session, &name, 1, NULL, &p, NULL), GLIP_OK);
	size_t usual = found_count(w, p);
	w->options.nms = 0;
	assert_true(found_count(w, p) < usual);
	w->options.nms = 1;
	assert_true(found_count(w, p) > usual);
	w->options.max_candidates = 1;
	size_t few = found_count(w, p);
	assert_true(few >= 1 && few <= 5); /* one a level */
	w->options = tiny_ground_options();
	w->options.max_detections = 2;
	assert_int_equal(found_count(w, p), 2);
	w->options.score_floor = 1;
	assert_int_equal(found_count(w, p), 0);
	glip_prompt_free(p);
}

/* The picture is 64 x 80 to the network, padded to 64 x 96: boxes end where the picture does. */
static void test_boxes_end_with_the_picture(void **state)
{
	static const char *const name = "cat";
	struct world *w = *state;
	struct glip_prompt *p = NULL;
	float right = 0, low = 0;

	assert_int_equal(glip_prompt_classes(w->session, &name, 1, NULL, &p, NULL), GLIP_OK);
	struct glip_result *r = found(w, p);
	for (size_t i = 0; i < glip_result_count(r); i++) {
		const struct glip_detection *d = glip_result_detection(r, i);
		right = d->box[2] > right ? d->box[2] : right;
		low = d->box[3] > low ? d->box[3] : low;
	}
	assert_float_equal(right, 79.0f * TINY_WIDTH / 80, 1e-5f);
	assert_float_equal(low, 63.0f * TINY_HEIGHT / 64, 1e-5f);
	glip_result_free(r);
	glip_prompt_free(p);
}

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

static void test_out_parameters_are_null_after_a_failure(void **state)
{
	struct world *w = *state;
	struct glip_prompt *const no_prompt = (struct glip_prompt *)(void *)w, *p;
	struct glip_features *f = (struct glip_features *)(void *)w;
	struct glip_result *r = (struct glip_result *)(void *)w;
	struct glip_error err;

	p = no_prompt;
	assert_int_equal(glip_prompt_caption(NULL, "a cat", NULL, &p, &err), GLIP_ERR_ARGUMENT);
	assert_null(p);
	p = no_prompt;
	assert_int_equal(glip_prompt_classes(NULL, NULL, 0, NULL, &p, &err), GLIP_ERR_ARGUMENT);
	assert_null(p);
	p = no_prompt;
	assert_int_equal(glip_prompt_labels(NULL, "a cat", NULL, 0, NULL, &p, &err), GLIP_ERR_ARGUMENT);
	assert_null(p);
	assert_int_equal(glip_features_create(NULL, &w->image, NULL, &f, &err), GLIP_ERR_ARGUMENT);
	assert_null(f);
	assert_string_equal(err.message, "glip_features_create: session is NULL");
	assert_int_equal(glip_ground(w->session, &w->image, NULL, NULL, &r, &err), GLIP_ERR_ARGUMENT);
	assert_null(r);
}

static void test_structs_of_other_versions(void **state)
{
	struct world *w = *state;
	struct glip_model_info info = {.struct_size = offsetof(struct glip_model_info, parameters), .parameters = 7};
	struct glip_ground_options o = w->options;
	static const char *const name = "cat";
	struct glip_prompt *p = NULL;
	struct glip_result *r = NULL;

	assert_int_equal(glip_model_get_info(w->model, &info), GLIP_OK);
	assert_int_equal(info.max_tokens, 256);
	assert_int_equal(info.parameters, 7);
	assert_int_equal(info.struct_size, offsetof(struct glip_model_info, parameters));
	info.struct_size = sizeof info;
	assert_int_equal(glip_model_get_info(w->model, &info), GLIP_OK);
	assert_true(info.short_side == 800 && info.long_side == 1333);
	info.struct_size = sizeof info + 1;
	assert_int_equal(glip_model_get_info(w->model, &info), GLIP_ERR_ARGUMENT);
	info.struct_size = 0;
	assert_int_equal(glip_model_get_info(w->model, &info), GLIP_ERR_ARGUMENT);

	assert_int_equal(glip_prompt_classes(w->session, &name, 1, NULL, &p, NULL), GLIP_OK);
	o.struct_size = offsetof(struct glip_ground_options, max_detections);
	o.max_detections = -1; /* not read: the field is newer than the caller */
	assert_int_equal(glip_ground(w->session, &w->image, p, &o, &r, NULL), GLIP_OK);
	glip_result_free(r);
	o.struct_size = sizeof o + 1;
	assert_int_equal(glip_ground(w->session, &w->image, p, &o, &r, NULL), GLIP_ERR_ARGUMENT);
	glip_prompt_free(p);
}

/* In every narrow mode some products are made of 16-bit integers, in float32 none; with OpenBLAS nothing is narrow. */
static void check_numbers(const struct world *w, enum glip_compute compute, uint32_t cpu_mask, uint32_t used)
{
	struct glip_session_options o;
	struct glip_session *session;

	glip_session_options_init(&o);
	o.compute = compute;
	o.cpu_mask = cpu_mask;
	assert_int_equal(glip_session_create(w->model, &o, &session, NULL), GLIP_OK);
	assert_ptr_equal(session->ops.narrow, glip__narrow_kernels(compute, used));
	assert_ptr_equal(session->ops.narrow_16, session->ops.narrow ? glip__narrow_kernels(GLIP_COMPUTE_I16, used) : NULL);
	glip_session_free(session);
	o.gemm = GLIP_GEMM_BLAS;
	assert_int_equal(glip_session_create(w->model, &o, &session, NULL), GLIP_OK);
	assert_null(session->ops.narrow);
	assert_null(session->ops.narrow_16);
	glip_session_free(session);
}

static void test_numbers_of_products(void **state)
{
	const uint32_t mask = glip_cpu_detect();

	for (int c = GLIP_COMPUTE_F32; c <= GLIP_COMPUTE_I16; c++) {
		check_numbers(*state, (enum glip_compute)c, 0, mask);
		check_numbers(*state, (enum glip_compute)c, mask, mask);
	}
}

static void test_counts_may_be_null(void **state)
{
	struct glip_phrases *phrases = NULL;

	(void)state;
	assert_int_equal(glip_phrases_create("a cat", NULL, &phrases, NULL), GLIP_OK);
	assert_string_equal(glip_phrases_list(phrases, NULL)->text, "a cat");
	assert_string_equal(glip_phrases_words(phrases, NULL)->tag, "DT");
	glip_phrases_free(phrases);
	assert_null(glip_phrases_list(NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_negatives_and_thresholds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impossible_settings_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confusable_names_keep_their_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mean_and_max, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caption_past_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merged_phrases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prompt_tuning, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunks_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options_of_a_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_boxes_end_with_the_picture, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_parameters_are_null_after_a_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_structs_of_other_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers_of_products, setup, teardown),
		cmocka_unit_test(test_counts_may_be_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
