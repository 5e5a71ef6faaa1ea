/* An encoded image: the five levels of the feature pyramid, joined. */
#ifndef GLIP_GLIP_FEATURES_H
#define GLIP_GLIP_FEATURES_H

#include "glip/session.h"
#include "image/preprocess.h"

struct encoded_image {
	float *data;                       /* [positions, channels], P3 first */
	struct feature_map levels[LEVELS]; /* views of data */
	int64_t positions;
	struct image_size image, network; /* as passed in; as the network reads it, without padding */
};

struct glip_features {
	struct glip_allocator allocator;
	const struct glip_model *model;
	struct encoded_image encoded;
};

/* Points out->levels into `data`, for levels of the sizes and channels in `like`. */
void glip__encoded_image_split(struct encoded_image *out, const struct feature_map like[LEVELS], float *data);

/* Resizes, normalises and encodes; out lies in the session's arena. */
enum glip_status glip__encode_image(struct glip_session *s, const struct glip_image *image,
                                    const struct glip_ground_options *o, struct encoded_image *out,
                                    struct glip_timing *timing);

#endif
