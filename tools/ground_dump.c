#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "ground.h"
#include "terminal.h"

/* NPY 1.0: magic, header length, a Python literal padded to 64 bytes, the data. */
static int npy_header(const int64_t *shape, int ndim, char header[256])
{
	char dims[128] = "";
	for (int i = 0; i < ndim; i++)
		snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%lld,%s", (long long)shape[i],
		         i + 1 < ndim ? " " : "");
	char text[200];
	int n = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", dims);
	int total = (10 + n + 1 + 63) / 64 * 64;
	memset(header, ' ', 256);
	memcpy(header, "\x93NUMPY\x01\x00", 8);
	header[8] = (char)((total - 10) & 0xFF);
	header[9] = (char)((total - 10) >> 8);
	memcpy(header + 10, text, (size_t)n);
	header[total - 1] = '\n';
	return total;
}

void dump_activation(void *user, const char *name, const float *data, const int64_t *shape, int ndim)
{
	struct dump *d = user;
	if (d->failed)
		return;
	char path[4096], header[256];
	size_t count = 1;
	for (int i = 0; i < ndim; i++)
		count *= (size_t)shape[i];
	snprintf(path, sizeof path, "%s/%s.npy", d->folder, name);
	struct file_writer w;
	struct glip_error err = {GLIP_OK, ""};
	enum glip_status status = glip__file_writer_open(path, &glip__default_allocator, &w, &err);
	if (status == GLIP_OK)
		status = glip__file_write(&w, header, (size_t)npy_header(shape, ndim, header), &err);
	if (status == GLIP_OK)
		status = glip__file_write(&w, data, count * sizeof *data, &err);
	if (status == GLIP_OK)
		status = glip__file_writer_commit(&w, &err);
	glip__file_writer_discard(&w);
	if (status != GLIP_OK) {
		d->failed = true;
		say("--dump: %s", err.message);
	}
}
