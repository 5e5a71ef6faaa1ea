/* A very small model as a checkpoint, right or wrong in one thing, for the tests of the conversion. */
#ifndef GLIP_TESTS_CHECKPOINT_CASE_H
#define GLIP_TESTS_CHECKPOINT_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/convert.h"
#include "support/scratch_file.h"

static const struct model_sizes tiny = {.embed_dim = 4,
                                        .depths = {1, 2, 1, 1},
                                        .heads = {1, 1, 2, 2},
                                        .window = 2,
                                        .vocab = 12,
                                        .positions = 8,
                                        .hidden = 8,
                                        .bert_layers = 2,
                                        .intermediate = 6,
                                        .channels = 16,
                                        .head_layers = 2,
                                        .fusion = true,
                                        .fusion_dim = 16};
static const char tiny_vocab[] = "[PAD]\n[UNK]\r\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##d\n\xC3\xA9\n.\nlast";
static const char *const tiny_settings[] = {"bert.heads=2"};

/* How the checkpoint differs from a right one. */
struct variation {
	bool mmdet, half;
	const char *without, *without_too; /* official names left out */
	const char *reshaped;              /* this one gets another shape of the same size */
	const char *integers;              /* this one holds int32 */
	const char *not_finite;            /* this one begins with NaN */
	const char *extra;                 /* an unknown tensor */
	bool equal_words;                  /* rows 1..11 of the word embedding are equal */
};

/* Element i of the tensor: small, exact, different everywhere, also as bfloat16 within a tensor. */
static float value_of(const char *source, int64_t i)
{
	unsigned h = 7;

	for (; *source; source++)
		h = h * 31 + (unsigned char)*source;
	return (float)((h + (unsigned)i * 37u) % 4001u) / 16 - 125;
}

static int64_t count_of(const struct target *t)
{
	int64_t n = 1;

	for (int i = 0; i < t->ndim; i++)
		n *= t->shape[i];
	return n;
}

static void swap_prefix(char *name, size_t size, const char *from, const char *to)
{
	char rest[256];

	if (strncmp(name, from, strlen(from)) != 0)
		return;
	snprintf(rest, sizeof(rest), "%s", name + strlen(from));
	snprintf(name, size, "%s%s", to, rest);
}

static void swap_inside(char *name, size_t size, const char *from, const char *to)
{
	char rest[256], *at = strstr(name, from);

	if (at == NULL)
		return;
	snprintf(rest, sizeof(rest), "%s", at + strlen(from));
	snprintf(at, size - (size_t)(at - name), "%s%s", to, rest);
}

static void mmdet_name(char *name, size_t size)
{
	static const char *const prefixes[][2] = {
		{"backbone.body.patch_embed.proj.", "backbone.patch_embed.projection."},
		{"backbone.body.layers.", "backbone.stages."},
		{"backbone.body.", "backbone."},
		{"backbone.fpn.fpn_inner2.", "neck.lateral_convs.0.conv."},
		{"backbone.fpn.fpn_inner3.", "neck.lateral_convs.1.conv."},
		{"backbone.fpn.fpn_inner4.", "neck.lateral_convs.2.conv."},
		{"backbone.fpn.fpn_layer2.", "neck.fpn_convs.0.conv."},
		{"backbone.fpn.fpn_layer3.", "neck.fpn_convs.1.conv."},
		{"backbone.fpn.fpn_layer4.", "neck.fpn_convs.2.conv."},
		{"backbone.fpn.top_blocks.p6.", "neck.fpn_convs.3.conv."},
		{"backbone.fpn.top_blocks.p7.", "neck.fpn_convs.4.conv."},
		{"language_backbone.", "language_model.language_backbone."},
		{"rpn.", "bbox_head."},
	};
	bool image = strncmp(name, "backbone.body.layers.", 21) == 0;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		swap_prefix(name, size, prefixes[i][0], prefixes[i][1]);
	if (image) {
		swap_inside(name, size, ".attn.", ".attn.w_msa.");
		swap_inside(name, size, ".mlp.fc1.", ".ffn.layers.0.0.");
		swap_inside(name, size, ".mlp.fc2.", ".ffn.layers.1.");
	}
	swap_inside(name, size, ".DyConv.", ".dyconvs.");
	swap_inside(name, size, ".AttnConv.", ".attnconv.");
}

/* The value that stands at flat index i of the checkpoint's tensor. */
static float stored_value(const struct target *t, const char *source, int64_t i, const struct variation *v)
{
	if (v->equal_words && strstr(source, "word_embeddings") != NULL && i >= tiny.hidden)
		return value_of(source, i % tiny.hidden);
	if (v->not_finite != NULL && i == 0 && strcmp(v->not_finite, source) == 0)
		return NAN;
	if (v->mmdet && t->transform == TRANSFORM_MERGE) {
		/* Official column p * S + c stands at 4 * c + q with p = 0, 2, 1, 3 for q = 0, 1, 2, 3. */
		static const int64_t p_of[4] = {0, 2, 1, 3};
		int64_t width = t->shape[t->ndim - 1], s = width / 4, row = i / width, column = i % width;
		return value_of(source, row * width + p_of[column % 4] * s + column / 4);
	}
	return value_of(source, i);
}

struct builder {
	struct buf header, data;
	const struct variation *v;
};

static void add_tensor(struct builder *b, const struct target *t, const char *source)
{
	const struct variation *v = b->v;
	bool integers = v->integers != NULL && strcmp(v->integers, source) == 0;
	size_t begin = b->data.length;
	int64_t count = count_of(t);
	char name[256];

	if ((v->without != NULL && strcmp(v->without, source) == 0) ||
	    (v->without_too != NULL && strcmp(v->without_too, source) == 0))
		return;
	for (int64_t i = 0; i < count; i++) {
		float f = stored_value(t, source, i, v);
		uint16_t h = bf16_from_f32(f);
		assert_true(v->half && !integers ? glip__buf_append(&b->data, &h, 2) : glip__buf_append(&b->data, &f, 4));
	}
	snprintf(name, sizeof(name), "%s", source);
	if (v->mmdet)
		mmdet_name(name, sizeof(name));
	glip__buf_printf(&b->header, "%s\"%s%s\":{\"dtype\":\"%s\",\"shape\":[", b->header.length > 1 ? "," : "",
	                 v->mmdet ? "" : "module.", name,
	                 integers  ? "I32"
	                 : v->half ? "BF16"
	                           : "F32");
	if (v->reshaped != NULL && strcmp(v->reshaped, source) == 0)
		glip__buf_printf(&b->header, "1,");
	for (int i = 0; i < t->ndim; i++)
		glip__buf_printf(&b->header, "%s%lld", i > 0 ? "," : "", (long long)t->shape[i]);
	glip__buf_printf(&b->header, "],\"data_offsets\":[%zu,%zu]}", begin, b->data.length);
}

static void write_checkpoint(const struct scratch_file *file, const struct model_sizes *m, const struct variation *v)
{
	struct builder b = {.header = {.allocator = &glip__default_allocator},
	                    .data = {.allocator = &glip__default_allocator},
	                    .v = v};
	struct buf all = {.allocator = &glip__default_allocator};
	struct target t, extra = {.ndim = 1, .shape = {2}};
	uint64_t size;

	glip__buf_puts(&b.header, "{");
	for (size_t i = 0; name_map_target(m, i, &t); i++) {
		char *mark = strchr(t.source, '#');
		for (int k = 0; k < (mark != NULL ? MAP_LEVELS : 1); k++) {
			if (mark != NULL)
				*mark = (char)('0' + k);
			add_tensor(&b, &t, t.source);
		}
	}
	add_tensor(&b, &extra, "rpn.head.cls_logits.bias");
	add_tensor(&b, &extra, "language_backbone.body.model.pooler.dense.bias");
	if (v->extra != NULL)
		add_tensor(&b, &extra, v->extra);
	glip__buf_puts(&b.header, "}");
	size = b.header.length;
	assert_true(glip__buf_append(&all, &size, 8) && glip__buf_append(&all, b.header.data, b.header.length) &&
	            glip__buf_append(&all, b.data.data, b.data.length));
	scratch_file_write(file, all.data, all.length);
	glip__buf_free(&b.header);
	glip__buf_free(&b.data);
	glip__buf_free(&all);
}

#endif
