/* The images a command works on: files, folders, and paths read from standard input. */
#ifndef GLIP_TOOLS_INPUTS_H
#define GLIP_TOOLS_INPUTS_H

#include <stdbool.h>
#include <stddef.h>

struct input_list {
	char **paths;
	size_t count, room;
};

/* Expands the operands in order: a folder gives the images in it by name (.jpg .jpeg .png .bmp .pnm .ppm .pgm, any
 * case; not the folders below), "-" the paths on standard input, one a line; anything else is itself. False after a
 * message. */
bool inputs_expand(struct input_list *list, const char *const *operands, size_t count);
void inputs_free(struct input_list *list);

/* The whole of a text file, or of standard input for "-", without a byte order mark; NULL after a message. The caller
 * frees it. */
char *read_text_file(const char *path);

/* Whether two names are of one file: writing to the one would destroy the other. False where either is missing. */
bool same_file(const char *a, const char *b);

/* The last part of a path. */
const char *base_name(const char *path);

#endif
