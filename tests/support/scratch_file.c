#include "support/scratch_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <unistd.h>

#include <cmocka.h>

void scratch_file_new(struct scratch_file *file)
{
	const char *folder = getenv("TMPDIR");
	int fd;

	snprintf(file->path, sizeof(file->path), "%s/glip-test-XXXXXX",
	         folder != NULL && strlen(folder) < 80 ? folder : "/tmp");
	fd = mkstemp(file->path);
	assert_true(fd >= 0);
	close(fd);
	unlink(file->path);
}

void scratch_file_write(const struct scratch_file *file, const void *data, size_t size)
{
	FILE *f = fopen(file->path, "wb");

	assert_non_null(f);
	if (size > 0)
		assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

void scratch_file_remove(const struct scratch_file *file)
{
	unlink(file->path);
}

int scratch_file_leftovers(const struct scratch_file *file)
{
	const char *slash = strrchr(file->path, '/');
	char folder[128];
	struct dirent *entry;
	DIR *dir;
	int count = 0;

	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - file->path), file->path);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += strncmp(entry->d_name, slash + 1, strlen(slash + 1)) == 0 && strcmp(entry->d_name, slash + 1) != 0;
	closedir(dir);
	return count;
}

static void append_number(struct buf *b, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i));
		assert_true(glip__buf_append(b, &byte, 1));
	}
}

static void append_word(struct buf *b, const char *word, size_t length)
{
	const char *argument = word + 2;
	uint64_t n;

	if (word[0] == '\'') {
		assert_true(glip__buf_append(b, word + 1, length - 1));
		return;
	}
	assert_true(length >= 2 && word[1] == ':');
	n = strtoull(argument, NULL, 0);
	switch (word[0]) {
	case 's':
		append_number(b, length - 2, 8);
		assert_true(length == 2 || glip__buf_append(b, argument, length - 2));
		break;
	case 'x':
		for (size_t i = 2; i + 1 < length; i += 2) {
			char digits[3] = {word[i], word[i + 1], '\0'};
			append_number(b, strtoull(digits, NULL, 16), 1);
		}
		break;
	case 'a':
		while (b->length % n != 0)
			append_number(b, 0, 1);
		break;
	case 'z':
		for (uint64_t i = 0; i < n; i++)
			append_number(b, 0, 1);
		break;
	default:
		assert_true(word[0] >= '1' && word[0] <= '8');
		append_number(b, n, (size_t)(word[0] - '0'));
		break;
	}
}

void bytes_append(struct buf *b, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, " ");
		if (length > 0)
			append_word(b, text, length);
		text += length + (text[length] == ' ');
	}
}
