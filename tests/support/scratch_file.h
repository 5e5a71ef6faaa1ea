/* Files that live for one test, and bytes written down as text. */
#ifndef TESTS_SUPPORT_SCRATCH_FILE_H
#define TESTS_SUPPORT_SCRATCH_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

/* A path of its own below the system's folder for temporary files; the file does not exist yet. */
struct scratch_file {
	char path[128];
};

/* Both fail the test where the system refuses. */
void scratch_file_new(struct scratch_file *file);
void scratch_file_write(const struct scratch_file *file, const void *data, size_t size);
void scratch_file_remove(const struct scratch_file *file);
/* Files in the scratch file's folder whose name begins with its name, itself not counted: what a writer left behind. */
int scratch_file_leftovers(const struct scratch_file *file);

/* Appends what the words of `text` stand for:
 *     1:N 2:N 4:N 8:N   a number in that many bytes, little-endian (N as strtoull reads it)
 *     'TEXT             the text itself
 *     s:TEXT            its length in 8 bytes, then the text
 *     x:HEX             bytes
 *     z:N               N zero bytes
 *     a:N               zeros up to a multiple of N
 * A word that is none of these fails the test. */
void bytes_append(struct buf *b, const char *text);

#endif
