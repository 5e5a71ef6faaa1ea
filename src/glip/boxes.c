#include "glip/boxes.h"

#include <math.h>

/* Kept boxes that another is compared with at a time. */
enum { GROUP = 8 };

/* ---- Heaps: sorting and keeping the best, in place and in a total order ----------------------------------------- */

/* True where a comes before b. */
typedef bool (*candidate_order)(const struct box_candidate *a, const struct box_candidate *b);

static bool place_before(const struct box_candidate *a, const struct box_candidate *b)
{
	if (a->level != b->level)
		return a->level < b->level;
	return a->position < b->position;
}

/* The order of PyTorch's nonzero() among equals: position, then label. */
static bool rank_before(const struct box_candidate *a, const struct box_candidate *b)
{
	if (a->score > b->score || a->score < b->score)
		return a->score > b->score;
	return a->position != b->position ? a->position < b->position : a->label < b->label;
}

static bool detection_before(const struct box_candidate *a, const struct box_candidate *b)
{
	if (a->score > b->score || a->score < b->score)
		return a->score > b->score;
	return a->label != b->label ? a->label < b->label : place_before(a, b);
}

static bool label_before(const struct box_candidate *a, const struct box_candidate *b)
{
	return a->label != b->label ? a->label < b->label : detection_before(a, b);
}

/* Restores the heap, whose first item is the last in the order, after item `i` has changed. */
static void sift_down(struct box_candidate *x, size_t count, size_t i, candidate_order before)
{
	const struct box_candidate moved = x[i];

	for (size_t child; (child = 2 * i + 1) < count; i = child) {
		if (child + 1 < count && before(&x[child], &x[child + 1]))
			child++;
		if (!before(&moved, &x[child]))
			break;
		x[i] = x[child];
	}
	x[i] = moved;
}

static void make_heap(struct box_candidate *x, size_t count, candidate_order before)
{
	for (size_t i = count / 2; i-- > 0;)
		sift_down(x, count, i, before);
}

/* qsort may allocate and says nothing about equals. */
static void sort(struct box_candidate *x, size_t count, candidate_order before)
{
	make_heap(x, count, before);
	for (size_t last = count; last-- > 1;) {
		const struct box_candidate worst = x[0];

		x[0] = x[last];
		x[last] = worst;
		sift_down(x, last, 0, before);
	}
}

/* ---- Candidates ------------------------------------------------------------------------------------------------- */

static float sigmoid(float x)
{
	return 1.0f / (1.0f + expf(-x));
}

/* A logit that no token of a label with a score above the floor can lack: neither the mean nor the largest of the
 * tokens' probabilities exceeds the floor when all logits are below. Slightly low, for rounding. */
static float logit_floor(float floor)
{
	if (!(floor > 0.0f))
		return -INFINITY;
	if (!(floor < 1.0f))
		return INFINITY;
	const float logit = logf(floor) - log1pf(-floor);
	return logit - 1e-3f - 1e-5f * fabsf(logit);
}

static float label_score(const struct box_options *o, const struct box_label *label, const float *logits)
{
	float total = 0.0f;

	for (size_t i = 0; i < label->count; i++) {
		const float p = sigmoid(logits[label->tokens[i]]);

		if (o->aggregation == GLIP_SCORE_MAX)
			total = p > total ? p : total;
		else
			total += p;
	}
	return o->aggregation == GLIP_SCORE_MAX ? total : total / (float)label->count;
}

static bool hopeless(const struct box_label *label, const float *logits, float least)
{
	for (size_t i = 0; i < label->count; i++)
		if (logits[label->tokens[i]] >= least)
			return false;
	return true;
}

static float clip(float x, float high)
{
	/* Written so that NaN gives 0. */
	return !(x > 0.0f) ? 0.0f : x < high ? x : high;
}

/* WATCH: widths follow the + 1 convention (x2 - x1 + 1), of the anchor and of the box alike. */
static void decode(const struct box_options *o, const struct level_output *level, struct box_candidate *c)
{
	/* Anchors are squares of eight strides, centred on the stride's pixels. */
	const float stride = (float)(8 << c->level), side = 8.0f * stride, limit = logf(1000.0f / 16.0f);
	const float *delta = level->box + (int64_t)c->position * 4;
	const float x = stride * (float)(c->position % level->width) + (stride - 1.0f) / 2.0f;
	const float y = stride * (float)(c->position / level->width) + (stride - 1.0f) / 2.0f;
	const float dw = delta[2] / 5.0f, dh = delta[3] / 5.0f;
	const float centre_x = delta[0] / 10.0f * side + x, centre_y = delta[1] / 10.0f * side + y;
	const float half_x = 0.5f * (expf(dw < limit ? dw : limit) * side - 1.0f);
	const float half_y = 0.5f * (expf(dh < limit ? dh : limit) * side - 1.0f);

	c->box[0] = clip(centre_x - half_x, (float)(o->width - 1));
	c->box[1] = clip(centre_y - half_y, (float)(o->height - 1));
	c->box[2] = clip(centre_x + half_x, (float)(o->width - 1));
	c->box[3] = clip(centre_y + half_y, (float)(o->height - 1));
}

/* The kept candidates of a level are a heap at the end of the list, the worst first, while the level is read. */
static bool keep(const struct box_options *o, struct buf *list, size_t begin, const struct box_candidate *c)
{
	const size_t count = (list->length - begin) / sizeof *c;

	if (count < (size_t)o->max_candidates) {
		if (!glip__buf_append(list, c, sizeof *c))
			return false;
		if (count + 1 == (size_t)o->max_candidates)
			make_heap((struct box_candidate *)(void *)(list->data + begin), count + 1, rank_before);
		return true;
	}
	struct box_candidate *heap = (struct box_candidate *)(void *)(list->data + begin);
	if (rank_before(c, heap)) {
		heap[0] = *c;
		sift_down(heap, count, 0, rank_before);
	}
	return true;
}

static enum glip_status collect_level(const struct box_options *o, const struct level_output *level, int level_index,
                                      int64_t tokens, const struct box_label *labels, size_t label_count,
                                      struct buf *list, struct glip_error *err)
{
	const size_t begin = list->length;
	const float least = logit_floor(o->score_floor);
	const int64_t positions = (int64_t)level->height * level->width;

	for (int64_t p = 0; p < positions; p++) {
		const float *logits = level->logits + p * tokens;

		for (size_t l = 0; l < label_count; l++) {
			if (!labels[l].count || hopeless(&labels[l], logits, least))
				continue;
			const float score = label_score(o, &labels[l], logits);
			/* WATCH: the floor is for the score before centerness, the rank goes by their product. */
			if (!(score > o->score_floor))
				continue;
			const float product = score * sigmoid(level->centerness[p]);
			if (isnan(product))
				continue;
			const struct box_candidate c = {
				.score = product,
				.label = labels[l].label,
				.level = level_index,
				.position = (int32_t)p,
			};
			if (!keep(o, list, begin, &c))
				return glip__fail_nomem(err, "candidate boxes", list->length);
		}
	}
	if (list->length == begin)
		return GLIP_OK;
	struct box_candidate *kept = (struct box_candidate *)(void *)(list->data + begin);
	for (size_t i = 0; i < (list->length - begin) / sizeof *kept; i++) {
		decode(o, level, &kept[i]);
		kept[i].score = sqrtf(kept[i].score);
	}
	return GLIP_OK;
}

enum glip_status glip__boxes_collect(const struct box_options *o, const struct level_output levels[LEVELS],
                                     int64_t tokens, const struct box_label *labels, size_t label_count,
                                     struct buf *candidates, struct glip_error *err)
{
	for (int i = 0; i < LEVELS; i++)
		TRY(collect_level(o, &levels[i], i, tokens, labels, label_count, candidates, err));
	return GLIP_OK;
}

/* ---- Selection -------------------------------------------------------------------------------------------------- */

/* With the + 1 convention, as all that follows. */
static float area_of(const float box[4])
{
	return (box[2] - box[0] + 1.0f) * (box[3] - box[1] + 1.0f);
}

/* Intersection over union. */
static float overlap(const float a[4], const float b[4])
{
	const float x1 = a[0] > b[0] ? a[0] : b[0], y1 = a[1] > b[1] ? a[1] : b[1];
	const float x2 = a[2] < b[2] ? a[2] : b[2], y2 = a[3] < b[3] ? a[3] : b[3];
	const float width = x2 - x1 + 1.0f, height = y2 - y1 + 1.0f;
	const float both = (width > 0.0f ? width : 0.0f) * (height > 0.0f ? height : 0.0f);

	return both / (area_of(a) + area_of(b) - both);
}

/* Kept boxes side by side: that a box is far from all of them, as it mostly is, is found at once. */
struct box_group {
	float x1[GROUP], y1[GROUP], x2[GROUP], y2[GROUP], area[GROUP];
};

static void put_box(struct box_group *g, size_t place, const float box[4])
{
	for (size_t i = place; i < GROUP; i++) {
		/* Behind it none, which meets nothing. */
		g->x1[i] = g->y1[i] = INFINITY;
		g->x2[i] = g->y2[i] = -INFINITY;
		g->area[i] = 0.0f;
	}
	g->x1[place] = box[0];
	g->y1[place] = box[1];
	g->x2[place] = box[2];
	g->y2[place] = box[3];
	g->area[place] = area_of(box);
}

/* False where no box of the group overlaps this one by more than the limit, nor so nearly that rounding would tell. */
static bool may_overlap(const struct box_group *g, const float box[4], float limit)
{
	const float area = area_of(box), least = 0.99999f * limit;
	int any = 0;

	for (size_t i = 0; i < GROUP; i++) {
		const float x1 = g->x1[i] > box[0] ? g->x1[i] : box[0], y1 = g->y1[i] > box[1] ? g->y1[i] : box[1];
		const float x2 = g->x2[i] < box[2] ? g->x2[i] : box[2], y2 = g->y2[i] < box[3] ? g->y2[i] : box[3];
		const float width = x2 - x1 + 1.0f, height = y2 - y1 + 1.0f, both = width * height;

		any |= (width > 0.0f) & (height > 0.0f) & (both >= least * (area + g->area[i] - both));
	}
	return any != 0;
}

/* Drops what overlaps a better box of its label; x is in the order label_before. Returns how many stay, in front.
 * groups: room for count boxes. */
static size_t suppress(struct box_candidate *x, size_t count, float limit, struct box_group *groups)
{
	size_t kept = 0, first = 0; /* first: of the label's kept boxes */

	for (size_t i = 0; i < count; i++) {
		if (first < kept && x[first].label != x[i].label)
			first = kept;
		const size_t boxes = kept - first;
		bool dropped = false;

		for (size_t j = 0; j < boxes && !dropped; j++) {
			if (j % GROUP == 0 && !may_overlap(&groups[j / GROUP], x[i].box, limit))
				j += GROUP - 1;
			else
				dropped = overlap(x[first + j].box, x[i].box) > limit;
		}
		if (dropped)
			continue;
		put_box(&groups[boxes / GROUP], boxes % GROUP, x[i].box);
		x[kept++] = x[i];
	}
	return kept;
}

enum glip_status glip__boxes_select(const struct box_options *o, struct buf *candidates, struct buf *detections,
                                    struct glip_error *err)
{
	struct box_candidate *x = (struct box_candidate *)(void *)candidates->data;
	size_t count = candidates->length / sizeof *x;
	const float across = (float)((double)o->image_width / o->width);
	const float down = (float)((double)o->image_height / o->height);

	detections->length = 0;
	if (!count)
		return GLIP_OK;
	const size_t side_by_side = (count + GROUP - 1) / GROUP * sizeof(struct box_group);
	if (!glip__buf_reserve(candidates, side_by_side))
		return glip__fail_nomem(err, "boxes side by side", side_by_side);
	x = (struct box_candidate *)(void *)candidates->data;
	sort(x, count, label_before);
	count = suppress(x, count, o->nms, (struct box_group *)(void *)(candidates->data + candidates->length));
	sort(x, count, detection_before);
	if (count > (size_t)o->max_detections) {
		const size_t survivors = count;

		count = (size_t)o->max_detections;
		while (count < survivors && x[count].score >= x[o->max_detections - 1].score)
			count++;
	}
	for (size_t i = 0; i < count; i++) {
		const float own = o->label_thresholds ? o->label_thresholds[x[i].label] : 0.0f;

		/* Exactly 0 means that the label has none of its own. */
		if (!(x[i].score > (own > 0.0f ? own : o->threshold)))
			continue;
		const struct glip_detection d = {
			.label = x[i].label,
			.score = x[i].score,
			.box = {x[i].box[0] * across, x[i].box[1] * down, x[i].box[2] * across, x[i].box[3] * down},
		};
		if (!glip__buf_append(detections, &d, sizeof d))
			return glip__fail_nomem(err, "detections", count * sizeof d);
	}
	return GLIP_OK;
}
