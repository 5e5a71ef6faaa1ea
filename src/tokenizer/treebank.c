#include "tokenizer/treebank.h"

#include "base/utf8.h"

/* The original is a list of text substitutions, each over the result of the one before; the order matters, and so does
 * that a substitution goes on behind what it matched. Here each is a pass from one buffer to another, over code points
 * that remember where they stood. */
struct passes {
	struct buf from, to; /* struct text_item; a space that was put in has origin -1 */
	bool failed;         /* out of memory */
};

static const struct text_item *begin_pass(struct passes *p, size_t *count)
{
	static const struct text_item none; /* where memory ran out before the first character */
	p->to.length = 0;
	*count = p->from.length / sizeof(struct text_item);
	return p->from.data != NULL ? (const struct text_item *)(const void *)p->from.data : &none;
}

static void end_pass(struct passes *p)
{
	struct buf swap = p->from;
	p->from = p->to;
	p->to = swap;
}

static void put(struct passes *p, struct text_item item)
{
	if (!glip__buf_append(&p->to, &item, sizeof item))
		p->failed = true;
}

static void put_space(struct passes *p)
{
	put(p, (struct text_item){' ', -1});
}

static void put_all(struct passes *p, const struct text_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put(p, items[i]);
}

static void put_spaced(struct passes *p, const struct text_item *items, size_t count)
{
	put_space(p);
	put_all(p, items, count);
	put_space(p);
}

static bool in_set(uint32_t c, const uint32_t *set)
{
	while (*set != 0 && *set != c)
		set++;
	return c != 0 && *set == c;
}

/* Whether items[at ..] begin with the ASCII text; its length or 0. */
static size_t matches(const struct text_item *items, size_t count, size_t at, const char *text)
{
	size_t n = 0;
	for (; text[n] != '\0'; n++) {
		if (at + n >= count || items[at + n].code_point != (unsigned char)text[n])
			return 0;
	}
	return n;
}

/* A space on both sides of each character of the set. */
static void space_characters(struct passes *p, const uint32_t *set)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		if (in_set(s[i].code_point, set))
			put_spaced(p, s + i, 1);
		else
			put(p, s[i]);
	}
	end_pass(p);
}

/* The same for runs of c, of at least `least` and taken `most` at a time. */
static void space_runs(struct passes *p, uint32_t c, size_t least, size_t most)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0, run; i < n; i += run) {
		for (run = 0; run < most && i + run < n && s[i + run].code_point == c;)
			run++;
		if (run >= least) {
			put_spaced(p, s + i, run);
			continue;
		}
		run += run == 0;
		put_all(p, s + i, run);
	}
	end_pass(p);
}

static void put_two(struct passes *p, char c, struct text_item first, struct text_item last)
{
	put(p, (struct text_item){(unsigned char)c, first.origin});
	put(p, (struct text_item){(unsigned char)c, last.origin});
}

/* A double quote that opens the text. */
static void first_quote(struct passes *p)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	size_t quote = matches(s, n, 0, "\"");
	if (quote != 0)
		put_two(p, '`', s[0], s[0]);
	put_all(p, s + quote, n - quote);
	end_pass(p);
}

/* " and '' open where a space or a bracket stands before. */
static void opening_quotes(struct passes *p)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		put(p, s[i]);
		if (!in_set(s[i].code_point, U" ([{<"))
			continue;
		size_t quote = matches(s, n, i + 1, "\"");
		if (quote == 0)
			quote = matches(s, n, i + 1, "''");
		if (quote == 0)
			continue;
		put_space(p);
		put_two(p, '`', s[i + 1], s[i + quote]);
		put_space(p);
		i += quote;
	}
	end_pass(p);
}

/* An apostrophe before a lone letter that is no clitic stands by itself. */
static void opening_apostrophes(struct passes *p)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		put(p, s[i]);
		if (s[i].code_point == '\'' && i + 1 < n && glip__is_word(s[i + 1].code_point) &&
		    !in_set(s[i + 1].code_point, U"mtsdn") && (i + 2 == n || !glip__is_word(s[i + 2].code_point))) {
			put_space(p);
			put(p, s[++i]);
		}
	}
	end_pass(p);
}

/* The period that ends the text, with brackets and quotes behind it. */
static void final_period(struct passes *p, const uint32_t *closers, bool part_closers)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	size_t dot = n;
	while (dot > 0 && s[dot - 1].code_point != '.')
		dot--;
	/* dot is now one past the last period. */
	size_t end = dot, rest;
	while (end < n && in_set(s[end].code_point, closers))
		end++;
	for (rest = end; rest < n && glip__is_space(s[rest].code_point);)
		rest++;
	if (dot < 2 || s[dot - 2].code_point == '.' || rest < n) {
		put_all(p, s, n);
	} else {
		put_all(p, s, dot - 1);
		put_space(p);
		put(p, s[dot - 1]);
		if (part_closers)
			put_space(p);
		put_all(p, s + dot, end - dot);
		put_space(p);
	}
	end_pass(p);
}

/* Colons and commas, but not those before a digit. */
static void commas(struct passes *p)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		bool comma = in_set(s[i].code_point, U":,");
		if (comma && i + 1 < n && !glip__is_digit(s[i + 1].code_point)) {
			put_spaced(p, s + i, 1);
			put(p, s[++i]); /* behind the match: a comma here is not looked at again */
		} else {
			put(p, s[i]);
		}
	}
	end_pass(p);

	s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		bool last = i + 1 == n || (i + 2 == n && s[i + 1].code_point == '\n');
		if (last && in_set(s[i].code_point, U":,"))
			put_spaced(p, s + i, 1);
		else
			put(p, s[i]);
	}
	end_pass(p);
}

/* An apostrophe before a space stands by itself. */
static void closing_apostrophes(struct passes *p)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		put(p, s[i]);
		if (s[i].code_point != '\'' && matches(s, n, i + 1, "' ") != 0) {
			put_space(p);
			put(p, s[++i]);
			put(p, s[++i]);
		}
	}
	end_pass(p);
}

static void closing_quotes(struct passes *p)
{
	space_characters(p, U"\u00BB\u201D\u2019");
	space_runs(p, '\'', 2, 2);
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		if (s[i].code_point != '"') {
			put(p, s[i]);
			continue;
		}
		put_space(p);
		put_two(p, '\'', s[i], s[i]);
		put_space(p);
	}
	end_pass(p);
}

/* 's, 'll, n't and the like become words of their own where a space follows. */
static void clitics(struct passes *p, const char *const *list)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		put(p, s[i]);
		if (s[i].code_point == '\'' || s[i].code_point == ' ')
			continue;
		size_t length = 0;
		for (size_t k = 0; list[k] != NULL && length == 0; k++)
			length = matches(s, n, i + 1, list[k]);
		if (length == 0)
			continue;
		put_space(p);
		put_all(p, s + i + 1, length);
		i += length;
	}
	end_pass(p);
}

/* "cannot" is two words. `before` and `after` say what must stand around: a word's edge ('b'), or white space ('s'). */
static void contraction(struct passes *p, const char *first, const char *second, char before, char after)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	for (size_t i = 0; i < n; i++) {
		size_t space = before == 's';
		size_t a = (space != 0 && s[i].code_point != ' ') ? 0 : matches(s, n, i + space, first);
		size_t b = a != 0 ? matches(s, n, i + space + a, second) : 0;
		size_t end = i + space + a + b;
		bool here = b != 0 && (space != 0 || i == 0 || !glip__is_word(s[i - 1].code_point));
		if (after == 's')
			here = here && end < n && glip__is_space(s[end].code_point);
		else
			here = here && (end == n || !glip__is_word(s[end].code_point));
		if (!here) {
			put(p, s[i]);
			continue;
		}
		put_spaced(p, s + i + space, a);
		put_all(p, s + i + space + a, b);
		put_space(p);
		i = end - 1;
	}
	end_pass(p);
}

static void put_outer_spaces(struct passes *p)
{
	size_t n;
	const struct text_item *s = begin_pass(p, &n);
	put_spaced(p, s, n);
	end_pass(p);
}

static void run_passes(struct passes *p)
{
	static const char *const short_clitics[] = {"'s ", "'m ", "'d ", "' ", NULL};
	static const char *const long_clitics[] = {"'ll ", "'re ", "'ve ", "n't ", NULL};

	space_characters(p, U"\u00AB\u201C\u2018\u201E");
	space_runs(p, '`', 1, SIZE_MAX);
	first_quote(p);
	space_runs(p, '`', 2, 2);
	opening_quotes(p);
	opening_apostrophes(p);

	final_period(p, U"])}>\"'\u00BB\u201D\u2019 ", true);
	commas(p);
	space_runs(p, '.', 2, SIZE_MAX);
	space_characters(p, U";@#$%&");
	final_period(p, U"])}>\"'", false);
	space_characters(p, U"?!");
	closing_apostrophes(p);
	space_characters(p, U"*");
	space_characters(p, U"][(){}<>");
	space_runs(p, '-', 2, 2);

	put_outer_spaces(p);
	closing_quotes(p);
	clitics(p, short_clitics);
	clitics(p, long_clitics);

	contraction(p, "can", "not", 'b', 'b');
	contraction(p, "d", "'ye", 'b', 'b');
	contraction(p, "gim", "me", 'b', 'b');
	contraction(p, "gon", "na", 'b', 'b');
	contraction(p, "got", "ta", 'b', 'b');
	contraction(p, "lem", "me", 'b', 'b');
	contraction(p, "more", "'n", 'b', 'b');
	contraction(p, "wan", "na", 'b', 's');
	contraction(p, "'t", "is", 's', 'b');
	contraction(p, "'t", "was", 's', 'b');
}

static bool add_word(const struct text_item *items, size_t count, struct buf *text, struct buf *words)
{
	struct treebank_word word = {.text = text->length};
	word.span.begin = items[0].origin;
	word.span.end = items[count - 1].origin + 1;
	for (size_t i = 0; i < count; i++) {
		char bytes[4];
		if (!glip__buf_append(text, bytes, glip__utf8_encode(items[i].code_point, bytes)))
			return false;
	}
	word.length = text->length - word.text;
	return glip__buf_append(text, "", 1) && glip__buf_append(words, &word, sizeof word);
}

enum glip_status glip__treebank_split(const struct text_item *items, size_t count, struct buf *text, struct buf *words,
                                      struct glip_error *err)
{
	struct passes p = {.failed = false};
	p.from.allocator = p.to.allocator = text->allocator;
	p.failed = !glip__buf_append(&p.from, items, count * sizeof *items);
	run_passes(&p);
	size_t n = p.from.length / sizeof *items;
	const struct text_item *s = (const struct text_item *)(const void *)p.from.data;
	for (size_t first = 0, next; first < n && !p.failed; first = next) {
		for (next = first; next < n && !glip__is_space(s[next].code_point);)
			next++;
		if (next > first)
			p.failed = !add_word(s + first, next - first, text, words);
		else
			next++;
	}
	glip__buf_free(&p.from);
	glip__buf_free(&p.to);
	return p.failed ? glip__fail_nomem(err, "words", count * sizeof *items) : GLIP_OK;
}
