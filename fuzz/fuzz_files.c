/* Targets: everything that is read from files. */
#include <stdlib.h>
#include <string.h>

#include "convert/checkpoint.h"
#include "convert/convert.h"
#include "convert/json_read.h"
#include "convert/pickle.h"
#include "support/tiny_model.h"
#include "targets.h"
#include "tensor/weights.h"

static void read_all_metadata(const struct weights *w)
{
	struct weights_text text;
	const char *key;
	char value[128];
	int64_t list[4], n;
	double d;
	bool b;
	size_t count;

	for (size_t i = 0; glip__weights_metadata(w, i, &key, value, sizeof value); i++) {
		(void)glip__weights_get_int(w, key, &n);
		(void)glip__weights_get_float(w, key, &d);
		(void)glip__weights_get_bool(w, key, &b);
		(void)glip__weights_get_text(w, key, &text);
		(void)glip__weights_get_ints(w, key, list, 4, &count);
		if (glip__weights_get_texts(w, key, NULL, &count)) {
			struct weights_text *texts = glip__malloc(&fuzz_allocator, count, sizeof *texts);
			if (texts != NULL && glip__weights_get_texts(w, key, texts, &count) && count > 0 &&
			    texts[count - 1].length > 0)
				value[0] = texts[count - 1].text[texts[count - 1].length - 1];
			glip__free(&fuzz_allocator, texts);
		}
	}
}

int fuzz_gguf(const uint8_t *data, size_t size)
{
	struct glip_error err = {0};
	struct weights *w;
	enum glip_status status = glip__weights_open(fuzz_file(data, size), 0, &fuzz_allocator, &w, &err);
	volatile uint8_t sink = 0;

	fuzz_check_status(status, &err);
	if (status == GLIP_OK) {
		read_all_metadata(w);
		for (size_t i = 0; i < glip__weights_count(w); i++) {
			const struct tensor *t = glip__weights_at(w, i, NULL);
			int64_t count = 0;
			if (!glip__tensor_count(t, &count))
				abort();
			size_t bytes = (size_t)count * glip__dtype_size(t->dtype);
			sink = (uint8_t)(sink + ((const uint8_t *)t->data)[0] + ((const uint8_t *)t->data)[bytes - 1]);
		}
		(void)glip__weights_verify(w, &err);
		glip__weights_close(w);
	}
	fuzz_check_freed();
	return 0;
}

int fuzz_model(const uint8_t *data, size_t size)
{
	struct glip_model_options o;
	struct glip_model_info info = {.struct_size = sizeof info};
	struct glip_model *model;
	struct glip_error err = {0};

	glip_model_options_init(&o);
	o.allocator = &fuzz_allocator;
	o.no_mmap = 1;
	enum glip_status status = glip_model_load(fuzz_file(data, size), &o, &model, &err);
	fuzz_check_status(status, &err);
	if (status == GLIP_OK && glip_model_get_info(model, &info) == GLIP_OK)
		fuzz_ground_text(model, "the red cat and a dog", 40u << 16, 40, 32);
	glip_model_free(model);
	fuzz_check_freed();
	return 0;
}

int fuzz_checkpoint(const uint8_t *data, size_t size)
{
	enum { MOST = 1 << 16 };
	static float values[MOST];
	struct glip_error err = {0};
	struct checkpoint c;
	enum glip_status status = checkpoint_open(fuzz_file(data, size), &fuzz_allocator, &c, &err);

	fuzz_check_status(status, &err);
	if (status == GLIP_OK) {
		for (size_t i = 0; i < c.count; i++) {
			const struct checkpoint_tensor *t = checkpoint_at(&c, i);
			if (t->problem == NULL && t->count > MOST)
				continue;
			status = checkpoint_read(&c, t, values, &err);
			fuzz_check_status(status, &err);
		}
		checkpoint_close(&c);
	}
	fuzz_check_freed();
	return 0;
}

int fuzz_convert(const uint8_t *data, size_t size)
{
	struct convert_options o = {
		.in = fuzz_file(data, size),
		.out = "/dev/null",
		.settings = {tiny_settings, TINY_SETTINGS},
		.vocab = tiny_vocabulary,
		.vocab_size = strlen(tiny_vocabulary),
		.vocab_name = "vocabulary",
		.type = DTYPE_BF16,
		.allocator = &fuzz_allocator,
	};
	struct convert_summary summary;
	struct glip_error err = {0};

	fuzz_check_status(convert_checkpoint(&o, &summary, &err), &err);
	fuzz_check_freed();
	return 0;
}

int fuzz_pickle(const uint8_t *data, size_t size)
{
	/* Of exactly this size, so that a step past the end is seen. */
	uint8_t *copy = glip__malloc(&fuzz_allocator, size, 1);
	struct pickle p;
	struct glip_error err = {0};
	pickle_ref root, item;
	enum glip_status status;

	if (copy == NULL)
		abort();
	if (size > 0)
		memcpy(copy, data, size);
	pickle_init(&p, &fuzz_allocator, copy, size, "input");
	do {
		status = pickle_parse(&p, &root, &err);
		fuzz_check_status(status, &err);
		for (size_t i = 0; status == GLIP_OK && i < 64 && pickle_item(&p, root, i, &item); i++)
			(void)pickle_is_global(&p, item, "collections", "OrderedDict");
		if (status == GLIP_OK && pickle_at(&p, root)->kind == PICKLE_DICT)
			(void)pickle_lookup(&p, root, "model", &item);
	} while (status == GLIP_OK);
	pickle_free(&p);
	glip__free(&fuzz_allocator, copy);
	fuzz_check_freed();
	return 0;
}

int fuzz_json(const uint8_t *data, size_t size)
{
	char *text = glip__malloc(&fuzz_allocator, size, 1), out[64];
	struct glip_error err = {0};
	size_t length;
	int64_t n;

	if (text == NULL)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	struct json_reader j = {text, text + size, text, "input", &err};
	enum glip_status status = json_read_skip(&j);
	if (status == GLIP_OK)
		status = json_read_finish(&j);
	fuzz_check_status(status, &err);
	j.at = text;
	fuzz_check_status(json_read_string(&j, out, sizeof out, &length), &err);
	j.at = text;
	fuzz_check_status(json_read_count(&j, &n), &err);
	glip__free(&fuzz_allocator, text);
	fuzz_check_freed();
	return 0;
}

int fuzz_image(const uint8_t *data, size_t size)
{
	struct glip_image_options o;
	struct glip_image image = {0};
	struct glip_error err = {0};

	glip_image_options_init(&o);
	o.allocator = &fuzz_allocator;
	o.max_pixels = 1 << 20; /* larger ones only take longer */
	enum glip_status status = glip_image_decode(data, size, "input", &o, &image, &err);
	fuzz_check_status(status, &err);
	if (status == GLIP_OK) {
		volatile uint8_t last =
			image.pixels[(size_t)image.stride * (size_t)(image.height - 1) + 3 * (size_t)image.width - 1];
		(void)last;
	}
	glip_image_free(&image);
	fuzz_check_freed();
	return 0;
}
