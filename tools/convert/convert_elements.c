#include "convert_elements.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "byte_source.h"

static const struct {
	uint8_t size;
	bool is_float;
	const char *name, *storage, *safetensors;
} elements[ELEMENT_COUNT] = {
	[ELEMENT_F32] = {4, true, "float32", "FloatStorage", "F32"},
	[ELEMENT_F16] = {2, true, "float16", "HalfStorage", "F16"},
	[ELEMENT_BF16] = {2, true, "bfloat16", "BFloat16Storage", "BF16"},
	[ELEMENT_F64] = {8, true, "float64", "DoubleStorage", "F64"},
	[ELEMENT_I64] = {8, false, "int64", "LongStorage", "I64"},
	[ELEMENT_I32] = {4, false, "int32", "IntStorage", "I32"},
	[ELEMENT_I16] = {2, false, "int16", "ShortStorage", "I16"},
	[ELEMENT_I8] = {1, false, "int8", "CharStorage", "I8"},
	[ELEMENT_U8] = {1, false, "uint8", "ByteStorage", "U8"},
	[ELEMENT_BOOL] = {1, false, "bool", "BoolStorage", "BOOL"},
};

size_t element_size(enum element element)
{
	return elements[element].size;
}

const char *element_name(enum element element)
{
	return elements[element].name;
}

bool element_is_float(enum element element)
{
	return elements[element].is_float;
}

bool element_by_storage(const char *name, size_t length, enum element *out)
{
	for (int i = 0; i < ELEMENT_COUNT; i++) {
		if (strlen(elements[i].storage) == length && memcmp(elements[i].storage, name, length) == 0) {
			*out = (enum element)i;
			return true;
		}
	}
	return false;
}

bool element_by_safetensors(const char *name, size_t length, enum element *out)
{
	for (int i = 0; i < ELEMENT_COUNT; i++) {
		if (strlen(elements[i].safetensors) == length && memcmp(elements[i].safetensors, name, length) == 0) {
			*out = (enum element)i;
			return true;
		}
	}
	return false;
}

static float f32_from_bits(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static float f32_from_f16(uint32_t h)
{
	uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 1023u;

	if (exponent == 31)
		return f32_from_bits(sign | 0x7F800000u | mantissa << 13);
	if (exponent > 0)
		return f32_from_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
	/* Zero or subnormal: mantissa * 2^-24, exact in float32. */
	return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
}

void elements_to_f32(enum element element, const uint8_t *in, size_t count, float *out)
{
	double d;

	/* A loop a type: with a constant size the compiler reads whole words. */
	switch (element) {
	case ELEMENT_F16:
		for (size_t i = 0; i < count; i++)
			out[i] = f32_from_f16((uint32_t)little_endian(in + 2 * i, 2));
		break;
	case ELEMENT_BF16:
		for (size_t i = 0; i < count; i++)
			out[i] = f32_from_bits((uint32_t)little_endian(in + 2 * i, 2) << 16);
		break;
	case ELEMENT_F64:
		for (size_t i = 0; i < count; i++) {
			uint64_t bits = little_endian(in + 8 * i, 8);
			memcpy(&d, &bits, sizeof(d));
			out[i] = (float)d;
		}
		break;
	default:
		for (size_t i = 0; i < count; i++)
			out[i] = f32_from_bits((uint32_t)in[4 * i] | (uint32_t)in[4 * i + 1] << 8 | (uint32_t)in[4 * i + 2] << 16 |
			                       (uint32_t)in[4 * i + 3] << 24);
		break;
	}
}

uint16_t bf16_from_f32(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
		return (uint16_t)(bits >> 16 | 0x40u);
	return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

float i8_from_f32(const float *row, size_t count, int8_t *q)
{
	float most = 0, scale;
	uint32_t bits;

	for (size_t i = 0; i < count; i++)
		most = fabsf(row[i]) > most ? fabsf(row[i]) : most;
	scale = most / 127;
	memcpy(&bits, &scale, sizeof(bits));
	bits = (bits + 0x40u) & ~0x7Fu;
	memcpy(&scale, &bits, sizeof(scale));
	if (scale < FLT_MIN)
		scale = 0;
	for (size_t i = 0; i < count; i++) {
		float value = scale > 0 ? rintf(row[i] / scale) : 0;
		q[i] = (int8_t)(value > 127 ? 127 : value < -127 ? -127 : value);
	}
	return scale;
}
