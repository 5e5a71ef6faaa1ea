/* Product kernels on vectors, included after a vec_<instruction set>.h with MR, the rows of a tile, and DOT_ROWS, the
 * left rows of a dot product tile. Contracts: ops/kernels_table.h. */

enum { NV = 2, NR = NV * V, DOT_COLS = 4 };

/* A tile of `rows` rows and `vecs` vectors, of which the last has `last` lanes; rows and vecs are constants. */
INLINE void tile_of(int rows, int vecs, size_t last, size_t k, const float *a, size_t lda, const float *panel,
                    const float *init, size_t init_ld, float *c, size_t ldc, struct wanted wanted)
{
	float part[MR * NR]; /* what the runs before have summed up */
	/* One pointer per three rows: the others are at once and twice lda, which an address can express. */
	const float *row[(MR + 2) / 3];
	UNROLL
	for (int i = 0; i < (rows + 2) / 3; i++)
		row[i] = a + (size_t)i * 3 * lda;
	do {
		size_t steps = k < SUM_LENGTH ? k : SUM_LENGTH;
		vec sum[MR][NV];
		UNROLL
		for (int i = 0; i < rows; i++) {
			UNROLL
			for (int v = 0; v < vecs; v++)
				sum[i][v] = v_zero();
		}
		k -= steps;
		for (; steps > 0; steps--) {
			vec b[NV];
			UNROLL
			for (int v = 0; v < vecs; v++)
				b[v] = v_load(panel + v * V);
			panel += NR;
			ask_for_line(&wanted);
			UNROLL
			for (int i = 0; i < rows; i++) {
				vec left = v_set1(row[i / 3][(size_t)(i % 3) * lda]);
				UNROLL
				for (int v = 0; v < vecs; v++)
					sum[i][v] = v_fma(left, b[v], sum[i][v]);
			}
			UNROLL
			for (int i = 0; i < (rows + 2) / 3; i++)
				row[i]++;
		}
		float *to = k > 0 ? part : c;
		size_t to_ld = k > 0 ? NR : ldc;
		UNROLL
		for (int i = 0; i < rows; i++) {
			UNROLL
			for (int v = 0; v < vecs; v++) {
				size_t lanes = v == vecs - 1 ? last : V;
				if (init)
					sum[i][v] = v_add(sum[i][v], load_part(init + (size_t)i * init_ld + v * V, lanes));
				store_part(to + (size_t)i * to_ld + v * V, sum[i][v], lanes);
			}
		}
		init = part;
		init_ld = NR;
	} while (k > 0);
}

#define TILE_CASE(r) \
	case r: \
		if (cols == NR) \
			tile_of(r, NV, V, k, a, lda, panel, init, init_ld, c, ldc, wanted); \
		else if (cols > V) \
			tile_of(r, NV, (size_t)cols - V, k, a, lda, panel, init, init_ld, c, ldc, wanted); \
		else \
			tile_of(r, 1, (size_t)cols, k, a, lda, panel, init, init_ld, c, ldc, wanted); \
		break

static void gemm_tile(size_t k, const float *a, size_t lda, const float *panel, const float *init, size_t init_ld,
                      float *c, size_t ldc, int rows, int cols, const void *ahead)
{
	const struct wanted wanted = wanted_from(ahead, a);
	assert(rows > 0 && rows <= MR && cols > 0 && cols <= NR);
	switch (rows) {
		TILE_CASE(1);
		TILE_CASE(2);
		TILE_CASE(3);
		TILE_CASE(4);
		TILE_CASE(5);
		TILE_CASE(6);
#if MR > 6
		TILE_CASE(7);
		TILE_CASE(8);
		TILE_CASE(9);
		TILE_CASE(10);
		TILE_CASE(11);
		TILE_CASE(12);
#endif
	default: break;
	}
}

/* n values of a right row beginning at element `at`. */
INLINE vec load_right(const void *b, enum dtype dtype, size_t at, size_t n)
{
	if (dtype == DTYPE_F32)
		return load_part((const float *)b + at, n);
	const uint16_t *narrow = (const uint16_t *)b + at;
	if (n >= V)
		return v_load_bf16(narrow);
	uint16_t part[V] = {0};
	memcpy(part, narrow, n * sizeof *part);
	return v_load_bf16(part);
}

INLINE void pack_columns_of(enum dtype dtype, const void *b, size_t ldb, int cols, size_t k, float *panel)
{
	for (size_t p = 0; p < k; p += V) {
		size_t n = k - p < V ? k - p : V;
		for (int v = 0; v < NR; v += V) {
			vec r[V];
			UNROLL
			for (int i = 0; i < V; i++)
				r[i] = v + i < cols ? load_right(b, dtype, (size_t)(v + i) * ldb + p, n) : v_zero();
			v_transpose(r);
			for (size_t i = 0; i < n; i++)
				v_store(panel + (p + i) * NR + v, r[i]);
		}
	}
}

static void pack_columns(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel)
{
	if (dtype == DTYPE_F32)
		pack_columns_of(DTYPE_F32, b, ldb, cols, k, panel);
	else
		pack_columns_of(DTYPE_BF16, b, ldb, cols, k, panel);
}

static void pack_rows(const void *b, enum dtype dtype, size_t ldb, int cols, size_t k, float *panel)
{
	for (size_t p = 0; p < k; p++)
		for (int v = 0; v < NR; v += V)
			v_store(panel + p * NR + v,
			        v < cols ? load_right(b, dtype, p * ldb + (size_t)v, (size_t)(cols - v)) : v_zero());
}

static void transpose(const float *x, size_t ldx, size_t rows, size_t cols, float *y, size_t ldy)
{
	for (size_t i = 0; i < rows; i += V) {
		for (size_t j = 0; j < cols; j += V) {
			size_t height = rows - i < V ? rows - i : V, width = cols - j < V ? cols - j : V;
			vec r[V];
			UNROLL
			for (size_t q = 0; q < V; q++)
				r[q] = q < height ? load_part(x + (i + q) * ldx + j, width) : v_zero();
			v_transpose(r);
			for (size_t q = 0; q < width; q++)
				store_part(y + (j + q) * ldy + i, r[q], height);
		}
	}
}

/* Adds n <= V steps from p on of the dot products of `rows` left rows with four right rows. */
INLINE void dot_step(int rows, enum dtype dtype, size_t p, size_t n, const float *a, size_t lda, const void *b,
                     size_t ldb, vec sum[DOT_ROWS][DOT_COLS])
{
	vec left[DOT_ROWS];
	UNROLL
	for (int i = 0; i < rows; i++)
		left[i] = load_part(a + (size_t)i * lda + p, n);
	UNROLL
	for (int j = 0; j < DOT_COLS; j++) {
		vec right = load_right(b, dtype, (size_t)j * ldb + p, n);
		UNROLL
		for (int i = 0; i < rows; i++)
			sum[i][j] = v_fma(left[i], right, sum[i][j]);
	}
}

/* Dot products of `rows` left rows with four right rows; rows, dtype and ahead are constants. Each step asks for
 * `ahead` bytes from next on; NULL: none. They go to the second-level cache: the left rows fill the first, and a core
 * waits for no more than some twenty lines there. */
INLINE void dot_tile(int rows, enum dtype dtype, size_t k, const float *a, size_t lda, const void *b, size_t ldb,
                     const char *next, size_t ahead, const float *bias, float *c, size_t ldc)
{
	vec sum[DOT_ROWS][DOT_COLS];
	UNROLL
	for (int i = 0; i < rows; i++) {
		UNROLL
		for (int j = 0; j < DOT_COLS; j++)
			sum[i][j] = v_zero();
	}
	size_t p = 0;
	for (; p + V <= k; p += V) {
		UNROLL
		for (size_t at = 0; at < ahead && next; at += CACHE_LINE)
			__builtin_prefetch(next + p / V * ahead + at, 0, 2);
		dot_step(rows, dtype, p, V, a, lda, b, ldb, sum);
	}
	if (p < k)
		dot_step(rows, dtype, p, k - p, a, lda, b, ldb, sum);
	UNROLL
	for (int i = 0; i < rows; i++)
		v_sum4(c + (size_t)i * ldc, sum[i][0], sum[i][1], sum[i][2], sum[i][3], bias);
}

#define DOT_CASE(r) \
	case r: dot_tile(r, dtype, k, a, lda, b, ldb, next, ahead, bias, c, ldc); break

/* The four right rows at next, which come after these, are asked for by the first `parts` tiles, a constant. */
INLINE void dot_rows_of(enum dtype dtype, int parts, size_t k, const float *a, size_t lda, int rows, const void *b,
                        size_t ldb, const char *next, const float *bias, float *c, size_t ldc)
{
	const size_t ahead = DOT_COLS * V / (size_t)parts * (dtype == DTYPE_F32 ? sizeof(float) : sizeof(uint16_t));
	for (int tile = 0; rows > 0; tile++, rows -= DOT_ROWS, a += DOT_ROWS * lda, c += DOT_ROWS * ldc) {
		if (tile > 0 && next)
			next = tile < parts ? next + k / V * ahead : NULL;
		switch (rows < DOT_ROWS ? rows : DOT_ROWS) {
			DOT_CASE(1);
			DOT_CASE(2);
			DOT_CASE(3);
#if DOT_ROWS > 3
			DOT_CASE(4);
			DOT_CASE(5);
			DOT_CASE(6);
#endif
		default: break;
		}
	}
}

static void dot_rows_by(int parts, size_t k, const float *a, size_t lda, int rows, const void *b, enum dtype dtype,
                        size_t ldb, const char *next, const float *bias, float *c, size_t ldc)
{
	if (dtype == DTYPE_F32 && parts == 1)
		dot_rows_of(DTYPE_F32, 1, k, a, lda, rows, b, ldb, next, bias, c, ldc);
	else if (dtype == DTYPE_F32)
		dot_rows_of(DTYPE_F32, 2, k, a, lda, rows, b, ldb, next, bias, c, ldc);
	else if (parts == 1)
		dot_rows_of(DTYPE_BF16, 1, k, a, lda, rows, b, ldb, next, bias, c, ldc);
	else
		dot_rows_of(DTYPE_BF16, 2, k, a, lda, rows, b, ldb, next, bias, c, ldc);
}

static void dot_rows(size_t k, const float *a, size_t lda, int rows, const void *b, enum dtype dtype, size_t ldb,
                     int cols, const float *bias, float *c, size_t ldc)
{
	assert(rows > 0 && rows <= KERNEL_MAX_DOT_ROWS);
	size_t size = dtype == DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
	for (int j = 0; j < cols; j += DOT_COLS) {
		const void *right = (const char *)b + (size_t)j * ldb * size;
		const float *add = bias ? bias + j : NULL;
		float *to = c + j, part[KERNEL_MAX_DOT_ROWS * DOT_COLS], part_bias[DOT_COLS] = {0};
		size_t ld_to = ldc, ld_right = ldb;
		int width = cols - j < DOT_COLS ? cols - j : DOT_COLS;
		const char *next = j + 2 * DOT_COLS <= cols ? (const char *)right + DOT_COLS * ldb * size : NULL;
		/* The last columns, one at a time: the same right row four times. */
		for (int i = 0; i < (width < DOT_COLS ? width : 1); i++) {
			if (width < DOT_COLS) {
				to = part;
				ld_to = DOT_COLS;
				ld_right = 0;
				part_bias[0] = bias ? bias[j + i] : 0;
				add = part_bias;
			}
			dot_rows_by(rows > DOT_ROWS ? 2 : 1, k, a, lda, rows, right, dtype, ld_right, next, add, to, ld_to);
			for (int r = 0; r < rows && width < DOT_COLS; r++)
				c[(size_t)r * ldc + (size_t)(j + i)] = part[r * DOT_COLS];
			right = (const char *)right + ldb * size;
		}
	}
}

/* The least and the greatest values of V columns each, zero among them. */
struct column_range {
	vec low, high;
};

/* A tap of `sources` rows, a constant as `ranges` is; next: what is asked for meanwhile. */
INLINE void sample_tap(int sources, bool ranges, const float *const *row, const float *factor, const float *next,
                       size_t n, float *out, struct column_range *range)
{
	enum { LINE = 16, LINE_VECTORS = LINE / V };
	const float *from[4];
	vec share[4];
	struct column_range r = *range;
	UNROLL
	for (int q = 0; q < sources; q++) {
		from[q] = row[q];
		share[q] = v_set1(factor[q]);
	}
	BY_VECTORS(n, LINE_VECTORS, {
		__builtin_prefetch(next + at);
		UNROLL
		for (int i = 0; i < count; i++) {
			vec sum = v_zero();
			UNROLL
			for (int q = 0; q < sources; q++)
				sum = v_fma(share[q], load_part(from[q] + at + i * V, lanes), sum);
			store_part(out + at + i * V, sum, lanes);
			if (ranges) {
				/* In this order what is not a number counts for nothing (not NEON); lanes past the end are zeros. */
				r.low = v_min(sum, r.low);
				r.high = v_max(sum, r.high);
			}
		}
	});
	*range = r;
}

INLINE void sample_of(bool ranges, const float *x, size_t ldx, const int32_t *index, const float *blend,
                      const int32_t *next, size_t taps, size_t n, float *out, struct column_range *range)
{
	for (size_t t = 0; t < taps; t++, index += 4, blend += 4, next += 4, out += n) {
		const float *row[4], *ahead = x + (next[3] < 0 ? 0 : (size_t)next[3]) * ldx;
		float factor[4];
		int sources = 0;
		for (int q = 0; q < 4; q++) {
			if (index[q] < 0 || blend[q] == 0)
				continue;
			row[sources] = x + (size_t)index[q] * ldx;
			factor[sources++] = blend[q];
		}
		switch (sources) {
		case 1: sample_tap(1, ranges, row, factor, ahead, n, out, range); break;
		case 2: sample_tap(2, ranges, row, factor, ahead, n, out, range); break;
		case 3: sample_tap(3, ranges, row, factor, ahead, n, out, range); break;
		case 4: sample_tap(4, ranges, row, factor, ahead, n, out, range); break;
		default: memset(out, 0, n * sizeof *out);
		}
	}
}

static void sample(const float *x, size_t ldx, const int32_t *index, const float *blend, const int32_t *next,
                   size_t taps, size_t n, float *out, float *range)
{
	struct column_range r = {v_zero(), v_zero()};
	if (!range) {
		sample_of(false, x, ldx, index, blend, next, taps, n, out, &r);
		return;
	}
	sample_of(true, x, ldx, index, blend, next, taps, n, out, &r);
	range[0] = -v_top(v_sub(v_zero(), r.low));
	range[1] = v_top(r.high);
}

INLINE void activate_of(enum activation act, float *x, size_t n)
{
	BY_VECTORS(n, TOGETHER, {
		vec y[TOGETHER];
		UNROLL
		for (int i = 0; i < count; i++)
			y[i] = load_part(x + at + i * V, lanes);
		if (act == ACT_GELU)
			v_gelu(count, y);
		UNROLL
		for (int i = 0; i < count; i++)
			store_part(x + at + i * V, act == ACT_RELU ? v_max(v_zero(), y[i]) : y[i], lanes);
	});
}

static void activate(enum activation act, float *x, size_t ldx, int rows, size_t cols)
{
	/* Rows without a gap are one. */
	size_t count = ldx == cols ? 1 : (size_t)rows, n = ldx == cols ? (size_t)rows * cols : cols;
	for (; count > 0; count--, x += ldx) {
		if (act == ACT_RELU)
			activate_of(ACT_RELU, x, n);
		else
			activate_of(ACT_GELU, x, n);
	}
}

/* Whether there are a scale and a residual are constants. */
INLINE void finish_of(const float *scale, const float *in, size_t ld_in, int rows, size_t cols,
                      const float *const *residual, float *const *out)
{
	for (int i = 0; i < rows; i++, in += ld_in) {
		float *to = out[i];
		const float *more = residual ? residual[i] : NULL;
		if (!to)
			continue;
		BY_VECTORS(cols, 1, {
			vec x = load_part(in + at, lanes);
			if (scale)
				x = v_mul(x, load_part(scale + at, lanes));
			if (residual)
				x = v_add(x, load_part(more + at, lanes));
			store_part(to + at, x, lanes);
		});
	}
}

static void finish(const struct finish *f, float *in, size_t ld_in, int rows, int cols, const float *const *residual,
                   float *const *out)
{
	if (f->act != ACT_NONE)
		activate(f->act, in, ld_in, rows, (size_t)cols);
	if (f->scale && residual)
		finish_of(f->scale, in, ld_in, rows, (size_t)cols, residual, out);
	else if (f->scale)
		finish_of(f->scale, in, ld_in, rows, (size_t)cols, NULL, out);
	else if (residual)
		finish_of(NULL, in, ld_in, rows, (size_t)cols, residual, out);
	else if (out[0] != in)
		finish_of(NULL, in, ld_in, rows, (size_t)cols, NULL, out);
}
