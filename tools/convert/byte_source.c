#include "byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum glip_status fail_system(const char *path, const char *verb, int code, struct glip_error *err)
{
	char reason[96];

	if (strerror_r(code, reason, sizeof(reason)) != 0)
		reason[0] = '\0';
	return glip__fail(err, GLIP_ERR_IO, "cannot %s %s: %s", verb, path, reason);
}

enum glip_status byte_source_open(const char *path, struct byte_source *out, struct glip_error *err)
{
	struct stat st;
	enum glip_status status = GLIP_OK;

	*out = (struct byte_source){.fd = open(path, O_RDONLY | O_CLOEXEC), .path = path};
	if (out->fd < 0)
		return fail_system(path, "open", errno, err);
	if (fstat(out->fd, &st) != 0)
		status = fail_system(path, "read", errno, err);
	else if (!S_ISREG(st.st_mode))
		status = glip__fail(err, GLIP_ERR_IO, "cannot read %s: it is %s", path,
		                    S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
	if (status != GLIP_OK) {
		byte_source_close(out);
		return status;
	}
	out->size = (uint64_t)st.st_size;
	return GLIP_OK;
}

void byte_source_close(struct byte_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

enum glip_status byte_source_read(const struct byte_source *source, uint64_t offset, void *out, size_t size,
                                  struct glip_error *err)
{
	uint8_t *p = out;

	if (offset > source->size || size > source->size - offset)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: truncated: %zu bytes at %" PRIu64 " lie past the end",
		                  source->path, size, offset);
	while (size > 0) {
		ssize_t n = pread(source->fd, p, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_system(source->path, "read", errno, err);
		if (n == 0)
			return glip__fail(err, GLIP_ERR_IO, "cannot read %s: it became shorter while being read", source->path);
		p += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return GLIP_OK;
}
