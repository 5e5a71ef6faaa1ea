/* All kernels for AVX2 with FMA. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/kernels_table.h"
#include "ops/vec_avx2.h"

#define MR 6
#define DOT_ROWS 3
#include "ops/math_impl.h"
#include "ops/gemm_impl.h"
#include "ops/rows_impl.h"
#include "ops/table_impl.h"

const struct kernels glip__kernels_avx2 = {.name = "avx2", .flag = GLIP_CPU_AVX2, TABLE_ENTRIES};
