/* Row and element kernels on vectors, included after a vec_<instruction set>.h. Contracts: ops/kernels_table.h. */

/* Two passes, each in two vectors of partial sums. */
static void layer_norm(const float *x, size_t n, const float *weight, const float *bias, float eps, float *y)
{
	vec even = v_zero(), odd = v_zero();
	size_t i = 0;
	for (; i + 2 * V <= n; i += 2 * V) {
		even = v_add(even, v_load(x + i));
		odd = v_add(odd, v_load(x + i + V));
	}
	for (; i < n; i += V)
		even = v_add(even, load_part(x + i, n - i));
	float mean = v_sum(v_add(even, odd)) / (float)n;
	vec middle = v_set1(mean);
	even = v_zero();
	odd = v_zero();
	for (i = 0; i + 2 * V <= n; i += 2 * V) {
		vec first = v_sub(v_load(x + i), middle), second = v_sub(v_load(x + i + V), middle);
		even = v_fma(first, first, even);
		odd = v_fma(second, second, odd);
	}
	for (; i < n; i += V) {
		vec d = v_sub(n - i >= V ? v_load(x + i) : v_load_fill(x + i, n - i, mean), middle);
		even = v_fma(d, d, even);
	}
	vec inverse = v_set1(1 / sqrtf(v_sum(v_add(even, odd)) / (float)n + eps));
	for (i = 0; i < n; i += V) {
		vec d = v_mul(v_sub(load_part(x + i, n - i), middle), inverse);
		store_part(y + i, v_fma(d, load_part(weight + i, n - i), load_part(bias + i, n - i)), n - i);
	}
}

/* x = exp(x - top) / sum */
INLINE void exp_and_scale(float *x, size_t n, vec top)
{
	vec sum = v_zero();
	for (size_t i = 0; i < n; i += V) {
		size_t left = n - i;
		vec e = v_exp(v_sub(left >= V ? v_load(x + i) : v_load_fill(x + i, left, -INFINITY), top));
		store_part(x + i, e, left);
		sum = v_add(sum, e);
	}
	vec factor = v_set1(1 / v_sum(sum));
	for (size_t i = 0; i < n; i += V)
		store_part(x + i, v_mul(load_part(x + i, n - i), factor), n - i);
}

static void softmax(float *x, size_t n)
{
	vec top = v_set1(x[0]);
	for (size_t i = 0; i < n; i += V)
		top = v_max(top, n - i >= V ? v_load(x + i) : v_load_fill(x + i, n - i, x[0]));
	exp_and_scale(x, n, v_set1(v_top(top)));
}

static void score_softmax(const struct score_row *s, float *x, size_t n)
{
	vec top = v_set1(-INFINITY), scale = v_set1(s->scale), high = v_set1(s->clamp), low = v_set1(-s->clamp);
	for (size_t i = 0; i < n; i += V) {
		size_t left = n - i;
		/* Lanes past the end become 0: clamp and scale keep that, so they are set aside before the maximum. */
		vec v = v_mul(load_part(x + i, left), scale);
		if (s->clamp > 0)
			v = v_min(high, v_max(low, v));
		if (s->bias)
			v = v_add(v, load_part(s->bias + i, left));
		if (s->region) {
			uint8_t part[V] = {0};
			const uint8_t *region = s->region + i;
			if (left < V)
				region = memcpy(part, region, left);
			v = v_add(v, v_unless_equal(region, s->own_region, -100));
		}
		store_part(x + i, v, left);
		top = v_max(top, left >= V ? v : v_load_fill(x + i, left, -INFINITY));
	}
	exp_and_scale(x, n, v_set1(v_top(top)));
}

static void column_max(const float *x, size_t rows, size_t n, float *top)
{
	for (size_t j = 0; j < n; j += V) {
		vec most = load_part(top + j, n - j);
		for (size_t r = 0; r < rows; r++)
			most = v_max(most, load_part(x + r * n + j, n - j));
		store_part(top + j, most, n - j);
	}
}

static void column_exp(float *x, size_t rows, size_t n, const float *top, double *sum)
{
	for (size_t r = 0; r < rows; r++, x += n) {
		for (size_t j = 0; j < n; j += V)
			store_part(x + j, v_exp(v_sub(load_part(x + j, n - j), load_part(top + j, n - j))), n - j);
		for (size_t j = 0; j < n; j++)
			sum[j] += (double)x[j];
	}
}

static void column_scale(float *x, size_t rows, size_t n, const float *factor)
{
	for (size_t r = 0; r < rows; r++, x += n)
		for (size_t j = 0; j < n; j += V)
			store_part(x + j, v_mul(load_part(x + j, n - j), load_part(factor + j, n - j)), n - j);
}

static void column_sums(const float *restrict x, size_t rows, size_t n, double *restrict sum, double *restrict square)
{
	for (size_t r = 0; r < rows; r++, x += n) {
		for (size_t j = 0; j < n; j++) {
			double v = (double)x[j];
			sum[j] += v;
			square[j] += v * v;
		}
	}
}

static void add(const float *x, size_t n, float *y)
{
	for (size_t i = 0; i < n; i += V)
		store_part(y + i, v_add(load_part(y + i, n - i), load_part(x + i, n - i)), n - i);
}

static void lerp(const float *x0, const float *x1, float part, size_t n, float *y)
{
	vec weight = v_set1(part);
	for (size_t i = 0; i < n; i += V) {
		vec first = load_part(x0 + i, n - i), second = load_part(x1 + i, n - i);
		store_part(y + i, v_fma(weight, v_sub(second, first), first), n - i);
	}
}

static void clamp(float *x, size_t n, float low, float high)
{
	for (size_t i = 0; i < n; i += V)
		store_part(x + i, v_min(v_set1(high), v_max(v_set1(low), load_part(x + i, n - i))), n - i);
}

static void relu(const float *x, size_t n, float *y)
{
	for (size_t i = 0; i < n; i += V)
		store_part(y + i, v_max(v_zero(), load_part(x + i, n - i)), n - i);
}

static void sigmoid(const float *x, size_t n, float *y)
{
	for (size_t i = 0; i < n; i += V)
		store_part(y + i, v_sigmoid(load_part(x + i, n - i)), n - i);
}

INLINE void dyrelu_of(int sources, const struct dyrelu_sum *d, size_t at, size_t n)
{
	for (size_t c = 0; c < n; c += V) {
		size_t left = n - c;
		vec x = load_part(d->shift + c, left);
		UNROLL
		for (int s = 0; s < sources; s++)
			x = v_fma(load_part(d->scale[s] + c, left), load_part(d->source[s] + at + c, left), x);
		vec first = v_fma(load_part(d->a1 + c, left), x, load_part(d->b1 + c, left));
		vec second = v_fma(load_part(d->a2 + c, left), x, load_part(d->b2 + c, left));
		store_part(d->out + at + c, v_max(first, second), left);
	}
}

static void dyrelu_row(const struct dyrelu_sum *d, size_t row)
{
	size_t n = (size_t)d->channels;
	if (d->sources == 3)
		dyrelu_of(3, d, row * n, n);
	else if (d->sources == 2)
		dyrelu_of(2, d, row * n, n);
	else
		dyrelu_of(1, d, row * n, n);
}
