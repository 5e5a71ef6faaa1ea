/* Prompts whose labels are the noun phrases of a caption. */
#include <string.h>

#include "glip/options.h"
#include "glip/prompt.h"
#include "glip/session.h"

static bool same_words(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++) {
		char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
		char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
		if (x != y)
			return false;
	}
	return *a == *b;
}

/* Labels in the order of the phrases; with `merge` equal ones share a label. spans has room for every phrase and holds
 * each label's spans side by side. Returns the number of labels. */
static size_t group_phrases(const struct glip_phrase *phrases, size_t count, bool merge, struct glip_label *labels,
                            struct glip_span *spans)
{
	size_t label_count = 0, used = 0;
	for (size_t i = 0; i < count; i++) {
		bool seen = false;
		for (size_t j = 0; merge && !seen && j < i; j++)
			seen = same_words(phrases[i].text, phrases[j].text);
		if (seen)
			continue;
		struct glip_label *l = &labels[label_count++];
		*l = (struct glip_label){.text = phrases[i].text, .spans = &spans[used]};
		for (size_t j = i; j < count; j++) {
			if (j == i || (merge && same_words(phrases[i].text, phrases[j].text))) {
				spans[used++] = phrases[j].span;
				l->span_count++;
			}
		}
	}
	return label_count;
}

enum glip_status glip_prompt_caption(struct glip_session *session, const char *caption,
                                     const struct glip_prompt_options *options, struct glip_prompt **out,
                                     struct glip_error *err)
{
	if (out != NULL)
		*out = NULL;
	if (out == NULL || session == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_prompt_caption: %s is NULL", out == NULL ? "out" : "session");
	struct glip_prompt_options o;
	glip_prompt_options_init(&o);
	TRY(OPTIONS_COPY(&o, options, "glip_prompt_options", err));
	struct glip_phrases *found = NULL;
	TRY(glip_phrases_create(caption, &session->allocator, &found, err));
	size_t count = 0;
	const struct glip_phrase *phrases = glip_phrases_list(found, &count);
	struct glip_label *labels = glip__malloc(&session->allocator, count, sizeof *labels);
	struct glip_span *spans = glip__malloc(&session->allocator, count, sizeof *spans);
	enum glip_status status;
	if (labels == NULL || spans == NULL) {
		status = glip__fail_nomem(err, "labels", count * sizeof *labels);
	} else {
		size_t label_count = group_phrases(phrases, count, o.merge_phrases != 0, labels, spans);
		status = glip_prompt_labels(session, caption, labels, label_count, &o, out, err);
	}
	glip__free(&session->allocator, labels);
	glip__free(&session->allocator, spans);
	glip_phrases_free(found);
	return status;
}

size_t glip_prompt_label_count(const struct glip_prompt *prompt)
{
	return prompt != NULL ? prompt->label_count : 0;
}

const struct glip_label *glip_prompt_label(const struct glip_prompt *prompt, size_t label)
{
	return prompt != NULL && label < prompt->label_count ? &prompt->labels[label].label : NULL;
}

size_t glip_prompt_chunk_count(const struct glip_prompt *prompt)
{
	return prompt != NULL ? prompt->chunk_count : 0;
}

const char *glip_prompt_chunk_caption(const struct glip_prompt *prompt, size_t chunk)
{
	return prompt != NULL && chunk < prompt->chunk_count ? prompt->chunks[chunk].caption : NULL;
}

size_t glip_prompt_label_chunk(const struct glip_prompt *prompt, size_t label)
{
	return prompt != NULL && label < prompt->label_count ? prompt->labels[label].chunk : 0;
}

const int32_t *glip_prompt_chunk_tokens(const struct glip_prompt *prompt, size_t chunk, size_t *count)
{
	bool ok = prompt != NULL && chunk < prompt->chunk_count;
	if (count != NULL)
		*count = ok ? prompt->chunks[chunk].tokens : 0;
	return ok ? prompt->chunks[chunk].ids : NULL;
}

const char *glip_prompt_warning(const struct glip_prompt *prompt, size_t index)
{
	return prompt != NULL && index < prompt->warning_count ? prompt->warnings[index] : NULL;
}
