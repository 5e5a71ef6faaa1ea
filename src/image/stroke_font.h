/* Text from a built-in font of strokes, which scales to any size and needs no file: ASCII, Latin letters with their
 * marks, common punctuation. Other characters show as an empty box. */
#ifndef GLIP_IMAGE_STROKE_FONT_H
#define GLIP_IMAGE_STROKE_FONT_H

#include <stddef.h>

#include "image/canvas.h"

/* Width in pixels of `length` bytes of UTF-8 with capitals `cap` pixels high. What is not UTF-8 counts as one unknown
 * character a byte; control characters count as a space. */
float glip__text_width(const char *text, size_t length, float cap);

/* Draws it from x on, on a baseline at y. */
void glip__text_draw(const struct canvas *canvas, const char *text, size_t length, float x, float y, float cap,
                     struct paint paint);

#endif
