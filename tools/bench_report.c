#include "bench_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "glip.h"
#include "terminal.h"

void bench_report_begin(struct bench_report *r, bool as_json, const char *machine, int threads, int repeat)
{
	*r = (struct bench_report){.as_json = as_json};
	if (as_json) {
		json_format(&r->json, "{\"version\":\"%s\",\"machine\":", glip_version());
		json_string(&r->json, machine);
		json_format(&r->json, ",\"threads\":%d,\"repeat\":%d,\"tables\":[", threads, repeat);
	} else {
		printf("glip %s on %s, %d thread%s; median, least and most of %d run%s after a warm-up\n", glip_version(),
		       machine, threads, threads == 1 ? "" : "s", repeat, repeat == 1 ? "" : "s");
	}
}

void bench_table(struct bench_report *r, const char *part, const char *title, const struct bench_column *columns)
{
	r->columns = columns;
	r->column_count = 0;
	while (columns[r->column_count].key != NULL)
		r->column_count++;
	if (r->as_json) {
		json_raw(&r->json, r->tables > 0 ? "]},{\"part\":" : "{\"part\":");
		json_string(&r->json, part);
		json_raw(&r->json, ",\"title\":");
		json_string(&r->json, title);
		json_raw(&r->json, ",\"rows\":[");
	} else {
		printf("\n%-44s", title);
		for (int i = 0; i < r->column_count; i++)
			printf(" %10s", columns[i].title);
		printf("\n");
	}
	r->tables++;
	r->rows = 0;
}

void bench_row(struct bench_report *r, const char *name, const double *values)
{
	if (r->as_json) {
		json_raw(&r->json, r->rows > 0 ? ",{\"name\":" : "{\"name\":");
		json_string(&r->json, name);
		for (int i = 0; i < r->column_count; i++) {
			if (isfinite(values[i]))
				json_format(&r->json, ",\"%s\":%.6g", r->columns[i].key, values[i]);
		}
		json_raw(&r->json, "}");
	} else {
		printf("  %-42s", name);
		for (int i = 0; i < r->column_count; i++) {
			if (isfinite(values[i]))
				printf(" %10.*f", r->columns[i].decimals, values[i]);
			else
				printf(" %10s", "");
		}
		printf("\n");
		fflush(stdout);
	}
	r->rows++;
}

bool bench_report_end(struct bench_report *r)
{
	bool good = !r->json.failed;
	if (r->as_json) {
		json_raw(&r->json, r->tables > 0 ? "]}]}" : "]}");
		good = !r->json.failed;
		if (good)
			puts(r->json.text);
		else
			say("out of memory");
	}
	json_free(&r->json);
	return good;
}

void bench_sample(struct bench_samples *s, double seconds)
{
	if (s->count < BENCH_MAX_SAMPLES)
		s->seconds[s->count++] = seconds;
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

double bench_median(struct bench_samples *s)
{
	if (s->count == 0)
		return (double)NAN;
	qsort(s->seconds, (size_t)s->count, sizeof *s->seconds, ascending);
	int middle = s->count / 2;
	return s->count % 2 != 0 ? s->seconds[middle] : 0.5 * (s->seconds[middle - 1] + s->seconds[middle]);
}

double bench_least(const struct bench_samples *s)
{
	double least = s->count > 0 ? s->seconds[0] : (double)NAN;
	for (int i = 1; i < s->count; i++)
		least = s->seconds[i] < least ? s->seconds[i] : least;
	return least;
}

double bench_most(const struct bench_samples *s)
{
	double most = s->count > 0 ? s->seconds[0] : (double)NAN;
	for (int i = 1; i < s->count; i++)
		most = s->seconds[i] > most ? s->seconds[i] : most;
	return most;
}
