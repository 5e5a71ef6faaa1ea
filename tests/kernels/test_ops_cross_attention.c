/* Attention between positions and tokens against the formula in double: in float32 and in 16-bit integers, with every
 * instruction set, the same bits for any number of threads. */
#include "kernel_case.h"
#include "ops/cross_attention.h"
#include "ops/narrow.h"

enum { CHANNELS = 72, HEADS = 3, MAX_THREADS = 3 };

static struct arena arena;

struct size {
	int64_t positions, tokens;
};

/* A block and what is around it, more pieces than one of a block each, more columns than a group has. */
static const struct size sizes[] = {{1, 1}, {95, 13}, {96, 2}, {97, 13}, {2400, 5}, {300, 150}};

struct operands {
	struct cross_attention a;
	float *x, *keys, *key_bias, *outputs, *vectors;
	size_t count, columns; /* floats of x; heads * tokens */
};

static void make_operands(struct operands *o, const struct size *s)
{
	o->count = (size_t)s->positions * CHANNELS;
	o->columns = (size_t)s->tokens * HEADS;
	o->x = guarded_random(o->count, 2);
	o->keys = guarded_random(o->columns * CHANNELS, 0.4F);
	o->key_bias = guarded_random(o->columns, 0.5F);
	o->outputs = guarded_random(o->columns * CHANNELS, 1);
	o->vectors = guarded_random(4 * CHANNELS, 1);
	o->a = (struct cross_attention){
		.positions = s->positions,
		.channels = CHANNELS,
		.tokens = s->tokens,
		.heads = HEADS,
		.norm_weight = o->vectors,
		.norm_bias = o->vectors + CHANNELS,
		.norm_eps = 1e-5F,
		.keys = o->keys,
		.key_bias = o->key_bias,
		.clamp = 4,
		.outputs = o->outputs,
		.out_bias = o->vectors + 2 * CHANNELS,
		.scale = o->vectors + 3 * CHANNELS,
	};
}

static void free_operands(struct operands *o)
{
	free_guarded(o->x, o->count);
	free_guarded(o->keys, o->columns * CHANNELS);
	free_guarded(o->key_bias, o->columns);
	free_guarded(o->outputs, o->columns * CHANNELS);
	free_guarded(o->vectors, 4 * CHANNELS);
}

/* In place: values from their sums to their shares of the sum of exp. */
static void softmax(double *x, size_t n, size_t step)
{
	double top = x[0], sum = 0;
	for (size_t i = 0; i < n; i++)
		top = fmax(top, x[i * step]);
	for (size_t i = 0; i < n; i++)
		sum += x[i * step] = exp(x[i * step] - top);
	for (size_t i = 0; i < n; i++)
		x[i * step] /= sum;
}

/* v and scores: scratch [positions, channels], [positions, columns]. */
static void expect(const struct operands *o, double *v, double *scores, float *visual, float *pooled)
{
	const struct cross_attention *a = &o->a;
	size_t rows = (size_t)a->positions, n = o->columns, tokens = (size_t)a->tokens;
	for (size_t r = 0; r < rows; r++) {
		const float *x = o->x + r * CHANNELS;
		double mean = 0, variance = 0, *to = v + r * CHANNELS;
		for (size_t c = 0; c < CHANNELS; c++)
			mean += (double)x[c] / CHANNELS;
		for (size_t c = 0; c < CHANNELS; c++)
			variance += ((double)x[c] - mean) * ((double)x[c] - mean) / CHANNELS;
		double inverse = 1 / sqrt(variance + (double)a->norm_eps);
		for (size_t c = 0; c < CHANNELS; c++)
			to[c] = ((double)x[c] - mean) * inverse * (double)a->norm_weight[c] + (double)a->norm_bias[c];
		for (size_t j = 0; j < n; j++) {
			double sum = (double)a->key_bias[j];
			for (size_t c = 0; c < CHANNELS; c++)
				sum += v[r * CHANNELS + c] * (double)a->keys[j * CHANNELS + c];
			scores[r * n + j] = fmin((double)a->clamp, fmax(-(double)a->clamp, sum));
		}
	}
	for (int pass = 0; pass < 2; pass++) {
		/* The image's side first, on a copy of the scores behind them. */
		double *shares = pass == 0 ? scores + rows * n : scores;
		if (pass == 0)
			memcpy(shares, scores, rows * n * sizeof *shares);
		for (size_t r = 0; pass == 0 && r < rows * HEADS; r++)
			softmax(shares + r * tokens, tokens, 1);
		for (size_t j = 0; pass == 1 && j < n; j++)
			softmax(shares + j, rows, n);
		for (size_t i = 0; i < (pass == 0 ? rows : n); i++) {
			for (size_t c = 0; c < CHANNELS; c++) {
				double sum = pass == 0 ? (double)a->out_bias[c] : 0;
				for (size_t j = 0; pass == 0 && j < n; j++)
					sum += shares[i * n + j] * (double)a->outputs[j * CHANNELS + c];
				for (size_t r = 0; pass == 1 && r < rows; r++)
					sum += shares[r * n + i] * v[r * CHANNELS + c];
				if (pass == 0)
					visual[i * CHANNELS + c] = (float)(v[i * CHANNELS + c] + (double)a->scale[c] * sum);
				else
					pooled[i * CHANNELS + c] = (float)sum;
			}
		}
	}
}

/* Float32, plain C in 16 bits, and the sets of 16 bits that this machine has. */
static const uint32_t masks[] = {0, 0, GLIP_CPU_AMX_INT8, GLIP_CPU_AVX512_VNNI, GLIP_CPU_AVX_VNNI, GLIP_CPU_AVX2};
enum { WAYS = sizeof masks / sizeof *masks };

static void every_way(const struct kernels *k)
{
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		struct operands o;
		make_operands(&o, &sizes[s]);
		size_t pooled_count = o.columns * CHANNELS, score_count = (size_t)sizes[s].positions * o.columns;
		float *visual = guarded(o.count), *pooled = guarded(pooled_count);
		double *v = malloc(o.count * sizeof *v), *scores = malloc(2 * score_count * sizeof *scores);
		assert_true(v && scores);
		expect(&o, v, scores, visual, pooled);
		for (size_t way = 0; way < WAYS; way++) {
			const struct narrow_kernels *narrow = way == 1 ? &glip__narrow_i16_ref : NULL;
			if (way > 1 && !(glip__cpu_flags() & masks[way]))
				continue;
			if (way > 1)
				narrow = glip__narrow_kernels(GLIP_COMPUTE_I16, masks[way]);
			float *first = NULL;
			for (int threads = 1; threads <= MAX_THREADS; threads++) {
				struct pool *pool;
				assert_int_equal(glip__pool_create(threads, &glip__default_allocator, &pool, NULL), GLIP_OK);
				struct ops ops = {.kernels = k,
				                  .pool = pool,
				                  .arena = &arena,
				                  .cache = cache_sizes[threads % 3],
				                  .narrow_16 = narrow};
				float *both = guarded(o.count + pooled_count);
				memcpy(both, o.x, o.count * sizeof *both);
				o.a.visual = both;
				o.a.pooled = both + o.count;
				assert_int_equal(glip__cross_attention(&ops, &o.a), GLIP_OK);
				double error = narrow ? 4e-3 : 2e-5;
				assert_close("visual", k->name, both, visual, o.count, error, error);
				assert_close("pooled", k->name, both + o.count, pooled, pooled_count, error, error);
				if (first)
					assert_memory_equal(both, first, (o.count + pooled_count) * sizeof *both);
				if (first)
					free_guarded(both, o.count + pooled_count);
				else
					first = both;
				glip__pool_free(pool);
			}
			free_guarded(first, o.count + pooled_count);
		}
		free(v);
		free(scores);
		free_guarded(visual, o.count);
		free_guarded(pooled, pooled_count);
		free_operands(&o);
	}
}

static void test_formula(void **state)
{
	(void)state;
	for_each_set(every_way);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula)};
	seed_random(argc, argv);
	glip__arena_init(&arena, &glip__default_allocator);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	glip__arena_free(&arena);
	return failed;
}
