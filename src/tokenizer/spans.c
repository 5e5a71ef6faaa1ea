#include "tokenizer/spans.h"

/* The token that covers a code point; tokens are in order of their spans, [CLS] and [SEP] at the ends. Where several do
 * (one letter can become several pieces) the first. False: none. */
static bool token_at(const struct encoding *e, int code_point, size_t *token)
{
	size_t low = 1, high = e->count > 0 ? e->count - 1 : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (e->tokens[middle].span.end <= code_point)
			low = middle + 1;
		else
			high = middle;
	}
	if (low + 1 >= e->count || e->tokens[low].span.begin > code_point)
		return false;
	*token = low;
	return true;
}

bool glip__span_tokens(const struct encoding *encoding, struct glip_span span, size_t *first, size_t *last)
{
	bool begins = false, ends = false;
	for (int i = 0; i < 3 && !begins; i++)
		begins = token_at(encoding, span.begin + i, first);
	for (int i = 1; i <= 3 && !ends; i++)
		ends = token_at(encoding, span.end - i, last);
	return begins && ends && *first <= *last;
}

enum glip_status glip__span_check(struct glip_span span, size_t caption_code_points, const char *label,
                                  struct glip_error *err)
{
	const char *fault = NULL;
	if (span.begin < 0 || span.end < 0)
		fault = "is negative";
	else if (span.begin == span.end)
		fault = "is empty";
	else if (span.begin > span.end)
		fault = "is reversed";
	else if ((size_t)span.end > caption_code_points)
		fault = "goes past the end";
	if (fault == NULL)
		return GLIP_OK;
	return glip__fail(err, GLIP_ERR_TEXT, "span %d:%d %s (the caption has %zu code points): label \"%s\"", span.begin,
	                  span.end, fault, caption_code_points, label != NULL ? label : "");
}
