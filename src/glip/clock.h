/* Wall-clock milliseconds that only go forward, for the timings of results. */
#ifndef GLIP_GLIP_CLOCK_H
#define GLIP_GLIP_CLOCK_H

double glip__clock_ms(void);

#endif
