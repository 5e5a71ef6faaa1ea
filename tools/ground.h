/* The parts of `glip ground`: settings from the command line, the prompt, outputs. */
#ifndef GLIP_TOOLS_GROUND_H
#define GLIP_TOOLS_GROUND_H

#include <stdio.h>

#include "glip.h"
#include "inputs.h"
#include "json_out.h"
#include "command_line.h"

enum output_format { FORMAT_JSONL, FORMAT_COCO };

struct ground_settings {
	const char *model, *classes, *classes_file, *caption, *negatives;
	struct text_list phrases, spans, label_thresholds;
	const char *separator, *prefix, *suffix;
	bool demo_style, merge, whole_caption;
	int chunk, score_mode;
	float threshold, nms;
	int short_side, long_side, max_detections, threads, gemm, compute;
	const char *json, *draw, *dump, *categories, *shard;
	int format;
	bool resume, no_mmap, quiet, verbose;
	struct text_list images;
};

/* ---- ground_prompt.c ---- */

/* The prompt the settings ask for; NULL after a message. Warnings go to stderr. */
struct glip_prompt *ground_prompt(const struct ground_settings *g, struct glip_session *session);

/* The whole caption, chunks joined, and how far each chunk's spans are shifted in it. */
struct full_caption {
	char *text;
	int *shift; /* [chunks] code points */
};
bool full_caption_make(const struct ground_settings *g, const struct glip_prompt *prompt, struct full_caption *out);
void full_caption_free(struct full_caption *c);

/* ---- ground_output.c ---- */

/* An image that an earlier run has done, and whether an image of this run has claimed it. */
struct done_image {
	char *image;
	bool taken;
};

struct output {
	const struct ground_settings *settings;
	const struct glip_prompt *prompt;
	struct full_caption caption;
	FILE *stream; /* NULL: a table on stdout */
	char *part;   /* "FILE.part", where lines are collected; NULL: stdout */
	struct json_out line, categories;
	uint64_t written;            /* COCO: results so far */
	struct json_out prompt_text; /* caption and labels, the same in every line */
	bool ids_from_names;         /* COCO: image ids are the numbers in their names */
	bool broken;                 /* a write failed */
	struct done_image *done;     /* what the output already holds (--resume), sorted */
	size_t done_count;
};

/* inputs: all images of the run, of every shard. */
bool output_open(struct output *o, const struct ground_settings *g, const struct glip_prompt *prompt,
                 const struct input_list *inputs);
/* Whether the output already holds this image; each line it holds counts for one. */
bool output_take_done(struct output *o, const char *path);
/* One image's result; index counts all images from 0. */
bool output_write(struct output *o, const char *path, size_t index, const struct glip_image *image,
                  const struct glip_result *result);
/* Ends the output and moves it to its name; an incomplete one stays in FILE.part. False after a message. */
bool output_close(struct output *o, bool complete);

/* ---- ground_dump.c ---- */

struct dump {
	const char *folder;
	bool failed;
};

/* A glip_observer_fn with a struct dump: DIR/NAME.npy, float32. */
void dump_activation(void *user, const char *name, const float *data, const int64_t *shape, int ndim);

#endif
