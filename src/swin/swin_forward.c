#include <string.h>

#include "ops/feed_forward.h"
#include "ops/window_attention.h"
#include "swin/swin.h"
#include "swin/windows.h"

/* CHUNK_ROWS: rows that are embedded or merged at a time: enough for packing the weights and starting the threads to
 * cost little beside them, few enough to bound the scratch. */
enum { CHUNK_ROWS = 8192, PATCH = 4, MLP_RATIO = 4 };

static const float norm_eps = 1e-5f;
static const char *const STAGE_NAMES[SWIN_STAGES] = {"swin.stage1", "swin.stage2", "swin.stage3", "swin.stage4"};

/* Index tables of one stage, for blocks without and with shift. */
struct stage_tables {
	struct window_grid grid[2];
	int32_t *rows[2]; /* window order to map row */
	uint8_t *regions; /* of the shifted grid */
};

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* x: [height / 4 * width / 4, C]. The convolution is a product over four runs of 12 floats: pixel rows of a patch. */
static enum glip_status embed_patches(const struct swin *m, struct ops *ops, const float *image, int height, int width,
                                      float *x)
{
	int64_t rows = (int64_t)(height / PATCH) * (width / PATCH), across = width / PATCH;
	int32_t *index; /* [chunk, 4]: which run of 4 pixels each pixel row of a patch is */

	index = glip__ops_alloc(ops, (size_t)min64(rows, CHUNK_ROWS) * PATCH, sizeof *index);
	if (index == NULL)
		return GLIP_ERR_NOMEM;
	for (int64_t first = 0; first < rows; first += CHUNK_ROWS) {
		int64_t count = min64(rows - first, CHUNK_ROWS);

		for (int64_t r = 0; r < count; r++) {
			int64_t y = (first + r) / across * PATCH, column = (first + r) % across;

			for (int ky = 0; ky < PATCH; ky++)
				index[r * PATCH + ky] = (int32_t)((y + ky) * across + column);
		}
		struct gemm product = {
			.m = count,
			.n = m->embed_dim,
			.k = PATCH * PATCH * 3,
			.a = {.data = image, .ld = PATCH * 3, .index = index, .taps = PATCH},
			.b = m->patch,
			.bias = m->patch_bias,
			.c = x + first * m->embed_dim,
		};
		TRY(glip__gemm(ops, &product));
		TRY(glip__layer_norm(ops, product.c, count, m->embed_dim, m->patch_norm_weight, m->patch_norm_bias, norm_eps,
		                     product.c));
	}
	return GLIP_OK;
}

static enum glip_status make_tables(struct ops *ops, int height, int width, int window, struct stage_tables *t)
{
	for (int shifted = 0; shifted < 2; shifted++) {
		/* WATCH: the shift is window / 2 rounded down, also where the map is smaller than a window. */
		struct window_grid grid = glip__window_grid(height, width, window, shifted ? window / 2 : 0);
		size_t windows = (size_t)grid.bands * (size_t)grid.across, tokens = (size_t)window * (size_t)window;

		t->grid[shifted] = grid;
		t->rows[shifted] = glip__ops_alloc(ops, windows, tokens * sizeof(int32_t));
		if (t->rows[shifted] == NULL)
			return GLIP_ERR_NOMEM;
		glip__window_rows(&grid, t->rows[shifted]);
		if (shifted) {
			t->regions = glip__ops_alloc(ops, windows, tokens);
			if (t->regions == NULL)
				return GLIP_ERR_NOMEM;
			glip__window_regions(&grid, t->regions);
		}
	}
	return GLIP_OK;
}

/* x += proj(attention(qkv(norm(x)))), window by window */
static enum glip_status attend(const struct swin *m, const struct swin_stage *stage, const struct swin_block *k,
                               struct ops *ops, const struct stage_tables *t, int shifted, float *x)
{
	const struct window_grid *grid = &t->grid[shifted];
	size_t tokens = (size_t)m->window * (size_t)m->window;
	float *bias = glip__ops_floats(ops, (size_t)stage->heads * tokens * tokens);

	if (bias == NULL)
		return GLIP_ERR_NOMEM;
	glip__window_bias(k->bias_table, m->window, stage->heads, bias);
	/* WATCH: padding comes after the norm: its rows are zeros there, so that their q, k, v are the biases, and they
	 * take part in the attention as keys. */
	struct window_attention w = {
		.windows = (int64_t)grid->bands * grid->across,
		.tokens = (int64_t)tokens,
		.map_rows = (int64_t)grid->height * grid->width,
		.channels = stage->channels,
		.heads = stage->heads,
		.rows = t->rows[shifted],
		/* WATCH: only shifted blocks mask. A window of one position has nothing to shift. */
		.region = grid->shift > 0 ? t->regions : NULL,
		.bias = bias,
		.norm_weight = k->norm1_weight,
		.norm_bias = k->norm1_bias,
		.norm_eps = norm_eps,
		.qkv = k->qkv,
		.qkv_bias = k->qkv_bias,
		.proj = k->proj,
		.proj_bias = k->proj_bias,
		.x = x,
	};
	return glip__window_attention(ops, &w);
}

/* x += down(gelu(up(norm(x)))) */
static enum glip_status feed_forward(const struct swin_stage *stage, const struct swin_block *k, struct ops *ops,
                                     int64_t rows, float *x)
{
	struct feed_forward f = {
		.rows = rows,
		.channels = stage->channels,
		.hidden = (int64_t)stage->channels * MLP_RATIO,
		.norm_weight = k->norm2_weight,
		.norm_bias = k->norm2_bias,
		.norm_eps = norm_eps,
		.up = k->up,
		.up_bias = k->up_bias,
		.down = k->down,
		.down_bias = k->down_bias,
		.x = x,
	};

	return glip__feed_forward(ops, &f);
}

/* All blocks of a stage on x [height * width, C], in place. */
static enum glip_status run_blocks(const struct swin *m, const struct swin_stage *stage, struct ops *ops, int height,
                                   int width, float *x)
{
	struct stage_tables tables;

	TRY(make_tables(ops, height, width, m->window, &tables));
	for (int i = 0; i < stage->depth; i++) {
		const struct swin_block *k = &stage->blocks[i];
		struct arena_mark mark = glip__arena_mark(ops->arena);

		TRY(attend(m, stage, k, ops, &tables, i % 2, x));
		glip__arena_release(ops->arena, mark);
		TRY(feed_forward(stage, k, ops, (int64_t)height * width, x));
	}
	return GLIP_OK;
}

/* ---- Patch merging ---------------------------------------------------------------------------------------------- */

struct gather {
	const float *x;
	int height, width, channels, across; /* across: merged positions in a row */
	int64_t first;
	float *out; /* [count, 4C] */
};

static void gather_task(void *context, size_t begin, size_t end, int worker)
{
	const struct gather *g = context;
	size_t c = (size_t)g->channels;

	(void)worker;
	for (size_t r = begin; r < end; r++) {
		int64_t at = g->first + (int64_t)r;
		int64_t y = at / g->across * 2, column = at % g->across * 2;

		/* WATCH: order (0,0), (1,0), (0,1), (1,1) as (row, column): down before right. Odd maps are padded with zeros,
		 * which the norm over 4C sees. */
		for (int part = 0; part < 4; part++) {
			int64_t from_y = y + part % 2, from_x = column + part / 2;
			float *to = g->out + (r * 4 + (size_t)part) * c;

			if (from_y < g->height && from_x < g->width)
				memcpy(to, g->x + (size_t)(from_y * g->width + from_x) * c, c * sizeof *to);
			else
				memset(to, 0, c * sizeof *to);
		}
	}
}

/* x [height, width, C] to y [ceil(height / 2), ceil(width / 2), 2C] */
static enum glip_status merge_patches(const struct swin_stage *stage, struct ops *ops, const float *x, int height,
                                      int width, float *y)
{
	int across = (width + 1) / 2;
	int64_t rows = (int64_t)((height + 1) / 2) * across, c = stage->channels, chunk = min64(rows, CHUNK_ROWS);
	struct gather gather = {.x = x, .height = height, .width = width, .channels = stage->channels, .across = across};

	gather.out = glip__ops_alloc(ops, (size_t)chunk, (size_t)c * 4 * sizeof(float));
	if (gather.out == NULL)
		return GLIP_ERR_NOMEM;
	for (gather.first = 0; gather.first < rows; gather.first += chunk) {
		int64_t count = min64(rows - gather.first, chunk);

		glip__pool_run(ops->pool, gather_task, &gather, (size_t)count, 64);
		TRY(glip__layer_norm(ops, gather.out, count, 4 * c, stage->merge_weight, stage->merge_bias, norm_eps,
		                     gather.out));
		TRY(glip__linear(ops, gather.out, count, stage->merge, NULL, ACT_NONE, y + gather.first * 2 * c));
	}
	return GLIP_OK;
}

/* ---- Whole ------------------------------------------------------------------------------------------------------ */

/* Sizes of the four maps, and the memory of those that go out. */
static enum glip_status allocate_outputs(const struct swin *m, struct ops *ops, int height, int width, bool want_stage1,
                                         struct feature_map out[SWIN_STAGES])
{
	for (int s = 0; s < SWIN_STAGES; s++) {
		struct feature_map *map = &out[s];

		map->height = s == 0 ? height / PATCH : (out[s - 1].height + 1) / 2;
		map->width = s == 0 ? width / PATCH : (out[s - 1].width + 1) / 2;
		map->channels = m->stages[s].channels;
		map->data = NULL;
		if (s == 0 && !want_stage1)
			continue;
		map->data =
			glip__ops_alloc(ops, (size_t)map->height * (size_t)map->width, (size_t)map->channels * sizeof(float));
		if (map->data == NULL)
			return GLIP_ERR_NOMEM;
	}
	return GLIP_OK;
}

/* The stages run in place in their outgoing maps: x[s] is normalised once the next stage's input is merged from it. */
static enum glip_status run_stages(const struct swin *m, struct ops *ops, const struct feature_map out[SWIN_STAGES],
                                   float *x[SWIN_STAGES])
{
	for (int s = 0; s < SWIN_STAGES; s++) {
		const struct swin_stage *stage = &m->stages[s];
		int height = out[s].height, width = out[s].width;
		struct arena_mark mark = glip__arena_mark(ops->arena);

		TRY(run_blocks(m, stage, ops, height, width, x[s]));
		glip__arena_release(ops->arena, mark);
		if (s < SWIN_STAGES - 1)
			TRY(merge_patches(stage, ops, x[s], height, width, x[s + 1]));
		glip__arena_release(ops->arena, mark);
		/* WATCH: the outgoing norm acts on the outgoing copy alone; the next stage has read the map without it. */
		if (s > 0)
			TRY(glip__layer_norm(ops, x[s], (int64_t)height * width, stage->channels, stage->norm_weight,
			                     stage->norm_bias, norm_eps, x[s]));
		glip__ops_stage(ops, STAGE_NAMES[s]);
	}
	return GLIP_OK;
}

enum glip_status glip__swin_forward(const struct swin *m, struct ops *ops, const float *image, int height, int width,
                                    bool want_stage1, struct feature_map out[SWIN_STAGES])
{
	enum glip_status status = GLIP_ERR_NOMEM;
	float *x[SWIN_STAGES];

	if (height < PATCH || width < PATCH || height % PATCH != 0 || width % PATCH != 0)
		return glip__fail(ops->err, GLIP_ERR_ARGUMENT, "an image of %d x %d for the encoder: not multiples of %d",
		                  width, height, PATCH);
	/* Rows of padded maps are counted in int32: room for any padding beside the pixels. */
	if ((int64_t)height * width > INT32_MAX / 4)
		return glip__fail(ops->err, GLIP_ERR_LIMIT, "an image of %d x %d for the encoder: too large", width, height);
	TRY(allocate_outputs(m, ops, height, width, want_stage1, out));
	struct arena_mark mark = glip__arena_mark(ops->arena);

	for (int s = 0; s < SWIN_STAGES; s++)
		x[s] = out[s].data;
	if (x[0] == NULL)
		x[0] = glip__ops_alloc(ops, (size_t)out[0].height * (size_t)out[0].width, (size_t)m->embed_dim * sizeof(float));
	if (x[0] != NULL)
		status = embed_patches(m, ops, image, height, width, x[0]);
	if (status == GLIP_OK) {
		glip__ops_stage(ops, "swin.patches");
		status = run_stages(m, ops, out, x);
	}
	glip__arena_release(ops->arena, mark);
	return status;
}
