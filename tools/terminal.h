/* What the commands share on stderr: messages, a progress bar, interruption. */
#ifndef GLIP_TOOLS_TERMINAL_H
#define GLIP_TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
/* "glip: ..." on stderr, clearing a progress bar that stands there first. */
void say(const char *format, ...);

/* A bar with rate and remaining time, drawn on stderr where it is a terminal, at most ten times a second. */
struct progress {
	const char *unit; /* "images", "MB" */
	uint64_t total;   /* 0: unknown */
	double started, drawn;
	bool active;
};

void progress_start(struct progress *p, const char *unit, uint64_t total, bool wanted);
void progress_update(struct progress *p, uint64_t done);
/* Clears the bar. */
void progress_end(struct progress *p);

/* SIGINT and SIGTERM set a flag instead of ending the process, so that a command can clean up; a second one ends it. */
void interrupt_catch(void);
bool interrupted(void);

/* Seconds of a clock that only goes forward. */
double now_seconds(void);

#endif
