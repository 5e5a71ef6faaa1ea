/* Messages to the caller's log callback; silent where there is none. */
#ifndef GLIP_BASE_LOG_H
#define GLIP_BASE_LOG_H

#include "base/error.h"

struct logger {
	glip_log_fn fn;
	void *user;
};

void glip__log(const struct logger *log, enum glip_log_level level, const char *format, ...) GLIP_PRINTF(3, 4);

#endif
