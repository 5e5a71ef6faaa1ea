#include "glip/prompt.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "glip/clock.h"
#include "glip/options.h"
#include "glip/session.h"
#include "tokenizer/class_captions.h"
#include "tokenizer/spans.h"

void glip_prompt_options_init(struct glip_prompt_options *options)
{
	*options = (struct glip_prompt_options){.struct_size = sizeof *options, .separator = ". "};
}

void glip_prompt_free(struct glip_prompt *p)
{
	if (p == NULL)
		return;
	struct glip_allocator a = p->allocator;
	for (size_t i = 0; p->chunks != NULL && i < p->chunk_count; i++) {
		glip__free(&a, p->chunks[i].caption);
		glip__free(&a, p->chunks[i].ids);
		glip__free(&a, p->chunks[i].embedded);
	}
	for (size_t i = 0; p->labels != NULL && i < p->label_count; i++) {
		struct prompt_label *l = &p->labels[i];
		union {
			const void *in;
			void *out;
		} text = {l->label.text}, spans = {l->label.spans};
		glip__free(&a, text.out);
		glip__free(&a, spans.out);
		glip__free(&a, l->tokens);
	}
	for (size_t i = 0; i < p->warning_count; i++)
		glip__free(&a, p->warnings[i]);
	glip__free(&a, p->warnings);
	glip__free(&a, p->chunks);
	glip__free(&a, p->labels);
	glip__free(&a, p);
}

static enum glip_status new_prompt(const struct glip_session *s, size_t chunks, size_t labels,
                                   enum glip_aggregation aggregation, struct glip_prompt **out, struct glip_error *err)
{
	const struct glip_allocator *a = &s->allocator;
	struct glip_prompt *p = glip__calloc(a, 1, sizeof *p);
	if (p == NULL)
		return glip__fail_nomem(err, "a prompt", sizeof *p);
	p->allocator = *a;
	p->model = s->model;
	p->aggregation = aggregation;
	p->chunks = glip__calloc(a, chunks, sizeof *p->chunks);
	p->labels = glip__calloc(a, labels, sizeof *p->labels);
	*out = p;
	if (p->chunks == NULL || p->labels == NULL)
		return glip__fail_nomem(err, "a prompt", labels * sizeof *p->labels);
	p->chunk_count = chunks;
	p->label_count = labels;
	return GLIP_OK;
}

static enum glip_status warn(struct glip_prompt *p, struct glip_error *err, const char *before, const char *quoted,
                             size_t length, const char *after)
{
	struct buf b = {.allocator = &p->allocator};
	if (p->warning_count == p->warning_room) {
		size_t room = p->warning_room != 0 ? p->warning_room * 2 : 8;
		char **grown = glip__calloc(&p->allocator, room, sizeof *grown);
		if (grown == NULL)
			return glip__fail_nomem(err, "warnings", room * sizeof *grown);
		if (p->warning_count != 0)
			memcpy(grown, p->warnings, p->warning_count * sizeof *grown);
		glip__free(&p->allocator, p->warnings);
		p->warnings = grown;
		p->warning_room = room;
	}
	if (!glip__buf_puts(&b, before) || !glip__buf_append(&b, quoted, length) || !glip__buf_puts(&b, after)) {
		glip__buf_free(&b);
		return glip__fail_nomem(err, "a warning", length);
	}
	p->warnings[p->warning_count++] = b.data;
	return GLIP_OK;
}

/* The bytes of a span of a valid caption. */
static const char *span_bytes(const char *caption, struct glip_span span, size_t *length)
{
	size_t all = strlen(caption), begin = glip__utf8_offset(caption, all, (size_t)span.begin);
	size_t end = begin + glip__utf8_offset(caption + begin, all - begin, (size_t)(span.end - span.begin));
	*length = end - begin;
	return caption + begin;
}

/* Tells of every word that the vocabulary cannot spell. */
static enum glip_status warn_unknown(struct glip_prompt *p, const char *caption, const struct encoding *e,
                                     struct glip_error *err)
{
	int32_t unknown = glip__vocabulary_unknown(p->model->vocabulary);
	size_t known_cut = e->kept < e->count ? e->kept - 1 : e->kept;
	for (size_t i = 0; i < known_cut; i++) {
		if (e->tokens[i].id != unknown)
			continue;
		size_t length;
		const char *word = span_bytes(caption, e->tokens[i].span, &length);
		TRY(warn(p, err, "the model does not know the word \"", word, length, "\": it reads [UNK]"));
	}
	return GLIP_OK;
}

/* The tokens of a label's spans, each once and ascending. Those past the cut are left out and told of. */
static enum glip_status label_tokens(struct glip_prompt *p, struct prompt_label *l, const struct encoding *e,
                                     struct glip_error *err)
{
	size_t limit = e->kept - 1; /* the last kept token is [SEP] */
	uint8_t *covered = glip__calloc(&p->allocator, e->kept, 1);
	if (covered == NULL)
		return glip__fail_nomem(err, "a label's tokens", e->kept);
	bool cut = false;
	for (size_t i = 0; i < l->label.span_count; i++) {
		size_t first, last;
		if (!glip__span_tokens(e, l->label.spans[i], &first, &last))
			continue;
		cut |= last >= limit;
		for (size_t t = first; t <= last && t < limit; t++) {
			l->token_count += !covered[t];
			covered[t] = 1;
		}
	}
	l->tokens = glip__malloc(&p->allocator, l->token_count, sizeof *l->tokens);
	if (l->tokens == NULL) {
		glip__free(&p->allocator, covered);
		return glip__fail_nomem(err, "a label's tokens", l->token_count * sizeof *l->tokens);
	}
	size_t n = 0;
	for (size_t t = 0; t < e->kept; t++) {
		if (covered[t])
			l->tokens[n++] = (int32_t)t;
	}
	glip__free(&p->allocator, covered);
	const char *name = l->label.text;
	if (cut)
		return warn(p, err, "label \"", name, strlen(name),
		            n == 0 ? "\" lies past the tokens that the model reads: it will not be found"
		                   : "\" reaches past the tokens that the model reads: only its beginning counts");
	if (n == 0)
		return warn(p, err, "label \"", name, strlen(name), "\" covers no token: it will not be found");
	return GLIP_OK;
}

/* Copies a label into the prompt. Without a text, it is called by the words of its spans. */
static enum glip_status fill_label(struct glip_prompt *p, size_t index, size_t chunk, const struct glip_label *from,
                                   const struct encoding *e, struct glip_error *err)
{
	const struct glip_allocator *a = &p->allocator;
	const char *caption = p->chunks[chunk].caption;
	struct prompt_label *l = &p->labels[index];
	if (!(from->threshold >= 0 && from->threshold <= 1))
		return glip__fail(err, GLIP_ERR_ARGUMENT, "threshold %g of label %zu must be 0 (the call's) to 1",
		                  (double)from->threshold, index + 1);
	l->chunk = chunk;
	l->label.threshold = from->threshold;
	l->label.flags = from->flags;
	struct glip_span *spans = glip__malloc(a, from->span_count, sizeof *spans);
	if (spans == NULL)
		return glip__fail_nomem(err, "a label's spans", from->span_count * sizeof *spans);
	if (from->span_count != 0)
		memcpy(spans, from->spans, from->span_count * sizeof *spans);
	l->label.spans = spans;
	l->label.span_count = from->span_count;
	struct buf name = {.allocator = a};
	bool ok = from->text == NULL || glip__buf_puts(&name, from->text);
	for (size_t i = 0; from->text == NULL && ok && i < from->span_count; i++) {
		size_t length;
		const char *text = span_bytes(caption, spans[i], &length);
		ok = (i == 0 || glip__buf_puts(&name, " ")) && glip__buf_append(&name, text, length);
	}
	if (!ok || !glip__buf_puts(&name, "")) {
		glip__buf_free(&name);
		return glip__fail_nomem(err, "a label's name", name.length);
	}
	l->label.text = name.data;
	return label_tokens(p, l, e, err);
}

/* Prompt tuning: row t of the learned table is added to token t (modeling/rpn/vldyhead.py, tunable_linear). */
static enum glip_status add_tuning(struct glip_session *s, struct prompt_chunk *c)
{
	int hidden = s->model->hidden;
	float *row = glip__ops_floats(&s->ops, (size_t)hidden);
	if (row == NULL)
		return GLIP_ERR_NOMEM;
	for (size_t t = 0; t < c->tokens; t++) {
		glip__matrix_row(&s->model->prompt_tuning, hidden, (int64_t)t, row);
		for (int i = 0; i < hidden; i++)
			c->embedded[t * (size_t)hidden + (size_t)i] += row[i];
	}
	return GLIP_OK;
}

/* BERT's features of a chunk (modeling/language_backbone/bert_model.py). */
static enum glip_status encode_chunk(struct glip_session *s, struct prompt_chunk *c, const struct encoding *e,
                                     struct glip_error *err)
{
	const struct glip_model *m = s->model;
	c->tokens = e->kept;
	c->ids = glip__malloc(&s->allocator, e->kept, sizeof *c->ids);
	c->embedded = glip__malloc(&s->allocator, e->kept * (size_t)m->hidden, sizeof *c->embedded);
	if (c->ids == NULL || c->embedded == NULL)
		return glip__fail_nomem(err, "text features", e->kept * (size_t)m->hidden * sizeof *c->embedded);
	for (size_t i = 0; i + 1 < e->kept; i++)
		c->ids[i] = e->tokens[i].id;
	c->ids[e->kept - 1] = e->tokens[e->count - 1].id;
	/* A prompt is encoded once: weights packed for it are not worth the memory of keeping them. */
	struct ops ops = s->ops;
	ops.panels = NULL;
	TRY(glip__bert_forward(&m->bert, &ops, c->ids, (int64_t)c->tokens, c->embedded));
	s->ops.multiply_adds = ops.multiply_adds;
	glip__ops_stage(&s->ops, "bert");
	TRY(glip__session_complete(s));
	return m->prompt_tuning.data != NULL ? add_tuning(s, c) : GLIP_OK;
}

/* One chunk with its labels: labels[i] becomes label first_label + i of the prompt. */
static enum glip_status fill_chunk(struct glip_session *s, struct glip_prompt *p, size_t chunk, const char *caption,
                                   const struct glip_label *labels, size_t first_label, size_t count,
                                   struct glip_error *err)
{
	struct prompt_chunk *c = &p->chunks[chunk];
	c->first_label = first_label;
	c->label_count = count;
	c->caption = glip__strndup(&p->allocator, caption, strlen(caption));
	if (c->caption == NULL)
		return glip__fail_nomem(err, "a caption", strlen(caption));
	struct encoding e;
	TRY(glip__wordpiece_encode(s->model->vocabulary, caption, strlen(caption), (size_t)s->model->max_tokens,
	                           &p->allocator, &e, err));
	enum glip_status status = warn_unknown(p, caption, &e, err);
	for (size_t i = 0; status == GLIP_OK && i < count; i++)
		status = fill_label(p, first_label + i, chunk, &labels[i], &e, err);
	if (status == GLIP_OK)
		status = encode_chunk(s, c, &e, err);
	glip__encoding_free(&e);
	return status;
}

static enum glip_status copy_options(const struct glip_prompt_options *options, struct glip_prompt_options *out,
                                     struct glip_error *err)
{
	glip_prompt_options_init(out);
	TRY(OPTIONS_COPY(out, options, "glip_prompt_options", err));
	if (out->separator == NULL)
		out->separator = ". ";
	if (out->separator[0] == '\0')
		return glip__fail(err, GLIP_ERR_ARGUMENT, "separator is empty: names would run into each other");
	if (out->classes_per_pass < 0)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "classes_per_pass is %d: must be 0 (as many as fit) or more",
		                  out->classes_per_pass);
	if (out->aggregation != GLIP_SCORE_MEAN && out->aggregation != GLIP_SCORE_MAX)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "aggregation is %d: not a value of enum glip_aggregation",
		                  (int)out->aggregation);
	return GLIP_OK;
}

static enum glip_status check_out(const struct glip_session *session, struct glip_prompt **out, const char *what,
                                  struct glip_error *err)
{
	if (out == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s: out is NULL", what);
	*out = NULL;
	if (session == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s: session is NULL", what);
	return GLIP_OK;
}

/* Hands the finished prompt out, or frees what there is of it. */
static enum glip_status finish(struct glip_session *s, struct glip_prompt *p, enum glip_status status, double started,
                               struct glip_prompt **out)
{
	glip__session_end(s);
	if (status != GLIP_OK) {
		glip_prompt_free(p);
		return status;
	}
	p->text_ms = glip__clock_ms() - started;
	*out = p;
	return GLIP_OK;
}

static enum glip_status fill_from_classes(struct glip_session *s, const struct class_captions *captions,
                                          const struct glip_class *classes, struct glip_prompt *p,
                                          struct glip_error *err)
{
	for (size_t i = 0; i < captions->chunk_count; i++) {
		const struct class_chunk *c = &captions->chunks[i];
		struct glip_label *labels = glip__calloc(&s->allocator, c->class_count, sizeof *labels);
		if (labels == NULL)
			return glip__fail_nomem(err, "labels", c->class_count * sizeof *labels);
		for (size_t j = 0; j < c->class_count; j++) {
			const struct class_entry *entry = &captions->classes[c->first_class + j];
			const struct glip_class *class = &classes[c->first_class + j];
			labels[j] =
				(struct glip_label){entry->name, entry->spans, entry->span_count, class->threshold, class->flags};
		}
		enum glip_status status = glip__session_progress(s, (float)i / (float)captions->chunk_count);
		if (status == GLIP_OK)
			status = fill_chunk(s, p, i, c->caption, labels, c->first_class, c->class_count, err);
		glip__free(&s->allocator, labels);
		TRY(status);
	}
	return GLIP_OK;
}

enum glip_status glip_prompt_class_list(struct glip_session *session, const struct glip_class *classes, size_t count,
                                        const struct glip_prompt_options *options, struct glip_prompt **out,
                                        struct glip_error *err)
{
	TRY(check_out(session, out, "glip_prompt_class_list", err));
	struct glip_prompt_options o;
	TRY(copy_options(options, &o, err));
	if (count != 0 && classes == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_prompt_class_list: classes is NULL");
	double started = glip__clock_ms();
	struct class_captions captions;
	TRY(glip__class_captions_create(session->model->vocabulary, (size_t)session->model->max_tokens, classes, count, &o,
	                                &session->allocator, &captions, err));
	struct glip_prompt *p = NULL;
	glip__session_begin(session, err);
	enum glip_status status = new_prompt(session, captions.chunk_count, count, o.aggregation, &p, err);
	if (status == GLIP_OK)
		status = fill_from_classes(session, &captions, classes, p, err);
	glip__class_captions_free(&captions);
	return finish(session, p, status, started, out);
}

enum glip_status glip_prompt_classes(struct glip_session *session, const char *const *names, size_t count,
                                     const struct glip_prompt_options *options, struct glip_prompt **out,
                                     struct glip_error *err)
{
	TRY(check_out(session, out, "glip_prompt_classes", err));
	if (count != 0 && names == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_prompt_classes: names is NULL");
	struct glip_class *classes = glip__calloc(&session->allocator, count, sizeof *classes);
	if (classes == NULL)
		return glip__fail_nomem(err, "classes", count * sizeof *classes);
	for (size_t i = 0; i < count; i++)
		classes[i] = (struct glip_class){.names = &names[i], .name_count = 1};
	enum glip_status status = glip_prompt_class_list(session, classes, count, options, out, err);
	glip__free(&session->allocator, classes);
	return status;
}

static enum glip_status check_labels(const char *caption, const struct glip_label *labels, size_t count,
                                     struct glip_error *err)
{
	size_t bad = 0;
	if (caption == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "the caption is NULL");
	if (caption[strspn(caption, " \t\r\n")] == '\0')
		return glip__fail(err, GLIP_ERR_TEXT, "the caption is empty");
	int64_t length = glip__utf8_count(caption, strlen(caption), &bad);
	if (length < 0)
		return glip__fail(err, GLIP_ERR_TEXT, "the caption is not UTF-8 at byte %zu", bad);
	for (size_t i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof name, "label %zu", i + 1);
		if (labels[i].span_count == 0 || labels[i].spans == NULL)
			return glip__fail(err, GLIP_ERR_TEXT, "%s has no span", labels[i].text != NULL ? labels[i].text : name);
		for (size_t j = 0; j < labels[i].span_count; j++)
			TRY(glip__span_check(labels[i].spans[j], (size_t)length, labels[i].text != NULL ? labels[i].text : name,
			                     err));
	}
	return GLIP_OK;
}

enum glip_status glip_prompt_labels(struct glip_session *session, const char *caption, const struct glip_label *labels,
                                    size_t count, const struct glip_prompt_options *options, struct glip_prompt **out,
                                    struct glip_error *err)
{
	TRY(check_out(session, out, "glip_prompt_labels", err));
	struct glip_prompt_options o;
	TRY(copy_options(options, &o, err));
	if (count != 0 && labels == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_prompt_labels: labels is NULL");
	TRY(check_labels(caption, labels, count, err));
	struct glip_span all = {0, (int)glip__utf8_count(caption, strlen(caption), NULL)};
	struct glip_label whole = {.text = caption, .spans = &all, .span_count = 1};
	if (count == 0) {
		labels = &whole;
		count = 1;
	}
	double started = glip__clock_ms();
	struct glip_prompt *p = NULL;
	glip__session_begin(session, err);
	enum glip_status status = new_prompt(session, 1, count, o.aggregation, &p, err);
	if (status == GLIP_OK)
		status = fill_chunk(session, p, 0, caption, labels, 0, count, err);
	return finish(session, p, status, started, out);
}
