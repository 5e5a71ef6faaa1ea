/* `glip bench`: how fast this machine runs the kernels and a model, beside what it could do. */
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "bench.h"
#include "commands.h"
#include "options.h"
#include "terminal.h"

enum part { PART_ALL, PART_LIMITS, PART_PRODUCTS, PART_MODEL, PART_SCALING };
enum { REPEAT = 7, QUICK_REPEAT = 2 };

/* The processor's name, as the system tells it. */
static void machine_name(char *out, size_t size)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");

	snprintf(out, size, "an unnamed processor");
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *colon = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || colon == NULL)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, size, "%s", colon + 2);
		break;
	}
	if (f != NULL)
		fclose(f);
}

static bool wanted(enum part asked, enum part part)
{
	return asked == PART_ALL || asked == part;
}

static bool run(const struct bench_settings *s, enum part part, bool json)
{
	struct bench_report r;
	struct bench_limits limits;
	char machine[128];

	machine_name(machine, sizeof machine);
	bench_report_begin(&r, json, machine, s->threads, s->repeat);
	/* Every other part is told as a share of the limits. */
	bool good = bench_limits(&r, s, &limits);
	if (good && wanted(part, PART_PRODUCTS))
		good = bench_products(&r, s, &limits);
	if (good && wanted(part, PART_MODEL) && s->model != NULL)
		good = bench_model(&r, s, &limits);
	if (good && wanted(part, PART_SCALING) && s->model != NULL)
		good = bench_scaling(&r, s);
	return bench_report_end(&r) && good;
}

int cmd_bench(int argc, char **argv)
{
	struct text_list operands = {0};
	struct bench_settings s = {0};
	bool quick = false, json = false;
	int part = PART_ALL;
	const struct option options[] = {
		{"model", 'm', OPTION_TEXT, &s.model, "FILE", "model to time; without one only the machine and the products", 0, 0, NULL},
		{"only", 0, OPTION_CHOICE, &part, "PART", "all, limits, products, model or scaling (default all)", 0, 0,
		 "all|limits|products|model|scaling"},
		{"repeat", 0, OPTION_INT, &s.repeat, "N", "runs after a warm-up (default 7)", 1, BENCH_MAX_SAMPLES, NULL},
		{"quick", 0, OPTION_FLAG, &quick, NULL, "two runs", 0, 0, NULL},
		{"threads", 't', OPTION_INT, &s.threads, "N", "threads (default: all processors)", 1, 64, NULL},
		{"json", 0, OPTION_FLAG, &json, NULL, "one JSON object instead of tables", 0, 0, NULL},
		{NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
	};
	const struct command_line line = {
		.usage = "glip bench [-m MODEL] [--only PART] [--repeat N | --quick] [--threads N] [--json]",
		.description = "Measures the machine's limits, the matrix products of GLIP as a share of them, and a model: by stage,\n"
		               "over threads, image sizes and numbers of classes. Run it on an idle machine.",
		.options = options,
		.epilogue = "example:\n  glip bench -m glip-t.gguf --only model",
	};
	enum parse_result parsed = options_parse(&line, argc, argv, &operands);
	int status = parsed == PARSE_HELP ? EXIT_GOOD : EXIT_USAGE;

	if (parsed == PARSE_OK && operands.count != 0) {
		say("bench takes no '%s'; see glip bench --help", operands.items[0]);
	} else if (parsed == PARSE_OK && s.model == NULL && (part == PART_MODEL || part == PART_SCALING)) {
		say("this part needs a model: -m FILE");
	} else if (parsed == PARSE_OK) {
		if (s.repeat == 0)
			s.repeat = quick ? QUICK_REPEAT : REPEAT;
		if (s.threads == 0)
			s.threads = glip__cpu_count();
		status = run(&s, (enum part)part, json) ? EXIT_GOOD : EXIT_SOME_FAILED;
	}
	text_list_free(&operands);
	return status;
}
