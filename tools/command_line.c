#include "command_line.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"

bool text_list_add(struct text_list *list, const char *item)
{
	/* Grown in powers of two: room is always the power of two at or above count. */
	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count != 0 ? list->count * 2 : 1;
		const char **items = realloc(list->items, room * sizeof *items);
		if (items == NULL)
			return false;
		list->items = items;
	}
	list->items[list->count++] = item;
	return true;
}

void text_list_free(struct text_list *list)
{
	free(list->items);
	*list = (struct text_list){0};
}

/* Edit distance, for "did you mean"; names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[64];
	if (n >= 63)
		return 99;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

static enum parse_result unknown_option(const struct command_line *line, const char *given)
{
	const struct option *nearest = NULL;
	size_t best = 4;
	for (const struct option *o = line->options; o->name != NULL; o++) {
		size_t d = given[0] == '-' && given[1] == '-' ? distance(given + 2, o->name) : 99;
		if (d < best) {
			best = d;
			nearest = o;
		}
	}
	if (nearest != NULL)
		say("unknown option '%s'; did you mean '--%s'?", given, nearest->name);
	else
		say("unknown option '%s'; see --help", given);
	return PARSE_ERROR;
}

static const struct option *find(const struct command_line *line, const char *name, size_t length, char letter)
{
	for (const struct option *o = line->options; o->name != NULL; o++) {
		if (letter != 0 ? o->letter == letter : strlen(o->name) == length && memcmp(o->name, name, length) == 0)
			return o;
	}
	return NULL;
}

static bool set_choice(const struct option *o, const char *value)
{
	int index = 0;
	for (const char *name = o->choices; name != NULL; index++) {
		const char *end = strchr(name, '|');
		size_t length = end != NULL ? (size_t)(end - name) : strlen(name);
		if (strlen(value) == length && memcmp(name, value, length) == 0) {
			*(int *)o->target = index;
			return true;
		}
		name = end != NULL ? end + 1 : NULL;
	}
	say("--%s: '%s' is not one of %s", o->name, value, o->choices);
	return false;
}

static bool set_value(const struct option *o, const char *value)
{
	char *end;
	switch (o->kind) {
	case OPTION_FLAG: *(bool *)o->target = true; return true;
	case OPTION_INT: {
		errno = 0;
		long n = strtol(value, &end, 10);
		if (end == value || *end != '\0' || errno != 0 || (double)n < o->low || (double)n > o->high) {
			say("--%s: '%s' is not a whole number from %.0f to %.0f", o->name, value, o->low, o->high);
			return false;
		}
		*(int *)o->target = (int)n;
		return true;
	}
	case OPTION_FLOAT: {
		double x = strtod(value, &end);
		if (end == value || *end != '\0' || !isfinite(x) || x < o->low || x > o->high) {
			say("--%s: '%s' is not a number from %g to %g", o->name, value, o->low, o->high);
			return false;
		}
		*(float *)o->target = (float)x;
		return true;
	}
	case OPTION_TEXT: *(const char **)o->target = value; return true;
	case OPTION_LIST:
		if (text_list_add(o->target, value))
			return true;
		say("out of memory");
		return false;
	case OPTION_CHOICE: return set_choice(o, value);
	}
	return false;
}

/* One option at argv[*i]; *i is left on the last word it used. */
static enum parse_result parse_one(const struct command_line *line, int argc, char **argv, int *i)
{
	const char *word = argv[*i], *value = NULL;
	const struct option *o;
	if (word[1] == '-') {
		const char *equals = strchr(word, '=');
		size_t length = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
		if (length == 4 && memcmp(word + 2, "help", 4) == 0) {
			options_help(line);
			return PARSE_HELP;
		}
		o = find(line, word + 2, length, 0);
		value = equals != NULL ? equals + 1 : NULL;
	} else {
		o = find(line, NULL, 0, word[1]);
		if (o == NULL && strcmp(word, "-h") == 0) {
			options_help(line);
			return PARSE_HELP;
		}
		if (o != NULL && word[2] != '\0') {
			if (o->kind == OPTION_FLAG)
				return unknown_option(line, word);
			value = word + 2; /* -mFILE */
		}
	}
	if (o == NULL)
		return unknown_option(line, word);
	if (o->kind == OPTION_FLAG && value != NULL) {
		say("--%s takes no value", o->name);
		return PARSE_ERROR;
	}
	if (o->kind != OPTION_FLAG && value == NULL) {
		if (*i + 1 >= argc) {
			say("--%s needs a value: %s", o->name, o->argument != NULL ? o->argument : "VALUE");
			return PARSE_ERROR;
		}
		value = argv[++*i];
	}
	return set_value(o, value) ? PARSE_OK : PARSE_ERROR;
}

enum parse_result options_parse(const struct command_line *line, int argc, char **argv, struct text_list *operands)
{
	bool only_operands = false;
	for (int i = 1; i < argc; i++) {
		if (!only_operands && strcmp(argv[i], "--") == 0) {
			only_operands = true;
			continue;
		}
		if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
			if (!text_list_add(operands, argv[i])) {
				say("out of memory");
				return PARSE_ERROR;
			}
			continue;
		}
		enum parse_result r = parse_one(line, argc, argv, &i);
		if (r != PARSE_OK)
			return r;
	}
	return PARSE_OK;
}

void options_help(const struct command_line *line)
{
	enum { COLUMN = 30 };
	printf("usage: %s\n\n%s\n", line->usage, line->description);
	if (line->options->name != NULL)
		printf("\noptions:\n");
	for (const struct option *o = line->options; o->name != NULL; o++) {
		char left[80];
		snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
		         o->letter ? "," : " ", o->name, o->argument != NULL ? " " : "",
		         o->argument != NULL ? o->argument : "");
		printf("  %-*s", COLUMN - 2, left);
		if (strlen(left) > COLUMN - 3)
			printf("\n%*s", COLUMN, "");
		for (const char *text = o->help; *text != '\0'; text++) {
			putchar(*text);
			if (*text == '\n')
				printf("%*s", COLUMN, "");
		}
		putchar('\n');
	}
	printf("  %-*s%s\n", COLUMN - 2, "-h, --help", "this help");
	if (line->epilogue != NULL)
		printf("\n%s\n", line->epilogue);
}
