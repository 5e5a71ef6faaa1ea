/* Which instruction sets the machine and its operating system support, as enum glip_cpu_flags. */
#ifndef GLIP_BASE_CPU_H
#define GLIP_BASE_CPU_H

#include <stdint.h>

uint32_t glip__cpu_flags(void);

#endif
