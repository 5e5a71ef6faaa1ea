#include "support/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/json.h"

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* "(1, 24, 24, 32)" behind 'shape': */
static bool parse_shape(const char *header, struct npy *out)
{
	const char *at = strstr(header, "'shape': (");
	char *end;

	if (at == NULL)
		return false;
	at += strlen("'shape': (");
	out->count = 1;
	for (out->ndim = 0; *at != ')'; at = end + strspn(end, ", ")) {
		long long side = strtoll(at, &end, 10);

		if (end == at || out->ndim == NPY_MAX_DIMS || side < 0 || side > 1 << 28)
			return false;
		out->shape[out->ndim++] = side;
		out->count *= side;
	}
	return true;
}

/* The array behind a header of `length` bytes at `text`. */
static bool parse(const char *file, size_t size, struct npy *out)
{
	const unsigned char *bytes = (const unsigned char *)file;
	size_t start, length;
	char header[1024];

	if (size < 12 || memcmp(file, magic, sizeof magic) != 0)
		return false;
	start = bytes[6] == 1 ? 10 : 12;
	length = bytes[8] | (size_t)bytes[9] << 8;
	if (start + length > size || length >= sizeof header)
		return false;
	memcpy(header, file + start, length);
	header[length] = '\0';
	if (strstr(header, "'<f4'") == NULL || strstr(header, "'fortran_order': False") == NULL ||
	    !parse_shape(header, out))
		return false;
	if ((size - start - length) / sizeof(float) != (size_t)out->count)
		return false;
	out->data = malloc((size_t)out->count * sizeof(float) + 1);
	if (out->data != NULL)
		memcpy(out->data, file + start + length, (size_t)out->count * sizeof(float));
	return out->data != NULL;
}

bool npy_read(const char *path, struct npy *out)
{
	size_t size = 0;
	char *file = test_read_file(path, &size);
	bool good;

	memset(out, 0, sizeof *out);
	good = file != NULL && parse(file, size, out);
	free(file);
	if (!good)
		fprintf(stderr, "%s: missing, or not a float32 array in C order\n", path);
	return good;
}

void npy_free(struct npy *array)
{
	free(array->data);
	memset(array, 0, sizeof *array);
}

bool npy_write(const char *path, const float *data, const int64_t *shape, int ndim)
{
	char header[256];
	int64_t count = 1;
	size_t used;
	FILE *file = fopen(path, "wb");
	bool good;

	if (file == NULL)
		return false;
	used = (size_t)snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
	for (int i = 0; i < ndim; i++) {
		used += (size_t)snprintf(header + used, sizeof header - used, "%lld,", (long long)shape[i]);
		count *= shape[i];
	}
	used += (size_t)snprintf(header + used, sizeof header - used, "), }");
	while ((10 + used + 1) % 64 != 0)
		header[used++] = ' ';
	header[used++] = '\n';
	const unsigned char lead[4] = {1, 0, (unsigned char)used, (unsigned char)(used >> 8)};

	good = fwrite(magic, sizeof magic, 1, file) == 1 && fwrite(lead, sizeof lead, 1, file) == 1 &&
	       fwrite(header, used, 1, file) == 1 && fwrite(data, sizeof *data, (size_t)count, file) == (size_t)count;
	return fclose(file) == 0 && good;
}
