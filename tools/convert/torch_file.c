/* What torch.save writes: a pickle that refers to storages by number, in a zip archive (since torch 1.6) or followed by
 * the storages one after the other (before). */
#include <inttypes.h>
#include <string.h>

#include "checkpoint.h"
#include "pickle.h"
#include "zip.h"

/* A storage, as the pickle's persistent ids describe it: ("storage", type, key, location, elements[, view]). */
struct storage {
	const char *key;
	size_t key_length;
	enum element element;
	int64_t count;
};

/* Where the bytes of storages lie: in members of the archive, or at offsets found by walking the file. */
struct places {
	const struct zip *zip;
	const char *root; /* folder of the archive with its slash, not terminated */
	size_t root_length;
	struct strmap keys; /* legacy: keys in the file's order */
	struct buf offsets; /* legacy: uint64_t for each */
};

/* False where the id is of another form; *text says why. */
static bool read_storage(const struct pickle *p, pickle_ref stored, struct storage *out, const char **text)
{
	pickle_ref id = pickle_at(p, stored)->as.pair.first, item, type, key, count;
	const struct pickle_value *v;

	*text = "has a storage of unknown form";
	if (pickle_at(p, stored)->kind != PICKLE_STORED || !pickle_item(p, id, 0, &item) ||
	    !pickle_is_text(p, item, "storage") || !pickle_item(p, id, 1, &type) || !pickle_item(p, id, 2, &key) ||
	    !pickle_item(p, id, 4, &count))
		return false;
	if (pickle_at(p, key)->kind != PICKLE_TEXT || pickle_at(p, count)->kind != PICKLE_INT ||
	    pickle_at(p, type)->kind != PICKLE_GLOBAL || pickle_at(p, count)->as.integer < 0)
		return false;
	if (pickle_item(p, id, 5, &item) && pickle_at(p, item)->kind != PICKLE_NONE) {
		*text = "is a view of a part of a storage, which is not supported";
		return false;
	}
	v = pickle_at(p, pickle_at(p, type)->as.pair.second);
	if (!element_by_storage(v->as.string.text, v->as.string.length, &out->element)) {
		*text = "has a storage of unknown type";
		return false;
	}
	v = pickle_at(p, key);
	out->key = v->as.string.text;
	out->key_length = v->as.string.length;
	out->count = pickle_at(p, count)->as.integer;
	return true;
}

/* Fills storage_offset and crc. */
static enum glip_status place_storage(struct checkpoint *c, const struct places *places, const struct storage *s,
                                      struct checkpoint_tensor *t, struct glip_error *err)
{
	char name[256];
	const struct zip_member *m;
	size_t number;

	t->element = s->element;
	t->storage_count = (uint64_t)s->count;
	if (places->zip == NULL) {
		if (!strmap_find(&places->keys, s->key, s->key_length, &number))
			return checkpoint_problem(c, t, err, "has a storage that the file lacks");
		memcpy(&t->storage_offset, places->offsets.data + number * sizeof(uint64_t), sizeof(uint64_t));
		return GLIP_OK;
	}
	if (places->root_length > 100 || s->key_length > 100)
		return checkpoint_problem(c, t, err, "has a storage with a name too long");
	memcpy(name, places->root, places->root_length);
	memcpy(name + places->root_length, "data/", 5);
	memcpy(name + places->root_length + 5, s->key, s->key_length);
	m = zip_find(places->zip, name, places->root_length + 5 + s->key_length);
	if (m == NULL)
		return checkpoint_problem(c, t, err, "has a storage that the archive lacks");
	if (t->storage_count > m->size / element_size(s->element))
		return checkpoint_problem(c, t, err, "has a storage of %" PRId64 " elements in a member of %" PRIu64 " bytes",
		                          s->count, m->size);
	t->storage_offset = m->offset;
	t->crc = m->size == t->storage_count * element_size(s->element) ? m->crc : 0;
	return GLIP_OK;
}

/* A tuple of integers, as sizes and strides are written. */
static bool read_ints(const struct pickle *p, pickle_ref ref, int64_t *out, int *count)
{
	const struct pickle_value *v = pickle_at(p, ref);
	uint32_t cell = v->head;

	/* torch.Size pickles as a call of its class with one tuple. */
	if (v->kind == PICKLE_OBJECT && pickle_is_global(p, v->as.pair.first, "torch", "Size")) {
		if (!pickle_item(p, v->as.pair.second, 0, &ref))
			return false;
		v = pickle_at(p, ref);
		cell = v->head;
	}
	if (v->kind != PICKLE_TUPLE || v->count > CHECKPOINT_MAX_DIMS)
		return false;
	*count = 0;
	while (cell != 0) {
		cell = pickle_next(p, cell, &ref);
		if (pickle_at(p, ref)->kind != PICKLE_INT)
			return false;
		out[(*count)++] = pickle_at(p, ref)->as.integer;
	}
	return true;
}

/* Through _rebuild_parameter(tensor, requires_grad, hooks) to the tensor. */
static pickle_ref unwrap_parameter(const struct pickle *p, pickle_ref ref)
{
	for (int i = 0; i < 4; i++) {
		const struct pickle_value *v = pickle_at(p, ref);
		if (v->kind != PICKLE_OBJECT ||
		    (!pickle_is_global(p, v->as.pair.first, "torch._utils", "_rebuild_parameter") &&
		     !pickle_is_global(p, v->as.pair.first, "torch._utils", "_rebuild_parameter_with_state")))
			break;
		if (!pickle_item(p, v->as.pair.second, 0, &ref))
			break;
	}
	return ref;
}

static enum glip_status not_a_tensor(struct checkpoint *c, const struct pickle *p, pickle_ref ref,
                                     struct checkpoint_tensor *t, struct glip_error *err)
{
	const struct pickle_value *v = pickle_at(p, ref), *module, *name;

	if (v->kind != PICKLE_OBJECT || pickle_at(p, v->as.pair.first)->kind != PICKLE_GLOBAL)
		return checkpoint_problem(c, t, err, "is no tensor");
	v = pickle_at(p, v->as.pair.first);
	module = pickle_at(p, v->as.pair.first);
	name = pickle_at(p, v->as.pair.second);
	return checkpoint_problem(c, t, err, "is made by %.*s.%.*s, which is not supported",
	                          (int)(module->as.string.length & 63), module->as.string.text,
	                          (int)(name->as.string.length & 63), name->as.string.text);
}

/* _rebuild_tensor_v2(storage, first element, size, stride, requires_grad, hooks), or _rebuild_tensor with four. */
static enum glip_status read_tensor(struct checkpoint *c, const struct pickle *p, const struct places *places,
                                    pickle_ref ref, struct checkpoint_tensor *t, struct glip_error *err)
{
	const struct pickle_value *v;
	pickle_ref args, stored, first, size, stride;
	struct storage storage;
	const char *text;
	int strides;

	ref = unwrap_parameter(p, ref);
	v = pickle_at(p, ref);
	if (v->kind != PICKLE_OBJECT || (!pickle_is_global(p, v->as.pair.first, "torch._utils", "_rebuild_tensor_v2") &&
	                                 !pickle_is_global(p, v->as.pair.first, "torch._utils", "_rebuild_tensor")))
		return not_a_tensor(c, p, ref, t, err);
	args = v->as.pair.second;
	if (!pickle_item(p, args, 0, &stored) || !pickle_item(p, args, 1, &first) || !pickle_item(p, args, 2, &size) ||
	    !pickle_item(p, args, 3, &stride) || pickle_at(p, first)->kind != PICKLE_INT ||
	    pickle_at(p, first)->as.integer < 0 || !read_ints(p, size, t->shape, &t->ndim) ||
	    !read_ints(p, stride, t->stride, &strides) || strides != t->ndim)
		return checkpoint_problem(c, t, err, "is described in an unknown form");
	if (!read_storage(p, stored, &storage, &text))
		return checkpoint_problem(c, t, err, "%s", text);
	t->first = (uint64_t)pickle_at(p, first)->as.integer;
	TRY(place_storage(c, places, &storage, t, err));
	return t->problem == NULL ? checkpoint_check(c, t, err) : GLIP_OK;
}

/* The state dict: under "model" (official files), "state_dict", or the whole file. */
static enum glip_status read_state(struct checkpoint *c, const struct pickle *p, const struct places *places,
                                   pickle_ref root, struct glip_error *err)
{
	const struct pickle_value *v = pickle_at(p, root);
	pickle_ref inner, key, value;
	uint32_t cell;

	if (v->kind != PICKLE_DICT)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the checkpoint is no dictionary of tensors", c->source.path);
	if ((pickle_lookup(p, root, "model", &inner) || pickle_lookup(p, root, "state_dict", &inner)) &&
	    pickle_at(p, unwrap_parameter(p, inner))->kind == PICKLE_DICT)
		v = pickle_at(p, inner);
	cell = v->head;
	while (cell != 0) {
		struct checkpoint_tensor t = {0};
		cell = pickle_next(p, cell, &key);
		cell = pickle_next(p, cell, &value);
		if (pickle_at(p, key)->kind != PICKLE_TEXT)
			continue;
		TRY(read_tensor(c, p, places, value, &t, err));
		TRY(checkpoint_add(c, pickle_at(p, key)->as.string.text, pickle_at(p, key)->as.string.length, &t, err));
	}
	return GLIP_OK;
}

/* ---- The zip archive --------------------------------------------------------------------------------------------- */

static enum glip_status find_root(const struct checkpoint *c, const struct zip *zip, struct places *places,
                                  const struct zip_member **pickle, struct glip_error *err)
{
	static const char leaf[] = "data.pkl";
	const size_t length = sizeof(leaf) - 1;

	*pickle = NULL;
	for (size_t i = 0; i < zip->count; i++) {
		const struct zip_member *m = &zip->members[i];
		size_t root = m->name_length - length;
		if (m->name_length < length || memcmp(m->name + root, leaf, length) != 0)
			continue;
		if (root > 0 && memchr(m->name, '/', root) != m->name + root - 1)
			continue;
		if (*pickle != NULL)
			return glip__fail(err, GLIP_ERR_FORMAT, "%s: the zip archive holds two checkpoints", c->source.path);
		*pickle = m;
		places->root = m->name;
		places->root_length = root;
	}
	if (*pickle == NULL)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: a zip archive, but no torch checkpoint: it has no data.pkl",
		                  c->source.path);
	if ((*pickle)->size > CHECKPOINT_MAX_HEADER)
		return glip__fail(err, GLIP_ERR_LIMIT, "%s: data.pkl has more than %d bytes", c->source.path,
		                  CHECKPOINT_MAX_HEADER);
	return GLIP_OK;
}

static enum glip_status check_byteorder(const struct checkpoint *c, const struct places *places, struct glip_error *err)
{
	char name[128], order[6];
	const struct zip_member *m;

	if (places->root_length > 100)
		return GLIP_OK;
	memcpy(name, places->root, places->root_length);
	memcpy(name + places->root_length, "byteorder", 9);
	m = zip_find(places->zip, name, places->root_length + 9);
	if (m == NULL)
		return GLIP_OK;
	if (m->size == 6) {
		TRY(byte_source_read(&c->source, m->offset, order, sizeof(order), err));
		if (memcmp(order, "little", 6) == 0)
			return GLIP_OK;
	}
	return glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: the checkpoint was not written on a little-endian machine",
	                  c->source.path);
}

enum glip_status torch_zip_read(struct checkpoint *c, struct glip_error *err)
{
	struct zip zip;
	struct places places = {.zip = &zip};
	struct pickle p = {0};
	const struct zip_member *member;
	enum glip_status status = GLIP_OK;
	uint8_t *bytes = NULL;
	pickle_ref root;

	TRY(zip_open(&c->source, c->allocator, &zip, err));
	TRY_OUT(find_root(c, &zip, &places, &member, err));
	TRY_OUT(check_byteorder(c, &places, err));
	bytes = glip__malloc(c->allocator, (size_t)member->size, 1);
	if (bytes == NULL)
		TRY_OUT(glip__fail_nomem(err, "data.pkl", (size_t)member->size));
	TRY_OUT(byte_source_read(&c->source, member->offset, bytes, (size_t)member->size, err));
	if (member->crc != 0 && zip_crc(0, bytes, (size_t)member->size) != member->crc)
		TRY_OUT(glip__fail(err, GLIP_ERR_FORMAT, "%s: data.pkl is damaged: its checksum differs", c->source.path));
	pickle_init(&p, c->allocator, bytes, (size_t)member->size, c->source.path);
	TRY_OUT(pickle_parse(&p, &root, err));
	TRY_OUT(read_state(c, &p, &places, root, err));
out:
	pickle_free(&p);
	glip__free(c->allocator, bytes);
	zip_close(&zip);
	return status;
}

/* ---- Before torch 1.6 -------------------------------------------------------------------------------------------- */

/* The pickled magic number that every such file begins with: protocol 2, a ten-byte integer, end. */
static const uint8_t legacy_magic[] = {0x80, 2,    0x8A, 10,   0x6C, 0xFC, 0x9C, 0x46,
                                       0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, '.'};

bool torch_legacy_probe(const uint8_t *head, size_t size)
{
	return size >= sizeof(legacy_magic) && memcmp(head, legacy_magic, sizeof(legacy_magic)) == 0;
}

/* Type and size of each storage stand in the pickle, its bytes behind: an 8-byte count of elements, then those, in the
 * order of the key list. */
static enum glip_status walk_storages(struct checkpoint *c, const struct pickle *p, size_t values, pickle_ref keys,
                                      struct places *places, struct glip_error *err)
{
	uint64_t at = p->at;
	uint32_t cell = pickle_at(p, keys)->head;
	size_t number;
	bool is_new;

	struct strmap known;
	struct buf storages = {.allocator = c->allocator};
	enum glip_status status = GLIP_OK;
	strmap_init(&known, c->allocator);
	for (size_t i = 0; i < values; i++) {
		struct storage s;
		const char *text;
		if (pickle_at(p, (pickle_ref)i)->kind != PICKLE_STORED || !read_storage(p, (pickle_ref)i, &s, &text))
			continue;
		if (!strmap_add(&known, s.key, s.key_length, &number, &is_new) ||
		    (is_new && !glip__buf_append(&storages, &s, sizeof(s))))
			TRY_OUT(glip__fail_nomem(err, "the list of storages", storages.length));
	}
	while (cell != 0) {
		uint8_t head[8];
		struct storage s;
		pickle_ref key;
		uint64_t size;
		cell = pickle_next(p, cell, &key);
		const struct pickle_value *v = pickle_at(p, key);
		if (v->kind != PICKLE_TEXT || !strmap_find(&known, v->as.string.text, v->as.string.length, &number))
			TRY_OUT(glip__fail(err, GLIP_ERR_FORMAT, "%s: a storage of unknown type or size stands in the file",
			                   c->source.path));
		memcpy(&s, storages.data + number * sizeof(s), sizeof(s));
		TRY_OUT(byte_source_read(&c->source, at, head, sizeof(head), err));
		at += sizeof(head);
		size = (c->source.size - at) / element_size(s.element);
		if (little_endian(head, 8) != (uint64_t)s.count || (uint64_t)s.count > size)
			TRY_OUT(glip__fail(err, GLIP_ERR_FORMAT,
			                   "%s: storage %.*s has %" PRIu64 " elements, expected %" PRId64 " (and room for %" PRIu64
			                   "): truncated?",
			                   c->source.path, (int)(s.key_length & 63), s.key, little_endian(head, 8), s.count, size));
		if (!strmap_add(&places->keys, s.key, s.key_length, &number, &is_new) ||
		    !glip__buf_append(&places->offsets, &at, sizeof(at)))
			TRY_OUT(glip__fail_nomem(err, "the list of storages", storages.length));
		if (!is_new)
			TRY_OUT(glip__fail(err, GLIP_ERR_FORMAT, "%s: storage %.*s stands there twice", c->source.path,
			                   (int)(s.key_length & 63), s.key));
		at += (uint64_t)s.count * element_size(s.element);
	}
out:
	strmap_free(&known);
	glip__buf_free(&storages);
	return status;
}

/* Five pickles: magic number, protocol version, system, the object, the keys of its storages. */
static enum glip_status read_pickles(struct checkpoint *c, struct pickle *p, struct places *places,
                                     struct glip_error *err)
{
	pickle_ref version, system, root, keys, order;
	size_t values;

	TRY(pickle_parse(p, &version, err));
	TRY(pickle_parse(p, &version, err));
	if (pickle_at(p, version)->kind != PICKLE_INT || pickle_at(p, version)->as.integer != 1001)
		return glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: this version of torch's old format is not supported",
		                  c->source.path);
	TRY(pickle_parse(p, &system, err));
	if (pickle_lookup(p, system, "little_endian", &order) && pickle_at(p, order)->kind == PICKLE_BOOL &&
	    pickle_at(p, order)->as.integer == 0)
		return glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: the checkpoint was not written on a little-endian machine",
		                  c->source.path);
	TRY(pickle_parse(p, &root, err));
	values = pickle_count(p);
	TRY(pickle_parse(p, &keys, err));
	if (pickle_at(p, keys)->kind != PICKLE_LIST)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the list of storages is missing", c->source.path);
	TRY(walk_storages(c, p, values, keys, places, err));
	return read_state(c, p, places, root, err);
}

enum glip_status torch_legacy_read(struct checkpoint *c, struct glip_error *err)
{
	size_t size = c->source.size < CHECKPOINT_MAX_HEADER ? (size_t)c->source.size : CHECKPOINT_MAX_HEADER;
	struct places places = {.offsets = {.allocator = c->allocator}};
	struct pickle p = {0};
	enum glip_status status = GLIP_OK;
	uint8_t *bytes = glip__malloc(c->allocator, size, 1);

	if (bytes == NULL)
		return glip__fail_nomem(err, "the beginning of the checkpoint", size);
	strmap_init(&places.keys, c->allocator);
	TRY_OUT(byte_source_read(&c->source, 0, bytes, size, err));
	pickle_init(&p, c->allocator, bytes, size, c->source.path);
	TRY_OUT(read_pickles(c, &p, &places, err));
out:
	pickle_free(&p);
	strmap_free(&places.keys);
	glip__buf_free(&places.offsets);
	glip__free(c->allocator, bytes);
	return status;
}
