#include "support/tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/name_map.h"
#include "support/rule_weights.h"

const char tiny_vocabulary[] =
	"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n,\na\ncat\ndog\nthe\non\nmat\nred\n##s\n##ing\nbird\nand\n"
	"of\nphoto\ncar\nrun\n##ner\nkitten\n";
enum { TINY_VOCAB = 24 };

static const struct rule_config config = {
	.name = "tiny",
	.embed_dim = 4,
	.depths = {2, 1, 1, 1},
	.heads = {1, 2, 2, 4},
	.window = 3,
	.vocab = TINY_VOCAB,
	.hidden = 8,
	.layers = 1,
	.bert_heads = 2,
	.intermediate = 16,
	.channels = 8,
	.head_layers = 1,
	.fusion = true,
	.fusion_dim = 16,
	.fusion_heads = 8,
	.groups = 2,
};
const char *const tiny_settings[TINY_SETTINGS] = {"bert.heads=2", "head.groups=2"};

bool tiny_model_write_path(const char *path)
{
	return rule_model_write(path, &config, 3, tiny_vocabulary);
}

void tiny_model_write(const struct scratch_file *file)
{
	assert_true(tiny_model_write_path(file->path));
}

void tiny_model_write_i8(const struct scratch_file *file)
{
	struct rule_config c = config;

	c.i8 = true;
	assert_true(rule_model_write(file->path, &c, 3, tiny_vocabulary));
}

/* ---- The checkpoint ---------------------------------------------------------------------------------------------- */

static void add_tensor(struct buf *header, struct buf *data, const struct target *t, const char *name)
{
	size_t begin = data->length, count = 1;
	float *values;

	for (int i = 0; i < t->ndim; i++)
		count *= (size_t)t->shape[i];
	values = malloc(count * sizeof *values);
	assert_non_null(values);
	rule_uniform(name, 5, values, count);
	assert_true(glip__buf_append(data, values, count * sizeof *values));
	free(values);
	glip__buf_printf(header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", header->length > 1 ? "," : "", name);
	for (int i = 0; i < t->ndim; i++)
		glip__buf_printf(header, "%s%lld", i > 0 ? "," : "", (long long)t->shape[i]);
	glip__buf_printf(header, "],\"data_offsets\":[%zu,%zu]}", begin, data->length);
}

void tiny_checkpoint_write(const struct scratch_file *file)
{
	struct model_sizes m = {
		.embed_dim = config.embed_dim,
		.window = config.window,
		.vocab = config.vocab,
		.positions = 64,
		.hidden = config.hidden,
		.bert_layers = config.layers,
		.intermediate = config.intermediate,
		.channels = config.channels,
		.head_layers = config.head_layers,
		.fusion = true,
		.fusion_dim = config.fusion_dim,
	};
	struct buf header = {.allocator = &glip__default_allocator}, data = header, all = header;
	struct target t;
	uint64_t size;

	for (int s = 0; s < MAP_STAGES; s++) {
		m.depths[s] = config.depths[s];
		m.heads[s] = config.heads[s];
	}
	glip__buf_puts(&header, "{");
	for (size_t i = 0; name_map_target(&m, i, &t); i++) {
		char *mark = strchr(t.source, '#');
		for (int k = 0; k < (mark != NULL ? MAP_LEVELS : 1); k++) {
			if (mark != NULL)
				*mark = (char)('0' + k);
			add_tensor(&header, &data, &t, t.source);
		}
	}
	glip__buf_puts(&header, "}");
	size = header.length;
	assert_true(glip__buf_append(&all, &size, 8) && glip__buf_append(&all, header.data, header.length) &&
	            glip__buf_append(&all, data.data, data.length));
	scratch_file_write(file, all.data, all.length);
	glip__buf_free(&header);
	glip__buf_free(&data);
	glip__buf_free(&all);
}

/* ---- What is grounded -------------------------------------------------------------------------------------------- */

struct glip_image tiny_image(uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3])
{
	for (int y = 0; y < TINY_HEIGHT; y++)
		for (int x = 0; x < TINY_WIDTH; x++)
			for (int c = 0; c < 3; c++)
				pixels[(y * TINY_WIDTH + x) * 3 + c] = (uint8_t)((x * x * (c + 1) + y * 7 + x / 5 * 40) & 255);
	return (struct glip_image){.pixels = pixels, .width = TINY_WIDTH, .height = TINY_HEIGHT};
}

struct glip_ground_options tiny_ground_options(void)
{
	struct glip_ground_options o;

	glip_ground_options_init(&o);
	o.short_side = 64;
	o.threshold = 0;
	o.score_floor = 0;
	return o;
}

uint64_t tiny_digest_bytes(uint64_t digest, const void *data, size_t size)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++)
		digest = (digest ^ p[i]) * 0x100000001B3u;
	return digest;
}

uint64_t tiny_digest_result(uint64_t digest, const struct glip_result *result)
{
	for (size_t i = 0; i < glip_result_count(result); i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		digest = tiny_digest_bytes(digest, &d->label, sizeof d->label);
		digest = tiny_digest_bytes(digest, &d->score, sizeof d->score);
		digest = tiny_digest_bytes(digest, d->box, sizeof d->box);
	}
	return digest;
}
