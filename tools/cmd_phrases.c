/* `glip phrases`: what a caption's labels would be. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "glip.h"
#include "inputs.h"
#include "json_out.h"
#include "command_line.h"
#include "terminal.h"

static void print_json(const char *caption, const struct glip_phrases *found)
{
	size_t phrase_count, word_count;
	const struct glip_phrase *phrases = glip_phrases_list(found, &phrase_count);
	const struct glip_word *words = glip_phrases_words(found, &word_count);
	struct json_out j = {0};
	json_raw(&j, "{\"caption\":");
	json_string(&j, caption);
	json_raw(&j, ",\"tokens\":[");
	for (size_t i = 0; i < word_count; i++) {
		json_raw(&j, i > 0 ? "," : "");
		json_string(&j, words[i].text);
	}
	json_raw(&j, "],\"tags\":[");
	for (size_t i = 0; i < word_count; i++) {
		json_raw(&j, i > 0 ? "," : "");
		json_string(&j, words[i].tag);
	}
	json_raw(&j, "],\"phrases\":[");
	for (size_t i = 0; i < phrase_count; i++) {
		json_raw(&j, i > 0 ? "," : "");
		json_string(&j, phrases[i].text);
	}
	json_raw(&j, "],\"spans\":[");
	for (size_t i = 0; i < phrase_count; i++)
		json_format(&j, "%s[%d,%d]", i > 0 ? "," : "", phrases[i].span.begin, phrases[i].span.end);
	json_raw(&j, "]}\n");
	if (!j.failed)
		fputs(j.text, stdout);
	json_free(&j);
}

/* The caption with its phrases in color, or in brackets where there are no colors; then each phrase with its span. */
static void print_text(const struct glip_phrases *found, bool tags)
{
	static const int colors[] = {32, 36, 33, 35, 34, 31};
	bool color = isatty(STDOUT_FILENO);
	size_t phrase_count, word_count, next = 0;
	const struct glip_phrase *phrases = glip_phrases_list(found, &phrase_count);
	const struct glip_word *words = glip_phrases_words(found, &word_count);
	for (size_t i = 0; i < word_count; i++) {
		bool starts = next < phrase_count && phrases[next].first_word == i;
		if (i > 0)
			putchar(' ');
		if (starts && color)
			printf("\033[1;%dm", colors[next % (sizeof colors / sizeof *colors)]);
		else if (starts)
			putchar('[');
		fputs(words[i].text, stdout);
		if (tags)
			printf("/%s", words[i].tag);
		if (next < phrase_count && i + 1 == phrases[next].first_word + phrases[next].word_count) {
			fputs(color ? "\033[0m" : "]", stdout);
			next++;
		}
	}
	putchar('\n');
	for (size_t i = 0; i < phrase_count; i++)
		printf("  %2zu  %d:%d  %s\n", i + 1, phrases[i].span.begin, phrases[i].span.end, phrases[i].text);
	if (phrase_count == 0)
		printf("  no noun phrase: the whole caption would be one label\n");
}

static int run_caption(const char *caption, bool tags, bool json)
{
	struct glip_phrases *found = NULL;
	struct glip_error err;
	if (glip_phrases_create(caption, NULL, &found, &err) != GLIP_OK) {
		say("%s", err.message);
		return EXIT_SOME_FAILED;
	}
	if (json)
		print_json(caption, found);
	else
		print_text(found, tags);
	glip_phrases_free(found);
	return EXIT_GOOD;
}

int cmd_phrases(int argc, char **argv)
{
	bool tags = false, json = false;
	struct text_list captions = {0};
	const struct option options[] = {
		{"tags", 0, OPTION_FLAG, &tags, NULL, "show the tag of every word", 0, 0, NULL},
		{"json", 0, OPTION_FLAG, &json, NULL, "one JSON object a caption: tokens, tags, phrases, spans", 0, 0, NULL},
		{NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
	};
	const struct command_line line = {
		.usage = "glip phrases CAPTION... [--tags] [--json]",
		.description =
			"Shows the noun phrases of each caption: the labels that glip ground --caption looks for, with their\n"
			"spans in characters. CAPTION - reads captions from standard input, one a line.",
		.options = options,
		.epilogue = "example:\n  glip phrases \"a raccoon next to the wooden fence\"",
	};
	enum parse_result parsed = options_parse(&line, argc, argv, &captions);
	int status = parsed == PARSE_HELP ? EXIT_GOOD : EXIT_USAGE;
	if (parsed == PARSE_OK && captions.count == 0)
		say("no caption given; see glip phrases --help");
	if (parsed == PARSE_OK && captions.count > 0) {
		status = EXIT_GOOD;
		for (size_t i = 0; i < captions.count; i++) {
			struct input_list lines = {0};
			const char *dash = "-";
			bool from_stdin = strcmp(captions.items[i], dash) == 0;
			if (from_stdin && !inputs_expand(&lines, &dash, 1))
				status = EXIT_SOME_FAILED;
			for (size_t k = 0; k < (from_stdin ? lines.count : 1); k++) {
				int one = run_caption(from_stdin ? lines.paths[k] : captions.items[i], tags, json);
				status = one > status ? one : status;
			}
			inputs_free(&lines);
		}
	}
	text_list_free(&captions);
	return status;
}
