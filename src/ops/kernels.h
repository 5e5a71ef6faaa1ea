/* The table of kernels: one function pointer per kernel, filled from the instruction sets that may be used. Plain C
 * first, then overridden by what is faster on this machine: this file is where a kernel is chosen. */
#ifndef GLIP_OPS_KERNELS_H
#define GLIP_OPS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kernels;

/* The table for a mask of enum glip_cpu_flags; static and constant. Flags that this build has no kernels for are
 * ignored; a mask without any means plain C. */
const struct kernels *glip__kernels(uint32_t cpu_mask);

#endif
