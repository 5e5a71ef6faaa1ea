/* Activations for the observer callback, in PyTorch's layouts. Each call is free where nobody observes. */
#ifndef GLIP_GLIP_OBSERVE_H
#define GLIP_GLIP_OBSERVE_H

#include "glip/session.h"

/* A map [H, W, C] as (1, C, H, W). `name_format` may have one %d for `number`. */
enum glip_status glip__observe_map(struct glip_session *s, const struct feature_map *map, const char *name_format,
                                   int number);
/* The five levels, name_format with %d for 3..7 and the layer filled in before: "head.0.fuse.p%d". */
enum glip_status glip__observe_levels(struct glip_session *s, const struct feature_map levels[LEVELS],
                                      const char *name_format);
/* Text [tokens, channels] as (1, max_tokens, channels), zero at the padding. */
enum glip_status glip__observe_text(struct glip_session *s, const float *text, size_t tokens, int channels,
                                    const char *name);
/* Logits [positions, tokens] as (1, positions, max_tokens), zero at the padding. */
enum glip_status glip__observe_logits(struct glip_session *s, const float *logits, int64_t positions, size_t tokens,
                                      const char *name);

#endif
