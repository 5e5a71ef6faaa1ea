#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cpu.h"
#include "bench.h"
#include "glip/profile.h"
#include "ops/narrow.h"
#include "terminal.h"

enum { NETWORK_SHORT = 800, NETWORK_LONG = 1088, MAX_STAGES = 16 };

/* The classes of COCO: eighty nouns are 194 tokens. */
static const char *const NAMES[] = {
	"person",         "bicycle",    "car",          "dog",           "bird",         "airplane",   "bus",
	"train",          "truck",      "boat",         "traffic light", "fire hydrant", "stop sign",  "parking meter",
	"bench",          "motorcycle", "cat",          "horse",         "sheep",        "cow",        "elephant",
	"bear",           "zebra",      "giraffe",      "backpack",      "umbrella",     "handbag",    "tie",
	"suitcase",       "frisbee",    "skis",         "snowboard",     "sports ball",  "kite",       "baseball bat",
	"baseball glove", "skateboard", "surfboard",    "tennis racket", "bottle",       "wine glass", "cup",
	"fork",           "knife",      "spoon",        "bowl",          "banana",       "apple",      "sandwich",
	"orange",         "broccoli",   "carrot",       "hot dog",       "pizza",        "donut",      "cake",
	"chair",          "couch",      "potted plant", "bed",           "dining table", "toilet",     "tv",
	"laptop",         "mouse",      "remote",       "keyboard",      "cell phone",   "microwave",  "oven",
	"toaster",        "sink",       "refrigerator", "book",          "clock",        "vase",       "scissors",
	"teddy bear",     "hair drier", "toothbrush",
};
enum { NAME_COUNT = sizeof NAMES / sizeof *NAMES, FEW_NAMES = 5 };

/* A model with what is needed to ground. */
struct subject {
	struct glip_model *model;
	struct glip_session *session;
	struct glip_prompt *prompt;
	struct glip_image image;
	struct glip_error err;
};

static bool failed(const struct subject *s)
{
	say("%s", s->err.message);
	return false;
}

/* A picture of smooth shades with rectangles in it: the time of a pass hardly depends on what is seen. */
static bool make_image(struct glip_image *out, int width, int height)
{
	uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
	if (pixels == NULL) {
		say("out of memory");
		return false;
	}
	for (int y = 0; y < height; y++) {
		for (int x = 0; x < width; x++) {
			uint8_t *p = pixels + ((size_t)y * (size_t)width + (size_t)x) * 3;
			int inside = x / 97 % 3 == 1 && y / 71 % 2 == 1;
			p[0] = (uint8_t)(inside ? 200 - y / 8 % 100 : x / 5 % 256);
			p[1] = (uint8_t)(inside ? x / 3 % 256 : y / 4 % 256);
			p[2] = (uint8_t)(inside ? 40 : (x + y) / 7 % 256);
		}
	}
	*out = (struct glip_image){.pixels = pixels, .width = width, .height = height};
	return true;
}

static void close_subject(struct subject *s)
{
	free((void *)(uintptr_t)s->image.pixels);
	glip_prompt_free(s->prompt);
	glip_session_free(s->session);
	glip_model_free(s->model);
	memset(s, 0, sizeof *s);
}

static bool set_prompt(struct subject *s, size_t names)
{
	struct glip_prompt_options o;
	glip_prompt_options_init(&o);
	o.trailing_separator = 1;
	glip_prompt_free(s->prompt);
	s->prompt = NULL;
	return glip_prompt_classes(s->session, NAMES, names, &o, &s->prompt, &s->err) == GLIP_OK || failed(s);
}

static bool set_session(struct subject *s, int threads, int compute)
{
	struct glip_session_options o;
	glip_session_options_init(&o);
	o.threads = threads;
	o.compute = (enum glip_compute)compute;
	glip_session_free(s->session);
	s->session = NULL;
	return glip_session_create(s->model, &o, &s->session, &s->err) == GLIP_OK || failed(s);
}

static bool open_subject(struct subject *s, const struct bench_settings *settings,
                         const struct glip_allocator *allocator)
{
	struct glip_model_options o;
	memset(s, 0, sizeof *s);
	glip_model_options_init(&o);
	o.allocator = allocator;
	if (glip_model_load(settings->model, &o, &s->model, &s->err) != GLIP_OK)
		return failed(s);
	return make_image(&s->image, NETWORK_LONG, NETWORK_SHORT) && set_session(s, settings->threads, settings->compute) &&
	       set_prompt(s, FEW_NAMES);
}

/* One pass; features NULL: with the backbone. */
static bool ground(struct subject *s, const struct glip_features *features, int short_side)
{
	struct glip_ground_options o;
	struct glip_result *result = NULL;
	enum glip_status status;

	glip_ground_options_init(&o);
	o.short_side = short_side;
	if (features != NULL)
		status = glip_ground_features(s->session, features, s->prompt, &o, &result, &s->err);
	else
		status = glip_ground(s->session, &s->image, s->prompt, &o, &result, &s->err);
	glip_result_free(result);
	return status == GLIP_OK || failed(s);
}

static bool measure_pass(struct subject *s, const struct glip_features *features, int short_side, int repeat,
                         struct bench_samples *out)
{
	*out = (struct bench_samples){0};
	for (int i = -1; i < repeat; i++) {
		double start = now_seconds();
		if (!ground(s, features, short_side))
			return false;
		if (i >= 0)
			bench_sample(out, now_seconds() - start);
	}
	return true;
}

static bool measure_prompt(struct subject *s, size_t names, int repeat, struct bench_samples *out)
{
	*out = (struct bench_samples){0};
	for (int i = -1; i < repeat; i++) {
		double start = now_seconds();
		if (!set_prompt(s, names))
			return false;
		if (i >= 0)
			bench_sample(out, now_seconds() - start);
	}
	return true;
}

/* ---- Stages ------------------------------------------------------------------------------------------------------ */

struct stage {
	char name[32];
	struct bench_samples samples;
	double run, multiply_adds; /* of the current run, summed over the stage's calls */
};

struct stages {
	const struct glip_session *session;
	struct stage list[MAX_STAGES];
	int count;
	double since, work_before;
};

static void stage_done(void *user, const char *name)
{
	struct stages *all = user;
	struct stage *s = all->list;
	double now = now_seconds(), work = glip__session_multiply_adds(all->session);

	while (s < all->list + all->count && strcmp(s->name, name) != 0)
		s++;
	if (s == all->list + MAX_STAGES)
		return;
	if (s == all->list + all->count) {
		snprintf(s->name, sizeof s->name, "%s", name);
		all->count++;
	}
	s->run += now - all->since;
	s->multiply_adds += work - all->work_before;
	all->since = now_seconds();
	all->work_before = work;
}

static void begin_run(struct stages *all)
{
	for (int i = 0; i < all->count; i++)
		all->list[i].run = all->list[i].multiply_adds = 0;
	all->work_before = glip__session_multiply_adds(all->session);
	all->since = now_seconds();
}

static void stage_row(struct bench_report *r, const char *name, struct bench_samples *s, double multiply_adds,
                      double peak)
{
	double median = bench_median(s), rate = 2e-9 * multiply_adds / median;
	double values[] = {1e3 * median,
	                   1e3 * bench_least(s),
	                   1e3 * bench_most(s),
	                   1e-9 * multiply_adds,
	                   rate,
	                   peak > 0 ? 100 * rate / peak : (double)NAN};
	if (multiply_adds < 1e3)
		values[3] = values[4] = values[5] = (double)NAN;
	bench_row(r, name, values);
}

static bool run_stages(struct bench_report *r, struct subject *s, int repeat, double peak)
{
	static const struct bench_column columns[] = {
		{"median_ms", "median", 2},
		{"least_ms", "least", 2},
		{"most_ms", "most", 2},
		{"gmac", "G m-adds", 2},
		{"gflops", "GFLOP/s", 1},
		{"percent_of_peak", "% of peak", 1},
		{NULL, NULL, 0},
	};
	struct stages all = {.session = s->session};
	struct bench_samples total = {0};
	double multiply_adds = 0;

	glip__session_profile(s->session, stage_done, &all);
	for (int i = -1; i < repeat; i++) {
		begin_run(&all);
		double start = now_seconds();
		if (!set_prompt(s, FEW_NAMES) || !ground(s, NULL, NETWORK_SHORT))
			return false;
		if (i < 0)
			continue;
		bench_sample(&total, now_seconds() - start);
		for (int k = 0; k < all.count; k++)
			bench_sample(&all.list[k].samples, all.list[k].run);
	}
	glip__session_profile(s->session, NULL, NULL);
	bench_table(r, "stages", "a pass, 1088 x 800, five classes (ms)", columns);
	for (int k = 0; k < all.count; k++) {
		stage_row(r, all.list[k].name, &all.list[k].samples, all.list[k].multiply_adds, peak);
		multiply_adds += all.list[k].multiply_adds;
	}
	stage_row(r, "whole, text included", &total, multiply_adds, peak);
	return true;
}

/* ---- Loading and memory ------------------------------------------------------------------------------------------ */

/* Bytes taken and not yet given back. */
struct counter {
	size_t now, peak;
};

static void *counted_alloc(void *user, size_t size, size_t align)
{
	struct counter *c = user;
	char *p = NULL;
	if (size <= SIZE_MAX - 2 * align)
		p = aligned_alloc(align, (size + align - 1) / align * align + align);
	if (p == NULL)
		return NULL;
	/* The length and the shift stand right before what is handed out: align is at least 64 here. */
	size_t note[2] = {size, align};
	memcpy(p + align - sizeof note, note, sizeof note);
	c->now += size;
	c->peak = c->now > c->peak ? c->now : c->peak;
	return p + align;
}

static void counted_free(void *user, void *pointer)
{
	struct counter *c = user;
	size_t note[2];
	if (pointer == NULL)
		return;
	memcpy(note, (char *)pointer - sizeof note, sizeof note);
	c->now -= note[0];
	free((char *)pointer - note[1]);
}

bool bench_memory(struct bench_report *r, const struct bench_settings *settings)
{
	static const struct bench_column columns[] = {{"megabytes", "MB", 1}, {NULL, NULL, 0}};
	struct counter counter = {0};
	struct glip_allocator allocator = {counted_alloc, counted_free, &counter};
	struct glip_model_info info = {.struct_size = sizeof info};
	struct subject s;
	bool good = open_subject(&s, settings, &allocator);
	double opened = (double)counter.peak;

	for (int i = 0; i < 2 && good; i++)
		good = ground(&s, NULL, NETWORK_SHORT);
	double few = (double)counter.peak;
	good = good && set_prompt(&s, NAME_COUNT) && ground(&s, NULL, NETWORK_SHORT);
	if (good && glip_model_get_info(s.model, &info) == GLIP_OK) {
		bench_table(r, "memory", "memory", columns);
		bench_row(r, "weights, mapped", &(double){1e-6 * (double)info.file_bytes});
		bench_row(r, "beside them, model loaded and text encoded", &(double){1e-6 * opened});
		bench_row(r, "peak of a pass, five classes", &(double){1e-6 * few});
		bench_row(r, "peak of a pass, eighty classes", &(double){1e-6 * (double)counter.peak});
	}
	close_subject(&s);
	return good;
}

static const struct bench_column TIMES[] = {
	{"median_ms", "median", 2}, {"least_ms", "least", 2}, {"most_ms", "most", 2},
	{"ratio", "ratio", 3},      {NULL, NULL, 0},
};

/* ratio: to `whole` seconds; 0: none. */
static void time_row(struct bench_report *r, const char *name, struct bench_samples *s, double whole)
{
	double median = bench_median(s);
	double values[] = {1e3 * median, 1e3 * bench_least(s), 1e3 * bench_most(s),
	                   whole > 0 ? median / whole : (double)NAN};
	bench_row(r, name, values);
}

bool bench_load(struct bench_report *r, const struct bench_settings *settings)
{
	struct bench_samples load = {0}, session = {0};
	for (int i = -1; i < settings->repeat; i++) {
		struct subject s = {0};
		double start = now_seconds();
		if (glip_model_load(settings->model, NULL, &s.model, &s.err) != GLIP_OK)
			return failed(&s);
		double loaded = now_seconds();
		bool good = set_session(&s, settings->threads, settings->compute);
		double made = now_seconds();
		close_subject(&s);
		if (!good)
			return false;
		if (i >= 0) {
			bench_sample(&load, loaded - start);
			bench_sample(&session, made - loaded);
		}
	}
	bench_table(r, "load", "before the first pass (ms)", TIMES);
	time_row(r, "model", &load, 0);
	time_row(r, "session", &session, 0);
	return true;
}

static bool run_reuse(struct bench_report *r, struct subject *s, const struct bench_settings *settings)
{
	int repeat = settings->repeat;
	struct bench_samples text, image, cached;
	struct glip_features *features = NULL;

	if (!measure_prompt(s, FEW_NAMES, repeat, &text) || !measure_pass(s, NULL, NETWORK_SHORT, repeat, &image))
		return false;
	if (glip_features_create(s->session, &s->image, NULL, &features, &s->err) != GLIP_OK)
		return failed(s);
	bool good = measure_pass(s, features, NETWORK_SHORT, repeat, &cached);
	glip_features_free(features);
	if (!good)
		return false;
	double whole = bench_median(&text) + bench_median(&image);
	bench_table(r, "reuse", "parts of a pass, 1088 x 800, five classes (ms)", TIMES);
	time_row(r, "text alone", &text, whole);
	time_row(r, "another image, same prompt", &image, whole);
	time_row(r, "another prompt, same image (text apart)", &cached, whole);
	return true;
}

/* ---- Precisions -------------------------------------------------------------------------------------------------- */

enum { FIRST_COMPUTE = GLIP_COMPUTE_F32 };
static const char *const COMPUTE_NAMES[BENCH_COMPUTES] = {"auto", "f32", "bf16", "i8", "i16"};

/* In turns, so that what slows the machine down for a while slows all of them down. */
bool bench_compute(struct bench_report *r, const struct bench_settings *settings)
{
	struct bench_samples samples[BENCH_COMPUTES] = {{{0}, 0}};
	struct glip_session *sessions[BENCH_COMPUTES] = {NULL};
	struct subject s;
	bool good = open_subject(&s, settings, NULL);

	for (int i = -1; i < settings->repeat && good; i++) {
		for (int k = FIRST_COMPUTE; k < BENCH_COMPUTES && good; k++) {
			glip_session_free(i < 0 ? s.session : NULL);
			s.session = sessions[k];
			good = i >= 0 || set_session(&s, settings->threads, k);
			double start = now_seconds();
			good = good && ground(&s, NULL, NETWORK_SHORT);
			if (i >= 0)
				bench_sample(&samples[k], now_seconds() - start);
			sessions[k] = s.session;
			s.session = NULL;
		}
	}
	if (good) {
		bench_table(r, "compute", "a pass by precision, 1088 x 800, five classes, text apart (ms)", TIMES);
		double whole = bench_median(&samples[FIRST_COMPUTE]);
		for (int k = FIRST_COMPUTE; k < BENCH_COMPUTES; k++)
			time_row(r, COMPUTE_NAMES[k], &samples[k], whole);
	}
	for (int k = FIRST_COMPUTE; k < BENCH_COMPUTES; k++)
		glip_session_free(sessions[k]);
	close_subject(&s);
	return good;
}

/* ---- Scaling ----------------------------------------------------------------------------------------------------- */

static bool over_threads(struct bench_report *r, struct subject *s, const struct bench_settings *settings)
{
	struct bench_samples samples;
	double one = 0;
	bench_table(r, "threads", "threads, 1088 x 800, five classes (ms)", TIMES);
	for (int threads = 1;; threads = 2 * threads < settings->threads ? 2 * threads : settings->threads) {
		char name[32];
		if (!set_session(s, threads, settings->compute) ||
		    !measure_pass(s, NULL, NETWORK_SHORT, settings->repeat, &samples))
			return false;
		if (threads == 1)
			one = bench_median(&samples);
		snprintf(name, sizeof name, "%d", threads);
		time_row(r, name, &samples, one);
		if (threads >= settings->threads)
			return true;
	}
}

static bool over_sizes(struct bench_report *r, struct subject *s, const struct bench_settings *settings)
{
	static const int sizes[][2] = {{320, 320}, {480, 320}, {640, 480}, {800, 608}, {1088, 800}, {1333, 800}};
	struct bench_samples samples;
	bench_table(r, "sizes", "image sizes, five classes (ms)", TIMES);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char name[32];
		free((void *)(uintptr_t)s->image.pixels);
		s->image.pixels = NULL;
		if (!make_image(&s->image, sizes[i][0], sizes[i][1]) ||
		    !measure_pass(s, NULL, sizes[i][1], settings->repeat, &samples))
			return false;
		snprintf(name, sizeof name, "%d x %d", sizes[i][0], sizes[i][1]);
		time_row(r, name, &samples, 0);
	}
	free((void *)(uintptr_t)s->image.pixels);
	s->image.pixels = NULL;
	return make_image(&s->image, NETWORK_LONG, NETWORK_SHORT);
}

static bool over_classes(struct bench_report *r, struct subject *s, const struct bench_settings *settings)
{
	static const size_t counts[] = {FEW_NAMES, 20, 40, NAME_COUNT};
	struct bench_samples samples;
	double few = 0;
	bench_table(r, "classes", "classes, 1088 x 800, text apart (ms)", TIMES);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		char name[64];
		size_t tokens = 0;
		if (!set_prompt(s, counts[i]) || !measure_pass(s, NULL, NETWORK_SHORT, settings->repeat, &samples))
			return false;
		if (i == 0)
			few = bench_median(&samples);
		glip_prompt_chunk_tokens(s->prompt, 0, &tokens);
		snprintf(name, sizeof name, "%zu classes, %zu tokens, %zu pass%s", counts[i], tokens,
		         glip_prompt_chunk_count(s->prompt), glip_prompt_chunk_count(s->prompt) == 1 ? "" : "es");
		time_row(r, name, &samples, few);
	}
	return true;
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

bool bench_stages(struct bench_report *r, const struct bench_settings *settings, const struct bench_limits *limits)
{
	/* What products are made of, which need not be what was asked for. */
	const struct narrow_kernels *narrow = glip__narrow_kernels((enum glip_compute)settings->compute, glip__cpu_flags());
	const double peak = limits->compute[narrow != NULL ? narrow->compute : GLIP_COMPUTE_F32];
	struct subject s;
	bool good = open_subject(&s, settings, NULL) && run_stages(r, &s, settings->repeat, peak);

	close_subject(&s);
	return good;
}

typedef bool (*part_fn)(struct bench_report *r, struct subject *s, const struct bench_settings *settings);

static bool run_part(struct bench_report *r, const struct bench_settings *settings, part_fn part)
{
	struct subject s;
	bool good = open_subject(&s, settings, NULL) && part(r, &s, settings);
	close_subject(&s);
	return good;
}

bool bench_reuse(struct bench_report *r, const struct bench_settings *settings)
{
	return run_part(r, settings, run_reuse);
}

bool bench_threads(struct bench_report *r, const struct bench_settings *settings)
{
	return run_part(r, settings, over_threads);
}

bool bench_sizes(struct bench_report *r, const struct bench_settings *settings)
{
	return run_part(r, settings, over_sizes);
}

bool bench_classes(struct bench_report *r, const struct bench_settings *settings)
{
	return run_part(r, settings, over_classes);
}
