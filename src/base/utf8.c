#include "base/utf8.h"

size_t glip__utf8_decode(const char *text, const char *end, uint32_t *code_point)
{
	size_t left = (size_t)(end - text);
	if (left == 0)
		return 0;
	const unsigned char *s = (const unsigned char *)text;
	if (s[0] < 0x80) {
		*code_point = s[0];
		return 1;
	}
	size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
	if (s[0] < 0xC2 || s[0] > 0xF4 || left < n)
		return 0;
	uint32_t c = s[0] & (0xFFu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*code_point = c;
	return n;
}

size_t glip__utf8_encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

int64_t glip__utf8_count(const char *text, size_t length, size_t *bad)
{
	int64_t count = 0;
	uint32_t c;
	for (size_t at = 0; at < length; count++) {
		size_t n = glip__utf8_decode(text + at, text + length, &c);
		if (n == 0) {
			if (bad != NULL)
				*bad = at;
			return -1;
		}
		at += n;
	}
	return count;
}

size_t glip__utf8_offset(const char *text, size_t length, size_t index)
{
	size_t at = 0;
	for (; at < length; at++) {
		if (((unsigned char)text[at] & 0xC0) != 0x80 && index-- == 0)
			break;
	}
	return at;
}
