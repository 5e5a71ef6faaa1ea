#include "convert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "tensor/weights.h"

static const char word_embedding[] = "bert.embed.word.weight";
static const char word_rows[] = "bert.embed.word.rows";

/* One conversion on its way. */
struct conversion {
	const struct convert_options *options;
	const struct glip_allocator *allocator;
	struct glip_error *err;
	struct checkpoint checkpoint;
	struct official_names names;
	struct model_sizes sizes;
	struct buf targets; /* struct target */
	size_t target_count;
	int32_t *rows; /* of each token, where equal rows of the word embedding are stored once; else NULL */
	size_t unique_rows;
	struct weights_writer *writer;
	struct convert_summary *summary;
	uint64_t done;
};

static const struct target *target_at(const struct conversion *cv, size_t index)
{
	return (const struct target *)(const void *)cv->targets.data + index;
}

/* ---- What is there and what is not ---------------------------------------------------------------------------------
 */

/* Official name of part k of a target. */
static void source_name(const struct target *t, int k, char out[128])
{
	char *mark;

	memcpy(out, t->source, sizeof(t->source));
	mark = strchr(out, '#');
	if (mark != NULL)
		*mark = (char)('0' + k);
}

static bool same_shape(const struct target *t, const struct checkpoint_tensor *s)
{
	int64_t count = 1;

	for (int i = 0; i < t->ndim; i++)
		count *= t->shape[i];
	/* A single number is stored as [1] or without dimensions. */
	if (count == 1 && s->count == 1)
		return true;
	if (t->ndim != s->ndim)
		return false;
	for (int i = 0; i < t->ndim; i++)
		if (t->shape[i] != s->shape[i])
			return false;
	return true;
}

static void shape_text(const int64_t *shape, int ndim, char *out, size_t size)
{
	struct tensor t = {.ndim = ndim < TENSOR_MAX_DIMS ? ndim : TENSOR_MAX_DIMS};

	memcpy(t.shape, shape, (size_t)t.ndim * sizeof(*shape));
	glip__tensor_shape_text(&t, out, size);
}

/* Adds to the list of the first names for the final message. */
static void note(struct buf *list, size_t problems, const char *name)
{
	if (problems <= 3)
		(void)(glip__buf_puts(list, problems > 1 ? ", " : "") && glip__buf_puts(list, name));
}

static void check_part(struct conversion *cv, const struct target *t, int part, struct buf *list, size_t *problems)
{
	const struct logger *log = &cv->options->log;
	const struct checkpoint_tensor *s;
	char name[128], have[96], want[96];
	size_t index;

	source_name(t, part, name);
	s = official_names_find(&cv->names, name, &index);
	if (s != NULL)
		cv->names.used[index] = 1;
	if (s != NULL && s->problem == NULL && element_is_float(s->element) && same_shape(t, s))
		return;
	note(list, ++*problems, name);
	if (s == NULL) {
		glip__log(log, GLIP_LOG_ERROR, "tensor %s is missing", name);
	} else if (s->problem != NULL) {
		glip__log(log, GLIP_LOG_ERROR, "tensor %s %s", s->name, s->problem);
	} else if (!element_is_float(s->element)) {
		glip__log(log, GLIP_LOG_ERROR, "tensor %s holds %s, expected floating point", s->name,
		          element_name(s->element));
	} else {
		shape_text(s->shape, s->ndim, have, sizeof(have));
		shape_text(t->shape, t->ndim, want, sizeof(want));
		glip__log(log, GLIP_LOG_ERROR, "tensor %s is %s%s, expected %s", s->name, have,
		          s->ndim > TENSOR_MAX_DIMS ? "x..." : "", want);
	}
}

static enum glip_status match_tensors(struct conversion *cv)
{
	struct buf list = {.allocator = cv->allocator};
	enum glip_status status = GLIP_OK;
	struct target t;
	size_t problems = 0;

	for (; name_map_target(&cv->sizes, cv->target_count, &t); cv->target_count++) {
		int parts = t.transform == TRANSFORM_STACK ? MAP_LEVELS : 1;
		if (!glip__buf_append(&cv->targets, &t, sizeof(t)))
			TRY_OUT(glip__fail_nomem(cv->err, "the list of tensors", cv->targets.length));
		for (int k = 0; k < parts; k++)
			check_part(cv, &t, k, &list, &problems);
	}
	for (size_t i = 0; i < cv->checkpoint.count; i++) {
		if (cv->names.used[i] || name_map_ignored(official_names_at(&cv->names, i)))
			continue;
		cv->summary->warnings++;
		glip__log(&cv->options->log, GLIP_LOG_WARNING, "tensor %s is unknown and left out",
		          checkpoint_at(&cv->checkpoint, i)->name);
	}
	if (problems > 0)
		status = glip__fail(cv->err, GLIP_ERR_MODEL, "%s: %zu tensor%s missing, unreadable or of the wrong shape: %s%s",
		                    cv->options->in, problems, problems > 1 ? "s are" : " is",
		                    list.data != NULL ? list.data : "", problems > 3 ? ", ..." : "");
out:
	glip__buf_free(&list);
	return status;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static int64_t target_count(const struct target *t)
{
	int64_t count = 1;

	for (int i = 0; i < t->ndim; i++)
		count *= t->shape[i];
	return count;
}

/* The target's values as float32 in its final order, from the allocator. */
static enum glip_status read_values(struct conversion *cv, const struct target *t, float **out)
{
	const struct glip_allocator *a = cv->allocator;
	size_t count = (size_t)target_count(t), parts = t->transform == TRANSFORM_STACK ? MAP_LEVELS : 1, index = 0;
	enum glip_status status = GLIP_OK;
	float *values = glip__malloc(a, count * parts, sizeof(*values)), *moved = NULL;
	bool move;

	*out = NULL;
	if (values == NULL)
		TRY_OUT(glip__fail_nomem(cv->err, t->name, count * sizeof(*values)));
	for (size_t k = 0; k < parts; k++) {
		char name[128];
		source_name(t, (int)k, name);
		TRY_OUT(checkpoint_read(&cv->checkpoint, official_names_find(&cv->names, name, &index), values + k * count,
		                        cv->err));
	}
	move = t->transform == TRANSFORM_TAPS || (t->transform == TRANSFORM_MERGE && cv->names.reordered[index]);
	if (move) {
		moved = glip__malloc(a, count, sizeof(*moved));
		if (moved == NULL)
			TRY_OUT(glip__fail_nomem(cv->err, t->name, count * sizeof(*moved)));
		if (t->transform == TRANSFORM_TAPS)
			convert_taps(values, moved, (size_t)t->shape[0], (size_t)t->shape[1], (size_t)(t->shape[2] * t->shape[3]));
		else
			convert_merge(values, moved, t->ndim == 2 ? (size_t)t->shape[0] : 1, (size_t)t->shape[t->ndim - 1] / 4);
	}
	*out = move ? moved : values;
	glip__free(a, move ? values : NULL);
	return GLIP_OK;
out:
	glip__free(a, values);
	glip__free(a, moved);
	return status;
}

/* How a target's values are stored. */
static enum dtype stored_type(const struct conversion *cv, const struct target *t)
{
	if (!t->matrix || (t->exact && cv->options->type == DTYPE_I8))
		return DTYPE_F32;
	return cv->options->type;
}

/* bf16 in place: the first half of the buffer. */
static void narrow_to_bf16(float *values, size_t count)
{
	uint8_t *bytes = (uint8_t *)values;

	for (size_t i = 0; i < count; i++) {
		uint16_t h = bf16_from_f32(values[i]);
		bytes[2 * i] = (uint8_t)h;
		bytes[2 * i + 1] = (uint8_t)(h >> 8);
	}
}

/* i8 in place: the first quarter of the buffer; the scales of the rows from the allocator. */
static enum glip_status narrow_to_i8(struct conversion *cv, const char *name, float *values, size_t rows, size_t cols,
                                     float **out)
{
	float *scale = glip__malloc(cv->allocator, rows, sizeof(*scale));

	if (scale == NULL)
		return glip__fail_nomem(cv->err, name, rows * sizeof(*scale));
	for (size_t r = 0; r < rows; r++)
		scale[r] = i8_from_f32(values + r * cols, cols, (int8_t *)values + r * cols);
	*out = scale;
	return GLIP_OK;
}

/* Tokens that were never trained share one vector: equal rows are stored once where that saves more than half. */
static enum glip_status find_equal_rows(struct conversion *cv)
{
	const struct glip_allocator *a = cv->allocator;
	size_t count = (size_t)cv->sizes.vocab, width = (size_t)cv->sizes.hidden;
	enum glip_status status = GLIP_OK;
	float *values = NULL;

	for (size_t i = 0; i < cv->target_count; i++)
		if (strcmp(target_at(cv, i)->name, word_embedding) == 0)
			TRY_OUT(read_values(cv, target_at(cv, i), &values));
	cv->rows = glip__malloc(a, count, sizeof(*cv->rows));
	if (values == NULL || cv->rows == NULL || !convert_equal_rows(a, values, count, width, cv->rows, &cv->unique_rows))
		TRY_OUT(glip__fail_nomem(cv->err, "the rows of the word embedding", count * sizeof(*cv->rows)));
	if (cv->unique_rows * 2 >= count) {
		glip__free(a, cv->rows);
		cv->rows = NULL;
	}
out:
	glip__free(a, values);
	return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

static enum glip_status put_vocabulary(struct conversion *cv)
{
	const struct convert_options *o = cv->options;
	size_t count = convert_vocab_lines(o->vocab, o->vocab_size, NULL), bad;
	enum glip_status status = GLIP_OK;
	struct strmap_entry *lines;
	struct weights_text *texts;

	if (count != (size_t)cv->sizes.vocab)
		return glip__fail(cv->err, GLIP_ERR_MODEL,
		                  "%s: the vocabulary has %zu tokens, the model %" PRId64 " word embeddings", o->vocab_name,
		                  count, cv->sizes.vocab);
	lines = glip__malloc(cv->allocator, count, sizeof(*lines));
	texts = glip__malloc(cv->allocator, count, sizeof(*texts));
	if (lines == NULL || texts == NULL)
		TRY_OUT(glip__fail_nomem(cv->err, "the vocabulary", count * sizeof(*texts)));
	convert_vocab_lines(o->vocab, o->vocab_size, lines);
	for (size_t i = 0; i < count; i++) {
		if (lines[i].length == 0 || glip__utf8_count(lines[i].text, lines[i].length, &bad) < 0)
			TRY_OUT(glip__fail(cv->err, GLIP_ERR_FORMAT, "%s: line %zu is empty or not UTF-8", o->vocab_name, i + 1));
		texts[i] = (struct weights_text){lines[i].text, lines[i].length};
	}
	status = glip__weights_put_texts(cv->writer, "tokenizer.ggml.tokens", texts, count);
	if (status != GLIP_OK)
		status = glip__fail_nomem(cv->err, "the vocabulary", o->vocab_size);
out:
	glip__free(cv->allocator, lines);
	glip__free(cv->allocator, texts);
	return status;
}

static enum glip_status put_metadata(struct conversion *cv)
{
	const struct model_sizes *m = &cv->sizes;
	struct weights_writer *w = cv->writer;
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {
		{"glip.swin.embed_dim", m->embed_dim},
		{"glip.swin.window", m->window},
		{"glip.bert.vocab", m->vocab},
		{"glip.bert.hidden", m->hidden},
		{"glip.bert.layers", m->bert_layers},
		{"glip.bert.heads", m->bert_heads},
		{"glip.bert.intermediate", m->intermediate},
		{"glip.bert.max_tokens", m->max_tokens},
		{"glip.head.channels", m->channels},
		{"glip.head.layers", m->head_layers},
		{"glip.head.fusion_dim", m->fusion_dim},
		{"glip.head.fusion_heads", m->fusion_heads},
		{"glip.head.groups", m->groups},
	};

	TRY(glip__weights_put_text(w, "general.name", cv->summary->variant));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		TRY(glip__weights_put_int(w, numbers[i].key, numbers[i].value));
	if (m->short_side > 0)
		TRY(glip__weights_put_int(w, "glip.input.short_side", m->short_side));
	if (m->long_side > 0)
		TRY(glip__weights_put_int(w, "glip.input.long_side", m->long_side));
	TRY(glip__weights_put_ints(w, "glip.swin.depths", m->depths, MAP_STAGES));
	TRY(glip__weights_put_ints(w, "glip.swin.heads", m->heads, MAP_STAGES));
	TRY(glip__weights_put_bool(w, "glip.head.fusion", m->fusion));
	return glip__weights_put_text(w, "tokenizer.ggml.model", "bert");
}

static enum glip_status declare_tensor(struct conversion *cv, const char *name, const struct tensor *t)
{
	int64_t count = 0;

	TRY(glip__weights_declare(cv->writer, name, t, cv->err));
	(void)glip__tensor_count(t, &count);
	cv->summary->bytes += (uint64_t)count * glip__dtype_size(t->dtype);
	cv->summary->tensors++;
	return GLIP_OK;
}

/* A target and what goes with it. */
static enum glip_status declare(struct conversion *cv, const struct target *t)
{
	struct tensor d = {.ndim = t->ndim, .dtype = stored_type(cv, t)};

	memcpy(d.shape, t->shape, sizeof(d.shape));
	if (t->transform == TRANSFORM_TAPS) {
		d.ndim = 2;
		d.shape[1] = t->shape[1] * t->shape[2] * t->shape[3];
	} else if (t->transform == TRANSFORM_STACK) {
		d.shape[0] = MAP_LEVELS;
	}
	if (cv->rows != NULL && strcmp(t->name, word_embedding) == 0) {
		TRY(declare_tensor(cv, word_rows, &(struct tensor){.ndim = 1, .shape = {d.shape[0]}, .dtype = DTYPE_I32}));
		d.shape[0] = (int64_t)cv->unique_rows;
	}
	TRY(declare_tensor(cv, t->name, &d));
	int64_t count = 0;
	(void)glip__tensor_count(&d, &count);
	cv->summary->parameters += (uint64_t)count;
	if (d.dtype != DTYPE_I8)
		return GLIP_OK;
	char name[sizeof(t->name) + sizeof(WEIGHTS_SCALE_SUFFIX)];
	snprintf(name, sizeof(name), "%s" WEIGHTS_SCALE_SUFFIX, t->name);
	return declare_tensor(cv, name, &(struct tensor){.ndim = 1, .shape = {d.shape[0]}, .dtype = DTYPE_F32});
}

/* Moves the first row of each number to its place; numbers rise with their first rows, so nothing is overwritten. */
static void compact_rows(const struct conversion *cv, float *values)
{
	size_t width = (size_t)cv->sizes.hidden;
	int32_t next = 0;

	for (size_t i = 0; i < (size_t)cv->sizes.vocab; i++) {
		if (cv->rows[i] != next)
			continue;
		memmove(values + (size_t)next * width, values + i * width, width * sizeof(*values));
		next++;
	}
}

/* 8-bit integers cannot stand for numbers that are not finite, the other types can. */
static enum glip_status check_finite(struct conversion *cv, const struct target *t, const float *values, size_t count)
{
	size_t i = 0;

	while (i < count && values[i] - values[i] == 0.0f)
		i++;
	if (i == count)
		return GLIP_OK;
	if (stored_type(cv, t) == DTYPE_I8)
		return glip__fail(cv->err, GLIP_ERR_MODEL, "%s: tensor %s holds numbers that are not finite, which i8 lacks",
		                  cv->options->in, t->name);
	cv->summary->warnings++;
	glip__log(&cv->options->log, GLIP_LOG_WARNING, "tensor %s holds numbers that are not finite", t->name);
	return GLIP_OK;
}

static enum glip_status write_target(struct conversion *cv, const struct target *t)
{
	size_t count = (size_t)target_count(t) * (t->transform == TRANSFORM_STACK ? MAP_LEVELS : 1);
	size_t rows = (size_t)t->shape[0];
	enum dtype type = stored_type(cv, t);
	enum glip_status status = GLIP_OK;
	float *values, *scale = NULL;

	TRY(read_values(cv, t, &values));
	TRY_OUT(check_finite(cv, t, values, count));
	if (cv->rows != NULL && strcmp(t->name, word_embedding) == 0) {
		TRY_OUT(glip__weights_write(cv->writer, cv->rows, cv->err));
		compact_rows(cv, values);
		rows = cv->unique_rows;
		count = rows * (size_t)cv->sizes.hidden;
		cv->done += (uint64_t)cv->sizes.vocab * 4;
	}
	if (type == DTYPE_BF16)
		narrow_to_bf16(values, count);
	else if (type == DTYPE_I8)
		TRY_OUT(narrow_to_i8(cv, t->name, values, rows, count / rows, &scale));
	TRY_OUT(glip__weights_write(cv->writer, values, cv->err));
	cv->done += count * glip__dtype_size(type);
	if (scale != NULL) {
		TRY_OUT(glip__weights_write(cv->writer, scale, cv->err));
		cv->done += rows * sizeof(*scale);
	}
out:
	glip__free(cv->allocator, values);
	glip__free(cv->allocator, scale);
	return status;
}

static enum glip_status write_file(struct conversion *cv)
{
	const struct convert_options *o = cv->options;
	enum glip_status status;

	TRY(glip__weights_writer_create(o->out, cv->allocator, &cv->writer, cv->err));
	status = put_metadata(cv);
	if (status != GLIP_OK)
		return glip__fail_nomem(cv->err, "the metadata", 0);
	TRY(put_vocabulary(cv));
	for (size_t i = 0; i < cv->target_count; i++)
		TRY(declare(cv, target_at(cv, i)));
	for (size_t i = 0; i < cv->target_count; i++) {
		if (o->progress != NULL && o->progress(o->progress_user, cv->done, cv->summary->bytes) != 0)
			return glip__fail(cv->err, GLIP_ERR_CANCELLED, "interrupted; %s was not written", o->out);
		TRY(write_target(cv, target_at(cv, i)));
	}
	if (o->progress != NULL && o->progress(o->progress_user, cv->done, cv->summary->bytes) != 0)
		return glip__fail(cv->err, GLIP_ERR_CANCELLED, "interrupted; %s was not written", o->out);
	return glip__weights_writer_commit(cv->writer, cv->err);
}

static enum glip_status convert(struct conversion *cv)
{
	const struct convert_options *o = cv->options;
	const char *name;

	TRY(checkpoint_open(o->in, cv->allocator, &cv->checkpoint, cv->err));
	cv->summary->format = cv->checkpoint.format;
	TRY(official_names_init(&cv->names, &cv->checkpoint, cv->err));
	TRY(sizes_derive(&cv->names, &o->settings, &cv->sizes, cv->err));
	cv->summary->sizes = cv->sizes;
	name = o->name != NULL ? o->name : sizes_variant(&cv->sizes);
	snprintf(cv->summary->variant, sizeof(cv->summary->variant), "%s", name);
	TRY(match_tensors(cv));
	TRY(find_equal_rows(cv));
	return write_file(cv);
}

enum glip_status convert_checkpoint(const struct convert_options *options, struct convert_summary *summary,
                                    struct glip_error *err)
{
	struct glip_allocator a = glip__allocator_or_default(options->allocator);
	struct conversion cv = {.options = options,
	                        .allocator = &a,
	                        .err = err,
	                        .summary = summary,
	                        .checkpoint = {.source = {.fd = -1}},
	                        .targets = {.allocator = &a}};
	enum glip_status status;

	memset(summary, 0, sizeof(*summary));
	status = convert(&cv);
	glip__weights_writer_free(cv.writer);
	glip__free(&a, cv.rows);
	glip__buf_free(&cv.targets);
	official_names_free(&cv.names);
	checkpoint_close(&cv.checkpoint);
	return status;
}
