#include "support/compare.h"

#include <math.h>
#include <stdio.h>

/* How the flat index of the reference leads to an element of ours; -1: not compared. */
struct layout {
	int64_t channels, positions; /* a map: [channels, positions] to [positions, channels]; channels 0: as it is */
	int64_t valid, total;        /* elements of ours, elements of the whole reference */
};

static int64_t our_index(const struct layout *l, int64_t flat)
{
	if (l->channels == 0)
		return flat < l->valid ? flat : -1;
	return flat % l->positions * l->channels + flat / l->positions;
}

static double compare(const char *name, const struct npy *reference, const float *data, const struct layout *l,
                      double tolerance)
{
	double difference = 0.0, norm = 0.0, largest = 0.0;
	int64_t first_bad = -1, count = reference->count;

	if (count != l->total && (count != 4096 || l->total < 4096)) {
		fprintf(stderr, "%s: %lld elements, the reference has %lld\n", name, (long long)l->total, (long long)count);
		return HUGE_VAL;
	}
	for (int64_t i = 0; i < count; i++) {
		int64_t flat = count == l->total ? i : i * l->total / count, ours = our_index(l, flat);
		double wanted, d;

		if (ours < 0)
			continue;
		wanted = (double)reference->data[i];
		d = fabs((double)data[ours] - wanted);
		if (!isfinite(d)) {
			fprintf(stderr, "%s: not finite at %lld\n", name, (long long)flat);
			return HUGE_VAL;
		}
		difference += d * d;
		norm += wanted * wanted;
		largest = d > largest ? d : largest;
		if (first_bad < 0 && d > 10.0 * tolerance * (fabs(wanted) + 1.0))
			first_bad = flat;
	}
	double error = sqrt(difference / (norm > 0.0 ? norm : 1.0));

	printf("  %-24s relative error %.2e, largest difference %.2e\n", name, error, largest);
	if (error > tolerance)
		fprintf(stderr, "%s: relative error %.2e exceeds %.0e, first bad element %lld\n", name, error, tolerance,
		        (long long)first_bad);
	return error;
}

double compare_map(const char *name, const struct npy *reference, const float *data, int height, int width,
                   int channels, double tolerance)
{
	struct layout l = {.channels = channels, .positions = (int64_t)height * width};

	l.valid = l.total = l.channels * l.positions;
	if (reference->ndim == 4 && reference->count == l.total &&
	    (reference->shape[1] != channels || reference->shape[2] != height || reference->shape[3] != width)) {
		fprintf(stderr, "%s: %d x %d x %d is not the reference's shape\n", name, channels, height, width);
		return HUGE_VAL;
	}
	return compare(name, reference, data, &l, tolerance);
}

double compare_text(const char *name, const struct npy *reference, int64_t padded, const float *data, int64_t tokens,
                    int hidden, double tolerance)
{
	struct layout l = {.valid = tokens * hidden, .total = padded * hidden};

	return compare(name, reference, data, &l, tolerance);
}
