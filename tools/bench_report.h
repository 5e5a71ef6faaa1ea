/* What `glip bench` measured: tables on stdout, or one JSON object of the same numbers. */
#ifndef GLIP_TOOLS_BENCH_REPORT_H
#define GLIP_TOOLS_BENCH_REPORT_H

#include "json_out.h"

struct bench_column {
	const char *key;   /* in JSON: "median_ms" */
	const char *title; /* at most 10 characters wide */
	int decimals;
};

struct bench_report {
	bool as_json;
	struct json_out json;
	const struct bench_column *columns;
	int column_count, tables, rows;
};

void bench_report_begin(struct bench_report *r, bool as_json, const char *machine, int threads, int repeat);
/* Rows that follow belong to this table; columns end with an entry without a key and must live as long. */
void bench_table(struct bench_report *r, const char *part, const char *title, const struct bench_column *columns);
/* One value per column; not-a-number where there is none. */
void bench_row(struct bench_report *r, const char *name, const double *values);
/* Prints the JSON. False, after a message, when memory ran out. */
bool bench_report_end(struct bench_report *r);

/* Seconds of repeated runs. */
enum { BENCH_MAX_SAMPLES = 100 };
struct bench_samples {
	double seconds[BENCH_MAX_SAMPLES];
	int count;
};
void bench_sample(struct bench_samples *s, double seconds);
/* Sorts first. */
double bench_median(struct bench_samples *s);
double bench_least(const struct bench_samples *s);
double bench_most(const struct bench_samples *s);

#endif
