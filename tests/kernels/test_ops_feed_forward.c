/* The feed-forward operator against the operators it is made of, with every instruction set. */
#include "fused_case.h"
#include "ops/feed_forward.h"

enum { CHANNELS = 40, HIDDEN = 150, MAX_ROWS = 300 };

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

static enum glip_status at_once(struct ops *ops, const void *operands, float *x)
{
	struct feed_forward f = *(const struct feed_forward *)operands;
	f.x = x;
	return glip__feed_forward(ops, &f);
}

static void by_operators(struct ops *ops, const void *operands, float *x)
{
	const struct feed_forward *f = operands;
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

static void every_way(const struct kernels *k)
{
	static const struct fused fused = {at_once, by_operators};
	const int64_t rows[] = {1, 48, 49, 97, MAX_ROWS};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t way = 0; way < WAYS; way++) {
			struct operands o;
			make_operands(&o, rows[i]);
			o.f.down.precision = ways[way].last;
			compare(&fused, k, &ways[way], &o.f, o.x, (size_t)rows[i] * CHANNELS);
			free_operands(&o);
		}
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
	return run_fused(argc, argv, test_same_bits, test_faults);
}
