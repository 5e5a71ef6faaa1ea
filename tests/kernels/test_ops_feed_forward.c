/* The feed-forward operator against the operators it is made of, bit by bit: with every instruction set, float32 and
 * narrow, whatever the number of threads. */
#include "kernel_case.h"
#include "ops/feed_forward.h"

enum { CHANNELS = 40, HIDDEN = 150, MAX_ROWS = 300, MAX_THREADS = 3 };

static struct arena arena;

struct operands {
	struct feed_forward f;
	float *x, *up, *down, *vectors;
};

static void make_operands(struct operands *o, int64_t rows)
{
	o->x = guarded_random((size_t)rows * CHANNELS, 1);
	o->up = guarded_random(HIDDEN * CHANNELS, 0.3F);
	o->down = guarded_random(CHANNELS * HIDDEN, 0.3F);
	o->vectors = guarded_random(3 * CHANNELS + HIDDEN, 1);
	o->f = (struct feed_forward){
		.rows = rows,
		.channels = CHANNELS,
		.hidden = HIDDEN,
		.norm_weight = o->vectors,
		.norm_bias = o->vectors + CHANNELS,
		.norm_eps = 1e-5F,
		.up = {.data = o->up, .rows = HIDDEN, .cols = CHANNELS},
		.up_bias = o->vectors + 3 * CHANNELS,
		.down = {.data = o->down, .rows = CHANNELS, .cols = HIDDEN},
		.down_bias = o->vectors + 2 * CHANNELS,
	};
}

static void free_operands(struct operands *o)
{
	free_guarded(o->x, (size_t)o->f.rows * CHANNELS);
	free_guarded(o->up, HIDDEN * CHANNELS);
	free_guarded(o->down, CHANNELS * HIDDEN);
	free_guarded(o->vectors, 3 * CHANNELS + HIDDEN);
}

/* x as the plain operators leave it. */
static void by_operators(struct ops *ops, const struct feed_forward *f, float *x)
{
	float *normed = guarded((size_t)f->rows * CHANNELS), *hidden = guarded((size_t)f->rows * HIDDEN);
	struct gemm down = {
		.m = f->rows,
		.n = CHANNELS,
		.k = HIDDEN,
		.a = {.data = hidden},
		.b = f->down,
		.bias = f->down_bias,
		.residual = x,
		.c = x,
	};
	assert_int_equal(glip__layer_norm(ops, x, f->rows, CHANNELS, f->norm_weight, f->norm_bias, f->norm_eps, normed),
	                 GLIP_OK);
	assert_int_equal(glip__linear(ops, normed, f->rows, f->up, f->up_bias, ACT_GELU, hidden), GLIP_OK);
	assert_int_equal(glip__gemm(ops, &down), GLIP_OK);
	free_guarded(normed, (size_t)f->rows * CHANNELS);
	free_guarded(hidden, (size_t)f->rows * HIDDEN);
}

static void compare(const struct kernels *k, enum glip_gemm gemm, enum glip_compute compute, bool exact)
{
	const int64_t rows[] = {1, 48, 49, 97, MAX_ROWS};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct operands o;
		size_t count = (size_t)rows[i] * CHANNELS;
		make_operands(&o, rows[i]);
		o.f.down.exact = exact;
		for (int threads = 1; threads <= MAX_THREADS; threads++) {
			struct pool *pool;
			assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &pool, NULL), GLIP_OK);
			struct ops ops = {.kernels = k,
			                  .pool = pool,
			                  .arena = &arena,
			                  .gemm = gemm,
			                  .cache = cache_sizes[threads % 3],
			                  .narrow = glip__narrow_kernels(compute, k->flag)};
			float *expected = guarded_copy(o.x, count), *x = guarded_copy(o.x, count);
			by_operators(&ops, &o.f, expected);
			double work = ops.multiply_adds;
			o.f.x = x;
			ops.multiply_adds = 0;
			assert_int_equal(glip__feed_forward(&ops, &o.f), GLIP_OK);
			assert_memory_equal(x, expected, count * sizeof *x);
			assert_true(ops.multiply_adds == work);
			free_guarded(expected, count);
			free_guarded(x, count);
			glip__pool_free(pool);
		}
		free_operands(&o);
	}
}

static void every_way(const struct kernels *k)
{
	compare(k, GLIP_GEMM_NATIVE, GLIP_COMPUTE_F32, false);
	compare(k, GLIP_GEMM_NATIVE, GLIP_COMPUTE_BF16, false);
	compare(k, GLIP_GEMM_NATIVE, GLIP_COMPUTE_I8, false);
	compare(k, GLIP_GEMM_NATIVE, GLIP_COMPUTE_I8, true);
	compare(k, GLIP_GEMM_BLAS, GLIP_COMPUTE_F32, false);
}

static void test_same_bits(void **state)
{
	(void)state;
	for_each_set(every_way);
}

static void test_faults(void **state)
{
	(void)state;
	struct pool *pool;
	struct glip_error err;
	struct operands o;
	assert_int_equal(glip__pool_create(1, &glip__default_allocator, &pool, NULL), GLIP_OK);
	struct ops ops = {.kernels = glip__kernels(0), .pool = pool, .arena = &arena, .err = &err};
	make_operands(&o, 60);
	o.f.x = o.x;
	o.f.down.cols--;
	assert_int_equal(glip__feed_forward(&ops, &o.f), GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "matrix product: weight of 40 x 149 where 40 x 150 is needed");
	o.f.rows = -1;
	assert_int_equal(glip__feed_forward(&ops, &o.f), GLIP_ERR_ARGUMENT);
	o.f.rows = 0;
	assert_int_equal(glip__feed_forward(&ops, &o.f), GLIP_OK);
	o.f.rows = 60;
	free_operands(&o);
	glip__pool_free(pool);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits), cmocka_unit_test(test_faults)};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__arena_free(&arena);
	return failed;
}
