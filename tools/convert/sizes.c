#include "sizes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 64 };

enum glip_status official_names_init(struct official_names *names, const struct checkpoint *c, struct glip_error *err)
{
	enum glip_status status = GLIP_OK;

	*names = (struct official_names){.checkpoint = c};
	glip__arena_init(&names->texts, c->allocator);
	strmap_init(&names->map, c->allocator);
	names->used = glip__calloc(c->allocator, c->count, 1);
	names->reordered = glip__calloc(c->allocator, c->count, 1);
	if (names->used == NULL || names->reordered == NULL)
		TRY_OUT(glip__fail_nomem(err, "the list of tensors", c->count));
	for (size_t i = 0; i < c->count; i++) {
		const char *name = checkpoint_at(c, i)->name;
		char text[600], *copy;
		bool reordered, is_new;
		size_t number;
		if (!name_map_official(name, text, sizeof(text), &reordered))
			TRY_OUT(glip__fail(err, GLIP_ERR_LIMIT, "%s: the name of tensor %zu is too long", c->source.path, i));
		copy = glip__arena_alloc(&names->texts, strlen(text) + 1, 1);
		if (copy == NULL)
			TRY_OUT(glip__fail_nomem(err, "the names of the tensors", strlen(text)));
		memcpy(copy, text, strlen(text) + 1);
		if (!strmap_add(&names->map, copy, strlen(copy), &number, &is_new))
			TRY_OUT(glip__fail_nomem(err, "the names of the tensors", i));
		if (!is_new)
			TRY_OUT(glip__fail(err, GLIP_ERR_MODEL, "%s: tensors %s and %s mean the same", c->source.path, name,
			                   checkpoint_at(c, number)->name));
		names->reordered[i] = reordered;
	}
	return GLIP_OK;
out:
	official_names_free(names);
	return status;
}

void official_names_free(struct official_names *names)
{
	if (names->checkpoint == NULL)
		return;
	glip__free(names->checkpoint->allocator, names->used);
	glip__free(names->checkpoint->allocator, names->reordered);
	strmap_free(&names->map);
	glip__arena_free(&names->texts);
	*names = (struct official_names){0};
}

const struct checkpoint_tensor *official_names_find(const struct official_names *names, const char *name, size_t *index)
{
	size_t number;

	if (!strmap_find(&names->map, name, strlen(name), &number))
		return NULL;
	if (index != NULL)
		*index = number;
	return checkpoint_at(names->checkpoint, number);
}

const char *official_names_at(const struct official_names *names, size_t index)
{
	return ((const struct strmap_entry *)(const void *)names->map.entries.data)[index].text;
}

/* ---- Sizes from shapes ------------------------------------------------------------------------------------------- */

/* One more than the largest number between prefix and suffix over all names; 0 where there is none. */
static int64_t count_numbered(const struct official_names *names, const char *prefix, const char *suffix)
{
	size_t length = strlen(prefix);
	int64_t count = 0;

	for (size_t i = 0; i < names->checkpoint->count; i++) {
		const char *name = official_names_at(names, i);
		char *end;
		long n;
		if (strncmp(name, prefix, length) != 0 || name[length] < '0' || name[length] > '9')
			continue;
		n = strtol(name + length, &end, 10);
		if (strncmp(end, suffix, strlen(suffix)) == 0 && n < MAX_LAYERS && n >= count)
			count = n + 1;
	}
	return count;
}

struct size_rule {
	const char *name;
	int ndim, dim;
	size_t field; /* of struct model_sizes */
};

static const struct size_rule size_rules[] = {
	{"backbone.body.patch_embed.proj.weight", 4, 0, offsetof(struct model_sizes, embed_dim)},
	{"language_backbone.body.model.embeddings.word_embeddings.weight", 2, 0, offsetof(struct model_sizes, vocab)},
	{"language_backbone.body.model.embeddings.word_embeddings.weight", 2, 1, offsetof(struct model_sizes, hidden)},
	{"language_backbone.body.model.embeddings.position_embeddings.weight", 2, 0,
     offsetof(struct model_sizes, positions)},
	{"language_backbone.body.model.encoder.layer.0.intermediate.dense.weight", 2, 0,
     offsetof(struct model_sizes, intermediate)},
	{"rpn.head.bbox_pred.weight", 4, 1, offsetof(struct model_sizes, channels)},
};

static enum glip_status shape_of(const struct official_names *names, const char *name, int ndim, int dim, int64_t *out,
                                 struct glip_error *err)
{
	const struct checkpoint_tensor *t = official_names_find(names, name, NULL);
	const char *path = names->checkpoint->source.path;

	if (t == NULL)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: tensor %s is missing: not a GLIP checkpoint, or not all of one",
		                  path, name);
	if (t->problem != NULL)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: tensor %s %s", path, name, t->problem);
	if (t->ndim != ndim)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: tensor %s has %d dimensions, expected %d", path, name, t->ndim,
		                  ndim);
	if (t->shape[dim] > 1 << 20)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: dimension %d of tensor %s is %" PRId64 ", more than %d", path, dim,
		                  name, t->shape[dim], 1 << 20);
	*out = t->shape[dim];
	return GLIP_OK;
}

static enum glip_status derive_swin(const struct official_names *names, struct model_sizes *m, struct glip_error *err)
{
	char name[128];
	int64_t entries = 0;

	for (int s = 0; s < MAP_STAGES; s++) {
		snprintf(name, sizeof(name), "backbone.body.layers.%d.blocks.", s);
		m->depths[s] = count_numbered(names, name, ".");
		snprintf(name, sizeof(name), "backbone.body.layers.%d.blocks.0.attn.relative_position_bias_table", s);
		TRY(shape_of(names, name, 2, 1, &m->heads[s], err));
	}
	TRY(shape_of(names, name, 2, 0, &entries, err));
	for (m->window = 1; (2 * m->window - 1) * (2 * m->window - 1) < entries;)
		m->window++;
	if ((2 * m->window - 1) * (2 * m->window - 1) != entries || m->window > 64)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: tensor %s has %" PRId64 " rows, no (2w-1)^2 of a window w up to 64",
		                  names->checkpoint->source.path, name, entries);
	return GLIP_OK;
}

static enum glip_status derive_head(const struct official_names *names, struct model_sizes *m, struct glip_error *err)
{
	int64_t tower = count_numbered(names, "rpn.head.dyhead_tower.", ".");
	const struct checkpoint_tensor *prompt = official_names_find(names, "rpn.tunable_linear.weight", NULL);

	m->fusion = count_numbered(names, "rpn.head.dyhead_tower.", ".b_attn.") > 0;
	if (tower == 0)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: there is no tensor rpn.head.dyhead_tower.*: not a GLIP checkpoint",
		                  names->checkpoint->source.path);
	m->head_layers = m->fusion ? (tower + 2) / 3 : tower;
	if (m->fusion)
		TRY(shape_of(names, "rpn.head.dyhead_tower.0.b_attn.attn.v_proj.weight", 2, 0, &m->fusion_dim, err));
	if (prompt != NULL && prompt->problem == NULL && prompt->ndim == 2)
		m->prompt = prompt->shape[0];
	return GLIP_OK;
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

struct setting_key {
	const char *name;
	size_t field;
	int count;
};

static const struct setting_key setting_keys[] = {
	{"swin.heads", offsetof(struct model_sizes, heads), MAP_STAGES},
	{"bert.heads", offsetof(struct model_sizes, bert_heads), 1},
	{"bert.max_tokens", offsetof(struct model_sizes, max_tokens), 1},
	{"fusion.heads", offsetof(struct model_sizes, fusion_heads), 1},
	{"head.groups", offsetof(struct model_sizes, groups), 1},
	{"input.short_side", offsetof(struct model_sizes, short_side), 1},
	{"input.long_side", offsetof(struct model_sizes, long_side), 1},
};

static bool parse_numbers(const char *text, int64_t *out, int count)
{
	for (int i = 0; i < count; i++) {
		char *end;
		if (*text < '0' || *text > '9')
			return false;
		errno = 0;
		out[i] = strtoll(text, &end, 10);
		if (errno != 0 || out[i] < 1 || out[i] > 1 << 20 || *end != (i == count - 1 ? '\0' : ','))
			return false;
		text = end + 1;
	}
	return true;
}

static enum glip_status apply_setting(const char *item, const struct model_sizes *shapes, struct model_sizes *m,
                                      struct glip_error *err)
{
	const char *equals = strchr(item, '=');

	for (size_t i = 0; i < sizeof(setting_keys) / sizeof(setting_keys[0]); i++) {
		const struct setting_key *k = &setting_keys[i];
		size_t length = strlen(k->name);
		int64_t values[MAP_STAGES];
		if (equals == NULL || (size_t)(equals - item) != length || memcmp(item, k->name, length) != 0)
			continue;
		if (!parse_numbers(equals + 1, values, k->count))
			return glip__fail(err, GLIP_ERR_ARGUMENT, "--set %s: %s takes %s", item, k->name,
			                  k->count == 1 ? "a positive number"
			                                : "four positive numbers, as in swin.heads=3,6,12,24");
		memcpy((char *)m + k->field, values, (size_t)k->count * sizeof(values[0]));
		for (int s = 0; s < MAP_STAGES && k->count > 1; s++)
			if (values[s] != shapes->heads[s])
				return glip__fail(err, GLIP_ERR_ARGUMENT,
				                  "--set %s: the relative_position_bias_table of stage %d is for %" PRId64 " heads",
				                  item, s, shapes->heads[s]);
		return GLIP_OK;
	}
	return glip__fail(err, GLIP_ERR_ARGUMENT,
	                  "--set %s: unknown; there are swin.heads=A,B,C,D, bert.heads=N, "
	                  "bert.max_tokens=N, fusion.heads=N, head.groups=N, input.short_side=N, input.long_side=N",
	                  item);
}

/* parts is 0 where nothing was said of text heads and the official rule gives no whole number. */
static enum glip_status divides(const char *path, int64_t whole, int64_t parts, const char *key, struct glip_error *err)
{
	if (parts >= 1 && whole % parts == 0)
		return GLIP_OK;
	if (parts >= 1)
		return glip__fail(err, GLIP_ERR_MODEL,
		                  "%s: %s=%" PRId64 " does not divide a width of %" PRId64 "; say --set %s=N", path, key, parts,
		                  whole, key);
	return glip__fail(err, GLIP_ERR_MODEL,
	                  "%s: the official models' 64 channels a text head does not divide %" PRId64 "; say --set %s=N",
	                  path, whole, key);
}

static enum glip_status check_sizes(const char *path, const struct model_sizes *m, struct glip_error *err)
{
	for (int s = 0; s < MAP_STAGES; s++) {
		if (m->depths[s] < 1)
			return glip__fail(err, GLIP_ERR_MODEL, "%s: stage %d of the image encoder has no blocks", path, s);
		if ((m->embed_dim << s) % m->heads[s] != 0)
			return glip__fail(err, GLIP_ERR_MODEL,
			                  "%s: %" PRId64 " heads do not divide the %" PRId64 " channels of stage %d", path,
			                  m->heads[s], m->embed_dim << s, s);
	}
	TRY(divides(path, m->hidden, m->bert_heads, "bert.heads", err));
	if (m->fusion)
		TRY(divides(path, m->fusion_dim, m->fusion_heads, "fusion.heads", err));
	TRY(divides(path, m->channels, m->groups, "head.groups", err));
	if (m->max_tokens > m->positions || m->max_tokens < 2)
		return glip__fail(err, GLIP_ERR_ARGUMENT,
		                  "%s: %" PRId64 " tokens do not fit the %" PRId64 " positions of the text encoder", path,
		                  m->max_tokens, m->positions);
	if (m->channels % 4 != 0)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: the head has %" PRId64 " channels, no multiple of 4", path,
		                  m->channels);
	if (m->short_side > 8192 || m->long_side > 32768)
		return glip__fail(err, GLIP_ERR_ARGUMENT,
		                  "%s: input.short_side is %" PRId64 " and input.long_side %" PRId64
		                  ", of at most 8192 and 32768 pixels",
		                  path, m->short_side, m->long_side);
	if (m->bert_layers < 1)
		return glip__fail(err, GLIP_ERR_MODEL, "%s: the text encoder has no layers", path);
	return GLIP_OK;
}

enum glip_status sizes_derive(const struct official_names *names, const struct settings *settings,
                              struct model_sizes *out, struct glip_error *err)
{
	const char *path = names->checkpoint->source.path;
	struct model_sizes shapes = {0}, m;

	for (size_t i = 0; i < sizeof(size_rules) / sizeof(size_rules[0]); i++) {
		const struct size_rule *r = &size_rules[i];
		int64_t value = 0;
		TRY(shape_of(names, r->name, r->ndim, r->dim, &value, err));
		memcpy((char *)&shapes + r->field, &value, sizeof(value));
	}
	TRY(derive_swin(names, &shapes, err));
	TRY(derive_head(names, &shapes, err));
	shapes.bert_layers = count_numbered(names, "language_backbone.body.model.encoder.layer.", ".");
	m = shapes;
	m.bert_heads = m.hidden % 64 == 0 ? m.hidden / 64 : 0;
	m.fusion_heads = 8;
	m.groups = 16;
	m.max_tokens = m.positions < 256 ? m.positions : 256;
	for (size_t i = 0; i < settings->count; i++)
		TRY(apply_setting(settings->items[i], &shapes, &m, err));
	TRY(check_sizes(path, &m, err));
	*out = m;
	return GLIP_OK;
}

const char *sizes_variant(const struct model_sizes *m)
{
	bool head = m->hidden == 768 && m->bert_layers == 12 && m->bert_heads == 12 && m->intermediate == 3072 &&
	            m->channels == 256 && m->groups == 16 &&
	            (!m->fusion || (m->fusion_dim == 2048 && m->fusion_heads == 8));
	bool tiny = m->embed_dim == 96 && m->depths[0] == 2 && m->depths[1] == 2 && m->depths[2] == 6 &&
	            m->depths[3] == 2 && m->window == 7 && m->head_layers == 6;
	bool large = m->embed_dim == 192 && m->depths[0] == 2 && m->depths[1] == 2 && m->depths[2] == 18 &&
	             m->depths[3] == 2 && m->window == 12 && m->head_layers == 8;

	if (head && tiny)
		return m->fusion ? "GLIP-T" : "GLIP-A";
	if (head && large && m->fusion)
		return "GLIP-L";
	return "GLIP (custom)";
}
