#include "inputs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "terminal.h"

static bool add(struct input_list *list, const char *folder, const char *name)
{
	if (list->count == list->room) {
		size_t room = list->room != 0 ? list->room * 2 : 64;
		char **paths = realloc(list->paths, room * sizeof *paths);
		if (paths == NULL) {
			say("out of memory for the list of images");
			return false;
		}
		list->paths = paths;
		list->room = room;
	}
	size_t size = strlen(folder) + strlen(name) + 2;
	char *path = malloc(size);
	if (path == NULL) {
		say("out of memory for the list of images");
		return false;
	}
	bool slash = folder[0] != '\0' && folder[strlen(folder) - 1] != '/';
	snprintf(path, size, "%s%s%s", folder, slash ? "/" : "", name);
	list->paths[list->count++] = path;
	return true;
}

static bool is_image_name(const char *name)
{
	static const char *const endings[] = {".jpg", ".jpeg", ".png", ".bmp", ".pnm", ".ppm", ".pgm"};
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof *endings; i++) {
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_folder(struct input_list *list, const char *path)
{
	DIR *dir = opendir(path);
	if (dir == NULL) {
		say("cannot open %s: %s", path, strerror(errno));
		return false;
	}
	size_t first = list->count;
	bool ok = true;
	for (struct dirent *e; ok && (e = readdir(dir)) != NULL;) {
		if (is_image_name(e->d_name) && e->d_name[0] != '.')
			ok = add(list, path, e->d_name);
	}
	closedir(dir);
	if (ok && list->count == first)
		say("%s: no images in this folder (.jpg .jpeg .png .bmp .pnm .ppm .pgm)", path);
	if (list->count > first)
		qsort(list->paths + first, list->count - first, sizeof *list->paths, by_name);
	return ok;
}

static bool add_from_stdin(struct input_list *list)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	bool ok = true;
	while (ok && (n = getline(&line, &room, stdin)) >= 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (n > 0)
			ok = add(list, "", line);
	}
	free(line);
	return ok;
}

bool inputs_expand(struct input_list *list, const char *const *operands, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct stat st;
		bool ok;
		if (strcmp(operands[i], "-") == 0)
			ok = add_from_stdin(list);
		else if (stat(operands[i], &st) == 0 && S_ISDIR(st.st_mode))
			ok = add_folder(list, operands[i]);
		else
			ok = add(list, "", operands[i]);
		if (!ok)
			return false;
	}
	return true;
}

void inputs_free(struct input_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	free(list->paths);
	*list = (struct input_list){0};
}

char *read_text_file(const char *path)
{
	bool from_stdin = strcmp(path, "-") == 0;
	FILE *f = from_stdin ? stdin : fopen(path, "rb");
	if (f == NULL) {
		say("cannot open %s: %s", path, strerror(errno));
		return NULL;
	}
	size_t length = 0, room = 4096;
	char *text = malloc(room);
	while (text != NULL) {
		length += fread(text + length, 1, room - length - 1, f);
		if (length < room - 1)
			break;
		char *grown = realloc(text, room *= 2);
		if (grown == NULL)
			free(text);
		text = grown;
	}
	bool bad = ferror(f) != 0;
	int reason = errno;
	if (!from_stdin)
		fclose(f);
	if (text == NULL || bad) {
		say("cannot read %s: %s", path, bad ? strerror(reason) : "out of memory");
		free(text);
		return NULL;
	}
	text[length] = '\0';
	if (strlen(text) != length) {
		say("%s: not a text file (it holds a zero byte)", path);
		free(text);
		return NULL;
	}
	if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
		memmove(text, text + 3, length - 2);
	return text;
}

bool same_file(const char *a, const char *b)
{
	struct stat x, y;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}
