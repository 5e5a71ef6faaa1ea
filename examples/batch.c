/* One prompt, many images: batch MODEL.gguf CLASS[,CLASS...] IMAGE...
 *
 * The words are encoded once. The session keeps its memory from image to image, so that images of one size after the
 * first are grounded without an allocation. A bad image is reported and the others go on. */
#include <glip.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CLASSES = 1000 };

int main(int argc, char **argv)
{
	const char *names[MAX_CLASSES];
	size_t count = 0;
	struct glip_error err;
	struct glip_model *model = NULL;
	struct glip_session *session = NULL;
	struct glip_prompt *prompt = NULL;
	int failed = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: %s MODEL.gguf CLASS[,CLASS...] IMAGE...\n", argv[0]);
		return 2;
	}
	for (char *name = strtok(argv[2], ","); name != NULL && count < MAX_CLASSES; name = strtok(NULL, ","))
		names[count++] = name;

	struct glip_ground_options options;
	glip_ground_options_init(&options);
	options.threshold = 0.4f;

	if (glip_model_load(argv[1], NULL, &model, &err) || glip_session_create(model, NULL, &session, &err) ||
	    glip_prompt_classes(session, names, count, NULL, &prompt, &err)) {
		fprintf(stderr, "%s\n", err.message);
		failed = 2;
	}
	for (int i = 3; failed != 2 && i < argc; i++) {
		struct glip_image image = {0};
		struct glip_result *result = NULL;

		if (glip_image_load(argv[i], NULL, &image, &err) ||
		    glip_ground(session, &image, prompt, &options, &result, &err)) {
			fprintf(stderr, "%s\n", err.message);
			failed = 1;
		} else {
			printf("%s: %zu boxes in %.0f ms\n", argv[i], glip_result_count(result),
			       glip_result_timing(result)->total_ms);
		}
		for (size_t k = 0; k < glip_result_count(result); k++) {
			const struct glip_detection *d = glip_result_detection(result, k);

			printf("  %-20s %.3f  %.0f %.0f %.0f %.0f\n", glip_prompt_label(prompt, d->label)->text, (double)d->score,
			       (double)d->box[0], (double)d->box[1], (double)d->box[2], (double)d->box[3]);
		}
		glip_result_free(result);
		glip_image_free(&image);
	}
	glip_prompt_free(prompt);
	glip_session_free(session);
	glip_model_free(model);
	return failed;
}
