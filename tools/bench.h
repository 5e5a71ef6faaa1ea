/* The parts of `glip bench`. Each prints its tables and returns false after a message. */
#ifndef GLIP_TOOLS_BENCH_H
#define GLIP_TOOLS_BENCH_H

#include "bench_report.h"
#include "glip.h"

enum { BENCH_COMPUTES = GLIP_COMPUTE_I16 + 1 };
#define BENCH_COMPUTE_NAMES "auto|f32|bf16|i8|i16"

struct bench_settings {
	const char *model; /* NULL: none */
	int threads, repeat;
	int compute; /* enum glip_compute of passes */
};

/* What the machine can do, measured; 0 where it cannot. In 1e9 operations per second: a multiply-add is two. */
struct bench_limits {
	double compute[BENCH_COMPUTES]; /* by enum glip_compute; AUTO is that of F32 */
	double read;                    /* GB/s */
};

/* Seconds of work before what is timed: for a while after they were idle, two processors of a virtual machine may be
 * one core of its host; and OpenBLAS's threads look for work, as long after a product or the start of the program. */
#define BENCH_WARM_UP 0.15

/* ---- bench_limits.c ---- */
bool bench_limits(struct bench_report *r, const struct bench_settings *s, struct bench_limits *out);

/* ---- bench_products.c: matrix products at GLIP's shapes, own kernels beside OpenBLAS ---- */
bool bench_products(struct bench_report *r, const struct bench_settings *s, const struct bench_limits *limits);

/* ---- bench_model.c ---- */
/* A pass in each precision; time to load; a pass by stage; what kept prompts and features save; memory; over numbers of
 * threads, image sizes and numbers of classes. */
bool bench_compute(struct bench_report *r, const struct bench_settings *settings);
bool bench_load(struct bench_report *r, const struct bench_settings *settings);
bool bench_stages(struct bench_report *r, const struct bench_settings *settings, const struct bench_limits *limits);
bool bench_reuse(struct bench_report *r, const struct bench_settings *settings);
bool bench_memory(struct bench_report *r, const struct bench_settings *settings);
bool bench_threads(struct bench_report *r, const struct bench_settings *settings);
bool bench_sizes(struct bench_report *r, const struct bench_settings *settings);
bool bench_classes(struct bench_report *r, const struct bench_settings *settings);

#endif
