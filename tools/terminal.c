#include "terminal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* At most one bar stands on the terminal; a message must wipe it first. */
static struct progress *shown;
static volatile sig_atomic_t interrupts;

double now_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void wipe(void)
{
	if (shown != NULL && shown->drawn > 0)
		fputs("\r\033[K", stderr);
}

void say(const char *format, ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	/* Control characters of a file name must not reach the terminal. */
	for (char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7F)
			*c = '?';
	}
	wipe();
	fprintf(stderr, "glip: %s\n", text);
}

void progress_start(struct progress *p, const char *unit, uint64_t total, bool wanted)
{
	*p = (struct progress){.unit = unit, .total = total, .started = now_seconds()};
	p->active = wanted && isatty(STDERR_FILENO);
	if (p->active)
		shown = p;
}

static void print_duration(double seconds)
{
	int s = seconds < 359999 ? (int)(seconds + 0.5) : 359999;
	if (s >= 3600)
		fprintf(stderr, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
	else
		fprintf(stderr, "%d:%02d", s / 60, s % 60);
}

void progress_update(struct progress *p, uint64_t done)
{
	double t = now_seconds();
	if (!p->active || (t - p->drawn < 0.1 && done < p->total))
		return;
	p->drawn = t;
	double elapsed = t - p->started, rate = elapsed > 0 ? (double)done / elapsed : 0;
	enum { WIDTH = 30 };
	int full = p->total != 0 ? (int)(WIDTH * done / p->total) : 0;
	fputs("\r\033[K[", stderr);
	for (int i = 0; i < WIDTH; i++)
		fputc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %llu/%llu %s, %.3g/s", (unsigned long long)done, (unsigned long long)p->total, p->unit, rate);
	if (rate > 0 && done < p->total) {
		fputs(", ", stderr);
		print_duration((double)(p->total - done) / rate);
		fputs(" left", stderr);
	}
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (!p->active)
		return;
	wipe();
	fflush(stderr);
	p->active = false;
	shown = NULL;
}

static void on_signal(int number)
{
	if (interrupts++ > 0) {
		signal(number, SIG_DFL);
		raise(number);
	}
}

void interrupt_catch(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = on_signal;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
	return interrupts != 0;
}
