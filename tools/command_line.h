/* Command lines: one table per command drives both parsing and `--help`, so that the two cannot disagree. */
#ifndef GLIP_TOOLS_COMMAND_LINE_H
#define GLIP_TOOLS_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
	OPTION_FLAG,  /* bool * */
	OPTION_INT,   /* int *, in [low, high] */
	OPTION_FLOAT, /* float *, in [low, high] */
	OPTION_TEXT,  /* const char ** */
	OPTION_LIST,  /* struct text_list *, may be repeated */
	OPTION_CHOICE /* int *, index into the names in `choices`, separated by '|' */
};

struct text_list {
	const char **items; /* into argv; free with text_list_free */
	size_t count;
};

struct option {
	const char *name; /* "threshold", given as --threshold VALUE or --threshold=VALUE */
	char letter;      /* 'm' for -m; 0: none */
	enum option_kind kind;
	void *target;
	const char *argument; /* "FILE", for the help */
	const char *help;     /* one or more lines */
	double low, high;
	const char *choices;
};

struct command_line {
	const char *usage;            /* "glip ground -m MODEL IMAGE... --classes LIST" without the word usage */
	const char *description;      /* a paragraph */
	const struct option *options; /* ends with an empty entry */
	const char *epilogue;         /* examples; may be NULL */
};

enum parse_result { PARSE_OK, PARSE_HELP, PARSE_ERROR };

/* Parses argv[1..]; what is no option goes to *operands ("--" ends the options, "-" is an operand). PARSE_HELP: --help
 * was asked for and printed on stdout. PARSE_ERROR: a message on stderr names the option and, for an unknown one, the
 * nearest there is. */
enum parse_result options_parse(const struct command_line *line, int argc, char **argv, struct text_list *operands);
void options_help(const struct command_line *line);
bool text_list_add(struct text_list *list, const char *item);
void text_list_free(struct text_list *list);

#endif
