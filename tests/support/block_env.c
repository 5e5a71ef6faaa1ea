#include "support/block_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "image/preprocess.h"

void block_env_check(enum glip_status status, const struct glip_error *err)
{
	if (status != GLIP_OK)
		fail_msg("%s", err->message);
}

uint32_t test_cpu_mask(void)
{
	const char *text = getenv("GLIP_TEST_MASK");
	uint32_t mask = text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;

	return mask != 0 ? mask & (glip__cpu_flags() | GLIP_CPU_SCALAR) : 0;
}

void block_env_open(struct block_env *e, const struct rule_config *config, uint64_t seed, unsigned parts, int threads)
{
	char path[] = "/tmp/glip-test-XXXXXX";
	enum glip_status status;
	int fd;

	memset(e, 0, sizeof *e);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_true(rule_weights_write(path, config, seed, parts));
	status = glip__weights_open(path, 1, NULL, &e->weights, &e->err);
	/* The mapping keeps the content; so nothing is left behind where a test fails. */
	unlink(path);
	block_env_check(status, &e->err);
	block_env_check(glip__binder_init(&e->binder, e->weights, NULL, &e->err), &e->err);
	block_env_check(glip__pool_create(threads, &glip__default_allocator, &e->pool, &e->err), &e->err);
	glip__arena_init(&e->arena, &glip__default_allocator);
	e->ops = (struct ops){
		.kernels = glip__kernels(test_cpu_mask() != 0 ? test_cpu_mask() : glip__cpu_flags()),
		.pool = e->pool,
		.arena = &e->arena,
		.gemm = GLIP_GEMM_NATIVE,
		.err = &e->err,
	};
}

void block_env_check_bound(struct block_env *e)
{
	block_env_check(glip__binder_finish(&e->binder, &e->err), &e->err);
}

void block_env_close(struct block_env *e)
{
	glip__arena_free(&e->arena);
	glip__pool_free(e->pool);
	glip__binder_free(&e->binder);
	glip__weights_close(e->weights);
}

/* ---- Reference cases -------------------------------------------------------------------------------------------- */

bool reference_case_open(struct reference_case *c, const char *name)
{
	const struct json *size;
	char path[300], *text;
	size_t length;

	memset(c, 0, sizeof *c);
	snprintf(c->folder, sizeof c->folder, "../shared/reference/cases/%s", name);
	snprintf(path, sizeof path, "%s/case.json", c->folder);
	text = test_read_file(path, &length);
	if (text == NULL)
		return false;
	c->json = json_parse(text, length);
	free(text);
	c->config = rule_variant(json_get(c->json, "variant")->text);
	assert_non_null(c->config);
	c->seed = (uint64_t)json_get(c->json, "seed")->number;
	c->full = json_get(c->json, "full")->number > 0.0;
	size = json_get(c->json, "padded_size");
	c->width = (int)size->items[0].number;
	c->height = (int)size->items[1].number;
	return true;
}

void reference_case_close(struct reference_case *c)
{
	json_free(c->json);
}

struct npy reference_tensor(const struct reference_case *c, const char *name)
{
	struct npy array;
	char path[300];

	snprintf(path, sizeof path, "%s/%s.npy", c->folder, name);
	assert_true(npy_read(path, &array));
	return array;
}

float *reference_input(const struct reference_case *c)
{
	struct glip_image image = {0};
	struct glip_error err;
	char path[300];
	float *out = malloc((size_t)c->height * (size_t)c->width * 3 * sizeof *out);

	assert_non_null(out);
	snprintf(path, sizeof path, "%s/resized.png", c->folder);
	block_env_check(glip_image_load(path, NULL, &image, &err), &err);
	glip__normalise(image.pixels, (struct image_size){image.width, image.height},
	                (struct image_size){c->width, c->height}, NULL, out);
	glip_image_free(&image);
	return out;
}

struct reference_run {
	const char *name;
	void (*run)(const char *name, double tolerance);
};

static void run_reference_case(void **state)
{
	const struct reference_run *r = *state;
	bool full_size = strncmp(r->name, "glip-", 5) == 0;

	if (full_size && getenv("GLIP_TEST_FULL") == NULL)
		skip();
	r->run(r->name, full_size ? 1e-4 : 1e-5);
}

int reference_cases_run(const char *const names[], void (*run)(const char *name, double tolerance))
{
	enum { MOST = 16 };
	struct reference_run runs[MOST];
	struct CMUnitTest tests[MOST];
	size_t count = 0;

	for (; names[count] != NULL && count < MOST; count++) {
		runs[count] = (struct reference_run){names[count], run};
		tests[count] =
			(struct CMUnitTest){.name = names[count], .test_func = run_reference_case, .initial_state = &runs[count]};
	}
	/* The macro around it asks an array for its size. */
	return _cmocka_run_group_tests("cases", tests, count, NULL, NULL);
}
