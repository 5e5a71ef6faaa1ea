#include "swin/windows.h"

struct window_grid glip__window_grid(int height, int width, int window, int shift)
{
	return (struct window_grid){
		.height = height,
		.width = width,
		.window = window,
		.shift = shift,
		.bands = (height + window - 1) / window,
		.across = (width + window - 1) / window,
	};
}

void glip__window_rows(const struct window_grid *g, int32_t *rows)
{
	int w = g->window, padded_height = g->bands * w, padded_width = g->across * w;

	for (int window = 0; window < g->bands * g->across; window++) {
		int top = window / g->across * w + g->shift, left = window % g->across * w + g->shift;

		for (int i = 0; i < w; i++) {
			int y = top + i < padded_height ? top + i : top + i - padded_height;

			for (int j = 0; j < w; j++) {
				int x = left + j < padded_width ? left + j : left + j - padded_width;

				*rows++ = y < g->height && x < g->width ? y * g->width + x : -1;
			}
		}
	}
}

/* WATCH: the regions are cut on the *padded* grid after the shift: [0, n - w), [n - w, n - w/2), [n - w/2, n). With a
 * single window (n = w) the first is empty and the mask still applies. */
static int region_of(int at, int padded, int window)
{
	return at < padded - window ? 0 : at < padded - window / 2 ? 1 : 2;
}

void glip__window_regions(const struct window_grid *g, uint8_t *regions)
{
	int w = g->window, padded_height = g->bands * w, padded_width = g->across * w;

	for (int window = 0; window < g->bands * g->across; window++) {
		int top = window / g->across * w, left = window % g->across * w;

		for (int i = 0; i < w; i++) {
			int down = region_of(top + i, padded_height, w);

			for (int j = 0; j < w; j++)
				*regions++ = (uint8_t)(down * 3 + region_of(left + j, padded_width, w));
		}
	}
}

void glip__window_bias(const float *table, int window, int heads, float *out)
{
	int n = window * window, side = 2 * window - 1;

	for (int h = 0; h < heads; h++) {
		for (int i = 0; i < n; i++) {
			/* Of the same place: what lies above or to the left of it is further on in the table. */
			const float *own =
				table + ((int64_t)(i / window + window - 1) * side + i % window + window - 1) * heads + h;

			for (int y = 0; y < window; y++)
				for (int x = 0; x < window; x++)
					*out++ = own[-(int64_t)(y * side + x) * heads];
		}
	}
}
