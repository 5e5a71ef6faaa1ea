#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"
#include "ground.h"
#include "terminal.h"

/* ---- What an earlier run left (--resume) ------------------------------------------------------------------------- */

static int by_image(const void *a, const void *b)
{
	return strcmp(((const struct done_image *)a)->image, ((const struct done_image *)b)->image);
}

/* The value of the "image" member that each of our lines begins with, unescaped in place; NULL for a foreign line. */
static char *line_image(char *line)
{
	static const char START[] = "{\"image\":";
	if (strncmp(line, START, sizeof START - 1) != 0)
		return NULL;
	char *in = line + sizeof START - 1;
	if (*in++ != '"')
		return NULL;
	char *begin = in, *out = in;
	for (; *in != '"'; in++) {
		if (*in == '\0')
			return NULL;
		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		in++;
		if (*in == 'u') {
			char digits[5] = {0};
			strncpy(digits, in + 1, 4);
			if (strlen(digits) != 4)
				return NULL;
			out += glip__utf8_encode((uint32_t)strtoul(digits, NULL, 16), out);
			in += 4;
		} else {
			*out++ = *in == 'n' ? '\n' : *in == 't' ? '\t' : *in;
		}
	}
	*out = '\0';
	return begin;
}

static bool remember(struct output *o, const char *path)
{
	if ((o->done_count & (o->done_count - 1)) == 0) {
		size_t room = o->done_count != 0 ? o->done_count * 2 : 1;
		struct done_image *done = realloc(o->done, room * sizeof *done);
		if (done == NULL)
			return false;
		o->done = done;
	}
	char *copy = strdup(path);
	if (copy == NULL)
		return false;
	o->done[o->done_count++] = (struct done_image){copy, false};
	return true;
}

/* What every line of this prompt holds between the image's size and its detections: an earlier line without it tells
 * of other words, and its labels are not ours. */
static bool make_prompt_text(struct output *o)
{
	struct json_out *j = &o->prompt_text;
	json_raw(j, ",\"caption\":");
	json_string(j, o->caption.text);
	json_raw(j, ",\"labels\":[");
	for (size_t i = 0; i < glip_prompt_label_count(o->prompt); i++) {
		const struct glip_label *l = glip_prompt_label(o->prompt, i);
		int shift = o->caption.shift[glip_prompt_label_chunk(o->prompt, i)];
		json_format(j, "%s{\"id\":%zu,\"text\":", i > 0 ? "," : "", i + 1);
		json_string(j, l->text);
		json_raw(j, ",\"spans\":[");
		for (size_t s = 0; s < l->span_count; s++)
			json_format(j, "%s[%d,%d]", s > 0 ? "," : "", l->spans[s].begin + shift, l->spans[s].end + shift);
		json_raw(j, (l->flags & GLIP_LABEL_NEGATIVE) != 0 ? "],\"negative\":true}" : "]}");
	}
	json_raw(j, "],\"detections\":[");
	if (j->failed)
		say("out of memory for the labels");
	return !j->failed;
}

/* Copies the complete lines of an earlier output to the new one and remembers their images. A line torn by a crash is
 * dropped, its image is done again. */
static bool take_over(struct output *o, FILE *earlier)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	const char *fault = NULL;
	while (fault == NULL && (n = getline(&line, &room, earlier)) > 0) {
		if (n < 3 || line[n - 1] != '\n' || line[n - 2] != '}')
			continue;
		if (fwrite(line, 1, (size_t)n, o->stream) != (size_t)n) {
			fault = strerror(errno);
			break;
		}
		bool ours = strstr(line, o->prompt_text.text) != NULL;
		const char *image = line_image(line);
		if (image != NULL && !ours)
			fault = "they are of other words; give another --json FILE or leave out --resume";
		else if (image != NULL && !remember(o, image))
			fault = "out of memory";
	}
	free(line);
	if (fault != NULL)
		say("%s: cannot go on from the earlier results: %s", o->settings->json, fault);
	if (o->done_count > 0)
		qsort(o->done, o->done_count, sizeof *o->done, by_image);
	return fault == NULL;
}

bool output_take_done(struct output *o, const char *path)
{
	if (o->done_count == 0)
		return false;
	/* Compared as a line would hold it: a name that is not UTF-8 is written with replacement characters. */
	struct json_out key = {0};
	json_raw(&key, "{\"image\":");
	json_string(&key, path);
	const char *image = key.failed ? NULL : line_image(key.text);
	size_t low = 0, high = o->done_count;
	while (image != NULL && low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(o->done[middle].image, image) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	/* Each line stands for one turn: an image given twice has two. */
	bool found = false;
	for (; image != NULL && !found && low < o->done_count && strcmp(o->done[low].image, image) == 0; low++) {
		found = !o->done[low].taken;
		o->done[low].taken = true;
	}
	json_free(&key);
	return found;
}

/* Lines are collected in FILE.part, so that an earlier FILE stays whole until this run has ended. A pipe or a device is
 * written to as it is. */
static bool open_file(struct output *o, const char *path, bool resume)
{
	struct stat st;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		o->stream = fopen(path, "wb");
		if (o->stream == NULL)
			say("cannot open %s: %s", path, strerror(errno));
		return o->stream != NULL;
	}
	size_t size = strlen(path) + 16;
	char *fresh = malloc(size);
	o->part = malloc(size);
	FILE *earlier = NULL;
	if (fresh == NULL || o->part == NULL) {
		say("out of memory for a file name");
		free(fresh);
		return false;
	}
	snprintf(o->part, size, "%s.part", path);
	snprintf(fresh, size, "%s.resumed", path);
	if (resume) {
		earlier = fopen(o->part, "rb"); /* of a run that was killed: it holds at least what FILE holds */
		if (earlier == NULL)
			earlier = fopen(path, "rb");
	}
	bool ok = true;
	o->stream = fopen(earlier != NULL ? fresh : o->part, "wb");
	if (o->stream == NULL) {
		say("cannot create %s: %s", o->part, strerror(errno));
		ok = false;
	}
	if (earlier != NULL) {
		if (ok)
			ok = take_over(o, earlier) && fflush(o->stream) == 0 && rename(fresh, o->part) == 0;
		fclose(earlier);
		if (!ok && o->stream != NULL) {
			fclose(o->stream);
			o->stream = NULL;
			remove(fresh);
		}
	}
	free(fresh);
	return ok;
}

static void output_free(struct output *o)
{
	for (size_t i = 0; i < o->done_count; i++)
		free(o->done[i].image);
	free(o->done);
	free(o->part);
	json_free(&o->prompt_text);
	json_free(&o->line);
	json_free(&o->categories);
	full_caption_free(&o->caption);
	*o = (struct output){0};
}

/* COCO names its files by their ids, "000000000139.jpg". 0 for any other name. */
static unsigned long long id_in_name(const char *path)
{
	const char *name = base_name(path);
	size_t digits = strspn(name, "0123456789");
	return digits > 0 && digits < 19 && name[digits] == '.' ? strtoull(name, NULL, 10) : 0;
}

static int by_id(const void *a, const void *b)
{
	unsigned long long x = *(const unsigned long long *)a, y = *(const unsigned long long *)b;
	return x < y ? -1 : x > y;
}

/* Whether every image has an id in its name and no two the same: else images are numbered by their turn. */
static bool names_are_ids(const struct input_list *inputs)
{
	unsigned long long *ids = malloc((inputs->count + 1) * sizeof *ids);
	bool yes = ids != NULL;
	for (size_t i = 0; yes && i < inputs->count; i++) {
		ids[i] = id_in_name(inputs->paths[i]);
		yes = ids[i] != 0;
	}
	if (yes)
		qsort(ids, inputs->count, sizeof *ids, by_id);
	for (size_t i = 1; yes && i < inputs->count; i++)
		yes = ids[i] != ids[i - 1];
	free(ids);
	return yes;
}

bool output_open(struct output *o, const struct ground_settings *g, const struct glip_prompt *prompt,
                 const struct input_list *inputs)
{
	*o = (struct output){.settings = g, .prompt = prompt};
	bool ok = full_caption_make(g, prompt, &o->caption) && make_prompt_text(o);
	o->ids_from_names = g->format == FORMAT_COCO && names_are_ids(inputs);
	if (ok && g->json != NULL && strcmp(g->json, "-") == 0)
		o->stream = stdout;
	else if (ok && g->json != NULL)
		ok = open_file(o, g->json, g->resume);
	if (!ok)
		output_free(o);
	else if (g->format == FORMAT_COCO)
		fputc('[', o->stream);
	return ok;
}

/* ---- One image --------------------------------------------------------------------------------------------------- */

static void json_line(struct output *o, const char *path, const struct glip_image *image,
                      const struct glip_result *result)
{
	struct json_out *j = &o->line;
	json_raw(j, "{\"image\":");
	json_string(j, path);
	json_format(j, ",\"width\":%d,\"height\":%d", image->width, image->height);
	json_raw(j, o->prompt_text.text);
	for (size_t i = 0; i < glip_result_count(result); i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		json_format(j, "%s{\"label\":%zu,\"text\":", i > 0 ? "," : "", d->label + 1);
		json_string(j, glip_prompt_label(o->prompt, d->label)->text);
		json_raw(j, ",\"score\":");
		json_float(j, d->score);
		for (int k = 0; k < 4; k++) {
			json_raw(j, k == 0 ? ",\"box\":[" : ",");
			json_float(j, d->box[k]);
		}
		json_raw(j, "]}");
	}
	const struct glip_timing *t = glip_result_timing(result);
	json_format(j,
	            "],\"timing_ms\":{\"preprocess\":%.3f,\"backbone\":%.3f,\"text\":%.3f,\"head\":%.3f,\"boxes\":%.3f,"
	            "\"total\":%.3f}}\n",
	            t->preprocess_ms, t->backbone_ms, t->text_ms, t->head_ms, t->boxes_ms, t->total_ms);
}

static void coco_results(struct output *o, const char *path, size_t index, const struct glip_image *image,
                         const struct glip_result *result)
{
	struct json_out *j = &o->line;
	unsigned long long id = o->ids_from_names ? id_in_name(path) : (unsigned long long)index + 1;
	for (size_t i = 0; i < glip_result_count(result); i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		json_format(j, "%s\n{\"image_id\":%llu,\"category_id\":%zu,\"bbox\":[", o->written++ > 0 ? "," : "", id,
		            d->label + 1);
		float box[4] = {d->box[0], d->box[1], d->box[2] - d->box[0], d->box[3] - d->box[1]};
		for (int k = 0; k < 4; k++) {
			json_raw(j, k > 0 ? "," : "");
			json_float(j, box[k]);
		}
		json_raw(j, "],\"score\":");
		json_float(j, d->score);
		json_raw(j, "}");
	}
	json_format(&o->categories, "%s\n{\"id\":%llu,\"file_name\":", o->categories.length > 0 ? "," : "", id);
	json_string(&o->categories, path);
	json_format(&o->categories, ",\"width\":%d,\"height\":%d}", image->width, image->height);
}

/* What a terminal shows in so many columns: one per code point is near enough for names. */
static int columns(const char *text)
{
	int64_t n = glip__utf8_count(text, strlen(text), NULL);
	return n >= 0 ? (int)n : (int)strlen(text);
}

/* Control characters of a file name or a label must not reach the terminal. */
static void print_clean(const char *text)
{
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text);
}

static void print_table(const struct output *o, const char *path, const struct glip_image *image,
                        const struct glip_result *result)
{
	size_t count = glip_result_count(result);
	int width = 5;
	for (size_t i = 0; i < count; i++) {
		int w = columns(glip_prompt_label(o->prompt, glip_result_detection(result, i)->label)->text);
		width = w > width ? w : width;
	}
	print_clean(path);
	printf("  %d x %d, %zu box%s\n", image->width, image->height, count, count == 1 ? "" : "es");
	if (count > 0)
		printf("  label%*s  score       x1       y1       x2       y2\n", width - 5, "");
	for (size_t i = 0; i < count; i++) {
		const struct glip_detection *d = glip_result_detection(result, i);
		const char *text = glip_prompt_label(o->prompt, d->label)->text;
		printf("  ");
		print_clean(text);
		printf("%*s  %.3f", width - columns(text), "", (double)d->score);
		for (int k = 0; k < 4; k++)
			printf(" %8.1f", (double)d->box[k]);
		putchar('\n');
	}
}

static const char *stream_name(const struct output *o)
{
	return o->stream == stdout ? "to standard output" : o->settings->json;
}

bool output_write(struct output *o, const char *path, size_t index, const struct glip_image *image,
                  const struct glip_result *result)
{
	if (o->stream == NULL) {
		print_table(o, path, image, result);
		if (fflush(stdout) == 0)
			return true;
		say("cannot write to standard output: %s", strerror(errno));
		return false;
	}
	json_clear(&o->line);
	if (o->settings->format == FORMAT_COCO)
		coco_results(o, path, index, image, result);
	else
		json_line(o, path, image, result);
	if (o->line.failed || o->categories.failed) {
		say("out of memory for the results of %s", path);
		return false;
	}
	size_t n = o->line.length;
	if (n != 0 && (fwrite(o->line.text, 1, n, o->stream) != n || fflush(o->stream) != 0)) {
		say("cannot write %s: %s", stream_name(o), strerror(errno));
		o->broken = true;
		return false;
	}
	return true;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

/* What category and image ids mean: a COCO file without annotations. */
static bool write_categories(struct output *o)
{
	const char *path = o->settings->categories;
	if (path == NULL)
		return true;
	struct json_out j = {0};
	json_raw(&j, "{\"images\":[");
	json_raw(&j, o->categories.length > 0 ? o->categories.text : "");
	json_raw(&j, "],\n\"categories\":[");
	for (size_t i = 0; i < glip_prompt_label_count(o->prompt); i++) {
		json_format(&j, "%s\n{\"id\":%zu,\"name\":", i > 0 ? "," : "", i + 1);
		json_string(&j, glip_prompt_label(o->prompt, i)->text);
		json_raw(&j, "}");
	}
	json_raw(&j, "]}\n");
	char *part = malloc(strlen(path) + 8);
	FILE *f = NULL;
	bool ok = !j.failed && part != NULL;
	if (ok) {
		snprintf(part, strlen(path) + 8, "%s.part", path);
		f = fopen(part, "wb");
		ok = f != NULL && fwrite(j.text, 1, j.length, f) == j.length;
	}
	if (f != NULL)
		ok = fclose(f) == 0 && ok;
	ok = ok && rename(part, path) == 0;
	if (!ok)
		say("cannot write %s: %s", path, strerror(errno));
	free(part);
	json_free(&j);
	return ok;
}

/* Ends the stream and moves what was collected to its name. After a failed write or an interruption FILE stays what it
 * was, and the part holds the results so far: what --resume goes on from. */
static bool close_stream(struct output *o, bool complete)
{
	bool ok = !o->broken && fflush(o->stream) == 0;
	if (o->stream == stdout && !ok && !o->broken)
		say("cannot write %s: %s", stream_name(o), strerror(errno));
	if (o->stream == stdout)
		return ok;
	ok = ok && (o->part == NULL || fsync(fileno(o->stream)) == 0);
	int reason = errno;
	if (fclose(o->stream) != 0 && ok) {
		reason = errno;
		ok = false;
	}
	if (ok && complete && o->part != NULL && rename(o->part, o->settings->json) != 0) {
		reason = errno;
		ok = false;
	}
	if (!ok && !o->broken)
		say("cannot write %s: %s", stream_name(o), strerror(reason));
	if (o->part != NULL && !(ok && complete))
		say("the results so far are in %s%s", o->part,
		    o->settings->format == FORMAT_JSONL ? "; --resume goes on from there" : "");
	return ok;
}

bool output_close(struct output *o, bool complete)
{
	bool ok = true;
	if (o->stream != NULL) {
		if (o->settings->format == FORMAT_COCO)
			fputs("]\n", o->stream);
		ok = close_stream(o, complete);
		if (ok && complete && o->settings->format == FORMAT_COCO)
			ok = write_categories(o);
	}
	output_free(o);
	return ok;
}
