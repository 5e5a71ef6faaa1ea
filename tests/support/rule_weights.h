/* Deterministic untrained weights: every value is a function of the tensor's checkpoint name, its position and a seed,
 * so that models of any size can be made where they are needed.
 *
 *     h   = FNV-1a-64(name) xor seed * 0x9E3779B97F4A7C15
 *     z_i = splitmix64 output for the state h + (i + 1) * 0x9E3779B97F4A7C15     (i: flat index, PyTorch's layout)
 *     u_i = (z_i >> 40) / 2^23 - 1
 *     w_i = base + scale * u_i, rounded to float32; base and scale by the name
 */
#ifndef TESTS_SUPPORT_RULE_WEIGHTS_H
#define TESTS_SUPPORT_RULE_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rule_config {
	const char *name;
	int embed_dim, depths[4], heads[4], window;          /* Swin */
	int vocab, hidden, layers, bert_heads, intermediate; /* BERT; 512 positions, 256 tokens */
	int channels, head_layers;
	bool fusion;
	int fusion_dim, fusion_heads, groups;
	int word_rows; /* > 0: that many rows of word embeddings are stored, token id i has row i % word_rows */
	bool i8;       /* matrices that may be are stored as 8-bit integers, a scale a row */
};

/* "mini-t", "mini-l", "mini-a", "glip-t", "glip-l", "glip-a"; NULL for another name. */
const struct rule_config *rule_variant(const char *name);

enum rule_parts { RULE_SWIN = 1, RULE_FPN = 2, RULE_BERT = 4, RULE_HEAD = 8, RULE_ALL = 15, RULE_VOCABULARY = 16 };
enum { RULE_MODEL = RULE_ALL | RULE_VOCABULARY }; /* what glip_model_load takes */

/* A weights file with the tensors of these parts and the whole configuration; the vocabulary is the standard one, of
 * weights/. False, with a line on stderr, where it cannot be written. */
bool rule_weights_write(const char *path, const struct rule_config *config, uint64_t seed, unsigned parts);
/* A whole model with a vocabulary of its own: config->vocab tokens, one a line. */
bool rule_model_write(const char *path, const struct rule_config *config, uint64_t seed, const char *vocabulary);

/* out[count]: u of the tensor `name`, also good as an input of a test. */
void rule_uniform(const char *name, uint64_t seed, float *out, size_t count);

#endif
