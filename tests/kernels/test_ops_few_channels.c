/* The convolution to few channels against its plain equation, with every instruction set. */
#include "kernel_case.h"
#include "ops/few_channels.h"

enum { TAPS = 9, MAX_MAPS = 3, THREADS = 5 };

struct shape {
	int maps, channels, n, gates;
	int height[MAX_MAPS], width[MAX_MAPS];
};

/* Lines of 144 positions and more are multiplied one at a time, shorter ones several; a strip has 1024 positions. */
static const struct shape shapes[] = {
	{3, 8, 27, 9, {1, 1, 2}, {1, 5, 1}}, {1, 4, 27, 9, {2600}, {1}}, {1, 4, 27, 9, {1}, {2600}},
	{1, 4, 27, 9, {40}, {143}},          {1, 4, 27, 9, {40}, {144}}, {2, 4, 3, 1, {37, 9}, {145, 73}},
	{2, 12, 27, 9, {65, 33}, {63, 32}},  {1, 4, 5, 0, {7}, {1025}},  {1, 4, 5, 5, {200}, {20}},
};

struct conv_case {
	struct few_channels f;
	size_t rows, values;
	float *x, *weight, *bias, *expected, *out;
};

static double sum_at(const struct few_channels *f, const float *map, int height, int width, int y, int x, int column)
{
	const size_t channels = (size_t)f->channels;
	double sum = (double)f->bias[column];
	for (int k = 0; k < TAPS; k++) {
		int ny = y + k / 3 - 1, nx = x + k % 3 - 1;
		if (ny < 0 || nx < 0 || ny >= height || nx >= width)
			continue;
		const float *in = map + (size_t)(ny * width + nx) * channels;
		const float *w = (const float *)f->weight.data + (size_t)(column * TAPS + k) * channels;
		for (size_t c = 0; c < channels; c++)
			sum += (double)in[c] * (double)w[c];
	}
	return column < f->weight.rows - f->gates ? sum : 1 / (1 + exp(-sum));
}

static void expect(const struct conv_case *c)
{
	const struct few_channels *f = &c->f;
	const float *map = f->x;
	float *out = c->expected;
	for (int i = 0; i < f->maps; map += f->height[i] * f->width[i] * f->channels, i++)
		for (int y = 0; y < f->height[i]; y++)
			for (int x = 0; x < f->width[i]; x++)
				for (int j = 0; j < f->weight.rows; j++)
					*out++ = (float)sum_at(f, map, f->height[i], f->width[i], y, x, j);
}

static void make_case(struct conv_case *c, const struct shape *s)
{
	const size_t weights = (size_t)s->n * TAPS * (size_t)s->channels;
	c->rows = 0;
	for (int i = 0; i < s->maps; i++)
		c->rows += (size_t)s->height[i] * (size_t)s->width[i];
	c->values = c->rows * (size_t)s->n;
	c->x = guarded_random(c->rows * (size_t)s->channels, 1);
	c->weight = guarded_random(weights, 1);
	c->bias = guarded_random((size_t)s->n, 1);
	c->expected = guarded(c->values);
	c->out = guarded(c->values);
	c->f = (struct few_channels){
		.maps = s->maps,
		.channels = s->channels,
		.height = s->height,
		.width = s->width,
		.x = c->x,
		.weight = {.data = c->weight, .rows = s->n, .cols = TAPS * s->channels},
		.bias = c->bias,
		.gates = s->gates,
		.out = c->out,
	};
	expect(c);
}

static void free_case(struct conv_case *c)
{
	free_guarded(c->x, c->rows * (size_t)c->f.channels);
	free_guarded(c->weight, (size_t)(c->f.weight.rows * c->f.weight.cols));
	free_guarded(c->bias, (size_t)c->f.weight.rows);
	free_guarded(c->expected, c->values);
	free_guarded(c->out, c->values);
}

/* By one thread and by several the same bits. */
static void convolve(const struct kernels *k, struct conv_case *c, enum glip_gemm gemm,
                     const struct narrow_kernels *narrow)
{
	float *alone = guarded(c->values);
	for (int threads = 1; threads <= THREADS; threads += THREADS - 1) {
		struct arena arena;
		struct ops ops = {.kernels = k, .arena = &arena, .gemm = gemm, .narrow = narrow};
		glip__arena_init(&arena, &glip__default_allocator);
		assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &ops.pool, NULL), GLIP_OK);
		c->f.out = threads == 1 ? alone : c->out;
		assert_int_equal(glip__conv_to_few(&ops, &c->f), GLIP_OK);
		assert_true(ops.multiply_adds == (double)c->values * TAPS * c->f.channels);
		assert_int_equal(arena.used, 0);
		glip__pool_free(ops.pool);
		glip__arena_free(&arena);
	}
	/* Sums of up to 108 products of order 1; in 16 bits each value is off by some 1e-5 of its row's norm. */
	assert_close("conv_to_few", k->name, c->out, c->expected, c->values, narrow ? 5e-3 : 1e-5, 0);
	if (gemm == GLIP_GEMM_NATIVE)
		assert_memory_equal(c->out, alone, c->values * sizeof *alone);
	free_guarded(alone, c->values);
}

static void all_shapes(const struct kernels *k)
{
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		struct conv_case c;
		make_case(&c, &shapes[i]);
		convolve(k, &c, GLIP_GEMM_NATIVE, NULL);
		convolve(k, &c, GLIP_GEMM_NATIVE, &glip__narrow_i16_ref);
		convolve(k, &c, GLIP_GEMM_NATIVE, glip__narrow_kernels(GLIP_COMPUTE_I16, glip__cpu_flags()));
		convolve(k, &c, GLIP_GEMM_BLAS, NULL);
		free_case(&c);
	}
}

static void test_shapes(void **state)
{
	(void)state;
	for_each_set(all_shapes);
}

static void test_faults(void **state)
{
	struct arena arena;
	struct glip_error err;
	struct ops ops = {.kernels = glip__kernels(GLIP_CPU_SCALAR), .arena = &arena, .err = &err};
	struct conv_case c;
	const int none = 0;

	(void)state;
	glip__arena_init(&arena, &glip__default_allocator);
	assert_int_equal(glip__pool_create(1, &glip__default_allocator, &ops.pool, NULL), GLIP_OK);
	make_case(&c, &shapes[0]);
	c.f.height = &none;
	c.f.maps = 1;
	assert_int_equal(glip__conv_to_few(&ops, &c.f), GLIP_ERR_ARGUMENT);
	c.f.height = shapes[0].height;
	c.f.maps = 3;
	c.f.weight.cols--;
	assert_int_equal(glip__conv_to_few(&ops, &c.f), GLIP_ERR_ARGUMENT);
	c.f.weight.cols++;
	assert_int_equal(arena.used, 0);
	free_case(&c);
	glip__pool_free(ops.pool);
	glip__arena_free(&arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_faults)};
	seed_random(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
