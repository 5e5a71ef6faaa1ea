#include <string.h>

#include "convert.h"

void convert_taps(const float *in, float *out, size_t rows, size_t channels, size_t taps)
{
	for (size_t r = 0; r < rows; r++, in += channels * taps, out += channels * taps)
		for (size_t t = 0; t < taps; t++)
			for (size_t c = 0; c < channels; c++)
				out[t * channels + c] = in[c * taps + t];
}

void convert_merge(const float *in, float *out, size_t rows, size_t channels)
{
	static const size_t place[4] = {0, 2, 1, 3};

	for (size_t r = 0; r < rows; r++, in += 4 * channels, out += 4 * channels)
		for (size_t n = 0; n < 4; n++)
			for (size_t c = 0; c < channels; c++)
				out[place[n] * channels + c] = in[c * 4 + n];
}

static uint64_t hash_row(const float *row, size_t width)
{
	uint64_t h = 0x9E3779B97F4A7C15u;

	for (size_t i = 0; i < width; i++) {
		uint32_t bits;
		memcpy(&bits, &row[i], sizeof(bits));
		h = (h ^ bits) * 0xFF51AFD7ED558CCDu;
		h ^= h >> 32;
	}
	return h;
}

bool convert_equal_rows(const struct glip_allocator *a, const float *rows, size_t count, size_t width, int32_t *number,
                        size_t *unique)
{
	size_t size = 16, found = 0;
	uint32_t *slots, *first;

	while (size < 2 * count)
		size *= 2;
	slots = glip__calloc(a, size, sizeof(*slots));  /* number + 1 */
	first = glip__malloc(a, count, sizeof(*first)); /* row that a number stands for */
	if (slots == NULL || first == NULL) {
		glip__free(a, slots);
		glip__free(a, first);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		size_t slot = (size_t)hash_row(rows + i * width, width) & (size - 1);
		while (slots[slot] != 0 &&
		       memcmp(rows + first[slots[slot] - 1] * width, rows + i * width, width * sizeof(*rows)) != 0)
			slot = (slot + 1) & (size - 1);
		if (slots[slot] == 0) {
			first[found] = (uint32_t)i;
			slots[slot] = (uint32_t)++found;
		}
		number[i] = (int32_t)(slots[slot] - 1);
	}
	*unique = found;
	glip__free(a, slots);
	glip__free(a, first);
	return true;
}

size_t convert_vocab_lines(const char *text, size_t size, struct strmap_entry *out)
{
	size_t count = 0;

	for (const char *end = text + size; text < end; count++) {
		const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text));
		text = stop != NULL ? stop + 1 : end;
		if (stop == NULL)
			stop = end;
		if (stop > line && stop[-1] == '\r')
			stop--;
		if (out != NULL)
			out[count] = (struct strmap_entry){line, (size_t)(stop - line)};
	}
	return count;
}
