#include "pickle.h"

#include <stdio.h>
#include <string.h>

#include "byte_source.h"

enum { MAX_VALUES = 1 << 20, MAX_CELLS = 1 << 21, MAX_STACK = 1 << 20, MAX_MEMO = 1 << 20 };

struct cell {
	pickle_ref value;
	uint32_t next; /* 0: the last */
};

void pickle_init(struct pickle *p, const struct glip_allocator *allocator, const uint8_t *data, size_t size,
                 const char *path)
{
	*p = (struct pickle){.allocator = allocator, .data = data, .size = size, .path = path};
	p->values.allocator = p->cells.allocator = p->stack.allocator = p->marks.allocator = p->memo.allocator = allocator;
}

void pickle_free(struct pickle *p)
{
	if (p->allocator == NULL)
		return;
	glip__buf_free(&p->values);
	glip__buf_free(&p->cells);
	glip__buf_free(&p->stack);
	glip__buf_free(&p->marks);
	glip__buf_free(&p->memo);
	*p = (struct pickle){0};
}

static struct pickle_value *value_at(const struct pickle *p, pickle_ref ref)
{
	return (struct pickle_value *)(void *)p->values.data + ref;
}

const struct pickle_value *pickle_at(const struct pickle *p, pickle_ref ref)
{
	return value_at(p, ref);
}

size_t pickle_count(const struct pickle *p)
{
	return p->values.length / sizeof(struct pickle_value);
}

static struct cell *cell_at(const struct pickle *p, uint32_t cell)
{
	return (struct cell *)(void *)p->cells.data + cell;
}

/* ---- Building ---------------------------------------------------------------------------------------------------- */

static enum glip_status damaged(const struct pickle *p, const char *what)
{
	glip__fail(p->err, GLIP_ERR_FORMAT, "%s: damaged pickle: %s at byte %zu", p->path, what, p->at);
	return GLIP_ERR_FORMAT;
}

static enum glip_status append(struct pickle *p, struct buf *b, const void *item, size_t size, size_t max)
{
	if (b->length / size >= max)
		return glip__fail(p->err, GLIP_ERR_LIMIT, "%s: the pickle holds more than %zu values", p->path, max);
	return glip__buf_append(b, item, size) ? GLIP_OK : glip__fail_nomem(p->err, "the values of the pickle", b->length);
}

static enum glip_status push(struct pickle *p, pickle_ref ref)
{
	return append(p, &p->stack, &ref, sizeof(ref), MAX_STACK);
}

static enum glip_status make(struct pickle *p, struct pickle_value value, pickle_ref *ref)
{
	*ref = (pickle_ref)pickle_count(p);
	return append(p, &p->values, &value, sizeof(value), MAX_VALUES);
}

static enum glip_status push_value(struct pickle *p, struct pickle_value value)
{
	pickle_ref ref;

	TRY(make(p, value, &ref));
	return push(p, ref);
}

static size_t depth(const struct pickle *p)
{
	return p->stack.length / sizeof(pickle_ref);
}

static pickle_ref stack_at(const struct pickle *p, size_t index)
{
	pickle_ref ref;

	memcpy(&ref, p->stack.data + index * sizeof(ref), sizeof(ref));
	return ref;
}

static enum glip_status pop(struct pickle *p, pickle_ref *ref)
{
	if (depth(p) == 0)
		return damaged(p, "the stack is empty");
	*ref = stack_at(p, depth(p) - 1);
	p->stack.length -= sizeof(*ref);
	return GLIP_OK;
}

static enum glip_status top(struct pickle *p, pickle_ref *ref)
{
	if (depth(p) == 0)
		return damaged(p, "the stack is empty");
	*ref = stack_at(p, depth(p) - 1);
	return GLIP_OK;
}

/* Takes the newest mark: *begin is the stack index of the first item above it. */
static enum glip_status pop_mark(struct pickle *p, size_t *begin)
{
	if (p->marks.length == 0)
		return damaged(p, "a mark is missing");
	p->marks.length -= sizeof(*begin);
	memcpy(begin, p->marks.data + p->marks.length, sizeof(*begin));
	if (*begin > depth(p))
		return damaged(p, "a mark lies above the stack");
	return GLIP_OK;
}

static enum glip_status add_item(struct pickle *p, pickle_ref container, pickle_ref item)
{
	struct cell cell = {item, 0};
	struct pickle_value *v;
	uint32_t at;

	/* Cell 0 stands for none. */
	if (p->cells.length == 0)
		TRY(append(p, &p->cells, &cell, sizeof(cell), MAX_CELLS));
	at = (uint32_t)(p->cells.length / sizeof(cell));
	TRY(append(p, &p->cells, &cell, sizeof(cell), MAX_CELLS));
	v = value_at(p, container);
	if (v->tail != 0)
		cell_at(p, v->tail)->next = at;
	else
		v->head = at;
	v->tail = at;
	v->count++;
	return GLIP_OK;
}

/* Moves the stack's items from `begin` on into the container. */
static enum glip_status add_items(struct pickle *p, pickle_ref container, size_t begin)
{
	for (size_t i = begin; i < depth(p); i++)
		TRY(add_item(p, container, stack_at(p, i)));
	p->stack.length = begin * sizeof(pickle_ref);
	return GLIP_OK;
}

static enum glip_status build_sequence(struct pickle *p, enum pickle_kind kind, size_t begin)
{
	pickle_ref ref;

	TRY(make(p, (struct pickle_value){.kind = kind}, &ref));
	TRY(add_items(p, ref, begin));
	return push(p, ref);
}

/* Items for the container below `begin`: appended to a list, set in a dict; dropped for what is opaque. */
static enum glip_status fill(struct pickle *p, size_t begin, bool pairs)
{
	enum pickle_kind kind;
	pickle_ref container;

	if (begin == 0)
		return damaged(p, "items without a container");
	container = stack_at(p, begin - 1);
	kind = value_at(p, container)->kind;
	if (pairs && (depth(p) - begin) % 2 != 0)
		return damaged(p, "a key without a value");
	if (kind == (pairs ? PICKLE_DICT : PICKLE_LIST))
		return add_items(p, container, begin);
	if (kind != PICKLE_OBJECT && kind != PICKLE_OPAQUE)
		return damaged(p, "items for something that is no container");
	p->stack.length = begin * sizeof(container);
	return GLIP_OK;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static enum glip_status take(struct pickle *p, size_t size, const uint8_t **out)
{
	if (p->size - p->at < size)
		return damaged(p, "the file ends within it,");
	*out = p->data + p->at;
	p->at += size;
	return GLIP_OK;
}

static enum glip_status take_number(struct pickle *p, size_t size, uint64_t *out)
{
	const uint8_t *bytes;

	TRY(take(p, size, &bytes));
	*out = little_endian(bytes, size);
	return GLIP_OK;
}

/* Text or bytes behind a length of `width` bytes. */
static enum glip_status push_string(struct pickle *p, enum pickle_kind kind, size_t width)
{
	const uint8_t *bytes;
	uint64_t length;

	TRY(take_number(p, width, &length));
	if (length > p->size - p->at)
		return damaged(p, "a string longer than the pickle");
	TRY(take(p, (size_t)length, &bytes));
	return push_value(p, (struct pickle_value){.kind = kind, .as.string = {(const char *)bytes, (size_t)length}});
}

static enum glip_status push_int(struct pickle *p, int64_t value)
{
	return push_value(p, (struct pickle_value){.kind = PICKLE_INT, .as.integer = value});
}

/* A little-endian two's complement number of `length` bytes. */
static enum glip_status push_long(struct pickle *p, uint64_t length)
{
	const uint8_t *bytes;
	uint64_t v;

	if (length > p->size - p->at)
		return damaged(p, "a number longer than the pickle");
	TRY(take(p, (size_t)length, &bytes));
	if (length > 8)
		return push_value(p, (struct pickle_value){.kind = PICKLE_OPAQUE});
	v = little_endian(bytes, (size_t)length);
	if (length > 0 && length < 8 && bytes[length - 1] >= 0x80)
		v |= UINT64_MAX << (8 * length);
	return push_int(p, v > INT64_MAX ? -(int64_t)(UINT64_MAX - v) - 1 : (int64_t)v);
}

static enum glip_status push_float(struct pickle *p)
{
	const uint8_t *bytes;
	uint64_t bits = 0;
	double d;

	TRY(take(p, 8, &bytes));
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | bytes[i];
	memcpy(&d, &bits, sizeof(d));
	return push_value(p, (struct pickle_value){.kind = PICKLE_FLOAT, .as.number = d});
}

static enum glip_status take_line(struct pickle *p, pickle_ref *ref)
{
	const uint8_t *begin = p->data + p->at;
	const uint8_t *end = p->at < p->size ? memchr(begin, '\n', p->size - p->at) : NULL;

	if (end == NULL)
		return damaged(p, "a name without an end");
	p->at += (size_t)(end - begin) + 1;
	return make(p,
	            (struct pickle_value){.kind = PICKLE_TEXT, .as.string = {(const char *)begin, (size_t)(end - begin)}},
	            ref);
}

static enum glip_status push_pair(struct pickle *p, enum pickle_kind kind, pickle_ref first, pickle_ref second)
{
	return push_value(p, (struct pickle_value){.kind = kind, .as.pair = {first, second}});
}

/* ---- Memo -------------------------------------------------------------------------------------------------------- */

static enum glip_status memo_put(struct pickle *p, uint64_t index)
{
	size_t count = p->memo.length / sizeof(pickle_ref);
	pickle_ref ref, none = UINT32_MAX;

	TRY(top(p, &ref));
	/* Python numbers the memo one by one: a number far beyond is no work of its. */
	if (index >= MAX_MEMO)
		return damaged(p, "a memo number out of range");
	for (; count <= index; count++)
		TRY(append(p, &p->memo, &none, sizeof(none), MAX_MEMO));
	memcpy(p->memo.data + index * sizeof(ref), &ref, sizeof(ref));
	return GLIP_OK;
}

static enum glip_status memo_get(struct pickle *p, uint64_t index)
{
	pickle_ref ref = UINT32_MAX;

	if (index < p->memo.length / sizeof(ref))
		memcpy(&ref, p->memo.data + index * sizeof(ref), sizeof(ref));
	if (ref == UINT32_MAX)
		return damaged(p, "a memo number that was never set");
	return push(p, ref);
}

/* ---- Opcodes, by family: each sets *done where the opcode is one of its own ----------------------------------------
 */

static enum glip_status op_constant(struct pickle *p, uint8_t op, bool *done)
{
	uint64_t n;

	*done = true;
	switch (op) {
	case 'N': return push_value(p, (struct pickle_value){.kind = PICKLE_NONE});
	case 0x88:
	case 0x89: return push_value(p, (struct pickle_value){.kind = PICKLE_BOOL, .as.integer = op == 0x88});
	case 'K': TRY(take_number(p, 1, &n)); return push_int(p, (int64_t)n);
	case 'M': TRY(take_number(p, 2, &n)); return push_int(p, (int64_t)n);
	case 'J': return push_long(p, 4);
	case 0x8A: TRY(take_number(p, 1, &n)); return push_long(p, n);
	case 0x8B: TRY(take_number(p, 4, &n)); return push_long(p, n);
	case 'G': return push_float(p);
	case 'X': return push_string(p, PICKLE_TEXT, 4);
	case 'U': return push_string(p, PICKLE_TEXT, 1);
	case 'T': return push_string(p, PICKLE_TEXT, 4);
	case 0x8C: return push_string(p, PICKLE_TEXT, 1);
	case 0x8D: return push_string(p, PICKLE_TEXT, 8);
	case 'C': return push_string(p, PICKLE_BYTES, 1);
	case 'B': return push_string(p, PICKLE_BYTES, 4);
	case 0x8E:
	case 0x96: return push_string(p, PICKLE_BYTES, 8);
	default: *done = false; return GLIP_OK;
	}
}

static enum glip_status op_container(struct pickle *p, uint8_t op, bool *done)
{
	size_t begin;

	*done = true;
	switch (op) {
	case '}': return push_value(p, (struct pickle_value){.kind = PICKLE_DICT});
	case ']': return push_value(p, (struct pickle_value){.kind = PICKLE_LIST});
	case ')': return push_value(p, (struct pickle_value){.kind = PICKLE_TUPLE});
	case 0x8F: return push_value(p, (struct pickle_value){.kind = PICKLE_OPAQUE});
	case 0x85:
	case 0x86:
	case 0x87:
		if (depth(p) < op - 0x84u)
			return damaged(p, "the stack is empty");
		return build_sequence(p, PICKLE_TUPLE, depth(p) - (op - 0x84u));
	case 't':
	case 'l': TRY(pop_mark(p, &begin)); return build_sequence(p, op == 't' ? PICKLE_TUPLE : PICKLE_LIST, begin);
	case 'd':
		TRY(pop_mark(p, &begin));
		if ((depth(p) - begin) % 2 != 0)
			return damaged(p, "a key without a value");
		return build_sequence(p, PICKLE_DICT, begin);
	case 0x91:
		TRY(pop_mark(p, &begin));
		p->stack.length = begin * sizeof(pickle_ref);
		return push_value(p, (struct pickle_value){.kind = PICKLE_OPAQUE});
	case 'a': return depth(p) < 2 ? damaged(p, "the stack is empty") : fill(p, depth(p) - 1, false);
	case 's': return depth(p) < 3 ? damaged(p, "the stack is empty") : fill(p, depth(p) - 2, true);
	case 'e':
	case 0x90: TRY(pop_mark(p, &begin)); return fill(p, begin, false);
	case 'u': TRY(pop_mark(p, &begin)); return fill(p, begin, true);
	default: *done = false; return GLIP_OK;
	}
}

static enum glip_status op_stack(struct pickle *p, uint8_t op, bool *done)
{
	size_t begin = depth(p);
	pickle_ref ref;
	uint64_t n;

	*done = true;
	switch (op) {
	case '(': return append(p, &p->marks, &begin, sizeof(begin), MAX_STACK);
	case '0': return pop(p, &ref);
	case '1':
		TRY(pop_mark(p, &begin));
		p->stack.length = begin * sizeof(ref);
		return GLIP_OK;
	case '2': TRY(top(p, &ref)); return push(p, ref);
	case 'q':
	case 'r': TRY(take_number(p, op == 'q' ? 1 : 4, &n)); return memo_put(p, n);
	case 0x94: return memo_put(p, p->memo.length / sizeof(ref));
	case 'h':
	case 'j': TRY(take_number(p, op == 'h' ? 1 : 4, &n)); return memo_get(p, n);
	case 0x80:
		TRY(take_number(p, 1, &n));
		if (n < 2 || n > 5)
			return glip__fail(p->err, GLIP_ERR_UNSUPPORTED, "%s: pickle protocol %d is not supported", p->path, (int)n);
		return GLIP_OK;
	case 0x95:
		/* A frame only helps reading ahead. */
		return take_number(p, 8, &n);
	default: *done = false; return GLIP_OK;
	}
}

/* OrderedDict is the one thing that is known by name: an empty dict, or one of the pairs that Python 2 passed to it. */
static enum glip_status push_ordered_dict(struct pickle *p, pickle_ref args)
{
	pickle_ref dict, list, pair, key, value;
	uint32_t cell;

	TRY(make(p, (struct pickle_value){.kind = PICKLE_DICT}, &dict));
	if (pickle_item(p, args, 0, &list) && value_at(p, list)->kind == PICKLE_LIST) {
		cell = value_at(p, list)->head;
		while (cell != 0) {
			cell = pickle_next(p, cell, &pair);
			if (!pickle_item(p, pair, 0, &key) || !pickle_item(p, pair, 1, &value))
				return damaged(p, "an ordered dict of something else than pairs");
			TRY(add_item(p, dict, key));
			TRY(add_item(p, dict, value));
		}
	}
	return push(p, dict);
}

static enum glip_status op_object(struct pickle *p, uint8_t op, bool *done)
{
	pickle_ref a, b, c;

	*done = true;
	switch (op) {
	case 'c':
		TRY(take_line(p, &a));
		TRY(take_line(p, &b));
		return push_pair(p, PICKLE_GLOBAL, a, b);
	case 0x93:
		TRY(pop(p, &b));
		TRY(pop(p, &a));
		if (value_at(p, a)->kind != PICKLE_TEXT || value_at(p, b)->kind != PICKLE_TEXT)
			return damaged(p, "a global whose name is no text");
		return push_pair(p, PICKLE_GLOBAL, a, b);
	case 'R':
	case 0x81:
		TRY(pop(p, &b));
		TRY(pop(p, &a));
		if (pickle_is_global(p, a, "collections", "OrderedDict"))
			return push_ordered_dict(p, b);
		return push_pair(p, PICKLE_OBJECT, a, b);
	case 0x92:
		TRY(pop(p, &c));
		TRY(pop(p, &b));
		TRY(pop(p, &a));
		return push_pair(p, PICKLE_OBJECT, a, b);
	case 'b':
		/* The state of an object, such as a state dict's _metadata: of no interest. */
		TRY(pop(p, &a));
		return top(p, &b);
	case 'Q': TRY(pop(p, &a)); return push_pair(p, PICKLE_STORED, a, a);
	default: *done = false; return GLIP_OK;
	}
}

enum glip_status pickle_parse(struct pickle *p, pickle_ref *root, struct glip_error *err)
{
	static enum glip_status (*const families[])(struct pickle *, uint8_t, bool *) = {op_stack, op_constant,
	                                                                                 op_container, op_object};
	const uint8_t *op;

	p->err = err;
	p->stack.length = p->marks.length = p->memo.length = 0;
	for (;;) {
		bool done = false;
		TRY(take(p, 1, &op));
		if (*op == '.')
			return pop(p, root);
		for (size_t i = 0; i < sizeof(families) / sizeof(families[0]) && !done; i++)
			TRY(families[i](p, *op, &done));
		if (!done)
			return glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: pickle instruction 0x%02X at byte %zu is not supported",
			                  p->path, (unsigned)*op, p->at - 1);
	}
}

/* ---- Reading the result ------------------------------------------------------------------------------------------ */

uint32_t pickle_next(const struct pickle *p, uint32_t cell, pickle_ref *out)
{
	*out = cell_at(p, cell)->value;
	return cell_at(p, cell)->next;
}

bool pickle_item(const struct pickle *p, pickle_ref ref, size_t index, pickle_ref *out)
{
	const struct pickle_value *v = value_at(p, ref);
	uint32_t cell = v->head;

	if ((v->kind != PICKLE_TUPLE && v->kind != PICKLE_LIST) || index >= v->count)
		return false;
	do {
		cell = pickle_next(p, cell, out);
	} while (index-- > 0);
	return true;
}

bool pickle_lookup(const struct pickle *p, pickle_ref dict, const char *key, pickle_ref *out)
{
	const struct pickle_value *v = value_at(p, dict);
	uint32_t cell = v->head;
	bool found = false;

	if (v->kind != PICKLE_DICT)
		return false;
	while (cell != 0) {
		pickle_ref k, item;
		cell = pickle_next(p, cell, &k);
		cell = pickle_next(p, cell, &item);
		if (pickle_is_text(p, k, key)) {
			*out = item;
			found = true;
		}
	}
	return found;
}

bool pickle_is_text(const struct pickle *p, pickle_ref ref, const char *text)
{
	const struct pickle_value *v = value_at(p, ref);

	return v->kind == PICKLE_TEXT && v->as.string.length == strlen(text) &&
	       memcmp(v->as.string.text, text, v->as.string.length) == 0;
}

bool pickle_is_global(const struct pickle *p, pickle_ref ref, const char *module, const char *name)
{
	const struct pickle_value *v = value_at(p, ref);

	return v->kind == PICKLE_GLOBAL && pickle_is_text(p, v->as.pair.first, module) &&
	       pickle_is_text(p, v->as.pair.second, name);
}
