/* Reads a model's sizes off the names and shapes of its tensors. */
#ifndef GLIP_CONVERT_SIZES_H
#define GLIP_CONVERT_SIZES_H

#include "checkpoint.h"
#include "name_map.h"

/* The tensors of a checkpoint under their official names. */
struct official_names {
	const struct checkpoint *checkpoint;
	struct arena texts;
	struct strmap map; /* number = index in the checkpoint */
	uint8_t *used;     /* per tensor */
	uint8_t *reordered;
};

enum glip_status official_names_init(struct official_names *names, const struct checkpoint *c, struct glip_error *err);
void official_names_free(struct official_names *names);
/* NULL where there is none; *index may be NULL. */
const struct checkpoint_tensor *official_names_find(const struct official_names *names, const char *name,
                                                    size_t *index);
const char *official_names_at(const struct official_names *names, size_t index);

/* "KEY=VALUE" pairs of the command line. */
struct settings {
	const char *const *items;
	size_t count;
};

/* Errors: MODEL (a tensor that tells a size is missing or of another rank, a size that the official models' rule does
 * not give and no setting says), ARGUMENT (a setting that is unknown, malformed or contradicts a shape). */
enum glip_status sizes_derive(const struct official_names *names, const struct settings *settings,
                              struct model_sizes *out, struct glip_error *err);

/* "GLIP-T", "GLIP-L", "GLIP-A" for the official sizes, else "GLIP (custom)". */
const char *sizes_variant(const struct model_sizes *m);

#endif
