/* Attention in windows against the operators it is made of, with every instruction set. */
#include "fused_case.h"
#include "ops/window_attention.h"

enum { TOKENS = 9, HEADS = 2, CHANNELS = 40, MAX_WINDOWS = 75 };

struct operands {
	struct window_attention w;
	float *x, *qkv, *proj, *vectors, *bias;
	int32_t rows[MAX_WINDOWS * TOKENS];
	uint8_t region[MAX_WINDOWS * TOKENS];
};

enum { VECTORS = 6 * CHANNELS, BIAS = HEADS * TOKENS * TOKENS };

/* Every fifth position shows no row; the others go through the map backwards. */
static void make_operands(struct operands *o, int64_t windows)
{
	int64_t positions = windows * TOKENS, map_rows = 0;
	for (int64_t i = 0; i < positions; i++)
		map_rows += i % 5 != 0;
	for (int64_t i = 0, row = map_rows; i < positions; i++) {
		o->rows[i] = i % 5 == 0 ? -1 : (int32_t)--row;
		o->region[i] = (uint8_t)(i / 4 % 3);
	}
	o->x = guarded_random((size_t)map_rows * CHANNELS, 1);
	o->qkv = guarded_random(3 * CHANNELS * CHANNELS, 0.3F);
	o->proj = guarded_random(CHANNELS * CHANNELS, 0.3F);
	o->vectors = guarded_random(VECTORS, 1);
	o->bias = guarded_random(BIAS, 1);
	o->w = (struct window_attention){
		.windows = windows,
		.tokens = TOKENS,
		.map_rows = map_rows,
		.channels = CHANNELS,
		.heads = HEADS,
		.rows = o->rows,
		.region = windows % 2 == 0 ? o->region : NULL,
		.bias = o->bias,
		.norm_weight = o->vectors,
		.norm_bias = o->vectors + CHANNELS,
		.norm_eps = 1e-5F,
		.qkv = {.data = o->qkv, .rows = 3 * CHANNELS, .cols = CHANNELS},
		.qkv_bias = o->vectors + 2 * CHANNELS,
		.proj = {.data = o->proj, .rows = CHANNELS, .cols = CHANNELS},
		.proj_bias = o->vectors + 5 * CHANNELS,
	};
}

static void free_operands(struct operands *o)
{
	free_guarded(o->x, (size_t)o->w.map_rows * CHANNELS);
	free_guarded(o->qkv, 3 * CHANNELS * CHANNELS);
	free_guarded(o->proj, CHANNELS * CHANNELS);
	free_guarded(o->vectors, VECTORS);
	free_guarded(o->bias, BIAS);
}

static enum glip_status at_once(struct ops *ops, const void *operands, float *x)
{
	struct window_attention w = *(const struct window_attention *)operands;
	w.x = x;
	return glip__window_attention(ops, &w);
}

static void by_operators(struct ops *ops, const void *operands, float *x)
{
	const struct window_attention *w = operands;
	int64_t rows = w->windows * TOKENS;
	size_t count = (size_t)w->map_rows * CHANNELS;
	float *normed = guarded(count), *qkv = guarded((size_t)rows * 3 * CHANNELS);
	float *out = guarded((size_t)rows * CHANNELS);
	struct gemm to_qkv = {
		.m = rows,
		.n = 3 * CHANNELS,
		.k = CHANNELS,
		.a = {.data = normed, .ld = CHANNELS, .index = w->rows, .taps = 1},
		.b = w->qkv,
		.bias = w->qkv_bias,
		.c = qkv,
	};
	struct attention attention = {
		.batch = w->windows,
		.tokens = TOKENS,
		.heads = HEADS,
		.head_dim = CHANNELS / HEADS,
		.q = qkv,
		.k = qkv + CHANNELS,
		.v = qkv + 2 * CHANNELS,
		.ld = 3 * CHANNELS,
		.out = out,
		.ld_out = CHANNELS,
		.scale = 1.0F / sqrtf((float)CHANNELS / HEADS),
		.bias = w->bias,
		.region = w->region,
	};
	struct gemm proj = {
		.m = rows,
		.n = CHANNELS,
		.k = CHANNELS,
		.a = {.data = out},
		.b = w->proj,
		.bias = w->proj_bias,
		.residual = x,
		.c = x,
		.c_index = w->rows,
	};
	assert_int_equal(glip__layer_norm(ops, x, w->map_rows, CHANNELS, w->norm_weight, w->norm_bias, w->norm_eps, normed),
	                 GLIP_OK);
	assert_int_equal(glip__gemm(ops, &to_qkv), GLIP_OK);
	assert_int_equal(glip__attention(ops, &attention), GLIP_OK);
	assert_int_equal(glip__gemm(ops, &proj), GLIP_OK);
	free_guarded(normed, count);
	free_guarded(qkv, (size_t)rows * 3 * CHANNELS);
	free_guarded(out, (size_t)rows * CHANNELS);
}

static void every_way(const struct kernels *k)
{
	static const struct fused fused = {at_once, by_operators};
	const int64_t windows[] = {1, 15, 16, 37, 74, MAX_WINDOWS};
	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
		for (size_t way = 0; way < WAYS; way++) {
			struct operands o;
			make_operands(&o, windows[i]);
			o.w.proj.precision = ways[way].last;
			compare(&fused, k, &ways[way], &o.w, o.x, (size_t)o.w.map_rows * CHANNELS);
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
	make_operands(&o, 20);
	o.w.x = o.x;
	o.w.proj.rows--;
	assert_int_equal(glip__window_attention(&ops, &o.w), GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "matrix product: weight of 39 x 40 where 40 x 40 is needed");
	o.w.heads = 3;
	assert_int_equal(glip__window_attention(&ops, &o.w), GLIP_ERR_ARGUMENT);
	assert_string_equal(err.message, "attention in 20 windows of 9, 3 heads of 40 channels");
	free_operands(&o);
	glip__pool_free(pool);
}

int main(int argc, char **argv)
{
	return run_fused(argc, argv, test_same_bits, test_faults);
}
