#include "name_map.h"

#include <stdio.h>
#include <string.h>

enum row_kind {
	ROW_LINEAR,       /* NAME.weight, a matrix, and NAME.bias */
	ROW_CONV,         /* the same, the weight tap-major */
	ROW_EXACT_LINEAR, /* the two, multiplied in float32 whatever the precision: */
	ROW_EXACT_CONV,   /* where the network begins and ends, and the places to read at */
	ROW_NORM,         /* NAME.weight and NAME.bias, vectors of one length */
	ROW_MATRIX,       /* NAME, a matrix */
	ROW_VECTOR,       /* NAME */
	ROW_MERGE_NORM,
	ROW_MERGE_MATRIX,
	ROW_STACK,
	ROW_PROMPT /* NAME, a matrix, where the checkpoint has it */
};

/* Sizes are products of a number and a letter: E embed_dim, S channels of the stage, N heads of the stage, T entries of
 * the bias table, V vocabulary, P positions, H hidden, I intermediate, C head channels, Q a quarter of them, F fusion,
 * R rows of the prompt. */
struct row {
	const char *target, *source, *shape;
	enum row_kind kind;
};

static const struct row patch_rows[] = {
	{"patch", "proj", "E 3 4 4", ROW_EXACT_CONV},
	{"patch.norm", "norm", "E", ROW_NORM},
};

static const struct row block_rows[] = {
	{"norm1", "norm1", "S", ROW_NORM},
	{"attn.qkv", "attn.qkv", "3S S", ROW_LINEAR},
	{"attn.proj", "attn.proj", "S S", ROW_LINEAR},
	{"attn.bias_table", "attn.relative_position_bias_table", "T N", ROW_VECTOR},
	{"norm2", "norm2", "S", ROW_NORM},
	{"mlp.up", "mlp.fc1", "4S S", ROW_LINEAR},
	{"mlp.down", "mlp.fc2", "S 4S", ROW_LINEAR},
};

static const struct row merge_rows[] = {
	{"norm", "norm", "4S", ROW_MERGE_NORM},
	{"weight", "reduction.weight", "2S 4S", ROW_MERGE_MATRIX},
};

static const struct row stage_norm_rows[] = {
	{"norm.weight", "weight", "S", ROW_VECTOR},
	{"norm.bias", "bias", "S", ROW_VECTOR},
};

static const struct row fpn_rows[] = {
	{"lateral.p3", "fpn_inner2", "C 2E 1 1", ROW_CONV}, {"lateral.p4", "fpn_inner3", "C 4E 1 1", ROW_CONV},
	{"lateral.p5", "fpn_inner4", "C 8E 1 1", ROW_CONV}, {"output.p3", "fpn_layer2", "C C 3 3", ROW_CONV},
	{"output.p4", "fpn_layer3", "C C 3 3", ROW_CONV},   {"output.p5", "fpn_layer4", "C C 3 3", ROW_CONV},
	{"p6", "top_blocks.p6", "C C 3 3", ROW_CONV},       {"p7", "top_blocks.p7", "C C 3 3", ROW_CONV},
};

static const struct row embedding_rows[] = {
	{"word.weight", "word_embeddings.weight", "V H", ROW_MATRIX},
	{"position.weight", "position_embeddings.weight", "P H", ROW_MATRIX},
	{"type.weight", "token_type_embeddings.weight", "2 H", ROW_MATRIX},
	{"norm", "LayerNorm", "H", ROW_NORM},
};

static const struct row layer_rows[] = {
	{"attn.query", "attention.self.query", "H H", ROW_LINEAR},
	{"attn.key", "attention.self.key", "H H", ROW_LINEAR},
	{"attn.value", "attention.self.value", "H H", ROW_LINEAR},
	{"attn.output", "attention.output.dense", "H H", ROW_LINEAR},
	{"attn.norm", "attention.output.LayerNorm", "H", ROW_NORM},
	{"mlp.up", "intermediate.dense", "I H", ROW_LINEAR},
	{"mlp.down", "output.dense", "H I", ROW_LINEAR},
	{"mlp.norm", "output.LayerNorm", "H", ROW_NORM},
};

static const struct row fuse_rows[] = {
	{"norm_v", "layer_norm_v", "C", ROW_NORM},
	{"norm_l", "layer_norm_l", "H", ROW_NORM},
	{"v_proj", "attn.v_proj", "F C", ROW_LINEAR},
	{"l_proj", "attn.l_proj", "F H", ROW_LINEAR},
	{"values_v", "attn.values_v_proj", "F C", ROW_LINEAR},
	{"values_l", "attn.values_l_proj", "F H", ROW_LINEAR},
	{"out_v", "attn.out_v_proj", "C F", ROW_LINEAR},
	{"out_l", "attn.out_l_proj", "H F", ROW_LINEAR},
	{"gamma_v", "gamma_v", "C", ROW_VECTOR},
	{"gamma_l", "gamma_l", "H", ROW_VECTOR},
};

static const struct row dyconv_rows[] = {
	{"offset", "offset", "27 C 3 3", ROW_EXACT_CONV}, {"coarse.conv", "DyConv.0.conv", "C C 3 3", ROW_CONV},
	{"coarse.norm", "DyConv.0.bn", "C", ROW_NORM},    {"same.conv", "DyConv.1.conv", "C C 3 3", ROW_CONV},
	{"same.norm", "DyConv.1.bn", "C", ROW_NORM},      {"fine.conv", "DyConv.2.conv", "C C 3 3", ROW_CONV},
	{"fine.norm", "DyConv.2.bn", "C", ROW_NORM},      {"attn", "AttnConv.1", "1 C 1 1", ROW_CONV},
	{"relu.down", "relu.fc.0", "Q C", ROW_LINEAR},    {"relu.up", "relu.fc.2", "4C Q", ROW_LINEAR},
};

static const struct row output_rows[] = {
	{"box", "head.bbox_pred", "4 C 1 1", ROW_EXACT_CONV},
	{"centerness", "head.centerness", "1 C 1 1", ROW_EXACT_CONV},
	{"scale", "head.scales.#.scale", "1", ROW_STACK},
	{"dot", "head.dot_product_projection_text", "C H", ROW_EXACT_LINEAR},
	{"dot.log_scale", "head.log_scale", "1", ROW_VECTOR},
	{"dot.bias_lang", "head.bias_lang", "H", ROW_VECTOR},
	{"dot.bias0", "head.bias0", "1", ROW_VECTOR},
	{"prompt.weight", "tunable_linear.weight", "R H", ROW_PROMPT},
};

enum loop { LOOP_ONCE, LOOP_BLOCKS, LOOP_MERGES, LOOP_STAGE_NORMS, LOOP_BERT, LOOP_FUSION, LOOP_HEAD };

/* "{s}" stage, "{b}" block, "{i}" layer, "{t}" element of the tower that belongs to layer i. */
static const struct group {
	enum loop loop;
	int tower; /* with fusion: element 3i + tower */
	const char *target, *source;
	const struct row *rows;
	size_t count;
} groups[] = {
#define ROWS(rows) rows, sizeof(rows) / sizeof((rows)[0])
	{LOOP_ONCE, 0, "swin", "backbone.body.patch_embed", ROWS(patch_rows)},
	{LOOP_BLOCKS, 0, "swin.{s}.{b}", "backbone.body.layers.{s}.blocks.{b}", ROWS(block_rows)},
	{LOOP_MERGES, 0, "swin.{s}.merge", "backbone.body.layers.{s}.downsample", ROWS(merge_rows)},
	{LOOP_STAGE_NORMS, 0, "swin.{s}", "backbone.body.norm{s}", ROWS(stage_norm_rows)},
	{LOOP_ONCE, 0, "fpn", "backbone.fpn", ROWS(fpn_rows)},
	{LOOP_ONCE, 0, "bert.embed", "language_backbone.body.model.embeddings", ROWS(embedding_rows)},
	{LOOP_BERT, 0, "bert.{i}", "language_backbone.body.model.encoder.layer.{i}", ROWS(layer_rows)},
	{LOOP_FUSION, 0, "head.{i}.fuse", "rpn.head.dyhead_tower.{t}.b_attn", ROWS(fuse_rows)},
	{LOOP_FUSION, 1, "head.{i}.bert", "rpn.head.dyhead_tower.{t}", ROWS(layer_rows)},
	{LOOP_HEAD, 2, "head.{i}.dyconv", "rpn.head.dyhead_tower.{t}", ROWS(dyconv_rows)},
	{LOOP_ONCE, 0, "head", "rpn", ROWS(output_rows)},
#undef ROWS
};

static size_t repetitions(const struct group *g, const struct model_sizes *m)
{
	switch (g->loop) {
	case LOOP_BLOCKS: return (size_t)(m->depths[0] + m->depths[1] + m->depths[2] + m->depths[3]);
	case LOOP_MERGES:
	case LOOP_STAGE_NORMS: return MAP_STAGES - 1;
	case LOOP_BERT: return (size_t)m->bert_layers;
	case LOOP_FUSION: return m->fusion ? (size_t)m->head_layers : 0;
	case LOOP_HEAD: return (size_t)m->head_layers;
	default: return 1;
	}
}

struct indices {
	size_t stage, block, layer, tower;
};

static struct indices locate(const struct group *g, const struct model_sizes *m, size_t repetition)
{
	struct indices at = {.layer = repetition};

	at.tower = m->fusion ? 3 * repetition + (size_t)g->tower : repetition;
	at.block = repetition;
	if (g->loop == LOOP_BLOCKS) {
		while (at.block >= (size_t)m->depths[at.stage])
			at.block -= (size_t)m->depths[at.stage++];
	} else if (g->loop == LOOP_STAGE_NORMS) {
		at.stage = repetition + 1;
	} else if (g->loop == LOOP_MERGES) {
		at.stage = repetition;
	}
	return at;
}

/* Writes prefix.leaf.suffix with the indices put in. Names are short by construction. */
static void write_name(char *out, size_t size, const char *prefix, const struct indices *at, const char *leaf,
                       const char *suffix)
{
	size_t n = 0;

	for (const char *p = prefix; *p && n + 24 < size; p++) {
		if (*p != '{') {
			out[n++] = *p;
			continue;
		}
		n += (size_t)snprintf(out + n, size - n, "%zu",
		                      p[1] == 's'   ? at->stage
		                      : p[1] == 'b' ? at->block
		                      : p[1] == 'i' ? at->layer
		                                    : at->tower);
		p += 2;
	}
	snprintf(out + n, size - n, ".%s%s", leaf, suffix);
}

static int64_t size_of(char letter, const struct model_sizes *m, size_t stage)
{
	switch (letter) {
	case 'E': return m->embed_dim;
	case 'S': return m->embed_dim << stage;
	case 'N': return m->heads[stage];
	case 'T': return (2 * m->window - 1) * (2 * m->window - 1);
	case 'V': return m->vocab;
	case 'P': return m->positions;
	case 'H': return m->hidden;
	case 'I': return m->intermediate;
	case 'C': return m->channels;
	case 'Q': return m->channels / 4;
	case 'F': return m->fusion_dim;
	default: return m->prompt;
	}
}

static void write_shape(struct target *t, const char *text, const struct model_sizes *m, size_t stage)
{
	t->ndim = 0;
	for (;;) {
		int64_t factor = 0;
		for (; *text >= '0' && *text <= '9'; text++)
			factor = 10 * factor + (*text - '0');
		if (*text >= 'A' && *text <= 'Z')
			factor = (factor != 0 ? factor : 1) * size_of(*text++, m, stage);
		t->shape[t->ndim++] = factor;
		if (*text == '\0')
			return;
		text++;
	}
}

static bool is_exact(enum row_kind kind)
{
	return kind == ROW_EXACT_LINEAR || kind == ROW_EXACT_CONV;
}

static bool has_bias(enum row_kind kind)
{
	return kind == ROW_LINEAR || kind == ROW_CONV || kind == ROW_NORM || kind == ROW_MERGE_NORM || is_exact(kind);
}

static void write_target(struct target *t, const struct group *g, const struct row *row, const struct model_sizes *m,
                         size_t repetition, bool bias)
{
	struct indices at = locate(g, m, repetition);
	const char *suffix = has_bias(row->kind) ? (bias ? ".bias" : ".weight") : "";

	memset(t, 0, sizeof(*t));
	write_name(t->name, sizeof(t->name), g->target, &at, row->target, suffix);
	write_name(t->source, sizeof(t->source), g->source, &at, row->source, suffix);
	write_shape(t, row->shape, m, at.stage);
	if (row->kind == ROW_MERGE_NORM || row->kind == ROW_MERGE_MATRIX)
		t->transform = TRANSFORM_MERGE;
	else if (row->kind == ROW_STACK)
		t->transform = TRANSFORM_STACK;
	if (bias) {
		t->ndim = 1;
		return;
	}
	if (row->kind == ROW_CONV || row->kind == ROW_EXACT_CONV)
		t->transform = TRANSFORM_TAPS;
	t->exact = is_exact(row->kind);
	t->matrix = t->exact || row->kind == ROW_LINEAR || row->kind == ROW_CONV || row->kind == ROW_MATRIX ||
	            row->kind == ROW_MERGE_MATRIX || row->kind == ROW_PROMPT;
}

bool name_map_target(const struct model_sizes *sizes, size_t index, struct target *out)
{
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		size_t each = 0, total;
		for (size_t r = 0; r < groups[g].count; r++)
			if (groups[g].rows[r].kind != ROW_PROMPT || sizes->prompt > 0)
				each += has_bias(groups[g].rows[r].kind) ? 2 : 1;
		total = each * repetitions(&groups[g], sizes);
		if (index >= total) {
			index -= total;
			continue;
		}
		size_t within = index % each;
		for (size_t r = 0; r < groups[g].count; r++) {
			size_t width = has_bias(groups[g].rows[r].kind) ? 2 : 1;
			if (within < width) {
				write_target(out, &groups[g], &groups[g].rows[r], sizes, index / each, within == 1);
				return true;
			}
			within -= width;
		}
	}
	return false;
}

/* ---- Names of the checkpoint ------------------------------------------------------------------------------------- */

static const struct rename {
	const char *from, *to;
} prefixes[] =
	{
		{"backbone.patch_embed.projection.", "backbone.body.patch_embed.proj."},
		{"backbone.patch_embed.", "backbone.body.patch_embed."},
		{"backbone.stages.", "backbone.body.layers."},
		{"backbone.norm", "backbone.body.norm"},
		{"neck.lateral_convs.0.conv.", "backbone.fpn.fpn_inner2."},
		{"neck.lateral_convs.1.conv.", "backbone.fpn.fpn_inner3."},
		{"neck.lateral_convs.2.conv.", "backbone.fpn.fpn_inner4."},
		{"neck.fpn_convs.0.conv.", "backbone.fpn.fpn_layer2."},
		{"neck.fpn_convs.1.conv.", "backbone.fpn.fpn_layer3."},
		{"neck.fpn_convs.2.conv.", "backbone.fpn.fpn_layer4."},
		{"neck.fpn_convs.3.conv.", "backbone.fpn.top_blocks.p6."},
		{"neck.fpn_convs.4.conv.", "backbone.fpn.top_blocks.p7."},
		{"language_model.", ""},
		{"bbox_head.", "rpn."},
},
  infixes[] = {
	  {".attn.w_msa.", ".attn."}, {".ffn.layers.0.0.", ".mlp.fc1."}, {".ffn.layers.1.", ".mlp.fc2."},
	  {".dyconvs.", ".DyConv."},  {".attnconv.", ".AttnConv."},
};

/* Replaces [at, at + length) of the text by `with`. */
static bool replace(char *text, size_t size, size_t at, size_t length, const char *with)
{
	size_t added = strlen(with), rest = strlen(text + at + length) + 1;

	if (at + added + rest > size)
		return false;
	memmove(text + at + added, text + at + length, rest);
	memcpy(text + at, with, added);
	return true;
}

bool name_map_official(const char *name, char *out, size_t size, bool *reordered)
{
	*reordered = strncmp(name, "backbone.stages.", 16) == 0 && strstr(name, ".downsample.") != NULL;
	if (strlen(name) >= size)
		return false;
	memcpy(out, name, strlen(name) + 1);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t length = strlen(prefixes[i].from);
		if (strncmp(out, prefixes[i].from, length) != 0)
			continue;
		if (!replace(out, size, 0, length, prefixes[i].to))
			return false;
		break;
	}
	for (size_t i = 0; i < sizeof(infixes) / sizeof(infixes[0]); i++) {
		const char *found = strstr(out, infixes[i].from);
		if (found != NULL && !replace(out, size, (size_t)(found - out), strlen(infixes[i].from), infixes[i].to))
			return false;
	}
	return true;
}

bool name_map_ignored(const char *name)
{
	static const char *const parts[] = {
		"cls_logits.",  "anchor_generator.",       "resizer.",           "mlm_head.", "pooler.",
		"position_ids", "relative_position_index", "num_batches_tracked"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(name, parts[i]) != NULL)
			return true;
	return false;
}
