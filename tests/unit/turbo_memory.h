/* The tests of turbo_memory.c as cmocka runs them; NULL where stb_image decodes JPEG. */
#ifndef GLIP_TESTS_TURBO_MEMORY_H
#define GLIP_TESTS_TURBO_MEMORY_H

int turbo_memory_tests(void) __attribute__((weak));

#endif
