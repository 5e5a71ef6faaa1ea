/* The five levels of the head in the tests: from the reference's dumps, or from tests/data/head.gguf. */
#ifndef TESTS_SUPPORT_HEAD_MAPS_H
#define TESTS_SUPPORT_HEAD_MAPS_H

#include "dyhead/levels.h"
#include "support/block_env.h"

struct head_maps {
	float *data; /* [positions, channels], the levels joined */
	int64_t positions;
	struct feature_map levels[LEVELS]; /* into data */
};

/* Zeroed levels of these sizes. */
void head_maps_new(struct head_maps *m, const int sizes[LEVELS][2], int channels);
/* The dumps FORMAT names, with %d for 3..7; fails the test where they cannot be read. */
void head_maps_read(struct head_maps *m, const struct reference_case *c, const char *format);
/* The largest relative error over the levels. */
double head_maps_compare(const struct head_maps *m, const struct reference_case *c, const char *format,
                         double tolerance);
void head_maps_free(struct head_maps *m);

/* The valid tokens of a dumped text: [*tokens, hidden], free() it. */
float *head_text_read(const struct reference_case *c, const char *name, int64_t *tokens);

/* tests/data/head.gguf: a head of 16 channels, 12 wide texts, an attention of 4 heads of 8 and 4 groups, its inputs and
 * what PyTorch makes of them. Closed by block_env_close. */
enum { SMALL_CHANNELS = 16, SMALL_HIDDEN = 12, SMALL_DIM = 32, SMALL_HEADS = 4, SMALL_GROUPS = 4, SMALL_TOKENS = 5 };
extern const int small_sizes[LEVELS][2];
void small_head_open(struct block_env *e, int threads);
/* A tensor of that file, in the file. */
const float *small_head_tensor(struct block_env *e, const char *name, int64_t count);

/* Relative L2 error of a against b. */
double relative_error(const float *a, const float *b, int64_t count);

#endif
