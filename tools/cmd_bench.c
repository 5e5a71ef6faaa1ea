/* `glip bench`: how fast this machine runs the kernels and a model, beside what it could do. */
#include <stdio.h>
#include <string.h>

#include "base/pool.h"
#include "bench.h"
#include "commands.h"
#include "command_line.h"
#include "terminal.h"

enum part {
	PART_ALL,
	PART_LIMITS,
	PART_PRODUCTS,
	PART_LOAD, /* from here on with a model */
	PART_COMPUTE,
	PART_STAGES,
	PART_REUSE,
	PART_MEMORY,
	PART_THREADS,
	PART_SIZES,
	PART_CLASSES,
	PART_COUNT
};
#define PART_NAMES "all|limits|products|load|compute|stages|reuse|memory|threads|sizes|classes"
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

static bool run_part(struct bench_report *r, const struct bench_settings *s, enum part part,
                     const struct bench_limits *limits)
{
	switch (part) {
	case PART_PRODUCTS: return bench_products(r, s, limits);
	case PART_LOAD: return bench_load(r, s);
	case PART_COMPUTE: return bench_compute(r, s);
	case PART_STAGES: return bench_stages(r, s, limits);
	case PART_REUSE: return bench_reuse(r, s);
	case PART_MEMORY: return bench_memory(r, s);
	case PART_THREADS: return bench_threads(r, s);
	case PART_SIZES: return bench_sizes(r, s);
	case PART_CLASSES: return bench_classes(r, s);
	case PART_ALL:
	case PART_LIMITS:
	case PART_COUNT: break;
	}
	return true;
}

static bool run(const struct bench_settings *s, enum part asked, bool json)
{
	struct bench_report r;
	struct bench_limits limits = {0};
	char machine[128];
	bool good = true;

	machine_name(machine, sizeof machine);
	bench_report_begin(&r, json, machine, s->threads, s->repeat);
	/* Products and stages are told as shares of the limits. */
	if (asked <= PART_PRODUCTS || asked == PART_STAGES)
		good = bench_limits(&r, s, &limits);
	for (enum part p = PART_PRODUCTS; p < PART_COUNT && good; p++) {
		if ((asked == PART_ALL || asked == p) && (p < PART_LOAD || s->model != NULL))
			good = run_part(&r, s, p, &limits);
	}
	return bench_report_end(&r) && good;
}

int cmd_bench(int argc, char **argv)
{
	struct text_list operands = {0};
	struct bench_settings s = {0};
	bool quick = false, json = false;
	int part = PART_ALL;
	const struct option options[] = {
		{"model", 'm', OPTION_TEXT, &s.model, "FILE", "model to time; without one only the machine and the products", 0,
	     0, NULL},
		{"only", 0, OPTION_CHOICE, &part, "PART", PART_NAMES " (default all)", 0, 0, PART_NAMES},
		{"repeat", 0, OPTION_INT, &s.repeat, "N", "runs after a warm-up (default 7)", 1, BENCH_MAX_SAMPLES, NULL},
		{"quick", 0, OPTION_FLAG, &quick, NULL, "two runs", 0, 0, NULL},
		{"threads", 't', OPTION_INT, &s.threads, "N", "threads (default: all processors)", 1, 64, NULL},
		{"compute", 0, OPTION_CHOICE, &s.compute, "TYPE",
	     "numbers that passes compute with: f32 (default), bf16, i16 or i8", 0, 0, BENCH_COMPUTE_NAMES},
		{"json", 0, OPTION_FLAG, &json, NULL, "one JSON object instead of tables", 0, 0, NULL},
		{NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
	};
	const struct command_line line = {
		.usage = "glip bench [-m MODEL] [--only PART] [--repeat N | --quick] [--threads N] [--compute TYPE]\n"
				 "           [--json]",
		.description =
			"Measures the machine's limits, the matrix products of GLIP as a share of them, and a model: by\n"
			"stage, over threads, image sizes and numbers of classes. Run it on an idle machine.",
		.options = options,
		.epilogue = "example:\n  glip bench -m glip-t.gguf --only stages",
	};
	enum parse_result parsed = options_parse(&line, argc, argv, &operands);
	int status = parsed == PARSE_HELP ? EXIT_GOOD : EXIT_USAGE;

	if (parsed == PARSE_OK && operands.count != 0) {
		say("bench takes no '%s'; see glip bench --help", operands.items[0]);
	} else if (parsed == PARSE_OK && s.model == NULL && part >= PART_LOAD) {
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
