/* Checkpoints from strangers: cut, flipped, and made by hand with one thing wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "convert/checkpoint.h"
#include "convert/zip.h"
#include "support/damage.h"
#include "support/json.h"
#include "support/scratch_file.h"

#define FOLDER "tests/data/checkpoints/"

static const char *const files[] = {"model.pth", "legacy.pth", "protocol4.pth", "flat.pth", "zip64.pth"};
enum { FILES = sizeof(files) / sizeof(files[0]), MOST_ELEMENTS = 4096 };

struct world {
	struct damage damage;
	struct scratch_file file;
};

/* Opens and reads every tensor: the first failure. *opened tells whether it was one of a tensor only. */
static enum glip_status open_all(struct world *w, const char *what, size_t at, bool *opened, struct glip_error *err)
{
	struct checkpoint c;
	struct glip_error ignored;
	static float data[MOST_ELEMENTS];

	*err = (struct glip_error){0};
	damage_begin(&w->damage);
	enum glip_status status = checkpoint_open(w->file.path, &w->damage.probe.allocator, &c, err);
	*opened = status == GLIP_OK;
	if (*opened) {
		for (size_t i = 0; i < c.count; i++) {
			const struct checkpoint_tensor *t = checkpoint_at(&c, i);
			if (t->problem != NULL || t->count <= MOST_ELEMENTS) {
				enum glip_status read = checkpoint_read(&c, t, data, status == GLIP_OK ? err : &ignored);
				status = status == GLIP_OK ? read : status;
			}
		}
		checkpoint_close(&c);
	}
	damage_end(&w->damage, status, err->message, what, at);
	if (status != GLIP_OK && strstr(err->message, w->file.path) == NULL)
		fail_msg("%s %zu: the file is not named: %s", what, at, err->message);
	return status;
}

static enum glip_status open_bytes(struct world *w, const void *data, size_t size, struct glip_error *err)
{
	bool opened;

	scratch_file_write(&w->file, data, size);
	return open_all(w, "file of size", size, &opened, err);
}

static uint8_t *load(const char *name, size_t *size)
{
	char path[128];
	char *data;

	snprintf(path, sizeof(path), FOLDER "%s", name);
	data = test_read_file(path, size);
	assert_non_null(data);
	return (uint8_t *)data;
}

/* ---- Every truncation -------------------------------------------------------------------------------------------- */

static const char safetensors_header[] =
	"{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
	"\"module.b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]}}";

static struct buf make_safetensors(void)
{
	struct buf b = {.allocator = &glip__default_allocator};
	uint64_t length = sizeof safetensors_header - 1;

	assert_true(glip__buf_append(&b, &length, 8) && glip__buf_append(&b, safetensors_header, length));
	bytes_append(&b, "z:14");
	return b;
}

/* Every prefix is refused as a whole, before any tensor is asked for. */
static void cut(struct world *w, const char *name, const void *data, size_t size)
{
	struct glip_error err;
	bool opened;

	scratch_file_write(&w->file, data, size);
	int fd = open(w->file.path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t n = size; n > 0; n -= n < damage_step() ? n : damage_step()) {
		assert_int_equal(ftruncate(fd, (off_t)(n - 1)), 0);
		(void)open_all(w, name, n - 1, &opened, &err);
		if (opened)
			fail_msg("%s: %zu of %zu bytes are enough", name, n - 1, size);
	}
	close(fd);
}

static void test_truncated(void **state)
{
	struct world *w = *state;
	struct buf b = make_safetensors();

	for (int i = 0; i < FILES; i++) {
		size_t size;
		uint8_t *data = load(files[i], &size);
		cut(w, files[i], data, size);
		free(data);
	}
	cut(w, "safetensors", b.data, b.length);
	glip__buf_free(&b);
	damage_summary(&w->damage, "truncated checkpoints", 0);
}

/* ---- Archives that are refused ----------------------------------------------------------------------------------- */

static size_t find_bytes(const uint8_t *data, size_t size, const char *what, size_t length)
{
	for (size_t i = 0; i + length <= size; i++)
		if (memcmp(data + i, what, length) == 0)
			return i;
	fail_msg("%s is not in the file", what);
	return 0;
}

/* Changes one byte `offset` bytes behind the first place of a signature and expects a message. */
static void expect_refusal(struct world *w, const char *name, const char *signature, size_t offset, uint8_t value,
                           enum glip_status status, const char *message)
{
	size_t size;
	uint8_t *data = load(name, &size);
	struct glip_error err;
	enum glip_status got;

	data[find_bytes(data, size, signature, 4) + offset] = value;
	got = open_bytes(w, data, size, &err);
	if (got != status || strstr(err.message, message) == NULL)
		fail_msg("%s, byte %zu after PK: %d, %s (expected %s)", name, offset, got, err.message, message);
	free(data);
}

static void test_archives(void **state)
{
	struct world *w = *state;

	expect_refusal(w, "model.pth", "PK\1\2", 10, 8, GLIP_ERR_UNSUPPORTED,
	               "model/data.pkl of the zip archive is compressed");
	expect_refusal(w, "model.pth", "PK\1\2", 8, 1, GLIP_ERR_UNSUPPORTED, "is encrypted");
	expect_refusal(w, "model.pth", "PK\3\4", 8, 8, GLIP_ERR_UNSUPPORTED, "is encrypted or compressed");
	expect_refusal(w, "model.pth", "PK\3\4", 6, 1, GLIP_ERR_UNSUPPORTED, "is encrypted or compressed");
	expect_refusal(w, "model.pth", "PK\1\2", 20, 1, GLIP_ERR_FORMAT, "has contradicting sizes");
	expect_refusal(w, "model.pth", "PK\1\2", 42, 1, GLIP_ERR_FORMAT, "is not where the directory says");
	expect_refusal(w, "model.pth", "PK\1\2", 45, 1, GLIP_ERR_FORMAT, "lies outside the file");
	expect_refusal(w, "model.pth", "PK\1\2", 16, 1, GLIP_ERR_FORMAT, "data.pkl is damaged");
	expect_refusal(w, "model.pth", "PK\1\2", 46, 'M', GLIP_ERR_FORMAT, "is not where the directory says");
	expect_refusal(w, "model.pth", "PK\1\2", 0, 'p', GLIP_ERR_FORMAT, "directory of the zip archive is damaged");
	expect_refusal(w, "model.pth", "PK\5\6", 20, 1, GLIP_ERR_FORMAT, "has no directory");
	expect_refusal(w, "model.pth", "PK\5\6", 4, 1, GLIP_ERR_UNSUPPORTED, "several parts");
	expect_refusal(w, "model.pth", "PK\5\6", 11, 0x80, GLIP_ERR_LIMIT, "too many for");
	expect_refusal(w, "model.pth", "PK\5\6", 19, 0x7F, GLIP_ERR_FORMAT, "lies outside the file");
	expect_refusal(w, "zip64.pth", "PK\6\7", 0, 'p', GLIP_ERR_FORMAT, "lacks its Zip64 directory");
	expect_refusal(w, "zip64.pth", "PK\6\7", 8, 1, GLIP_ERR_FORMAT, "Zip64 directory of the archive is damaged");
	expect_refusal(w, "zip64.pth", "PK\6\7", 15, 0xFF, GLIP_ERR_FORMAT, "lacks its Zip64 directory");
	expect_refusal(w, "zip64.pth", "PK\6\6", 16, 1, GLIP_ERR_UNSUPPORTED, "several parts");
	expect_refusal(w, "zip64.pth", "PK\6\6", 39, 1, GLIP_ERR_LIMIT, "too many for");
	expect_refusal(w, "zip64.pth", "PK\6\6", 55, 1, GLIP_ERR_FORMAT, "lies outside the file");
	damage_summary(&w->damage, "archives", 20);
}

/* A small archive of members whose data are words of bytes_append, the offset of each header from `headers` where it is
 * not NULL. */
struct member {
	const char *name, *data;
};

static struct buf make_zip(const struct member *members, size_t count, const uint32_t *headers)
{
	struct buf b = {.allocator = &glip__default_allocator}, directory = b;
	char text[400];

	for (size_t i = 0; i < count; i++) {
		struct buf data = {.allocator = &glip__default_allocator};
		const char *name = members[i].name;
		size_t at = b.length, n = strlen(name);
		bytes_append(&data, members[i].data);
		unsigned crc = zip_crc(0, (const uint8_t *)data.data, data.length);
		snprintf(text, sizeof(text), "'PK x:0304 2:20 z:4 4:0 4:%u 4:%zu 4:%zu 2:%zu 2:0", crc, data.length,
		         data.length, n);
		bytes_append(&b, text);
		assert_true(glip__buf_append(&b, name, n) && glip__buf_append(&b, data.data, data.length));
		snprintf(text, sizeof(text), "'PK x:0102 2:20 2:20 z:4 4:0 4:%u 4:%zu 4:%zu 2:%zu z:12 4:%zu", crc, data.length,
		         data.length, n, headers != NULL ? headers[i] : at);
		bytes_append(&directory, text);
		assert_true(glip__buf_append(&directory, name, n));
		glip__buf_free(&data);
	}
	snprintf(text, sizeof(text), "'PK x:0506 4:0 2:%zu 2:%zu 4:%zu 4:%zu 2:0", count, count, directory.length,
	         b.length);
	assert_true(glip__buf_append(&b, directory.data, directory.length));
	bytes_append(&b, text);
	glip__buf_free(&directory);
	return b;
}

/* message NULL: is read. */
static void expect_zip(struct world *w, const struct member *members, size_t count, const uint32_t *headers,
                       enum glip_status status, const char *message)
{
	struct buf b = make_zip(members, count, headers);
	struct glip_error err;
	enum glip_status got = open_bytes(w, b.data, b.length, &err);

	if (got != status || strstr(err.message, message) == NULL)
		fail_msg("%s: %d, %s (expected %s)", members[0].data, got, err.message, message);
	glip__buf_free(&b);
}

/* ---- State dicts ------------------------------------------------------------------------------------------------- */

#define NAME_101 "a123456789b123456789c123456789d123456789e123456789f123456789g123456789h123456789i123456789j1234567890"
/* A global. */
#define CALL(module, name) "'c" module " x:0A '" name " x:0A "
#define REBUILD CALL("torch._utils", "_rebuild_tensor_v2")
/* ("storage", type, key, "cpu", count and more). */
#define STORAGE(type, key, rest) "'(X 4:7 'storage " CALL("torch", type) key " 'X 4:3 'cpu " rest " 'tQ "
#define KEY_0 "'X 4:1 '0"
#define FLOATS STORAGE("FloatStorage", KEY_0, "'K 1:4")
/* The arguments, of a tensor [2, 2] where they are right, and the call. */
#define ARGS(storage, first, size, stride) "'( " storage " " first " " size " " stride " x:89 'NtR "
#define SIZE_2_2 "'K 1:2 'K 1:2 x:86"
#define STRIDE_2_1 "'K 1:2 'K 1:1 x:86"
#define TENSOR(storage, first, size, stride) REBUILD ARGS(storage, first, size, stride)
#define GOOD TENSOR(FLOATS, "'K 1:0", SIZE_2_2, STRIDE_2_1)
/* {"a": value} */
#define STATE(value) "'} 'X 4:1 'a " value " 's. "
#define INT_64(number) "x:8A08 8:" number " "

static const struct {
	const char *pickle;
	enum glip_status status;
	const char *message;
} states[] = {
	/* Those that are read: what the others are one step away from. */
	{STATE(GOOD), GLIP_OK, ""},
	{STATE(CALL("torch._utils", "_rebuild_parameter") "'( " GOOD "x:88 'NtR "), GLIP_OK, ""},
	{STATE(TENSOR(FLOATS, "'K 1:0", CALL("torch", "Size") SIZE_2_2 " x:85 'R", STRIDE_2_1)), GLIP_OK, ""},
	{"'} 'X 4:5 'model '} 'X 4:1 'a " GOOD "'ss.", GLIP_OK, ""},
	{"'}( 'K 1:7 " GOOD "'X 4:1 'a " GOOD "'u.", GLIP_OK, ""},
	{STATE(TENSOR(FLOATS, "'K 1:3", "'K 1:4 x:85", "'K 1:0 x:85")), GLIP_OK, ""},
	/* What is no tensor. */
	{"'].", GLIP_ERR_FORMAT, "no dictionary of tensors"},
	{"'}.", GLIP_ERR_FORMAT, "there are no tensors"},
	{"'}K 1:7 " GOOD "'s.", GLIP_ERR_FORMAT, "there are no tensors"},
	{STATE("'N"), GLIP_ERR_FORMAT, "tensor a is no tensor"},
	{STATE("'K 1:1"), GLIP_ERR_FORMAT, "tensor a is no tensor"},
	{STATE("'NNN x:87"), GLIP_ERR_FORMAT, "tensor a is no tensor"},
	{STATE("'N)R"), GLIP_ERR_FORMAT, "tensor a is no tensor"},
	{STATE(CALL("os", "system") "'X 4:9 '/bin/true x:85 'R"), GLIP_ERR_FORMAT, "is made by os.system"},
	{STATE(CALL("builtins", "eval") "'X 4:1 '1 x:85 'R"), GLIP_ERR_FORMAT, "is made by builtins.eval"},
	{STATE(CALL("torch._utils", "_rebuild_qtensor") "')R"), GLIP_ERR_FORMAT, "_rebuild_qtensor, which is not"},
	{STATE(CALL("torch._utils", "_rebuild_parameter") "')R"), GLIP_ERR_FORMAT, "is made by torch._utils._rebuild_p"},
	{STATE(FLOATS), GLIP_ERR_FORMAT, "tensor a is no tensor"},
	/* Arguments of the wrong number, kind or sign. */
	{STATE(REBUILD "')R"), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(REBUILD "'N x:85 'R"), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(TENSOR(FLOATS, "'N", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(TENSOR(FLOATS, "'J 4:-1", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'N", STRIDE_2_1)), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'K 1:4 x:85", STRIDE_2_1)), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'NN x:86", STRIDE_2_1)), GLIP_ERR_FORMAT, "described in an unknown form"},
	{STATE(TENSOR(FLOATS, "'K 1:0", CALL("torch", "Size") "')R", STRIDE_2_1)), GLIP_ERR_FORMAT, "unknown form"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'(K 1:1 'K 1:1 'K 1:1 'K 1:1 'K 1:1 'K 1:1 'K 1:1 'K 1:1 'K 1:1 't", "')")),
     GLIP_ERR_FORMAT, "described in an unknown form"},
	/* Sizes and strides that leave the storage, also where a product or a sum would wrap. */
	{STATE(TENSOR(FLOATS, "'K 1:4", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "reaches past its storage"},
	{STATE(TENSOR(FLOATS, "'K 1:1", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "reaches past its storage"},
	{STATE(TENSOR(FLOATS, "'K 1:4", "')", "')")), GLIP_ERR_FORMAT, "reaches past its storage"},
	{STATE(TENSOR(FLOATS, INT_64("0x7FFFFFFFFFFFFFFF"), SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "past its storage"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'K 1:3 'K 1:2 x:86", STRIDE_2_1)), GLIP_ERR_FORMAT, "reaches past its storage"},
	{STATE(TENSOR(FLOATS, "'K 1:0", SIZE_2_2, "'K 1:3 'K 1:1 x:86")), GLIP_ERR_FORMAT, "reaches past its storage"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'K 1:2 x:85", INT_64("0x7FFFFFFFFFFFFFFF") "x:85")), GLIP_ERR_FORMAT, "past its"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'K 1:3 x:85", INT_64("0x4000000000000000") "x:85")), GLIP_ERR_FORMAT, "past its"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'J 4:-2 'J 4:-2 x:86", STRIDE_2_1)), GLIP_ERR_FORMAT, "negative size or stride"},
	{STATE(TENSOR(FLOATS, "'K 1:0", SIZE_2_2, "'J 4:-2 'K 1:1 x:86")), GLIP_ERR_FORMAT, "negative size or stride"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'K 1:0 'K 1:4 x:86", STRIDE_2_1)), GLIP_ERR_FORMAT, "tensor a is empty"},
	{STATE(TENSOR(FLOATS, "'K 1:0", INT_64("0x4000000000000001") "x:85", "'K 1:0 x:85")), GLIP_ERR_FORMAT,
     "is larger than its file"},
	{STATE(TENSOR(FLOATS, "'K 1:0", "'J 4:0x10000 'J 4:0x10000 x:86", "'K 1:0 'K 1:0 x:86")), GLIP_ERR_FORMAT,
     "is larger than its file"},
	/* Storages. */
	{STATE(TENSOR("'N", "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "a storage of unknown form"},
	{STATE(TENSOR("'NQ", "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "a storage of unknown form"},
	{STATE(TENSOR("'X 4:7 'storage x:85 'Q", "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "of unknown form"},
	{STATE(TENSOR(STORAGE("FloatStorage", KEY_0, "'N"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT, "unknown f"},
	{STATE(TENSOR(STORAGE("FloatStorage", KEY_0, "'J 4:-4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a storage of unknown form"},
	{STATE(TENSOR(STORAGE("FloatStorage", "'K 1:0", "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a storage of unknown form"},
	{STATE(TENSOR(STORAGE("QInt8Storage", KEY_0, "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a storage of unknown type"},
	{STATE(TENSOR(STORAGE("IntStorage", KEY_0, "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "holds int32, expected floating point"},
	{STATE(TENSOR(STORAGE("FloatStorage", KEY_0, "'K 1:4 'K 1:0"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a view of a part of a storage"},
	{STATE(TENSOR(STORAGE("FloatStorage", "'X 4:1 '1", "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a storage that the archive lacks"},
	{STATE(TENSOR(STORAGE("FloatStorage", "'X 4:15 '../../../passwd", "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)),
     GLIP_ERR_FORMAT, "a storage that the archive lacks"},
	{STATE(TENSOR(STORAGE("FloatStorage", "'X 4:101 '" NAME_101, "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)),
     GLIP_ERR_FORMAT, "a storage with a name too long"},
	{STATE(TENSOR(STORAGE("FloatStorage", KEY_0, "'K 1:5"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a storage of 5 elements in a member of 16 bytes"},
	{STATE(TENSOR(STORAGE("DoubleStorage", KEY_0, "'K 1:4"), "'K 1:0", SIZE_2_2, STRIDE_2_1)), GLIP_ERR_FORMAT,
     "a storage of 4 elements in a member of 16 bytes"},
	{STATE(TENSOR(STORAGE("FloatStorage", KEY_0, INT_64("0x4000000000000001")), "'K 1:0", SIZE_2_2, STRIDE_2_1)),
     GLIP_ERR_FORMAT, "a storage of 4611686018427387905 elements"},
	/* Names. */
	{"'}( 'X 4:1 'a " GOOD "'X 4:1 'a " GOOD "'u.", GLIP_ERR_FORMAT, "tensor a stands there twice"},
	{"'}( 'X 4:1 'a " GOOD "'X 4:8 'module.a " GOOD "'u.", GLIP_ERR_FORMAT, "tensor a stands there twice"},
	{"'} 'X 4:0 " GOOD "'s.", GLIP_ERR_FORMAT, "name of tensor 0 is empty"},
	{"'} 'X 4:7 'module. " GOOD "'s.", GLIP_ERR_FORMAT, "name of tensor 0 is empty"},
	{"'} 'X 4:2 x:C328 " GOOD "'s.", GLIP_ERR_FORMAT, "too long or no text"},
	{"'} 'X 4:2 x:6100 " GOOD "'s.", GLIP_ERR_FORMAT, "too long or no text"},
	{"'} 'X 4:501 z:501 " GOOD "'s.", GLIP_ERR_FORMAT, "too long or no text"},
};

static void test_states(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		const struct member members[] = {{"a/data.pkl", states[i].pickle}, {"a/data/0", "z:16"}};
		expect_zip(w, members, 2, NULL, states[i].status, states[i].message);
	}
	damage_summary(&w->damage, "state dicts", 40);
}

static void test_members(void **state)
{
	/* The second archive's entries both mean the first member, then the third lies inside the second's data. */
	static const struct member none[] = {{"readme", "'x"}};
	static const struct member two[] = {{"a/data.pkl", "'N."}, {"b/data.pkl", "'N."}};
	static const struct member twice[] = {{"a/data.pkl", "'N."}, {"a/data.pkl", "'N."}};
	static const struct member deep[] = {{"a/b/data.pkl", "'N."}};
	static const struct member big[] = {{"a/data.pkl", "'N."}, {"a/byteorder", "'big"}};
	static const struct member other[] = {{"a/data.pkl", "'N."}, {"a/byteorder", "'LITTLE"}};
	static const struct member little[] = {{"a/data.pkl", STATE(GOOD)},
	                                       {"a/byteorder", "'little"},
	                                       {"a/data/0", "z:16"}};
	static const struct member bare[] = {{"data.pkl", STATE(GOOD)}, {"data/0", "z:16"}};
	static const struct member far[] = {{NAME_101 "/data.pkl", STATE(GOOD)},
	                                    {NAME_101 "/byteorder", "'big"},
	                                    {NAME_101 "/data/0", "z:16"}};
	static const struct member empty[] = {{"a/data.pkl", "'}."}};
	static const struct member wrong[] = {{"a/data.pkl", "'N."}};
	static const struct member nothing[] = {{"a/data.pkl", ""}};
	static const struct member large[] = {{"a/data.pkl", "z:16777217"}};
	static const uint32_t same[] = {0, 0}, inside[] = {0, 3};
	struct world *w = *state;

	expect_zip(w, none, 1, NULL, GLIP_ERR_FORMAT, "it has no data.pkl");
	expect_zip(w, deep, 1, NULL, GLIP_ERR_FORMAT, "it has no data.pkl");
	expect_zip(w, two, 2, NULL, GLIP_ERR_FORMAT, "holds two checkpoints");
	expect_zip(w, twice, 2, NULL, GLIP_ERR_FORMAT, "a/data.pkl of the zip archive stands there twice");
	expect_zip(w, twice, 2, same, GLIP_ERR_FORMAT, "overlaps another");
	expect_zip(w, two, 2, inside, GLIP_ERR_FORMAT, "is not where the directory says");
	expect_zip(w, big, 2, NULL, GLIP_ERR_UNSUPPORTED, "little-endian");
	expect_zip(w, other, 2, NULL, GLIP_ERR_UNSUPPORTED, "little-endian");
	expect_zip(w, little, 3, NULL, GLIP_OK, "");
	expect_zip(w, bare, 2, NULL, GLIP_OK, "");
	expect_zip(w, far, 3, NULL, GLIP_ERR_FORMAT, "a storage with a name too long");
	expect_zip(w, empty, 1, NULL, GLIP_ERR_FORMAT, "there are no tensors");
	expect_zip(w, wrong, 1, NULL, GLIP_ERR_FORMAT, "no dictionary of tensors");
	expect_zip(w, nothing, 1, NULL, GLIP_ERR_FORMAT, "the file ends within it");
	expect_zip(w, large, 1, NULL, GLIP_ERR_LIMIT, "data.pkl has more than 16777216 bytes");
	damage_summary(&w->damage, "members", 15);
}

/* ---- The format before torch 1.6 --------------------------------------------------------------------------------- */

#define MAGIC "x:80028A0A6CFC9C46F9206AA85019 '. "
#define VERSION "'M 2:1001 '. "
#define KEYS(keys) "']( " keys " 'e. "
#define LEGACY(keys) MAGIC VERSION "'}. " STATE(GOOD) keys

static const struct {
	const char *bytes;
	enum glip_status status;
	const char *message;
} legacy[] = {
	{LEGACY(KEYS(KEY_0)) "8:4 z:16", GLIP_OK, ""},
	{LEGACY(KEYS(KEY_0)) "8:4 z:15", GLIP_ERR_FORMAT, "storage 0 has 4 elements, expected 4 (and room for 3)"},
	{LEGACY(KEYS(KEY_0)) "8:5 z:20", GLIP_ERR_FORMAT, "storage 0 has 5 elements, expected 4"},
	{LEGACY(KEYS(KEY_0)) "8:0xFFFFFFFFFFFFFFFF z:20", GLIP_ERR_FORMAT, "has 18446744073709551615 elements, expected 4"},
	{LEGACY(KEYS(KEY_0)) "4:4", GLIP_ERR_FORMAT, "truncated"},
	{LEGACY(KEYS(KEY_0 " " KEY_0)) "8:4 z:16 8:4 z:16", GLIP_ERR_FORMAT, "storage 0 stands there twice"},
	{LEGACY(KEYS("'X 4:1 '1")) "8:4 z:16", GLIP_ERR_FORMAT, "a storage of unknown type or size"},
	{LEGACY(KEYS("'K 1:0")) "8:4 z:16", GLIP_ERR_FORMAT, "a storage of unknown type or size"},
	{LEGACY("']. ") "8:4 z:16", GLIP_ERR_FORMAT, "tensor a has a storage that the file lacks"},
	{LEGACY("'N. ") "8:4 z:16", GLIP_ERR_FORMAT, "the list of storages is missing"},
	{LEGACY(""), GLIP_ERR_FORMAT, "the file ends within it"},
	{MAGIC "'M 2:1002 '. "
           "'}. ",
     GLIP_ERR_UNSUPPORTED, "this version of torch's old format"},
	{MAGIC "'N. "
           "'}. ",
     GLIP_ERR_UNSUPPORTED, "this version of torch's old format"},
	{MAGIC VERSION "'}X 4:13 'little_endian x:89 's. " STATE(GOOD), GLIP_ERR_UNSUPPORTED, "little-endian machine"},
	{MAGIC VERSION "'}. 'N. " KEYS(""), GLIP_ERR_FORMAT, "no dictionary of tensors"},
	{MAGIC, GLIP_ERR_FORMAT, "the file ends within it"},
};

static void test_legacy(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(legacy) / sizeof(legacy[0]); i++) {
		struct buf b = {.allocator = &glip__default_allocator};
		struct glip_error err;
		bytes_append(&b, legacy[i].bytes);
		enum glip_status got = open_bytes(w, b.data, b.length, &err);
		if (got != legacy[i].status || strstr(err.message, legacy[i].message) == NULL)
			fail_msg("%s: %d, %s (expected %s)", legacy[i].bytes, got, err.message, legacy[i].message);
		glip__buf_free(&b);
	}
	damage_summary(&w->damage, "old format", 15);
}

/* ---- Every flipped bit ------------------------------------------------------------------------------------------- */

/* Every `step`-th bit. */
static void flip(struct world *w, const char *name, const uint8_t *data, size_t size, size_t step)
{
	struct glip_error err;
	bool opened;

	scratch_file_write(&w->file, data, size);
	int fd = open(w->file.path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t bit = 0; bit < 8 * size; bit += step * damage_step()) {
		uint8_t byte = (uint8_t)(data[bit / 8] ^ 1u << bit % 8);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
		(void)open_all(w, name, bit, &opened, &err);
		assert_int_equal(pwrite(fd, &data[bit / 8], 1, (off_t)(bit / 8)), 1);
	}
	close(fd);
}

/* All bits of a small file of each kind, one in 23 of those that torch wrote. */
static void test_bit_flips(void **state)
{
	static const struct member members[] = {{"a/data.pkl", STATE(GOOD)}, {"a/data/0", "z:16"}};
	struct world *w = *state;
	struct buf zip = make_zip(members, 2, NULL), old = {.allocator = &glip__default_allocator};
	struct buf safetensors = make_safetensors();

	bytes_append(&old, LEGACY(KEYS(KEY_0)) "8:4 z:16");
	flip(w, "zip", (const uint8_t *)zip.data, zip.length, 1);
	flip(w, "old format", (const uint8_t *)old.data, old.length, 1);
	flip(w, "safetensors", (const uint8_t *)safetensors.data, safetensors.length, 1);
	for (int i = 0; i < FILES; i++) {
		size_t size;
		uint8_t *data = load(files[i], &size);
		flip(w, files[i], data, size, 23);
		free(data);
	}
	glip__buf_free(&zip);
	glip__buf_free(&old);
	glip__buf_free(&safetensors);
	assert_true(w->damage.refused > w->damage.accepted && w->damage.accepted > 0);
	damage_summary(&w->damage, "flipped checkpoints", 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	damage_init(&w->damage);
	scratch_file_new(&w->file);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	scratch_file_remove(&w->file);
	free(w);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_truncated), TEST(test_bit_flips), TEST(test_archives),
		TEST(test_states),    TEST(test_members),   TEST(test_legacy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
