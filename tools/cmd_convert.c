/* `glip convert`: a checkpoint becomes a model file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "commands.h"
#include "convert/convert.h"
#include "inputs.h"
#include "command_line.h"
#include "terminal.h"
#include "vocab_data.h"

static void on_log(void *user, enum glip_log_level level, const char *message)
{
	(void)user;
	if (level <= GLIP_LOG_WARNING)
		say("%s%s", level == GLIP_LOG_WARNING ? "warning: " : "", message);
}

static int on_progress(void *user, uint64_t done, uint64_t total)
{
	struct progress *bar = user;

	if (bar->total == 0)
		progress_start(bar, "MB", total >> 20 ? total >> 20 : 1, true);
	progress_update(bar, done >> 20);
	return interrupted();
}

static void print_summary(const char *path, const struct convert_summary *s, double seconds)
{
	fprintf(stderr, "%s: %s from %s, %zu tensors, %.1f million parameters, %.1f MB, %.1f s\n", path, s->variant,
	        s->format, s->tensors, (double)s->parameters * 1e-6, (double)s->bytes * 1e-6, seconds);
	if (s->warnings > 0)
		fprintf(stderr, "%zu warning%s\n", s->warnings, s->warnings > 1 ? "s" : "");
}

static int run(struct convert_options *o, const char *vocab)
{
	struct file_view view = {0};
	struct convert_summary summary;
	struct glip_error err;
	struct progress bar = {0};
	enum glip_status status = GLIP_OK;
	double start = now_seconds();

	o->vocab = glip_vocab_data;
	o->vocab_size = (size_t)(glip_vocab_end - glip_vocab_data);
	o->vocab_name = "the standard vocabulary";
	if (vocab != NULL) {
		status = glip__file_open(vocab, 0, &glip__default_allocator, &view, &err);
		o->vocab = (const char *)view.data;
		o->vocab_size = view.size;
		o->vocab_name = vocab;
	}
	o->log = (struct logger){.fn = on_log};
	o->progress = on_progress;
	o->progress_user = &bar;
	interrupt_catch();
	if (status == GLIP_OK)
		status = convert_checkpoint(o, &summary, &err);
	progress_end(&bar);
	if (status != GLIP_OK)
		say("%s", err.message);
	else
		print_summary(o->out, &summary, now_seconds() - start);
	glip__file_close(&view);
	return status == GLIP_OK ? EXIT_GOOD : EXIT_USAGE;
}

int cmd_convert(int argc, char **argv)
{
	static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_I8};
	struct text_list operands = {0}, sets = {0};
	const char *vocab = NULL, *name = NULL;
	int type = 0;
	const struct option options[] = {
		{"set", 0, OPTION_LIST, &sets, "KEY=VALUE",
	     "what shapes cannot tell, where the model is not an official one:\n"
	     "swin.heads=A,B,C,D bert.heads=N bert.max_tokens=N fusion.heads=N head.groups=N\n"
	     "input.short_side=N input.long_side=N (network pixels of images; 800 and 1333)",
	     0, 0, NULL},
		{"vocab", 0, OPTION_TEXT, &vocab, "FILE", "vocabulary, one token a line (default: that of bert-base-uncased)",
	     0, 0, NULL},
		{"type", 0, OPTION_CHOICE, &type, "f32|bf16|i8",
	     "how matrices are stored (default f32); bf16 halves the file;\n"
	     "i8, whole numbers scaled row by row, quarters it",
	     0, 0, "f32|bf16|i8"},
		{"name", 0, OPTION_TEXT, &name, "TEXT", "name of the model (default: GLIP-T, GLIP-L, GLIP-A by its sizes)", 0,
	     0, NULL},
		{NULL, 0, OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
	};
	const struct command_line line = {
		.usage = "glip convert IN OUT.gguf [--set KEY=VALUE]... [--vocab FILE] [--type f32|bf16|i8] [--name TEXT]",
		.description =
			"Makes a model file from a checkpoint: what torch.save wrote (.pth, of official or mmdetection's\n"
			"GLIP) or safetensors. Nothing in the checkpoint is executed. OUT.gguf appears when it is complete.",
		.options = options,
		.epilogue = "example:\n  glip convert glip_tiny_model_o365_goldg_cc_sbu.pth glip-t.gguf --type bf16",
	};
	enum parse_result parsed = options_parse(&line, argc, argv, &operands);
	int status = parsed == PARSE_HELP ? EXIT_GOOD : EXIT_USAGE;

	if (parsed == PARSE_OK && operands.count != 2) {
		say("convert takes a checkpoint and the model file to write; see glip convert --help");
	} else if (parsed == PARSE_OK && (same_file(operands.items[0], operands.items[1]) ||
	                                  (vocab != NULL && same_file(vocab, operands.items[1])))) {
		say("%s: the model file would replace what it is made from", operands.items[1]);
	} else if (parsed == PARSE_OK) {
		struct convert_options o = {.in = operands.items[0],
		                            .out = operands.items[1],
		                            .name = name,
		                            .settings = {sets.items, sets.count},
		                            .type = types[type]};
		status = run(&o, vocab);
	}
	text_list_free(&operands);
	text_list_free(&sets);
	return status;
}
