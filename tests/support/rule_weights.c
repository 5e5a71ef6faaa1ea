#include "support/rule_weights.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "support/json.h"
#include "tensor/weights.h"

static const uint64_t golden = 0x9E3779B97F4A7C15u;

const struct rule_config *rule_variant(const char *name)
{
	static const struct rule_config variants[] = {
		{"mini-t", 24, {2, 2, 2, 2}, {1, 2, 4, 8}, 7, 30522, 48, 3, 4, 96, 64, 2, true, 128, 8, 16, 0, false},
		{"mini-l", 24, {2, 2, 4, 2}, {2, 4, 8, 16}, 12, 30522, 48, 3, 4, 96, 64, 3, true, 128, 8, 16, 0, false},
		{"mini-a", 24, {2, 2, 2, 2}, {1, 2, 4, 8}, 7, 30522, 48, 3, 4, 96, 64, 2, false, 128, 8, 16, 0, false},
		{"glip-t", 96, {2, 2, 6, 2}, {3, 6, 12, 24}, 7, 30522, 768, 12, 12, 3072, 256, 6, true, 2048, 8, 16, 0, false},
		{"glip-l",
	     192,
	     {2, 2, 18, 2},
	     {6, 12, 24, 48},
	     12,
	     30522,
	     768,
	     12,
	     12,
	     3072,
	     256,
	     8,
	     true,
	     2048,
	     8,
	     16,
	     0,
	     false},
		{"glip-a", 96, {2, 2, 6, 2}, {3, 6, 12, 24}, 7, 30522, 768, 12, 12, 3072, 256, 6, false, 2048, 8, 16, 0, false},
	};

	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
		if (strcmp(variants[i].name, name) == 0)
			return &variants[i];
	return NULL;
}

/* ---- The rule --------------------------------------------------------------------------------------------------- */

static uint64_t name_state(const char *name, uint64_t seed)
{
	uint64_t h = 0xCBF29CE484222325u;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001B3u;
	return h ^ (seed * golden);
}

static double uniform_at(uint64_t state, int64_t i)
{
	uint64_t z = state + ((uint64_t)i + 1) * golden;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	z ^= z >> 31;
	return (double)(z >> 40) * 0x1p-23 - 1.0;
}

void rule_uniform(const char *name, uint64_t seed, float *out, size_t count)
{
	uint64_t state = name_state(name, seed);

	for (size_t i = 0; i < count; i++)
		out[i] = (float)uniform_at(state, (int64_t)i);
}

static bool has(const char *name, const char *part)
{
	return strstr(name, part) != NULL;
}

static void base_and_scale(const char *name, int64_t fan_in, double *base, double *scale)
{
	const char *dot = strrchr(name, '.'), *leaf = dot != NULL ? dot + 1 : name;
	double gain = 1.0;

	*base = 0.0;
	if (strcmp(leaf, "weight") == 0 && (has(name, "norm") || has(name, "LayerNorm") || has(name, ".bn."))) {
		*base = 1.0, *scale = 0.2;
	} else if (strcmp(leaf, "gamma_v") == 0 || strcmp(leaf, "gamma_l") == 0) {
		*base = 0.5, *scale = 0.1;
	} else if (strcmp(leaf, "scale") == 0) {
		*base = 1.0, *scale = 0.2;
	} else if (strcmp(leaf, "log_scale") == 0) {
		*scale = 0.1;
	} else if (strcmp(leaf, "bias0") == 0) {
		*base = -3.0, *scale = 0.0;
	} else if (strcmp(leaf, "bias_lang") == 0 || strcmp(leaf, "relative_position_bias_table") == 0 ||
	           has(name, "embeddings")) {
		*scale = 0.5;
	} else if (strcmp(leaf, "bias") == 0) {
		*scale = 0.1;
	} else {
		if (has(name, "dot_product_projection_text"))
			gain = 24.0;
		else if (has(name, "bbox_pred") || has(name, "centerness"))
			gain = 4.0;
		else if (has(name, "attention.output.dense") || has(name, "out_l_proj"))
			gain = 0.25;
		*scale = gain * sqrt(3.0 / (double)fan_in);
	}
}

/* ---- The tensors ------------------------------------------------------------------------------------------------ */

/* Called for every tensor: declares it in the first round, writes it in the second. */
struct emitter {
	struct weights_writer *writer;
	uint64_t seed;
	bool i8, writing, good;
	struct glip_error err;
	char official[128], own[64]; /* prefixes of the names that follow */
};

/* Fills `to` with the values of a checkpoint tensor of rows x taps x columns values, which lie [rows, columns, taps] in
 * the checkpoint and [rows, taps, columns] in the file. */
static void fill(const char *name, uint64_t seed, int64_t rows, int64_t taps, int64_t columns, float *to)
{
	uint64_t state = name_state(name, seed);
	double base, scale;

	base_and_scale(name, columns * taps, &base, &scale);
	for (int64_t r = 0; r < rows; r++)
		for (int64_t t = 0; t < taps; t++)
			for (int64_t c = 0; c < columns; c++)
				*to++ = (float)(base + scale * uniform_at(state, (r * columns + c) * taps + t));
}

/* Layers that are always multiplied in float32. */
static bool is_exact(const char *own)
{
	return has(own, "swin.patch.") || has(own, ".offset.") || has(own, "head.box.") || has(own, "head.centerness.") ||
	       has(own, "head.dot.");
}

/* Whole numbers over the values themselves, and the scales of the rows. */
static void narrow(float *values, int64_t rows, int64_t cols, float *scale)
{
	int8_t *q = (int8_t *)values;

	for (int64_t r = 0; r < rows; r++) {
		float most = 0;
		for (int64_t c = 0; c < cols; c++)
			most = fmaxf(most, fabsf(values[r * cols + c]));
		scale[r] = most / 127;
		for (int64_t c = 0; c < cols; c++)
			q[r * cols + c] = (int8_t)(most > 0 ? lrintf(values[r * cols + c] / scale[r]) : 0);
	}
}

/* One file tensor of `parts` checkpoint tensors one after the other (their names then end in ".0.scale" and so on). */
static void emit_parts(struct emitter *e, const char *own, const char *official, int parts, int ndim, int64_t rows,
                       int64_t taps, int64_t columns)
{
	struct tensor t = {.ndim = ndim, .dtype = DTYPE_F32, .shape = {parts * rows, taps * columns}};
	struct tensor scales = {.ndim = 1, .dtype = DTYPE_F32, .shape = {rows}};
	char own_name[128], name[256];
	int64_t count = rows * taps * columns;
	float *values, *scale;

	if (!e->good)
		return;
	snprintf(own_name, sizeof own_name, "%s%s", e->own, own);
	bool i8 = e->i8 && ndim == 2 && !is_exact(own_name);
	if (!e->writing) {
		t.dtype = i8 ? DTYPE_I8 : DTYPE_F32;
		e->good = glip__weights_declare(e->writer, own_name, &t, &e->err) == GLIP_OK;
		snprintf(name, sizeof name, "%s.scale", own_name);
		if (e->good && i8)
			e->good = glip__weights_declare(e->writer, name, &scales, &e->err) == GLIP_OK;
		return;
	}
	values = malloc((size_t)(parts * count) * sizeof *values);
	for (int i = 0; i < parts && values != NULL; i++) {
		if (parts > 1)
			snprintf(name, sizeof name, "%s%s.%d.scale", e->official, official, i);
		else
			snprintf(name, sizeof name, "%s%s", e->official, official);
		fill(name, e->seed, rows, taps, columns, values + i * count);
	}
	scale = malloc((size_t)rows * sizeof *scale);
	e->good = values != NULL && scale != NULL;
	if (e->good && i8)
		narrow(values, rows, taps * columns, scale);
	e->good = e->good && glip__weights_write(e->writer, values, &e->err) == GLIP_OK &&
	          (!i8 || glip__weights_write(e->writer, scale, &e->err) == GLIP_OK);
	free(values);
	free(scale);
}

static void emit_vector(struct emitter *e, const char *own, const char *official, int64_t count)
{
	emit_parts(e, own, official, 1, 1, count, 1, 1);
}

static void emit_matrix(struct emitter *e, const char *own, const char *official, int64_t rows, int64_t taps,
                        int64_t columns)
{
	emit_parts(e, own, official, 1, 2, rows, taps, columns);
}

/* NAME.weight and NAME.bias of a linear layer or a convolution of `taps` taps. */
static void emit_layer(struct emitter *e, const char *own, const char *official, int64_t rows, int64_t taps,
                       int64_t columns)
{
	char a[64], b[128];

	snprintf(a, sizeof a, "%s.weight", own);
	snprintf(b, sizeof b, "%s.weight", official);
	emit_matrix(e, a, b, rows, taps, columns);
	snprintf(a, sizeof a, "%s.bias", own);
	snprintf(b, sizeof b, "%s.bias", official);
	emit_vector(e, a, b, rows);
}

static void emit_norm(struct emitter *e, const char *own, const char *official, int64_t count)
{
	char a[64], b[128];

	snprintf(a, sizeof a, "%s.weight", own);
	snprintf(b, sizeof b, "%s.weight", official);
	emit_vector(e, a, b, count);
	snprintf(a, sizeof a, "%s.bias", own);
	snprintf(b, sizeof b, "%s.bias", official);
	emit_vector(e, a, b, count);
}

static void GLIP_PRINTF(3, 4) set_official(struct emitter *e, const char *own, const char *format, ...)
{
	va_list args;

	snprintf(e->own, sizeof e->own, "%s", own);
	va_start(args, format);
	vsnprintf(e->official, sizeof e->official, format, args);
	va_end(args);
}

static void emit_swin(struct emitter *e, const struct rule_config *m)
{
	int side = 2 * m->window - 1;

	set_official(e, "swin.patch.", "backbone.body.patch_embed.");
	emit_matrix(e, "weight", "proj.weight", m->embed_dim, 16, 3);
	emit_vector(e, "bias", "proj.bias", m->embed_dim);
	emit_norm(e, "norm", "norm", m->embed_dim);
	for (int s = 0; s < 4; s++) {
		int64_t c = (int64_t)m->embed_dim << s;
		char own[64];

		for (int i = 0; i < m->depths[s]; i++) {
			snprintf(own, sizeof own, "swin.%d.%d.", s, i);
			set_official(e, own, "backbone.body.layers.%d.blocks.%d.", s, i);
			emit_norm(e, "norm1", "norm1", c);
			emit_layer(e, "attn.qkv", "attn.qkv", 3 * c, 1, c);
			/* As rows x heads, so that the fan-in (which this rule does not use) and the order are the checkpoint's. */
			emit_vector(e, "attn.bias_table", "attn.relative_position_bias_table", (int64_t)side * side * m->heads[s]);
			emit_layer(e, "attn.proj", "attn.proj", c, 1, c);
			emit_norm(e, "norm2", "norm2", c);
			emit_layer(e, "mlp.up", "mlp.fc1", 4 * c, 1, c);
			emit_layer(e, "mlp.down", "mlp.fc2", c, 1, 4 * c);
		}
		snprintf(own, sizeof own, "swin.%d.", s);
		if (s < 3) {
			set_official(e, own, "backbone.body.layers.%d.downsample.", s);
			emit_norm(e, "merge.norm", "norm", 4 * c);
			emit_matrix(e, "merge.weight", "reduction.weight", 2 * c, 1, 4 * c);
		}
		if (s > 0) {
			set_official(e, own, "backbone.body.norm%d.", s);
			emit_vector(e, "norm.weight", "weight", c);
			emit_vector(e, "norm.bias", "bias", c);
		}
	}
}

static void emit_fpn(struct emitter *e, const struct rule_config *m)
{
	int64_t c = m->channels;
	char own[32], official[32];

	set_official(e, "fpn.", "backbone.fpn.");
	for (int i = 0; i < 3; i++) {
		snprintf(own, sizeof own, "lateral.p%d", i + 3);
		snprintf(official, sizeof official, "fpn_inner%d", i + 2);
		emit_layer(e, own, official, c, 1, (int64_t)m->embed_dim << (i + 1));
		snprintf(own, sizeof own, "output.p%d", i + 3);
		snprintf(official, sizeof official, "fpn_layer%d", i + 2);
		emit_layer(e, own, official, c, 9, c);
	}
	emit_layer(e, "p6", "top_blocks.p6", c, 9, c);
	emit_layer(e, "p7", "top_blocks.p7", c, 9, c);
}

static void emit_bert_layer(struct emitter *e, int64_t h, int64_t i)
{
	emit_layer(e, "attn.query", "attention.self.query", h, 1, h);
	emit_layer(e, "attn.key", "attention.self.key", h, 1, h);
	emit_layer(e, "attn.value", "attention.self.value", h, 1, h);
	emit_layer(e, "attn.output", "attention.output.dense", h, 1, h);
	emit_norm(e, "attn.norm", "attention.output.LayerNorm", h);
	emit_layer(e, "mlp.up", "intermediate.dense", i, 1, h);
	emit_layer(e, "mlp.down", "output.dense", h, 1, i);
	emit_norm(e, "mlp.norm", "output.LayerNorm", h);
}

/* bert.embed.word.rows */
static void emit_word_rows(struct emitter *e, const struct rule_config *m)
{
	struct tensor t = {.ndim = 1, .dtype = DTYPE_I32, .shape = {m->vocab}};
	int32_t *rows;

	if (!e->good)
		return;
	if (!e->writing) {
		e->good = glip__weights_declare(e->writer, "bert.embed.word.rows", &t, &e->err) == GLIP_OK;
		return;
	}
	rows = malloc((size_t)m->vocab * sizeof *rows);
	for (int i = 0; rows != NULL && i < m->vocab; i++)
		rows[i] = i % m->word_rows;
	e->good = rows != NULL && glip__weights_write(e->writer, rows, &e->err) == GLIP_OK;
	free(rows);
}

static void emit_bert(struct emitter *e, const struct rule_config *m)
{
	set_official(e, "bert.embed.", "language_backbone.body.model.embeddings.");
	emit_matrix(e, "word.weight", "word_embeddings.weight", m->word_rows > 0 ? m->word_rows : m->vocab, 1, m->hidden);
	if (m->word_rows > 0)
		emit_word_rows(e, m);
	emit_matrix(e, "position.weight", "position_embeddings.weight", 512, 1, m->hidden);
	emit_matrix(e, "type.weight", "token_type_embeddings.weight", 2, 1, m->hidden);
	emit_norm(e, "norm", "LayerNorm", m->hidden);
	for (int i = 0; i < m->layers; i++) {
		char own[32];

		snprintf(own, sizeof own, "bert.%d.", i);
		set_official(e, own, "language_backbone.body.model.encoder.layer.%d.", i);
		emit_bert_layer(e, m->hidden, m->intermediate);
	}
}

static void emit_fusion(struct emitter *e, const struct rule_config *m)
{
	int64_t c = m->channels, h = m->hidden, d = m->fusion_dim;

	emit_vector(e, "gamma_v", "gamma_v", c);
	emit_vector(e, "gamma_l", "gamma_l", h);
	emit_norm(e, "norm_v", "layer_norm_v", c);
	emit_norm(e, "norm_l", "layer_norm_l", h);
	emit_layer(e, "v_proj", "attn.v_proj", d, 1, c);
	emit_layer(e, "l_proj", "attn.l_proj", d, 1, h);
	emit_layer(e, "values_v", "attn.values_v_proj", d, 1, c);
	emit_layer(e, "values_l", "attn.values_l_proj", d, 1, h);
	emit_layer(e, "out_v", "attn.out_v_proj", c, 1, d);
	emit_layer(e, "out_l", "attn.out_l_proj", h, 1, d);
}

static void emit_dyconv(struct emitter *e, int64_t c)
{
	static const char *const branches[] = {"coarse", "same", "fine"};
	char own[32], official[32];

	emit_layer(e, "offset", "offset", 27, 9, c);
	for (int i = 0; i < 3; i++) {
		snprintf(own, sizeof own, "%s.conv", branches[i]);
		snprintf(official, sizeof official, "DyConv.%d.conv", i);
		emit_layer(e, own, official, c, 9, c);
		snprintf(own, sizeof own, "%s.norm", branches[i]);
		snprintf(official, sizeof official, "DyConv.%d.bn", i);
		emit_norm(e, own, official, c);
	}
	emit_layer(e, "attn", "AttnConv.1", 1, 1, c);
	emit_layer(e, "relu.down", "relu.fc.0", c / 4, 1, c);
	emit_layer(e, "relu.up", "relu.fc.2", 4 * c, 1, c / 4);
}

static void emit_head(struct emitter *e, const struct rule_config *m)
{
	int64_t c = m->channels, h = m->hidden;
	int step = m->fusion ? 3 : 1;
	char own[32];

	for (int i = 0; i < m->head_layers; i++) {
		if (m->fusion) {
			snprintf(own, sizeof own, "head.%d.fuse.", i);
			set_official(e, own, "rpn.head.dyhead_tower.%d.b_attn.", 3 * i);
			emit_fusion(e, m);
			snprintf(own, sizeof own, "head.%d.bert.", i);
			set_official(e, own, "rpn.head.dyhead_tower.%d.", 3 * i + 1);
			emit_bert_layer(e, h, m->intermediate);
		}
		snprintf(own, sizeof own, "head.%d.dyconv.", i);
		set_official(e, own, "rpn.head.dyhead_tower.%d.", step * i + step - 1);
		emit_dyconv(e, c);
	}
	set_official(e, "head.", "rpn.head.");
	emit_layer(e, "box", "bbox_pred", 4, 1, c);
	emit_layer(e, "centerness", "centerness", 1, 1, c);
	emit_parts(e, "scale", "scales", 5, 1, 1, 1, 1);
	emit_layer(e, "dot", "dot_product_projection_text", c, 1, h);
	emit_vector(e, "dot.log_scale", "log_scale", 1);
	emit_vector(e, "dot.bias_lang", "bias_lang", h);
	emit_vector(e, "dot.bias0", "bias0", 1);
}

/* ---- The file --------------------------------------------------------------------------------------------------- */

static void emit_all(struct emitter *e, const struct rule_config *m, unsigned parts)
{
	if (parts & RULE_SWIN)
		emit_swin(e, m);
	if (parts & RULE_FPN)
		emit_fpn(e, m);
	if (parts & RULE_BERT)
		emit_bert(e, m);
	if (parts & RULE_HEAD)
		emit_head(e, m);
}

static bool put_metadata(struct weights_writer *w, const struct rule_config *m)
{
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {
		{"glip.swin.embed_dim", m->embed_dim},
		{"glip.swin.window", m->window},
		{"glip.bert.vocab", m->vocab},
		{"glip.bert.hidden", m->hidden},
		{"glip.bert.layers", m->layers},
		{"glip.bert.heads", m->bert_heads},
		{"glip.bert.intermediate", m->intermediate},
		{"glip.bert.max_tokens", 256},
		{"glip.head.channels", m->channels},
		{"glip.head.layers", m->head_layers},
		{"glip.head.fusion_dim", m->fusion_dim},
		{"glip.head.fusion_heads", m->fusion_heads},
		{"glip.head.groups", m->groups},
	};
	int64_t depths[4], heads[4];

	for (int s = 0; s < 4; s++) {
		depths[s] = m->depths[s];
		heads[s] = m->heads[s];
	}
	if (glip__weights_put_text(w, "general.name", m->name) ||
	    glip__weights_put_ints(w, "glip.swin.depths", depths, 4) ||
	    glip__weights_put_ints(w, "glip.swin.heads", heads, 4) ||
	    glip__weights_put_bool(w, "glip.head.fusion", m->fusion))
		return false;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (glip__weights_put_int(w, numbers[i].key, numbers[i].value))
			return false;
	return true;
}

/* The first `count` lines. */
static bool put_vocabulary(struct weights_writer *w, const char *vocabulary, int count)
{
	struct weights_text *texts = calloc((size_t)count, sizeof *texts);
	const char *line = vocabulary, *end;
	int n = 0;
	bool good;

	for (; texts != NULL && n < count && (end = strchr(line, '\n')) != NULL; line = end + 1)
		texts[n++] = (struct weights_text){line, (size_t)(end - line)};
	good = n == count && glip__weights_put_texts(w, "tokenizer.ggml.tokens", texts, (size_t)n) == GLIP_OK;
	free(texts);
	return good;
}

static bool write_file(const char *path, const struct rule_config *config, uint64_t seed, unsigned parts,
                       const char *vocabulary)
{
	struct emitter e = {.seed = seed, .i8 = config->i8};

	e.good = glip__weights_writer_create(path, NULL, &e.writer, &e.err) == GLIP_OK && put_metadata(e.writer, config) &&
	         (vocabulary == NULL || put_vocabulary(e.writer, vocabulary, config->vocab));
	emit_all(&e, config, parts);
	e.writing = true;
	emit_all(&e, config, parts);
	e.good = e.good && glip__weights_writer_commit(e.writer, &e.err) == GLIP_OK;
	glip__weights_writer_free(e.writer);
	if (!e.good)
		fprintf(stderr, "%s: %s\n", path, e.err.message);
	return e.good;
}

bool rule_weights_write(const char *path, const struct rule_config *config, uint64_t seed, unsigned parts)
{
	char *vocabulary = NULL;
	size_t size;
	bool good;

	if (parts & RULE_VOCABULARY) {
		vocabulary = test_read_file("weights/bert-base-uncased-vocab.txt", &size);
		if (vocabulary == NULL)
			return false;
	}
	good = write_file(path, config, seed, parts, vocabulary);
	free(vocabulary);
	return good;
}

bool rule_model_write(const char *path, const struct rule_config *config, uint64_t seed, const char *vocabulary)
{
	return write_file(path, config, seed, RULE_ALL, vocabulary);
}
