/* What the machine has. */
#ifndef GLIP_BASE_CPU_H
#define GLIP_BASE_CPU_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE = 64 }; /* bytes; where a line is longer, it is asked for more than once */

/* Which instruction sets the machine and its operating system support, as enum glip_cpu_flags. */
uint32_t glip__cpu_flags(void);
/* Bytes of the second-level cache that a core has for itself; 512 KiB where nobody says. */
size_t glip__cpu_cache(void);

#endif
