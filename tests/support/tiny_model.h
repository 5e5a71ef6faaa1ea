/* The smallest model that does everything: for tests that run it thousands of times. */
#ifndef TESTS_SUPPORT_TINY_MODEL_H
#define TESTS_SUPPORT_TINY_MODEL_H

#include "support/scratch_file.h"

/* One token a line, all of the model's. */
extern const char tiny_vocabulary[];
/* Settings of the converter that the shapes of its checkpoint do not tell, "KEY=VALUE". */
extern const char *const tiny_settings[2];
enum { TINY_SETTINGS = 2 };

/* A model file of about 60 KB; false, with a line on stderr, where it cannot be written. */
bool tiny_model_write_path(const char *path);
/* The same; fails the test. */
void tiny_model_write(const struct scratch_file *file);
/* Its matrices as 8-bit integers. */
void tiny_model_write_i8(const struct scratch_file *file);
/* A checkpoint of the same shapes with other values, as safetensors. */
void tiny_checkpoint_write(const struct scratch_file *file);

/* A picture of 40 x 32 pixels, RGB, and the options that ground it in a few milliseconds. */
enum { TINY_WIDTH = 40, TINY_HEIGHT = 32 };
struct glip_image tiny_image(uint8_t pixels[TINY_WIDTH * TINY_HEIGHT * 3]);
struct glip_ground_options tiny_ground_options(void);

/* A number that tells results apart: of every label, box and score. */
uint64_t tiny_digest_bytes(uint64_t digest, const void *data, size_t size);
uint64_t tiny_digest_result(uint64_t digest, const struct glip_result *result);

#endif
