#ifndef GLIP_DYHEAD_LEVELS_H
#define GLIP_DYHEAD_LEVELS_H

enum { LEVELS = 5 }; /* p3..p7, strides 8..128 */

#endif
