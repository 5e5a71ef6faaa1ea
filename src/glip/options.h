/* Option structs of callers built against another version of the library. */
#ifndef GLIP_GLIP_OPTIONS_H
#define GLIP_GLIP_OPTIONS_H

#include "base/error.h"

/* Copies the caller's options over the defaults in `to`. A shorter struct of an older caller leaves the newer fields
 * at their defaults; a longer one is refused. */
enum glip_status glip__options_copy(void *to, size_t size, const void *from, const char *name, struct glip_error *err);

/* Defaults, then the caller's fields, checked. Errors: ARGUMENT naming the field and its range. */
enum glip_status glip__ground_options(struct glip_ground_options *out, const struct glip_ground_options *from,
                                      struct glip_error *err);

/* `to` points at a struct that the init function filled; `from` may be NULL. */
#define OPTIONS_COPY(to, from, name, err) glip__options_copy((to), sizeof *(to), (from), (name), (err))

#endif
