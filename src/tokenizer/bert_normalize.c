#include "tokenizer/bert_normalize.h"

#include <string.h>
#include <utf8proc.h>

/* One character of a canonical decomposition before its marks are put in order. `follows`: it was not the first of its
 * original character, so it takes the origin of whatever ends up before it. */
struct decomposed {
	uint32_t code_point;
	int32_t origin;
	uint8_t combining_class;
	bool follows, isolated;
};

struct normalizer {
	struct buf *out;
	struct buf pending; /* struct decomposed: a starter and the marks after it, not yet in order */
	struct buf sorted;  /* scratch of the same kind */
	int32_t last_origin;
	int32_t word;   /* number of the word being built */
	bool word_open; /* something of it is in *out */
};

enum kind { KIND_PLAIN, KIND_REMOVED, KIND_ACCENT, KIND_PUNCTUATION };

/* The reference tokenizer has the properties of Unicode 8: what came later is neither
 * punctuation nor accent nor format character to it. The ranges hold all of those and nothing older that is. */
static bool is_newer_than_unicode_8(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{0x061D, 0x061D},   {0x07FD, 0x07FD},   {0x0890, 0x08E2},   {0x09FD, 0x09FE},   {0x0A76, 0x0A76},
		{0x0AFA, 0x0AFF},   {0x0B55, 0x0B55},   {0x0C04, 0x0C3C},   {0x0C77, 0x0C77},   {0x0C84, 0x0C84},
		{0x0D00, 0x0D00},   {0x0D3B, 0x0D3C},   {0x0D81, 0x0D81},   {0x0EBA, 0x0EBA},   {0x180F, 0x1886},
		{0x1ABF, 0x1ACE},   {0x1B7D, 0x1B7E},   {0x1DF6, 0x1DFB},   {0x2E43, 0x2E5D},   {0xA82C, 0xA82C},
		{0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},   {0xA9BD, 0xA9BD},   {0x10D24, 0x10F89}, {0x11070, 0x11074},
		{0x110C2, 0x110CD}, {0x111CF, 0x111CF}, {0x1123E, 0x1123E}, {0x1133B, 0x1133B}, {0x11438, 0x1145E},
		{0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1182F, 0x11FFF}, {0x12FF1, 0x13438}, {0x16E97, 0x16F4F},
		{0x16FE2, 0x16FE4}, {0x1CF00, 0x1CF46}, {0x1E000, 0x1E2EF}, {0x1E944, 0x1E95F},
	};
	if (c < ranges[0][0])
		return false;
	size_t low = 0, high = sizeof ranges / sizeof ranges[0];
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c > ranges[middle][1])
			low = middle + 1;
		else
			high = middle;
	}
	return low < sizeof ranges / sizeof ranges[0] && c >= ranges[low][0];
}

static enum kind kind_of(uint32_t c)
{
	if (c == '\t' || c == '\n' || c == '\r')
		return KIND_PLAIN;
	if (c == 0xFFFD)
		return KIND_REMOVED;
	if ((c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~'))
		return KIND_PUNCTUATION;
	if (is_newer_than_unicode_8(c))
		return KIND_PLAIN;
	/* Three characters that changed their category since. */
	if (c == 0x166D || c == 0x111C9)
		return KIND_PUNCTUATION;
	if (c == 0x1734)
		return KIND_ACCENT;
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CO: return KIND_REMOVED;
	case UTF8PROC_CATEGORY_MN: return KIND_ACCENT;
	case UTF8PROC_CATEGORY_PC:
	case UTF8PROC_CATEGORY_PD:
	case UTF8PROC_CATEGORY_PS:
	case UTF8PROC_CATEGORY_PE:
	case UTF8PROC_CATEGORY_PI:
	case UTF8PROC_CATEGORY_PF:
	case UTF8PROC_CATEGORY_PO: return KIND_PUNCTUATION;
	default: return KIND_PLAIN;
	}
}

static bool is_cjk(uint32_t c)
{
	/* WATCH: 0x2B820 to 0x2B91F is missing in the original too. */
	return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
	       (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
	       (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static void close_word(struct normalizer *n)
{
	n->word += n->word_open;
	n->word_open = false;
}

static bool emit(struct normalizer *n, uint32_t c, int32_t origin, bool isolated)
{
	if (kind_of(c) == KIND_ACCENT)
		return true;
	c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
	isolated = isolated || kind_of(c) == KIND_PUNCTUATION;
	if (isolated)
		close_word(n);
	struct normal_char item = {.code_point = c, .origin = origin, .word = n->word};
	n->word_open = true;
	bool ok = glip__buf_append(n->out, &item, sizeof item);
	if (isolated)
		close_word(n);
	return ok;
}

/* Stable order by combining class into n->sorted, linear in the number of marks: a hostile text has a million of them
 * on one letter. */
static bool order_marks(struct normalizer *n, const struct decomposed *list, size_t count)
{
	size_t start[257] = {0};
	n->sorted.length = 0;
	if (!glip__buf_reserve(&n->sorted, count * sizeof *list))
		return false;
	struct decomposed *sorted = (struct decomposed *)(void *)n->sorted.data;
	for (size_t i = 0; i < count; i++)
		start[list[i].combining_class + 1]++;
	for (size_t k = 1; k < 257; k++)
		start[k] += start[k - 1];
	for (size_t i = 0; i < count; i++)
		sorted[start[list[i].combining_class]++] = list[i];
	return true;
}

/* Original characters are dealt to the ordered marks by position, as the reference tokenizer's alignment does. */
static bool flush(struct normalizer *n)
{
	size_t count = n->pending.length / sizeof(struct decomposed);
	const struct decomposed *list = (const struct decomposed *)(const void *)n->pending.data;
	const struct decomposed *ordered = list;
	for (size_t i = 1; i < count && ordered == list; i++) {
		if (list[i - 1].combining_class <= list[i].combining_class)
			continue;
		if (!order_marks(n, list, count))
			return false;
		ordered = (const struct decomposed *)(const void *)n->sorted.data;
	}
	for (size_t i = 0, next = 0; i < count; i++) {
		if (!ordered[i].follows) {
			while (list[next].follows)
				next++;
			n->last_origin = list[next++].origin;
		}
		if (!emit(n, ordered[i].code_point, n->last_origin, ordered[i].isolated))
			return false;
	}
	n->pending.length = 0;
	return true;
}

static bool push(struct normalizer *n, uint32_t c, int32_t origin, bool follows, bool isolated)
{
	const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)c);
	struct decomposed item = {c, origin, (uint8_t)property->combining_class, follows, isolated};
	if (item.combining_class == 0 && !flush(n))
		return false;
	return glip__buf_append(&n->pending, &item, sizeof item);
}

static bool decompose(struct normalizer *n, const struct text_item *item, bool isolated)
{
	enum { MOST = 32 }; /* the longest canonical decomposition has 4 */
	utf8proc_int32_t parts[MOST];
	int boundary = 0;
	utf8proc_ssize_t count =
		utf8proc_decompose_char((utf8proc_int32_t)item->code_point, parts, MOST, UTF8PROC_DECOMPOSE, &boundary);
	if (count < 1 || count > MOST)
		return push(n, item->code_point, item->origin, false, isolated);
	for (utf8proc_ssize_t i = 0; i < count; i++) {
		if (!push(n, (uint32_t)parts[i], item->origin, i > 0, isolated))
			return false;
	}
	return true;
}

static bool normalize(struct normalizer *n, const struct text_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t c = items[i].code_point;
		if (kind_of(c) == KIND_REMOVED)
			continue;
		bool space = glip__is_space(c), isolated = is_cjk(c);
		/* The original writes a space on both sides of a CJK character: marks do not move across. */
		if ((space || isolated) && !flush(n))
			return false;
		if (space)
			close_word(n);
		else if (!decompose(n, &items[i], isolated) || (isolated && !flush(n)))
			return false;
	}
	bool ok = flush(n);
	close_word(n);
	return ok;
}

enum glip_status glip__bert_normalize(const struct text_item *items, size_t count, int32_t *word, struct buf *out,
                                      struct glip_error *err)
{
	struct normalizer n = {.out = out, .word = *word};
	n.pending.allocator = n.sorted.allocator = out->allocator;
	bool ok = normalize(&n, items, count);
	*word = n.word;
	glip__buf_free(&n.pending);
	glip__buf_free(&n.sorted);
	return ok ? GLIP_OK : glip__fail_nomem(err, "normal text", count * sizeof(struct normal_char));
}
