/* Row and element kernels on vectors, included after a vec_<instruction set>.h. Contracts: ops/kernels_table.h. */

/* The first `lanes` lanes, `fill` in the others. */
INLINE vec load_fill(const float *p, size_t lanes, float fill)
{
	return lanes >= V ? v_load(p) : v_load_fill(p, lanes, fill);
}

/* Rows that are normalised together, so that their sums are joined together; v_sum4 has as many. */
enum { NORM_ROWS = 4 };

/* Adds the lanes of each row's two vectors of partial sums. */
INLINE void join_sums(int rows, const vec sum[NORM_ROWS][2], float *out)
{
	vec all[NORM_ROWS];
	UNROLL
	for (int i = 0; i < NORM_ROWS; i++)
		all[i] = v_add(sum[i < rows ? i : 0][0], sum[i < rows ? i : 0][1]);
	v_sum4(out, all[0], all[1], all[2], all[3], NULL);
}

/* The row's two vectors at value `at`, of which `lanes` count, less `middle`: added up, or their squares are. */
INLINE void add_values(bool squares, const float *x, size_t at, size_t lanes, vec middle, float fill, vec sum[2])
{
	UNROLL
	for (size_t v = 0; v < 2; v++) {
		if (v * V >= lanes)
			continue;
		vec value = v_sub(load_fill(x + at + v * V, lanes - v * V, fill), middle);
		sum[v] = squares ? v_fma(value, value, sum[v]) : v_add(sum[v], value);
	}
}

/* Two passes, each in two vectors of partial sums; rows is a constant. */
INLINE void norm_rows(int rows, const struct norm *m, const float *const *x, size_t n, float *const *y)
{
	float mean[NORM_ROWS] = {0}, inverse[NORM_ROWS];
	UNROLL
	for (int pass = 0; pass < 2; pass++) {
		vec sum[NORM_ROWS][2], middle[NORM_ROWS];
		size_t at = 0;
		UNROLL
		for (int i = 0; i < rows; i++) {
			sum[i][0] = sum[i][1] = v_zero();
			middle[i] = v_set1(mean[i]);
		}
		for (; at + 2 * V <= n; at += 2 * V) {
			UNROLL
			for (int i = 0; i < rows; i++)
				add_values(pass, x[i], at, 2 * V, middle[i], 0, sum[i]);
		}
		if (at < n) {
			UNROLL
			for (int i = 0; i < rows; i++)
				add_values(pass, x[i], at, n - at, middle[i], mean[i], sum[i]);
		}
		join_sums(rows, sum, pass ? inverse : mean);
		UNROLL
		for (int i = 0; i < rows; i++) {
			if (pass)
				inverse[i] = 1 / sqrtf(inverse[i] / (float)n + m->eps);
			else
				mean[i] /= (float)n;
		}
	}
	BY_VECTORS(n, 1, {
		vec weight = load_part(m->weight + at, lanes), bias = load_part(m->bias + at, lanes);
		UNROLL
		for (int i = 0; i < rows; i++) {
			vec d = v_mul(v_sub(load_part(x[i] + at, lanes), v_set1(mean[i])), v_set1(inverse[i]));
			store_part(y[i] + at, v_fma(d, weight, bias), lanes);
		}
	});
}

static void layer_norm(const struct norm *m, const float *x, size_t ldx, const int32_t *index, size_t rows, size_t n,
                       float *y, size_t ldy)
{
	const float *from[NORM_ROWS];
	float *to[NORM_ROWS];
	int count = 0;
	for (size_t row = 0; row < rows; row++) {
		if (index && index[row] < 0) {
			memset(y + row * ldy, 0, n * sizeof *y);
			continue;
		}
		from[count] = x + (index ? (size_t)index[row] : row) * ldx;
		to[count++] = y + row * ldy;
		if (count == NORM_ROWS) {
			norm_rows(NORM_ROWS, m, from, n, to);
			count = 0;
		}
	}
	for (int i = 0; i < count; i++)
		norm_rows(1, m, from + i, n, to + i);
}

/* The scores' values before their softmax, V of them; whether there is a clamp, a bias and a region are constants. */
INLINE vec score(const struct scores *s, bool clamps, bool biased, bool regions, size_t row, size_t at, size_t lanes,
                 vec x)
{
	x = v_mul(x, v_set1(s->scale));
	if (clamps)
		x = v_min(v_set1(s->clamp), v_max(v_set1(-s->clamp), x));
	if (biased)
		x = v_add(x, load_part(s->bias + row * s->bias_ld + at, lanes));
	if (regions)
		x = v_add(x, v_unless_equal(s->region + at, lanes, s->own_region[row], -100));
	return x;
}

/* `rows` rows of `vecs` vectors each, the last of `last` lanes; -infinity past the end. */
INLINE void load_scores(int rows, int vecs, const float *x, size_t ldx, size_t last, vec *e)
{
	UNROLL
	for (int i = 0; i < rows; i++) {
		UNROLL
		for (int v = 0; v < vecs; v++)
			e[i * vecs + v] = load_fill(x + (size_t)i * ldx + (size_t)v * V, v == vecs - 1 ? last : V, -INFINITY);
	}
}

/* Rows [row, row + rows), loaded by load_scores. */
INLINE void softmax_in_registers(int rows, int vecs, const struct scores *s, bool biased, bool regions, float *x,
                                 size_t ldx, size_t row, size_t last, vec *e)
{
	vec top[TOGETHER];
	UNROLL
	for (int i = 0; i < rows; i++) {
		UNROLL
		for (int v = 0; v < vecs; v++) {
			vec *value = &e[i * vecs + v];
			*value = score(s, false, biased, regions, row + (size_t)i, (size_t)v * V, v == vecs - 1 ? last : V, *value);
			top[i] = v == 0 ? *value : v_max(top[i], *value);
		}
	}
	UNROLL
	for (int i = 0; i < rows; i++) {
		top[i] = v_set1(v_top(top[i]));
		UNROLL
		for (int v = 0; v < vecs; v++)
			e[i * vecs + v] = v_sub(e[i * vecs + v], top[i]);
	}
	v_exp_down(rows * vecs, e);
	UNROLL
	for (int i = 0; i < rows; i++) {
		vec sum = e[i * vecs];
		UNROLL
		for (int v = 1; v < vecs; v++)
			sum = v_add(sum, e[i * vecs + v]);
		vec factor = v_set1(1 / v_sum(sum));
		UNROLL
		for (int v = 0; v < vecs; v++)
			store_part(x + (row + (size_t)i) * ldx + (size_t)v * V, v_mul(e[i * vecs + v], factor),
			           v == vecs - 1 ? last : V);
	}
}

/* Rows of `vecs` vectors, so few that those of `together` rows stay in registers; both are constants. Rows are loaded
 * before the ones ahead of them are stored: a load that touches what a masked store left out would wait for it. */
INLINE void short_rows(int together, int vecs, const struct scores *s, bool biased, bool regions, float *x, size_t ldx,
                       size_t rows, size_t n)
{
	size_t step = (size_t)together, row = 0, last = n - (size_t)(vecs - 1) * V;
	vec e[TOGETHER], next[TOGETHER];
	if (rows >= step)
		load_scores(together, vecs, x, ldx, last, next);
	for (; row + step <= rows; row += step) {
		UNROLL
		for (int i = 0; i < together * vecs; i++)
			e[i] = next[i];
		load_scores(together, vecs, x + (row + 2 * step <= rows ? row + step : row) * ldx, ldx, last, next);
		softmax_in_registers(together, vecs, s, biased, regions, x, ldx, row, last, e);
	}
	for (; row < rows; row++) {
		load_scores(1, vecs, x + row * ldx, ldx, last, e);
		softmax_in_registers(1, vecs, s, biased, regions, x, ldx, row, last, e);
	}
}

/* A row of any length. Where a score is only scaled it is made twice, as storing it between would cost more. */
INLINE void softmax_row(const struct scores *s, bool clamps, bool biased, bool regions, float *x, size_t row, size_t n)
{
	const bool plain = !clamps && !biased && !regions;
	vec top = v_set1(-INFINITY), sum = v_zero();
	BY_VECTORS(n, 1, {
		vec v = score(s, clamps, biased, regions, row, at, lanes, load_fill(x + at, lanes, -INFINITY));
		if (!plain)
			store_part(x + at, v, lanes);
		/* A clamp would make a number of what is past the end. */
		top = v_max(top, lanes >= V || !clamps ? v : load_fill(x + at, lanes, -INFINITY));
	});
	top = v_set1(v_top(top));
	BY_VECTORS(n, TOGETHER, {
		vec e[TOGETHER];
		UNROLL
		for (int i = 0; i < count; i++) {
			vec v = load_fill(x + at + i * V, lanes, -INFINITY);
			e[i] = v_sub(plain ? v_mul(v, v_set1(s->scale)) : v, top);
		}
		v_exp_down(count, e);
		UNROLL
		for (int i = 0; i < count; i++) {
			store_part(x + at + i * V, e[i], lanes);
			sum = v_add(sum, e[i]);
		}
	});
	vec factor = v_set1(1 / v_sum(sum));
	BY_VECTORS(n, 1, store_part(x + at, v_mul(load_part(x + at, lanes), factor), lanes));
}

INLINE void softmax_of(const struct scores *s, bool biased, bool regions, float *x, size_t ldx, size_t rows, size_t n)
{
	switch ((n + V - 1) / V) {
	case 1: short_rows(4, 1, s, biased, regions, x, ldx, rows, n); break;
	case 2: short_rows(2, 2, s, biased, regions, x, ldx, rows, n); break;
	case 3: short_rows(1, 3, s, biased, regions, x, ldx, rows, n); break;
	case 4: short_rows(1, 4, s, biased, regions, x, ldx, rows, n); break;
	default:
		for (size_t row = 0; row < rows; row++)
			softmax_row(s, false, biased, regions, x + row * ldx, row, n);
	}
}

static void softmax(const struct scores *s, float *x, size_t ldx, size_t rows, size_t n)
{
	assert(n > 0 && s->scale > 0);
	/* The kinds that the models have, and any other. */
	if (!s->bias && !s->region && !(s->clamp > 0))
		softmax_of(s, false, false, x, ldx, rows, n);
	else if (s->bias && !s->region && !(s->clamp > 0))
		softmax_of(s, true, false, x, ldx, rows, n);
	else if (s->bias && s->region && !(s->clamp > 0))
		softmax_of(s, true, true, x, ldx, rows, n);
	else
		for (size_t row = 0; row < rows; row++)
			softmax_row(s, s->clamp > 0, s->bias, s->region, x + row * ldx, row, n);
}

static void column_max(const float *x, size_t rows, size_t n, float *top)
{
	BY_VECTORS(n, 1, {
		vec most = load_part(top + at, lanes);
		for (size_t r = 0; r < rows; r++)
			most = v_max(most, load_part(x + r * n + at, lanes));
		store_part(top + at, most, lanes);
	});
}

static void column_exp(float *x, size_t rows, size_t n, const float *top, double *sum)
{
	for (size_t r = 0; r < rows; r++, x += n) {
		BY_VECTORS(n, TOGETHER, {
			vec e[TOGETHER];
			UNROLL
			for (int i = 0; i < count; i++)
				e[i] = v_sub(load_part(x + at + i * V, lanes), load_part(top + at + i * V, lanes));
			v_exp_down(count, e);
			UNROLL
			for (int i = 0; i < count; i++)
				store_part(x + at + i * V, e[i], lanes);
		});
		for (size_t j = 0; j < n; j++)
			sum[j] += (double)x[j];
	}
}

/* rows is a constant: so many values to a sum that is read and written. */
INLINE void sums_of(size_t rows, const float *restrict x, size_t n, double *restrict sum, double *restrict square)
{
	for (size_t j = 0; j < n; j++) {
		double total = sum[j], squares = square[j];
		UNROLL
		for (size_t r = 0; r < rows; r++) {
			double v = (double)x[r * n + j];
			total += v;
			squares += v * v;
		}
		sum[j] = total;
		square[j] = squares;
	}
}

static void column_sums(const float *x, size_t rows, size_t n, double *sum, double *square)
{
	size_t r = 0;
	for (; r + 4 <= rows; r += 4)
		sums_of(4, x + r * n, n, sum, square);
	for (; r < rows; r++)
		sums_of(1, x + r * n, n, sum, square);
}

static void add(const float *x, size_t n, float *y)
{
	BY_VECTORS(n, 1, store_part(y + at, v_add(load_part(y + at, lanes), load_part(x + at, lanes)), lanes));
}

static void lerp(const float *x0, const float *x1, float part, size_t n, float *y)
{
	vec weight = v_set1(part);
	BY_VECTORS(n, 1, {
		vec first = load_part(x0 + at, lanes), second = load_part(x1 + at, lanes);
		store_part(y + at, v_fma(weight, v_sub(second, first), first), lanes);
	});
}

static void clamp(float *x, size_t n, float low, float high)
{
	BY_VECTORS(n, 1, store_part(x + at, v_min(v_set1(high), v_max(v_set1(low), load_part(x + at, lanes))), lanes));
}

static void relu(const float *x, size_t n, float *y)
{
	BY_VECTORS(n, 1, store_part(y + at, v_max(v_zero(), load_part(x + at, lanes)), lanes));
}

static void sigmoid(const float *x, size_t n, float *y)
{
	BY_VECTORS(n, 1, store_part(y + at, v_sigmoid(load_part(x + at, lanes)), lanes));
}

INLINE void dyrelu_of(int sources, const struct dyrelu_sum *d, const float *const *rows, size_t n, float *out)
{
	const float *source[3], *scale[3];
	UNROLL
	for (int s = 0; s < sources; s++) {
		source[s] = rows[s];
		scale[s] = d->scale[s];
	}
	BY_VECTORS(n, 1, {
		vec x = load_part(d->shift + at, lanes);
		UNROLL
		for (int s = 0; s < sources; s++)
			x = v_fma(load_part(scale[s] + at, lanes), load_part(source[s] + at, lanes), x);
		vec first = v_fma(load_part(d->a1 + at, lanes), x, load_part(d->b1 + at, lanes));
		vec second = v_fma(load_part(d->a2 + at, lanes), x, load_part(d->b2 + at, lanes));
		store_part(out + at, v_max(first, second), lanes);
	});
}

static void dyrelu_row(const struct dyrelu_sum *d, const float *const *source, float *out)
{
	if (d->sources == 3)
		dyrelu_of(3, d, source, (size_t)d->channels, out);
	else if (d->sources == 2)
		dyrelu_of(2, d, source, (size_t)d->channels, out);
	else
		dyrelu_of(1, d, source, (size_t)d->channels, out);
}
