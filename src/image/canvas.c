#include "image/canvas.h"

#include <math.h>
#include <stddef.h>

void glip__canvas_blend(const struct canvas *canvas, int x, int y, struct paint paint, float coverage)
{
	float alpha = coverage * paint.opacity;
	uint8_t *p = canvas->rgb + ((size_t)y * (size_t)canvas->width + (size_t)x) * 3;
	p[0] = (uint8_t)((float)p[0] + ((float)paint.r - (float)p[0]) * alpha + 0.5f);
	p[1] = (uint8_t)((float)p[1] + ((float)paint.g - (float)p[1]) * alpha + 0.5f);
	p[2] = (uint8_t)((float)p[2] + ((float)paint.b - (float)p[2]) * alpha + 0.5f);
}

static float clamp(float x, float low, float high)
{
	return x < low ? low : x > high ? high : x;
}

/* The share of a pixel inside an edge at signed distance d from its centre (negative: inside). */
static float edge_coverage(float d)
{
	return clamp(0.5f - d, 0.0f, 1.0f);
}

/* First pixel touched from `low` on, and one past the last touched up to `high`, within [0, size). */
static int pixel_begin(float low, int size)
{
	return (int)clamp(floorf(low), 0.0f, (float)size);
}

static int pixel_end(float high, int size)
{
	return (int)clamp(ceilf(high), 0.0f, (float)size);
}

/* Signed distance from (x, y) to a rectangle with rounded corners. */
static float rect_distance(const struct rect *rect, float radius, float x, float y)
{
	float dx = fabsf(x - (rect->x1 + rect->x2) * 0.5f) - ((rect->x2 - rect->x1) * 0.5f - radius);
	float dy = fabsf(y - (rect->y1 + rect->y2) * 0.5f) - ((rect->y2 - rect->y1) * 0.5f - radius);
	float outside = hypotf(dx > 0.0f ? dx : 0.0f, dy > 0.0f ? dy : 0.0f);
	float inside = dx > dy ? dx : dy;
	return outside + (inside < 0.0f ? inside : 0.0f) - radius;
}

static float fit_radius(const struct rect *rect, float radius)
{
	float half = 0.5f * fminf(rect->x2 - rect->x1, rect->y2 - rect->y1);
	return fminf(radius, half);
}

void glip__canvas_fill(const struct canvas *canvas, struct rect rect, float radius, struct paint paint)
{
	radius = fit_radius(&rect, radius);
	int x_end = pixel_end(rect.x2, canvas->width), y_end = pixel_end(rect.y2, canvas->height);
	for (int y = pixel_begin(rect.y1, canvas->height); y < y_end; y++)
		for (int x = pixel_begin(rect.x1, canvas->width); x < x_end; x++) {
			float d = rect_distance(&rect, radius, (float)x + 0.5f, (float)y + 0.5f);
			glip__canvas_blend(canvas, x, y, paint, edge_coverage(d));
		}
}

struct frame {
	struct rect outer, inner;
	float outer_radius, inner_radius;
	struct paint paint;
};

static void frame_pixels(const struct canvas *canvas, const struct frame *f, int y, int begin, int end)
{
	for (int x = begin; x < end; x++) {
		float px = (float)x + 0.5f, py = (float)y + 0.5f;
		float coverage = edge_coverage(rect_distance(&f->outer, f->outer_radius, px, py)) -
		                 edge_coverage(rect_distance(&f->inner, f->inner_radius, px, py));
		if (coverage > 0.0f)
			glip__canvas_blend(canvas, x, y, f->paint, coverage);
	}
}

void glip__canvas_frame(const struct canvas *canvas, struct rect rect, float radius, float width, struct paint paint)
{
	struct rect inner = {rect.x1 + width, rect.y1 + width, rect.x2 - width, rect.y2 - width};
	if (inner.x1 >= inner.x2 || inner.y1 >= inner.y2) {
		glip__canvas_fill(canvas, rect, radius, paint);
		return;
	}
	radius = fit_radius(&rect, radius);
	float inner_radius = fit_radius(&inner, radius > width ? radius - width : 0.0f);
	struct frame f = {rect, inner, radius, inner_radius, paint};
	int x_begin = pixel_begin(rect.x1, canvas->width), x_end = pixel_end(rect.x2, canvas->width);
	/* Rows clear of the corners touch the frame at its two sides only. */
	float border = width + radius + 1.0f;
	int left_end = pixel_end(rect.x1 + border, canvas->width);
	int right_begin = pixel_begin(rect.x2 - border, canvas->width);
	int y_end = pixel_end(rect.y2, canvas->height);
	for (int y = pixel_begin(rect.y1, canvas->height); y < y_end; y++) {
		int corner = (float)y < rect.y1 + border || (float)y + 1.0f > rect.y2 - border;
		if (corner || left_end >= right_begin) {
			frame_pixels(canvas, &f, y, x_begin, x_end);
		} else {
			frame_pixels(canvas, &f, y, x_begin, left_end);
			frame_pixels(canvas, &f, y, right_begin, x_end);
		}
	}
}

/* Distance from (x, y) to the segment's border; negative inside. */
static float segment_distance(const struct segment *s, float x, float y)
{
	float dx = s->x2 - s->x1, dy = s->y2 - s->y1;
	float length2 = dx * dx + dy * dy;
	float t = length2 > 0.0f ? clamp(((x - s->x1) * dx + (y - s->y1) * dy) / length2, 0.0f, 1.0f) : 0.0f;
	return hypotf(x - s->x1 - t * dx, y - s->y1 - t * dy) - s->radius;
}

void glip__canvas_strokes(const struct canvas *canvas, const struct segment *segments, int count, struct paint paint)
{
	if (count == 0)
		return;
	struct rect all = {INFINITY, INFINITY, -INFINITY, -INFINITY};
	for (int i = 0; i < count; i++) {
		const struct segment *s = &segments[i];
		float reach = s->radius + 1.0f;
		all.x1 = fminf(all.x1, fminf(s->x1, s->x2) - reach);
		all.y1 = fminf(all.y1, fminf(s->y1, s->y2) - reach);
		all.x2 = fmaxf(all.x2, fmaxf(s->x1, s->x2) + reach);
		all.y2 = fmaxf(all.y2, fmaxf(s->y1, s->y2) + reach);
	}
	int x_end = pixel_end(all.x2, canvas->width), y_end = pixel_end(all.y2, canvas->height);
	for (int y = pixel_begin(all.y1, canvas->height); y < y_end; y++)
		for (int x = pixel_begin(all.x1, canvas->width); x < x_end; x++) {
			float px = (float)x + 0.5f, py = (float)y + 0.5f, nearest = 1.0f;
			for (int i = 0; i < count; i++) {
				const struct segment *s = &segments[i];
				float reach = s->radius + 1.0f;
				if (py < fminf(s->y1, s->y2) - reach || py > fmaxf(s->y1, s->y2) + reach ||
				    px < fminf(s->x1, s->x2) - reach || px > fmaxf(s->x1, s->x2) + reach)
					continue;
				nearest = fminf(nearest, segment_distance(s, px, py));
			}
			if (nearest < 0.5f)
				glip__canvas_blend(canvas, x, y, paint, edge_coverage(nearest));
		}
}
