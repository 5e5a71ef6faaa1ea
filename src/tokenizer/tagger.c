#include "tokenizer/tagger.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/code_points.h"

enum { HEADER_BYTES = 44, ROWS_PER_INDEX = 32, NO_WORD = -1 };

/* Features in the order in which their weights are added: sums of floating-point numbers depend on it. */
enum template {
	BIAS,
	SUFFIX,
	PREFIX,
	TAG_1,
	TAG_2,
	TAG_1_TAG_2,
	WORD,
	TAG_1_WORD,
	WORD_1,
	SUFFIX_1,
	WORD_2,
	NEXT_1,
	NEXT_SUFFIX_1,
	NEXT_2
};

/* What the features look at of one word, as numbers in the tagger's word list or NO_WORD. */
struct word_numbers {
	int32_t word;   /* as written: for the list of unambiguous words */
	int32_t suffix; /* its last three letters */
	int32_t prefix; /* its first letter */
	int32_t normal; /* with digits and hyphens replaced */
	int32_t normal_suffix;
};

static uint32_t read_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The next section of count items; false when it does not fit. */
static bool take(const uint8_t **at, size_t *left, size_t count, size_t size, const uint8_t **section)
{
	size_t bytes;
	if (!glip__mul_size(count, size, &bytes) || bytes > *left)
		return false;
	*section = *at;
	*at += bytes;
	*left -= bytes;
	return true;
}

static bool lay_out(struct tagger *t, const uint8_t *at, size_t left)
{
	const uint8_t *tag_text = NULL, *word_text = NULL;
	size_t index_count = t->feature_count / ROWS_PER_INDEX + (t->feature_count % ROWS_PER_INDEX != 0);
	bool fits =
		take(&at, &left, t->tag_count, 4, &t->tag_offsets) && take(&at, &left, t->word_count, 4, &t->word_offsets) &&
		take(&at, &left, index_count, 4, &t->row_index) && take(&at, &left, t->feature_count, 4, &t->keys) &&
		take(&at, &left, t->known_count, 3, &t->known) && take(&at, &left, t->feature_count, 1, &t->row_counts) &&
		take(&at, &left, t->weight_count, 3, &t->weights) && take(&at, &left, t->tag_bytes, 1, &tag_text) &&
		take(&at, &left, t->word_bytes, 1, &word_text);
	t->tag_text = (const char *)tag_text;
	t->word_text = (const char *)word_text;
	return fits && left == 0;
}

enum glip_status glip__tagger_open(const void *data, size_t size, struct tagger *t, struct glip_error *err)
{
	const uint8_t *bytes = data;
	memset(t, 0, sizeof *t);
	if (size < HEADER_BYTES || memcmp(bytes, "GLIPTAG1", 8) != 0)
		return glip__fail(err, GLIP_ERR_FORMAT, "the tagger's data do not begin with GLIPTAG1");
	t->class_count = read_u32(bytes + 8);
	t->tag_count = read_u32(bytes + 12);
	t->tag_bytes = read_u32(bytes + 16);
	t->word_count = read_u32(bytes + 20);
	t->word_bytes = read_u32(bytes + 24);
	t->known_count = read_u32(bytes + 28);
	t->feature_count = read_u32(bytes + 32);
	t->weight_count = read_u32(bytes + 36);
	if (t->class_count == 0 || t->tag_count != t->class_count + 2 || t->tag_count > TAGGER_MAX_TAGS ||
	    t->word_count > 65536)
		return glip__fail(err, GLIP_ERR_FORMAT, "the tagger's data have %lu classes, %lu tags and %lu words",
		                  (unsigned long)t->class_count, (unsigned long)t->tag_count, (unsigned long)t->word_count);
	if (!lay_out(t, bytes + HEADER_BYTES, size - HEADER_BYTES))
		return glip__fail(err, GLIP_ERR_FORMAT, "the tagger's data have %zu bytes, not what their sections need", size);
	if (t->tag_bytes == 0 || t->tag_text[t->tag_bytes - 1] != '\0' ||
	    (t->word_bytes != 0 && t->word_text[t->word_bytes - 1] != '\0'))
		return glip__fail(err, GLIP_ERR_FORMAT, "the tagger's strings do not end");
	for (uint32_t i = 0; i < t->tag_count; i++) {
		if (read_u32(t->tag_offsets + 4 * (size_t)i) >= t->tag_bytes)
			return glip__fail(err, GLIP_ERR_FORMAT, "tag %lu of the tagger lies outside", (unsigned long)i);
	}
	return GLIP_OK;
}

enum glip_status glip__tagger_builtin(struct tagger *out, struct glip_error *err)
{
	size_t size;
	const void *data = glip__tagger_data(&size);
	return glip__tagger_open(data, size, out, err);
}

const char *glip__tagger_name(const struct tagger *t, uint8_t tag)
{
	return tag < t->tag_count ? t->tag_text + read_u32(t->tag_offsets + 4 * (size_t)tag) : "";
}

/* memcmp over the shorter, then the length: the order of the word list. */
static int compare_word(const struct tagger *t, uint32_t number, const char *text, size_t length)
{
	uint32_t offset = read_u32(t->word_offsets + 4 * (size_t)number);
	if (offset >= t->word_bytes)
		return 1;
	const char *word = t->word_text + offset; /* ends within the section: its last byte is NUL */
	for (size_t i = 0; i < length; i++) {
		unsigned char a = (unsigned char)word[i], b = (unsigned char)text[i];
		if (a != b)
			return a < b ? -1 : 1;
		if (a == '\0')
			return -1;
	}
	return word[length] != '\0';
}

static int32_t find_word(const struct tagger *t, const char *text, size_t length)
{
	uint32_t low = 0, high = t->word_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare_word(t, middle, text, length);
		if (order == 0)
			return (int32_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NO_WORD;
}

/* Digits in the sense of Python's str.isdigit: decimal digits, and superscripts, circled digits and the like. */
static bool is_any_digit(uint32_t c)
{
	static const uint32_t others[][2] = {
		{0x00B2, 0x00B3}, {0x00B9, 0x00B9},   {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
		{0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
		{0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
		{0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A},
	};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (c >= others[i][0] && c <= others[i][1])
			return true;
	}
	return glip__is_digit(c);
}

/* Byte where the last three code points of a valid text begin. */
static size_t suffix_begin(const char *text, size_t length)
{
	size_t at = length;
	for (int i = 0; i < 3 && at > 0; i++) {
		do
			at--;
		while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
	}
	return at;
}

static struct text_view normal_form(struct text_view word)
{
	static const struct text_view hyphen = {"!HYPHEN", 7}, year = {"!YEAR", 5}, digits = {"!DIGITS", 7};
	if (word.length > 0 && word.text[0] != '-' && memchr(word.text, '-', word.length) != NULL)
		return hyphen;
	size_t points = 0, digit_points = 0, at = 0;
	bool digit_first = false;
	uint32_t c;
	for (size_t n; points < 5 && (n = glip__utf8_decode(word.text + at, word.text + word.length, &c)) != 0; at += n) {
		bool digit = is_any_digit(c);
		digit_first = digit_first || (digit && points == 0);
		digit_points += digit;
		points++;
	}
	if (points == 4 && digit_points == 4)
		return year;
	return digit_first ? digits : word;
}

static int32_t find_suffix(const struct tagger *t, struct text_view word)
{
	size_t begin = suffix_begin(word.text, word.length);
	return find_word(t, word.text + begin, word.length - begin);
}

static struct word_numbers number_word(const struct tagger *t, struct text_view word)
{
	uint32_t c;
	struct text_view normal = normal_form(word);
	struct word_numbers n = {.word = find_word(t, word.text, word.length)};
	n.suffix = find_suffix(t, word);
	n.prefix = find_word(t, word.text, glip__utf8_decode(word.text, word.text + word.length, &c));
	n.normal = normal.text == word.text ? n.word : find_word(t, normal.text, normal.length);
	n.normal_suffix = normal.text == word.text ? n.suffix : find_suffix(t, normal);
	return n;
}

/* The tag of a word that is hardly ever anything else; -1: none. */
static int known_tag(const struct tagger *t, int32_t word)
{
	uint32_t low = 0, high = word >= 0 ? t->known_count : 0;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const uint8_t *entry = t->known + 3 * (size_t)middle;
		int32_t number = entry[0] | entry[1] << 8;
		if (number == word)
			return entry[2] < t->class_count ? entry[2] : -1;
		if (number < word)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static bool find_feature(const struct tagger *t, uint32_t key, uint32_t *row)
{
	uint32_t low = 0, high = t->feature_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint32_t found = read_u32(t->keys + 4 * (size_t)middle);
		if (found == key) {
			*row = middle;
			return true;
		}
		if (found < key)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* Adds a feature's weights to the scores; a feature that training never saw has none. */
static void add_feature(const struct tagger *t, enum template template, uint32_t tag_a, uint32_t tag_b, int32_t word,
                        double *scores)
{
	uint32_t row = 0;
	if (word == NO_WORD ||
	    !find_feature(t, (uint32_t) template << 28 | tag_b << 22 | tag_a << 16 | (uint32_t)word, &row))
		return;
	uint64_t at = read_u32(t->row_index + 4 * (size_t)(row / ROWS_PER_INDEX));
	for (uint32_t i = row - row % ROWS_PER_INDEX; i < row; i++)
		at += t->row_counts[i];
	for (uint32_t i = 0; i < t->row_counts[row] && at < t->weight_count; i++, at++) {
		const uint8_t *p = t->weights + 3 * (size_t)at;
		uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
		int32_t weight = (int32_t)(bits & 0x1FFFF) - (int32_t)(bits & 0x20000);
		if (bits >> 18 < t->class_count)
			scores[bits >> 18] += weight / 1000.0; /* the double nearest to the decimal number of the source */
	}
}

static uint8_t predict(const struct tagger *t, const struct word_numbers *w, uint32_t tag_1, uint32_t tag_2)
{
	/* w[0] is the word; two on each side exist. */
	double scores[TAGGER_MAX_TAGS] = {0};
	add_feature(t, BIAS, 0, 0, 0, scores);
	add_feature(t, SUFFIX, 0, 0, w->suffix, scores);
	add_feature(t, PREFIX, 0, 0, w->prefix, scores);
	add_feature(t, TAG_1, tag_1, 0, 0, scores);
	add_feature(t, TAG_2, tag_2, 0, 0, scores);
	add_feature(t, TAG_1_TAG_2, tag_1, tag_2, 0, scores);
	add_feature(t, WORD, 0, 0, w->normal, scores);
	add_feature(t, TAG_1_WORD, tag_1, 0, w->normal, scores);
	add_feature(t, WORD_1, 0, 0, w[-1].normal, scores);
	add_feature(t, SUFFIX_1, 0, 0, w[-1].normal_suffix, scores);
	add_feature(t, WORD_2, 0, 0, w[-2].normal, scores);
	add_feature(t, NEXT_1, 0, 0, w[1].normal, scores);
	add_feature(t, NEXT_SUFFIX_1, 0, 0, w[1].normal_suffix, scores);
	add_feature(t, NEXT_2, 0, 0, w[2].normal, scores);
	uint8_t best = 0;
	for (uint32_t i = 1; i < t->class_count; i++) {
		if (scores[i] >= scores[best]) /* the later name wins a tie */
			best = (uint8_t)i;
	}
	return best;
}

static struct word_numbers number_context(const struct tagger *t, const char *name)
{
	return number_word(t, (struct text_view){name, strlen(name)});
}

enum glip_status glip__tagger_run(const struct tagger *t, const struct text_view *words, size_t count,
                                  const struct glip_allocator *allocator, uint8_t *tags, struct glip_error *err)
{
	if (count > SIZE_MAX - 4)
		return glip__fail_nomem(err, "tags", count);
	struct word_numbers *numbers = glip__malloc(allocator, count + 4, sizeof *numbers);
	if (numbers == NULL)
		return glip__fail_nomem(err, "tags", count * sizeof *numbers);
	numbers[0] = number_context(t, "-START-");
	numbers[1] = number_context(t, "-START2-");
	for (size_t i = 0; i < count; i++)
		numbers[i + 2] = number_word(t, words[i]);
	numbers[count + 2] = number_context(t, "-END-");
	numbers[count + 3] = number_context(t, "-END2-");
	/* The two context tags follow the classes. */
	uint32_t tag_1 = t->class_count, tag_2 = t->class_count + 1;
	for (size_t i = 0; i < count; i++) {
		int known = known_tag(t, numbers[i + 2].word);
		tags[i] = known >= 0 ? (uint8_t)known : predict(t, &numbers[i + 2], tag_1, tag_2);
		tag_2 = tag_1;
		tag_1 = tags[i];
	}
	glip__free(allocator, numbers);
	return GLIP_OK;
}
