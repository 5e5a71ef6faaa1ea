/* Files: whole reads, read-only mappings, and writes that never leave half a file behind. */
#ifndef GLIP_BASE_FILE_H
#define GLIP_BASE_FILE_H

#include <stdio.h>

#include "base/alloc.h"

/* A file's bytes, mapped or read. */
struct file_view {
	const uint8_t *data;
	size_t size;
	int mapped;
	struct glip_allocator allocator; /* owns data where it was read */
};

/* Errors: IO with the path and the system's reason ("cannot open PATH: No such file or directory"), NOMEM. An empty
 * file gives size 0. `use_mmap` 0 reads into memory. A directory is refused. */
enum glip_status glip__file_open(const char *path, int use_mmap, const struct glip_allocator *allocator,
                                 struct file_view *out, struct glip_error *err);
void glip__file_close(struct file_view *view);

/* A new file under a temporary name beside `path`; commit syncs it and renames it into place, discard removes it. */
struct file_writer {
	FILE *stream;
	char *path, *temporary;
	const struct glip_allocator *allocator;
	uint64_t offset; /* bytes written */
};

enum glip_status glip__file_writer_open(const char *path, const struct glip_allocator *allocator,
                                        struct file_writer *out, struct glip_error *err);
enum glip_status glip__file_write(struct file_writer *w, const void *data, size_t size, struct glip_error *err);
enum glip_status glip__file_writer_commit(struct file_writer *w, struct glip_error *err);
/* Safe after commit and on a zeroed writer. */
void glip__file_writer_discard(struct file_writer *w);

#endif
