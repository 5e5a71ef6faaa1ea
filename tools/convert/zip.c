#include "zip.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	END_SIZE = 22,     /* end of central directory, without its comment */
	END64_SIZE = 56,   /* its Zip64 form */
	LOCATOR_SIZE = 20, /* where that is */
	CENTRAL_SIZE = 46, /* entry of the directory, without name, extra field, comment */
	LOCAL_SIZE = 30,   /* local header, without name and extra field */
	MAX_MEMBERS = 65536,
	MAX_DIRECTORY = 32 * 1024 * 1024
};

struct directory_place {
	uint64_t offset, size, count;
};

bool zip_probe(const uint8_t *head, size_t size)
{
	return size >= 4 && memcmp(head, "PK\3\4", 4) == 0;
}

/* The last record of the file: its comment must reach exactly to the end. */
static enum glip_status find_end(const struct byte_source *s, uint8_t *tail, size_t size, size_t *at,
                                 struct glip_error *err)
{
	TRY(byte_source_read(s, s->size - size, tail, size, err));
	for (size_t i = size - END_SIZE + 1; i-- > 0;) {
		if (memcmp(tail + i, "PK\5\6", 4) == 0 && little_endian(tail + i + 20, 2) == size - i - END_SIZE) {
			*at = i;
			return GLIP_OK;
		}
	}
	return glip__fail(err, GLIP_ERR_FORMAT, "%s: the zip archive has no directory: truncated?", s->path);
}

static enum glip_status read_end64(const struct byte_source *s, uint64_t end, struct directory_place *place,
                                   struct glip_error *err)
{
	uint8_t locator[LOCATOR_SIZE], record[END64_SIZE];
	uint64_t at;

	if (end < LOCATOR_SIZE)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the zip archive lacks its Zip64 directory", s->path);
	TRY(byte_source_read(s, end - LOCATOR_SIZE, locator, sizeof(locator), err));
	at = little_endian(locator + 8, 8);
	if (memcmp(locator, "PK\6\7", 4) != 0 || at > end)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the zip archive lacks its Zip64 directory", s->path);
	TRY(byte_source_read(s, at, record, sizeof(record), err));
	if (memcmp(record, "PK\6\6", 4) != 0)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the Zip64 directory of the archive is damaged", s->path);
	if (little_endian(record + 16, 4) != 0 || little_endian(record + 20, 4) != 0)
		return glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: a zip archive of several parts is not supported", s->path);
	place->count = little_endian(record + 32, 8);
	place->size = little_endian(record + 40, 8);
	place->offset = little_endian(record + 48, 8);
	return GLIP_OK;
}

static enum glip_status locate(const struct byte_source *s, const struct glip_allocator *a,
                               struct directory_place *place, struct glip_error *err)
{
	size_t size = s->size < END_SIZE + 65535 ? (size_t)s->size : END_SIZE + 65535, at = 0;
	enum glip_status status = GLIP_OK;
	uint8_t *tail;
	uint64_t end;

	if (size < END_SIZE)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the zip archive is truncated", s->path);
	tail = glip__malloc(a, size, 1);
	if (tail == NULL)
		return glip__fail_nomem(err, "the end of the zip archive", size);
	TRY_OUT(find_end(s, tail, size, &at, err));
	end = s->size - size + at;
	*place = (struct directory_place){.offset = little_endian(tail + at + 16, 4),
	                                  .size = little_endian(tail + at + 12, 4),
	                                  .count = little_endian(tail + at + 10, 2)};
	if (place->offset == UINT32_MAX || place->size == UINT32_MAX || place->count == UINT16_MAX)
		TRY_OUT(read_end64(s, end, place, err));
	else if (little_endian(tail + at + 4, 2) != 0 || little_endian(tail + at + 6, 2) != 0)
		TRY_OUT(glip__fail(err, GLIP_ERR_UNSUPPORTED, "%s: a zip archive of several parts is not supported", s->path));
	if (place->offset > end || place->size > end - place->offset)
		TRY_OUT(
			glip__fail(err, GLIP_ERR_FORMAT, "%s: the directory of the zip archive lies outside the file", s->path));
	if (place->count > MAX_MEMBERS || place->size > MAX_DIRECTORY || place->count > place->size / CENTRAL_SIZE)
		TRY_OUT(glip__fail(err, GLIP_ERR_LIMIT, "%s: %" PRIu64 " members are too many for the zip archive's directory",
		                   s->path, place->count));
out:
	glip__free(a, tail);
	return status;
}

/* Sizes and offset that did not fit 32 bits stand in the extra field with id 1, in this order, each only where its
 * 32-bit field is all ones. */
static bool read_extra64(const uint8_t *extra, size_t size, uint64_t *fields[3])
{
	bool needed = false;

	for (int i = 0; i < 3; i++)
		needed = needed || *fields[i] == UINT32_MAX;
	while (needed && size >= 4) {
		size_t id = (size_t)little_endian(extra, 2), length = (size_t)little_endian(extra + 2, 2);
		if (length > size - 4)
			return false;
		if (id == 1) {
			const uint8_t *p = extra + 4, *end = p + length;
			for (int i = 0; i < 3; i++) {
				if (*fields[i] != UINT32_MAX)
					continue;
				if (end - p < 8)
					return false;
				*fields[i] = little_endian(p, 8);
				p += 8;
			}
			return true;
		}
		extra += 4 + length;
		size -= 4 + length;
	}
	return !needed;
}

static enum glip_status fail_member(const struct byte_source *s, const struct zip_member *m, enum glip_status code,
                                    const char *what, struct glip_error *err)
{
	int length = m->name_length < 80 ? (int)m->name_length : 80;

	return glip__fail(err, code, "%s: member %.*s of the zip archive %s", s->path, length, m->name, what);
}

static enum glip_status read_entry(const struct byte_source *s, const uint8_t *p, size_t room, struct zip_member *m,
                                   size_t *length, struct glip_error *err)
{
	size_t name_length, extra_length, comment_length;
	uint64_t packed;

	if (room < CENTRAL_SIZE || memcmp(p, "PK\1\2", 4) != 0)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the directory of the zip archive is damaged", s->path);
	name_length = (size_t)little_endian(p + 28, 2);
	extra_length = (size_t)little_endian(p + 30, 2);
	comment_length = (size_t)little_endian(p + 32, 2);
	*length = CENTRAL_SIZE + name_length + extra_length + comment_length;
	if (*length > room)
		return glip__fail(err, GLIP_ERR_FORMAT, "%s: the directory of the zip archive is damaged", s->path);
	*m = (struct zip_member){.name = (const char *)p + CENTRAL_SIZE,
	                         .name_length = name_length,
	                         .header = little_endian(p + 42, 4),
	                         .size = little_endian(p + 24, 4),
	                         .crc = (uint32_t)little_endian(p + 16, 4)};
	packed = little_endian(p + 20, 4);
	if (little_endian(p + 8, 2) & 1)
		return fail_member(s, m, GLIP_ERR_UNSUPPORTED, "is encrypted", err);
	if (little_endian(p + 10, 2) != 0)
		return fail_member(s, m, GLIP_ERR_UNSUPPORTED, "is compressed; torch.save stores", err);
	if (!read_extra64(p + CENTRAL_SIZE + name_length, extra_length, (uint64_t *[]){&m->size, &packed, &m->header}) ||
	    packed != m->size)
		return fail_member(s, m, GLIP_ERR_FORMAT, "has contradicting sizes", err);
	return GLIP_OK;
}

/* The data follow the local header, whose name must be the same; its sizes may stand behind the data instead. */
static enum glip_status read_local(const struct byte_source *s, struct zip_member *m, uint64_t limit, uint8_t *scratch,
                                   struct glip_error *err)
{
	uint64_t length;

	if (m->header > limit || limit - m->header < LOCAL_SIZE + (uint64_t)m->name_length)
		return fail_member(s, m, GLIP_ERR_FORMAT, "lies outside the file", err);
	TRY(byte_source_read(s, m->header, scratch, LOCAL_SIZE + m->name_length, err));
	if (memcmp(scratch, "PK\3\4", 4) != 0 || little_endian(scratch + 26, 2) != m->name_length ||
	    memcmp(scratch + LOCAL_SIZE, m->name, m->name_length) != 0)
		return fail_member(s, m, GLIP_ERR_FORMAT, "is not where the directory says", err);
	if ((little_endian(scratch + 6, 2) & 1) || little_endian(scratch + 8, 2) != 0)
		return fail_member(s, m, GLIP_ERR_UNSUPPORTED, "is encrypted or compressed", err);
	length = LOCAL_SIZE + m->name_length + little_endian(scratch + 28, 2);
	if (length > limit - m->header || m->size > limit - m->header - length)
		return fail_member(s, m, GLIP_ERR_FORMAT, "reaches past the end of the archive's data", err);
	m->offset = m->header + length;
	return GLIP_OK;
}

static int by_place(const void *a, const void *b)
{
	const struct zip_member *x = a, *y = b;

	return (x->header > y->header) - (x->header < y->header);
}

static enum glip_status read_members(const struct byte_source *s, struct zip *zip, const struct directory_place *place,
                                     uint8_t *scratch, struct glip_error *err)
{
	size_t at = 0, number;
	bool is_new;

	for (size_t i = 0; i < zip->count; i++) {
		size_t length = 0;
		TRY(read_entry(s, zip->directory + at, (size_t)place->size - at, &zip->members[i], &length, err));
		TRY(read_local(s, &zip->members[i], place->offset, scratch, err));
		at += length;
	}
	qsort(zip->members, zip->count, sizeof(*zip->members), by_place);
	for (size_t i = 0; i < zip->count; i++) {
		struct zip_member *m = &zip->members[i];
		if (i > 0 && m->header < m[-1].offset + m[-1].size)
			return fail_member(s, m, GLIP_ERR_FORMAT, "overlaps another", err);
		if (!strmap_add(&zip->names, m->name, m->name_length, &number, &is_new))
			return glip__fail_nomem(err, "the names of the zip archive", zip->count);
		if (!is_new)
			return fail_member(s, m, GLIP_ERR_FORMAT, "stands there twice", err);
	}
	return GLIP_OK;
}

enum glip_status zip_open(const struct byte_source *source, const struct glip_allocator *allocator, struct zip *out,
                          struct glip_error *err)
{
	enum { SCRATCH = LOCAL_SIZE + 65535 };
	struct directory_place place = {0};
	enum glip_status status = GLIP_OK;
	uint8_t *scratch = NULL;

	*out = (struct zip){.allocator = allocator};
	TRY(locate(source, allocator, &place, err));
	strmap_init(&out->names, allocator);
	out->count = (size_t)place.count;
	out->directory = glip__malloc(allocator, (size_t)place.size, 1);
	out->members = glip__calloc(allocator, out->count, sizeof(*out->members));
	scratch = glip__malloc(allocator, SCRATCH, 1);
	if (out->directory == NULL || out->members == NULL || scratch == NULL)
		TRY_OUT(glip__fail_nomem(err, "the directory of the zip archive", (size_t)place.size));
	TRY_OUT(byte_source_read(source, place.offset, out->directory, (size_t)place.size, err));
	TRY_OUT(read_members(source, out, &place, scratch, err));
out:
	glip__free(allocator, scratch);
	if (status != GLIP_OK)
		zip_close(out);
	return status;
}

void zip_close(struct zip *zip)
{
	if (zip->allocator == NULL)
		return;
	glip__free(zip->allocator, zip->directory);
	glip__free(zip->allocator, zip->members);
	strmap_free(&zip->names);
	*zip = (struct zip){0};
}

const struct zip_member *zip_find(const struct zip *zip, const char *name, size_t length)
{
	size_t number;

	return strmap_find(&zip->names, name, length, &number) ? &zip->members[number] : NULL;
}

uint32_t zip_crc(uint32_t crc, const uint8_t *data, size_t size)
{
	/* Four bytes a step; the tables cost 1024 short loops, little beside a tensor. */
	uint32_t table[4][256];

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1u ? 0xEDB88320u : 0u);
		table[0][i] = c;
	}
	for (int t = 1; t < 4; t++)
		for (uint32_t i = 0; i < 256; i++)
			table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255u];
	crc = ~crc;
	for (; size >= 4; size -= 4, data += 4) {
		crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
		crc = table[3][crc & 255u] ^ table[2][crc >> 8 & 255u] ^ table[1][crc >> 16 & 255u] ^ table[0][crc >> 24];
	}
	for (; size > 0; size--)
		crc = crc >> 8 ^ table[0][(crc ^ *data++) & 255u];
	return ~crc;
}
