#if defined(__linux__)
#define _GNU_SOURCE /* memfd_create */
#endif
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/rule_weights.h"
#include "support/tiny_model.h"
#include "targets.h"

const struct fuzz_entry fuzz_entries[] = {
	{"gguf", fuzz_gguf},     {"model", fuzz_model},     {"checkpoint", fuzz_checkpoint}, {"convert", fuzz_convert},
	{"pickle", fuzz_pickle}, {"json", fuzz_json},       {"image", fuzz_image},           {"wordpiece", fuzz_wordpiece},
	{"tagger", fuzz_tagger}, {"phrases", fuzz_phrases}, {"ground", fuzz_ground},         {NULL, NULL},
};

enum { HEAD = 4096 }; /* in front of each block, so that any alignment holds */

static size_t in_use;

static void *limited_alloc(void *user, size_t size, size_t align)
{
	void *base;

	(void)user;
	if (size > MEMORY_LIMIT || in_use > MEMORY_LIMIT - size)
		return NULL;
	size_t head = align > 64 ? align : 64;
	if (head > HEAD || posix_memalign(&base, head, head + size) != 0)
		return NULL;
	char *block = (char *)base + head;
	memcpy(block - 16, &head, sizeof head);
	memcpy(block - 8, &size, sizeof size);
	in_use += size;
	return block;
}

static void limited_free(void *user, void *pointer)
{
	size_t head, size;

	(void)user;
	if (pointer == NULL)
		return;
	memcpy(&head, (char *)pointer - 16, sizeof head);
	memcpy(&size, (char *)pointer - 8, sizeof size);
	in_use -= size;
	free((char *)pointer - head);
}

const struct glip_allocator fuzz_allocator = {limited_alloc, limited_free, NULL};

void fuzz_check_freed(void)
{
	if (in_use != 0) {
		fprintf(stderr, "%zu bytes leak\n", in_use);
		abort();
	}
}

void fuzz_check_status(enum glip_status status, const struct glip_error *err)
{
	if (status != GLIP_OK && (err->message[0] == '\0' || err->code != status)) {
		fprintf(stderr, "status %d without a message\n", (int)status);
		abort();
	}
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[32];

	if (fd < 0) {
		fd = memfd_create("input", MFD_CLOEXEC);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	if (fd < 0 || ftruncate(fd, 0) != 0 || (size > 0 && pwrite(fd, data, size, 0) != (ssize_t)size))
		abort();
	return path;
}

char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = glip__malloc(&fuzz_allocator, size + 1, 1);

	if (text == NULL)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Anew for every input: a model keeps packed weights, some not before an input asks for them. */
struct glip_model *fuzz_tiny_model(void)
{
	static int fd = -1;
	struct glip_model *model;
	struct glip_model_options o;
	struct glip_error err;
	char path[32] = "/tmp/glip-fuzz-XXXXXX";

	if (fd < 0) {
		fd = mkstemp(path);
		if (fd < 0 || !tiny_model_write_path(path))
			abort();
		close(fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		unlink(path);
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	glip_model_options_init(&o);
	o.allocator = &fuzz_allocator;
	if (glip_model_load(path, &o, &model, &err) != GLIP_OK) {
		fprintf(stderr, "%s\n", err.message);
		abort();
	}
	return model;
}

static enum glip_status make_prompt(struct glip_session *session, const char *text, unsigned choices,
                                    struct glip_prompt **out, struct glip_error *err)
{
	struct glip_prompt_options o;
	struct glip_span spans[2] = {{(int)(choices >> 4 & 15), (int)(choices >> 8 & 15)}, {0, (int)(choices >> 12 & 15)}};
	struct glip_label label = {.spans = spans, .span_count = (choices >> 3 & 3) % 3};
	const char *names[3] = {text, "cat", text + strlen(text) / 2};
	struct glip_class class = {.names = names, .name_count = choices >> 4 & 3, .prefix = choices & 64 ? text : NULL};

	glip_prompt_options_init(&o);
	o.merge_phrases = choices >> 8 & 1;
	o.classes_per_pass = (int)(choices >> 9 & 1);
	o.trailing_separator = choices >> 10 & 1;
	switch (choices & 3) {
	case 0: return glip_prompt_caption(session, text, &o, out, err);
	case 1: return glip_prompt_classes(session, names, 1 + (choices >> 4) % 3, &o, out, err);
	case 2: return glip_prompt_class_list(session, &class, 1, &o, out, err);
	default: return glip_prompt_labels(session, text, &label, choices >> 2 & 1, &o, out, err);
	}
}

void fuzz_ground_text(struct glip_model *model, const char *text, unsigned choices, int width, int height)
{
	struct glip_session_options session_options;
	struct glip_ground_options o = tiny_ground_options();
	struct glip_session *session;
	struct glip_prompt *prompt = NULL;
	struct glip_result *result = NULL;
	struct glip_error err = {0};
	uint8_t *pixels = glip__calloc(&fuzz_allocator, (size_t)width * (size_t)height, 3);
	struct glip_image image = {.pixels = pixels, .width = width, .height = height};

	if (pixels == NULL)
		abort();
	for (int i = 0; i < width * height * 3; i++)
		pixels[i] = (uint8_t)(i * i / 7);
	glip_session_options_init(&session_options);
	session_options.threads = 1;
	o.short_side = 1 + (int)(choices >> 16 & 63);
	o.long_side = 96;
	enum glip_status status = glip_session_create(model, &session_options, &session, &err);
	fuzz_check_status(status, &err);
	if (status == GLIP_OK)
		status = make_prompt(session, text, choices, &prompt, &err);
	fuzz_check_status(status, &err);
	if (status == GLIP_OK)
		status = glip_ground(session, &image, prompt, &o, &result, &err);
	fuzz_check_status(status, &err);
	for (size_t i = 0; i < glip_result_count(result); i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		/* What a caller does with it without a second look. */
		if (d->label >= glip_prompt_label_count(prompt) || !(d->score >= 0 && d->score <= 1) || !(d->box[0] >= 0) ||
		    !(d->box[1] >= 0) || !(d->box[2] <= (float)width) || !(d->box[3] <= (float)height)) {
			fprintf(stderr, "detection %zu: label %zu, score %g, box %g %g %g %g\n", i, d->label, (double)d->score,
			        (double)d->box[0], (double)d->box[1], (double)d->box[2], (double)d->box[3]);
			abort();
		}
	}
	glip_result_free(result);
	glip_prompt_free(prompt);
	glip_session_free(session);
	glip__free(&fuzz_allocator, pixels);
}
