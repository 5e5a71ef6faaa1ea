#include "glip/options.h"

#include <string.h>

void glip_ground_options_init(struct glip_ground_options *options)
{
	*options = (struct glip_ground_options){
		.struct_size = sizeof *options,
		.long_side = -1,
		.threshold = 0.5f,
		.score_floor = 0.05f,
		.nms = 0.6f,
		.max_candidates = 1000,
		.max_detections = 100,
	};
}

static enum glip_status check_int(const char *name, int value, int low, int high, struct glip_error *err)
{
	if (value < low || value > high)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s is %d: must be %d to %d", name, value, low, high);
	return GLIP_OK;
}

static enum glip_status check_unit(const char *name, float value, struct glip_error *err)
{
	if (!(value >= 0 && value <= 1))
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s is %g: must be 0 to 1", name, (double)value);
	return GLIP_OK;
}

enum glip_status glip__ground_options(struct glip_ground_options *out, const struct glip_ground_options *from,
                                      struct glip_error *err)
{
	glip_ground_options_init(out);
	TRY(OPTIONS_COPY(out, from, "glip_ground_options", err));
	TRY(check_int("short_side", out->short_side, 0, 8192, err));
	TRY(check_int("long_side", out->long_side, -1, 32768, err));
	TRY(check_unit("threshold", out->threshold, err));
	TRY(check_unit("score_floor", out->score_floor, err));
	TRY(check_unit("nms", out->nms, err));
	TRY(check_int("max_candidates", out->max_candidates, 1, 1 << 20, err));
	return check_int("max_detections", out->max_detections, 1, 1 << 20, err);
}

enum glip_status glip__options_copy(void *to, size_t size, const void *from, const char *name, struct glip_error *err)
{
	if (from == NULL)
		return GLIP_OK;
	size_t given;
	memcpy(&given, from, sizeof given);
	if (given < sizeof given || given > size)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "%s.struct_size is %zu, this library knows %zu: call %s_init first",
		                  name, given, size, name);
	memcpy(to, from, given);
	memcpy(to, &size, sizeof size);
	return GLIP_OK;
}
