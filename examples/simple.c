#include <glip.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s MODEL.gguf IMAGE\n", argv[0]);
		return 2;
	}
	const char *names[] = {"cat", "dog", "traffic light"};
	struct glip_error err;
	struct glip_model *model = NULL;
	struct glip_session *session = NULL;
	struct glip_prompt *prompt = NULL;
	struct glip_image image = {0};
	struct glip_result *result = NULL;

	if (glip_model_load(argv[1], NULL, &model, &err) || glip_session_create(model, NULL, &session, &err) ||
	    glip_prompt_classes(session, names, 3, NULL, &prompt, &err) ||
	    glip_image_load(argv[2], NULL, &image, &err) ||
	    glip_ground(session, &image, prompt, NULL, &result, &err))
		fprintf(stderr, "%s\n", err.message);
	for (size_t i = 0; i < glip_result_count(result); i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		printf("%s %.3f  %.1f %.1f %.1f %.1f\n", glip_prompt_label(prompt, d->label)->text, (double)d->score,
		       (double)d->box[0], (double)d->box[1], (double)d->box[2], (double)d->box[3]);
	}
	int failed = result == NULL;
	glip_result_free(result);
	glip_image_free(&image);
	glip_prompt_free(prompt);
	glip_session_free(session);
	glip_model_free(model);
	return failed;
}
