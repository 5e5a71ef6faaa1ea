/* From a checkpoint to a weights file. */
#ifndef GLIP_CONVERT_CONVERT_H
#define GLIP_CONVERT_CONVERT_H

#include "base/alloc.h"
#include "base/log.h"
#include "sizes.h"
#include "tensor/tensor.h"

struct convert_options {
	const char *in, *out;
	struct settings settings;
	const char *name;       /* general.name; NULL: the variant's */
	const char *vocab;      /* one token a line; not terminated */
	size_t vocab_size;      /* bytes */
	const char *vocab_name; /* for messages */
	enum dtype type;        /* of the matrices: DTYPE_F32, DTYPE_BF16 or DTYPE_I8 */
	struct logger log;      /* every tensor that is missing or wrong (error) or unknown (warning) */
	/* Called with the bytes written and in all; a non-zero return cancels and leaves nothing behind. NULL: none. */
	int (*progress)(void *user, uint64_t done, uint64_t total);
	void *progress_user;
	const struct glip_allocator *allocator; /* NULL: malloc and free */
};

struct convert_summary {
	char variant[64];
	const char *format; /* of the input, constant */
	size_t tensors, warnings;
	uint64_t parameters, bytes; /* bytes of tensor data */
	struct model_sizes sizes;
};

/* Errors: those of checkpoint_open, sizes_derive and the weights writer; MODEL where tensors are missing or of the
 * wrong shape or the vocabulary is another model's; CANCELLED. */
enum glip_status convert_checkpoint(const struct convert_options *options, struct convert_summary *summary,
                                    struct glip_error *err);

/* ---- Parts, for tests -------------------------------------------------------------------------------------------- */

/* [out, in, taps] to [out, taps, in]. */
void convert_taps(const float *in, float *out, size_t rows, size_t channels, size_t taps);
/* Rows of 4 * channels from mmdetection's order of patch merging (channel outermost, neighbours (0,0), (0,1), (1,0),
 * (1,1) as row, column) to the official one (neighbour outermost: (0,0), (1,0), (0,1), (1,1)). */
void convert_merge(const float *in, float *out, size_t rows, size_t channels);
/* Gives equal rows one number, in order of first appearance; *unique receives how many there are. False when out of
 * memory. */
bool convert_equal_rows(const struct glip_allocator *a, const float *rows, size_t count, size_t width, int32_t *number,
                        size_t *unique);
/* Lines of a vocabulary; out is NULL for counting. */
size_t convert_vocab_lines(const char *text, size_t size, struct strmap_entry *out);

#endif
