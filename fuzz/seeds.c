#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/zip.h"
#include "support/json.h"
#include "support/tiny_model.h"
#include "targets.h"

/* Two classes, three words of which one is unambiguous, two features with a weight each. */
static const char tagger_seed[] = "'GLIPTAG1 4:2 4:4 4:24 4:3 4:12 4:1 4:2 4:2 4:0 "
								  "4:0 4:3 4:6 4:14 "     /* tag names: NN DT -START- -START2- */
								  "4:0 4:4 4:8 "          /* words: dog men the */
								  "4:0 4:0 4:0x60000000 " /* index; keys: bias, word "dog" */
								  "2:2 1:1 "              /* "the" is a DT */
								  "1:1 1:1 3:500 3:1500 " /* weights of class 0 */
								  "'NN z:1 'DT z:1 '-START- z:1 '-START2- z:1 'dog z:1 'men z:1 'the z:1";

static const char json_seed[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,0],\"data_offsets\":[0,8]}"
								",\"__metadata__\":{\"x\":[1,-2.5e3,null,true,\"\\u00e9\"]}}";

struct giver {
	void (*give)(void *user, const char *target, const char *name, const void *data, size_t size);
	void *user;
};

static void give_file(const struct giver *g, const char *path, const char *name, const char *const *targets)
{
	size_t size;
	char *data = test_read_file(path, &size);

	if (data == NULL)
		abort();
	for (; *targets != NULL; targets++)
		g->give(g->user, *targets, name, data, size);
	free(data);
}

/* The pickle inside an archive. */
static void give_pickle(const struct giver *g, const char *path, const char *name)
{
	struct byte_source source;
	struct zip zip;
	struct glip_error err;

	if (byte_source_open(path, &source, &err) != GLIP_OK ||
	    zip_open(&source, &glip__default_allocator, &zip, &err) != GLIP_OK)
		abort();
	for (size_t i = 0; i < zip.count; i++) {
		const struct zip_member *m = &zip.members[i];
		uint8_t data[4096];
		if (m->size > sizeof data || m->name_length < 8 || memcmp(m->name + m->name_length - 8, "data.pkl", 8) != 0)
			continue;
		if (byte_source_read(&source, m->offset, data, (size_t)m->size, &err) != GLIP_OK)
			abort();
		g->give(g->user, "pickle", name, data, (size_t)m->size);
	}
	zip_close(&zip);
	byte_source_close(&source);
}

void fuzz_make_seeds(void (*give)(void *user, const char *target, const char *name, const void *data, size_t size),
                     void *user)
{
	static const char *const models[] = {"gguf", "model", NULL}, *const heads[] = {"gguf", NULL};
	static const char *const checkpoints[] = {"checkpoint", "convert", NULL};
	static const char *const names[] = {"model", "legacy", "protocol4", "flat", "zip64"};
	const struct giver g = {give, user};
	struct scratch_file file;
	struct buf bytes = {.allocator = &glip__default_allocator};

	scratch_file_new(&file);
	tiny_model_write(&file);
	give_file(&g, file.path, "tiny", models);
	tiny_checkpoint_write(&file);
	give_file(&g, file.path, "tiny", checkpoints);
	scratch_file_remove(&file);
	bytes_append(&bytes, "'GGUF 4:3 8:2 8:3 s:general.alignment 4:4 4:8 s:a 4:9 4:8 8:2 s:x s: s:b 4:3 2:0xFFFE "
	                     "s:t 4:2 8:2 8:1 4:0 8:0 s:u 4:1 8:3 4:24 8:8 a:8 z:8 x:7F80FF");
	scratch_file_write(&file, bytes.data, bytes.length);
	give_file(&g, file.path, "small", heads);
	scratch_file_remove(&file);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[96];
		snprintf(path, sizeof path, "tests/data/checkpoints/%s.pth", names[i]);
		give_file(&g, path, names[i], checkpoints);
		if (strcmp(names[i], "legacy") != 0)
			give_pickle(&g, path, names[i]);
	}
	bytes.length = 0;
	bytes_append(&bytes, tagger_seed);
	give(user, "tagger", "small", bytes.data, bytes.length);
	give(user, "json", "header", json_seed, sizeof json_seed - 1);
	glip__buf_free(&bytes);
}
