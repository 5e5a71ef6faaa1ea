#include "support/head_maps.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"
#include "support/compare.h"

const int small_sizes[LEVELS][2] = {{7, 10}, {4, 5}, {2, 3}, {1, 2}, {1, 1}};

void head_maps_new(struct head_maps *m, const int sizes[LEVELS][2], int channels)
{
	int64_t at = 0;

	m->positions = 0;
	for (int l = 0; l < LEVELS; l++)
		m->positions += (int64_t)sizes[l][0] * sizes[l][1];
	m->data = calloc((size_t)(m->positions * channels), sizeof *m->data);
	assert_non_null(m->data);
	for (int l = 0; l < LEVELS; l++) {
		m->levels[l] = (struct feature_map){m->data + at, sizes[l][0], sizes[l][1], channels};
		at += (int64_t)sizes[l][0] * sizes[l][1] * channels;
	}
}

void head_maps_free(struct head_maps *m)
{
	free(m->data);
}

/* FORMAT with a level's number in the place of %d. */
static const char *level_name(char name[64], const char *format, int level)
{
	const char *number = strstr(format, "%d");

	assert_non_null(number);
	snprintf(name, 64, "%.*s%d%s", (int)(number - format), format, level + 3, number + 2);
	return name;
}

void head_maps_read(struct head_maps *m, const struct reference_case *c, const char *format)
{
	struct npy dumps[LEVELS];
	int sizes[LEVELS][2];
	char name[64];

	for (int l = 0; l < LEVELS; l++) {
		dumps[l] = reference_tensor(c, level_name(name, format, l));
		assert_int_equal(dumps[l].ndim, 4);
		sizes[l][0] = (int)dumps[l].shape[2];
		sizes[l][1] = (int)dumps[l].shape[3];
	}
	head_maps_new(m, sizes, (int)dumps[0].shape[1]);
	for (int l = 0; l < LEVELS; l++) {
		const int64_t positions = (int64_t)sizes[l][0] * sizes[l][1], channels = dumps[l].shape[1];

		for (int64_t i = 0; i < dumps[l].count; i++)
			m->levels[l].data[i % positions * channels + i / positions] = dumps[l].data[i];
		npy_free(&dumps[l]);
	}
}

double head_maps_compare(const struct head_maps *m, const struct reference_case *c, const char *format,
                         double tolerance)
{
	double worst = 0.0;
	char name[64];

	for (int l = 0; l < LEVELS; l++) {
		const struct feature_map *map = &m->levels[l];
		struct npy wanted = reference_tensor(c, level_name(name, format, l));
		const double error = compare_map(name, &wanted, map->data, map->height, map->width, map->channels, tolerance);

		worst = error > worst ? error : worst;
		npy_free(&wanted);
	}
	return worst;
}

float *head_text_read(const struct reference_case *c, const char *name, int64_t *tokens)
{
	struct npy dump = reference_tensor(c, name);

	*tokens = (int64_t)json_get(c->json, "token_ids")->length;
	assert_true(dump.ndim == 3 && *tokens <= dump.shape[1]);
	return dump.data;
}

void small_head_open(struct block_env *e, int threads)
{
	memset(e, 0, sizeof *e);
	if (glip__weights_open("tests/data/head.gguf", 1, NULL, &e->weights, &e->err) ||
	    glip__binder_init(&e->binder, e->weights, NULL, &e->err) ||
	    glip__pool_create(threads, &glip__default_allocator, &e->pool, &e->err))
		fail_msg("%s", e->err.message);
	glip__arena_init(&e->arena, &glip__default_allocator);
	e->ops = (struct ops){
		.kernels = glip__kernels(glip__cpu_flags()),
		.pool = e->pool,
		.arena = &e->arena,
		.gemm = GLIP_GEMM_NATIVE,
		.err = &e->err,
	};
}

const float *small_head_tensor(struct block_env *e, const char *name, int64_t count)
{
	const float *data = glip__bind_vector(&e->binder, count, "%s", name);

	assert_non_null(data);
	return data;
}

double relative_error(const float *a, const float *b, int64_t count)
{
	double difference = 0.0, norm = 0.0;

	for (int64_t i = 0; i < count; i++) {
		const double d = (double)a[i] - (double)b[i];

		if (!isfinite(d))
			return HUGE_VAL;
		difference += d * d;
		norm += (double)b[i] * (double)b[i];
	}
	return sqrt(difference / (norm > 0.0 ? norm : 1.0));
}
