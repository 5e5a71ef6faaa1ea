/* Where a session's time goes, for `glip bench`: stages as they end, and the work done in them. */
#ifndef GLIP_GLIP_PROFILE_H
#define GLIP_GLIP_PROFILE_H

#include "glip.h"

/* stage_done is called from the calling thread when a stage of a pass ends: "bert" of a prompt; "preprocess",
 * "swin.patches", "swin.stage1..4" and "fpn" of an image; "head.fusion", "head.text" and "head.dyconv" per layer,
 * "head.outputs" per chunk, and "boxes". NULL: no longer. */
void glip__session_profile(struct glip_session *session, void (*stage_done)(void *user, const char *stage), void *user);

/* Multiply-adds of the matrix products and attentions since the session was made. */
double glip__session_multiply_adds(const struct glip_session *session);

#endif
