/* Every call into the operating system fails in turn: the status is IO (THREAD, NOMEM), the message names the file,
 * nothing is left behind and what stood there before still stands. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include <cmocka.h>

#include "convert/convert.h"
#include "support/json.h"
#include "support/tiny_model.h"

/* ---- In front of the C library ----------------------------------------------------------------------------------- */

enum call {
	CALL_OPEN,
	CALL_READ,
	CALL_PREAD,
	CALL_MMAP,
	CALL_FSTAT,
	CALL_FSYNC,
	CALL_RENAME,
	CALL_CLOSE,
	CALL_FDOPEN,
	CALL_FWRITE,
	CALL_FSEEK,
	CALL_FFLUSH,
	CALL_FCLOSE,
	CALL_THREAD,
	CALLS
};

static const char *const call_names[CALLS] = {"open",  "read",   "pread",  "mmap",          "fstat",
                                              "fsync", "rename", "close",  "fdopen",        "fwrite",
                                              "fseek", "fflush", "fclose", "pthread_create"};

/* The nth call of `which` fails with `code`; 0: none. With code EINTR or 0 a read is only disturbed: interrupted, or of
 * one byte. */
static struct {
	enum call which;
	int nth, count, code;
} plan = {.which = CALLS};

static bool fails(enum call which)
{
	if (plan.which != which || ++plan.count != plan.nth)
		return false;
	errno = plan.code;
	return true;
}

#define WRAP(type, name, parameters) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters

WRAP(int, open, (const char *path, int flags, ...))
{
	mode_t mode = 0;
	if (flags & O_CREAT) {
		va_list args;
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return fails(CALL_OPEN) ? -1 : __real_open(path, flags, mode);
}

WRAP(ssize_t, read, (int fd, void *data, size_t size))
{
	if (!fails(CALL_READ))
		return __real_read(fd, data, size);
	return plan.code != 0 ? -1 : __real_read(fd, data, 1);
}

WRAP(ssize_t, pread, (int fd, void *data, size_t size, off_t offset))
{
	if (!fails(CALL_PREAD))
		return __real_pread(fd, data, size, offset);
	return plan.code != 0 ? -1 : __real_pread(fd, data, 1, offset);
}

WRAP(void *, mmap, (void *address, size_t size, int protection, int flags, int fd, off_t offset))
{
	return fails(CALL_MMAP) ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}

WRAP(int, fstat, (int fd, struct stat *st))
{
	return fails(CALL_FSTAT) ? -1 : __real_fstat(fd, st);
}

WRAP(int, fsync, (int fd))
{
	return fails(CALL_FSYNC) ? -1 : __real_fsync(fd);
}

WRAP(int, rename, (const char *from, const char *to))
{
	return fails(CALL_RENAME) ? -1 : __real_rename(from, to);
}

/* A descriptor is gone even where close reports a fault. */
WRAP(int, close, (int fd))
{
	bool failed = fails(CALL_CLOSE);
	int code = errno, result = __real_close(fd);
	errno = code;
	return failed ? -1 : result;
}

WRAP(FILE *, fdopen, (int fd, const char *mode))
{
	return fails(CALL_FDOPEN) ? NULL : __real_fdopen(fd, mode);
}

/* Half of it is written. */
WRAP(size_t, fwrite, (const void *data, size_t size, size_t count, FILE *stream))
{
	if (!fails(CALL_FWRITE))
		return __real_fwrite(data, size, count, stream);
	count = __real_fwrite(data, size, count / 2, stream);
	errno = plan.code;
	return count;
}

WRAP(int, fseek, (FILE * stream, long offset, int origin))
{
	return fails(CALL_FSEEK) ? -1 : __real_fseek(stream, offset, origin);
}

WRAP(int, fflush, (FILE * stream))
{
	return fails(CALL_FFLUSH) ? EOF : __real_fflush(stream);
}

WRAP(int, fclose, (FILE * stream))
{
	bool failed = fails(CALL_FCLOSE);
	int code = errno, result = __real_fclose(stream);
	errno = code;
	return failed ? EOF : result;
}

WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument))
{
	return fails(CALL_THREAD) ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

/* ---- Operations -------------------------------------------------------------------------------------------------- */

struct world {
	struct scratch_file model_file, checkpoint, written;
	struct glip_model *model;
	uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3];
	int no_mmap;
	const char *named; /* what the message must name */
};

typedef enum glip_status (*operation)(struct world *w, uint64_t *digest, struct glip_error *err);

static enum glip_status load_model(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_model_options o;
	struct glip_model_info info = {.struct_size = sizeof info};
	struct glip_model *model;
	enum glip_status status;

	glip_model_options_init(&o);
	o.no_mmap = w->no_mmap;
	w->named = w->model_file.path;
	status = glip_model_load(w->model_file.path, &o, &model, err);
	if (status != GLIP_OK)
		return status;
	glip_model_get_info(model, &info);
	*digest = tiny_digest_bytes(*digest, &info.parameters, sizeof info.parameters);
	glip_model_free(model);
	return GLIP_OK;
}

static enum glip_status load_image(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_image image = {0};
	enum glip_status status;

	w->named = "tests/data/images/rgb.png";
	status = glip_image_load(w->named, NULL, &image, err);
	if (status == GLIP_OK)
		*digest = tiny_digest_bytes(*digest, image.pixels, (size_t)image.stride * (size_t)image.height);
	glip_image_free(&image);
	return status;
}

/* Threads compute the same whatever their number; none of them outlives a failure. */
static enum glip_status create_session(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_session_options o;
	struct glip_session *session;
	enum glip_status status;

	(void)digest;
	w->named = "worker thread";
	glip_session_options_init(&o);
	o.threads = 4;
	status = glip_session_create(w->model, &o, &session, err);
	glip_session_free(session);
	return status;
}

/* The file that stood there before is there after a failure, the new one after a success. */
static void digest_written(struct world *w, enum glip_status status, uint64_t *digest)
{
	size_t size;
	char *data = test_read_file(w->written.path, &size);

	assert_non_null(data);
	if (status != GLIP_OK)
		assert_true(size == 3 && memcmp(data, "old", 3) == 0);
	else
		*digest = tiny_digest_bytes(*digest, data, size);
	assert_int_equal(scratch_file_leftovers(&w->written), 0);
	free(data);
}

static void write_old(struct world *w)
{
	enum call which = plan.which;

	plan.which = CALLS;
	scratch_file_write(&w->written, "old", 3);
	plan.which = which;
}

static enum glip_status finish_writing(struct world *w, enum glip_status status, uint64_t *digest)
{
	plan.which = CALLS;
	digest_written(w, status, digest);
	scratch_file_remove(&w->written);
	return status;
}

static enum glip_status draw(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct glip_image image = tiny_image(w->pixels);
	struct scratch_file plain = w->written;
	enum glip_status status;

	strncat(w->written.path, ".jpg", 8);
	w->named = "/glip-test-";
	write_old(w);
	status = finish_writing(w, glip_draw(&image, NULL, 0, w->written.path, NULL, err), digest);
	w->written = plain;
	return status;
}

static enum glip_status convert(struct world *w, uint64_t *digest, struct glip_error *err)
{
	struct convert_options o = {
		.in = w->checkpoint.path,
		.out = w->written.path,
		.settings = {tiny_settings, TINY_SETTINGS},
		.vocab = tiny_vocabulary,
		.vocab_size = strlen(tiny_vocabulary),
		.vocab_name = "vocabulary",
		.type = DTYPE_F32,
	};
	struct convert_summary summary;

	w->named = "/glip-test-";
	write_old(w);
	return finish_writing(w, convert_checkpoint(&o, &summary, err), digest);
}

/* ---- The loops --------------------------------------------------------------------------------------------------- */

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}

/* How many faults leave the result complete all the same: those of closing a file that was only read, of opening and
 * syncing the folder behind a rename, and a read that is only disturbed. */
static int harmless(enum call which, int code, int failures)
{
	if (which == CALL_CLOSE || code == EINTR || code == 0)
		return failures;
	return which == CALL_OPEN || which == CALL_FSYNC ? 1 : 0;
}

static void fail_calls(struct world *w, operation op, const char *name, enum call which, int code,
                       enum glip_status expected)
{
	struct glip_error err = {0};
	uint64_t right = 0, digest;
	int files = open_files(), failures = 0, passed = 0;

	plan.which = CALLS;
	assert_int_equal(op(w, &right, &err), GLIP_OK);
	for (int n = 1;; n++) {
		err = (struct glip_error){0};
		digest = 0;
		plan.which = which;
		plan.nth = n;
		plan.count = 0;
		plan.code = code;
		enum glip_status status = op(w, &digest, &err);
		plan.which = CALLS;
		if (open_files() != files)
			fail_msg("%s: a file stays open after %s %d failed", name, call_names[which], n);
		if (status == GLIP_OK ? digest != right : status != expected || strstr(err.message, w->named) == NULL)
			fail_msg("%s, %s %d: %d, %s", name, call_names[which], n, (int)status, err.message);
		if (plan.count < n)
			break;
		failures++;
		passed += status == GLIP_OK;
	}
	if (passed > harmless(which, code, failures))
		fail_msg("%s: %d failures of %s were not noticed", name, passed, call_names[which]);
	if (failures > 0)
		printf("           %-14s %-14s %3d failures of which %d do no harm\n", name, call_names[which], failures,
		       passed);
}

static void fail_everything(struct world *w, operation op, const char *name)
{
	for (int which = 0; which < CALLS; which++)
		if (which != CALL_THREAD)
			fail_calls(w, op, name, (enum call)which, which == CALL_FWRITE || which == CALL_FFLUSH ? ENOSPC : EIO,
			           GLIP_ERR_IO);
	for (int which = CALL_READ; which <= CALL_PREAD; which++) {
		fail_calls(w, op, name, (enum call)which, EINTR, GLIP_ERR_IO);
		fail_calls(w, op, name, (enum call)which, 0, GLIP_ERR_IO);
	}
}

static void test_model(void **state)
{
	struct world *w = *state;

	for (w->no_mmap = 0; w->no_mmap < 2; w->no_mmap++)
		fail_everything(w, load_model, w->no_mmap ? "model, read" : "model, mapped");
	w->no_mmap = 0;
	fail_calls(w, load_model, "model, mapped", CALL_MMAP, ENOMEM, GLIP_ERR_NOMEM);
}

static void test_image(void **state)
{
	fail_everything(*state, load_image, "image");
}

static void test_draw(void **state)
{
	fail_everything(*state, draw, "draw");
}

static void test_convert(void **state)
{
	fail_everything(*state, convert, "convert");
}

static void test_threads(void **state)
{
	fail_calls(*state, create_session, "session", CALL_THREAD, EAGAIN, GLIP_ERR_THREAD);
}

/* Names that cannot be written to. */
static void test_bad_names(void **state)
{
	static const char *const names[] = {"/no/such/folder/out.png", "tests/data/head.gguf/out.png", ""};
	struct world *w = *state;
	struct glip_image image = tiny_image(w->pixels);
	struct glip_error err;
	struct glip_model *model;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(glip_draw(&image, NULL, 0, names[i], NULL, &err), GLIP_ERR_IO);
		assert_non_null(strstr(err.message, names[i]));
	}
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(glip_model_load(names[i], NULL, &model, &err), GLIP_ERR_IO);
		assert_non_null(strstr(err.message, names[i]));
		assert_null(model);
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct glip_error err;

	assert_non_null(w);
	*state = w;
	scratch_file_new(&w->model_file);
	scratch_file_new(&w->checkpoint);
	scratch_file_new(&w->written);
	tiny_model_write(&w->model_file);
	tiny_checkpoint_write(&w->checkpoint);
	return glip_model_load(w->model_file.path, NULL, &w->model, &err);
}

static int teardown(void **state)
{
	struct world *w = *state;

	glip_model_free(w->model);
	scratch_file_remove(&w->model_file);
	scratch_file_remove(&w->checkpoint);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),   cmocka_unit_test(test_image),   cmocka_unit_test(test_draw),
		cmocka_unit_test(test_convert), cmocka_unit_test(test_threads), cmocka_unit_test(test_bad_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
