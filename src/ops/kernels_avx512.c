/* All kernels for AVX-512 (F, BW, DQ, VL). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/kernels_table.h"
#include "ops/vec_avx512.h"

#define MR 12
#define DOT_ROWS 6
#include "ops/math_impl.h"
#include "ops/gemm_impl.h"
#include "ops/rows_impl.h"
#include "ops/table_impl.h"

const struct kernels glip__kernels_avx512 = {.name = "avx512", .flag = GLIP_CPU_AVX512, TABLE_ENTRIES};
