/* The zip archive that torch.save writes: members are stored, not compressed, so that tensors are read in place. */
#ifndef GLIP_CONVERT_ZIP_H
#define GLIP_CONVERT_ZIP_H

#include "byte_source.h"
#include "strmap.h"

struct zip_member {
	const char *name; /* in the directory, not terminated */
	size_t name_length;
	uint64_t header; /* of the local header in the file */
	uint64_t offset; /* of the data in the file */
	uint64_t size;
	uint32_t crc;
};

struct zip {
	const struct glip_allocator *allocator;
	uint8_t *directory; /* the central directory as it stands in the file */
	struct zip_member *members;
	size_t count;
	struct strmap names;
};

/* Whether a file with these first bytes is a zip archive. */
bool zip_probe(const uint8_t *head, size_t size);
/* Reads the directory (Zip64 too) and checks every member: stored, not encrypted, inside the file, not overlapping
 * another. Errors: FORMAT, UNSUPPORTED (compressed, encrypted, several parts), LIMIT, NOMEM, IO. */
enum glip_status zip_open(const struct byte_source *source, const struct glip_allocator *allocator, struct zip *out,
                          struct glip_error *err);
void zip_close(struct zip *zip);
const struct zip_member *zip_find(const struct zip *zip, const char *name, size_t length);

/* CRC-32 as zip uses it; begin with 0. */
uint32_t zip_crc(uint32_t crc, const uint8_t *data, size_t size);

#endif
