/* Where the positions of a map lie once it is padded, shifted and cut into windows. */
#ifndef GLIP_SWIN_WINDOWS_H
#define GLIP_SWIN_WINDOWS_H

#include <stdint.h>

/* Windows of `window` x `window` positions over a height x width map, which is padded right and bottom to whole windows
 * and then shifted cyclically up and left by `shift`. Window order: a band of `across` windows side by side, top band
 * first; row-major within a window. */
struct window_grid {
	int height, width; /* of the map */
	int window, shift;
	int bands, across; /* windows down and across */
};

struct window_grid glip__window_grid(int height, int width, int window, int shift);

/* rows: [bands * across * window^2] row of the map that each position in window order shows, -1 for padding. */
void glip__window_rows(const struct window_grid *g, int32_t *rows);

/* regions: [bands * across * window^2] in window order; positions of one window may attend to each other without mask
 * where their region is the same. Only for a shifted grid. */
void glip__window_regions(const struct window_grid *g, uint8_t *regions);

/* out [heads, n, n] with n = window^2: the learned bias between query i and key j, from table
 * [(2 window - 1)^2, heads]. */
void glip__window_bias(const float *table, int window, int heads, float *out);

#endif
