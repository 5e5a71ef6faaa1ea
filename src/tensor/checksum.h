/* The checksum of the weights file: four 64-bit lanes, each fed every fourth 8-byte word.
 *
 * Every step is a bijection of the lane for a given word and of the word for a given lane, and the lanes are joined by
 * bijections too: a change that stays within one word is always seen, any other with probability 1 - 2^-64. It guards
 * against damage, not against forgery. weights/FORMAT.md states the formula. */
#ifndef GLIP_TENSOR_CHECKSUM_H
#define GLIP_TENSOR_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

struct checksum {
	uint64_t lane[4];
	uint64_t length; /* bytes so far */
	uint8_t tail[32];
	size_t tail_length;
};

void glip__checksum_init(struct checksum *c);
/* The pieces may be cut anywhere: only their concatenation counts. */
void glip__checksum_update(struct checksum *c, const void *data, size_t size);
uint64_t glip__checksum_final(const struct checksum *c);

#endif
