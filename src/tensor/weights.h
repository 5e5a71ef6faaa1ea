/* The weights file: GGUF v3, little-endian, read by mapping it (weights/FORMAT.md documents every byte). */
#ifndef GLIP_TENSOR_WEIGHTS_H
#define GLIP_TENSOR_WEIGHTS_H

#include "base/file.h"
#include "tensor/tensor.h"

struct weights;

/* After the name of an 8-bit matrix: the tensor of its rows' scales. */
#define WEIGHTS_SCALE_SUFFIX ".scale"

/* A string of the file; not terminated. */
struct weights_text {
	const char *text;
	size_t length;
};

/* Maps (or reads) the file and checks everything that later code relies on: magic, version, counts, lengths, types,
 * alignment, duplicate names, tensors inside the file and not overlapping. Errors: IO, FORMAT, UNSUPPORTED, NOMEM, each
 * naming the file and the key or tensor. */
enum glip_status glip__weights_open(const char *path, int use_mmap, const struct glip_allocator *allocator,
                                    struct weights **out, struct glip_error *err);
void glip__weights_close(struct weights *w);

const char *glip__weights_path(const struct weights *w);
uint64_t glip__weights_file_size(const struct weights *w);

/* Tensors in file order; `name` lives as long as the weights. */
size_t glip__weights_count(const struct weights *w);
const struct tensor *glip__weights_at(const struct weights *w, size_t index, const char **name);
/* Weights of the network: the numbers of all tensors but row numbers and the scales of 8-bit matrices. */
uint64_t glip__weights_parameters(const struct weights *w);
/* NULL where there is none. */
const struct tensor *glip__weights_find(const struct weights *w, const char *name);

/* Metadata. Each returns false where the key is absent or of another type. Integers of any width and sign are
 * accepted where they fit. */
bool glip__weights_get_int(const struct weights *w, const char *key, int64_t *out);
bool glip__weights_get_float(const struct weights *w, const char *key, double *out);
bool glip__weights_get_bool(const struct weights *w, const char *key, bool *out);
bool glip__weights_get_text(const struct weights *w, const char *key, struct weights_text *out);
/* Copies an array of integers of at most `max` entries; *count receives their number. */
bool glip__weights_get_ints(const struct weights *w, const char *key, int64_t *out, size_t max, size_t *count);
/* An array of strings: fills out[0..count) where out is not NULL (the caller asks for *count first). */
bool glip__weights_get_texts(const struct weights *w, const char *key, struct weights_text *out, size_t *count);

/* Metadata for printing: key and value as text, in file order; long arrays are shortened. False past the last. */
bool glip__weights_metadata(const struct weights *w, size_t index, const char **key, char *value, size_t size);

/* Recomputes the checksum over metadata and tensors. Errors: FORMAT where it differs or where there is none. */
enum glip_status glip__weights_verify(const struct weights *w, struct glip_error *err);

/* ---- Binding: a block looks its tensors up by name --------------------------------------------------------------- */

/* Collects what is wrong while a model binds, so that all of it is reported and not the first only. */
struct binder {
	const struct weights *weights;
	struct buf problems; /* one line each */
	size_t problem_count;
	uint8_t *used; /* one per tensor: asked for by some block */
	bool out_of_memory;
};

enum glip_status glip__binder_init(struct binder *b, const struct weights *w, const struct glip_allocator *allocator,
                                   struct glip_error *err);
void glip__binder_free(struct binder *b);

/* Each notes a tensor that is missing or different and gives NULL (or a matrix without data): the caller goes on, and
 * glip__binder_finish fails. `name` is printf style. */

/* `count` float32 values: biases, norms and other vectors are float32 in every file. */
const float *glip__bind_vector(struct binder *b, int64_t count, const char *name_format, ...) GLIP_PRINTF(3, 4);
/* A [rows, cols] matrix of float32, bfloat16 or 8-bit integers, the scales of these with it; convolutions are matrices
 * of [out, taps * in], tap-major. */
struct matrix glip__bind_matrix(struct binder *b, int64_t rows, int64_t cols, const char *name_format, ...)
	GLIP_PRINTF(4, 5);
/* One of PRECISION_FLOAT, for which 8-bit integers are too coarse: they are refused. */
struct matrix glip__bind_exact_matrix(struct binder *b, int64_t rows, int64_t cols, const char *name_format, ...)
	GLIP_PRINTF(4, 5);
/* `count` int32 values. */
const int32_t *glip__bind_indices(struct binder *b, int64_t count, const char *name_format, ...) GLIP_PRINTF(3, 4);
/* An integer of the metadata in [low, high]; `low` where it is missing or out of range, which is noted. */
int glip__bind_int(struct binder *b, const char *key, int low, int high);
/* The same for a number that is dimension `dim` of a tensor: a contradiction is noted with both names. */
int glip__bind_size(struct binder *b, const char *key, int low, int high, int dim, const char *name);
/* Notes where there are not `count` tensors named PREFIX.0.SUFFIX, PREFIX.1.SUFFIX... as the metadata say. */
void glip__bind_check_count(struct binder *b, const char *key, int count, const char *prefix, const char *suffix);

/* Notes what else is wrong (dimensions that contradict each other, say), in one line without its end. */
void glip__binder_note(struct binder *b, const char *format, ...) GLIP_PRINTF(2, 3);

/* Whether the file has this tensor (for optional parts). */
bool glip__bind_has(const struct binder *b, const char *name_format, ...) GLIP_PRINTF(2, 3);

/* MODEL error naming the file and the problems (as many as fit), or GLIP_OK. Until the binder is freed its
 * `problems` hold all of them, one a line. */
enum glip_status glip__binder_finish(struct binder *b, struct glip_error *err);

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

struct weights_writer;

/* Metadata first, then tensor declarations, then data in the order declared. The writer itself adds
 * general.architecture, general.alignment and the checksum. `name` and `path` are copied. */
enum glip_status glip__weights_writer_create(const char *path, const struct glip_allocator *allocator,
                                             struct weights_writer **out, struct glip_error *err);
enum glip_status glip__weights_put_int(struct weights_writer *w, const char *key, int64_t value);
enum glip_status glip__weights_put_float(struct weights_writer *w, const char *key, double value);
enum glip_status glip__weights_put_bool(struct weights_writer *w, const char *key, bool value);
enum glip_status glip__weights_put_text(struct weights_writer *w, const char *key, const char *value);
enum glip_status glip__weights_put_ints(struct weights_writer *w, const char *key, const int64_t *values, size_t count);
enum glip_status glip__weights_put_texts(struct weights_writer *w, const char *key, const struct weights_text *values,
                                         size_t count);
/* Declares a tensor (data NULL, shape and dtype set). Errors: LIMIT (name of 64 bytes and more), NOMEM. */
enum glip_status glip__weights_declare(struct weights_writer *w, const char *name, const struct tensor *t,
                                       struct glip_error *err);
/* Writes the next declared tensor's data. */
enum glip_status glip__weights_write(struct weights_writer *w, const void *data, struct glip_error *err);
/* Fills in the checksum, syncs, renames into place. */
enum glip_status glip__weights_writer_commit(struct weights_writer *w, struct glip_error *err);
/* Frees the writer; removes the temporary file unless committed. */
void glip__weights_writer_free(struct weights_writer *w);

#endif
