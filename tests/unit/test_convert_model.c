/* A whole conversion: a very small model, made here as safetensors, becomes a weights file. */
#include "checkpoint_case.h"
#include "support/alloc_probe.h"
#include "support/json.h"
#include "tensor/weights.h"

/* ---- One conversion ---------------------------------------------------------------------------------------------- */

struct fixture {
	struct scratch_file in, out;
	struct convert_options options;
	struct convert_summary summary;
	struct glip_error err;
	struct buf log;
};

static void on_log(void *user, enum glip_log_level level, const char *message)
{
	struct fixture *f = user;

	glip__buf_printf(&f->log, "%c %s\n", level == GLIP_LOG_ERROR ? 'E' : 'W', message);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	scratch_file_new(&f->in);
	scratch_file_new(&f->out);
	f->log.allocator = &glip__default_allocator;
	f->options = (struct convert_options){.in = f->in.path,
	                                      .out = f->out.path,
	                                      .settings = {tiny_settings, 1},
	                                      .vocab = tiny_vocab,
	                                      .vocab_size = sizeof(tiny_vocab) - 1,
	                                      .vocab_name = "vocab",
	                                      .log = {on_log, f}};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	scratch_file_remove(&f->in);
	scratch_file_remove(&f->out);
	glip__buf_free(&f->log);
	free(f);
	return 0;
}

static enum glip_status convert(struct fixture *f, const struct model_sizes *m, const struct variation *v)
{
	write_checkpoint(&f->in, m, v);
	f->log.length = 0;
	f->err.message[0] = '\0';
	glip__buf_puts(&f->log, "");
	return convert_checkpoint(&f->options, &f->summary, &f->err);
}

static void expect_failure(struct fixture *f, const struct variation *v, enum glip_status status, const char *message,
                           const char *log)
{
	enum glip_status got = convert(f, &tiny, v);

	if (got != status || strstr(f->err.message, message) == NULL || strstr(f->log.data, log) == NULL)
		fail_msg("%d, %s\n%s(expected %d, %s, %s)", got, f->err.message, f->log.data, status, message, log);
	assert_int_equal(scratch_file_leftovers(&f->out), 0);
	assert_null(fopen(f->out.path, "rb"));
}

static struct weights *convert_and_open(struct fixture *f, const struct model_sizes *m, const struct variation *v)
{
	struct weights *w = NULL;

	if (convert(f, m, v) != GLIP_OK || glip__weights_open(f->out.path, 1, NULL, &w, &f->err) != GLIP_OK ||
	    glip__weights_verify(w, &f->err) != GLIP_OK)
		fail_msg("%s\n%s", f->err.message, f->log.data);
	assert_int_equal(scratch_file_leftovers(&f->out), 0);
	return w;
}

/* Element i of the target as it must stand in the weights file. */
static float final_value(const struct target *t, int64_t i)
{
	if (t->transform == TRANSFORM_STACK) {
		char name[128];
		snprintf(name, sizeof(name), "rpn.head.scales.%d.scale", (int)i);
		return value_of(name, 0);
	}
	if (t->transform == TRANSFORM_TAPS) {
		int64_t in = t->shape[1], taps = t->shape[2] * t->shape[3], o = i / (in * taps), tap = i / in % taps,
				c = i % in;
		return value_of(t->source, (o * in + c) * taps + tap);
	}
	return value_of(t->source, i);
}

/* Row by row: whole numbers that reach 127, a scale that gives the largest value, no value more than half of it off. */
static void check_i8(const struct weights *w, const struct target *t, const struct tensor *got)
{
	int64_t rows = t->shape[0], cols = count_of(t) / rows;
	const int8_t *q = got->data;
	char name[80];

	snprintf(name, sizeof(name), "%s.scale", t->name);
	const struct tensor *scales = glip__weights_find(w, name);
	if (scales == NULL || scales->dtype != DTYPE_F32 || scales->ndim != 1 || scales->shape[0] != rows)
		fail_msg("%s is missing or wrong", name);
	assert_true(got->ndim == 2 && got->shape[0] == rows && got->shape[1] == cols);
	for (int64_t r = 0; r < rows; r++, q += cols) {
		double scale = (double)((const float *)scales->data)[r], most = 0;
		int top = 0;
		for (int64_t c = 0; c < cols; c++) {
			double value = (double)final_value(t, r * cols + c);
			most = fmax(most, fabs(value));
			top = abs(q[c]) > top ? abs(q[c]) : top;
			if (q[c] != (int)rint(value / scale) || fabs(value - scale * q[c]) > scale * 0.5001 ||
			    (double)(float)(scale * q[c]) != scale * q[c])
				fail_msg("%s: element %lld, %lld is wrong", t->name, (long long)r, (long long)c);
		}
		assert_int_equal(top, 127);
		assert_true(fabs(scale * 127 / most - 1) <= 1.0 / (1 << 17));
	}
}

static bool is_multiplied_exactly(const char *name)
{
	static const char *const names[] = {"swin.patch.weight", ".offset.weight", "head.box.weight",
	                                    "head.centerness.weight", "head.dot.weight"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(name, names[i]) != NULL)
			return true;
	return false;
}

static void check_tensors(const struct weights *w, const struct model_sizes *m, enum dtype type)
{
	struct target t;
	size_t i, scales = 0;

	for (i = 0; name_map_target(m, i, &t); i++) {
		const struct tensor *got = glip__weights_find(w, t.name);
		int64_t count = t.transform == TRANSFORM_STACK ? MAP_LEVELS : count_of(&t), n;
		if (got == NULL)
			fail_msg("%s is missing", t.name);
		assert_true(glip__tensor_count(got, &n) && n == count);
		bool narrow = t.matrix && (type == DTYPE_BF16 || !is_multiplied_exactly(t.name));
		assert_int_equal(got->dtype, narrow ? type : DTYPE_F32);
		if (got->dtype == DTYPE_I8) {
			check_i8(w, &t, got);
			scales++;
			continue;
		}
		for (int64_t k = 0; k < count; k++) {
			float f = final_value(&t, k);
			if (got->dtype == DTYPE_BF16 ? ((const uint16_t *)got->data)[k] != bf16_from_f32(f)
			                             : ((const float *)got->data)[k] != f)
				fail_msg("%s: element %lld is wrong", t.name, (long long)k);
		}
	}
	assert_int_equal(glip__weights_count(w), i + scales);
	assert_true(scales > 0 || type != DTYPE_I8);
}

static void test_official(void **state)
{
	struct fixture *f = *state;
	struct weights *w = convert_and_open(f, &tiny, &(struct variation){0});
	struct weights_text tokens[12];
	int64_t n, list[4];
	size_t count;
	bool fusion;

	check_tensors(w, &tiny, DTYPE_F32);
	assert_int_equal(f->summary.warnings, 0);
	assert_int_equal(f->summary.tensors, glip__weights_count(w));
	assert_string_equal(f->summary.format, "safetensors");
	assert_string_equal(f->summary.variant, "GLIP (custom)");
	static const struct {
		const char *key;
		int64_t value;
	} numbers[] = {{"glip.swin.embed_dim", 4},    {"glip.swin.window", 2},      {"glip.bert.vocab", 12},
	               {"glip.bert.hidden", 8},       {"glip.bert.layers", 2},      {"glip.bert.heads", 2},
	               {"glip.bert.intermediate", 6}, {"glip.bert.max_tokens", 8},  {"glip.head.channels", 16},
	               {"glip.head.layers", 2},       {"glip.head.fusion_dim", 16}, {"glip.head.fusion_heads", 8},
	               {"glip.head.groups", 16},      {"general.alignment", 64}};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!glip__weights_get_int(w, numbers[i].key, &n) || n != numbers[i].value)
			fail_msg("%s", numbers[i].key);
	assert_true(glip__weights_get_ints(w, "glip.swin.depths", list, 4, &count) && count == 4 && list[1] == 2);
	assert_true(glip__weights_get_ints(w, "glip.swin.heads", list, 4, &count) && count == 4 && list[2] == 2);
	assert_true(glip__weights_get_bool(w, "glip.head.fusion", &fusion) && fusion);
	assert_true(glip__weights_get_texts(w, "tokenizer.ggml.tokens", tokens, &count) && count == 12);
	assert_true(tokens[1].length == 5 && memcmp(tokens[1].text, "[UNK]", 5) == 0);
	assert_true(tokens[11].length == 4 && memcmp(tokens[11].text, "last", 4) == 0);
	assert_null(glip__weights_find(w, "bert.embed.word.rows"));
	glip__weights_close(w);
}

/* The same model under mmdetection's names gives the same file, bit for bit. */
static void test_mmdet(void **state)
{
	struct fixture *f = *state;
	size_t size, size_too;

	glip__weights_close(convert_and_open(f, &tiny, &(struct variation){0}));
	char *official = test_read_file(f->out.path, &size);
	glip__weights_close(convert_and_open(f, &tiny, &(struct variation){.mmdet = true}));
	assert_int_equal(f->summary.warnings, 0);
	char *mmdet = test_read_file(f->out.path, &size_too);
	assert_true(official != NULL && mmdet != NULL);
	assert_int_equal(size, size_too);
	assert_memory_equal(official, mmdet, size);
	free(official);
	free(mmdet);
}

static void test_unfused_and_prompt(void **state)
{
	struct fixture *f = *state;
	struct model_sizes m = tiny;
	bool fusion;

	m.fusion = false;
	m.fusion_dim = 0;
	m.prompt = 5;
	struct weights *w = convert_and_open(f, &m, &(struct variation){0});
	check_tensors(w, &m, DTYPE_F32);
	assert_non_null(glip__weights_find(w, "head.prompt.weight"));
	assert_null(glip__weights_find(w, "head.0.fuse.gamma_v"));
	assert_true(glip__weights_get_bool(w, "glip.head.fusion", &fusion) && !fusion);
	glip__weights_close(w);
}

static void test_bf16(void **state)
{
	struct fixture *f = *state;

	f->options.type = DTYPE_BF16;
	struct weights *w = convert_and_open(f, &tiny, &(struct variation){0});
	check_tensors(w, &tiny, DTYPE_BF16);
	glip__weights_close(w);
	/* A checkpoint in half the width: matrices pass unchanged. */
	w = convert_and_open(f, &tiny, &(struct variation){.half = true});
	const struct tensor *t = glip__weights_find(w, "head.dot.weight");
	assert_int_equal(((const uint16_t *)t->data)[9],
	                 bf16_from_f32(value_of("rpn.head.dot_product_projection_text.weight", 9)));
	glip__weights_close(w);
}

static void test_i8(void **state)
{
	struct fixture *f = *state;
	struct model_sizes m = tiny;
	uint64_t parameters;

	glip__weights_close(convert_and_open(f, &tiny, &(struct variation){0}));
	parameters = f->summary.parameters;
	f->options.type = DTYPE_I8;
	struct weights *w = convert_and_open(f, &tiny, &(struct variation){0});
	check_tensors(w, &tiny, DTYPE_I8);
	assert_int_equal(f->summary.tensors, glip__weights_count(w));
	/* Scales are none of the network's weights. */
	assert_int_equal(f->summary.parameters, parameters);
	assert_int_equal(glip__weights_parameters(w), parameters);
	glip__weights_close(w);
	m.prompt = 5;
	w = convert_and_open(f, &m, &(struct variation){.mmdet = true});
	check_tensors(w, &m, DTYPE_I8);
	glip__weights_close(w);
	scratch_file_remove(&f->out);
	expect_failure(f, &(struct variation){.not_finite = "rpn.head.dyhead_tower.5.relu.fc.0.weight"}, GLIP_ERR_MODEL,
	               "tensor head.1.dyconv.relu.down.weight holds numbers that are not finite, which i8 lacks", "");
}

static void test_equal_rows(void **state)
{
	struct fixture *f = *state;

	static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_I8};
	for (size_t k = 0; k < 3; k++) {
		f->options.type = types[k];
		struct weights *w = convert_and_open(f, &tiny, &(struct variation){.equal_words = true});
		const struct tensor *rows = glip__weights_find(w, "bert.embed.word.rows");
		const struct tensor *words = glip__weights_find(w, "bert.embed.word.weight");
		assert_non_null(rows);
		assert_true(rows->dtype == DTYPE_I32 && rows->ndim == 1 && rows->shape[0] == 12);
		assert_true(words->shape[0] == 1 && words->shape[1] == 8);
		for (int i = 0; i < 12; i++)
			assert_int_equal(((const int32_t *)rows->data)[i], 0);
		const struct tensor *scales = glip__weights_find(w, "bert.embed.word.weight.scale");
		assert_true(types[k] == DTYPE_I8 ? scales->shape[0] == 1 : scales == NULL);
		assert_int_equal(glip__weights_parameters(w), f->summary.parameters);
		glip__weights_close(w);
	}
}

static void test_tensors_wrong(void **state)
{
	struct fixture *f = *state;

	expect_failure(
		f, &(struct variation){.without = "backbone.fpn.top_blocks.p7.bias", .without_too = "rpn.head.scales.3.scale"},
		GLIP_ERR_MODEL,
		"2 tensors are missing, unreadable or of the wrong shape: backbone.fpn.top_blocks.p7.bias, "
		"rpn.head.scales.3.scale",
		"E tensor backbone.fpn.top_blocks.p7.bias is missing\nE tensor rpn.head.scales.3.scale is missing\n");
	expect_failure(f, &(struct variation){.reshaped = "rpn.head.dyhead_tower.5.relu.fc.0.weight"}, GLIP_ERR_MODEL,
	               "1 tensor is missing",
	               "E tensor rpn.head.dyhead_tower.5.relu.fc.0.weight is 1x4x16, expected 4x16\n");
	expect_failure(f, &(struct variation){.integers = "rpn.head.bias_lang"}, GLIP_ERR_MODEL, "1 tensor is missing",
	               "E tensor rpn.head.bias_lang holds int32, expected floating point\n");
	expect_failure(f, &(struct variation){.without = "backbone.body.patch_embed.proj.weight"}, GLIP_ERR_MODEL,
	               "tensor backbone.body.patch_embed.proj.weight is missing: not a GLIP checkpoint", "");
	expect_failure(f, &(struct variation){.reshaped = "rpn.head.bbox_pred.weight"}, GLIP_ERR_MODEL,
	               "has 5 dimensions, expected 4", "");
	expect_failure(f, &(struct variation){.extra = "backbone.body.norm1.bias"}, GLIP_ERR_FORMAT, "stands there twice",
	               "");
	expect_failure(f, &(struct variation){.extra = "backbone.norm1.bias"}, GLIP_ERR_MODEL, "mean the same", "");
}

static void test_warnings(void **state)
{
	struct fixture *f = *state;

	glip__weights_close(convert_and_open(f, &tiny, &(struct variation){.extra = "rpn.head.new_thing"}));
	assert_string_equal(f->log.data, "W tensor rpn.head.new_thing is unknown and left out\n");
	assert_int_equal(f->summary.warnings, 1);
	glip__weights_close(convert_and_open(f, &tiny, &(struct variation){.not_finite = "rpn.head.bias_lang"}));
	assert_string_equal(f->log.data, "W tensor head.dot.bias_lang holds numbers that are not finite\n");
}

static void test_settings(void **state)
{
	static const struct {
		const char *settings[3];
		enum glip_status status;
		const char *message;
	} cases[] = {
		{{NULL}, GLIP_ERR_MODEL, "64 channels a text head does not divide 8; say --set bert.heads=N"},
		{{"bert.heads=2", "fusion.heads=3"}, GLIP_ERR_MODEL, "say --set fusion.heads=N"},
		{{"bert.heads=2", "head.groups=5"}, GLIP_ERR_MODEL, "say --set head.groups=N"},
		{{"bert.heads=3"}, GLIP_ERR_MODEL, "say --set bert.heads=N"},
		{{"bert.heads=0"}, GLIP_ERR_ARGUMENT, "bert.heads takes a positive number"},
		{{"bert.heads="}, GLIP_ERR_ARGUMENT, "bert.heads takes a positive number"},
		{{"bert.heads=2x"}, GLIP_ERR_ARGUMENT, "bert.heads takes a positive number"},
		{{"bert.heads=99999999999999999999"}, GLIP_ERR_ARGUMENT, "bert.heads takes a positive number"},
		{{"bert.heads"}, GLIP_ERR_ARGUMENT, "--set bert.heads: unknown"},
		{{"colour=red"}, GLIP_ERR_ARGUMENT, "--set colour=red: unknown"},
		{{"swin.heads=1,1,2"}, GLIP_ERR_ARGUMENT, "takes four positive numbers"},
		{{"swin.heads=1,1,2,4"}, GLIP_ERR_ARGUMENT, "relative_position_bias_table of stage 3 is for 2 heads"},
		{{"bert.heads=2", "bert.max_tokens=9"}, GLIP_ERR_ARGUMENT, "9 tokens do not fit the 8 positions"},
		{{"bert.heads=2", "input.short_side=8193"}, GLIP_ERR_ARGUMENT, "input.short_side is 8193"},
		{{"bert.heads=2", "input.long_side=32769"}, GLIP_ERR_ARGUMENT, "input.long_side 32769"},
		{{"bert.heads=2", "input.long_side=0"}, GLIP_ERR_ARGUMENT, "input.long_side takes a positive number"},
		{{"bert.heads=2", "swin.heads=1,1,2,2", "head.groups=4"}, GLIP_OK, ""},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->options.settings = (struct settings){cases[i].settings, 0};
		while (f->options.settings.count < 3 && cases[i].settings[f->options.settings.count] != NULL)
			f->options.settings.count++;
		enum glip_status status = convert(f, &tiny, &(struct variation){0});
		if (status != cases[i].status || strstr(f->err.message, cases[i].message) == NULL)
			fail_msg("case %zu: %d, %s", i, status, f->err.message);
	}
	assert_int_equal(f->summary.sizes.groups, 4);
}

static void test_vocabulary(void **state)
{
	struct fixture *f = *state;

	f->options.vocab_size -= 5;
	expect_failure(f, &(struct variation){0}, GLIP_ERR_MODEL, "the vocabulary has 11 tokens, the model 12", "");
	f->options.vocab = "a\nb\n\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
	f->options.vocab_size = strlen(f->options.vocab);
	expect_failure(f, &(struct variation){0}, GLIP_ERR_FORMAT, "vocab: line 3 is empty or not UTF-8", "");
	f->options.vocab = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n\xFF\n";
	expect_failure(f, &(struct variation){0}, GLIP_ERR_FORMAT, "line 12 is empty or not UTF-8", "");
}

static int cancel_at(void *user, uint64_t done, uint64_t total)
{
	uint64_t *limit = user;

	assert_true(done <= total);
	return done >= *limit;
}

static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	uint64_t limits[] = {0, 20000, 0};

	glip__weights_close(convert_and_open(f, &tiny, &(struct variation){0}));
	limits[2] = f->summary.bytes;
	scratch_file_remove(&f->out);
	for (size_t i = 0; i < 3; i++) {
		f->options.progress = cancel_at;
		f->options.progress_user = &limits[i];
		expect_failure(f, &(struct variation){0}, GLIP_ERR_CANCELLED, "interrupted", "");
	}
}

static void test_files(void **state)
{
	struct fixture *f = *state;

	f->options.out = "/no/such/folder/x.gguf";
	expect_failure(f, &(struct variation){0}, GLIP_ERR_IO, "/no/such/folder/x.gguf", "");
	f->options.out = f->out.path;
	f->options.in = "/no/such/file.pth";
	expect_failure(f, &(struct variation){0}, GLIP_ERR_IO, "cannot open /no/such/file.pth", "");
}

static void test_out_of_memory(void **state)
{
	struct fixture *f = *state;
	struct alloc_probe probe;
	bool done = false;

	write_checkpoint(&f->in, &tiny, &(struct variation){.mmdet = true});
	alloc_probe_init(&probe);
	f->options.allocator = &probe.allocator;
	f->options.type = DTYPE_I8;
	f->options.log = (struct logger){0};
	/* Past the first hundred it is the same few for each tensor: every seventh meets all of them. */
	for (long n = 1; !done; n += n < 100 ? 1 : 7) {
		alloc_probe_arm(&probe, n, 1);
		scratch_file_remove(&f->out);
		enum glip_status status = convert_checkpoint(&f->options, &f->summary, &f->err);
		done = probe.calls < n;
		if (status != GLIP_ERR_NOMEM && status != GLIP_OK)
			fail_msg("allocation %ld: %d, %s", n, status, f->err.message);
		if (done)
			assert_int_equal(status, GLIP_OK);
		assert_int_equal(probe.live, 0);
		assert_int_equal(scratch_file_leftovers(&f->out), 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_official),  TEST(test_mmdet),      TEST(test_unfused_and_prompt),
		TEST(test_bf16),      TEST(test_equal_rows), TEST(test_tensors_wrong),
		TEST(test_warnings),  TEST(test_settings),   TEST(test_vocabulary),
		TEST(test_cancelled), TEST(test_files),      TEST(test_out_of_memory),
		TEST(test_i8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
