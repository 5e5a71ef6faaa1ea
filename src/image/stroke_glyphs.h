/* The shapes of the built-in font: lines, ellipse arcs and curves in units of 1/70 of a capital's height. */
#ifndef GLIP_IMAGE_STROKE_GLYPHS_H
#define GLIP_IMAGE_STROKE_GLYPHS_H

#include <stdint.h>

enum {
	GLYPH_CAP = 70,     /* height of a capital; the baseline is 0, y points up */
	GLYPH_XHEIGHT = 50, /* of a small letter */
	GLYPH_DOTLESS_I = 0x131
};

/* A path: "Mx,y" begins a line at a point, "Lx,y" goes on to another, "Qx,y,x,y" by a quadratic curve, "Ax,y,rx,ry,a,b"
 * is an arc around x,y from a to b degrees (counter-clockwise where b > a), "Dx,y" a dot. */
struct glyph {
	int width; /* from the leftmost to the rightmost point */
	const char *path;
};

/* A letter and what sits on it. */
struct composition {
	uint32_t base;
	uint32_t second; /* a letter that follows (ligatures), or 0 */
	char mark;       /* key for glip__mark_path, or 0 */
};

/* NULL where the font has no shape of its own for it. */
const struct glyph *glip__glyph(uint32_t code_point);
/* Splits letters of Latin-1 and Latin Extended-A; 0 for others. */
int glip__compose(uint32_t code_point, struct composition *out);
/* The key of a combining mark (U+0300...), or 0. */
char glip__combining_mark(uint32_t code_point);
/* The path of a mark around x = 0; *below is 1 where y counts from the baseline, 0 from the letter's top, 2 from its
 * middle. */
const char *glip__mark_path(char mark, int *below);

#endif
