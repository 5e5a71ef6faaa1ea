/* Anti-aliased shapes on packed 8-bit RGB. Coordinates are pixels: pixel (i, j) covers [i, i + 1) x [j, j + 1).
 * Whatever lies outside the canvas is left out. */
#ifndef GLIP_IMAGE_CANVAS_H
#define GLIP_IMAGE_CANVAS_H

#include <stdint.h>

struct canvas {
	uint8_t *rgb; /* [height][width][3] */
	int width, height;
};

struct paint {
	uint8_t r, g, b;
	float opacity; /* 0..1 */
};

struct rect {
	float x1, y1, x2, y2;
};

/* A line with round ends. */
struct segment {
	float x1, y1, x2, y2, radius;
};

/* Mixes the paint into a pixel of the canvas; coverage is 0..1. */
void glip__canvas_blend(const struct canvas *canvas, int x, int y, struct paint paint, float coverage);

/* A rectangle with rounded corners. */
void glip__canvas_fill(const struct canvas *canvas, struct rect rect, float radius, struct paint paint);

/* Its outline: `width` pixels, inside the rectangle. */
void glip__canvas_frame(const struct canvas *canvas, struct rect rect, float radius, float width, struct paint paint);

/* The union of segments: where they overlap or meet, the paint is not applied twice. */
void glip__canvas_strokes(const struct canvas *canvas, const struct segment *segments, int count, struct paint paint);

#endif
