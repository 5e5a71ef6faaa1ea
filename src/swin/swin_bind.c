/* Configuration and weights of the image encoder. */
#include <stdio.h>
#include <string.h>

#include "swin/swin.h"

enum { MAX_EMBED_DIM = 1024, MAX_DEPTH = 128, MAX_HEADS = 256, MAX_WINDOW = 32, MLP_RATIO = 4 };

/* An array of one integer per stage from the metadata, each in [1, high]. */
static enum glip_status stage_ints(const struct weights *w, const char *key, int high, int out[SWIN_STAGES],
                                   struct glip_error *err)
{
	int64_t values[SWIN_STAGES];
	size_t count = 0;

	if (!glip__weights_get_ints(w, key, values, SWIN_STAGES, &count) || count != SWIN_STAGES)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: %s is not an array of %d integers", glip__weights_path(w), key,
		                  SWIN_STAGES);
	for (int s = 0; s < SWIN_STAGES; s++) {
		if (values[s] < 1 || values[s] > high)
			return glip__fail(err, GLIP_ERR_MODEL, "%s: %s[%d] is %lld, not in 1..%d", glip__weights_path(w), key, s,
			                  (long long)values[s], high);
		out[s] = (int)values[s];
	}
	return GLIP_OK;
}

/* What the file's tensors say about the stage's depth, its heads and the window. */
static void check_stage(const struct swin *m, struct binder *b, int s)
{
	const struct swin_stage *stage = &m->stages[s];
	char key[32], name[48];
	const struct tensor *t;
	int side = 2 * m->window - 1;
	int64_t count = 0;

	snprintf(key, sizeof key, "glip.swin.depths[%d]", s);
	snprintf(name, sizeof name, "swin.%d", s);
	glip__bind_check_count(b, key, stage->depth, name, "norm1.weight");
	snprintf(name, sizeof name, "swin.%d.0.attn.bias_table", s);
	t = glip__weights_find(b->weights, name);
	if (t != NULL && glip__tensor_count(t, &count) && count != (int64_t)side * side * stage->heads)
		glip__binder_note(b,
		                  "metadata glip.swin.window is %d and glip.swin.heads[%d] %d, but tensor %s has %lld values",
		                  m->window, s, stage->heads, name, (long long)count);
}

static enum glip_status read_config(struct swin *m, struct binder *b, int *block_count, struct glip_error *err)
{
	int depths[SWIN_STAGES], heads[SWIN_STAGES];

	m->embed_dim = glip__bind_size(b, "glip.swin.embed_dim", 1, MAX_EMBED_DIM, 0, "swin.patch.weight");
	m->window = glip__bind_int(b, "glip.swin.window", 1, MAX_WINDOW);
	TRY(stage_ints(b->weights, "glip.swin.depths", MAX_DEPTH, depths, err));
	TRY(stage_ints(b->weights, "glip.swin.heads", MAX_HEADS, heads, err));
	*block_count = 0;
	for (int s = 0; s < SWIN_STAGES; s++) {
		struct swin_stage *stage = &m->stages[s];

		stage->channels = m->embed_dim << s;
		stage->depth = depths[s];
		stage->heads = heads[s];
		*block_count += depths[s];
		if (stage->channels % stage->heads != 0)
			glip__binder_note(b, "glip.swin.heads[%d] is %d, which does not divide %d channels", s, stage->heads,
			                  stage->channels);
		check_stage(m, b, s);
	}
	return GLIP_OK;
}

static void bind_block(struct swin_block *k, struct binder *b, int s, int i, int c, int heads, int window)
{
	int side = 2 * window - 1;

	k->norm1_weight = glip__bind_vector(b, c, "swin.%d.%d.norm1.weight", s, i);
	k->norm1_bias = glip__bind_vector(b, c, "swin.%d.%d.norm1.bias", s, i);
	k->qkv = glip__bind_matrix(b, 3 * c, c, "swin.%d.%d.attn.qkv.weight", s, i);
	k->qkv_bias = glip__bind_vector(b, 3 * c, "swin.%d.%d.attn.qkv.bias", s, i);
	k->bias_table = glip__bind_vector(b, (int64_t)side * side * heads, "swin.%d.%d.attn.bias_table", s, i);
	k->proj = glip__bind_matrix(b, c, c, "swin.%d.%d.attn.proj.weight", s, i);
	k->proj_bias = glip__bind_vector(b, c, "swin.%d.%d.attn.proj.bias", s, i);
	k->norm2_weight = glip__bind_vector(b, c, "swin.%d.%d.norm2.weight", s, i);
	k->norm2_bias = glip__bind_vector(b, c, "swin.%d.%d.norm2.bias", s, i);
	k->up = glip__bind_matrix(b, MLP_RATIO * c, c, "swin.%d.%d.mlp.up.weight", s, i);
	k->up_bias = glip__bind_vector(b, MLP_RATIO * c, "swin.%d.%d.mlp.up.bias", s, i);
	k->down = glip__bind_matrix(b, c, MLP_RATIO * c, "swin.%d.%d.mlp.down.weight", s, i);
	k->down_bias = glip__bind_vector(b, c, "swin.%d.%d.mlp.down.bias", s, i);
}

static void bind_stage(struct swin_stage *stage, struct binder *b, int s, int window)
{
	int c = stage->channels;

	for (int i = 0; i < stage->depth; i++)
		bind_block(&stage->blocks[i], b, s, i, c, stage->heads, window);
	if (s > 0) {
		stage->norm_weight = glip__bind_vector(b, c, "swin.%d.norm.weight", s);
		stage->norm_bias = glip__bind_vector(b, c, "swin.%d.norm.bias", s);
	}
	if (s < SWIN_STAGES - 1) {
		stage->merge_weight = glip__bind_vector(b, 4 * c, "swin.%d.merge.norm.weight", s);
		stage->merge_bias = glip__bind_vector(b, 4 * c, "swin.%d.merge.norm.bias", s);
		stage->merge = glip__bind_matrix(b, 2 * c, 4 * c, "swin.%d.merge.weight", s);
	}
}

enum glip_status glip__swin_bind(struct swin *out, struct binder *b, const struct glip_allocator *a,
                                 struct glip_error *err)
{
	struct swin m;
	struct swin_block *next;
	int block_count;

	memset(&m, 0, sizeof m);
	memset(out, 0, sizeof *out);
	m.allocator = glip__allocator_or_default(a);
	TRY(read_config(&m, b, &block_count, err));
	m.blocks = glip__calloc(&m.allocator, (size_t)block_count, sizeof *m.blocks);
	if (m.blocks == NULL)
		return glip__fail_nomem(err, "the image encoder's blocks", (size_t)block_count * sizeof *m.blocks);

	m.patch = glip__bind_exact_matrix(b, m.embed_dim, 48, "swin.patch.weight");
	m.patch_bias = glip__bind_vector(b, m.embed_dim, "swin.patch.bias");
	m.patch_norm_weight = glip__bind_vector(b, m.embed_dim, "swin.patch.norm.weight");
	m.patch_norm_bias = glip__bind_vector(b, m.embed_dim, "swin.patch.norm.bias");
	next = m.blocks;
	for (int s = 0; s < SWIN_STAGES; s++) {
		m.stages[s].blocks = next;
		next += m.stages[s].depth;
		bind_stage(&m.stages[s], b, s, m.window);
	}
	*out = m;
	return GLIP_OK;
}

void glip__swin_free(struct swin *m)
{
	if (m->blocks != NULL)
		glip__free(&m->allocator, m->blocks);
	memset(m, 0, sizeof *m);
}
