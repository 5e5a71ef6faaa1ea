/* Sums over runs of a product's rows: of fixed pieces of rows, each by the worker that writes the last of its values,
 * while a cache has them, and joined in order at the end. What is added to what depends on the runs alone. */
#include <stdatomic.h>
#include <string.h>

#include "ops/ops_internal.h"

enum { PIECE_ROWS = 64, JOIN_COLUMNS = 64 };

struct row_sums {
	const struct kernels *kernels;
	const struct product *p;
	size_t pieces;
	size_t *first;          /* [pieces + 1] rows; no piece has rows of two runs */
	atomic_size_t *missing; /* [pieces] values that are not written yet */
	double *sum, *square;   /* [pieces, n] */
};

enum glip_status glip__sums_begin(struct ops *ops, struct product *p)
{
	const struct gemm_sums *g = p->g->sums;
	size_t most = p->m / PIECE_ROWS + (size_t)g->runs;
	if (p->g->c_index || g->first[g->runs] - g->first[0] != p->m)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "matrix product: sums over rows that it does not write");
	struct row_sums *s = glip__ops_alloc(ops, 1, sizeof *s);
	if (!s)
		return GLIP_ERR_NOMEM;
	*s = (struct row_sums){.kernels = ops->kernels, .p = p};
	s->first = glip__ops_alloc(ops, most + 1, sizeof *s->first);
	s->missing = glip__ops_alloc(ops, most, sizeof *s->missing);
	s->sum = glip__ops_alloc(ops, most, p->n * sizeof *s->sum);
	s->square = glip__ops_alloc(ops, most, p->n * sizeof *s->square);
	if (!s->first || !s->missing || !s->sum || !s->square)
		return GLIP_ERR_NOMEM;
	for (int run = 0; run < g->runs; run++) {
		size_t end = g->first[run + 1] - g->first[0];
		for (size_t row = g->first[run] - g->first[0]; row < end; row += PIECE_ROWS) {
			s->first[s->pieces] = row;
			atomic_init(&s->missing[s->pieces++], glip__min_size(PIECE_ROWS, end - row) * p->n);
		}
	}
	s->first[s->pieces] = p->m;
	p->sums = s;
	return GLIP_OK;
}

static void sum_piece(const struct row_sums *s, size_t piece)
{
	size_t n = s->p->n, end = s->first[piece + 1], step = s->p->ldc == n ? PIECE_ROWS : 1;
	double *sum = s->sum + piece * n, *square = s->square + piece * n;
	memset(sum, 0, n * sizeof *sum);
	memset(square, 0, n * sizeof *square);
	for (size_t row = s->first[piece]; row < end; row += step)
		s->kernels->column_sums(s->p->g->c + row * s->p->ldc, glip__min_size(step, end - row), n, sum, square);
}

void glip__rows_written(const struct product *p, size_t row, size_t rows, size_t cols)
{
	const struct row_sums *s = p->sums;
	/* No piece is longer than PIECE_ROWS, so the row's is this one or one of a few after it. */
	for (size_t piece = row / PIECE_ROWS; s && piece < s->pieces && s->first[piece] < row + rows; piece++) {
		if (s->first[piece + 1] <= row)
			continue;
		size_t begin = s->first[piece] > row ? s->first[piece] : row;
		size_t values = (glip__min_size(row + rows, s->first[piece + 1]) - begin) * cols;
		if (atomic_fetch_sub(&s->missing[piece], values) == values)
			sum_piece(s, piece);
	}
}

static void sum_missing(void *context, size_t begin, size_t end, int worker)
{
	const struct row_sums *s = context;
	(void)worker;
	for (size_t piece = begin; piece < end; piece++)
		if (atomic_load(&s->missing[piece]) > 0)
			sum_piece(s, piece);
}

static void join_pieces(void *context, size_t begin, size_t end, int worker)
{
	const struct row_sums *s = context;
	const struct gemm_sums *g = s->p->g->sums;
	size_t n = s->p->n, piece = 0;
	(void)worker;
	for (int run = 0; run < g->runs; run++) {
		double *sum = g->sum + (size_t)run * n, *square = g->square + (size_t)run * n;
		for (size_t j = begin; j < end; j++)
			sum[j] = square[j] = 0;
		for (; piece < s->pieces && s->first[piece] < g->first[run + 1] - g->first[0]; piece++) {
			for (size_t j = begin; j < end; j++) {
				sum[j] += s->sum[piece * n + j];
				square[j] += s->square[piece * n + j];
			}
		}
	}
}

void glip__sums_end(struct ops *ops, const struct product *p)
{
	glip__pool_run(ops->pool, sum_missing, p->sums, p->sums->pieces, 1);
	glip__pool_run(ops->pool, join_pieces, p->sums, p->n, JOIN_COLUMNS);
}
