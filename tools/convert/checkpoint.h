/* A checkpoint of any kind (torch's zip, torch before 1.6, safetensors) as a list of tensors that are read one by one.
 */
#ifndef GLIP_CONVERT_CHECKPOINT_H
#define GLIP_CONVERT_CHECKPOINT_H

#include "base/arena.h"
#include "byte_source.h"
#include "convert_elements.h"
#include "strmap.h"

enum { CHECKPOINT_MAX_DIMS = 8, CHECKPOINT_MAX_TENSORS = 32768, CHECKPOINT_MAX_HEADER = 16 * 1024 * 1024 };

struct checkpoint_tensor {
	const char *name;    /* as in the file, without "module."; terminated */
	const char *problem; /* why it cannot be read, after "tensor NAME "; NULL: it can. Nothing below holds otherwise */
	enum element element;
	int ndim;
	int64_t shape[CHECKPOINT_MAX_DIMS];
	int64_t stride[CHECKPOINT_MAX_DIMS]; /* elements */
	int64_t count;                       /* elements of the tensor */
	uint64_t first;                      /* element of the storage that is the tensor's first */
	uint64_t storage_offset;             /* of the storage in the file, bytes */
	uint64_t storage_count;              /* elements of the storage */
	uint32_t crc;                        /* of the storage; 0: unknown */
};

struct checkpoint {
	const struct glip_allocator *allocator;
	struct byte_source source;
	const char *format;  /* "torch zip", "torch legacy", "safetensors" */
	struct arena texts;  /* names and problems */
	struct buf tensors;  /* struct checkpoint_tensor */
	struct strmap names; /* number = index in tensors */
	size_t count;
};

/* Reads the list of tensors; `path` must outlive the checkpoint. Errors: IO, FORMAT, UNSUPPORTED, LIMIT, NOMEM. */
enum glip_status checkpoint_open(const char *path, const struct glip_allocator *allocator, struct checkpoint *out,
                                 struct glip_error *err);
void checkpoint_close(struct checkpoint *c);

const struct checkpoint_tensor *checkpoint_at(const struct checkpoint *c, size_t index);
/* NULL where there is none. */
const struct checkpoint_tensor *checkpoint_find(const struct checkpoint *c, const char *name);
/* The tensor in row-major order as float32 (out has room for t->count). Errors: FORMAT (damaged, not floating point,
 * what t->problem says), IO, NOMEM. */
enum glip_status checkpoint_read(const struct checkpoint *c, const struct checkpoint_tensor *t, float *out,
                                 struct glip_error *err);

/* ---- For the readers --------------------------------------------------------------------------------------------- */

/* Adds a copy of *t under the name, "module." taken off. Errors: FORMAT (twice the same name, no text), LIMIT, NOMEM.
 */
enum glip_status checkpoint_add(struct checkpoint *c, const char *name, size_t length, struct checkpoint_tensor *t,
                                struct glip_error *err);
/* Sets t->problem to a formatted text. Errors: NOMEM. */
enum glip_status checkpoint_problem(struct checkpoint *c, struct checkpoint_tensor *t, struct glip_error *err,
                                    const char *format, ...) GLIP_PRINTF(4, 5);
/* Checks shape and strides against the storage and sets count, or a problem. */
enum glip_status checkpoint_check(struct checkpoint *c, struct checkpoint_tensor *t, struct glip_error *err);

enum glip_status torch_zip_read(struct checkpoint *c, struct glip_error *err);
/* Whether a file with these first bytes is of that kind. */
bool torch_legacy_probe(const uint8_t *head, size_t size);
enum glip_status torch_legacy_read(struct checkpoint *c, struct glip_error *err);
bool safetensors_probe(const uint8_t *head, size_t size, uint64_t file_size);
enum glip_status safetensors_read(struct checkpoint *c, struct glip_error *err);

#endif
