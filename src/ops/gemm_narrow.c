/* Matrix products on narrower numbers: right rows are narrowed and packed, weights once for the model, others for each
 * product; left rows a block at a time into a worker's buffer, or all of them before where several pieces read the same
 * ones. Otherwise as gemm_native.c: every panel is multiplied with the whole block, and the bits of C depend neither on
 * blocks nor on threads. */
#include <stdalign.h>

#include "ops/narrow.h"
#include "ops/packed.h"

enum {
	BLOCK_PERCENT = 58, /* of the second-level cache for left rows: with a panel this leaves it some room */
	BLOCK_ROWS = 144,
	PIECES = 16,      /* wanted at least, so that workers of unequal speed finish together */
	NARROW_GRAIN = 16 /* left rows that are narrowed at a time, where all are before */
};

struct narrow_task {
	const struct kernels *kernels;
	const struct narrow_kernels *narrow;
	const struct product *p;
	size_t groups, row;                      /* groups of a row; 32-bit words of a right one with its heads */
	const uint32_t *panels;                  /* [ceil(n / nr), row, nr] */
	uint32_t *packing;                       /* the same while they are made */
	size_t left_ld, right_ld;                /* words from one narrowed row to the next */
	size_t block_rows, chunk_panels, chunks; /* a piece is block_rows rows times chunk_panels panels */
	uint32_t *left; /* [m, left_ld], where all left rows are narrowed before; NULL: by the piece that reads them */
	struct worker_scratch scratch;
};

/* Rows of k floats as left ones, to their stretches; range [rows, 2]: of each row, NULL: not known. */
static void narrow_left(const struct narrow_kernels *narrow, const float *x, size_t ldx, size_t rows, size_t k,
                        const float *range, uint32_t *out, size_t ld)
{
	const size_t stretch = (size_t)narrow->stretch, words = glip__narrow_words(narrow, true, stretch);
	if (k <= stretch) {
		narrow->left_rows(x, ldx, rows, k, range, out, ld);
		return;
	}
	const size_t whole = k / stretch, rest = k % stretch;
	for (size_t i = 0; i < rows; i++, x += ldx, out += ld) {
		narrow->left_rows(x, stretch, whole, stretch, NULL, out, words);
		if (rest > 0)
			narrow->left_rows(x + whole * stretch, 0, 1, rest, NULL, out + whole * words, 0);
	}
}

static void narrow_right(const struct narrow_kernels *narrow, const float *x, size_t k, uint32_t *row)
{
	const size_t stretch = (size_t)narrow->stretch, words = glip__narrow_words(narrow, false, stretch);
	for (; k > stretch; k -= stretch, x += stretch, row += words)
		narrow->right_row(x, stretch, row);
	narrow->right_row(x, k, row);
}

/* Floats as they are, or what a worker gathered of them. */
static const float *right_row(const struct product *p, size_t column, float *wide)
{
	const struct matrix *b = &p->g->b;
	if (b->dtype == DTYPE_F32)
		return (const float *)b->data + column * p->ldb;
	glip__matrix_row(b, (int64_t)p->ldb, (int64_t)column, wide);
	return wide;
}

/* Where the right matrix is [k, n]: its columns [column, column + cols). wide: room for a stretch of them. */
static void pack_columns(const struct narrow_task *t, size_t column, size_t cols, float *wide, uint32_t *panel)
{
	const struct matrix *b = &t->p->g->b;
	const struct narrow_kernels *narrow = t->narrow;
	const size_t stretch = (size_t)narrow->stretch, ldb = t->p->ldb;
	struct matrix part = *b;
	part.data = (const char *)b->data + column * glip__dtype_size(b->dtype);
	part.cols = (int64_t)cols;
	for (size_t p = 0, k; p < t->p->k; p += k) {
		k = glip__min_size(stretch, t->p->k - p);
		const float *x = b->dtype == DTYPE_F32 ? (const float *)part.data + p * ldb : wide;
		for (size_t i = 0; x == wide && i < k; i++)
			glip__matrix_row(&part, (int64_t)ldb, (int64_t)(p + i), wide + i * cols);
		narrow->right_columns(x, x == wide ? cols : ldb, k, (int)cols, panel);
		panel += glip__narrow_words(narrow, false, k) * (size_t)narrow->nr;
	}
}

static void pack_panels(void *context, size_t begin, size_t end, int worker)
{
	const struct narrow_task *t = context;
	size_t nr = (size_t)t->narrow->nr;
	float *rows = glip__worker_floats(&t->scratch, worker), *wide = rows + nr * t->right_ld;
	for (size_t i = begin; i < end; i++) {
		size_t cols = glip__min_size(nr, t->p->n - i * nr);
		if (t->p->g->b_rows_are_k) {
			pack_columns(t, i * nr, cols, rows, t->packing + i * nr * t->row);
			continue;
		}
		for (size_t j = 0; j < cols; j++)
			narrow_right(t->narrow, right_row(t->p, i * nr + j, wide), t->p->k,
			             (uint32_t *)(void *)(rows + j * t->right_ld));
		t->kernels->transpose(rows, t->right_ld, cols, t->row, (float *)(void *)(t->packing + i * nr * t->row), nr);
	}
}

static void multiply_block(const struct narrow_task *t, size_t row, size_t rows, size_t column, size_t cols,
                           const uint32_t *left, struct ahead *ahead)
{
	const struct narrow_kernels *narrow = t->narrow;
	const struct gemm *g = t->p->g;
	alignas(64) float tile[KERNEL_MAX_MR * KERNEL_MAX_NR];
	bool finish = glip__needs_finish(g);
	const float *bias = g->bias ? g->bias + column : NULL;
	for (size_t i = 0; i < rows; i += (size_t)narrow->mr) {
		size_t count = glip__min_size((size_t)narrow->mr, rows - i);
		float *c = finish ? tile : g->c + (row + i) * t->p->ldc + column;
		size_t ldc = finish ? (size_t)narrow->nr : t->p->ldc;
		glip__ask_for_places(t->p, row + i, count, column, cols);
		narrow->tile(t->groups, left + i * t->left_ld, t->left_ld, t->panels + column * t->row, bias, c, ldc,
		             (int)count, (int)cols, glip__take_ahead(ahead, t->groups));
		if (finish)
			glip__gemm_finish(t->kernels, t->p, row + i, count, column, cols, c, ldc);
	}
}

/* Left rows [row, row + rows) to out [rows, left_ld]; wide: room for one. */
static void narrow_block(const struct narrow_task *t, size_t row, size_t rows, float *wide, uint32_t *out)
{
	const struct product *p = t->p;
	if (glip__is_dense(p)) {
		narrow_left(t->narrow, p->g->a.data + row * p->lda, p->lda, rows, p->k, NULL, out, t->left_ld);
		return;
	}
	for (size_t i = 0; i < rows; i++) {
		float range[2], *wanted = glip__narrow_by_range(t->narrow) ? range : NULL;
		bool known = glip__gather_row(t->kernels, p, row + i, wide, wanted);
		narrow_left(t->narrow, wide, 0, 1, p->k, known ? wanted : NULL, out + i * t->left_ld, 0);
	}
}

static void begin_tiles(const struct narrow_kernels *narrow)
{
	if (narrow->begin)
		narrow->begin();
}

static void end_tiles(const struct narrow_kernels *narrow)
{
	if (narrow->end)
		narrow->end();
}

static void narrow_all(void *context, size_t begin, size_t end, int worker)
{
	const struct narrow_task *t = context;
	narrow_block(t, begin, end - begin, glip__worker_floats(&t->scratch, worker), t->left + begin * t->left_ld);
}

static void multiply_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct narrow_task *t = context;
	const struct product *p = t->p;
	size_t nr = (size_t)t->narrow->nr;
	float *wide = glip__worker_floats(&t->scratch, worker);
	uint32_t *own = (uint32_t *)(void *)(wide + glip__round_up(p->k, 16));
	begin_tiles(t->narrow);
	for (size_t piece = begin; piece < end; piece++) {
		size_t row = piece / t->chunks * t->block_rows, first = piece % t->chunks * t->chunk_panels * nr;
		size_t rows = glip__min_size(t->block_rows, p->m - row);
		size_t last = glip__min_size(p->n, first + t->chunk_panels * nr);
		const uint32_t *left = t->left ? t->left + row * t->left_ld : own;
		struct ahead ahead = {0};
		if (!t->left) {
			narrow_block(t, row, rows, wide, own);
			ahead = glip__next_left(p, piece, t->chunks, t->block_rows);
		}
		for (size_t column = first; column < last; column += nr)
			multiply_block(t, row, rows, column, glip__min_size(nr, p->n - column), left, &ahead);
		glip__rows_written(p, row, rows, last - first);
	}
	end_tiles(t->narrow);
}

/* Makes the panels; those of a weight are kept, or were there already. */
static enum glip_status pack(struct ops *ops, struct narrow_task *t)
{
	const struct product *p = t->p;
	const size_t nr = (size_t)t->narrow->nr, count = glip__ceil_div(p->n, nr);
	struct panels *kept = p->g->b.lasting ? ops->panels : NULL;
	const struct panels_key key = {p->g->b.data, p->n, p->k, p->ldb, t->narrow, p->g->b_rows_are_k};
	size_t words;
	if (kept && (t->panels = glip__panels_find(kept, &key)) != NULL)
		return GLIP_OK;
	if (!glip__mul_size(count * nr, t->row, &words))
		return glip__fail_nomem(ops->err, "packed weights", SIZE_MAX);
	/* Of a column: what is narrowed of it, or a stretch of floats. */
	const size_t stretch = glip__min_size((size_t)t->narrow->stretch, p->k);
	const size_t part = p->g->b_rows_are_k ? stretch : t->right_ld;
	TRY(glip__worker_scratch(ops, nr * part + glip__round_up(p->k, 16), &t->scratch));
	t->packing = kept ? glip__panels_alloc(kept, words) : glip__ops_alloc(ops, words, sizeof *t->packing);
	if (!t->packing)
		return glip__fail_nomem(ops->err, "packed weights", words * sizeof *t->packing);
	glip__pool_run(ops->pool, pack_panels, t, count, 1);
	t->panels = t->packing;
	if (!kept)
		return GLIP_OK;
	/* A pass that is given up leaves panels unpacked. */
	enum glip_status status = glip__ops_begin(ops);
	if (status == GLIP_OK)
		t->panels = glip__panels_keep(kept, &key, t->packing);
	else
		glip__panels_drop(kept, t->packing);
	return status;
}

/* Rows of narrowed words apart in memory, so that they do not share their sets of the first-level cache. */
static size_t spaced(size_t words)
{
	return glip__round_up(words, 16) + 16;
}

size_t glip__narrow_row_floats(const struct narrow_kernels *narrow, size_t k)
{
	return spaced(glip__narrow_words(narrow, true, k));
}

static struct narrow_task task_of(const struct kernels *kernels, const struct narrow_kernels *narrow,
                                  const struct product *p)
{
	const size_t right_words = glip__narrow_words(narrow, false, p->k);
	return (struct narrow_task){
		.kernels = kernels,
		.narrow = narrow,
		.p = p,
		.groups = glip__ceil_div(p->k, (size_t)narrow->group),
		.row = right_words,
		.left_ld = glip__narrow_row_floats(narrow, p->k),
		.right_ld = spaced(right_words),
	};
}

enum glip_status glip__pack_narrow(struct ops *ops, const struct product *p, struct packed *out)
{
	const struct narrow_kernels *narrow = glip__narrow_of(ops, p);
	struct narrow_task task = task_of(ops->kernels, narrow, p);
	TRY(pack(ops, &task));
	*out =
		(struct packed){.kernels = ops->kernels, .narrow = narrow, .panels = task.panels, .row_floats = task.left_ld};
	return GLIP_OK;
}

void glip__multiply_narrow(const struct packed *k, const struct product *p, size_t row, size_t rows, const float *a,
                           size_t lda, float *scratch)
{
	struct ahead ahead = p->ahead;
	struct narrow_task task = task_of(k->kernels, k->narrow, p);
	size_t nr = (size_t)k->narrow->nr;
	uint32_t *left = (uint32_t *)(void *)scratch;
	task.panels = k->panels;
	narrow_left(k->narrow, a, lda, rows, p->k, NULL, left, task.left_ld);
	begin_tiles(k->narrow);
	for (size_t column = 0; column < p->n; column += nr)
		multiply_block(&task, row, rows, column, glip__min_size(nr, p->n - column), left, &ahead);
	end_tiles(k->narrow);
}

enum glip_status glip__gemm_narrow(struct ops *ops, const struct product *p)
{
	const struct narrow_kernels *narrow = glip__narrow_of(ops, p);
	size_t mr = (size_t)narrow->mr, nr = (size_t)narrow->nr, panel_count = glip__ceil_div(p->n, nr);
	struct narrow_task task = task_of(ops->kernels, narrow, p);
	TRY(pack(ops, &task));
	size_t block = glip__min_size(BLOCK_ROWS, glip__cache_floats(ops, BLOCK_PERCENT) / task.left_ld);
	task.block_rows = block < mr ? mr : block / mr * mr;
	size_t blocks = glip__ceil_div(p->m, task.block_rows);
	size_t chunks = blocks >= PIECES ? 1 : glip__min_size(panel_count, glip__ceil_div(PIECES, blocks));
	task.chunk_panels = glip__ceil_div(panel_count, chunks);
	task.chunks = glip__ceil_div(panel_count, task.chunk_panels);
	const size_t left_rows = glip__round_up(p->m, (size_t)narrow->row_unit);
	if (task.chunks > 1 && !(task.left = glip__ops_alloc(ops, left_rows, task.left_ld * sizeof *task.left)))
		return GLIP_ERR_NOMEM;
	size_t own = task.left ? 0 : task.block_rows * task.left_ld;
	TRY(glip__worker_scratch(ops, own + glip__round_up(p->k, 16), &task.scratch));
	if (task.left)
		glip__pool_run(ops->pool, narrow_all, &task, p->m, NARROW_GRAIN);
	glip__pool_run(ops->pool, multiply_pieces, &task, blocks * task.chunks, 1);
	return GLIP_OK;
}
