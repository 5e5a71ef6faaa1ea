/* Status passing: a fault is described once, where it is seen, and the status travels up through TRY. */
#ifndef GLIP_BASE_ERROR_H
#define GLIP_BASE_ERROR_H

#include "glip.h"

#if defined(__GNUC__)
#define GLIP_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define GLIP_PRINTF(fmt, first)
#endif

/* Writes the message (err may be NULL; a message too long is cut at a code point) and returns `code`. */
enum glip_status glip__fail(struct glip_error *err, enum glip_status code, const char *format, ...) GLIP_PRINTF(3, 4);

/* GLIP_ERR_NOMEM with "out of memory for WHAT (N bytes)". */
enum glip_status glip__fail_nomem(struct glip_error *err, const char *what, size_t bytes);

/* Return from the enclosing function with the status of expr unless it is GLIP_OK. */
#define TRY(expr) \
	do { \
		enum glip_status try_status_ = (expr); \
		if (try_status_ != GLIP_OK) \
			return try_status_; \
	} while (0)

/* The same where something is to be released first: the enclosing function has `status` and a label `out`. */
#define TRY_OUT(expr) \
	do { \
		status = (expr); \
		if (status != GLIP_OK) \
			goto out; \
	} while (0)

#endif
