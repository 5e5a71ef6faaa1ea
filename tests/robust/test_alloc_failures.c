/* Every allocation of every operation fails in turn, once and from then on: the status is GLIP_ERR_NOMEM, nothing
 * leaks, and the next call on the same objects gives the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "convert/convert.h"
#include "support/alloc_probe.h"
#include "support/json.h"
#include "support/tiny_model.h"

struct world {
	struct alloc_probe probe;
	struct scratch_file model_file, checkpoint, written;
	struct glip_model *model;
	struct glip_session *session;
	struct glip_prompt *prompt;
	struct glip_features *features;
	uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3];
	struct glip_image image;
	struct glip_ground_options options;
	int threads, no_mmap;
	enum glip_compute compute;
	uint64_t packed;  /* what pack_weights() gives */
	long again_every; /* how often the operation is done again after a failure: writing files waits for the disk */
	const char *path; /* of the image to load, or the ending of the one to draw */
};

/* Does the whole operation and frees what it made. The digest tells its results. Any out-parameter must be NULL after a
 * failure. */
typedef enum glip_status (*operation)(struct world *w, uint64_t *digest, struct glip_error *err);

/* What an out-parameter holds before a call: never a pointer that may be freed. */
#define POISON(type) ((type *)(void *)w)

static enum glip_status make_model(struct world *w, struct glip_model **out, struct glip_error *err)
{
	struct glip_model_options o;

	glip_model_options_init(&o);
	o.allocator = &w->probe.allocator;
	o.no_mmap = w->no_mmap;
	return glip_model_load(w->model_file.path, &o, out, err);
}

static enum glip_status load_model(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_model *model = POISON(struct glip_model);
	struct glip_model_info info = {.struct_size = sizeof info};
	enum glip_status status = make_model(w, &model, err);

	if (status != GLIP_OK) {
		assert_null(model);
		return status;
	}
	assert_int_equal(glip_model_get_info(model, &info), GLIP_OK);
	*digest = tiny_digest_bytes(*digest, &info.parameters, sizeof info.parameters);
	glip_model_free(model);
	return GLIP_OK;
}

static enum glip_status make_session(struct world *w, struct glip_session **out, struct glip_error *err)
{
	struct glip_session_options o;

	glip_session_options_init(&o);
	o.threads = w->threads;
	o.compute = w->compute;
	return glip_session_create(w->model, &o, out, err);
}

static enum glip_status create_session(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_session *session = POISON(struct glip_session);
	enum glip_status status = make_session(w, &session, err);

	(void)digest;
	if (status != GLIP_OK)
		assert_null(session);
	else
		glip_session_free(session);
	return status;
}

/* Digests a prompt by its texts and tokens and frees it. */
static enum glip_status take_prompt(enum glip_status status, struct glip_prompt *p, uint64_t *digest)
{
	if (status != GLIP_OK) {
		assert_null(p);
		return status;
	}
	for (size_t i = 0; i < glip_prompt_label_count(p); i++) {
		const struct glip_label *l = glip_prompt_label(p, i);
		*digest = tiny_digest_bytes(*digest, l->text, strlen(l->text));
		*digest = tiny_digest_bytes(*digest, l->spans, l->span_count * sizeof *l->spans);
	}
	for (size_t i = 0; i < glip_prompt_chunk_count(p); i++) {
		size_t count;
		const int32_t *tokens = glip_prompt_chunk_tokens(p, i, &count);
		*digest = tiny_digest_bytes(*digest, tokens, count * sizeof *tokens);
	}
	for (size_t i = 0; glip_prompt_warning(p, i) != NULL; i++)
		*digest = tiny_digest_bytes(*digest, glip_prompt_warning(p, i), strlen(glip_prompt_warning(p, i)));
	glip_prompt_free(p);
	return GLIP_OK;
}

static enum glip_status prompt_classes(struct world *w, uint64_t *digest, struct glip_error *err)
{
	static const char *const names[] = {"cat", "red_car(s)", "zebra"};
	struct glip_prompt *p = POISON(struct glip_prompt);
	enum glip_status status = glip_prompt_classes(w->session, names, 3, NULL, &p, err);

	return take_prompt(status, p, digest);
}

static enum glip_status prompt_class_list(struct world *w, uint64_t *digest, struct glip_error *err)
{
	static const char *const cat[] = {"cat", "kitten"}, *const dog[] = {"dog"},
							 *const bird[] = {"bird", "birds", "the bird"};
	const struct glip_class classes[] = {
		{.names = cat, .name_count = 2},
		{.names = dog, .name_count = 1, .prefix = "a photo of ", .flags = GLIP_LABEL_NEGATIVE},
		{.names = bird, .name_count = 3, .threshold = 0.25f},
	};
	struct glip_prompt_options o;
	struct glip_prompt *p = POISON(struct glip_prompt);

	glip_prompt_options_init(&o);
	o.classes_per_pass = 1;
	o.suffix = " running";
	enum glip_status status = glip_prompt_class_list(w->session, classes, 3, &o, &p, err);
	return take_prompt(status, p, digest);
}

static enum glip_status prompt_caption(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_prompt_options o;
	struct glip_prompt *p = POISON(struct glip_prompt);

	glip_prompt_options_init(&o);
	o.merge_phrases = 1;
	enum glip_status status =
		glip_prompt_caption(w->session, "The red cat and a dog on the mat. The red cat's zebra.", &o, &p, err);
	return take_prompt(status, p, digest);
}

static enum glip_status prompt_labels(struct world *w, uint64_t *digest, struct glip_error *err)
{
	static const struct glip_span first[] = {{0, 3}, {8, 11}}, second[] = {{4, 7}};
	static const struct glip_label labels[] = {{.spans = first, .span_count = 2},
	                                           {.text = "and", .spans = second, .span_count = 1}};
	struct glip_prompt *p = POISON(struct glip_prompt);
	enum glip_status status = glip_prompt_labels(w->session, "cat and dog", labels, 2, NULL, &p, err);

	return take_prompt(status, p, digest);
}

static enum glip_status find_phrases(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_phrases *p = POISON(struct glip_phrases);
	enum glip_status status =
		glip_phrases_create("Two men's \"old\" cars, 3.5 miles away! I can't see the traffic lights.",
	                        &w->probe.allocator, &p, err);
	size_t count;

	if (status != GLIP_OK) {
		assert_null(p);
		return status;
	}
	const struct glip_phrase *phrases = glip_phrases_list(p, &count);
	for (size_t i = 0; i < count; i++)
		*digest = tiny_digest_bytes(*digest, phrases[i].text, strlen(phrases[i].text));
	glip_phrases_free(p);
	return GLIP_OK;
}

static enum glip_status load_image(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_image image = {0};
	struct glip_image_options o;
	enum glip_status status;

	glip_image_options_init(&o);
	o.allocator = &w->probe.allocator;
	status = glip_image_load(w->path, &o, &image, err);
	if (status != GLIP_OK) {
		assert_null(image.pixels);
		return status;
	}
	*digest = tiny_digest_bytes(*digest, image.pixels, (size_t)image.stride * (size_t)image.height);
	glip_image_free(&image);
	return GLIP_OK;
}

static enum glip_status take_result(enum glip_status status, struct glip_result *r, uint64_t *digest)
{
	if (status != GLIP_OK) {
		assert_null(r);
		return status;
	}
	assert_true(glip_result_count(r) > 0);
	*digest = tiny_digest_result(*digest, r);
	glip_result_free(r);
	return GLIP_OK;
}

static enum glip_status ground(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_result *r = POISON(struct glip_result);
	enum glip_status status = glip_ground(w->session, &w->image, w->prompt, &w->options, &r, err);

	return take_result(status, r, digest);
}

static enum glip_status ground_caption(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_prompt *p = POISON(struct glip_prompt);
	struct glip_result *r = NULL;
	enum glip_status status = glip_prompt_caption(w->session, "the red cat and a dog", NULL, &p, err);

	if (status == GLIP_OK)
		status = glip_ground(w->session, &w->image, p, &w->options, &r, err);
	glip_prompt_free(p);
	return take_result(status, r, digest);
}

static void must(enum glip_status status, const struct glip_error *err)
{
	if (status != GLIP_OK)
		fail_msg("%d: %s", (int)status, err->message);
}

/* On a model of its own, whose weights are packed meanwhile: some are when memory runs out, and are used again when the
 * call is repeated. */
static enum glip_status pack_weights(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_model *shared = w->model, *own = NULL;
	enum glip_status status = make_model(w, &own, err);

	w->model = own;
	if (status == GLIP_OK)
		status = make_session(w, &w->session, err);
	if (status == GLIP_OK)
		status = ground_caption(w, digest, err);
	if (status == GLIP_OK) {
		w->packed = *digest;
	} else if (w->session != NULL) {
		long calls = w->probe.calls;
		uint64_t again = 0;
		struct glip_error none;
		alloc_probe_arm(&w->probe, 0, 0);
		must(ground_caption(w, &again, &none), &none);
		assert_true(again == w->packed);
		w->probe.calls = calls;
	}
	glip_session_free(w->session);
	glip_model_free(own);
	w->session = NULL;
	w->model = shared;
	return status;
}

static enum glip_status ground_features(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_result *r = POISON(struct glip_result);
	enum glip_status status = glip_ground_features(w->session, w->features, w->prompt, &w->options, &r, err);

	return take_result(status, r, digest);
}

static enum glip_status create_features(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_features *f = POISON(struct glip_features);
	enum glip_status status = glip_features_create(w->session, &w->image, &w->options, &f, err);

	(void)digest;
	if (status != GLIP_OK)
		assert_null(f);
	else
		glip_features_free(f);
	return status;
}

/* The file appears whole or not at all. */
static void digest_written(struct world *w, enum glip_status status, uint64_t *digest)
{
	size_t size = 0;
	char *data;

	if (status != GLIP_OK)
		assert_int_not_equal(access(w->written.path, F_OK), 0);
	assert_int_equal(scratch_file_leftovers(&w->written), 0);
	if (status != GLIP_OK)
		return;
	data = test_read_file(w->written.path, &size);
	assert_non_null(data);
	*digest = tiny_digest_bytes(*digest, data, size);
	free(data);
	scratch_file_remove(&w->written);
}

static enum glip_status draw(struct world *w, uint64_t *digest, struct glip_error *err)
{
	static const struct glip_draw_box boxes[] = {{{1, 2, 9, 7}, 0, "c"}, {{3, 1, 11, 8}, 1, "\xC3\xB6"}};
	struct scratch_file plain = w->written;
	struct glip_image corner = w->image;
	enum glip_status status;

	/* Every row that is packed into a PNG costs allocations. */
	corner.stride = TINY_WIDTH * 3;
	corner.width = 12;
	corner.height = 8;
	strncat(w->written.path, w->path, 8);
	status = glip_draw(&corner, boxes, 2, w->written.path, &w->probe.allocator, err);
	digest_written(w, status, digest);
	w->written = plain;
	return status;
}

static enum glip_status convert(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct convert_options o = {
		.in = w->checkpoint.path,
		.out = w->written.path,
		.settings = {tiny_settings, TINY_SETTINGS},
		.vocab = tiny_vocabulary,
		.vocab_size = strlen(tiny_vocabulary),
		.vocab_name = "vocabulary",
		.type = DTYPE_I8,
		.allocator = &w->probe.allocator,
	};
	struct convert_summary summary;
	enum glip_status status = convert_checkpoint(&o, &summary, err);

	digest_written(w, status, digest);
	return status;
}

/* ---- The loops --------------------------------------------------------------------------------------------------- */

/* One run with the nth allocation failing, and one after it. False once no allocation failed. */
static bool fail_one(struct world *w, operation op, const char *name, long n, int all_after, uint64_t expected)
{
	struct glip_error err = {0};
	uint64_t digest = 0;
	bool reached;

	alloc_probe_arm(&w->probe, n, all_after);
	enum glip_status status = op(w, &digest, &err);
	reached = w->probe.calls >= n;
	alloc_probe_arm(&w->probe, 0, 0);
	if (status == GLIP_OK ? digest != expected : status != GLIP_ERR_NOMEM || err.message[0] == '\0')
		fail_msg("%s, allocation %ld%s: %d, %s", name, n, all_after ? " and later" : "", (int)status, err.message);
	/* Only scratch memory has a second, smaller wish; without any memory there is no way out. */
	if (reached && all_after && status == GLIP_OK)
		fail_msg("%s: not noticed that allocation %ld and later failed", name, n);
	digest = 0;
	if (n % w->again_every != 0)
		return reached;
	must(op(w, &digest, &err), &err);
	if (digest != expected)
		fail_msg("%s: another result after allocation %ld failed", name, n);
	return reached;
}

/* Without own objects: nothing may stay allocated. With `fresh_session` each run has a session that owns no scratch
 * memory yet. */
static void fail_each(struct world *w, operation op, const char *name, bool fresh_session)
{
	struct glip_error err = {0};
	uint64_t expected = 0;
	long live = w->probe.live, total = 0;

	if (fresh_session)
		must(make_session(w, &w->session, &err), &err);
	must(op(w, &expected, &err), &err);
	glip_session_free(w->session);
	w->session = NULL;
	assert_int_equal(w->probe.live, live);
	for (int all_after = 0; all_after < 2; all_after++) {
		bool more = true;
		for (long n = 1; more; n++) {
			if (fresh_session)
				must(make_session(w, &w->session, &err), &err);
			more = fail_one(w, op, name, n, all_after, expected);
			glip_session_free(w->session);
			w->session = NULL;
			if (w->probe.live != live)
				fail_msg("%s: %ld blocks leak after allocation %ld failed", name, w->probe.live - live, n);
			total += more;
		}
	}
	assert_true(total > 0);
	printf("           %-24s %4ld failures\n", name, total);
}

static void test_models(void **state)
{
	struct world *w = *state;

	for (w->no_mmap = 0; w->no_mmap < 2; w->no_mmap++)
		fail_each(w, load_model, w->no_mmap ? "model, read" : "model, mapped", false);
	w->no_mmap = 0;
	for (w->threads = 1; w->threads <= 3; w->threads += 2)
		fail_each(w, create_session, w->threads == 1 ? "session, 1 thread" : "session, 3 threads", false);
	w->threads = 1;
}

static void test_prompts(void **state)
{
	struct world *w = *state;

	fail_each(w, prompt_classes, "prompt, classes", true);
	fail_each(w, prompt_class_list, "prompt, class list", true);
	fail_each(w, prompt_caption, "prompt, caption", true);
	fail_each(w, prompt_labels, "prompt, labels", true);
	fail_each(w, find_phrases, "phrases", false);
}

static void test_images(void **state)
{
	static const char *const images[] = {"rgb.png",         "palette.png", "baseline.jpg",
	                                     "progressive.jpg", "rgb.bmp",     "rgb.ppm"};
	static const char *const endings[] = {".png", ".jpg"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
		char path[64];
		snprintf(path, sizeof path, "tests/data/images/%s", images[i]);
		w->path = path;
		fail_each(w, load_image, images[i], false);
	}
	w->again_every = 8;
	for (size_t i = 0; i < 2; i++) {
		w->path = endings[i];
		fail_each(w, draw, endings[i], false);
	}
	w->again_every = 1;
}

static void test_grounding(void **state)
{
	struct world *w = *state;

	for (w->threads = 1; w->threads <= 3; w->threads += 2) {
		fail_each(w, ground, "ground", true);
		fail_each(w, create_features, "features", true);
		fail_each(w, ground_features, "ground features", true);
		fail_each(w, pack_weights, "weights packed", false);
		w->compute = GLIP_COMPUTE_I8;
		fail_each(w, pack_weights, "weights packed, i8", false);
		w->compute = GLIP_COMPUTE_AUTO;
	}
	w->threads = 1;
}

static void test_convert(void **state)
{
	struct world *w = *state;

	w->again_every = 32;
	fail_each(w, convert, "convert", false);
	w->again_every = 1;
}

/* ---- The world --------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
	static const char *const names[] = {"cat", "dog", "red bird"};
	struct world *w = calloc(1, sizeof *w);
	struct glip_prompt_options o;
	struct glip_error err;

	assert_non_null(w);
	*state = w;
	alloc_probe_init(&w->probe);
	scratch_file_new(&w->model_file);
	scratch_file_new(&w->checkpoint);
	scratch_file_new(&w->written);
	tiny_model_write(&w->model_file);
	tiny_checkpoint_write(&w->checkpoint);
	w->image = tiny_image(w->pixels);
	w->options = tiny_ground_options();
	w->threads = 1;
	w->again_every = 1;
	must(make_model(w, &w->model, &err), &err);
	must(make_session(w, &w->session, &err), &err);
	glip_prompt_options_init(&o);
	o.classes_per_pass = 2;
	must(glip_prompt_classes(w->session, names, 3, &o, &w->prompt, &err), &err);
	must(glip_features_create(w->session, &w->image, &w->options, &w->features, &err), &err);
	/* All weights that this model keeps packed are so before blocks are counted. */
	uint64_t digest = 0;
	must(ground(w, &digest, &err), &err);
	glip_session_free(w->session);
	w->session = NULL;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	glip_features_free(w->features);
	glip_prompt_free(w->prompt);
	glip_model_free(w->model);
	assert_int_equal(w->probe.live, 0);
	scratch_file_remove(&w->model_file);
	scratch_file_remove(&w->checkpoint);
	scratch_file_remove(&w->written);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),    cmocka_unit_test(test_prompts), cmocka_unit_test(test_images),
		cmocka_unit_test(test_grounding), cmocka_unit_test(test_convert),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
