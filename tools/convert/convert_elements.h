/* The element types of checkpoints, and their way to float32. */
#ifndef GLIP_CONVERT_CONVERT_ELEMENTS_H
#define GLIP_CONVERT_CONVERT_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum element {
	ELEMENT_F32,
	ELEMENT_F16,
	ELEMENT_BF16,
	ELEMENT_F64,
	ELEMENT_I64,
	ELEMENT_I32,
	ELEMENT_I16,
	ELEMENT_I8,
	ELEMENT_U8,
	ELEMENT_BOOL,
	ELEMENT_COUNT
};

size_t element_size(enum element element);
/* "float32", "bfloat16", ... */
const char *element_name(enum element element);
/* By the name of torch's storage class ("HalfStorage") or of safetensors ("F16"). */
bool element_by_storage(const char *name, size_t length, enum element *out);
bool element_by_safetensors(const char *name, size_t length, enum element *out);
bool element_is_float(enum element element);
/* `count` little-endian elements of a floating-point type; float64 is rounded to nearest. */
void elements_to_f32(enum element element, const uint8_t *in, size_t count, float *out);
/* Rounds to nearest, ties to even; NaN stays NaN. */
uint16_t bf16_from_f32(float value);
/* A row of finite floats as whole numbers -127..127 times the scale returned: the largest magnitude / 127, rounded to
 * 17 significant bits, with which every product is exact in float32; 0 where that would not be a normal number, and so
 * are the whole numbers then. q may begin where row does. */
float i8_from_f32(const float *row, size_t count, int8_t *q);

#endif
