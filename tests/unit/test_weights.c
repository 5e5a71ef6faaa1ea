/* The weights file: what is written is read back, and nothing that a file may hold does harm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/alloc_probe.h"
#include "support/scratch_file.h"
#include "tensor/checksum.h"
#include "tensor/weights.h"

#define HEAD(tensors, keys) "'GGUF 4:3 8:" tensors " 8:" keys " "

static struct buf bytes_of(const char *text)
{
	struct buf b = {.allocator = &glip__default_allocator};

	bytes_append(&b, text);
	return b;
}

/* Opens the bytes as a file; they lie in memory of exactly their size, so that a sanitizer sees any step past them. */
static enum glip_status open_bytes(const void *data, size_t size, struct weights **out, struct glip_error *err)
{
	struct scratch_file file;
	enum glip_status status;

	scratch_file_new(&file);
	scratch_file_write(&file, data, size);
	status = glip__weights_open(file.path, 0, NULL, out, err);
	scratch_file_remove(&file);
	return status;
}

/* The shortest of everything: what the files of test_malformed_gguf.c are one step away from. */
static void test_smallest(void **state)
{
	struct buf b = bytes_of(HEAD("2", "3") "s:general.alignment 4:4 4:8 s:a 4:9 4:8 8:2 s:x s: s:b 4:3 2:0xFFFE "
	                                       "s:t 4:2 8:2 8:1 4:0 8:0 s:u 4:1 8:3 4:24 8:8 a:8 z:8 x:7F80FF");
	struct weights_text texts[2];
	struct weights *w = NULL;
	struct glip_error err;
	size_t count;
	int64_t n;

	(void)state;
	if (open_bytes(b.data, b.length, &w, &err) != GLIP_OK)
		fail_msg("%s", err.message);
	assert_int_equal(glip__weights_count(w), 2);
	const struct tensor *t = glip__weights_find(w, "t"), *u = glip__weights_find(w, "u");
	assert_true(t->ndim == 2 && t->shape[0] == 1 && t->shape[1] == 2 && t->dtype == DTYPE_F32);
	assert_true(u->ndim == 1 && u->shape[0] == 3 && u->dtype == DTYPE_I8);
	assert_int_equal(((const int8_t *)u->data)[1], -128);
	assert_null(glip__weights_find(w, "v"));
	assert_true(glip__weights_get_int(w, "b", &n) && n == -2);
	assert_true(glip__weights_get_texts(w, "a", texts, &count) && count == 2);
	assert_true(texts[0].length == 1 && texts[0].text[0] == 'x' && texts[1].length == 0);
	assert_int_equal(glip__weights_verify(w, &err), GLIP_ERR_FORMAT);
	assert_non_null(strstr(err.message, "no checksum"));
	glip__weights_close(w);
	glip__buf_free(&b);
}

/* ---- Round trip -------------------------------------------------------------------------------------------------- */

static const float values[6] = {1.5f, -2.0f, 0.0f, 3.25f, 1e-30f, -7e20f};
static const int32_t rows[3] = {2, -1, 70000};
static const uint16_t halves[4] = {0x3F80, 0xC000, 0x0001, 0x7F7F};

/* The calls in order; stops at the first failure. */
static enum glip_status write_model(const char *path, const struct glip_allocator *a, struct glip_error *err)
{
	const struct tensor matrix = {.ndim = 2, .shape = {2, 3}, .dtype = DTYPE_F32};
	const struct tensor vector = {.ndim = 1, .shape = {3}, .dtype = DTYPE_I32};
	const struct tensor narrow = {.ndim = 3, .shape = {1, 2, 2}, .dtype = DTYPE_BF16};
	static const int64_t small[] = {1, 2, 3}, wide[] = {-1, 5000000000};
	static const struct weights_text texts[] = {{"one", 3}, {"", 0}, {"three", 5}};
	struct weights_writer *w;
	enum glip_status status;

	TRY(glip__weights_writer_create(path, a, &w, err));
	TRY_OUT(glip__weights_put_int(w, "int", 7));
	TRY_OUT(glip__weights_put_int(w, "negative", -5000000000));
	TRY_OUT(glip__weights_put_float(w, "float", 0.5));
	TRY_OUT(glip__weights_put_float(w, "double", 0.1));
	TRY_OUT(glip__weights_put_bool(w, "yes", true));
	TRY_OUT(glip__weights_put_text(w, "text", "hello"));
	TRY_OUT(glip__weights_put_ints(w, "small", small, 3));
	TRY_OUT(glip__weights_put_ints(w, "wide", wide, 2));
	TRY_OUT(glip__weights_put_texts(w, "texts", texts, 3));
	TRY_OUT(glip__weights_declare(w, "matrix", &matrix, err));
	TRY_OUT(glip__weights_declare(w, "vector", &vector, err));
	TRY_OUT(glip__weights_declare(w, "narrow", &narrow, err));
	TRY_OUT(glip__weights_write(w, values, err));
	TRY_OUT(glip__weights_write(w, rows, err));
	TRY_OUT(glip__weights_write(w, halves, err));
	TRY_OUT(glip__weights_writer_commit(w, err));
out:
	glip__weights_writer_free(w);
	return status;
}

static void check_metadata(const struct weights *w)
{
	struct weights_text text, texts[3];
	int64_t n, list[3];
	size_t count;
	double d;
	bool yes;

	assert_true(glip__weights_get_text(w, "general.architecture", &text) && text.length == 4);
	assert_memory_equal(text.text, "glip", 4);
	assert_true(glip__weights_get_int(w, "int", &n) && n == 7);
	assert_true(glip__weights_get_int(w, "negative", &n) && n == -5000000000);
	assert_true(glip__weights_get_float(w, "float", &d) && d == 0.5);
	assert_true(glip__weights_get_float(w, "double", &d) && d == 0.1);
	assert_true(glip__weights_get_bool(w, "yes", &yes) && yes);
	assert_true(glip__weights_get_text(w, "text", &text) && text.length == 5 && memcmp(text.text, "hello", 5) == 0);
	assert_true(glip__weights_get_ints(w, "small", list, 3, &count) && count == 3 && list[2] == 3);
	assert_true(glip__weights_get_ints(w, "wide", list, 3, &count) && count == 2 && list[0] == -1 &&
	            list[1] == 5000000000);
	assert_true(glip__weights_get_texts(w, "texts", NULL, &count) && count == 3);
	assert_true(glip__weights_get_texts(w, "texts", texts, &count) && texts[2].length == 5);
	/* Absent, or of another type. */
	assert_false(glip__weights_get_int(w, "nothing", &n));
	assert_false(glip__weights_get_int(w, "text", &n));
	assert_false(glip__weights_get_int(w, "small", &n));
	assert_false(glip__weights_get_float(w, "int", &d));
	assert_false(glip__weights_get_bool(w, "int", &yes));
	assert_false(glip__weights_get_text(w, "texts", &text));
	assert_false(glip__weights_get_ints(w, "small", list, 2, &count));
	assert_false(glip__weights_get_ints(w, "texts", list, 3, &count));
	assert_false(glip__weights_get_ints(w, "int", list, 3, &count));
	assert_false(glip__weights_get_texts(w, "small", NULL, &count));
}

static void test_round_trip(void **state)
{
	struct scratch_file file;
	struct glip_error err;
	struct weights *w;

	(void)state;
	scratch_file_new(&file);
	for (int mapped = 0; mapped < 2; mapped++) {
		if (write_model(file.path, NULL, &err) != GLIP_OK ||
		    glip__weights_open(file.path, mapped, NULL, &w, &err) != GLIP_OK)
			fail_msg("%s", err.message);
		check_metadata(w);
		assert_int_equal(glip__weights_count(w), 3);
		const char *name;
		const struct tensor *t = glip__weights_at(w, 1, &name);
		assert_string_equal(name, "vector");
		assert_ptr_equal(t, glip__weights_find(w, "vector"));
		assert_memory_equal(t->data, rows, sizeof(rows));
		assert_null(glip__weights_at(w, 3, &name));
		t = glip__weights_find(w, "matrix");
		assert_true(t->ndim == 2 && t->shape[0] == 2 && t->shape[1] == 3);
		assert_memory_equal(t->data, values, sizeof(values));
		assert_int_equal((uintptr_t)t->data % 64, 0);
		t = glip__weights_find(w, "narrow");
		assert_true(t->ndim == 3 && t->dtype == DTYPE_BF16);
		assert_memory_equal(t->data, halves, sizeof(halves));
		if (glip__weights_verify(w, &err) != GLIP_OK)
			fail_msg("%s", err.message);
		assert_string_equal(glip__weights_path(w), file.path);
		glip__weights_close(w);
	}
	assert_int_equal(scratch_file_leftovers(&file), 0);
	scratch_file_remove(&file);
}

static void test_metadata_text(void **state)
{
	static const char *const expected[][2] = {{"int", "7"},      {"double", "0.1"},          {"yes", "true"},
	                                          {"text", "hello"}, {"wide", "-1, 5000000000"}, {"texts", "one, , three"}};
	struct scratch_file file;
	struct glip_error err;
	struct weights *w;
	const char *key;
	char value[256];
	size_t found = 0;

	(void)state;
	scratch_file_new(&file);
	assert_int_equal(write_model(file.path, NULL, &err), GLIP_OK);
	assert_int_equal(glip__weights_open(file.path, 1, NULL, &w, &err), GLIP_OK);
	for (size_t i = 0; glip__weights_metadata(w, i, &key, value, sizeof(value)); i++) {
		for (size_t k = 0; k < sizeof(expected) / sizeof(expected[0]); k++) {
			if (strcmp(expected[k][0], key) != 0)
				continue;
			assert_string_equal(value, expected[k][1]);
			found++;
		}
		/* No size may be overrun. */
		for (size_t size = 1; size < 20; size++) {
			char small[32];
			memset(small, '#', sizeof(small));
			assert_true(glip__weights_metadata(w, i, &key, small, size));
			assert_int_equal(small[size], '#');
			assert_non_null(memchr(small, 0, size));
		}
	}
	assert_int_equal(found, sizeof(expected) / sizeof(expected[0]));
	glip__weights_close(w);
	scratch_file_remove(&file);
}

static void test_writer_refusals(void **state)
{
	struct tensor t = {.ndim = 1, .shape = {3}, .dtype = DTYPE_F32};
	static const float data[3];
	struct scratch_file file;
	struct glip_error err;
	struct weights_writer *w;
	char name[80];

	(void)state;
	scratch_file_new(&file);
	assert_int_equal(glip__weights_writer_create("/no/such/folder/x.gguf", NULL, &w, &err), GLIP_ERR_IO);
	assert_null(w);
	assert_int_equal(glip__weights_writer_create(file.path, NULL, &w, &err), GLIP_OK);
	memset(name, 'n', 64);
	name[64] = '\0';
	assert_int_equal(glip__weights_declare(w, name, &t, &err), GLIP_ERR_LIMIT);
	assert_int_equal(glip__weights_put_int(w, name, 1), GLIP_ERR_LIMIT);
	name[63] = '\0';
	assert_int_equal(glip__weights_declare(w, name, &t, &err), GLIP_OK);
	t.shape[0] = 0;
	assert_int_equal(glip__weights_declare(w, "zero", &t, &err), GLIP_ERR_ARGUMENT);
	t.shape[0] = INT64_MAX;
	assert_int_equal(glip__weights_declare(w, "huge", &t, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip__weights_writer_commit(w, &err), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip__weights_write(w, data, &err), GLIP_OK);
	assert_int_equal(glip__weights_put_int(w, "late", 1), GLIP_ERR_ARGUMENT);
	assert_int_equal(glip__weights_write(w, data, &err), GLIP_ERR_ARGUMENT);
	/* Not committed: nothing is left, under neither name. */
	glip__weights_writer_free(w);
	assert_int_equal(scratch_file_leftovers(&file), 0);
	assert_null(fopen(file.path, "rb"));
}

/* ---- Damage ------------------------------------------------------------------------------------------------------ */

static uint8_t *read_model(size_t *size)
{
	struct scratch_file file;
	struct glip_error err;
	uint8_t *bytes;
	FILE *f;

	scratch_file_new(&file);
	assert_int_equal(write_model(file.path, NULL, &err), GLIP_OK);
	f = fopen(file.path, "rb");
	assert_non_null(f);
	bytes = malloc(4096);
	assert_non_null(bytes);
	*size = fread(bytes, 1, 4096, f);
	assert_true(*size > 200 && *size < 4096);
	fclose(f);
	scratch_file_remove(&file);
	return bytes;
}

/* Opened or refused with a message; verified only where nothing changed. */
static bool survives(const uint8_t *bytes, size_t size)
{
	struct weights *w = NULL;
	struct glip_error err = {0};
	char value[64];
	const char *key;
	bool intact = false;

	if (open_bytes(bytes, size, &w, &err) != GLIP_OK) {
		assert_null(w);
		assert_true(err.message[0] != '\0');
		return false;
	}
	for (size_t i = 0; glip__weights_metadata(w, i, &key, value, sizeof(value)); i++)
		assert_true(strlen(value) < sizeof(value));
	for (size_t i = 0; i < glip__weights_count(w); i++) {
		const struct tensor *t = glip__weights_at(w, i, NULL);
		int64_t n;
		volatile uint8_t last;
		assert_true(glip__tensor_count(t, &n) && n > 0);
		last = ((const uint8_t *)t->data)[(size_t)n * glip__dtype_size(t->dtype) - 1];
		(void)last;
	}
	intact = glip__weights_verify(w, &err) == GLIP_OK;
	glip__weights_close(w);
	return intact;
}

static void test_truncated(void **state)
{
	size_t size;
	uint8_t *bytes = read_model(&size);

	(void)state;
	for (size_t n = 0; n < size; n++)
		assert_false(survives(bytes, n));
	assert_true(survives(bytes, size));
	free(bytes);
}

static void test_bit_flips(void **state)
{
	size_t size;
	uint8_t *bytes = read_model(&size);

	(void)state;
	for (size_t i = 0; i < 8 * size; i++) {
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		if (survives(bytes, size))
			fail_msg("bit %zu of byte %zu can be flipped unnoticed", i % 8, i / 8);
		bytes[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	free(bytes);
}

static void test_checksum(void **state)
{
	uint8_t data[200];
	struct checksum whole, parts;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37 + 11);
	glip__checksum_init(&whole);
	/* Computed apart from this code, by the formula of weights/FORMAT.md. */
	assert_true(glip__checksum_final(&whole) == 0x64E820176A9EA22Fu);
	glip__checksum_update(&whole, data, sizeof(data));
	assert_true(glip__checksum_final(&whole) == 0xA72969B24B1ED3A0u);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		glip__checksum_init(&parts);
		glip__checksum_update(&parts, data, cut);
		glip__checksum_update(&parts, data + cut, (sizeof(data) - cut) / 2);
		glip__checksum_update(&parts, data + cut + (sizeof(data) - cut) / 2,
		                      sizeof(data) - cut - (sizeof(data) - cut) / 2);
		assert_true(glip__checksum_final(&parts) == glip__checksum_final(&whole));
	}
	/* The length counts: zeros at the end are not nothing. */
	memset(data, 0, sizeof(data));
	glip__checksum_init(&whole);
	glip__checksum_update(&whole, data, 33);
	glip__checksum_init(&parts);
	glip__checksum_update(&parts, data, 34);
	assert_true(glip__checksum_final(&whole) != glip__checksum_final(&parts));
}

/* ---- Memory failure ---------------------------------------------------------------------------------------------- */

static void test_out_of_memory(void **state)
{
	struct scratch_file file;
	struct glip_error err;
	struct alloc_probe probe;
	struct weights *w;
	bool done = false;

	(void)state;
	scratch_file_new(&file);
	alloc_probe_init(&probe);
	for (long n = 1; !done; n++) {
		alloc_probe_arm(&probe, n, n % 2);
		enum glip_status status = write_model(file.path, &probe.allocator, &err);
		done = probe.calls < n;
		/* Syncing the folder is a courtesy: without memory for it the file is there all the same. */
		if (status != GLIP_OK || done)
			assert_int_equal(status, done ? GLIP_OK : GLIP_ERR_NOMEM);
		assert_int_equal(probe.live, 0);
		assert_int_equal(scratch_file_leftovers(&file), 0);
	}
	for (int mapped = 0; mapped < 2; mapped++) {
		done = false;
		for (long n = 1; !done; n++) {
			alloc_probe_arm(&probe, n, n % 2);
			enum glip_status status = glip__weights_open(file.path, mapped, &probe.allocator, &w, &err);
			done = probe.calls < n;
			assert_int_equal(status, done ? GLIP_OK : GLIP_ERR_NOMEM);
			if (done)
				glip__weights_close(w);
			assert_int_equal(probe.live, 0);
		}
	}
	scratch_file_remove(&file);
}

/* ---- Binding ----------------------------------------------------------------------------------------------------- */

static void test_binder(void **state)
{
	struct scratch_file file;
	struct glip_error err = {0};
	struct weights *w;
	struct binder b;

	(void)state;
	scratch_file_new(&file);
	assert_int_equal(write_model(file.path, NULL, &err), GLIP_OK);
	assert_int_equal(glip__weights_open(file.path, 1, NULL, &w, &err), GLIP_OK);
	assert_int_equal(glip__binder_init(&b, w, NULL, &err), GLIP_OK);
	struct matrix m = glip__bind_matrix(&b, 2, 3, "%s", "matrix");
	assert_true(m.data != NULL && m.rows == 2 && m.cols == 3 && m.dtype == DTYPE_F32);
	assert_true(b.used[0] == 1 && b.used[1] == 0);
	assert_memory_equal(glip__bind_vector(&b, 6, "matrix"), values, sizeof(values));
	assert_memory_equal(glip__bind_indices(&b, 3, "vector"), rows, sizeof(rows));
	assert_int_equal(glip__bind_int(&b, "int", 7, 7), 7);
	assert_true(glip__bind_has(&b, "%s%s", "mat", "rix") && !glip__bind_has(&b, "m"));
	assert_int_equal(glip__binder_finish(&b, &err), GLIP_OK);

	assert_null(glip__bind_vector(&b, 5, "matrix"));
	assert_null(glip__bind_vector(&b, 3, "vector"));
	assert_null(glip__bind_vector(&b, 3, "stage.%d.none", 2));
	assert_null(glip__bind_indices(&b, 2, "vector"));
	assert_null(glip__bind_matrix(&b, 3, 2, "matrix").data);
	assert_null(glip__bind_matrix(&b, 1, 3, "vector").data);
	assert_null(glip__bind_matrix(&b, 2, 2, "narrow").data);
	assert_int_equal(glip__bind_int(&b, "int", 8, 9), 8);
	assert_int_equal(glip__bind_int(&b, "text", 3, 9), 3);
	assert_int_equal(b.problem_count, 9);
	assert_string_equal(b.problems.data, "tensor matrix is 2x3, expected 5 values\n"
	                                     "tensor vector is i32, expected f32\n"
	                                     "tensor stage.2.none is missing\n"
	                                     "tensor vector is 3, expected 2 values\n"
	                                     "tensor matrix is 2x3, expected 3x2\n"
	                                     "tensor vector is i32, expected f32, bf16 or i8\n"
	                                     "tensor narrow is 1x2x2, expected 2x2\n"
	                                     "metadata int is 7, expected 8 to 9\n"
	                                     "metadata text is missing or no integer\n");
	assert_int_equal(glip__binder_finish(&b, &err), GLIP_ERR_MODEL);
	assert_non_null(strstr(err.message, "9 problems: tensor matrix is 2x3, expected 5 values;"));
	assert_non_null(strstr(err.message, file.path));
	glip__binder_free(&b);
	glip__weights_close(w);
	scratch_file_remove(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smallest),      cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_metadata_text), cmocka_unit_test(test_writer_refusals),
		cmocka_unit_test(test_truncated),     cmocka_unit_test(test_bit_flips),
		cmocka_unit_test(test_checksum),      cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_binder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
