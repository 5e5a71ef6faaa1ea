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

	for (int band = 0; band < g->bands; band++) {
		for (int column = 0; column < g->across; column++) {
			for (int i = 0; i < w * w; i++) {
				int y = (band * w + i / w + g->shift) % padded_height;
				int x = (column * w + i % w + g->shift) % padded_width;

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

	for (int band = 0; band < g->bands; band++) {
		for (int column = 0; column < g->across; column++) {
			for (int i = 0; i < w * w; i++) {
				int down = region_of(band * w + i / w, padded_height, w);
				int right = region_of(column * w + i % w, padded_width, w);

				*regions++ = (uint8_t)(down * 3 + right);
			}
		}
	}
}

void glip__window_bias(const float *table, int window, int heads, float *out)
{
	int n = window * window, side = 2 * window - 1;

	for (int h = 0; h < heads; h++) {
		for (int i = 0; i < n; i++) {
			for (int j = 0; j < n; j++) {
				int dy = i / window - j / window + window - 1;
				int dx = i % window - j % window + window - 1;

				*out++ = table[((int64_t)dy * side + dx) * heads + h];
			}
		}
	}
}
