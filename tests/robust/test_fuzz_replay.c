/* The corpora of the fuzz targets: seeds, and every input that ever did harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <dirent.h>

#include <cmocka.h>

#include "../fuzz/targets.h"
#include "support/json.h"

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Within a second: a crash or a leak ends the program. */
static void run(const struct fuzz_entry *e, const char *name, const void *data, size_t size)
{
	double started = now_s();

	e->run(data, size);
	if (now_s() - started > 1)
		fail_msg("%s, %s: takes %.1f s", e->name, name, now_s() - started);
}

static int run_folder(const struct fuzz_entry *e, const char *folder)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[512];
		size_t size;
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%.200s", folder, entry->d_name);
		char *data = test_read_file(path, &size);
		assert_non_null(data);
		run(e, path, data, size);
		free(data);
		count++;
	}
	if (dir != NULL)
		closedir(dir);
	return count;
}

static void test_stored(void **state)
{
	(void)state;
	for (const struct fuzz_entry *e = fuzz_entries; e->name != NULL; e++) {
		char folder[64];
		snprintf(folder, sizeof folder, "fuzz/corpus/%s", e->name);
		int count = run_folder(e, folder);
		if (e->run == fuzz_image)
			count += run_folder(e, "tests/data/images");
		printf("           %-12s %4d inputs\n", e->name, count);
		e->run((const uint8_t *)"", 0);
	}
}

static void run_seed(void *user, const char *target, const char *name, const void *data, size_t size)
{
	int *count = user;

	for (const struct fuzz_entry *e = fuzz_entries; e->name != NULL; e++) {
		if (strcmp(e->name, target) == 0) {
			run(e, name, data, size);
			++*count;
		}
	}
}

static void test_made(void **state)
{
	int count = 0;

	(void)state;
	fuzz_make_seeds(run_seed, &count);
	assert_true(count > 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_stored), cmocka_unit_test(test_made)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
