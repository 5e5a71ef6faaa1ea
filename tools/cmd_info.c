/* `glip info`: what a model file holds, and whether it is undamaged. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "commands.h"
#include "json_out.h"
#include "command_line.h"
#include "tensor/weights.h"
#include "terminal.h"

/* Number of weights and the bytes of all tensors by type. */
struct totals {
	uint64_t parameters, bytes[DTYPE_COUNT];
};

static struct totals count_all(const struct weights *w)
{
	struct totals sum = {.parameters = glip__weights_parameters(w)};

	for (size_t i = 0; i < glip__weights_count(w); i++) {
		const struct tensor *t = glip__weights_at(w, i, NULL);
		int64_t n = 0;
		(void)glip__tensor_count(t, &n);
		sum.bytes[t->dtype] += (uint64_t)n * glip__dtype_size(t->dtype);
	}
	return sum;
}

static void print_text(const struct weights *w, bool tensors)
{
	struct totals sum = count_all(w);
	const char *key;
	char value[512];

	printf("%s: %.1f MB, %zu tensors, %.2f million parameters (", glip__weights_path(w),
	       (double)glip__weights_file_size(w) * 1e-6, glip__weights_count(w), (double)sum.parameters * 1e-6);
	for (int i = 0, n = 0; i < DTYPE_COUNT; i++)
		if (sum.bytes[i] > 0)
			printf("%s%s %.1f MB", n++ > 0 ? ", " : "", glip__dtype_name((enum dtype)i), (double)sum.bytes[i] * 1e-6);
	puts(")");
	for (size_t i = 0; glip__weights_metadata(w, i, &key, value, sizeof(value)); i++)
		printf("  %-24s %s\n", key, value);
	for (size_t i = 0; tensors && i < glip__weights_count(w); i++) {
		const char *name;
		const struct tensor *t = glip__weights_at(w, i, &name);
		glip__tensor_shape_text(t, value, sizeof(value));
		printf("  %-5s %-14s %s\n", glip__dtype_name(t->dtype), value, name);
	}
}

/* Values as the text form shows them, long arrays shortened. */
static void print_json(const struct weights *w, bool tensors, bool verified)
{
	struct totals sum = count_all(w);
	struct json_out j = {0};
	const char *key;
	char value[512];

	json_raw(&j, "{\"path\":");
	json_string(&j, glip__weights_path(w));
	json_format(&j, ",\"file_bytes\":%" PRIu64 ",\"parameters\":%" PRIu64 ",\"tensor_count\":%zu",
	            glip__weights_file_size(w), sum.parameters, glip__weights_count(w));
	if (verified)
		json_raw(&j, ",\"verified\":true");
	json_raw(&j, ",\"metadata\":{");
	for (size_t i = 0; glip__weights_metadata(w, i, &key, value, sizeof(value)); i++) {
		json_raw(&j, i > 0 ? "," : "");
		json_string(&j, key);
		json_raw(&j, ":");
		json_string(&j, value);
	}
	json_raw(&j, "}");
	for (size_t i = 0; tensors && i < glip__weights_count(w); i++) {
		const char *name;
		const struct tensor *t = glip__weights_at(w, i, &name);
		json_raw(&j, i > 0 ? ",{\"name\":" : ",\"tensors\":[{\"name\":");
		json_string(&j, name);
		json_format(&j, ",\"type\":\"%s\",\"shape\":[", glip__dtype_name(t->dtype));
		for (int d = 0; d < t->ndim; d++)
			json_format(&j, "%s%" PRId64, d > 0 ? "," : "", t->shape[d]);
		json_raw(&j, i + 1 < glip__weights_count(w) ? "]}" : "]}]");
	}
	json_raw(&j, "}");
	if (j.failed)
		say("out of memory");
	else
		puts(j.text);
	json_free(&j);
}

static int run(const char *path, bool tensors, bool verify, bool json)
{
	struct weights *w = NULL;
	struct glip_error err;
	int result = EXIT_USAGE;

	if (glip__weights_open(path, 1, NULL, &w, &err) != GLIP_OK) {
		say("%s", err.message);
		return EXIT_USAGE;
	}
	double start = now_seconds();
	if (!verify || glip__weights_verify(w, &err) == GLIP_OK)
		result = EXIT_GOOD;
	else
		say("%s", err.message);
	double seconds = now_seconds() - start;
	if (result == EXIT_GOOD && json)
		print_json(w, tensors, verify);
	else if (result == EXIT_GOOD)
		print_text(w, tensors);
	if (result == EXIT_GOOD && verify && !json)
		printf("  checksum is right (%.1f GB/s)\n",
		       (double)glip__weights_file_size(w) * 1e-9 / (seconds > 1e-9 ? seconds : 1e-9));
	glip__weights_close(w);
	return result;
}

int cmd_info(int argc, char **argv)
{
	struct text_list operands = {0};
	bool tensors = false, verify = false, json = false;
	const struct option options[] = {
		{"tensors", 0, OPTION_FLAG, &tensors, NULL, "list every tensor: type, shape, name", 0, 0, NULL},
		{"verify", 0, OPTION_FLAG, &verify, NULL, "compare the whole file with its checksum", 0, 0, NULL},
		{"json", 0, OPTION_FLAG, &json, NULL, "one JSON object a file", 0, 0, NULL},
		{NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
	};
	const struct command_line line = {
		.usage = "glip info MODEL.gguf... [--tensors] [--verify] [--json]",
		.description = "Shows what a model file holds. The exit status is 2 where it cannot be read or is damaged.",
		.options = options,
		.epilogue = "example:\n  glip info glip-t.gguf --verify",
	};
	enum parse_result parsed = options_parse(&line, argc, argv, &operands);
	int status = parsed == PARSE_HELP ? EXIT_GOOD : EXIT_USAGE;

	if (parsed == PARSE_OK && operands.count == 0) {
		say("no model file given; see glip info --help");
	} else if (parsed == PARSE_OK) {
		status = EXIT_GOOD;
		for (size_t i = 0; i < operands.count; i++)
			if (run(operands.items[i], tensors, verify, json) != EXIT_GOOD)
				status = EXIT_USAGE;
	}
	text_list_free(&operands);
	return status;
}
