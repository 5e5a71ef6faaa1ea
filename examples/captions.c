/* Many captions on one image: captions MODEL.gguf IMAGE CAPTION...
 *
 * The image encoder takes most of the time; its features are computed once and every caption is grounded on them. Each
 * noun phrase of a caption is a label; printed is its best box. */
#include <glip.h>
#include <stdio.h>

static int ground_caption(struct glip_session *session, const struct glip_features *features, const char *caption)
{
	struct glip_prompt *prompt = NULL;
	struct glip_result *result = NULL;
	struct glip_error err;

	if (glip_prompt_caption(session, caption, NULL, &prompt, &err) ||
	    glip_ground_features(session, features, prompt, NULL, &result, &err)) {
		fprintf(stderr, "\"%s\": %s\n", caption, err.message);
		glip_prompt_free(prompt);
		return 1;
	}
	printf("%s (%.0f ms)\n", caption, glip_result_timing(result)->total_ms);
	for (size_t label = 0; label < glip_prompt_label_count(prompt); label++) {
		const struct glip_detection *best = NULL;

		/* Results are sorted: the first of a label is its best. */
		for (size_t i = 0; best == NULL && i < glip_result_count(result); i++)
			if (glip_result_detection(result, i)->label == label)
				best = glip_result_detection(result, i);
		if (best == NULL)
			printf("  %-24s not found\n", glip_prompt_label(prompt, label)->text);
		else
			printf("  %-24s %.3f  %.0f %.0f %.0f %.0f\n", glip_prompt_label(prompt, label)->text, (double)best->score,
			       (double)best->box[0], (double)best->box[1], (double)best->box[2], (double)best->box[3]);
	}
	glip_result_free(result);
	glip_prompt_free(prompt);
	return 0;
}

int main(int argc, char **argv)
{
	struct glip_error err;
	struct glip_model *model = NULL;
	struct glip_session *session = NULL;
	struct glip_image image = {0};
	struct glip_features *features = NULL;
	int failed = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: %s MODEL.gguf IMAGE CAPTION...\n", argv[0]);
		return 2;
	}
	if (glip_model_load(argv[1], NULL, &model, &err) || glip_session_create(model, NULL, &session, &err) ||
	    glip_image_load(argv[2], NULL, &image, &err) || glip_features_create(session, &image, NULL, &features, &err)) {
		fprintf(stderr, "%s\n", err.message);
		failed = 1;
	}
	for (int i = 3; features != NULL && i < argc; i++)
		failed |= ground_caption(session, features, argv[i]);
	glip_features_free(features);
	glip_image_free(&image);
	glip_session_free(session);
	glip_model_free(model);
	return failed;
}
