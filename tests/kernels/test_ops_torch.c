/* Operators of every instruction set against dumps of PyTorch's (tools/reference/make_op_dumps.py). */
#include "kernel_case.h"
#include "support/npy.h"

static struct arena arena;
static struct pool *pool;
static struct glip_error err;

static struct npy load(const char *name)
{
	char path[128];
	struct npy array;
	snprintf(path, sizeof path, "tests/data/ops/%s.npy", name);
	assert_true(npy_read(path, &array));
	return array;
}

static struct ops ops_for(const struct kernels *k)
{
	return (struct ops){.kernels = k, .pool = pool, .arena = &arena, .gemm = GLIP_GEMM_NATIVE, .err = &err};
}

static void expect(const struct kernels *k, const char *name, const float *x, double absolute)
{
	struct npy y = load(name);
	assert_close(name, k->name, x, y.data, (size_t)y.count, absolute, 1e-6);
	npy_free(&y);
}

static void rows(const struct kernels *k)
{
	struct ops ops = ops_for(k);
	struct npy x = load("norm.x"), w = load("norm.w"), b = load("norm.b");
	assert_int_equal(glip__layer_norm(&ops, x.data, x.shape[0], x.shape[1], w.data, b.data, 1e-5F, x.data), GLIP_OK);
	expect(k, "norm.y", x.data, 2e-6);
	npy_free(&x);
	npy_free(&w);
	npy_free(&b);

	x = load("softmax.x");
	size_t count = (size_t)x.shape[0], n = (size_t)x.shape[1];
	k->softmax(&(struct scores){.scale = 1}, x.data, n, count, n);
	expect(k, "softmax.rows", x.data, 5e-7);
	npy_free(&x);
	x = load("softmax.x");
	float *top = guarded_copy(x.data, n);
	double *sum = calloc(n, sizeof *sum);
	assert_non_null(sum);
	k->column_max(x.data, count, n, top);
	k->column_exp(x.data, count, n, top, sum);
	for (size_t i = 0; i < count * n; i++)
		x.data[i] = (float)((double)x.data[i] / sum[i % n]);
	expect(k, "softmax.columns", x.data, 5e-7);
	free(sum);
	free_guarded(top, n);
	npy_free(&x);

	x = load("element.x");
	float *y = guarded((size_t)x.count), one = 1;
	struct gemm g = {.m = x.count,
	                 .n = 1,
	                 .k = 1,
	                 .a = {x.data, 1, NULL, 0, NULL},
	                 .b = {.data = &one, .rows = 1, .cols = 1},
	                 .c = y,
	                 .act = ACT_GELU};
	assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
	expect(k, "element.gelu", y, 1.2e-6); /* of |x| up to 9, times the 1.3e-7 that float GELU is good to */
	k->sigmoid(x.data, (size_t)x.count, y);
	expect(k, "element.sigmoid", y, 2e-7);
	free_guarded(y, (size_t)x.count);
	npy_free(&x);
}

static void group_norm(const struct kernels *k)
{
	struct ops ops = ops_for(k);
	struct npy x = load("group.x"), w = load("group.w"), b = load("group.b");
	int64_t n = x.shape[2], count = x.count / n;
	float identity[64] = {0}, *y = guarded((size_t)x.count);
	double sum[8], square[8];
	const size_t first[2] = {0, (size_t)count};
	const struct gemm_sums sums = {.runs = 1, .first = first, .sum = sum, .square = square};
	assert_int_equal(n, 8);
	for (int i = 0; i < 64; i += 9)
		identity[i] = 1;
	const struct gemm g = {
		.m = count,
		.n = n,
		.k = n,
		.a = {.data = x.data},
		.b = {.data = identity, .rows = n, .cols = n},
		.c = y,
		.sums = &sums,
	};
	assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
	free_guarded(y, (size_t)x.count);
	for (int c = 0; c < 8; c++) {
		double total = 2 * (double)count, mean = (sum[c & ~1] + sum[c | 1]) / total;
		double inverse = 1 / sqrt((square[c & ~1] + square[c | 1]) / total - mean * mean + 1e-5);
		for (int64_t i = c; i < x.count; i += n)
			x.data[i] = (float)(((double)x.data[i] - mean) * inverse * (double)w.data[c] + (double)b.data[c]);
	}
	expect(k, "group.y", x.data, 2e-6);
	npy_free(&x);
	npy_free(&w);
	npy_free(&b);
}

static void convolution(const struct kernels *k, int stride)
{
	struct ops ops = ops_for(k);
	struct npy x = load("conv.x"), w = load("conv.w"), b = load("conv.b");
	char name[32];
	snprintf(name, sizeof name, "deform.offset%d", stride);
	struct npy offset = load(name);
	snprintf(name, sizeof name, "deform.modulation%d", stride);
	struct npy modulation = load(name);
	struct matrix weight = {.data = w.data, .rows = w.shape[0], .cols = w.shape[1]};
	size_t points = (size_t)(offset.shape[0] * offset.shape[1]), count = points * (size_t)w.shape[0];
	float *y = guarded(count), *blend = guarded(points * 36);
	int32_t *index = malloc(points * 36 * sizeof *index);
	assert_non_null(index);
	assert_int_equal(glip__conv2d(&ops, x.data, 9, 7, 6, weight, b.data, 3, stride, 1, y), GLIP_OK);
	snprintf(name, sizeof name, "conv.y%d", stride);
	expect(k, name, y, 1e-5);

	struct deform_points d = {
		.height = 9,
		.width = 7,
		.out_height = (int)offset.shape[0],
		.out_width = (int)offset.shape[1],
		.stride = stride,
		.offset = offset.data,
		.modulation = modulation.data,
		.offset_row = 18,
		.offset_step = 1,
		.modulation_row = 9,
		.modulation_step = 1,
		.index = index,
		.blend = blend,
	};
	assert_int_equal(glip__deform_points(&ops, &d), GLIP_OK);
	struct gemm g = {
		.m = (int64_t)points,
		.n = w.shape[0],
		.k = w.shape[1],
		.a = {x.data, 6, index, 9, blend},
		.b = weight,
		.bias = b.data,
		.c = y,
	};
	assert_int_equal(glip__gemm(&ops, &g), GLIP_OK);
	snprintf(name, sizeof name, "deform.y%d", stride);
	expect(k, name, y, 1e-5);
	free_guarded(y, count);
	free_guarded(blend, points * 36);
	free(index);
	npy_free(&x);
	npy_free(&w);
	npy_free(&b);
	npy_free(&offset);
	npy_free(&modulation);
}

static void convolutions(const struct kernels *k)
{
	convolution(k, 1);
	convolution(k, 2);
}

/* An up-sampled map as it is; ones, zeros [channels]. */
static struct dyrelu_sum read_upsampled(const struct upsampled *u, int channels, const float *ones, const float *zeros,
                                        float *out)
{
	return (struct dyrelu_sum){
		.sources = 1,
		.upsampled = u,
		.scale = {ones},
		.shift = zeros,
		.a1 = ones,
		.b1 = zeros,
		.a2 = ones,
		.b2 = zeros,
		.rows = (int64_t)u->height * u->width,
		.channels = channels,
		.out = out,
	};
}

static void upsampling(const struct kernels *k)
{
	struct ops ops = ops_for(k);
	struct npy x = load("conv.x");
	float *y = guarded(17 * 15 * 6), ones[6] = {1, 1, 1, 1, 1, 1}, zeros[6] = {0}, mean[6];
	const struct upsampled u = {x.data, 9, 7, 17, 14};
	struct dyrelu_sum sum = read_upsampled(&u, 6, ones, zeros, y);
	assert_int_equal(glip__dyrelu_sum(&ops, &sum), GLIP_OK);
	expect(k, "up.bilinear", y, 2e-6);
	assert_int_equal(glip__upsampled_mean(&ops, &u, 6, mean), GLIP_OK);
	for (int c = 0; c < 6; c++) {
		double total = 0;
		for (int i = 0; i < 17 * 14; i++)
			total += (double)y[i * 6 + c];
		assert_true(fabs((double)mean[c] - total / (17 * 14)) <= 1e-6);
	}
	/* Beside a source in memory, half of it and half of this. */
	float *same = guarded_copy(y, 17 * 14 * 6), half[6] = {0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F};
	sum.sources = 2;
	sum.source[0] = same;
	sum.scale[0] = sum.scale[1] = half;
	assert_int_equal(glip__dyrelu_sum(&ops, &sum), GLIP_OK);
	assert_memory_equal(y, same, 17 * 14 * 6 * sizeof(float));
	free_guarded(same, 17 * 14 * 6);
	for (int i = 0; i < 17 * 15 * 6; i++)
		y[i] = 0;
	assert_int_equal(glip__upsample_nearest_add(&ops, x.data, 9, 7, 6, y, 17, 15), GLIP_OK);
	expect(k, "up.nearest", y, 0);
	free_guarded(y, 17 * 15 * 6);
	npy_free(&x);
}

/* A large map in many pieces, whoever makes them: values that grow evenly over a map do so over the up-sampled one. */
static void large_upsampling(const struct kernels *k)
{
	enum { H = 5, W = 40, HEIGHT = 203, WIDTH = 151, C = 40 };
	float *x = guarded(H * W * C), *y = guarded(HEIGHT * WIDTH * C), ones[C], zeros[C] = {0};
	const struct upsampled u = {x, H, W, HEIGHT, WIDTH};
	for (int i = 0; i < H * W * C; i++)
		x[i] = (float)(i / C / W) + 0.125F * (float)(i / C % W) + 2 * (float)(i % C);
	for (int c = 0; c < C; c++)
		ones[c] = 1;
	for (int threads = 1; threads <= 3; threads++) {
		struct ops ops = ops_for(k);
		const struct dyrelu_sum sum = read_upsampled(&u, C, ones, zeros, y);
		assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &ops.pool, &err), GLIP_OK);
		assert_int_equal(glip__dyrelu_sum(&ops, &sum), GLIP_OK);
		for (int i = 0; i < HEIGHT * WIDTH * C; i++) {
			double row = i / C / WIDTH * (H - 1.0) / (HEIGHT - 1), column = i / C % WIDTH * (W - 1.0) / (WIDTH - 1);
			assert_true(fabs((double)y[i] - (row + 0.125 * column + 2 * (i % C))) <= 2e-5);
		}
		glip__pool_free(ops.pool);
	}
	free_guarded(x, H * W * C);
	free_guarded(y, HEIGHT * WIDTH * C);
}

static void attention(const struct kernels *k)
{
	struct ops ops = ops_for(k);
	struct npy qkv = load("attention.qkv"), bias = load("attention.bias"), region = load("attention.region");
	uint8_t regions[3 * 49];
	float *y = guarded(3 * 49 * 16);
	for (int i = 0; i < 3 * 49; i++)
		regions[i] = (uint8_t)region.data[i];
	struct attention a = {
		.batch = 3,
		.tokens = 49,
		.heads = 2,
		.head_dim = 8,
		.q = qkv.data,
		.k = qkv.data + 16,
		.v = qkv.data + 32,
		.ld = 48,
		.out = y,
		.ld_out = 16,
		.scale = 0.35355339F,
		.bias = bias.data,
		.region = regions,
	};
	assert_int_equal(glip__attention(&ops, &a), GLIP_OK);
	expect(k, "attention.y", y, 2e-6);
	a.bias = NULL;
	a.region = NULL;
	a.clamp = 0.5F;
	assert_int_equal(glip__attention(&ops, &a), GLIP_OK);
	expect(k, "attention.clamped", y, 2e-6);
	free_guarded(y, 3 * 49 * 16);
	npy_free(&qkv);
	npy_free(&bias);
	npy_free(&region);
}

static void test_rows(void **state)
{
	(void)state;
	for_each_set(rows);
}

static void test_group_norm(void **state)
{
	(void)state;
	for_each_set(group_norm);
}

static void test_convolution(void **state)
{
	(void)state;
	for_each_set(convolutions);
}

static void test_upsampling(void **state)
{
	(void)state;
	for_each_set(upsampling);
	for_each_set(large_upsampling);
}

static void test_attention(void **state)
{
	(void)state;
	for_each_set(attention);
}

static bool stop(void *user)
{
	return *(bool *)user;
}

static void test_cancel(void **state)
{
	struct ops ops = ops_for(glip__kernels(0));
	bool yes = true;
	float x = 1;
	(void)state;
	ops.cancelled = stop;
	ops.cancel_user = &yes;
	assert_int_equal(glip__relu(&ops, &x, 1, &x), GLIP_ERR_CANCELLED);
	yes = false;
	assert_int_equal(glip__relu(&ops, &x, 1, &x), GLIP_OK);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),       cmocka_unit_test(test_group_norm), cmocka_unit_test(test_convolution),
		cmocka_unit_test(test_upsampling), cmocka_unit_test(test_attention),  cmocka_unit_test(test_cancel),
	};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	if (glip__pool_create(2, &glip__default_allocator, &pool, NULL) != GLIP_OK)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__pool_free(pool);
	glip__arena_free(&arena);
	return failed;
}
