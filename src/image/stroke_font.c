#include "image/stroke_font.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "image/stroke_glyphs.h"

enum { MAX_SEGMENTS = 256, SPACING = 17, UNKNOWN_WIDTH = 36 };

/* Radii in glyph units. */
static const float stroke_radius = 4.9f, dot_radius = 6.4f;
static const float pi = 3.14159265f;

static const char unknown_path[] = "M0,0L36,0L36,66L0,66L0,0";

/* Segments of one glyph in pixels, and where its units lie. */
struct pen {
	struct segment segments[MAX_SEGMENTS];
	int count;
	float scale, x, y;    /* pixels of a unit, of the glyph's origin */
	float last_x, last_y; /* units */
};

static void add_segment(struct pen *pen, float x1, float y1, float x2, float y2, float radius)
{
	if (pen->count == MAX_SEGMENTS)
		return;
	pen->segments[pen->count++] = (struct segment){
		pen->x + x1 * pen->scale, pen->y - y1 * pen->scale, pen->x + x2 * pen->scale,
		pen->y - y2 * pen->scale, radius * pen->scale,
	};
}

static void line_to(struct pen *pen, float x, float y)
{
	add_segment(pen, pen->last_x, pen->last_y, x, y, stroke_radius);
	pen->last_x = x;
	pen->last_y = y;
}

/* Pieces of a curve whose extent is `size` units: enough to look round. */
static int pieces(const struct pen *pen, float size)
{
	float n = 6.0f + sqrtf(size * pen->scale) * 2.0f;
	return n > 40.0f ? 40 : (int)n;
}

static void arc(struct pen *pen, const float v[6])
{
	float from = v[4] * pi / 180.0f, to = v[5] * pi / 180.0f;
	int n = pieces(pen, fmaxf(v[2], v[3]) * 2.0f);
	pen->last_x = v[0] + v[2] * cosf(from);
	pen->last_y = v[1] + v[3] * sinf(from);
	for (int i = 1; i <= n; i++) {
		float angle = from + (to - from) * (float)i / (float)n;
		line_to(pen, v[0] + v[2] * cosf(angle), v[1] + v[3] * sinf(angle));
	}
}

static void curve(struct pen *pen, const float v[4])
{
	float x = pen->last_x, y = pen->last_y;
	int n = pieces(pen, fabsf(v[2] - x) + fabsf(v[3] - y));
	for (int i = 1; i <= n; i++) {
		float t = (float)i / (float)n, s = 1.0f - t;
		line_to(pen, s * s * x + 2.0f * s * t * v[0] + t * t * v[2], s * s * y + 2.0f * s * t * v[1] + t * t * v[3]);
	}
}

/* A number of a path: digits with at most one decimal. Paths are our own, so nothing else stands there. */
static float path_number(const char **path)
{
	const char *p = *path;
	float sign = *p == '-' ? -1.0f : 1.0f, value = 0.0f;
	if (*p == '-')
		p++;
	while (*p >= '0' && *p <= '9')
		value = value * 10.0f + (float)(*p++ - '0');
	if (*p == '.') {
		value += (float)(p[1] - '0') * 0.1f;
		p += 2;
	}
	if (*p == ',')
		p++;
	*path = p;
	return sign * value;
}

/* Adds a path with its origin moved by (dx, dy) units. */
static void add_path(struct pen *pen, const char *path, float dx, float dy)
{
	float x = pen->x, y = pen->y;
	pen->x += dx * pen->scale;
	pen->y -= dy * pen->scale;
	while (*path) {
		char command = *path++;
		int count = command == 'A' ? 6 : command == 'Q' ? 4 : 2;
		float v[6];
		for (int i = 0; i < count; i++)
			v[i] = path_number(&path);
		switch (command) {
		case 'M': pen->last_x = v[0], pen->last_y = v[1]; break;
		case 'L': line_to(pen, v[0], v[1]); break;
		case 'Q': curve(pen, v); break;
		case 'A': arc(pen, v); break;
		case 'D': add_segment(pen, v[0], v[1], v[0], v[1], dot_radius); break;
		default: break;
		}
	}
	pen->x = x;
	pen->y = y;
}

/* How high a letter reaches, for the marks on it. */
static float letter_top(uint32_t letter)
{
	return letter < 0x80 && strchr("acegimnopqrsuvwxyz", (int)letter) ? GLYPH_XHEIGHT : GLYPH_CAP;
}

static void add_mark(struct pen *pen, char mark, uint32_t letter, float left, float width)
{
	int below;
	const char *path = glip__mark_path(mark, &below);
	float top = letter == GLYPH_DOTLESS_I ? GLYPH_XHEIGHT : letter_top(letter);
	/* A crossing bar belongs to the stem of d and l, not to the letter's middle. */
	float center = left + width * 0.5f;
	if (mark == '_' && letter == 'd')
		center = left + width;
	else if ((mark == '_' && (letter == 'D' || letter == 'h')) || mark == '|')
		center = left;
	float height = below == 1 ? 0.0f : below == 2 ? top * 0.5f : top;
	if (mark == '_' && (letter == 'd' || letter == 'h'))
		height = 50.0f;
	add_path(pen, path, center, height);
}

/* What follows the last letter, for combining marks. */
struct cursor {
	float x; /* units from the start */
	uint32_t letter;
	float left, width; /* of the last letter */
};

/* Adds the letter at the cursor and moves on; `pen` NULL only measures. */
static void add_letter(struct pen *pen, struct cursor *cursor, uint32_t letter, char mark)
{
	if (mark && (letter == 'i' || letter == 'j') && mark != ';' && mark != ',')
		letter = letter == 'i' ? GLYPH_DOTLESS_I : letter;
	const struct glyph *glyph = glip__glyph(letter);
	float width = (float)(glyph ? glyph->width : UNKNOWN_WIDTH);
	cursor->letter = letter;
	cursor->left = cursor->x;
	cursor->width = width;
	if (pen) {
		add_path(pen, glyph ? glyph->path : unknown_path, cursor->x, 0.0f);
		if (mark)
			add_mark(pen, mark, letter, cursor->x, width);
	}
	cursor->x += width + SPACING;
}

/* Joiners, variation selectors and the like have no shape. */
static int is_invisible(uint32_t c)
{
	return c == 0xad || (c >= 0x200b && c <= 0x200f) || (c >= 0x2060 && c <= 0x2064) || (c >= 0xfe00 && c <= 0xfe0f) ||
	       c == 0xfeff;
}

static void add_code_point(struct pen *pen, struct cursor *cursor, uint32_t c)
{
	struct composition parts;
	char mark = glip__combining_mark(c);
	if (mark) {
		if (pen && cursor->x > 0.0f)
			add_mark(pen, mark, cursor->letter, cursor->left, cursor->width);
		return;
	}
	if (is_invisible(c) || (c >= 0x300 && c <= 0x36f))
		return;
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		c = ' ';
	if (!glip__glyph(c) && glip__compose(c, &parts)) {
		add_letter(pen, cursor, parts.base, parts.mark);
		if (parts.second)
			add_letter(pen, cursor, parts.second, 0);
		return;
	}
	add_letter(pen, cursor, c, 0);
}

static size_t next_code_point(const char *text, const char *end, uint32_t *c)
{
	size_t bytes = glip__utf8_decode(text, end, c);
	if (bytes == 0) {
		*c = 0xfffd;
		bytes = 1;
	}
	return bytes;
}

float glip__text_width(const char *text, size_t length, float cap)
{
	const char *end = text + length;
	struct cursor cursor = {0};
	while (text < end) {
		uint32_t c;
		text += next_code_point(text, end, &c);
		add_code_point(NULL, &cursor, c);
	}
	return cursor.x > 0.0f ? (cursor.x - SPACING) * cap / GLYPH_CAP : 0.0f;
}

void glip__text_draw(const struct canvas *canvas, const char *text, size_t length, float x, float y, float cap,
                     struct paint paint)
{
	const char *end = text + length;
	struct cursor cursor = {0};
	struct pen pen = {.scale = cap / GLYPH_CAP, .x = x, .y = y};
	while (text < end) {
		uint32_t c;
		text += next_code_point(text, end, &c);
		add_code_point(&pen, &cursor, c);
		glip__canvas_strokes(canvas, pen.segments, pen.count, paint);
		pen.count = 0;
	}
}
