/* Checkpoints as PyTorch writes them (tests/data/checkpoints), whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/checkpoint.h"
#include "convert/zip.h"
#include "support/alloc_probe.h"
#include "support/json.h"
#include "support/scratch_file.h"

#define FOLDER "tests/data/checkpoints/"

static const char *const files[] = {"model.pth", "legacy.pth", "protocol4.pth", "flat.pth", "zip64.pth"};
enum { FILES = sizeof(files) / sizeof(files[0]) };

/* Element i of a tensor is element order[i] of 0, 1, 2...; those are n / 2 - 3. */
static const struct expected {
	const char *name;
	int ndim;
	int64_t shape[3];
	int count;
	int order[24];
} expected[] = {
	{"plain", 2, {2, 3}, 6, {0, 1, 2, 3, 4, 5}},
	{"half", 2, {3, 2}, 6, {0, 1, 2, 3, 4, 5}},
	{"bfloat16", 1, {5}, 5, {0, 1, 2, 3, 4}},
	{"double", 1, {4}, 4, {0, 1, 2, 3}},
	{"scalar", 0, {0}, 1, {11}},
	{"transposed", 2, {3, 2}, 6, {0, 3, 1, 4, 2, 5}},
	{"permuted", 3, {4, 2, 3}, 24, {0, 4, 8,  12, 16, 20, 1, 5, 9,  13, 17, 21,
                                    2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23}},
	{"shared_all", 2, {4, 6}, 24, {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
	{"shared_tail", 1, {6}, 6, {18, 19, 20, 21, 22, 23}},
	{"shared_column", 1, {4}, 4, {2, 8, 14, 20}},
	{"expanded", 2, {4, 3}, 12, {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2}},
	{"parameter", 1, {4}, 4, {0, 1, 2, 3}},
};

static const struct {
	const char *name, *message;
} refused[] = {
	{"long", "tensor long holds int64, expected floating point"},
	{"int", "tensor int holds int32, expected floating point"},
	{"bool", "tensor bool holds bool, expected floating point"},
	{"empty", "tensor empty is empty"},
	{"number", "tensor number is no tensor"},
	{"unknown", "tensor unknown is no tensor"},
};

static void check_values(const struct checkpoint *c)
{
	struct glip_error err;
	float data[24];

	assert_int_equal(c->count, sizeof(expected) / sizeof(expected[0]) + sizeof(refused) / sizeof(refused[0]));
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		const struct expected *e = &expected[i];
		const struct checkpoint_tensor *t = checkpoint_find(c, e->name);
		if (t == NULL || t->problem != NULL || checkpoint_read(c, t, data, &err) != GLIP_OK)
			fail_msg("%s: %s", e->name, t == NULL ? "missing" : t->problem != NULL ? t->problem : err.message);
		assert_int_equal(t->ndim, e->ndim);
		assert_memory_equal(t->shape, e->shape, (size_t)e->ndim * sizeof(int64_t));
		assert_int_equal(t->count, e->count);
		for (int k = 0; k < e->count; k++)
			if (data[k] != (float)e->order[k] / 2 - 3)
				fail_msg("%s %s: element %d is %g", c->source.path, e->name, k, (double)data[k]);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const struct checkpoint_tensor *t = checkpoint_find(c, refused[i].name);
		assert_non_null(t);
		assert_int_equal(checkpoint_read(c, t, data, &err), GLIP_ERR_FORMAT);
		if (strstr(err.message, refused[i].message) == NULL)
			fail_msg("%s", err.message);
	}
	assert_null(checkpoint_find(c, "module.plain"));
	assert_null(checkpoint_find(c, "exp_avg"));
}

static void test_values(void **state)
{
	struct glip_error err;
	struct checkpoint c;

	(void)state;
	for (int i = 0; i < FILES; i++) {
		char path[128];
		snprintf(path, sizeof(path), FOLDER "%s", files[i]);
		if (checkpoint_open(path, &glip__default_allocator, &c, &err) != GLIP_OK)
			fail_msg("%s", err.message);
		assert_string_equal(c.format, i == 1 ? "torch legacy" : "torch zip");
		check_values(&c);
		checkpoint_close(&c);
	}
}

/* ---- Memory failure ---------------------------------------------------------------------------------------------- */

/* Opens and reads everything: each failure has a message. */
static enum glip_status open_all(const char *path, const struct glip_allocator *a, struct glip_error *err)
{
	struct checkpoint c;
	enum glip_status status, first = GLIP_OK;
	float data[4096];

	*err = (struct glip_error){0};
	status = checkpoint_open(path, a, &c, err);
	if (status != GLIP_OK) {
		assert_true(err->message[0] != '\0');
		return status;
	}
	for (size_t i = 0; i < c.count; i++) {
		const struct checkpoint_tensor *t = checkpoint_at(&c, i);
		if (t->problem == NULL && t->count > 4096)
			continue;
		*err = (struct glip_error){0};
		status = checkpoint_read(&c, t, data, err);
		if (status != GLIP_OK)
			assert_true(err->message[0] != '\0');
		if (status == GLIP_ERR_NOMEM)
			first = status;
	}
	checkpoint_close(&c);
	return first;
}

static enum glip_status open_bytes(const void *data, size_t size, struct glip_error *err)
{
	struct scratch_file file;
	enum glip_status status;

	scratch_file_new(&file);
	scratch_file_write(&file, data, size);
	status = open_all(file.path, &glip__default_allocator, err);
	scratch_file_remove(&file);
	return status;
}

static void test_out_of_memory(void **state)
{
	struct alloc_probe probe;
	struct glip_error err;

	(void)state;
	alloc_probe_init(&probe);
	for (int i = 0; i < FILES; i++) {
		char path[128];
		bool done = false;
		snprintf(path, sizeof(path), FOLDER "%s", files[i]);
		for (long n = 1; !done; n++) {
			alloc_probe_arm(&probe, n, n % 2);
			enum glip_status status = open_all(path, &probe.allocator, &err);
			done = probe.calls < n;
			/* An arena that cannot have the block it would like takes a smaller one. */
			if (status != GLIP_OK || done || n % 2 != 0)
				assert_int_equal(status, done ? GLIP_OK : GLIP_ERR_NOMEM);
			assert_int_equal(probe.live, 0);
		}
	}
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

static size_t find_bytes(const uint8_t *data, size_t size, const char *what, size_t length, size_t from)
{
	for (size_t i = from; i + length <= size; i++)
		if (memcmp(data + i, what, length) == 0)
			return i;
	fail_msg("%s is not in the file", what);
	return 0;
}

/* A checksum that differs in a tensor's own member is seen when the tensor is read. */
static void test_damaged_tensor(void **state)
{
	size_t size, at;
	uint8_t *data = load("model.pth", &size);
	struct scratch_file file;
	struct checkpoint c;
	struct glip_error err;
	float out[6];

	(void)state;
	at = find_bytes(data, size, "model/data/0", 12, 0) + 12;
	while (data[at] != 'Z')
		at++;
	at = find_bytes(data, size, "\0\0\x40\xC0", 4, at); /* -3.0 */
	data[at] ^= 1;
	scratch_file_new(&file);
	scratch_file_write(&file, data, size);
	assert_int_equal(checkpoint_open(file.path, &glip__default_allocator, &c, &err), GLIP_OK);
	assert_int_equal(checkpoint_read(&c, checkpoint_find(&c, "plain"), out, &err), GLIP_ERR_FORMAT);
	assert_non_null(strstr(err.message, "tensor plain is damaged"));
	checkpoint_close(&c);
	scratch_file_remove(&file);
	free(data);
}

static void test_no_checkpoint(void **state)
{
	struct glip_error err;

	(void)state;
	assert_int_equal(open_bytes("", 0, &err), GLIP_ERR_FORMAT);
	assert_non_null(strstr(err.message, "is empty"));
	assert_int_equal(open_bytes("hello, world", 12, &err), GLIP_ERR_FORMAT);
	assert_non_null(strstr(err.message, "neither a torch checkpoint"));
	assert_int_equal(open_all("/no/such/file", &glip__default_allocator, &err), GLIP_ERR_IO);
	assert_non_null(strstr(err.message, "cannot open /no/such/file"));
	assert_int_equal(open_all("tests", &glip__default_allocator, &err), GLIP_ERR_IO);
	assert_non_null(strstr(err.message, "a directory"));
}

/* ---- safetensors ------------------------------------------------------------------------------------------------- */

static const struct {
	const char *header;
	size_t data;
	const char *message; /* NULL: is read */
} safetensors[] = {
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, NULL},
	{" { \"__metadata__\" : {\"x\":[1,-2.5e3,{\"y\":null}]} , \"module.\\u0061\" : { \"shape\" : [ 1 , 2 ] , \"dtype\" "
     ": "
     "\"F32\" , \"data_offsets\" : [ 0 , 8 ] } } ",
     8, NULL},
	{"{\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]}}", 2, NULL},
	{"{}", 0, "there are no tensors"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "lies outside the file"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "lies outside the file"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "cannot be read"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "has 8 bytes, its shape needs 4"},
	{"{\"a\":{\"dtype\":\"F8\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8, "cannot be read"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,4],\"data_offsets\":[0,8]}}", 8, "cannot be read"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[4,9223372036854775807],\"data_offsets\":[0,8]}}", 8, "cannot be read"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,8]}}", 8, "a number too large"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,8]}}", 8, "a number from 0 on"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[02],\"data_offsets\":[0,8]}}", 8, "leading zero"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "a whole number"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "a list of more than 8"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "lacks its dtype"},
	{"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "stands there twice"},
	{"{\"a\":{\"type\":\"F32\"}}", 8, "unknown key type"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "data_offsets is wrong"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":"
     "[2,6]}}",
     8, "tensors a and b overlap"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
     "offsets\":"
     "[4,8]}}",
     8, "tensor a stands there twice"},
	{"{\"\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "is empty, too long or no text"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} x", 8, "something behind the end"},
	{"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},}", 8, "'\"' expected"},
	{"{\"a", 8, "a string without an end"},
	{"{\"a\\", 8, "unfinished escape"},
	{"{\"\\x\":1}", 8, "unknown escape"},
	{"{\"\\u00g0\":1}", 8, "four hexadecimal digits"},
	{"{\"\\ud800\":1}", 8, "half a surrogate pair"},
	{"{\"\\udc00\":1}", 8, "a character that is not allowed"},
	{"{\"\\u0000\":1}", 8, "a character that is not allowed"},
	{"{\"\xC3(\":1}", 8, "not UTF-8"},
	{"{\"\n\":1}", 8, "a control character"},
	{"{\"__metadata__\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", 8, "too many levels"},
	{"{\"__metadata__\":[1,]}", 8, "a value expected"},
	{"{\"__metadata__\":[1 2]}", 8, "',' expected"},
	{"{\"__metadata__\":tru}", 8, "a value expected"},
	{"{\"__metadata__\":-}", 8, "a value expected"},
	{"{\"__metadata__\":1.}", 8, "a digit expected"},
	{"{\"__metadata__\":1e}", 8, "a digit expected"},
};

static void test_safetensors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(safetensors) / sizeof(safetensors[0]); i++) {
		struct buf b = {.allocator = &glip__default_allocator};
		size_t length = strlen(safetensors[i].header);
		struct scratch_file file;
		struct checkpoint c;
		struct glip_error err = {0};
		char number[24];
		/* A blank first is no JSON object to the probe. */
		const char *header = safetensors[i].header + (safetensors[i].header[0] == ' ');
		length -= safetensors[i].header[0] == ' ';
		snprintf(number, sizeof(number), "8:%zu", length);
		bytes_append(&b, number);
		assert_true(glip__buf_append(&b, header, length));
		for (size_t k = 0; k < safetensors[i].data; k++)
			bytes_append(&b, k % 4 == 3 ? "1:64" : "1:0"); /* 2.0 as float32 */
		scratch_file_new(&file);
		scratch_file_write(&file, b.data, b.length);
		enum glip_status status = checkpoint_open(file.path, &glip__default_allocator, &c, &err);
		float out[2];
		if (status == GLIP_OK) {
			const struct checkpoint_tensor *t = checkpoint_find(&c, "a");
			assert_non_null(t);
			status = checkpoint_read(&c, t, out, &err);
			if (status == GLIP_OK)
				assert_true(out[0] == (t->element == ELEMENT_F32 ? 2.0f : 0.0f));
			else
				snprintf(err.message, sizeof(err.message), "cannot be read");
			checkpoint_close(&c);
		}
		if (safetensors[i].message == NULL
		        ? status != GLIP_OK
		        : status != GLIP_ERR_FORMAT || strstr(err.message, safetensors[i].message) == NULL)
			fail_msg("%s: %d, %s", safetensors[i].header, status, err.message);
		scratch_file_remove(&file);
		glip__buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),         cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_damaged_tensor), cmocka_unit_test(test_no_checkpoint),
		cmocka_unit_test(test_safetensors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
