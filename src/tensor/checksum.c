#include "tensor/checksum.h"

#include <string.h>

/* Odd, with bits all over: multiplying by it is a bijection modulo 2^64. */
static const uint64_t multiplier = 0x9FB21C651E98DF25u;
static const uint64_t start[4] = {0x243F6A8885A308D3u, 0x13198A2E03707344u, 0xA4093822299F31D0u, 0x082EFA98EC4E6C89u};

static uint64_t load64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static uint64_t step(uint64_t lane, uint64_t word)
{
	uint64_t x = lane ^ word;

	return (x << 29 | x >> 35) * multiplier;
}

static void blocks(uint64_t lane[4], const uint8_t *data, size_t count)
{
	uint64_t a = lane[0], b = lane[1], c = lane[2], d = lane[3];

	for (; count > 0; count--, data += 32) {
		a = step(a, load64(data));
		b = step(b, load64(data + 8));
		c = step(c, load64(data + 16));
		d = step(d, load64(data + 24));
	}
	lane[0] = a;
	lane[1] = b;
	lane[2] = c;
	lane[3] = d;
}

void glip__checksum_init(struct checksum *c)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->lane, start, sizeof(start));
}

void glip__checksum_update(struct checksum *c, const void *data, size_t size)
{
	const uint8_t *p = data;

	c->length += size;
	if (c->tail_length > 0) {
		size_t n = sizeof(c->tail) - c->tail_length;
		if (n > size)
			n = size;
		if (n > 0)
			memcpy(c->tail + c->tail_length, p, n);
		c->tail_length += n;
		p += n;
		size -= n;
		if (c->tail_length < sizeof(c->tail))
			return;
		blocks(c->lane, c->tail, 1);
		c->tail_length = 0;
	}
	blocks(c->lane, p, size / 32);
	if (size % 32 > 0)
		memcpy(c->tail, p + size / 32 * 32, size % 32);
	c->tail_length = size % 32;
}

uint64_t glip__checksum_final(const struct checksum *c)
{
	uint64_t lane[4], h;
	uint8_t last[32] = {0};

	memcpy(lane, c->lane, sizeof(lane));
	if (c->tail_length > 0) {
		memcpy(last, c->tail, c->tail_length);
		blocks(lane, last, 1);
	}
	h = step(start[0], c->length);
	for (int i = 0; i < 4; i++) {
		h = step(h, lane[i]);
		h ^= h >> 32;
	}
	h = step(h, start[1]);
	return h ^ h >> 29;
}
