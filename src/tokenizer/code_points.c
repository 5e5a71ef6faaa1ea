#include "tokenizer/code_points.h"

#include <utf8proc.h>

#include "base/utf8.h"

bool glip__is_space(uint32_t c)
{
	if (c < 0x80)
		return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
	return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202F || c == 0x205F || c == 0x3000;
}

bool glip__is_word(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO: return true;
	default: return c == '_';
	}
}

bool glip__is_digit(uint32_t c)
{
	return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

bool glip__is_cased(uint32_t c)
{
	utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
	return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

bool glip__is_mark(uint32_t c)
{
	utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
	return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

bool glip__is_unspaced_script(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{0x0E00, 0x0EFF},   /* Thai, Lao */
		{0x1000, 0x109F},   /* Myanmar */
		{0x1780, 0x17FF},   /* Khmer */
		{0x2E80, 0x2FDF},   /* CJK and Kangxi radicals */
		{0x3005, 0x3007},   /* ideographic iteration mark, closing mark, zero */
		{0x3040, 0x30FF},   /* Hiragana, Katakana */
		{0x31F0, 0x31FF},   /* Katakana extensions */
		{0x3400, 0x4DBF},   /* CJK extension A */
		{0x4E00, 0x9FFF},   /* CJK */
		{0xF900, 0xFAFF},   /* CJK compatibility */
		{0xFF66, 0xFF9F},   /* half-width Katakana */
		{0x1AFF0, 0x1B16F}, /* Kana extensions */
		{0x20000, 0x3FFFF}, /* further CJK */
	};
	for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	}
	return false;
}

enum glip_status glip__text_items(const char *text, size_t length, const char *what, struct buf *out,
                                  struct glip_error *err)
{
	if (length > INT32_MAX)
		return glip__fail(err, GLIP_ERR_LIMIT, "the %s has more than %d bytes", what, INT32_MAX);
	/* At least one byte a code point: the loop below never grows the buffer. */
	if (!glip__buf_reserve(out, length * sizeof(struct text_item)))
		return glip__fail_nomem(err, "text", length * sizeof(struct text_item));
	size_t at = 0;
	for (int32_t i = 0; at < length; i++) {
		struct text_item item = {.origin = i};
		size_t n = glip__utf8_decode(text + at, text + length, &item.code_point);
		if (n == 0)
			return glip__fail(err, GLIP_ERR_TEXT, "the %s is not UTF-8 at byte %zu", what, at);
		if (!glip__buf_append(out, &item, sizeof item))
			return glip__fail_nomem(err, "text", sizeof item);
		at += n;
	}
	return GLIP_OK;
}
