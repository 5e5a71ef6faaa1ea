#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum glip_status fail_system(struct glip_error *err, const char *verb, const char *path, int code)
{
	char reason[96];
	if (strerror_r(code, reason, sizeof reason) != 0)
		reason[0] = '\0';
	return glip__fail(err, code == ENOMEM ? GLIP_ERR_NOMEM : GLIP_ERR_IO, "cannot %s %s: %s", verb, path, reason);
}

static enum glip_status read_all(int fd, const char *path, size_t size, struct file_view *out, struct glip_error *err)
{
	uint8_t *data = glip__malloc(&out->allocator, size, 1);
	if (data == NULL)
		return glip__fail_nomem(err, path, size);
	size_t at = 0;
	while (at < size) {
		ssize_t n = read(fd, data + at, size - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			glip__free(&out->allocator, data);
			return n < 0 ? fail_system(err, "read", path, errno)
			             : glip__fail(err, GLIP_ERR_IO, "cannot read %s: it became shorter while being read", path);
		}
		at += (size_t)n;
	}
	out->data = data;
	return GLIP_OK;
}

enum glip_status glip__file_open(const char *path, int use_mmap, const struct glip_allocator *allocator,
                                 struct file_view *out, struct glip_error *err)
{
	*out = (struct file_view){.allocator = *allocator};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_system(err, "open", path, errno);
	struct stat st;
	enum glip_status status = GLIP_OK;
	if (fstat(fd, &st) != 0)
		TRY_OUT(fail_system(err, "read", path, errno));
	if (!S_ISREG(st.st_mode))
		TRY_OUT(glip__fail(err, GLIP_ERR_IO, "cannot read %s: %s", path,
		                   S_ISDIR(st.st_mode) ? "it is a directory" : "it is not a regular file"));
	if ((uint64_t)st.st_size > SIZE_MAX / 2)
		TRY_OUT(glip__fail(err, GLIP_ERR_LIMIT, "cannot read %s: it is too large for this machine", path));
	out->size = (size_t)st.st_size;
	if (out->size == 0)
		goto out;
	if (use_mmap) {
		void *p = mmap(NULL, out->size, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			TRY_OUT(fail_system(err, "map", path, errno));
		out->data = p;
		out->mapped = 1;
	} else {
		TRY_OUT(read_all(fd, path, out->size, out, err));
	}
out:
	close(fd);
	if (status != GLIP_OK)
		*out = (struct file_view){0};
	return status;
}

void glip__file_close(struct file_view *view)
{
	if (view->mapped) {
		union {
			const void *in;
			void *out;
		} address = {view->data};
		munmap(address.out, view->size);
	} else if (view->data != NULL) {
		union {
			const void *in;
			void *out;
		} address = {view->data};
		glip__free(&view->allocator, address.out);
	}
	*view = (struct file_view){0};
}

/* A new file beside `path`, "PATH.PID.N.tmp": with the permissions the user's umask gives, unlike mkstemp's. */
static int create_temporary(struct buf *name, const char *path)
{
	for (int n = 0; n < 100; n++) {
		name->length = 0;
		if (!glip__buf_printf(name, "%s.%ld.%d.tmp", path, (long)getpid(), n)) {
			errno = ENOMEM;
			return -1;
		}
		int fd = open(name->data, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

enum glip_status glip__file_writer_open(const char *path, const struct glip_allocator *allocator,
                                        struct file_writer *out, struct glip_error *err)
{
	*out = (struct file_writer){.allocator = allocator};
	struct buf name = {.allocator = allocator};
	struct stat st;
	/* A device or a pipe is written to, not replaced. */
	bool replace = stat(path, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
	out->path = glip__strndup(allocator, path, strlen(path));
	if (out->path == NULL)
		return glip__fail_nomem(err, "a file name", strlen(path));
	int fd = replace ? create_temporary(&name, path) : open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		out->stream = fdopen(fd, replace ? "w+b" : "wb");
	if (out->stream != NULL) {
		out->temporary = replace ? name.data : NULL;
		return GLIP_OK;
	}
	enum glip_status status = fail_system(err, "create", path, errno);
	if (fd >= 0) {
		close(fd);
		if (replace)
			unlink(name.data);
	}
	glip__buf_free(&name);
	glip__free(allocator, out->path);
	*out = (struct file_writer){0};
	return status;
}

enum glip_status glip__file_write(struct file_writer *w, const void *data, size_t size, struct glip_error *err)
{
	if (fwrite(data, 1, size, w->stream) != size)
		return fail_system(err, "write", w->path, errno);
	w->offset += size;
	return GLIP_OK;
}

/* A rename is only durable once the directory is synced too; a file system that cannot is not an error. Cuts w->path:
 * nothing may be allocated once the file is in its place. */
static void sync_directory(struct file_writer *w)
{
	char *slash = strrchr(w->path, '/');
	const char *dir = slash == NULL ? "." : slash == w->path ? "/" : w->path;
	if (slash != NULL && slash != w->path)
		*slash = '\0';
	int fd = open(dir, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
}

enum glip_status glip__file_writer_commit(struct file_writer *w, struct glip_error *err)
{
	/* A pipe or a terminal cannot be synced, a file must be. */
	if (fflush(w->stream) != 0 || (w->temporary != NULL && fsync(fileno(w->stream)) != 0))
		return fail_system(err, "write", w->path, errno);
	int closed = fclose(w->stream);
	w->stream = NULL;
	if (closed != 0)
		return fail_system(err, "write", w->path, errno);
	if (w->temporary != NULL) {
		if (rename(w->temporary, w->path) != 0)
			return fail_system(err, "write", w->path, errno);
		glip__free(w->allocator, w->temporary);
		w->temporary = NULL;
		sync_directory(w);
	}
	glip__free(w->allocator, w->path);
	w->path = NULL;
	return GLIP_OK;
}

void glip__file_writer_discard(struct file_writer *w)
{
	if (w->stream != NULL)
		fclose(w->stream);
	if (w->temporary != NULL) {
		unlink(w->temporary);
		glip__free(w->allocator, w->temporary);
	}
	if (w->path != NULL)
		glip__free(w->allocator, w->path);
	*w = (struct file_writer){0};
}
