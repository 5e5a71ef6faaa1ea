/* Reads Python pickles (protocols 2 to 5) into plain values. Nothing is ever imported, called or executed: what a
 * pickle would have called becomes an opaque object that remembers the name and the arguments. */
#ifndef GLIP_CONVERT_PICKLE_H
#define GLIP_CONVERT_PICKLE_H

#include "base/alloc.h"

enum pickle_kind {
	PICKLE_NONE,
	PICKLE_BOOL,   /* integer */
	PICKLE_INT,    /* integer */
	PICKLE_FLOAT,  /* number */
	PICKLE_TEXT,   /* text, length */
	PICKLE_BYTES,  /* text, length */
	PICKLE_TUPLE,  /* items */
	PICKLE_LIST,   /* items */
	PICKLE_DICT,   /* items: key, value, key, value... */
	PICKLE_GLOBAL, /* first: module (text), second: name (text) */
	PICKLE_OBJECT, /* first: what would be called, second: its arguments */
	PICKLE_STORED, /* persistent id; first: the id */
	PICKLE_OPAQUE  /* anything else: sets, integers past 64 bits */
};

/* Values refer to each other by number: index into `values`. */
typedef uint32_t pickle_ref;

struct pickle_value {
	enum pickle_kind kind;
	uint32_t head, tail, count; /* items: cells, head 0 where empty */
	union {
		int64_t integer;
		double number;
		struct {
			const char *text; /* into the pickle's bytes */
			size_t length;
		} string;
		struct {
			pickle_ref first, second;
		} pair;
	} as;
};

struct pickle {
	const struct glip_allocator *allocator;
	const uint8_t *data;
	size_t size, at;
	const char *path; /* for messages */
	struct glip_error *err;
	struct buf values, cells, stack, marks, memo;
};

/* `data` must outlive the pickle. */
void pickle_init(struct pickle *p, const struct glip_allocator *allocator, const uint8_t *data, size_t size,
                 const char *path);
void pickle_free(struct pickle *p);
/* Parses one pickle from p->at up to its end; several may follow each other. Errors: FORMAT, UNSUPPORTED, LIMIT, NOMEM.
 */
enum glip_status pickle_parse(struct pickle *p, pickle_ref *root, struct glip_error *err);

const struct pickle_value *pickle_at(const struct pickle *p, pickle_ref ref);
size_t pickle_count(const struct pickle *p); /* of values, for walking over all */
/* The item at `index` of a tuple or list; false past its end or for other values. */
bool pickle_item(const struct pickle *p, pickle_ref ref, size_t index, pickle_ref *out);
/* Walks over items: start with cell = value->head, 0 ends. */
uint32_t pickle_next(const struct pickle *p, uint32_t cell, pickle_ref *out);
/* The value of a text key of a dict (the last one, as Python has it). */
bool pickle_lookup(const struct pickle *p, pickle_ref dict, const char *key, pickle_ref *out);
bool pickle_is_text(const struct pickle *p, pickle_ref ref, const char *text);
bool pickle_is_global(const struct pickle *p, pickle_ref ref, const char *module, const char *name);

#endif
