/* Registers that a process has to ask for, and signal stacks without room for them. */
#define _DEFAULT_SOURCE /* sigaltstack */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>

#include "glip.h"

/* Room for all registers but the matrix unit's, which are 8 KiB. */
enum { SMALL_STACK = 8192 };

/* In this order: what a process has been given it keeps. */
static void test_refused(void **state)
{
	static char memory[SMALL_STACK];
	const stack_t small = {.ss_sp = memory, .ss_size = sizeof memory}, none = {.ss_flags = SS_DISABLE};
	stack_t before;
	(void)state;
	if (sigaltstack(&small, &before) != 0)
		skip();
	const uint32_t without = glip_cpu_detect();
	assert_int_equal(without & GLIP_CPU_AMX_INT8, 0);
	assert_int_equal(sigaltstack(&none, NULL), 0);
	const uint32_t all = glip_cpu_detect();
	assert_int_equal(all & ~(uint32_t)GLIP_CPU_AMX_INT8, without);
	if ((all & GLIP_CPU_AMX_INT8) != 0)
		assert_int_not_equal(sigaltstack(&small, NULL), 0);
	assert_int_equal(sigaltstack(&before, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
