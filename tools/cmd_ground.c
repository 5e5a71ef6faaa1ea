/* `glip ground`: images and words in, boxes out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "ground.h"
#include "terminal.h"

/* What one run holds, from the model to the output. */
struct run {
	struct ground_settings settings;
	struct glip_model *model;
	struct glip_session *session;
	struct glip_prompt *prompt;
	struct glip_ground_options options;
	struct dump dump;
	struct output output;
	struct input_list inputs;
	size_t shard, shards; /* this run does the images whose index is shard modulo shards */
	bool draw_into_folder;
};

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

static enum parse_result parse(struct ground_settings *g, int argc, char **argv)
{
	const struct option options[] = {
		{"model", 'm', OPTION_TEXT, &g->model, "FILE", "model file made by glip convert; without it the bundled one", 0,
	     0, NULL},
		{"classes", 'c', OPTION_TEXT, &g->classes, "LIST",
	     "comma-separated names, \"cat, dog, traffic light\";\nsynonyms of one label: \"sofa | couch\"", 0, 0, NULL},
		{"classes-file", 0, OPTION_TEXT, &g->classes_file, "FILE",
	     "one class a line, any number of them; - reads standard input", 0, 0, NULL},
		{"caption", 't', OPTION_TEXT, &g->caption, "TEXT", "a sentence; its noun phrases become the labels", 0, 0,
	     NULL},
		{"phrase", 'p', OPTION_LIST, &g->phrases, "P",
	     "with --caption: a part of it that is a label (whole words,\nfirst match, any letter case); may be repeated",
	     0, 0, NULL},
		{"span", 0, OPTION_LIST, &g->spans, "B:E[,B:E]",
	     "with --caption: a label by its characters, end exclusive;\n"
	     "several joined by commas are one label; may be repeated",
	     0, 0, NULL},
		{"whole", 0, OPTION_FLAG, &g->whole_caption, NULL, "with --caption: the whole caption is one label", 0, 0,
	     NULL},
		{"merge", 0, OPTION_FLAG, &g->merge, NULL, "with --caption: equal noun phrases are one label", 0, 0, NULL},
		{"negatives", 0, OPTION_TEXT, &g->negatives, "LIST", "classes that stand in the caption but are not reported",
	     0, 0, NULL},
		{"prefix", 0, OPTION_TEXT, &g->prefix, "TEXT", "words before every class name, \"a photo of \"", 0, 0, NULL},
		{"suffix", 0, OPTION_TEXT, &g->suffix, "TEXT", "words after every class name, \", a kind of bird\"", 0, 0,
	     NULL},
		{"separator", 0, OPTION_TEXT, &g->separator, "TEXT", "between class names (default \". \")", 0, 0, NULL},
		{"demo-style", 0, OPTION_FLAG, &g->demo_style, NULL,
	     "join class names as the original demo does: \" . \", also last", 0, 0, NULL},
		{"chunk", 0, OPTION_INT, &g->chunk, "N",
	     "classes per pass (default: as many as the model reads;\nsmaller chunks see other words, so scores differ)", 0,
	     1 << 20, NULL},
		{"score", 0, OPTION_CHOICE, &g->score_mode, "MODE", "a label's score over its tokens: mean (default) or max", 0,
	     0, "mean|max"},
		{"threshold", 0, OPTION_FLOAT, &g->threshold, "S", "report boxes that score more than this (default 0.5)", 0, 1,
	     NULL},
		{"label-threshold", 0, OPTION_LIST, &g->label_thresholds, "NAME=S", "the same for one class; may be repeated",
	     0, 0, NULL},
		{"short-side", 0, OPTION_INT, &g->short_side, "N",
	     "network pixels of the short side (default: the model's,\n800 for the official ones)", 1, 8192, NULL},
		{"long-side", 0, OPTION_INT, &g->long_side, "N",
	     "at most so many of the long side (default: the model's,\n1333 for the official ones; 0: no cap)", 0, 32768,
	     NULL},
		{"nms", 0, OPTION_FLOAT, &g->nms, "IOU",
	     "drop boxes of a label that overlap a better one by more\n(default 0.6)", 0, 1, NULL},
		{"max-detections", 0, OPTION_INT, &g->max_detections, "N",
	     "boxes an image at most, over all labels (default 100)", 1, 1 << 20, NULL},
		{"threads", 'j', OPTION_INT, &g->threads, "N", "worker threads (default: one per processor)", 0, 64, NULL},
		{"gemm", 0, OPTION_CHOICE, &g->gemm, "WHOSE", "matrix products: auto (default), own or blas", 0, 0,
	     "auto|own|blas"},
		{"compute", 0, OPTION_CHOICE, &g->compute, "TYPE",
	     "numbers of large products: f32 (default), i16, bf16 or i8;\nfaster and less exact where the machine has them",
	     0, 0, "auto|f32|bf16|i8|i16"},
		{"json", 0, OPTION_TEXT, &g->json, "FILE", "one JSON object per image and line; - is standard output", 0, 0,
	     NULL},
		{"format", 0, OPTION_CHOICE, &g->format, "F", "of --json: jsonl (default), or coco: results as COCO reads them",
	     0, 0, "jsonl|coco"},
		{"categories", 0, OPTION_TEXT, &g->categories, "FILE",
	     "with --format coco: the images and categories behind the ids", 0, 0, NULL},
		{"draw", 'o', OPTION_TEXT, &g->draw, "FILE|DIR",
	     "draw the boxes: a .png or .jpg, or a folder for several images", 0, 0, NULL},
		{"dump", 0, OPTION_TEXT, &g->dump, "DIR", "write every named activation as DIR/NAME.npy (one image)", 0, 0,
	     NULL},
		{"shard", 0, OPTION_TEXT, &g->shard, "I/N", "do only each Nth image, from the Ith (1..N)", 0, 0, NULL},
		{"resume", 0, OPTION_FLAG, &g->resume, NULL, "keep what --json FILE holds and do the images it lacks", 0, 0,
	     NULL},
		{"no-mmap", 0, OPTION_FLAG, &g->no_mmap, NULL, "read the model into memory instead of mapping it", 0, 0, NULL},
		{"quiet", 'q', OPTION_FLAG, &g->quiet, NULL, "no progress, no warnings", 0, 0, NULL},
		{"verbose", 'v', OPTION_FLAG, &g->verbose, NULL, "say what is read and how long each step took", 0, 0, NULL},
		{NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
	};
	const struct command_line line = {
		.usage = "glip ground [-m MODEL] IMAGE... (--classes LIST | --classes-file FILE | --caption TEXT) [OPTION...]",
		.description =
			"Finds in each image what the words name. IMAGE is a file, a folder, or - for paths on standard input.\n"
			"Without --json prints a table. Exit status: 0 all good, 1 an image failed, 2 usage or model error.",
		.options = options,
		.epilogue =
			"examples:\n"
			"  glip ground -m glip-t.gguf street.jpg --classes \"car, bicycle, traffic light\" --draw out.jpg\n"
			"  glip ground -m glip-t.gguf yard.jpg --caption \"a raccoon next to the wooden fence\"\n"
			"  glip ground -m glip-t.gguf photos/ --classes-file lvis.txt --chunk 40 --json boxes.jsonl --resume",
	};
	return options_parse(&line, argc, argv, &g->images);
}

static bool check_settings(const struct ground_settings *g)
{
	int texts = (g->caption != NULL) + (g->classes != NULL || g->classes_file != NULL);
	const char *fault = NULL;
	if (g->images.count == 0)
		fault = "no image given";
	else if (texts == 0)
		fault = "nothing to look for: give --classes, --classes-file or --caption";
	else if (texts == 2)
		fault = "--caption and --classes exclude each other";
	else if (g->caption == NULL && (g->phrases.count != 0 || g->spans.count != 0 || g->whole_caption || g->merge))
		fault = "--phrase, --span, --whole and --merge need --caption";
	else if (g->whole_caption && (g->phrases.count != 0 || g->spans.count != 0))
		fault = "--whole excludes --phrase and --span";
	else if (g->caption != NULL && (g->negatives != NULL || g->label_thresholds.count != 0 || g->prefix != NULL ||
	                                g->suffix != NULL || g->separator != NULL || g->demo_style || g->chunk != 0))
		fault =
			"--negatives, --label-threshold, --prefix, --suffix, --separator, --demo-style and --chunk need a class "
			"list";
	else if (g->resume && (g->json == NULL || strcmp(g->json, "-") == 0 || g->format != FORMAT_JSONL))
		fault = "--resume needs --json FILE in the format jsonl";
	else if (g->format == FORMAT_COCO && g->json == NULL)
		fault = "--format coco needs --json FILE (or -)";
	else if (g->categories != NULL && g->format != FORMAT_COCO)
		fault = "--categories needs --format coco";
	if (fault != NULL)
		say("%s; see glip ground --help", fault);
	return fault == NULL;
}

static bool parse_shard(struct run *r)
{
	r->shards = 1;
	const char *text = r->settings.shard;
	if (text == NULL)
		return true;
	char *end;
	long i = strtol(text, &end, 10), n = 0;
	if (*end == '/')
		n = strtol(end + 1, &end, 10);
	if (*end != '\0' || i < 1 || n < i || n > 1000000) {
		say("--shard: '%s' is not I/N with 1 <= I <= N", text);
		return false;
	}
	r->shard = (size_t)i - 1;
	r->shards = (size_t)n;
	return true;
}

/* ---- Start and end ----------------------------------------------------------------------------------------------- */

static void log_message(void *user, enum glip_log_level level, const char *message)
{
	const struct ground_settings *g = user;
	if (level == GLIP_LOG_ERROR || (level == GLIP_LOG_WARNING && !g->quiet) || g->verbose)
		say("%s", message);
}

static int on_progress(void *user, float fraction)
{
	(void)user;
	(void)fraction;
	return interrupted();
}

/* The model that is installed with the program, or lies in the source tree beside the build; NULL where there is none.
 *  */
static const char *bundled_model(char *path, size_t size)
{
	static const char *const places[] = {"../share/glip/glip-demo.gguf", "../weights/glip-demo.gguf",
	                                     "../../weights/glip-demo.gguf"};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n <= 0)
		return NULL;
	self[n] = '\0';
	char *slash = strrchr(self, '/');
	if (slash == NULL)
		return NULL;
	slash[1] = '\0';
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		int length = snprintf(path, size, "%s%s", self, places[i]);
		if (length > 0 && (size_t)length < size && access(path, R_OK) == 0)
			return path;
	}
	return NULL;
}

static bool open_model(struct run *r)
{
	struct ground_settings *g = &r->settings;
	char path[4200];
	const char *file = g->model;
	if (file == NULL) {
		file = bundled_model(path, sizeof path);
		if (file == NULL) {
			say("no model: give -m FILE (glip convert makes one from a checkpoint)");
			return false;
		}
		if (!g->quiet)
			say("no -m given: using the bundled demo model, which knows drawn shapes and emoji; photos need the "
			    "official weights");
	}
	struct glip_model_options mo;
	glip_model_options_init(&mo);
	mo.log = log_message;
	mo.log_user = g;
	mo.no_mmap = g->no_mmap;
	struct glip_session_options so;
	glip_session_options_init(&so);
	so.threads = g->threads;
	so.gemm = (enum glip_gemm)g->gemm;
	so.compute = (enum glip_compute)g->compute;
	so.progress = on_progress;
	if (g->dump != NULL) {
		r->dump.folder = g->dump;
		so.observer = dump_activation;
		so.observer_user = &r->dump;
	}
	struct glip_error err;
	double t = now_seconds();
	if (glip_model_load(file, &mo, &r->model, &err) != GLIP_OK ||
	    glip_session_create(r->model, &so, &r->session, &err) != GLIP_OK) {
		say("%s", err.message);
		return false;
	}
	struct glip_model_info info = {.struct_size = sizeof info};
	if (g->verbose && glip_model_get_info(r->model, &info) == GLIP_OK)
		say("%s: %s, %.1f million weights, opened in %.1f ms", file, info.variant, 1e-6 * (double)info.parameters,
		    1e3 * (now_seconds() - t));
	return true;
}

static bool make_folder(const char *path, const char *option)
{
	struct stat st;
	if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return true;
	say("%s: cannot create the folder %s: %s", option, path, strerror(errno));
	return false;
}

static bool ends_with(const char *text, const char *ending)
{
	size_t n = strlen(text), m = strlen(ending);
	return n >= m && strcmp(text + n - m, ending) == 0;
}

static bool is_picture_name(const char *path)
{
	return ends_with(path, ".png") || ends_with(path, ".jpg") || ends_with(path, ".jpeg") || ends_with(path, ".PNG") ||
	       ends_with(path, ".JPG") || ends_with(path, ".JPEG");
}

static bool open_places(struct run *r)
{
	const struct ground_settings *g = &r->settings;
	struct stat st;
	if (g->draw != NULL) {
		bool folder = ends_with(g->draw, "/") || (stat(g->draw, &st) == 0 && S_ISDIR(st.st_mode));
		if (!folder && r->inputs.count > 1 && is_picture_name(g->draw)) {
			say("--draw: %s is one picture, but there are %zu images: name a folder", g->draw, r->inputs.count);
			return false;
		}
		r->draw_into_folder = folder || r->inputs.count > 1;
		if (r->draw_into_folder ? !make_folder(g->draw, "--draw") : !is_picture_name(g->draw)) {
			if (!r->draw_into_folder)
				say("--draw: %s: the name must end in .png or .jpg", g->draw);
			return false;
		}
	}
	if (g->dump != NULL) {
		if (r->inputs.count > 1) {
			say("--dump takes one image, %zu are given", r->inputs.count);
			return false;
		}
		return make_folder(g->dump, "--dump");
	}
	return true;
}

static void close_run(struct run *r)
{
	glip_prompt_free(r->prompt);
	glip_session_free(r->session);
	glip_model_free(r->model);
	inputs_free(&r->inputs);
	struct ground_settings *g = &r->settings;
	text_list_free(&g->images);
	text_list_free(&g->phrases);
	text_list_free(&g->spans);
	text_list_free(&g->label_thresholds);
}

/* ---- Images ------------------------------------------------------------------------------------------------------ */

/* The name of an image's drawing in a folder: *stem characters of the result, then *ending. */
static const char *drawing_name(const char *image, int *stem, const char **ending)
{
	const char *name = base_name(image), *dot = strrchr(name, '.');
	*ending = is_picture_name(name) ? dot : ".png";
	*stem = dot != NULL ? (int)(dot - name) : (int)strlen(name);
	return name;
}

/* Where the drawing of an image goes; NULL when out of memory. The caller frees it. */
static char *draw_path(const struct run *r, const char *image)
{
	const char *draw = r->settings.draw, *ending;
	int stem;
	if (!r->draw_into_folder)
		return strdup(draw);
	const char *name = drawing_name(image, &stem, &ending);
	/* Images of one name from different folders, or of different kinds, must not overwrite each other's. */
	size_t earlier = 0;
	for (size_t i = 0; i < r->inputs.count && r->inputs.paths[i] != image; i++) {
		const char *its_ending;
		int its_stem;
		const char *its = drawing_name(r->inputs.paths[i], &its_stem, &its_ending);
		earlier += its_stem == stem && memcmp(its, name, (size_t)stem) == 0 && strcmp(its_ending, ending) == 0;
	}
	size_t size = strlen(draw) + strlen(name) + 40;
	char *path = malloc(size);
	if (path != NULL && earlier == 0)
		snprintf(path, size, "%s/%.*s%s", draw, stem, name, ending);
	else if (path != NULL)
		snprintf(path, size, "%s/%.*s-%zu%s", draw, stem, name, earlier + 1, ending);
	return path;
}

static bool draw(const struct run *r, const char *image_path, const struct glip_image *image,
                 const struct glip_result *result)
{
	size_t count = glip_result_count(result);
	struct glip_draw_box *boxes = calloc(count + 1, sizeof *boxes);
	char *path = draw_path(r, image_path);
	struct text_list texts = {0};
	bool ok = boxes != NULL && path != NULL;
	/* The best box is drawn last, on top. */
	for (size_t i = 0; ok && i < count; i++) {
		const struct glip_detection *d = glip_result_detection(result, count - 1 - i);
		const char *label = glip_prompt_label(r->prompt, d->label)->text;
		size_t size = strlen(label) + 16;
		char *text = malloc(size);
		ok = text != NULL && text_list_add(&texts, text);
		if (!ok) {
			free(text);
			break;
		}
		snprintf(text, size, "%s %.2f", label, (double)d->score);
		boxes[i] = (struct glip_draw_box){.color = d->label, .text = text};
		memcpy(boxes[i].box, d->box, sizeof d->box);
	}
	struct glip_error err = {GLIP_ERR_NOMEM, "out of memory for the drawing"};
	if (ok && same_file(path, image_path)) {
		ok = false;
		snprintf(err.message, sizeof err.message, "not drawn: the drawing would overwrite the image");
	}
	if (ok)
		ok = glip_draw(image, boxes, count, path, NULL, &err) == GLIP_OK;
	if (!ok)
		say("%s: %s", image_path, err.message);
	else if (r->settings.verbose)
		say("%s: drawn to %s", image_path, path);
	for (size_t i = 0; i < texts.count; i++)
		free((void *)(uintptr_t)texts.items[i]);
	text_list_free(&texts);
	free(boxes);
	free(path);
	return ok;
}

enum image_outcome { IMAGE_GOOD, IMAGE_FAILED, IMAGE_STOP };

static enum image_outcome do_image(struct run *r, size_t index)
{
	const char *path = r->inputs.paths[index];
	struct glip_image image = {0};
	struct glip_result *result = NULL;
	struct glip_error err;
	enum image_outcome outcome = IMAGE_GOOD;
	enum glip_status status = glip_image_load(path, NULL, &image, &err);
	bool loaded = status == GLIP_OK;
	if (loaded)
		status = glip_ground(r->session, &image, r->prompt, &r->options, &result, &err);
	if (status != GLIP_OK) {
		/* What loading says begins with the path already. */
		if (status != GLIP_ERR_CANCELLED)
			say("%s%s%s", loaded ? path : "", loaded ? ": " : "", err.message);
		outcome = status == GLIP_ERR_CANCELLED ? IMAGE_STOP : IMAGE_FAILED;
	} else {
		if (!output_write(&r->output, path, index, &image, result))
			outcome = IMAGE_STOP; /* a full disk would fail every other image too */
		else if (r->settings.draw != NULL && !draw(r, path, &image, result))
			outcome = IMAGE_FAILED;
		if (r->dump.failed)
			outcome = IMAGE_FAILED;
		const struct glip_timing *t = glip_result_timing(result);
		if (r->settings.verbose)
			say("%s: preprocess %.1f, backbone %.1f, text %.1f, head %.1f, boxes %.1f, total %.1f ms", path,
			    t->preprocess_ms, t->backbone_ms, t->text_ms, t->head_ms, t->boxes_ms, t->total_ms);
	}
	glip_result_free(result);
	glip_image_free(&image);
	return outcome;
}

/* *complete: every image was tried. */
static int do_images(struct run *r, bool *complete)
{
	struct progress bar;
	size_t failed = 0, skipped = 0, images = 0, done = 0;
	bool stopped = false;
	for (size_t i = r->shard; i < r->inputs.count; i += r->shards)
		images++;
	progress_start(&bar, "images", images, images > 1 && !r->settings.quiet);
	for (size_t i = r->shard; i < r->inputs.count && !stopped; i += r->shards) {
		if (output_take_done(&r->output, r->inputs.paths[i])) {
			skipped++;
		} else {
			enum image_outcome outcome = do_image(r, i);
			failed += outcome == IMAGE_FAILED;
			stopped = outcome == IMAGE_STOP || interrupted();
		}
		progress_update(&bar, ++done);
	}
	progress_end(&bar);
	if (skipped != 0 && !r->settings.quiet)
		say("%zu of %zu images were done before", skipped, images);
	if (failed != 0 && images > 1)
		say("%zu of %zu images failed", failed, images);
	if (stopped)
		say("stopped after %zu of %zu images", done - 1, images);
	*complete = !stopped;
	return failed != 0 || stopped ? EXIT_SOME_FAILED : EXIT_GOOD;
}

static int run_ground(struct run *r)
{
	struct ground_settings *g = &r->settings;
	if (!check_settings(g) || !parse_shard(r) || !open_model(r))
		return EXIT_USAGE;
	r->prompt = ground_prompt(g, r->session);
	if (r->prompt == NULL || !inputs_expand(&r->inputs, g->images.items, g->images.count) || !open_places(r))
		return EXIT_USAGE;
	if (r->inputs.count == 0) {
		say("no image to work on");
		return EXIT_USAGE;
	}
	r->options.threshold = g->threshold;
	r->options.nms = g->nms;
	r->options.short_side = g->short_side;
	r->options.long_side = g->long_side;
	r->options.max_detections = g->max_detections;
	if (!output_open(&r->output, g, r->prompt, &r->inputs))
		return EXIT_USAGE;
	bool complete;
	int status = do_images(r, &complete);
	return output_close(&r->output, complete) ? status : EXIT_SOME_FAILED;
}

int cmd_ground(int argc, char **argv)
{
	struct run r = {0};
	glip_ground_options_init(&r.options);
	struct ground_settings *g = &r.settings;
	g->threshold = r.options.threshold;
	g->nms = r.options.nms;
	g->short_side = r.options.short_side;
	g->long_side = r.options.long_side;
	g->max_detections = r.options.max_detections;
	enum parse_result parsed = parse(g, argc, argv);
	int status = parsed == PARSE_HELP ? EXIT_GOOD : EXIT_USAGE;
	if (parsed == PARSE_OK) {
		interrupt_catch();
		status = run_ground(&r);
	}
	close_run(&r);
	return status;
}
