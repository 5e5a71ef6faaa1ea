/* The parts of `glip bench`. Each prints its tables and returns false after a message. */
#ifndef GLIP_TOOLS_BENCH_H
#define GLIP_TOOLS_BENCH_H

#include "bench_report.h"

struct bench_settings {
	const char *model; /* NULL: none */
	int threads, repeat;
};

/* What the machine can do, measured; 0 where it cannot. In 1e9 operations per second: a multiply-add is two. */
struct bench_limits {
	double f32, bf16, i8;
	double read; /* GB/s */
};

/* ---- bench_limits.c ---- */
bool bench_limits(struct bench_report *r, const struct bench_settings *s, struct bench_limits *out);

/* ---- bench_products.c: matrix products at GLIP's shapes, own kernels beside OpenBLAS ---- */
bool bench_products(struct bench_report *r, const struct bench_settings *s, const struct bench_limits *limits);

/* ---- bench_model.c ---- */
/* Time to load, a pass by stage, memory, what cached features and prompts save. */
bool bench_model(struct bench_report *r, const struct bench_settings *s, const struct bench_limits *limits);
/* Over numbers of threads, image sizes and numbers of classes. */
bool bench_scaling(struct bench_report *r, const struct bench_settings *s);

#endif
