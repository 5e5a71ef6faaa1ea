/* Positions are multiplied with the weights of all taps at once, and the products added up where the taps meet. A strip
 * of a map's lines goes through a few lines at a time, whose products and those of the two lines before them stay in
 * the second-level cache. Products that need all rows at once (BLAS) are made before, for all strips. */
#include "ops/few_channels.h"

#include "ops/packed.h"

enum {
	TAPS = 9,
	BLOCK_ROWS = 144,      /* positions that are multiplied together, at least, in whole lines */
	STRIPS_PER_THREAD = 2, /* more would multiply more lines twice, fewer let threads wait for each other */
	STRIP_POSITIONS = 1024 /* at least */
};

struct few_task {
	const struct kernels *kernels;
	const struct few_channels *f;
	size_t n, row_products; /* 9 n */
	size_t strip_positions; /* wanted */
	struct product product;
	struct packed packed;
	const float *whole; /* [rows, 9 n] where they are made before; NULL: by strips */
	size_t ring;        /* floats of a worker's products */
	struct worker_scratch scratch;
};

/* A map's lines [begin, end), their number in all, and where its positions begin. */
struct strip {
	size_t begin, end, height, width, first;
};

/* The products of a map's lines, those of line y at its place modulo `lines`. */
struct product_lines {
	const float *data;
	size_t first, lines;
};

static size_t strips_of(const struct few_task *t, int map)
{
	size_t height = (size_t)t->f->height[map], lines = t->strip_positions / (size_t)t->f->width[map];
	return glip__ceil_div(height, lines > 0 ? lines : 1);
}

static struct strip strip_at(const struct few_task *t, size_t index)
{
	struct strip s = {0};
	int map = 0;
	for (; index >= strips_of(t, map); map++) {
		index -= strips_of(t, map);
		s.first += (size_t)t->f->height[map] * (size_t)t->f->width[map];
	}
	s.height = (size_t)t->f->height[map];
	s.width = (size_t)t->f->width[map];
	size_t lines = glip__ceil_div(s.height, strips_of(t, map));
	s.begin = glip__min_size(index * lines, s.height);
	s.end = glip__min_size(s.begin + lines, s.height);
	return s;
}

/* out[c] = bias[c] + the neighbours' products with their taps' weights, in the order of the taps; count may be a
 * constant. */
static inline void add_taps(const float *const *near, const int *taps, int count, size_t n, const float *bias,
                            float *out)
{
	for (size_t c = 0; c < n; c++) {
		float sum = bias[c];
		for (int i = 0; i < count; i++)
			sum += near[i][c * TAPS + (size_t)taps[i]];
		out[c] = sum;
	}
}

static void add_line(const struct few_task *t, const struct strip *s, const struct product_lines *p, size_t y)
{
	static const int all[TAPS] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
	size_t gates = (size_t)t->f->gates;
	float *out = t->f->out + (s->first + y * s->width) * t->n;
	for (size_t x = 0; x < s->width; x++, out += t->n) {
		const float *near[TAPS];
		int taps[TAPS], count = 0;
		for (int k = 0; k < TAPS; k++) {
			size_t ny = y + (size_t)(k / 3) - 1, nx = x + (size_t)(k % 3) - 1;
			/* -1 has become more than any size. */
			if (ny >= s->height || nx >= s->width)
				continue;
			near[count] = p->data + ((ny - p->first) % p->lines * s->width + nx) * t->row_products;
			taps[count++] = k;
		}
		if (count == TAPS)
			add_taps(near, all, TAPS, t->n, t->f->bias, out);
		else
			add_taps(near, taps, count, t->n, t->f->bias, out);
		t->kernels->sigmoid(out + t->n - gates, gates, out + t->n - gates);
	}
}

/* Lines that are multiplied together, and lines that their ring holds: a multiple of them, and two more at least. */
static size_t block_lines(size_t width)
{
	return glip__ceil_div(BLOCK_ROWS, width);
}

static size_t ring_lines(size_t width)
{
	size_t block = block_lines(width);
	return glip__round_up(block + 2, block);
}

static void multiply_strip(const struct few_task *t, const struct strip *s, float *ring, float *scratch)
{
	size_t low = s->begin > 0 ? s->begin - 1 : 0, high = glip__min_size(s->end + 1, s->height), next = s->begin;
	size_t block = block_lines(s->width), c = (size_t)t->f->channels;
	const struct product_lines products = {ring, low, ring_lines(s->width)};
	for (size_t y = low; y < high; y += block) {
		size_t lines = glip__min_size(block, high - y);
		struct gemm g = *t->product.g;
		struct product p = t->product;
		g.c = ring + (y - low) % products.lines * s->width * t->row_products;
		p.g = &g;
		glip__multiply(&t->packed, &p, 0, lines * s->width, t->f->x + (s->first + y * s->width) * c, c, scratch);
		for (; next < s->end && (next + 1 < y + lines || y + lines == s->height); next++)
			add_line(t, s, &products, next);
	}
}

static void convolve_strips(void *context, size_t begin, size_t end, int worker)
{
	const struct few_task *t = context;
	float *ring = t->whole ? NULL : glip__worker_floats(&t->scratch, worker);
	for (size_t i = begin; i < end; i++) {
		struct strip s = strip_at(t, i);
		if (!t->whole) {
			multiply_strip(t, &s, ring, ring + t->ring);
			continue;
		}
		const struct product_lines whole = {t->whole + s.first * t->row_products, 0, s.height};
		for (size_t y = s.begin; y < s.end; y++)
			add_line(t, &s, &whole, y);
	}
}

/* Makes what the strips multiply with, or all products. */
static enum glip_status prepare(struct ops *ops, struct few_task *t, const struct gemm *g)
{
	size_t rows = (size_t)g->m, most = 0;
	TRY(glip__product_of(ops, g, &t->product));
	if (ops->gemm == GLIP_GEMM_BLAS) {
		struct gemm all = *g;
		all.c = glip__ops_alloc(ops, rows, t->row_products * sizeof *all.c);
		t->whole = all.c;
		return all.c ? glip__gemm(ops, &all) : GLIP_ERR_NOMEM;
	}
	ops->multiply_adds += (double)rows * (double)t->row_products * (double)g->k;
	TRY(glip__pack(ops, &t->product, &t->packed));
	for (int i = 0; i < t->f->maps; i++) {
		size_t width = (size_t)t->f->width[i], ring = ring_lines(width) * width * t->row_products;
		t->ring = ring > t->ring ? ring : t->ring;
		most = block_lines(width) * width > most ? block_lines(width) * width : most;
	}
	t->ring = glip__round_up(t->ring, 16);
	return glip__worker_scratch(ops, t->ring + glip__packed_scratch(&t->packed, most), &t->scratch);
}

static enum glip_status run(struct ops *ops, const struct few_channels *f, size_t rows)
{
	struct few_task t = {.kernels = ops->kernels, .f = f, .n = (size_t)f->weight.rows};
	size_t strips = 0, pieces = STRIPS_PER_THREAD * (size_t)glip__pool_threads(ops->pool);
	t.row_products = TAPS * t.n;
	t.strip_positions = glip__ceil_div(rows, pieces);
	t.strip_positions = t.strip_positions > STRIP_POSITIONS ? t.strip_positions : STRIP_POSITIONS;
	struct gemm g = {
		.m = (int64_t)rows,
		.n = (int64_t)t.row_products,
		.k = f->channels,
		.a = {.data = f->x, .ld = f->channels},
		.b = f->weight,
	};
	/* A row of the weight is nine runs of C: as a matrix of 9 n rows it is the same memory. */
	g.b.rows = g.n;
	g.b.cols = g.k;
	TRY(prepare(ops, &t, &g));
	for (int i = 0; i < f->maps; i++)
		strips += strips_of(&t, i);
	glip__pool_run(ops->pool, convolve_strips, &t, strips, 1);
	return GLIP_OK;
}

enum glip_status glip__conv_to_few(struct ops *ops, const struct few_channels *f)
{
	size_t rows = 0;
	TRY(glip__ops_begin(ops));
	if (f->weight.cols != TAPS * (int64_t)f->channels || f->weight.scale)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "3x3 convolution of %d channels with a weight of %lld x %lld",
		                  f->channels, (long long)f->weight.rows, (long long)f->weight.cols);
	for (int i = 0; i < f->maps; i++) {
		if (f->height[i] < 1 || f->width[i] < 1)
			return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "3x3 convolution of a map of %d x %d", f->height[i],
			                  f->width[i]);
		rows += (size_t)f->height[i] * (size_t)f->width[i];
	}
	struct arena_mark mark = glip__arena_mark(ops->arena);
	enum glip_status status = run(ops, f, rows);
	glip__arena_release(ops->arena, mark);
	return status;
}
