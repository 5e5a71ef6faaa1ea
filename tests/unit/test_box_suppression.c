/* Suppression of many boxes, against its rule. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "glip/boxes.h"

static double iou(const float a[4], const float b[4])
{
	const double width = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]) + 1;
	const double height = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]) + 1;
	const double both = fmax(width, 0) * fmax(height, 0);

	return both / (((double)a[2] - (double)a[0] + 1) * ((double)a[3] - (double)a[1] + 1) +
	               ((double)b[2] - (double)b[0] + 1) * ((double)b[3] - (double)b[1] + 1) - both);
}

/* Many boxes of three labels with whole sides, some pairs of which overlap by the limit itself, against the rule. */
static void test_many_boxes(void **state)
{
	enum { COUNT = 700 };
	static const float limits[] = {0, 0.25f, 0.5f, 0.6f, 1};
	struct box_candidate x[COUNT];
	uint32_t random = 1;

	(void)state;
	for (size_t round = 0; round < sizeof limits / sizeof *limits; round++) {
		struct buf candidates = {.allocator = &glip__default_allocator}, detections = candidates;
		struct box_options o = {
			.width = 80,
			.height = 80,
			.image_width = 80,
			.image_height = 80,
			.nms = limits[round],
			.max_detections = COUNT,
		};
		size_t kept = 0;

		for (int i = 0; i < COUNT; i++) {
			float at[4];

			for (int k = 0; k < 4; k++) {
				random = random * 1664525u + 1013904223u;
				at[k] = (float)(random >> 8) / 16777216.0f;
			}
			x[i] = (struct box_candidate){.score = 1.0f - (float)i * 0.001f,
			                              .label = (uint32_t)(i % 7 % 3),
			                              .position = i};
			x[i].box[0] = floorf(at[0] * 40.0f);
			x[i].box[1] = floorf(at[1] * 40.0f);
			x[i].box[2] = x[i].box[0] + floorf(at[2] * 30.0f);
			x[i].box[3] = x[i].box[1] + floorf(at[3] * 30.0f);
		}
		assert_true(glip__buf_append(&candidates, x, sizeof x));
		assert_int_equal(glip__boxes_select(&o, &candidates, &detections, NULL), GLIP_OK);
		const struct glip_detection *d = (const struct glip_detection *)(const void *)detections.data;
		for (int i = 0; i < COUNT; i++) {
			bool dropped = false;

			for (size_t j = 0; j < kept && !dropped; j++)
				dropped = d[j].label == x[i].label && iou(d[j].box, x[i].box) > (double)o.nms;
			if (dropped)
				continue;
			assert_true(kept < detections.length / sizeof *d);
			assert_memory_equal(d[kept++].box, x[i].box, sizeof x[i].box);
		}
		assert_int_equal(kept, detections.length / sizeof *d);
		glip__buf_free(&candidates);
		glip__buf_free(&detections);
	}
}

/* The last of ten boxes overlaps the first that was kept, or the last, by the limit itself and by a part in 50000
 * more. */
static void test_near_the_limit(void **state)
{
	enum { COUNT = 10 };
	static const float side = 100000;

	(void)state;
	for (int round = 0; round < 4; round++) {
		const float shared = round % 2 ? 75001 : 75000, with = round / 2 ? COUNT - 2 : 0;
		struct buf candidates = {.allocator = &glip__default_allocator}, detections = candidates;
		const struct box_options o = {
			.width = 80, .height = 80, .image_width = 80, .image_height = 80, .nms = 0.6f, .max_detections = COUNT};
		struct box_candidate x[COUNT] = {0};

		for (int i = 0; i < COUNT; i++) {
			const float row = i == COUNT - 1 ? with : (float)i, right = i == COUNT - 1 ? side - shared : 0;

			x[i].score = 1.0f - (float)i * 0.01f;
			x[i].position = i;
			x[i].box[0] = right;
			x[i].box[1] = x[i].box[3] = row * 10;
			x[i].box[2] = right + side - 1;
		}
		assert_true(glip__buf_append(&candidates, x, sizeof x));
		assert_int_equal(glip__boxes_select(&o, &candidates, &detections, NULL), GLIP_OK);
		assert_int_equal(detections.length / sizeof(struct glip_detection), round % 2 ? COUNT - 1 : COUNT);
		glip__buf_free(&candidates);
		glip__buf_free(&detections);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_boxes),
		cmocka_unit_test(test_near_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
