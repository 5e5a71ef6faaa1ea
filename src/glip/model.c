#include "glip/model.h"

#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "glip/options.h"

/* A tensor that only models with fusion have. */
#define FUSION_WEIGHT "head.0.fuse.v_proj.weight"

/* Packing takes as long as thirty rows of a float32 product: 4 % of one with 768 rows. The bytes hold stages 3 and 4 of
 * GLIP-T, which stays within 350 MB beside its mapped weights with them; large images take half of that. */
static const struct panels_limits PANELS_LIMITS = {.float_bytes = 112 << 20, .float_rows = 768};

enum { PROMPT_ROWS = 1000 }; /* rpn.tunable_linear: tokens that prompt tuning learns something for */

void glip_model_options_init(struct glip_model_options *options)
{
	*options = (struct glip_model_options){.struct_size = sizeof *options};
}

/* The vocabulary's strings stay in the mapping; only the views and the hash table are allocated. */
static enum glip_status load_vocabulary(struct glip_model *m, int vocab, struct glip_error *err)
{
	const char *path = glip__weights_path(m->weights);
	size_t count = 0;
	if (!glip__weights_get_texts(m->weights, "tokenizer.ggml.tokens", NULL, &count))
		return glip__fail(err, GLIP_ERR_MODEL,
		                  "%s: no vocabulary (tokenizer.ggml.tokens): convert the checkpoint again", path);
	if (count != (size_t)vocab)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: tokenizer.ggml.tokens has %zu entries, glip.bert.vocab says %d",
		                  path, count, vocab);
	struct weights_text *texts = glip__malloc(&m->allocator, count, sizeof *texts);
	m->tokens = glip__malloc(&m->allocator, count, sizeof *m->tokens);
	if (texts == NULL || m->tokens == NULL) {
		glip__free(&m->allocator, texts);
		return glip__fail_nomem(err, "the vocabulary", count * sizeof *m->tokens);
	}
	glip__weights_get_texts(m->weights, "tokenizer.ggml.tokens", texts, &count);
	for (size_t i = 0; i < count; i++)
		m->tokens[i] = (struct text_view){texts[i].text, texts[i].length};
	glip__free(&m->allocator, texts);
	struct glip_error detail = {0};
	enum glip_status status = glip__vocabulary_create(m->tokens, count, &m->allocator, &m->vocabulary, &detail);
	if (status != GLIP_OK)
		return glip__fail(err, status, "%s: %s", path, detail.message);
	return GLIP_OK;
}

static enum glip_status bind_head(struct glip_model *m, struct binder *b, struct glip_error *err)
{
	int layers = glip__bind_int(b, "glip.head.layers", 1, 64);
	glip__bind_check_count(b, "glip.head.layers", layers, "head", "dyconv.attn.weight");
	if (!m->fusion && glip__bind_has(b, FUSION_WEIGHT))
		glip__binder_note(b, "metadata glip.head.fusion is not true, but there is a tensor %s", FUSION_WEIGHT);
	int fusion_dim = m->fusion ? glip__bind_size(b, "glip.head.fusion_dim", 1, 65536, 0, FUSION_WEIGHT) : 0;
	int fusion_heads = m->fusion ? glip__bind_int(b, "glip.head.fusion_heads", 1, 1024) : 0;
	int groups = glip__bind_int(b, "glip.head.groups", 1, 1024);
	m->layers = glip__calloc(&m->allocator, (size_t)layers, sizeof *m->layers);
	if (m->layers == NULL)
		return glip__fail_nomem(err, "the head's layers", (size_t)layers * sizeof *m->layers);
	m->layer_count = layers;
	for (int i = 0; i < layers; i++) {
		char prefix[32];
		if (m->fusion) {
			snprintf(prefix, sizeof prefix, "head.%d.fuse", i);
			glip__fusion_bind(&m->layers[i].fusion, b, prefix, m->channels, m->hidden, fusion_dim, fusion_heads);
			snprintf(prefix, sizeof prefix, "head.%d.bert", i);
			glip__bert_layer_bind(&m->layers[i].text, b, prefix, m->hidden, m->bert.intermediate, m->bert.heads);
		}
		snprintf(prefix, sizeof prefix, "head.%d.dyconv", i);
		glip__dyconv_bind(&m->layers[i].image, b, prefix, m->channels, groups);
	}
	glip__grounding_bind(&m->grounding, b, m->channels, m->hidden);
	if (glip__bind_has(b, "head.prompt.weight")) {
		m->prompt_tuning = glip__bind_matrix(b, PROMPT_ROWS, m->hidden, "head.prompt.weight");
		if (m->max_tokens > PROMPT_ROWS)
			glip__binder_note(b, "glip.bert.max_tokens is %d, but head.prompt.weight has %d rows", m->max_tokens,
			                  PROMPT_ROWS);
	}
	return GLIP_OK;
}

/* A number that the file may say. */
static int optional_int(const struct glip_model *m, struct binder *b, const char *key, int high, int otherwise)
{
	int64_t value;
	return glip__weights_get_int(m->weights, key, &value) ? glip__bind_int(b, key, 1, high) : otherwise;
}

static enum glip_status bind_blocks(struct glip_model *m, struct binder *b, struct glip_error *err)
{
	TRY(glip__swin_bind(&m->swin, b, &m->allocator, err));
	m->channels = glip__bind_size(b, "glip.head.channels", 4, 4096, 0, "fpn.lateral.p3.weight");
	int stage_channels[3];
	for (int i = 0; i < 3; i++)
		stage_channels[i] = m->swin.embed_dim << (i + 1);
	TRY(glip__fpn_bind(&m->fpn, b, stage_channels, m->channels, err));
	TRY(glip__bert_bind(&m->bert, b, &m->allocator, err));
	m->hidden = m->bert.hidden;
	m->max_tokens = m->bert.max_tokens;
	m->short_side = optional_int(m, b, "glip.input.short_side", 8192, 800);
	m->long_side = optional_int(m, b, "glip.input.long_side", 32768, 1333);
	glip__weights_get_bool(m->weights, "glip.head.fusion", &m->fusion);
	return bind_head(m, b, err);
}

/* All problems of the file, a message each: the error's message has room for the first few. */
static void log_problems(const struct glip_model *m, const struct binder *b)
{
	const char *end = b->problems.length != 0 ? b->problems.data + b->problems.length : NULL, *line_end;
	for (const char *line = b->problems.data; line < end; line = line_end + 1) {
		line_end = memchr(line, '\n', (size_t)(end - line));
		if (line_end == NULL)
			line_end = end;
		glip__log(&m->log, GLIP_LOG_ERROR, "%s: %.*s", glip__weights_path(m->weights), (int)(line_end - line), line);
	}
}

static enum glip_status bind_model(struct glip_model *m, struct glip_error *err)
{
	const char *path = glip__weights_path(m->weights);
	struct weights_text text;
	if (!glip__weights_get_text(m->weights, "general.architecture", &text) || text.length != 4 ||
	    memcmp(text.text, "glip", 4) != 0)
		return glip__fail(err, GLIP_ERR_MODEL,
		                  "%s: a GGUF file, but general.architecture is not \"glip\": make one with glip convert",
		                  path);
	if (glip__weights_get_text(m->weights, "general.name", &text))
		snprintf(m->name, sizeof m->name, "%.*s", (int)(text.length < NAME_SIZE ? text.length : NAME_SIZE - 1),
		         text.text);
	struct binder b;
	TRY(glip__binder_init(&b, m->weights, &m->allocator, err));
	enum glip_status status = bind_blocks(m, &b, err);
	if (status == GLIP_OK)
		status = glip__binder_finish(&b, err);
	log_problems(m, &b);
	glip__binder_free(&b);
	TRY(status);
	m->parameters = glip__weights_parameters(m->weights);
	return load_vocabulary(m, m->bert.vocab, err);
}

enum glip_status glip_model_load(const char *path, const struct glip_model_options *options, struct glip_model **out,
                                 struct glip_error *err)
{
	if (out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_model_load: out is NULL");
	*out = NULL;
	if (path == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_model_load: path is NULL");
	struct glip_model_options o;
	glip_model_options_init(&o);
	TRY(OPTIONS_COPY(&o, options, "glip_model_options", err));
	struct glip_allocator allocator = glip__allocator_or_default(o.allocator);
	struct glip_model *m = glip__calloc(&allocator, 1, sizeof *m);
	if (m == NULL)
		return glip__fail_nomem(err, "a model", sizeof *m);
	m->allocator = allocator;
	m->log = (struct logger){o.log, o.log_user};
	enum glip_status status = glip__panels_create(&m->allocator, &PANELS_LIMITS, &m->panels, err);
	if (status == GLIP_OK)
		status = glip__weights_open(path, !o.no_mmap, &m->allocator, &m->weights, err);
	if (status == GLIP_OK)
		status = bind_model(m, err);
	if (status != GLIP_OK) {
		glip_model_free(m);
		return status;
	}
	*out = m;
	return GLIP_OK;
}

void glip_model_free(struct glip_model *m)
{
	if (m == NULL)
		return;
	glip__vocabulary_free(m->vocabulary);
	glip__free(&m->allocator, m->tokens);
	glip__free(&m->allocator, m->layers);
	glip__bert_free(&m->bert);
	glip__swin_free(&m->swin);
	glip__panels_free(m->panels);
	glip__weights_close(m->weights);
	struct glip_allocator allocator = m->allocator;
	glip__free(&allocator, m);
}

enum glip_status glip_model_get_info(const struct glip_model *model, struct glip_model_info *info)
{
	/* A program built against an earlier version has a shorter struct: it gets the fields that it knows. */
	if (model == NULL || info == NULL || info->struct_size < sizeof info->struct_size ||
	    info->struct_size > sizeof *info)
		return GLIP_ERR_ARGUMENT;
	struct glip_model_info all = {
		.struct_size = info->struct_size,
		.variant = model->name,
		.max_tokens = model->max_tokens,
		.channels = model->channels,
		.text_hidden = model->hidden,
		.fusion = model->fusion,
		.parameters = model->parameters,
		.file_bytes = glip__weights_file_size(model->weights),
		.short_side = model->short_side,
		.long_side = model->long_side,
	};
	memcpy(info, &all, all.struct_size);
	return GLIP_OK;
}

const char *glip_version(void)
{
	return "0.1.0";
}

uint32_t glip_cpu_detect(void)
{
	return glip__cpu_flags();
}
