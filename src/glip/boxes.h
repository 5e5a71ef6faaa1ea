/* From the head's outputs to detections: scores, candidates, decoding, suppression.
 *
 * A prompt may need several passes of the head (chunks of labels) over one image. Each pass is collected into one list,
 * and the list is selected from once: suppression is per label and the number of detections counts over all. */
#ifndef GLIP_GLIP_BOXES_H
#define GLIP_GLIP_BOXES_H

#include "base/alloc.h"
#include "dyhead/grounding.h"

struct box_options {
	int width, height;                 /* of the network image before padding: boxes are clipped to it */
	int image_width, image_height;     /* of the caller's image: detections are scaled to it */
	enum glip_aggregation aggregation; /* a label's score over its tokens */
	float score_floor;                 /* candidates need a label score above this, before centerness */
	int max_candidates;                /* (position, label) pairs kept per level and pass, at least 1 */
	float nms;                         /* IoU above which the weaker box of a label is dropped */
	int max_detections;                /* over all labels, at least 1; ties at the cut stay */
	float threshold;                   /* detections need a score above this ... */
	const float *label_thresholds;     /* ... or, by label, above this where it is not 0; NULL: none */
};

/* A label of the pass and its tokens. Without tokens it is never found. Labels that are not to be reported are left
 * out of the list. */
struct box_label {
	uint32_t label;        /* index over all chunks */
	const int32_t *tokens; /* rows of the pass's text */
	size_t count;
};

struct box_candidate {
	float box[4]; /* x1, y1, x2, y2 in network pixels, clipped */
	float score;  /* sqrt(label score * centerness) */
	uint32_t label;
	int32_t level, position;
};

/* Appends a pass's candidates (struct box_candidate) to `candidates`. Errors: NOMEM. */
enum glip_status glip__boxes_collect(const struct box_options *o, const struct level_output levels[LEVELS],
                                     int64_t tokens, const struct box_label *labels, size_t label_count,
                                     struct buf *candidates, struct glip_error *err);

/* Replaces the content of `detections` by the struct glip_detection of all passes, best first; of equal scores the
 * lower label, then the finer level, then the earlier position comes first. Reorders `candidates`. Errors: NOMEM. */
enum glip_status glip__boxes_select(const struct box_options *o, struct buf *candidates, struct buf *detections,
                                    struct glip_error *err);

#endif
