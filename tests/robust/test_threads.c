/* One model, many threads; any number of worker threads; passes that are given up. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/rule_weights.h"
#include "support/test_vocab.h"
#include "support/tiny_model.h"

enum { THREADS = 16, ROUNDS = 50, CAPTIONS = 3 };

static const char *const captions[CAPTIONS] = {"a cat and a dog", "the red bird on the mat. a car",
                                               "photo of kittens running, the runner"};

struct world {
	struct glip_model *model;
	struct glip_prompt *shared; /* made by the main thread */
	uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3];
	struct glip_image image;
	struct glip_ground_options options;
	uint64_t expected[CAPTIONS], expected_shared;
};

static void must(enum glip_status status, const struct glip_error *err)
{
	if (status != GLIP_OK)
		fail_msg("%d: %s", (int)status, err->message);
}

static struct glip_session *session_on(const struct glip_model *model, int threads, enum glip_gemm gemm,
                                       enum glip_compute compute)
{
	struct glip_session_options o;
	struct glip_session *session;
	struct glip_error err;

	glip_session_options_init(&o);
	o.threads = threads;
	o.gemm = gemm;
	o.compute = compute;
	must(glip_session_create(model, &o, &session, &err), &err);
	return session;
}

static struct glip_session *new_session(const struct world *w, int threads, enum glip_gemm gemm)
{
	return session_on(w->model, threads, gemm, GLIP_COMPUTE_AUTO);
}

/* Two passes. */
static struct glip_prompt *make_shared(struct glip_session *session)
{
	static const char *const names[] = {"cat", "dog", "kitten", "red bird"};
	struct glip_prompt_options o;
	struct glip_prompt *prompt;
	struct glip_error err;

	glip_prompt_options_init(&o);
	o.classes_per_pass = 2;
	must(glip_prompt_classes(session, names, 4, &o, &prompt, &err), &err);
	return prompt;
}

static enum glip_status digest_of(const struct world *w, struct glip_session *session, const struct glip_prompt *prompt,
                                  uint64_t *digest, struct glip_error *err)
{
	struct glip_result *result;
	enum glip_status status = glip_ground(session, &w->image, prompt, &w->options, &result, err);

	*digest = tiny_digest_result(0, result);
	glip_result_free(result);
	return status;
}

/* A prompt of its own each time. */
static enum glip_status digest_caption(const struct world *w, struct glip_session *session, const char *caption,
                                       uint64_t *digest, struct glip_error *err)
{
	struct glip_prompt *prompt;
	enum glip_status status = glip_prompt_caption(session, caption, NULL, &prompt, err);

	if (status == GLIP_OK)
		status = digest_of(w, session, prompt, digest, err);
	glip_prompt_free(prompt);
	return status;
}

/* ---- Many callers ------------------------------------------------------------------------------------------------ */

struct caller {
	const struct world *w;
	enum glip_compute compute;
	int index, wrong;
	struct glip_error err;
};

/* Nothing of cmocka here: it is for the main thread. */
static void *call_many_times(void *argument)
{
	struct caller *c = argument;
	const struct world *w = c->w;
	struct glip_session_options o;
	struct glip_session *session;

	glip_session_options_init(&o);
	o.threads = 1 + c->index % 3;
	o.compute = c->compute;
	c->wrong = ROUNDS;
	if (glip_session_create(w->model, &o, &session, &c->err) != GLIP_OK)
		return NULL;
	for (int i = 0; i < ROUNDS; i++) {
		int which = (i + c->index) % (CAPTIONS + 1);
		uint64_t digest = 0;
		enum glip_status status = which < CAPTIONS ? digest_caption(w, session, captions[which], &digest, &c->err)
		                                           : digest_of(w, session, w->shared, &digest, &c->err);
		c->wrong -= status == GLIP_OK && digest == (which < CAPTIONS ? w->expected[which] : w->expected_shared);
	}
	glip_session_free(session);
	return NULL;
}

/* All at once on one model, caller i as computes[i % kinds]; w[k] holds what computes[k] gives. */
static void call_at_once(const struct world *w, const enum glip_compute *computes, int kinds)
{
	struct caller callers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		callers[i] = (struct caller){.w = w + i % kinds, .compute = computes[i % kinds], .index = i};
		assert_int_equal(pthread_create(&threads[i], NULL, call_many_times, &callers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		if (callers[i].wrong != 0)
			fail_msg("thread %d: %d of %d results differ from the serial ones %s", i, callers[i].wrong, ROUNDS,
			         callers[i].err.message);
}

static void test_many_callers(void **state)
{
	static const enum glip_compute automatic = GLIP_COMPUTE_AUTO;
	const struct world *w = *state;

	call_at_once(w, &automatic, 1);
}

/* The first passes on a model pack its weights, each caller at the same time as the others. */
static void test_packing_at_once(void **state)
{
	enum { KINDS = 4 };
	static const enum glip_compute computes[KINDS] = {GLIP_COMPUTE_F32, GLIP_COMPUTE_BF16, GLIP_COMPUTE_I8,
	                                                  GLIP_COMPUTE_I16};
	const struct world *w = *state;
	struct world expected[KINDS];
	struct glip_model *fresh;
	struct scratch_file file;
	struct glip_error err;

	for (int k = 0; k < KINDS; k++) {
		struct glip_session *session = session_on(w->model, 2, GLIP_GEMM_NATIVE, computes[k]);
		expected[k] = *w;
		must(digest_of(w, session, w->shared, &expected[k].expected_shared, &err), &err);
		for (int i = 0; i < CAPTIONS; i++)
			must(digest_caption(w, session, captions[i], &expected[k].expected[i], &err), &err);
		glip_session_free(session);
	}
	scratch_file_new(&file);
	tiny_model_write(&file);
	must(glip_model_load(file.path, NULL, &fresh, &err), &err);
	scratch_file_remove(&file);
	struct glip_session *session = session_on(fresh, 1, GLIP_GEMM_NATIVE, GLIP_COMPUTE_AUTO);
	struct glip_prompt *shared = make_shared(session);
	for (int k = 0; k < KINDS; k++) {
		expected[k].model = fresh;
		expected[k].shared = shared;
	}
	glip_session_free(session);
	call_at_once(expected, computes, KINDS);
	glip_prompt_free(shared);
	glip_model_free(fresh);
}

/* ---- Number of worker threads ------------------------------------------------------------------------------------ */

static void test_thread_counts(void **state)
{
	static const int counts[] = {1, 2, 3, 7, 16};
	const struct world *w = *state;
	struct glip_error err;

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct glip_session *session = new_session(w, counts[i], GLIP_GEMM_NATIVE);
		for (int k = 0; k < CAPTIONS; k++) {
			uint64_t digest = 0;
			must(digest_caption(w, session, captions[k], &digest, &err), &err);
			if (digest != w->expected[k])
				fail_msg("%d threads give other bits than 2", counts[i]);
		}
		glip_session_free(session);
	}
}

/* ---- Giving up --------------------------------------------------------------------------------------------------- */

struct stopper {
	long calls, stop_at;   /* the call that asks to stop; 0: none */
	int again;             /* calls after that */
	double at_ms;          /* from then on; 0: never */
	double asked_ms;       /* when it asked to stop */
	double polled_work_ms; /* processor time of the program at the last call that did not */
};

static double clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static double now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static int on_progress(void *user, float fraction)
{
	struct stopper *s = user;

	(void)fraction;
	if (s->asked_ms > 0)
		s->again++;
	s->calls++;
	if ((s->stop_at == 0 || s->calls < s->stop_at) && (s->at_ms <= 0 || now_ms() < s->at_ms)) {
		s->polled_work_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
		return 0;
	}
	s->asked_ms = now_ms();
	return 1;
}

static struct glip_session *stoppable_session(const struct glip_model *model, struct stopper *stopper, int threads)
{
	struct glip_session_options o;
	struct glip_session *session;
	struct glip_error err;

	glip_session_options_init(&o);
	o.threads = threads;
	o.progress = on_progress;
	o.progress_user = stopper;
	must(glip_session_create(model, &o, &session, &err), &err);
	return session;
}

/* Features stay what they were while they are used: again and again the result of the image itself. */
static void test_features_again(void **state)
{
	const struct world *w = *state;
	struct stopper stopper = {0};
	struct glip_error err;
	struct glip_session *session = stoppable_session(w->model, &stopper, 2);
	struct glip_features *features;

	must(glip_features_create(session, &w->image, &w->options, &features, &err), &err);
	for (int round = 0; round < 3; round++) {
		struct glip_result *result;

		must(glip_ground_features(session, features, w->shared, &w->options, &result, &err), &err);
		assert_true(tiny_digest_result(0, result) == w->expected_shared);
		glip_result_free(result);
	}
	glip_features_free(features);
	glip_session_free(session);
}

/* Whichever call of the callback asks to stop: CANCELLED, nothing comes out, and the next pass is right. */
static void test_every_stop(void **state)
{
	const struct world *w = *state;
	struct stopper stopper = {0};
	struct glip_error err;
	long stops = 0;

	for (int threads = 1; threads <= 3; threads += 2) {
		struct glip_session *session = stoppable_session(w->model, &stopper, threads);
		for (long n = 1;; n++) {
			struct glip_prompt *prompt = NULL;
			struct glip_result *result = NULL;
			struct glip_features *features = NULL;
			uint64_t digest = 0;
			stopper = (struct stopper){.stop_at = n};
			enum glip_status status = glip_prompt_caption(session, captions[1], NULL, &prompt, &err);
			if (status == GLIP_OK)
				status = glip_features_create(session, &w->image, &w->options, &features, &err);
			if (status == GLIP_OK)
				status = glip_ground_features(session, features, prompt, &w->options, &result, &err);
			bool asked = stopper.asked_ms > 0;
			if (status != (asked ? GLIP_ERR_CANCELLED : GLIP_OK) || stopper.again != 0)
				fail_msg("stop at call %ld: %d (%s), asked %d times more", n, (int)status, err.message, stopper.again);
			assert_true(asked == (result == NULL));
			glip_prompt_free(prompt);
			glip_features_free(features);
			glip_result_free(result);
			stopper = (struct stopper){0};
			must(digest_caption(w, session, captions[1], &digest, &err), &err);
			assert_true(digest == w->expected[1]);
			stops += asked;
			if (!asked)
				break;
		}
		glip_session_free(session);
	}
	assert_true(stops > 20);
}

/* At the size of the official model on a usual picture, at many moments of the pass. Takes long: on request. */
static void test_stop_at_full_size(void **state)
{
	enum { MOMENTS = 24, WIDTH = 1088, HEIGHT = 800 };
	struct test_vocab vocab;
	struct scratch_file file;
	struct glip_model *model;
	struct glip_prompt *prompt;
	struct glip_result *result;
	struct stopper stopper = {0};
	struct glip_error err;
	struct buf words = {.allocator = &glip__default_allocator};
	double whole, worst = 0;

	(void)state;
	if (getenv("GLIP_TEST_FULL_SIZE") == NULL)
		skip();
	vocab = test_vocab_load();
	for (size_t i = 0; i < vocab.count; i++)
		assert_true(glip__buf_append(&words, vocab.tokens[i].text, vocab.tokens[i].length) &&
		            glip__buf_puts(&words, "\n"));
	scratch_file_new(&file);
	assert_true(rule_model_write(file.path, rule_variant("glip-t"), 1, words.data));
	must(glip_model_load(file.path, NULL, &model, &err), &err);
	scratch_file_remove(&file);
	struct glip_session *session = stoppable_session(model, &stopper, 0);
	uint8_t *pixels = calloc(WIDTH * HEIGHT, 3);
	struct glip_image image = {.pixels = pixels, .width = WIDTH, .height = HEIGHT};
	must(glip_prompt_caption(session, "a cat, a dog and a traffic light on the road", NULL, &prompt, &err), &err);
	must(glip_ground(session, &image, prompt, NULL, &result, &err), &err);
	glip_result_free(result);
	whole = now_ms();
	must(glip_ground(session, &image, prompt, NULL, &result, &err), &err);
	whole = now_ms() - whole;
	glip_result_free(result);
	for (int i = 0; i < MOMENTS; i++) {
		stopper = (struct stopper){.at_ms = now_ms() + whole * i / MOMENTS + 0.1,
		                           .polled_work_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID)};
		double due = stopper.at_ms;
		enum glip_status status = glip_ground(session, &image, prompt, NULL, &result, &err);
		double late = now_ms() - due, work = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - stopper.polled_work_ms;
		glip_result_free(result);
		if (status == GLIP_OK) /* the machine was faster this time */
			continue;
		assert_int_equal(status, GLIP_ERR_CANCELLED);
		printf("           wanted at %6.0f ms of %.0f: %5.1f ms of work, returned %5.1f ms later\n",
		       whole * i / MOMENTS, whole, work, late);
		worst = work > worst ? work : worst;
	}
	/* Other programs may hold the processors meanwhile: what counts is the work of all threads from the last time that
	 * the pass might have been stopped, which is longer than the wait on a machine of its own. */
	assert_true(worst < 100);
	free(pixels);
	glip_prompt_free(prompt);
	glip_session_free(session);
	glip_model_free(model);
	glip__buf_free(&words);
	test_vocab_free(&vocab);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct scratch_file file;
	struct glip_error err;

	assert_non_null(w);
	*state = w;
	scratch_file_new(&file);
	tiny_model_write(&file);
	must(glip_model_load(file.path, NULL, &w->model, &err), &err);
	scratch_file_remove(&file);
	w->image = tiny_image(w->pixels);
	w->options = tiny_ground_options();
	struct glip_session *session = new_session(w, 2, GLIP_GEMM_NATIVE);
	w->shared = make_shared(session);
	must(digest_of(w, session, w->shared, &w->expected_shared, &err), &err);
	for (int i = 0; i < CAPTIONS; i++)
		must(digest_caption(w, session, captions[i], &w->expected[i], &err), &err);
	glip_session_free(session);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	glip_prompt_free(w->shared);
	glip_model_free(w->model);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_callers),   cmocka_unit_test(test_packing_at_once),
		cmocka_unit_test(test_thread_counts),  cmocka_unit_test(test_every_stop),
		cmocka_unit_test(test_features_again), cmocka_unit_test(test_stop_at_full_size),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
