/* A file that is read in pieces: a checkpoint is far larger than what is needed of it. */
#ifndef GLIP_CONVERT_BYTE_SOURCE_H
#define GLIP_CONVERT_BYTE_SOURCE_H

#include "base/error.h"

struct byte_source {
	int fd; /* -1: closed */
	uint64_t size;
	const char *path; /* the caller's */
};

/* Errors: IO, naming the path. */
enum glip_status byte_source_open(const char *path, struct byte_source *out, struct glip_error *err);
void byte_source_close(struct byte_source *source);
/* Exactly `size` bytes. Errors: FORMAT where they reach past the end ("truncated"), IO. */
enum glip_status byte_source_read(const struct byte_source *source, uint64_t offset, void *out, size_t size,
                                  struct glip_error *err);

static inline uint64_t little_endian(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	while (size > 0)
		v = v << 8 | p[--size];
	return v;
}

#endif
