/* Model files one bit or one byte away from a good one: a status and a message, or a model that grounds; within a
 * second and 256 MB. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/damage.h"
#include "support/json.h"
#include "support/tiny_model.h"
#include "tensor/weights.h"

struct world {
	struct scratch_file file;
	struct damage damage;
	struct glip_model_options options;
	uint8_t *good;
	size_t size, header, end; /* bytes of the file, those before the data of the tensors, where these end */
	uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3];
};

/* A model that was loaded takes a picture and a caption, whatever comes of it. */
static void try_model(struct world *w, struct glip_model *model)
{
	struct glip_session_options o;
	struct glip_ground_options ground = tiny_ground_options();
	struct glip_image image = tiny_image(w->pixels);
	struct glip_session *session;
	struct glip_prompt *prompt;
	struct glip_result *result;
	struct glip_error err = {0};

	glip_session_options_init(&o);
	o.threads = 1;
	ground.short_side = 32;
	assert_int_equal(glip_session_create(model, &o, &session, &err), GLIP_OK);
	enum glip_status status = glip_prompt_caption(session, "the red cat", NULL, &prompt, &err);
	if (status == GLIP_OK)
		status = glip_ground(session, &image, prompt, &ground, &result, &err);
	if (status != GLIP_OK)
		assert_true(err.message[0] != '\0');
	else
		glip_result_free(result);
	glip_prompt_free(prompt);
	glip_session_free(session);
}

/* What the file holds now. */
static enum glip_status load(struct world *w, const char *what, size_t at, bool use, struct glip_error *err)
{
	struct glip_model *model;

	*err = (struct glip_error){0};
	damage_begin(&w->damage);
	enum glip_status status = glip_model_load(w->file.path, &w->options, &model, err);
	if (status != GLIP_OK && (model != NULL || strstr(err->message, w->file.path) == NULL))
		fail_msg("%s %zu: %d, %s", what, at, (int)status, err->message);
	if (status == GLIP_OK && use)
		try_model(w, model);
	glip_model_free(model);
	damage_end(&w->damage, status, err->message, what, at);
	return status;
}

static void test_truncated(void **state)
{
	struct world *w = *state;
	struct glip_error err;
	int fd = open(w->file.path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	/* Within the data every length is the same to the reader: the tensor that it cuts is named. */
	for (size_t n = w->size - 1; n > 0; n -= n > w->header + 997 ? 997 : n < damage_step() ? n : damage_step()) {
		assert_int_equal(ftruncate(fd, (off_t)n), 0);
		/* Behind the last tensor there is only padding. */
		if (load(w, "length", n, false, &err) == GLIP_OK && n < w->end)
			fail_msg("%zu of %zu bytes are enough", n, w->size);
	}
	close(fd);
	damage_summary(&w->damage, "truncations", 0);
}

static void test_bit_flips(void **state)
{
	struct world *w = *state;
	struct glip_error err;
	int fd = open(w->file.path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t bit = 0; bit < w->header * 8; bit += damage_step()) {
		uint8_t byte = (uint8_t)(w->good[bit / 8] ^ 1u << bit % 8);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
		/* Those that still load differ in a name or a word: one in 16 is tried. */
		(void)load(w, "bit", bit, bit % 16 == 5, &err);
		assert_int_equal(pwrite(fd, &w->good[bit / 8], 1, (off_t)(bit / 8)), 1);
	}
	close(fd);
	assert_true(w->damage.refused > w->damage.accepted);
	damage_summary(&w->damage, "bit flips", 0);
}

/* Where the value of a key stands: an integer of 4 bytes, of an array the first one; a truth value. */
static size_t find_value(const struct world *w, const char *key)
{
	size_t length = strlen(key);

	for (size_t at = 24; at + length + 20 < w->header; at++)
		if (w->good[at - 8] == length && memcmp(w->good + at, key, length) == 0)
			return at + length + (w->good[at + length] == 9 ? 16 : 4);
	fail_msg("there is no key %s", key);
	return 0;
}

/* Metadata that contradict the tensors, number by number, one more and one less: both are named. */
static void test_contradictions(void **state)
{
	static const struct {
		const char *key, *says, *names;
		size_t index; /* in an array */
	} cases[] = {
		{"glip.swin.embed_dim", "glip.swin.embed_dim", "tensor swin.patch.weight is 4x48", 0},
		{"glip.swin.window", "glip.swin.window", "tensor swin.0.0.attn.bias_table has 25 values", 0},
		{"glip.swin.depths", "glip.swin.depths[0]", "tensor swin.0.", 0},
		{"glip.swin.depths", "glip.swin.depths[1]", "tensor swin.1.", 1},
		{"glip.swin.depths", "glip.swin.depths[2]", "tensor swin.2.", 2},
		{"glip.swin.depths", "glip.swin.depths[3]", "tensor swin.3.", 3},
		{"glip.swin.heads", "glip.swin.heads[0]", "tensor swin.0.0.attn.bias_table has 25 values", 0},
		{"glip.swin.heads", "glip.swin.heads[1]", "tensor swin.1.0.attn.bias_table has 50 values", 1},
		{"glip.swin.heads", "glip.swin.heads[2]", "tensor swin.2.0.attn.bias_table has 50 values", 2},
		{"glip.swin.heads", "glip.swin.heads[3]", "tensor swin.3.0.attn.bias_table has 100 values", 3},
		{"glip.bert.vocab", "glip.bert.vocab", "tensor bert.embed.word.weight is 24x8", 0},
		{"glip.bert.hidden", "glip.bert.hidden", "tensor bert.embed.word.weight is 24x8", 0},
		{"glip.bert.layers", "glip.bert.layers", "tensor bert.1.attn.query.weight", 0},
		{"glip.bert.intermediate", "glip.bert.intermediate", "tensor bert.0.mlp.up.weight is 16x8", 0},
		{"glip.head.channels", "glip.head.channels", "tensor fpn.lateral.p3.weight is 8x8", 0},
		{"glip.head.layers", "glip.head.layers", "tensor head.1.dyconv.attn.weight", 0},
		{"glip.head.fusion_dim", "glip.head.fusion_dim", "tensor head.0.fuse.v_proj.weight is 16x8", 0},
		{"glip.head.fusion", "glip.head.fusion", "tensor head.0.fuse.v_proj.weight", 0},
		{"glip.bert.heads", "bert.0: 3 heads", "width of 8", 0},
		{"glip.head.fusion_heads", "head.0.fuse: a width of 16", "into 9 heads", 0},
		{"glip.head.groups", "head.0.dyconv: 8 channels", "into 3 groups", 0},
	};
	struct world *w = *state;
	struct glip_error err;
	int fd = open(w->file.path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int change = -1; change <= 1; change += 2) {
			size_t at = find_value(w, cases[i].key) + 4 * cases[i].index;
			uint8_t byte = (uint8_t)(w->good[at] + change);
			/* One layer, block or head is the least, and there is nothing truer than true; one head less would fit. */
			bool fits = change < 0 ? w->good[at] == 1 && strstr(cases[i].key, "fusion") == NULL
			                       : strcmp(cases[i].key, "glip.head.fusion") == 0;
			if (fits || (cases[i].names[0] != 't' && change < 0))
				continue;
			assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
			enum glip_status status = load(w, cases[i].says, i, false, &err);
			assert_int_equal(pwrite(fd, &w->good[at], 1, (off_t)at), 1);
			if (status != GLIP_ERR_MODEL || strstr(err.message, cases[i].says) == NULL ||
			    strstr(err.message, cases[i].names) == NULL)
				fail_msg("%s %+d: %d, %s", cases[i].says, change, (int)status, err.message);
		}
	close(fd);
	damage_summary(&w->damage, "contradictions", 25);
}

/* Weights that are no numbers, or huge, do no harm either. */
static void test_wild_weights(void **state)
{
	struct world *w = *state;
	struct glip_error err;
	int fd = open(w->file.path, O_RDWR | O_CLOEXEC);
	uint8_t *data = malloc(w->size - w->header);

	assert_true(fd >= 0 && data != NULL);
	for (int kind = 0; kind < 4; kind++) {
		static const uint8_t fill[4][4] = {
			{0, 0, 0xC0, 0x7F}, {0, 0, 0x80, 0x7F}, {0xFF, 0xFF, 0x7F, 0xFF}, {0, 0, 0, 0}};
		for (size_t i = 0; i < w->size - w->header; i++)
			data[i] = fill[kind][i % 4];
		assert_int_equal(pwrite(fd, data, w->size - w->header, (off_t)w->header), w->size - w->header);
		assert_int_equal(load(w, "fill", (size_t)kind, true, &err), GLIP_OK);
	}
	free(data);
	close(fd);
	damage_summary(&w->damage, "wild weights", 4);
}

/* A file of 8-bit integers with one tensor's entry or one scale changed: refused, and the tensor named. */
static void test_scales(void **state)
{
	enum change { RENAMED, SHORTER, RETYPED, TURNED, TOO_NARROW };
	static const struct {
		const char *tensor, *message;
		enum change change;
		float scale; /* not 0: this in the last row instead of a change */
	} cases[] = {
		{"swin.0.0.attn.qkv.weight.scale", "tensor swin.0.0.attn.qkv.weight.scale is missing", RENAMED, 0},
		{"bert.embed.word.weight.scale", "tensor bert.embed.word.weight.scale is 23, expected 24 values", SHORTER, 0},
		{"bert.0.mlp.up.weight.scale", "tensor bert.0.mlp.up.weight.scale is i32, expected f32", RETYPED, 0},
		{"bert.0.mlp.up.weight", "tensor bert.0.mlp.up.weight is 8x16, expected 16x8", TURNED, 0},
		{"head.box.weight", "tensor head.box.weight is i8, expected f32 or bf16", TOO_NARROW, 0},
		{"swin.patch.weight", "tensor swin.patch.weight is i8, expected f32 or bf16", TOO_NARROW, 0},
		{"fpn.p6.weight.scale", "tensor fpn.p6.weight.scale has a scale of nan in row 7", RENAMED, NAN},
		{"fpn.p6.weight.scale", "tensor fpn.p6.weight.scale has a scale of inf in row 7", RENAMED, INFINITY},
		{"fpn.p6.weight.scale", "tensor fpn.p6.weight.scale has a scale of -0.5 in row 7", RENAMED, -0.5f},
	};
	struct scratch_file file;
	size_t size;

	(void)state;
	scratch_file_new(&file);
	tiny_model_write_i8(&file);
	char *good = test_read_file(file.path, &size);
	assert_non_null(good);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t length = strlen(cases[i].tensor), at = 0;
		struct glip_model *model;
		struct glip_error err = {0};
		char *bad = malloc(size);
		assert_non_null(bad);
		memcpy(bad, good, size);
		/* An entry is the length of the name, the name, the number of dimensions, these innermost first, the type. */
		while (bad[at] != (char)length || memcmp(bad + at + 8, cases[i].tensor, length) != 0)
			assert_true(++at + length + 40 < size);
		char *entry = bad + at + 8 + length;
		int rank = entry[0];
		if (cases[i].scale != 0) {
			struct weights *w;
			int64_t rows;
			assert_int_equal(glip__weights_open(file.path, 0, NULL, &w, NULL), GLIP_OK);
			const struct tensor *t = glip__weights_find(w, cases[i].tensor);
			const struct tensor *first = glip__weights_at(w, 0, NULL);
			assert_true(glip__tensor_count(t, &rows));
			/* Behind the first tensor as far as in the file that was read. */
			size_t data = (size_t)((const char *)t->data - (const char *)first->data);
			for (size_t begin = 64;; begin += 64) {
				assert_true(begin + 64 < size);
				if (memcmp(good + begin, first->data, 64) == 0) {
					memcpy(bad + begin + data + 4 * (size_t)(rows - 1), &cases[i].scale, sizeof cases[i].scale);
					break;
				}
			}
			glip__weights_close(w);
		} else if (cases[i].change == RENAMED) {
			bad[at + 8] = 'X';
		} else if (cases[i].change == SHORTER) {
			entry[4]--;
		} else if (cases[i].change == TURNED) {
			char side = entry[4];
			entry[4] = entry[12];
			entry[12] = side;
		} else {
			entry[4 + 8 * rank] = cases[i].change == RETYPED ? 26 : 24;
		}
		scratch_file_write(&file, bad, size);
		enum glip_status status = glip_model_load(file.path, NULL, &model, &err);
		if (status != GLIP_ERR_MODEL || strstr(err.message, cases[i].message) == NULL)
			fail_msg("%s: %d, %s", cases[i].message, (int)status, err.message);
		free(bad);
		scratch_file_write(&file, good, size);
	}
	free(good);
	scratch_file_remove(&file);
}

/* Where no label reaches the floor there is an empty result. */
static void test_nothing_found(void **state)
{
	struct world *w = *state;
	struct glip_ground_options o = tiny_ground_options();
	struct glip_image image = tiny_image(w->pixels);
	struct glip_model *model;
	struct glip_session *session;
	struct glip_prompt *prompt;
	struct glip_result *result;

	o.score_floor = 1;
	assert_int_equal(glip_model_load(w->file.path, NULL, &model, NULL), GLIP_OK);
	assert_int_equal(glip_session_create(model, NULL, &session, NULL), GLIP_OK);
	assert_int_equal(glip_prompt_caption(session, "a cat", NULL, &prompt, NULL), GLIP_OK);
	assert_int_equal(glip_ground(session, &image, prompt, &o, &result, NULL), GLIP_OK);
	assert_int_equal(glip_result_count(result), 0);
	assert_null(glip_result_detection(result, 0));
	glip_result_free(result);
	glip_prompt_free(prompt);
	glip_session_free(session);
	glip_model_free(model);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct weights *weights;
	const struct tensor *first = NULL;
	const char *name;

	assert_non_null(w);
	*state = w;
	scratch_file_new(&w->file);
	tiny_model_write(&w->file);
	w->good = (uint8_t *)test_read_file(w->file.path, &w->size);
	assert_non_null(w->good);
	assert_int_equal(glip__weights_open(w->file.path, 1, NULL, &weights, NULL), GLIP_OK);
	/* The header ends where the data of the first tensor begin. */
	first = glip__weights_at(weights, 0, &name);
	for (size_t at = 0; at < w->size && w->header == 0; at += 32)
		if (memcmp(w->good + at, first->data, 64) == 0)
			w->header = at;
	assert_true(w->header > 1000);
	const struct tensor *last = glip__weights_at(weights, glip__weights_count(weights) - 1, NULL);
	int64_t count = 0;
	assert_true(glip__tensor_count(last, &count));
	w->end = w->header + (size_t)((const uint8_t *)last->data - (const uint8_t *)first->data) +
	         (size_t)count * glip__dtype_size(last->dtype);
	assert_true(w->end <= w->size);
	glip__weights_close(weights);
	damage_init(&w->damage);
	glip_model_options_init(&w->options);
	w->options.allocator = &w->damage.probe.allocator;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	scratch_file_remove(&w->file);
	free(w->good);
	free(w);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_truncated),    TEST(test_bit_flips),     TEST(test_contradictions),
		TEST(test_wild_weights), TEST(test_nothing_found), cmocka_unit_test(test_scales),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
