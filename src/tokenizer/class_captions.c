#include "tokenizer/class_captions.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "tokenizer/code_points.h"
#include "tokenizer/vocabulary.h"

/* One name as it stands in a caption, with the words around it. */
struct part {
	size_t text, length;          /* bytes in builder.text */
	size_t name, name_length;     /* the name's bytes there */
	int32_t points;               /* code points in all */
	int32_t name_begin, name_end; /* the name's code points, counted from the part's first */
	size_t key, key_length;       /* what two equal names share, bytes in builder.keys */
	size_t class_index;
};

struct builder {
	const struct vocabulary *vocabulary;
	size_t max_tokens;
	const struct glip_class *classes;
	size_t class_count;
	const char *separator, *prefix, *suffix;
	bool trailing;
	size_t per_pass;
	const struct glip_allocator *allocator;
	struct buf text, keys;
	struct buf parts;      /* struct part */
	struct buf first_part; /* size_t per class, and one more */
	struct buf estimate;   /* size_t per class: its tokens, separators included */
	size_t separator_tokens;
	int32_t separator_points;
	struct buf caption; /* scratch: the caption being tried */
	size_t caption_tokens;
};

static const struct part *part_at(const struct builder *b, size_t index)
{
	return (const struct part *)(const void *)b->parts.data + index;
}

static size_t size_at(const struct buf *b, size_t index)
{
	return ((const size_t *)(const void *)b->data)[index];
}

static enum glip_status no_memory(struct glip_error *err)
{
	return glip__fail(err, GLIP_ERR_NOMEM, "out of memory for the class list");
}

static bool is_blank(char c)
{
	return c == ' ' || c == '_' || (c >= '\t' && c <= '\r');
}

/* Appends text with "_" as a space, runs of spaces as one, none at the ends. */
static bool append_tidy(struct buf *out, const char *text, size_t length)
{
	size_t start = out->length;
	for (size_t i = 0; i < length; i++) {
		bool blank = is_blank(text[i]);
		if (blank && (out->length == start || out->data[out->length - 1] == ' '))
			continue;
		if (!glip__buf_append(out, blank ? " " : text + i, 1))
			return false;
	}
	if (out->length > start && out->data[out->length - 1] == ' ')
		out->length--;
	return true;
}

/* The original's cleaning: from the first "(" to the last ")" goes, then as above. */
static bool append_clean(struct buf *out, const char *name, size_t length)
{
	const char *open = memchr(name, '(', length), *close = NULL;
	for (size_t i = length; i > 0 && close == NULL; i--) {
		if (name[i - 1] == ')')
			close = name + i - 1;
	}
	if (open == NULL || close == NULL || close < open)
		return append_tidy(out, name, length);
	struct buf rest = {.allocator = out->allocator};
	bool ok = glip__buf_append(&rest, name, (size_t)(open - name)) &&
	          glip__buf_append(&rest, close + 1, (size_t)(name + length - close - 1)) &&
	          append_tidy(out, rest.data != NULL ? rest.data : "", rest.length);
	glip__buf_free(&rest);
	return ok;
}

/* Names are the same when they differ in letter case and blanks alone; what stands in brackets counts, as in LVIS's
 * "bow_(weapon)" and "bow_(decorative_ribbons)". */
static bool append_key(struct buf *out, const char *name, size_t length)
{
	struct buf tidy = {.allocator = out->allocator};
	bool ok = append_tidy(&tidy, name, length);
	uint32_t c = 0;
	for (size_t at = 0, n; ok && at < tidy.length; at += n) {
		enum { MOST = 64 };
		utf8proc_int32_t folded[MOST];
		int boundary = 0;
		n = glip__utf8_decode(tidy.data + at, tidy.data + tidy.length, &c);
		if (n == 0)
			break;
		utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)c, folded, MOST,
		                                                 UTF8PROC_CASEFOLD | UTF8PROC_DECOMPOSE, &boundary);
		for (utf8proc_ssize_t i = 0; i < count && i < MOST && ok; i++) {
			char bytes[4];
			ok = glip__buf_append(out, bytes, glip__utf8_encode((uint32_t)folded[i], bytes));
		}
	}
	glip__buf_free(&tidy);
	return ok;
}

static bool first_is_word(const char *text, size_t length)
{
	uint32_t c = 0;
	return glip__utf8_decode(text, text + length, &c) != 0 && glip__is_word(c);
}

static bool last_is_word(const char *text, size_t length)
{
	size_t at = length;
	while (at > 0 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
		at--;
	return at > 0 && first_is_word(text + at - 1, length - at + 1);
}

/* The tokens of a text without [CLS] and [SEP]. */
static enum glip_status count_tokens(const struct builder *b, const char *text, size_t length, size_t *tokens,
                                     struct glip_error *err)
{
	struct encoding e;
	TRY(glip__wordpiece_encode(b->vocabulary, text, length, b->max_tokens, b->allocator, &e, err));
	*tokens = e.count - 2;
	glip__encoding_free(&e);
	return GLIP_OK;
}

static enum glip_status check_name(const struct builder *b, size_t class_index, const char *name,
                                   struct glip_error *err)
{
	size_t bad = 0;
	if (name == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "class %zu of %zu: a name is NULL", class_index + 1, b->class_count);
	if (strlen(name) > INT32_MAX / 4)
		return glip__fail(err, GLIP_ERR_LIMIT, "class %zu of %zu: a name of %zu bytes", class_index + 1, b->class_count,
		                  strlen(name));
	if (glip__utf8_count(name, strlen(name), &bad) < 0)
		return glip__fail(err, GLIP_ERR_TEXT, "class %zu of %zu: a name is not UTF-8 at byte %zu", class_index + 1,
		                  b->class_count, bad);
	return GLIP_OK;
}

/* Writes prefix, name and suffix to b->text; a space keeps words apart where the caller wrote none. */
static bool write_part(struct builder *b, const char *prefix, const char *name, const char *suffix, struct part *p)
{
	struct buf *out = &b->text;
	size_t prefix_length = strlen(prefix);
	p->text = out->length;
	if (!glip__buf_append(out, prefix, prefix_length))
		return false;
	p->name = out->length;
	if (!append_clean(out, name, strlen(name)))
		return false;
	p->name_length = out->length - p->name;
	if (last_is_word(prefix, prefix_length) && first_is_word(out->data + p->name, p->name_length)) {
		if (!glip__buf_append(out, " ", 1))
			return false;
		memmove(out->data + p->name + 1, out->data + p->name, p->name_length);
		out->data[p->name++] = ' ';
	}
	bool apart = last_is_word(out->data + p->name, p->name_length) && first_is_word(suffix, strlen(suffix));
	if (!glip__buf_append(out, " ", apart ? 1 : 0) || !glip__buf_append(out, suffix, strlen(suffix)))
		return false;
	p->length = out->length - p->text;
	p->name_begin = (int32_t)glip__utf8_count(out->data + p->text, p->name - p->text, NULL);
	p->name_end = p->name_begin + (int32_t)glip__utf8_count(out->data + p->name, p->name_length, NULL);
	p->points = (int32_t)glip__utf8_count(out->data + p->text, p->length, NULL);
	return true;
}

static enum glip_status add_part(struct builder *b, size_t class_index, const char *name, size_t *tokens,
                                 struct glip_error *err)
{
	const struct glip_class *class = &b->classes[class_index];
	const char *prefix = class->prefix != NULL ? class->prefix : b->prefix;
	const char *suffix = class->suffix != NULL ? class->suffix : b->suffix;
	struct part p = {.class_index = class_index, .key = b->keys.length};
	TRY(check_name(b, class_index, name, err));
	if (glip__utf8_count(prefix, strlen(prefix), NULL) < 0 || glip__utf8_count(suffix, strlen(suffix), NULL) < 0)
		return glip__fail(err, GLIP_ERR_TEXT, "class %zu of %zu: its %s is not UTF-8", class_index + 1, b->class_count,
		                  glip__utf8_count(prefix, strlen(prefix), NULL) < 0 ? "prefix" : "suffix");
	if (!write_part(b, prefix, name, suffix, &p) || !append_key(&b->keys, name, strlen(name)))
		return no_memory(err);
	p.key_length = b->keys.length - p.key;
	if (p.name_length == 0)
		return glip__fail(err, GLIP_ERR_TEXT, "class %zu of %zu has an empty name: \"%s\"", class_index + 1,
		                  b->class_count, name);
	if (!glip__buf_append(&b->parts, &p, sizeof p))
		return no_memory(err);
	return count_tokens(b, b->text.data + p.text, p.length, tokens, err);
}

static enum glip_status add_classes(struct builder *b, struct glip_error *err)
{
	size_t part_count = 0;
	for (size_t i = 0; i < b->class_count; i++) {
		const struct glip_class *class = &b->classes[i];
		size_t estimate = 0;
		if (class->names == NULL || class->name_count == 0)
			return glip__fail(err, GLIP_ERR_ARGUMENT, "class %zu of %zu has no name", i + 1, b->class_count);
		if (!glip__buf_append(&b->first_part, &part_count, sizeof part_count))
			return no_memory(err);
		for (size_t k = 0; k < class->name_count; k++) {
			size_t tokens = 0;
			TRY(add_part(b, i, class->names[k], &tokens, err));
			estimate += tokens + b->separator_tokens;
		}
		part_count += class->name_count;
		if (!glip__buf_append(&b->estimate, &estimate, sizeof estimate))
			return no_memory(err);
	}
	return glip__buf_append(&b->first_part, &part_count, sizeof part_count) ? GLIP_OK : no_memory(err);
}

static enum glip_status refuse_repeats(const struct builder *b, struct glip_error *err)
{
	size_t count = b->parts.length / sizeof(struct part), slots = 16;
	while (slots < 2 * count)
		slots *= 2;
	size_t *table = glip__calloc(b->allocator, slots, sizeof *table); /* part + 1, or 0 */
	if (table == NULL)
		return no_memory(err);
	enum glip_status status = GLIP_OK;
	for (size_t i = 0; i < count && status == GLIP_OK; i++) {
		const struct part *p = part_at(b, i), *other = NULL;
		const char *key = b->keys.data + p->key;
		uint64_t hash = glip__hash_step(glip__hash_start(), key, p->key_length);
		size_t slot = (size_t)(hash ^ hash >> 32) & (slots - 1);
		for (; table[slot] != 0 && other == NULL; slot = (slot + 1) & (slots - 1)) {
			const struct part *q = part_at(b, table[slot] - 1);
			if (q->key_length == p->key_length && memcmp(b->keys.data + q->key, key, p->key_length) == 0)
				other = q;
		}
		table[slot] = i + 1;
		if (other == NULL)
			continue;
		size_t a = other->class_index + 1, c = p->class_index + 1;
		const char *name = b->text.data + p->name;
		int length = p->name_length < 120 ? (int)p->name_length : 120;
		if (a == c)
			status = glip__fail(err, GLIP_ERR_TEXT, "class %zu of %zu has a name twice: \"%.*s\"", c, b->class_count,
			                    length, name);
		else
			status = glip__fail(err, GLIP_ERR_TEXT, "class %zu of %zu repeats class %zu: \"%.*s\"", c, b->class_count,
			                    a, length, name);
	}
	glip__free(b->allocator, table);
	return status;
}

/* Writes the caption of classes [first, first + count) to b->caption and, where spans are wanted, sets their spans. */
static bool write_caption(struct builder *b, size_t first, size_t count, struct class_entry *entries)
{
	size_t begin = size_at(&b->first_part, first), end = size_at(&b->first_part, first + count);
	int64_t at = 0;
	b->caption.length = 0;
	for (size_t i = begin; i < end; i++) {
		const struct part *p = part_at(b, i);
		if (!glip__buf_append(&b->caption, b->text.data + p->text, p->length))
			return false;
		if (entries != NULL) {
			struct class_entry *entry = &entries[p->class_index];
			entry->spans[entry->span_count++] = (struct glip_span){(int)(at + p->name_begin), (int)(at + p->name_end)};
		}
		at += p->points;
		if (i + 1 == end && !b->trailing)
			break;
		if (!glip__buf_puts(&b->caption, b->separator))
			return false;
		at += b->separator_points;
	}
	return true;
}

/* Words may join or part where a separator of letters meets a name, so the whole caption is what is counted. */
static enum glip_status fits(struct builder *b, size_t first, size_t count, bool *yes, struct glip_error *err)
{
	if (!write_caption(b, first, count, NULL))
		return no_memory(err);
	TRY(count_tokens(b, b->caption.data, b->caption.length, &b->caption_tokens, err));
	b->caption_tokens += 2;
	*yes = b->caption_tokens <= b->max_tokens;
	return GLIP_OK;
}

/* How many classes from `first` on share a caption: as many as fit, by the sum of their parts corrected by trying. */
static enum glip_status chunk_size(struct builder *b, size_t first, size_t *size, struct glip_error *err)
{
	size_t most = b->class_count - first, count = 1;
	if (most > b->per_pass)
		most = b->per_pass;
	size_t sum = 2 + size_at(&b->estimate, first);
	size_t allowed = b->max_tokens + (b->trailing ? 0 : b->separator_tokens);
	while (count < most && sum + size_at(&b->estimate, first + count) <= allowed)
		sum += size_at(&b->estimate, first + count++);
	bool yes = false, shrunk = false;
	for (;; count--, shrunk = true) {
		TRY(fits(b, first, count, &yes, err));
		if (yes)
			break;
		if (count == 1) {
			const struct part *p = part_at(b, size_at(&b->first_part, first));
			int length = p->name_length < 100 ? (int)p->name_length : 100;
			return glip__fail(err, GLIP_ERR_LIMIT, "class %zu of %zu needs %zu tokens, the model reads %zu: \"%.*s\"",
			                  first + 1, b->class_count, b->caption_tokens, b->max_tokens, length,
			                  b->text.data + p->name);
		}
	}
	for (; !shrunk && yes && count < most; count += yes)
		TRY(fits(b, first, count + 1, &yes, err));
	*size = count;
	return GLIP_OK;
}

static enum glip_status make_entries(const struct builder *b, struct class_captions *out, struct glip_error *err)
{
	out->classes = glip__calloc(b->allocator, b->class_count, sizeof *out->classes);
	if (out->classes == NULL)
		return no_memory(err);
	out->class_count = b->class_count;
	for (size_t i = 0; i < b->class_count; i++) {
		const struct part *p = part_at(b, size_at(&b->first_part, i));
		struct class_entry *entry = &out->classes[i];
		entry->name = glip__strndup(b->allocator, b->text.data + p->name, p->name_length);
		entry->spans = glip__calloc(b->allocator, b->classes[i].name_count, sizeof *entry->spans);
		if (entry->name == NULL || entry->spans == NULL)
			return no_memory(err);
	}
	return GLIP_OK;
}

static enum glip_status make_chunks(struct builder *b, struct class_captions *out, struct glip_error *err)
{
	/* At most one chunk a class; few are needed. */
	out->chunks = glip__calloc(b->allocator, b->class_count, sizeof *out->chunks);
	if (out->chunks == NULL)
		return no_memory(err);
	for (size_t first = 0, size = 0; first < b->class_count; first += size) {
		TRY(chunk_size(b, first, &size, err));
		struct class_chunk *chunk = &out->chunks[out->chunk_count];
		if (!write_caption(b, first, size, out->classes))
			return no_memory(err);
		chunk->caption = glip__strndup(b->allocator, b->caption.data, b->caption.length);
		if (chunk->caption == NULL)
			return no_memory(err);
		chunk->first_class = first;
		chunk->class_count = size;
		out->chunk_count++;
	}
	return GLIP_OK;
}

static enum glip_status build(struct builder *b, struct class_captions *out, struct glip_error *err)
{
	int64_t points = glip__utf8_count(b->separator, strlen(b->separator), NULL);
	if (points < 0 || points > INT32_MAX / 4)
		return glip__fail(err, GLIP_ERR_TEXT, "the separator of class names is not UTF-8");
	b->separator_points = (int32_t)points;
	if (!glip__buf_reserve(&b->text, 1) || !glip__buf_reserve(&b->keys, 1))
		return no_memory(err);
	TRY(count_tokens(b, b->separator, strlen(b->separator), &b->separator_tokens, err));
	TRY(add_classes(b, err));
	TRY(refuse_repeats(b, err));
	TRY(make_entries(b, out, err));
	return make_chunks(b, out, err);
}

enum glip_status glip__class_captions_create(const struct vocabulary *vocabulary, size_t max_tokens,
                                             const struct glip_class *classes, size_t count,
                                             const struct glip_prompt_options *options,
                                             const struct glip_allocator *allocator, struct class_captions *out,
                                             struct glip_error *err)
{
	memset(out, 0, sizeof *out);
	out->allocator = allocator;
	if (count == 0 || classes == NULL)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "the list of classes is empty");
	if (options != NULL && options->classes_per_pass < 0)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "classes_per_pass is %d", options->classes_per_pass);
	struct builder b = {
		.vocabulary = vocabulary,
		.max_tokens = max_tokens,
		.classes = classes,
		.class_count = count,
		.separator = options != NULL && options->separator != NULL ? options->separator : ". ",
		.prefix = options != NULL && options->prefix != NULL ? options->prefix : "",
		.suffix = options != NULL && options->suffix != NULL ? options->suffix : "",
		.trailing = options != NULL && options->trailing_separator,
		.per_pass = options != NULL && options->classes_per_pass > 0 ? (size_t)options->classes_per_pass : SIZE_MAX,
		.allocator = allocator,
	};
	struct buf *const bufs[] = {&b.text, &b.keys, &b.parts, &b.first_part, &b.estimate, &b.caption};
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		bufs[i]->allocator = allocator;
	enum glip_status status = build(&b, out, err);
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		glip__buf_free(bufs[i]);
	if (status != GLIP_OK)
		glip__class_captions_free(out);
	return status;
}

void glip__class_captions_free(struct class_captions *captions)
{
	const struct glip_allocator *a = captions->allocator;
	for (size_t i = 0; captions->classes != NULL && i < captions->class_count; i++) {
		glip__free(a, captions->classes[i].name);
		glip__free(a, captions->classes[i].spans);
	}
	for (size_t i = 0; captions->chunks != NULL && i < captions->chunk_count; i++)
		glip__free(a, captions->chunks[i].caption);
	if (a != NULL) {
		glip__free(a, captions->classes);
		glip__free(a, captions->chunks);
	}
	memset(captions, 0, sizeof *captions);
}
