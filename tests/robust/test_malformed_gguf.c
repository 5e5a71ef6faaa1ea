/* Model files made by hand, each with one thing wrong: the reader's status and the words of its message. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "support/damage.h"
#include "support/scratch_file.h"
#include "tensor/weights.h"

#define HEAD(tensors, keys) "'GGUF 4:3 8:" tensors " 8:" keys " "
/* One tensor "t" of four floats, and its data. */
#define TENSOR "s:t 4:1 8:4 4:0 8:0 "
#define DATA "a:32 z:16"

static const struct malformed {
	const char *bytes;
	enum glip_status status;
	const char *message;
} malformed[] = {
	{"", GLIP_ERR_FORMAT, "not a GGUF file"},
	{"'GGU", GLIP_ERR_FORMAT, "not a GGUF file"},
	{"'GGML 4:3 8:0 8:0", GLIP_ERR_FORMAT, "not a GGUF file"},
	{"'GGUF", GLIP_ERR_FORMAT, "ends within"},
	{"'GGUF 4:3 8:0", GLIP_ERR_FORMAT, "ends within"},
	{"'GGUF 4:1 8:0 8:0", GLIP_ERR_UNSUPPORTED, "version 1"},
	{"'GGUF 4:4 8:0 8:0", GLIP_ERR_UNSUPPORTED, "version 4"},
	{"'GGUF 4:0x03000000 8:0 8:0", GLIP_ERR_UNSUPPORTED, "big-endian"},
	{HEAD("0", "0xFFFFFFFFFFFFFFFF"), GLIP_ERR_FORMAT, "metadata keys are more"},
	{HEAD("0xFFFFFFFFFFFFFFFF", "0"), GLIP_ERR_FORMAT, "tensors are more"},
	{HEAD("0", "5000") "z:90000", GLIP_ERR_FORMAT, "5000 metadata keys"},
	{HEAD("20000", "0") "z:900000", GLIP_ERR_FORMAT, "20000 tensors"},
	{HEAD("0", "2") "s:a 4:4 4:1", GLIP_ERR_FORMAT, "2 metadata keys"},
	{HEAD("1", "0") "z:8", GLIP_ERR_FORMAT, "1 tensors"},
	{HEAD("0", "1") "s: 4:4 4:1 z:9", GLIP_ERR_FORMAT, "key 0 has 0 bytes"},
	{HEAD("0", "1") "8:64 z:100", GLIP_ERR_FORMAT, "key 0 has 64 bytes"},
	{HEAD("0", "1") "8:0xFFFFFFFFFFFFFFFF z:100", GLIP_ERR_FORMAT, "bytes; 1 to 63"},
	{HEAD("0", "1") "8:60 z:20", GLIP_ERR_FORMAT, "ends within key"},
	{HEAD("0", "1") "8:2 x:0161 4:4 4:0", GLIP_ERR_FORMAT, "holds byte 0x01"},
	{HEAD("0", "1") "8:2 x:6100 4:4 4:0", GLIP_ERR_FORMAT, "holds byte 0x00"},
	{HEAD("0", "1") "s:key 4:13 4:0", GLIP_ERR_FORMAT, "key key is of unknown type 13"},
	{HEAD("0", "1") "s:key 4:12 4:0", GLIP_ERR_FORMAT, "more than the file can hold"},
	{HEAD("0", "1") "s:key 4:7 1:2", GLIP_ERR_FORMAT, "neither true nor false"},
	{HEAD("0", "1") "s:key 4:8 8:5 'abcd", GLIP_ERR_FORMAT, "a string of key key has 5 bytes"},
	{HEAD("0", "1") "s:key 4:8 8:0xFFFFFFFFFFFFFFFF 'abcd", GLIP_ERR_FORMAT, "a string of key key"},
	{HEAD("0", "1") "s:key 4:8 4:1", GLIP_ERR_FORMAT, "more than the file can hold"},
	{HEAD("0", "1") "s:key 4:9 4:9 8:1 z:40", GLIP_ERR_FORMAT, "array of arrays"},
	{HEAD("0", "1") "s:key 4:9 4:14 8:1 z:40", GLIP_ERR_FORMAT, "unknown type 14"},
	{HEAD("0", "1") "s:key 4:9 4:4 8:0x4000000000000001 4:0", GLIP_ERR_FORMAT, "elements, more than"},
	{HEAD("0", "1") "s:key 4:9 4:10 8:0x2000000000000001 8:0", GLIP_ERR_FORMAT, "elements, more than"},
	{HEAD("0", "1") "s:key 4:9 4:8 8:3 s:a s:b", GLIP_ERR_FORMAT, "elements, more than"},
	{HEAD("0", "1") "s:key 4:9 4:8 8:2 s:a 8:9 'b", GLIP_ERR_FORMAT, "a string of key key"},
	{HEAD("0", "2") "s:key 4:4 4:1 s:key 4:4 4:1", GLIP_ERR_FORMAT, "key key stands there twice"},
	{HEAD("0", "1") "s:general.alignment 4:4 4:0", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:4 4:48", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:4 4:4", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:4 4:0x80000000", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:10 8:64", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:8 s:64", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("1", "0") "8:64 z:100", GLIP_ERR_FORMAT, "tensor 0 has 64 bytes"},
	{HEAD("1", "0") "s:t 4:0 4:0 8:0 z:64", GLIP_ERR_FORMAT, "tensor t has 0 dimensions"},
	{HEAD("1", "0") "s:t 4:5 8:1 8:1 8:1 8:1 8:1 4:0 8:0 z:64", GLIP_ERR_FORMAT, "tensor t has 5 dimensions"},
	{HEAD("1", "0") "s:t 4:0xFFFFFFFF 8:1 4:0 8:0 z:64", GLIP_ERR_FORMAT, "dimensions; 1 to 4"},
	{HEAD("1", "0") "s:t 4:2 8:4 8:0 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 0 of tensor t is 0"},
	{HEAD("1", "0") "s:t 4:1 8:0xFFFFFFFFFFFFFFFF 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "cannot hold"},
	{HEAD("1", "0") "s:t 4:4 8:65536 8:65536 8:65536 8:65536 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "cannot hold"},
	{HEAD("1", "0") "s:t 4:2 8:8 8:0x2000000000000001 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "cannot hold"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:2 8:0 " DATA, GLIP_ERR_UNSUPPORTED, "tensor t is of type 2"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:0xFFFFFFFF 8:0 " DATA, GLIP_ERR_UNSUPPORTED, "type 4294967295"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:0 8:4 " DATA " z:64", GLIP_ERR_FORMAT, "not a multiple of 32"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:0 8:32 " DATA, GLIP_ERR_FORMAT, "past the end of the file"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:0 8:0xFFFFFFFFFFFFFFE0 " DATA, GLIP_ERR_FORMAT, "past the end of the file"},
	{HEAD("1", "0") TENSOR "a:32 z:15", GLIP_ERR_FORMAT, "past the end of the file"},
	{HEAD("1", "0") TENSOR, GLIP_ERR_FORMAT, "ends within its header"},
	{HEAD("2", "0") TENSOR TENSOR DATA, GLIP_ERR_FORMAT, "tensor t stands there twice"},
	{HEAD("2", "0") TENSOR "s:u 4:1 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "tensor u begins before"},
	{HEAD("2", "0") "s:t 4:1 8:9 4:0 8:0 s:u 4:1 8:1 4:0 8:32 a:32 z:128", GLIP_ERR_FORMAT, "tensor u begins before"},
	{HEAD("2", "0") "s:t 4:1 8:4 4:0 8:32 s:u 4:1 8:4 4:0 8:0 a:32 z:64", GLIP_ERR_FORMAT, "tensor u begins before"},
	/* Counts whose product with a size wraps at 64 bits, or at 32. */
	{HEAD("0", "0x2000000000000001") "z:64", GLIP_ERR_FORMAT, "metadata keys are more"},
	{HEAD("0x0CCCCCCCCCCCCCCD", "0") "z:64", GLIP_ERR_FORMAT, "tensors are more"},
	{HEAD("0x100000001", "0") "s:t 4:1 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "4294967297 tensors"},
	{HEAD("0", "0x100000001") "s:key 4:4 4:1 z:64", GLIP_ERR_FORMAT, "4294967297 metadata keys"},
	{HEAD("0x8000000000000000", "0x8000000000000000") "z:64", GLIP_ERR_FORMAT, "metadata keys are more"},
	{HEAD("0", "1") "s:key 4:9 4:5 8:0xFFFFFFFFFFFFFFFF 4:0", GLIP_ERR_FORMAT, "18446744073709551615 elements"},
	{HEAD("0", "1") "s:key 4:9 4:3 8:0x8000000000000000 4:0", GLIP_ERR_FORMAT, "elements, more than"},
	{HEAD("0", "1") "s:key 4:9 4:11 8:0x100000001 8:0", GLIP_ERR_FORMAT, "4294967297 elements"},
	{HEAD("0", "1") "s:key 4:9 4:0 8:5 4:0", GLIP_ERR_FORMAT, "5 elements, more than"},
	{HEAD("0", "1") "s:key 4:9 4:8 8:0x2000000000000000 8:0", GLIP_ERR_FORMAT, "elements, more than"},
	/* Names and strings whose length is near a power of two, or cut. */
	{HEAD("0", "1") "8:0x8000000000000000 z:100", GLIP_ERR_FORMAT, "name of key 0 has 9223372036854775808 bytes"},
	{HEAD("0", "1") "8:0x7FFFFFFFFFFFFFFF z:100", GLIP_ERR_FORMAT, "name of key 0 has 9223372036854775807 bytes"},
	{HEAD("0", "1") "8:0x100000003 'key 4:4 4:1 z:9", GLIP_ERR_FORMAT, "name of key 0 has 4294967299 bytes"},
	{HEAD("1", "0") "8:0x8000000000000000 z:100", GLIP_ERR_FORMAT, "tensor 0 has 9223372036854775808 bytes"},
	{HEAD("1", "0") "8:0xFFFFFFFFFFFFFFC0 z:100", GLIP_ERR_FORMAT, "bytes; 1 to 63"},
	{HEAD("1", "0") "s: 4:1 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "tensor 0 has 0 bytes"},
	{HEAD("1", "0") "8:63 z:40", GLIP_ERR_FORMAT, "ends within tensor"},
	{HEAD("1", "0") "8:1 x:0A 4:1 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "tensor 0 holds byte 0x0A"},
	{HEAD("1", "0") "8:1 x:FF 4:1 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "tensor 0 holds byte 0xFF"},
	{HEAD("0", "1") "8:2 x:6B20 4:4 4:1", GLIP_ERR_FORMAT, "key 0 holds byte 0x20"},
	{HEAD("0", "1") "s:key 4:8 8:0x8000000000000000 'abcd", GLIP_ERR_FORMAT, "has 9223372036854775808 bytes"},
	{HEAD("0", "1") "s:key 4:8 8:0x100000001 'abcd", GLIP_ERR_FORMAT, "has 4294967297 bytes"},
	{HEAD("0", "1") "s:key 4:9 4:8 8:2 s:a 8:0xFFFFFFFFFFFFFFF8 'b", GLIP_ERR_FORMAT, "a string of key key"},
	{HEAD("0", "1") "s:key 4:9 4:8 8:2 8:8 'abcdefgh", GLIP_ERR_FORMAT, "ends within key"},
	/* Types. */
	{HEAD("0", "1") "s:key 4:0xFFFFFFFF 8:0", GLIP_ERR_FORMAT, "unknown type 4294967295"},
	{HEAD("0", "1") "s:key 4:0x80000004 8:0", GLIP_ERR_FORMAT, "unknown type 2147483652"},
	{HEAD("0", "1") "s:key 4:9", GLIP_ERR_FORMAT, "ends within key"},
	{HEAD("0", "1") "s:key 4:9 4:4 4:1", GLIP_ERR_FORMAT, "ends within key"},
	{HEAD("0", "1") "s:key 4:9 4:9 8:0 z:8", GLIP_ERR_FORMAT, "array of arrays"},
	{HEAD("0", "1") "s:key 4:9 4:9 8:0xFFFFFFFFFFFFFFFF z:8", GLIP_ERR_FORMAT, "array of arrays"},
	{HEAD("0", "1") "s:key 4:9 4:7 8:3 x:010002", GLIP_ERR_FORMAT, "neither true nor false"},
	{HEAD("0", "1") "s:key 4:7 1:255", GLIP_ERR_FORMAT, "neither true nor false"},
	{HEAD("0", "1") "s:key 4:9 4:13 8:1 8:0", GLIP_ERR_FORMAT, "unknown type 13"},
	/* Doubled keys, whatever their types. */
	{HEAD("0", "2") "s:key 4:4 4:1 s:key 4:9 4:4 8:0", GLIP_ERR_FORMAT, "key key stands there twice"},
	{HEAD("0", "3") "s:key 4:4 4:1 s:other 4:8 s: s:key 4:8 s:x", GLIP_ERR_FORMAT, "key key stands there twice"},
	{HEAD("0", "2") "s:general.alignment 4:4 4:32 s:general.alignment 4:4 4:64", GLIP_ERR_FORMAT, "twice"},
	/* Alignments. */
	{HEAD("0", "1") "s:general.alignment 4:4 4:3", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:4 4:0xFFFFFFFF", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:4 4:131072", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:5 4:-32", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:9 4:4 8:1 4:32", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("0", "1") "s:general.alignment 4:9 4:4 8:0", GLIP_ERR_FORMAT, "power of two"},
	{HEAD("1", "1") "s:general.alignment 4:4 4:65536 " TENSOR DATA, GLIP_ERR_FORMAT, "ends within its header"},
	{HEAD("1", "1") "s:general.alignment 4:4 4:64 s:t 4:1 8:4 4:0 8:32 a:64 z:64", GLIP_ERR_FORMAT,
     "offset 32 of tensor t is not a multiple of 64"},
	/* Shapes: products that wrap to something small, one dimension after the other. */
	{HEAD("1", "0") "s:t 4:2 8:0x8000000000000000 8:2 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 1 of tensor t"},
	{HEAD("1", "0") "s:t 4:2 8:2 8:0x8000000000000000 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 0 of tensor t"},
	{HEAD("1", "0") "s:t 4:2 8:0x100000000 8:0x100000000 4:24 8:0 " DATA, GLIP_ERR_FORMAT, "cannot hold"},
	{HEAD("1", "0") "s:t 4:3 8:2 8:2 8:0x4000000000000001 4:24 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 0 of tensor t"},
	{HEAD("1", "0") "s:t 4:1 8:0x4000000000000001 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "cannot hold"},
	{HEAD("1", "0") "s:t 4:1 8:0x100000004 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "cannot hold"},
	{HEAD("1", "0") "s:t 4:1 8:0 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 0 of tensor t is 0"},
	{HEAD("1", "0") "s:t 4:4 8:1 8:1 8:0 8:1 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 1 of tensor t is 0"},
	{HEAD("1", "0") "s:t 4:3 8:4 8:4 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "dimension 0 of tensor t is 4"},
	{HEAD("1", "0") "s:t 4:0x80000001 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "2147483649 dimensions"},
	{HEAD("1", "0") "s:t 4:4 8:1 8:1 8:1 8:1", GLIP_ERR_FORMAT, "ends within t"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:8 8:0 " DATA, GLIP_ERR_UNSUPPORTED, "tensor t is of type 8"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:31 8:0 " DATA, GLIP_ERR_UNSUPPORTED, "tensor t is of type 31"},
	/* Offsets that wrap when the size or the start of the data is added. */
	{HEAD("1", "0") "s:t 4:1 8:4 4:0 8:0xFFFFFFFFFFFFFFFF " DATA, GLIP_ERR_FORMAT, "not a multiple of 32"},
	{HEAD("1", "0") "s:t 4:1 8:8 4:0 8:0xFFFFFFFFFFFFFFE0 a:32 z:64", GLIP_ERR_FORMAT, "past the end of the file"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:0 8:0x8000000000000000 " DATA, GLIP_ERR_FORMAT, "past the end of the file"},
	{HEAD("1", "0") "s:t 4:1 8:4 4:0 8:0x100000000 " DATA, GLIP_ERR_FORMAT, "past the end of the file"},
	{HEAD("2", "0") TENSOR "s:u 4:1 8:4 4:0 8:0xFFFFFFFFFFFFFFE0 " DATA, GLIP_ERR_FORMAT, "tensor u (16 bytes) lies"},
	{HEAD("2", "0") "s:t 4:1 8:4 4:0 8:0xFFFFFFFFFFFFFFE0 s:u 4:1 8:4 4:0 8:0 " DATA, GLIP_ERR_FORMAT, "tensor t (16"},
	/* Tensors that share bytes: the first one's end, all of it, its middle. */
	{HEAD("2", "0") "s:t 4:1 8:16 4:0 8:0 s:u 4:1 8:4 4:0 8:32 a:32 z:64", GLIP_ERR_FORMAT, "tensor u begins before"},
	{HEAD("3", "0") TENSOR "s:u 4:1 8:4 4:0 8:32 s:v 4:1 8:4 4:0 8:0 a:32 z:64", GLIP_ERR_FORMAT,
     "tensor v begins before"},
	{HEAD("3", "0") TENSOR "s:u 4:1 8:4 4:0 8:32 s:t 4:1 8:4 4:0 8:64 a:32 z:96", GLIP_ERR_FORMAT, "tensor t stands"},
};
enum { CASES = sizeof(malformed) / sizeof(malformed[0]) };

/* Both ways of reading: what is mapped ends with the file's last page, what is read lies in memory of exactly its size,
 * so that a sanitizer sees any step past it. */
static void test_malformed(void **state)
{
	struct scratch_file file;
	struct damage d;

	(void)state;
	scratch_file_new(&file);
	damage_init(&d);
	for (size_t i = 0; i < 2 * CASES; i++) {
		const struct malformed *m = &malformed[i / 2];
		struct buf b = {.allocator = &glip__default_allocator};
		struct weights *w = NULL;
		struct glip_error err = {0};
		bytes_append(&b, m->bytes);
		scratch_file_write(&file, b.data, b.length);
		damage_begin(&d);
		enum glip_status status = glip__weights_open(file.path, i % 2, &d.probe.allocator, &w, &err);
		if (status != m->status || strstr(err.message, m->message) == NULL || strstr(err.message, file.path) == NULL)
			fail_msg("case %zu (%s): %d, %s", i / 2, m->bytes, status, err.message);
		assert_null(w);
		damage_end(&d, status, err.message, "case", i / 2);
		glip__buf_free(&b);
	}
	scratch_file_remove(&file);
	damage_summary(&d, "GGUF, read and mapped", 2 * 100);
}

/* No two cases are the same file. */
static void test_distinct(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(malformed[i].bytes, malformed[k].bytes) == 0)
				fail_msg("cases %zu and %zu are both %s", k, i, malformed[i].bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_malformed), cmocka_unit_test(test_distinct)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
