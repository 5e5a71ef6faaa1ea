/* The bundled model on the scenes of examples/scenes, through the public API: every object that is named is found where
 * the generator put it, and nothing else (tools/train/examples.py draws the scenes and writes what is in them). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "glip.h"

enum { MAX_BOXES = 32, MAX_CLASSES = 32, MAX_LINE = 512 };

struct expected {
	char label[MAX_LINE];
	float box[4];
};

struct scene {
	char words[MAX_LINE]; /* after "classes: " or "caption: " */
	int is_caption;
	struct expected boxes[MAX_BOXES];
	size_t count;
};

static struct glip_model *model;

static void read_scene(const char *name, struct scene *s)
{
	char path[128], line[MAX_LINE];
	snprintf(path, sizeof path, "examples/scenes/%s.txt", name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	memset(s, 0, sizeof *s);
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "box: ", 5) == 0) {
			assert_true(s->count < MAX_BOXES);
			struct expected *e = &s->boxes[s->count++];
			char *number = line + strlen(line);
			for (int i = 3; i >= 0; i--) {
				while (*--number != ' ')
					;
				e->box[i] = strtof(number, NULL);
				*number = '\0';
			}
			snprintf(e->label, sizeof e->label, "%s", line + 5);
		} else {
			s->is_caption = strncmp(line, "caption: ", 9) == 0;
			snprintf(s->words, sizeof s->words, "%s", line + 9);
		}
	}
	fclose(f);
	assert_true(s->count > 0);
}

/* Boxes count their last pixel. */
static float overlap(const float a[4], const float b[4])
{
	float w = (a[2] < b[2] ? a[2] : b[2]) - (a[0] > b[0] ? a[0] : b[0]) + 1;
	float h = (a[3] < b[3] ? a[3] : b[3]) - (a[1] > b[1] ? a[1] : b[1]) + 1;
	if (w <= 0 || h <= 0)
		return 0;
	return w * h / ((a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1) - w * h);
}

static struct glip_prompt *make_prompt(struct glip_session *session, struct scene *s)
{
	struct glip_prompt *prompt = NULL;
	struct glip_error err;
	enum glip_status status;
	if (s->is_caption) {
		status = glip_prompt_caption(session, s->words, NULL, &prompt, &err);
	} else {
		const char *names[MAX_CLASSES];
		size_t count = 0;
		for (char *name = s->words; name; count++) {
			assert_true(count < MAX_CLASSES);
			names[count] = name;
			name = strstr(name, ", ");
			if (name) {
				*name = '\0';
				name += 2;
			}
		}
		status = glip_prompt_classes(session, names, count, NULL, &prompt, &err);
	}
	if (status != GLIP_OK)
		fail_msg("%s", err.message);
	return prompt;
}

/* How many of the scene's boxes with this label the box lies on. */
static size_t hits(const struct scene *s, const char *label, const float box[4])
{
	size_t n = 0;
	for (size_t i = 0; i < s->count; i++)
		n += strcmp(s->boxes[i].label, label) == 0 && overlap(s->boxes[i].box, box) >= 0.5F;
	return n;
}

static void check_scene(const char *name)
{
	char path[128];
	struct scene s;
	struct glip_image image;
	struct glip_session *session;
	struct glip_result *result;
	read_scene(name, &s);
	snprintf(path, sizeof path, "examples/scenes/%s.png", name);
	assert_int_equal(glip_image_load(path, NULL, &image, NULL), GLIP_OK);
	assert_int_equal(glip_session_create(model, NULL, &session, NULL), GLIP_OK);
	struct glip_prompt *prompt = make_prompt(session, &s);
	assert_int_equal(glip_ground(session, &image, prompt, NULL, &result, NULL), GLIP_OK);
	for (size_t i = 0; i < glip_result_count(result); i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		const char *label = glip_prompt_label(prompt, d->label)->text;
		if (hits(&s, label, d->box) == 0)
			fail_msg("%s: no %s at %.0f %.0f %.0f %.0f", name, label, (double)d->box[0], (double)d->box[1],
			         (double)d->box[2], (double)d->box[3]);
	}
	for (size_t i = 0; i < s.count; i++) {
		size_t found = 0;
		for (size_t k = 0; k < glip_result_count(result); k++) {
			const struct glip_detection *d = glip_result_detection(result, k);
			found += strcmp(glip_prompt_label(prompt, d->label)->text, s.boxes[i].label) == 0 &&
			         overlap(d->box, s.boxes[i].box) >= 0.5F;
		}
		if (found != 1)
			fail_msg("%s: %zu boxes on the %s", name, found, s.boxes[i].label);
	}
	glip_result_free(result);
	glip_prompt_free(prompt);
	glip_session_free(session);
	glip_image_free(&image);
}

#define SCENE_TEST(name) \
	static void finds_all_of_##name(void **state) \
	{ \
		(void)state; \
		check_scene(#name); \
	}

SCENE_TEST(things)
SCENE_TEST(sentence)
SCENE_TEST(relation)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_all_of_things),
		cmocka_unit_test(finds_all_of_sentence),
		cmocka_unit_test(finds_all_of_relation),
	};
	if (glip_model_load("weights/glip-demo.gguf", NULL, &model, NULL) != GLIP_OK)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip_model_free(model);
	return failed;
}
