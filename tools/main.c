/* The `glip` program: finds the command and hands over. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "glip.h"
#include "terminal.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command COMMANDS[] = {
	{"ground", cmd_ground, "find what words name in images: boxes, scores, drawings"},
	{"phrases", cmd_phrases, "show the noun phrases of a caption, the labels it would give"},
	{"convert", cmd_convert, "make a model file from a PyTorch or safetensors checkpoint"},
	{"info", cmd_info, "show or verify a model file"},
	{"bench", cmd_bench, "time kernels and a model on this machine"},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(COMMANDS[i].name, name) == 0)
			return &COMMANDS[i];
	}
	return NULL;
}

static void print_help(FILE *out)
{
	fprintf(out, "glip %s: find in a picture whatever a text names\n\nusage: glip COMMAND [ARGUMENT...]\n\n",
	        glip_version());
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-9s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
	fprintf(out, "  %-9s %s\n", "help", "help on a command: glip help COMMAND, or glip COMMAND --help");
	fprintf(out, "\n  glip --version   version, compiler, kernels\n\nexample:\n"
	             "  glip ground -m model.gguf photo.jpg --classes \"cat, dog, traffic light\" --draw out.png\n");
}

static int print_version(void)
{
	char info[512];
	glip_build_info(info, sizeof info);
	printf("glip %s\n%s", glip_version(), info);
	return EXIT_GOOD;
}

static int unknown_command(const char *name)
{
	say("unknown command '%s'; see glip --help", name);
	return EXIT_USAGE;
}

static int run_help(int argc, char **argv)
{
	if (argc < 3) {
		print_help(stdout);
		return EXIT_GOOD;
	}
	const struct command *c = find(argv[2]);
	if (c == NULL)
		return unknown_command(argv[2]);
	char help[] = "--help";
	char *words[] = {argv[2], help, NULL};
	return c->run(2, words);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	int status;
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		status = run_help(argc, argv);
	} else if (strcmp(name, "--version") == 0) {
		status = print_version();
	} else {
		const struct command *c = find(name);
		status = c != NULL ? c->run(argc - 1, argv + 1) : unknown_command(name);
	}
	/* A full disk or a closed pipe shows only when the last bytes go out. */
	if (fflush(stdout) != 0 && status == EXIT_GOOD) {
		say("cannot write to standard output");
		status = EXIT_SOME_FAILED;
	}
	return status;
}
