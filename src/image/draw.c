/* Boxes and their labels over a picture. */
#include <math.h>
#include <string.h>

#include "image/canvas.h"
#include "image/image_write.h"
#include "image/preprocess.h"
#include "image/stroke_font.h"

enum { PALETTE = 16, MAX_NEIGHBOURS = 512, PLACES = 6 };

/* Neighbours differ in hue and lightness, so that the first few labels are told apart most easily. */
static const uint8_t palette[PALETTE][3] = {
	{230, 50, 60},  {30, 130, 235},  {45, 175, 80},  {255, 180, 0},   {150, 70, 205}, {0, 190, 205},
	{245, 105, 40}, {220, 30, 145},  {155, 205, 50}, {65, 80, 215},   {0, 145, 125},  {255, 135, 175},
	{145, 90, 50},  {100, 195, 255}, {240, 225, 70}, {100, 125, 140},
};

/* A label's background, and its text in it. */
struct tag {
	struct rect rect;
	float cap;     /* pixels of a capital */
	size_t length; /* bytes of the text that fit */
	int cut;       /* an ellipsis follows */
	int shown;
};

/* Sizes in pixels, all from the image's size. */
struct style {
	float line, cap, min_cap, radius;
};

struct drawing {
	struct canvas canvas;
	struct style style;
	const struct glip_draw_box *boxes;
	struct tag *tags; /* [count] */
	size_t count;
};

static struct style style_for(int width, int height)
{
	float size = sqrtf((float)width * (float)height);
	/* A panorama is looked at from afar, but its labels must fit its height. */
	float least = fminf((float)width, (float)height);
	struct style s;
	s.line = fmaxf(2.0f, floorf(size * 0.003f + 0.5f));
	s.cap = fmaxf(7.0f, fminf(size * 0.0135f, least * 0.05f));
	s.min_cap = fmaxf(6.0f, s.cap * 0.7f);
	s.radius = s.line;
	return s;
}

/* Corners in order, on whole pixels, and never quite outside, so that every box leaves a line to see. */
static struct rect box_rect(const struct drawing *d, const struct glip_draw_box *box)
{
	float w = (float)d->canvas.width, h = (float)d->canvas.height, line = d->style.line;
	struct rect r = {fminf(box->box[0], box->box[2]), fminf(box->box[1], box->box[3]), fmaxf(box->box[0], box->box[2]),
	                 fmaxf(box->box[1], box->box[3])};
	r.x1 = floorf(fmaxf(0.0f, fminf(r.x1, w - line)));
	r.y1 = floorf(fmaxf(0.0f, fminf(r.y1, h - line)));
	r.x2 = ceilf(fminf(w, fmaxf(r.x2, r.x1 + line)));
	r.y2 = ceilf(fminf(h, fmaxf(r.y2, r.y1 + line)));
	return r;
}

static struct paint box_paint(const struct glip_draw_box *box)
{
	const uint8_t *c = palette[box->color % PALETTE];
	return (struct paint){c[0], c[1], c[2], 1.0f};
}

/* Black or white, whichever reads better on the background. */
static struct paint text_paint(struct paint background)
{
	float r = (float)background.r / 255.0f, g = (float)background.g / 255.0f, b = (float)background.b / 255.0f;
	/* Squares stand in for the display's gamma of 2.2. */
	float luminance = 0.2126f * r * r + 0.7152f * g * g + 0.0722f * b * b;
	return luminance > 0.28f ? (struct paint){0, 0, 0, 1.0f} : (struct paint){255, 255, 255, 1.0f};
}

static const char ellipsis[] = "\xe2\x80\xa6";

/* Chooses the text size, and cuts the text where even the smallest is too wide. */
static float fit_text(const struct drawing *d, const char *text, struct tag *tag)
{
	tag->length = strlen(text);
	tag->cap = d->style.cap;
	float unit = glip__text_width(text, tag->length, 1.0f);
	float room = (float)d->canvas.width / tag->cap - 1.1f;
	if (unit <= room)
		return unit;
	tag->cap = fmaxf(d->style.min_cap, (float)d->canvas.width / (unit + 1.1f));
	room = (float)d->canvas.width / tag->cap - 1.1f;
	if (unit <= room)
		return unit;
	tag->cut = 1;
	float tail = glip__text_width(ellipsis, sizeof(ellipsis) - 1, 1.0f) + 0.3f;
	/* The longest prefix that leaves room for the ellipsis, by bisection: width grows with length. */
	size_t fits = 0, too_long = tag->length;
	while (too_long - fits > 1) {
		size_t middle = fits + (too_long - fits) / 2;
		if (glip__text_width(text, middle, 1.0f) + tail <= room)
			fits = middle;
		else
			too_long = middle;
	}
	while (fits > 0 && ((unsigned char)text[fits] & 0xc0) == 0x80)
		fits--;
	tag->length = fits;
	return glip__text_width(text, fits, 1.0f) + tail;
}

static float overlap(const struct rect *a, const struct rect *b)
{
	float w = fminf(a->x2, b->x2) - fmaxf(a->x1, b->x1), h = fminf(a->y2, b->y2) - fmaxf(a->y1, b->y1);
	return w > 0.0f && h > 0.0f ? w * h : 0.0f;
}

/* How bad a place is: what it hides of labels placed before. */
static float place_cost(const struct drawing *d, size_t index, const struct rect *rect)
{
	float cost = 0.0f;
	size_t first = index > MAX_NEIGHBOURS ? index - MAX_NEIGHBOURS : 0;
	for (size_t i = first; i < index; i++)
		if (d->tags[i].shown)
			cost += overlap(rect, &d->tags[i].rect);
	return cost;
}

/* Above the box where there is room, else inside its top; other places where those hide an earlier label. */
static void place_tag(struct drawing *d, size_t index)
{
	const struct glip_draw_box *box = &d->boxes[index];
	struct tag *tag = &d->tags[index];
	if (!box->text || !box->text[0])
		return;
	struct rect b = box_rect(d, box);
	float width = ceilf((fit_text(d, box->text, tag) + 1.0f) * tag->cap);
	float height = ceilf(tag->cap * 1.86f);
	float image_width = (float)d->canvas.width, image_height = (float)d->canvas.height;
	const float places[PLACES][2] = {
		{b.x1, b.y1 - height}, {b.x1, b.y1}, {b.x2 - width, b.y1 - height},
		{b.x2 - width, b.y1},  {b.x1, b.y2}, {b.x1, b.y2 - height},
	};
	float best = INFINITY;
	for (int i = 0; i < PLACES; i++) {
		struct rect r = {places[i][0], places[i][1], 0.0f, 0.0f};
		if (i < PLACES - 1 && (r.y1 < 0.0f || r.y1 + height > image_height))
			continue;
		r.x1 = fmaxf(0.0f, fminf(r.x1, image_width - width));
		r.y1 = fmaxf(0.0f, fminf(r.y1, image_height - height));
		r.x2 = r.x1 + width;
		r.y2 = r.y1 + height;
		float cost = place_cost(d, index, &r);
		if (cost < best) {
			best = cost;
			tag->rect = r;
		}
	}
	tag->shown = 1;
}

static void draw_box(const struct drawing *d, size_t index)
{
	const struct glip_draw_box *box = &d->boxes[index];
	struct rect r = box_rect(d, box);
	float line = d->style.line, edge = fmaxf(1.0f, floorf(line * 0.3f + 0.5f));
	/* A faint dark rim keeps the line apart from a background of its own colour. */
	struct rect rim = {r.x1 - edge, r.y1 - edge, r.x2 + edge, r.y2 + edge};
	struct paint shade = {0, 0, 0, 0.35f};
	glip__canvas_frame(&d->canvas, rim, d->style.radius + edge, line + 2.0f * edge, shade);
	glip__canvas_frame(&d->canvas, r, d->style.radius, line, box_paint(box));
}

static void draw_tag(const struct drawing *d, size_t index)
{
	const struct tag *tag = &d->tags[index];
	if (!tag->shown)
		return;
	const char *text = d->boxes[index].text;
	struct paint background = box_paint(&d->boxes[index]), ink = text_paint(background);
	glip__canvas_fill(&d->canvas, tag->rect, d->style.radius, background);
	float x = tag->rect.x1 + tag->cap * 0.5f;
	float y = floorf((tag->rect.y1 + tag->rect.y2 + tag->cap) * 0.5f + 0.5f);
	glip__text_draw(&d->canvas, text, tag->length, x, y, tag->cap, ink);
	if (tag->cut) {
		x += (glip__text_width(text, tag->length, 1.0f) + 0.3f) * tag->cap;
		glip__text_draw(&d->canvas, ellipsis, sizeof(ellipsis) - 1, x, y, tag->cap, ink);
	}
}

/* The first boxes are the best: they choose their places first and are painted last. */
static void draw_all(struct drawing *d)
{
	for (size_t i = d->count; i-- > 0;)
		draw_box(d, i);
	for (size_t i = 0; i < d->count; i++)
		place_tag(d, i);
	for (size_t i = d->count; i-- > 0;)
		draw_tag(d, i);
}

static void copy_pixels(const struct glip_image *image, uint8_t *rgb)
{
	size_t channel[3];
	size_t bytes = glip__pixel_layout(image->format, channel);
	ptrdiff_t stride = glip__image_stride(image);
	for (int y = 0; y < image->height; y++) {
		const uint8_t *in = image->pixels + (ptrdiff_t)y * stride;
		for (int x = 0; x < image->width; x++) {
			for (int c = 0; c < 3; c++)
				*rgb++ = in[channel[c]];
			in += bytes;
		}
	}
}

static enum glip_status check_boxes(const struct glip_draw_box *boxes, size_t count, struct glip_error *err)
{
	if (count && !boxes)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_draw: boxes is NULL");
	for (size_t i = 0; i < count; i++)
		for (int k = 0; k < 4; k++)
			if (!isfinite(boxes[i].box[k]))
				return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_draw: box %zu has a coordinate that is not a number",
				                  i);
	return GLIP_OK;
}

enum glip_status glip_draw(const struct glip_image *image, const struct glip_draw_box *boxes, size_t count,
                           const char *path, const struct glip_allocator *allocator, struct glip_error *err)
{
	TRY(glip__image_check(image, err));
	if (!path)
		return glip__fail(err, GLIP_ERR_ARGUMENT, "glip_draw: path is NULL");
	TRY(check_boxes(boxes, count, err));
	enum image_file kind;
	TRY(glip__image_file_kind(path, &kind, err));
	TRY(glip__image_file_fits(kind, image->width, image->height, path, err));

	struct glip_allocator a = glip__allocator_or_default(allocator);
	size_t bytes = (size_t)image->width * (size_t)image->height * 3;
	struct drawing d = {
		.canvas = {glip__malloc(&a, bytes, 1), image->width, image->height},
		.style = style_for(image->width, image->height),
		.boxes = boxes,
		.tags = glip__calloc(&a, count, sizeof(struct tag)),
		.count = count,
	};
	enum glip_status status = GLIP_OK;
	if (!d.canvas.rgb || !d.tags)
		TRY_OUT(glip__fail_nomem(err, "drawing", bytes));
	copy_pixels(image, d.canvas.rgb);
	draw_all(&d);
	TRY_OUT(glip__image_write(&d.canvas, kind, path, &a, err));
out:
	glip__free(&a, d.canvas.rgb);
	glip__free(&a, d.tags);
	return status;
}
