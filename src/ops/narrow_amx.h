/* The matrix unit of x86 (AMX): what its kernels put before ops/narrow_ints.h. Its instructions stand as text, so that
 * files need no more flags than AVX-512's, and no compiler that knows them. */
#ifndef GLIP_OPS_NARROW_AMX_H
#define GLIP_OPS_NARROW_AMX_H

#include <stdint.h>

#include "ops/vec_avx512.h"

#define MATRIX_UNIT 1
enum { TILE_ROWS = 16, TILE_BYTES = 64, UNIT_VALUES = 64 }; /* of a register: a row has a byte of each value */

#define ROW_UNIT TILE_ROWS
#define LEFT_HEAD 16 /* a cache line: a row of a register that lies across two takes twice as long to load */
#define MR 32

#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t ::)
#define TILE_LOAD(t, p, ld) \
	__asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"((const void *)(p)), "r"((size_t)(ld)) : "memory")
#define TILE_STORE(t, p, ld) \
	__asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"((void *)(p)), "r"((size_t)(ld)) : "memory")
/* Register `t` += left times right one; `kind`: whether the left bytes and the right ones are signed (s) or not (u). */
#define TILE_MULTIPLY(kind, t, left, right) \
	__asm__ volatile("tdpb" #kind "d %%tmm" #right ", %%tmm" #left ", %%tmm" #t ::)

/* All eight registers whole. */
static void begin_tiles(void)
{
	static const struct {
		uint8_t palette, start_row, reserved[14];
		uint16_t bytes[16];
		uint8_t rows[16];
	} whole = {.palette = 1,
	           .bytes = {TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES,
	                     TILE_BYTES},
	           .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS}};
	__asm__ volatile("ldtilecfg %0" : : "m"(whole));
}

/* A thread that has nothing in them is switched faster, and lets its core sleep deeper. */
static void end_tiles(void)
{
	__asm__ volatile("tilerelease" ::);
}

#endif
