/* A caller's session: worker threads, scratch memory, callbacks. */
#ifndef GLIP_GLIP_SESSION_H
#define GLIP_GLIP_SESSION_H

#include "glip/model.h"
#include "ops/ops.h"

struct glip_session {
	struct glip_allocator allocator;
	const struct glip_model *model;
	struct glip_session_options options;
	struct pool *pool;
	struct arena arena;
	struct ops ops;
	struct buf candidates, detections; /* of the current grounding; kept to be used again */
	float fraction;                    /* of the current pass, for the progress callback */
	bool cancelled;
	double asked_ms; /* when the progress callback was last called */
};

/* Every pass begins and ends here: scratch is empty, errors go to err. */
void glip__session_begin(struct glip_session *s, struct glip_error *err);
void glip__session_end(struct glip_session *s);

/* CANCELLED where the pass was given up within its last step: what that step wrote is then undefined. */
enum glip_status glip__session_complete(const struct glip_session *s);

/* Tells the caller how far the pass is; CANCELLED where the caller wants to stop. */
enum glip_status glip__session_progress(struct glip_session *s, float fraction);

#endif
