#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "ground.h"
#include "terminal.h"

/* ---- Class lists ------------------------------------------------------------------------------------------------- */

struct class_list {
	struct glip_class *classes;
	size_t count;
	struct text_list names; /* of all classes, side by side: class i owns classes[i].name_count of them */
	bool failed;
};

/* Cuts white space off both ends, in place. */
static char *trim(char *text)
{
	text += strspn(text, " \t\r\n");
	size_t n = strlen(text);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
		text[--n] = '\0';
	return text;
}

static void add_class(struct class_list *list, char *text, uint32_t flags)
{
	/* "sofa | couch": synonyms of one label. */
	size_t first = list->names.count;
	for (char *name = text; name != NULL;) {
		char *bar = strchr(name, '|');
		if (bar != NULL)
			*bar++ = '\0';
		list->failed |= !text_list_add(&list->names, trim(name));
		name = bar;
	}
	struct glip_class *classes = realloc(list->classes, (list->count + 1) * sizeof *classes);
	if (classes == NULL) {
		list->failed = true;
		return;
	}
	list->classes = classes;
	list->classes[list->count++] = (struct glip_class){.name_count = list->names.count - first, .flags = flags};
}

/* Splits at `separators`. An empty piece is kept, so that it is refused by its number instead of shifting the ids;
 * blank lines of a file and a separator at the end are no classes. */
static void add_classes(struct class_list *list, char *text, const char *separators, bool skip_blank, uint32_t flags)
{
	while (text != NULL) {
		char *end = strpbrk(text, separators);
		if (end != NULL)
			*end++ = '\0';
		bool blank = text[strspn(text, " \t\r\n")] == '\0';
		if (!blank || (!skip_blank && end != NULL))
			add_class(list, text, flags);
		text = end;
	}
}

static bool set_thresholds(const struct ground_settings *g, struct class_list *list)
{
	for (size_t i = 0; i < g->label_thresholds.count; i++) {
		const char *item = g->label_thresholds.items[i], *equals = strrchr(item, '=');
		char *end = NULL;
		double value = equals != NULL ? strtod(equals + 1, &end) : -1;
		if (equals == NULL || end == equals + 1 || *end != '\0' || !(value > 0 && value <= 1)) {
			say("--label-threshold: '%s' is not NAME=VALUE with a value above 0 and at most 1", item);
			return false;
		}
		bool found = false;
		for (size_t c = 0; c < list->count; c++) {
			const char *name = list->classes[c].names[0];
			if (strlen(name) == (size_t)(equals - item) && memcmp(name, item, strlen(name)) == 0) {
				list->classes[c].threshold = (float)value;
				found = true;
			}
		}
		if (!found) {
			say("--label-threshold: there is no class '%.*s'", (int)(equals - item), item);
			return false;
		}
	}
	return true;
}

static struct glip_prompt *from_classes(const struct ground_settings *g, struct glip_session *session,
                                        const struct glip_prompt_options *options)
{
	struct class_list list = {0};
	struct glip_prompt *prompt = NULL;
	char *file = NULL, *names = NULL, *negatives = NULL;
	if (g->classes != NULL && (names = strdup(g->classes)) != NULL)
		add_classes(&list, names, ",", false, 0);
	if (g->classes_file != NULL) {
		file = read_text_file(g->classes_file);
		if (file == NULL)
			goto out;
		add_classes(&list, file, "\n", true, 0);
	}
	if (g->negatives != NULL && (negatives = strdup(g->negatives)) != NULL)
		add_classes(&list, negatives, ",", false, GLIP_LABEL_NEGATIVE);
	for (size_t c = 0, first = 0; c < list.count; first += list.classes[c++].name_count)
		list.classes[c].names = list.names.items + first;
	if (list.failed || (g->classes != NULL && names == NULL) || (g->negatives != NULL && negatives == NULL)) {
		say("out of memory for the class list");
	} else if (list.count == 0) {
		say("%s: no class named", g->classes_file != NULL ? g->classes_file : "--classes");
	} else if (set_thresholds(g, &list)) {
		struct glip_error err;
		if (glip_prompt_class_list(session, list.classes, list.count, options, &prompt, &err) != GLIP_OK)
			say("%s", err.message);
	}
out:
	free(file);
	free(names);
	free(negatives);
	free(list.classes);
	text_list_free(&list.names);
	return prompt;
}

/* ---- Captions ---------------------------------------------------------------------------------------------------- */

/* "B:E[,B:E]..." to spans; false after a message. */
static bool parse_spans(const char *text, struct glip_span *spans, size_t *count)
{
	*count = 0;
	for (const char *at = text;;) {
		char *end;
		long b = strtol(at, &end, 10);
		if (end == at || *end != ':' || b < -1000000000 || b > 1000000000)
			break;
		at = end + 1;
		long e = strtol(at, &end, 10);
		if (end == at || (*end != ',' && *end != '\0') || e < -1000000000 || e > 1000000000)
			break;
		spans[(*count)++] = (struct glip_span){(int)b, (int)e};
		if (*end == '\0')
			return true;
		at = end + 1;
	}
	say("--span: '%s' is not BEGIN:END[,BEGIN:END]... in characters of the caption", text);
	return false;
}

static struct glip_prompt *from_caption(const struct ground_settings *g, struct glip_session *session,
                                        const struct glip_prompt_options *options)
{
	size_t phrases = g->phrases.count, count = phrases + g->spans.count, room = phrases;
	for (size_t i = 0; i < g->spans.count; i++)
		room += strlen(g->spans.items[i]) / 3 + 1; /* "1:2" is the shortest */
	struct glip_label *labels = calloc(count + 1, sizeof *labels);
	struct glip_span *spans = calloc(room + 1, sizeof *spans);
	struct glip_prompt *prompt = NULL;
	struct glip_error err;
	struct glip_span *next = spans;
	if (labels == NULL || spans == NULL) {
		say("out of memory for the labels");
		goto out;
	}
	for (size_t i = 0; i < phrases; i++) {
		if (glip_find_phrase(g->caption, g->phrases.items[i], next, &err) != GLIP_OK) {
			say("--phrase: %s", err.message);
			goto out;
		}
		labels[i] = (struct glip_label){.text = g->phrases.items[i], .spans = next++, .span_count = 1};
	}
	for (size_t i = 0; i < g->spans.count; i++) {
		size_t n;
		if (!parse_spans(g->spans.items[i], next, &n))
			goto out;
		labels[phrases + i] = (struct glip_label){.spans = next, .span_count = n};
		next += n;
	}
	enum glip_status status = count != 0 || g->whole_caption
	                              ? glip_prompt_labels(session, g->caption, labels, count, options, &prompt, &err)
	                              : glip_prompt_caption(session, g->caption, options, &prompt, &err);
	if (status != GLIP_OK)
		say("%s", err.message);
out:
	free(labels);
	free(spans);
	return prompt;
}

struct glip_prompt *ground_prompt(const struct ground_settings *g, struct glip_session *session)
{
	struct glip_prompt_options o;
	glip_prompt_options_init(&o);
	if (g->demo_style) {
		o.separator = " . ";
		o.trailing_separator = 1;
	}
	if (g->separator != NULL)
		o.separator = g->separator;
	o.prefix = g->prefix;
	o.suffix = g->suffix;
	o.classes_per_pass = g->chunk;
	o.aggregation = g->score_mode == 1 ? GLIP_SCORE_MAX : GLIP_SCORE_MEAN;
	o.merge_phrases = g->merge;
	struct glip_prompt *prompt = g->caption != NULL ? from_caption(g, session, &o) : from_classes(g, session, &o);
	const char *warning;
	for (size_t i = 0; prompt != NULL && !g->quiet && (warning = glip_prompt_warning(prompt, i)) != NULL; i++)
		say("warning: %s", warning);
	return prompt;
}

bool full_caption_make(const struct ground_settings *g, const struct glip_prompt *prompt, struct full_caption *out)
{
	const char *separator = g->separator != NULL ? g->separator : g->demo_style ? " . " : ". ";
	/* A caption that ends with a separator of its own needs no second one. */
	bool trailing = g->demo_style;
	size_t chunks = glip_prompt_chunk_count(prompt), length = 1;
	for (size_t i = 0; i < chunks; i++)
		length += strlen(glip_prompt_chunk_caption(prompt, i)) + strlen(separator);
	out->text = malloc(length);
	out->shift = malloc(chunks * sizeof *out->shift);
	if (out->text == NULL || out->shift == NULL) {
		full_caption_free(out);
		say("out of memory for the caption");
		return false;
	}
	size_t at = 0;
	for (size_t i = 0; i < chunks; i++) {
		if (i > 0 && !trailing) {
			memcpy(out->text + at, separator, strlen(separator));
			at += strlen(separator);
		}
		out->shift[i] = (int)glip__utf8_count(out->text, at, NULL);
		const char *caption = glip_prompt_chunk_caption(prompt, i);
		memcpy(out->text + at, caption, strlen(caption));
		at += strlen(caption);
	}
	out->text[at] = '\0';
	return true;
}

void full_caption_free(struct full_caption *c)
{
	free(c->text);
	free(c->shift);
	*c = (struct full_caption){0};
}
