/* All kernels for NEON (AArch64). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "ops/kernels_table.h"
#include "ops/vec_neon.h"

#define MR 12
#define DOT_ROWS 6
#include "ops/math_impl.h"
#include "ops/gemm_impl.h"
#include "ops/rows_impl.h"
#include "ops/table_impl.h"

const struct kernels glip__kernels_neon = {.name = "neon", .flag = GLIP_CPU_NEON, TABLE_ENTRIES};
