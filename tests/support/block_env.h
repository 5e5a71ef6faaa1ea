/* What a test of a single block of the model needs: an opened weights file, a binder and the operators. */
#ifndef TESTS_SUPPORT_BLOCK_ENV_H
#define TESTS_SUPPORT_BLOCK_ENV_H

#include "base/arena.h"
#include "base/pool.h"
#include "ops/ops.h"
#include "support/json.h"
#include "support/npy.h"
#include "support/rule_weights.h"
#include "tensor/weights.h"

struct block_env {
	struct weights *weights;
	struct binder binder;
	struct arena arena;
	struct pool *pool;
	struct ops ops;
	struct glip_error err;
};

/* The instruction sets that GLIP_TEST_MASK (enum glip_cpu_flags, decimal) leaves of this machine's; 0: not set. */
uint32_t test_cpu_mask(void);

/* Fails the test with the error's message unless the status is GLIP_OK. */
void block_env_check(enum glip_status status, const struct glip_error *err);

/* Writes the rule's weights to a temporary file and opens it, with `threads` threads and all kernels of this machine.
 * Anything that goes wrong fails the test. */
void block_env_open(struct block_env *e, const struct rule_config *config, uint64_t seed, unsigned parts, int threads);
/* Fails the test with the binder's problems, if there are any. */
void block_env_check_bound(struct block_env *e);
void block_env_close(struct block_env *e);

/* One forward pass of the reference data beside the repository. */
struct reference_case {
	char folder[256];
	struct json *json;
	const struct rule_config *config;
	uint64_t seed;
	int height, width; /* padded */
	bool full;         /* whole activations, not samples */
};

/* False where the reference data are not there. */
bool reference_case_open(struct reference_case *c, const char *name);
void reference_case_close(struct reference_case *c);
/* The activation of this name; fails the test where it cannot be read. */
struct npy reference_tensor(const struct reference_case *c, const char *name);
/* The network's input [height, width, 3], free() it. */
float *reference_input(const struct reference_case *c);

/* A test program of the reference's cases, up to NULL: run() compares a block's results with one, relative errors up to
 * the tolerance. Those of the official shapes ("glip-...") have weights of hundreds of megabytes and run where
 * GLIP_TEST_FULL is set. Returns how many failed. */
int reference_cases_run(const char *const names[], void (*run)(const char *name, double tolerance));

#endif
