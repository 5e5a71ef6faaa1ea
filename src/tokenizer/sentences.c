#include "tokenizer/sentences.h"

#include <string.h>
#include <utf8proc.h>

static bool is_one_of(uint32_t c, const char *ascii)
{
	return c != 0 && c < 0x80 && strchr(ascii, (int)c) != NULL;
}

static bool is_closer(uint32_t c)
{
	return is_one_of(c, "\"')]}>") || c == 0xBB || c == 0x201D || c == 0x2019;
}

static bool is_closing_bracket(uint32_t c)
{
	return is_one_of(c, ")]}>") || c == 0xBB || c == 0x201D;
}

static size_t skip_spaces(const struct text_item *items, size_t count, size_t at)
{
	while (at < count && glip__is_space(items[at].code_point))
		at++;
	return at;
}

static bool is_upper(uint32_t c)
{
	return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LU;
}

static bool is_listed(const char *word, const char *list)
{
	size_t length = strlen(word);
	for (const char *at = list; (at = strstr(at, word)) != NULL; at++) {
		if (at[-1] == ' ' && at[length] == ' ')
			return true;
	}
	return false;
}

/* Whether the period at items[dot] belongs to the word before it; `next` is the first character behind. */
static bool is_abbreviation(const struct text_item *items, size_t begin, size_t dot, uint32_t next)
{
	static const char always[] = " mr mrs ms dr prof st gen capt lt col sgt rev hon mt ft vs approx fig figs vol pp ca "
								 "cf e.g i.e oz lb lbs sq ";
	static const char but_before_capitals[] = " etc inc ltd co corp jr sr al est ave blvd dept ed eds ";
	char word[12];
	size_t first = dot, inner_dots = 0, digits = 0;
	while (first > begin && !glip__is_space(items[first - 1].code_point) &&
	       !is_one_of(items[first - 1].code_point, "([{\"'")) {
		first--;
		inner_dots += items[first].code_point == '.';
		digits += glip__is_digit(items[first].code_point);
	}
	size_t length = dot - first;
	if (length == 0 || length >= sizeof word)
		return false;
	if (digits == length)
		return first == begin; /* "1. a dog": the number of a list */
	for (size_t i = 0; i < length; i++) {
		uint32_t c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)items[first + i].code_point);
		if (c >= 0x80 || c == ' ')
			return false;
		word[i] = (char)c;
	}
	word[length] = '\0';
	if (is_listed(word, always))
		return true;
	if (strcmp(word, "no") == 0)
		return glip__is_digit(next);
	if (length == 1)
		return is_upper(items[first].code_point) || !is_upper(next); /* initials */
	return (inner_dots > 0 || is_listed(word, but_before_capitals)) && !is_upper(next);
}

size_t glip__sentence_end(const struct text_item *items, size_t count, size_t begin)
{
	for (size_t i = begin; i < count; i++) {
		if (!is_one_of(items[i].code_point, ".?!"))
			continue;
		size_t mark = i, dots = 0, end;
		for (; i < count && is_one_of(items[i].code_point, ".?!"); i++)
			dots += items[i].code_point == '.';
		for (end = i; end < count && is_closer(items[end].code_point);)
			end++;
		size_t next = skip_spaces(items, count, end);
		/* Behind a space a quotation mark may open what follows, a bracket cannot. */
		while (next < count && is_closing_bracket(items[next].code_point)) {
			end = next + 1;
			next = skip_spaces(items, count, end);
		}
		if (next == count)
			return count;
		bool ellipsis = dots >= 2 && dots == i - mark;
		bool joined = next == end || is_one_of(items[next].code_point, ",;:");
		i = end - 1;
		if (ellipsis || joined)
			continue;
		if (dots == 1 && i == mark && is_abbreviation(items, begin, mark, items[next].code_point))
			continue;
		return end;
	}
	return count;
}

/* Characters that case rules look through. */
static bool is_case_ignorable(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_ME:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_SK: return true;
	default: return is_one_of(c, "'.:") || c == 0xB7 || c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027;
	}
}

static bool is_final_sigma(const struct text_item *items, size_t count, size_t at)
{
	size_t before = at, after = at + 1;
	while (before > 0 && is_case_ignorable(items[before - 1].code_point))
		before--;
	while (after < count && is_case_ignorable(items[after].code_point))
		after++;
	return before > 0 && glip__is_cased(items[before - 1].code_point) &&
	       (after == count || !glip__is_cased(items[after].code_point));
}

enum glip_status glip__lower_case(const struct text_item *items, size_t count, struct buf *out, struct glip_error *err)
{
	bool ok = glip__buf_reserve(out, count * sizeof *items);
	for (size_t i = 0; i < count && ok; i++) {
		struct text_item item = items[i];
		item.code_point = (uint32_t)utf8proc_tolower((utf8proc_int32_t)item.code_point);
		if (items[i].code_point == 0x03A3 && is_final_sigma(items, count, i))
			item.code_point = 0x03C2;
		if (items[i].code_point == 0x0130)
			item.code_point = 'i';
		ok = glip__buf_append(out, &item, sizeof item);
		item.code_point = 0x0307;
		if (items[i].code_point == 0x0130 && ok)
			ok = glip__buf_append(out, &item, sizeof item);
	}
	return ok ? GLIP_OK : glip__fail_nomem(err, "lower-case text", count * sizeof *items);
}
