/* What the library says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "glip.h"

/* Each instruction set that has kernels has its name in the line. */
static void test_kernels(void **state)
{
	(void)state;
	char info[1024];
	glip_build_info(info, sizeof info);
	char *line = strstr(info, "\nkernels: ");
	assert_non_null(line);
	line += strlen("\nkernels:");
	*strchr(line, '\n') = 0;
	int words = 0, sets = 0;
	for (const char *c = line; (c = strchr(c, ' ')) != NULL; c++)
		words++;
	for (uint32_t flags = glip_cpu_detect(); flags != 0; flags &= flags - 1)
		sets++;
	assert_int_equal(words, sets);
}

static void test_cut(void **state)
{
	(void)state;
	char info[16];
	memset(info, 'x', sizeof info);
	glip_build_info(info, 8);
	assert_string_equal(info, "libglip");
	assert_int_equal(info[8], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels), cmocka_unit_test(test_cut)};
	return cmocka_run_group_tests_name("build info", tests, NULL, NULL);
}
