#include "glip/observe.h"

#include <stdio.h>
#include <string.h>

enum { OBSERVED_NAME = 64 };

/* Nobody listens, or what would be told was left unfinished. */
static bool is_silent(const struct glip_session *s)
{
	return s->options.observer == NULL || s->cancelled;
}

enum glip_status glip__observe_map(struct glip_session *s, const struct feature_map *map, const char *name_format,
                                   int number)
{
	if (is_silent(s))
		return GLIP_OK;
	size_t channels = (size_t)map->channels, positions = (size_t)map->height * (size_t)map->width;
	struct arena_mark mark = glip__arena_mark(&s->arena);
	float *planes = glip__ops_floats(&s->ops, channels * positions);
	if (planes == NULL)
		return GLIP_ERR_NOMEM;
	for (size_t c = 0; c < channels; c++) {
		for (size_t p = 0; p < positions; p++)
			planes[c * positions + p] = map->data[p * channels + c];
	}
	char name[OBSERVED_NAME];
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#endif
	snprintf(name, sizeof name, name_format, number);
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
	int64_t shape[4] = {1, map->channels, map->height, map->width};
	s->options.observer(s->options.observer_user, name, planes, shape, 4);
	glip__arena_release(&s->arena, mark);
	return GLIP_OK;
}

enum glip_status glip__observe_levels(struct glip_session *s, const struct feature_map levels[LEVELS],
                                      const char *name_format)
{
	for (int l = 0; l < LEVELS; l++)
		TRY(glip__observe_map(s, &levels[l], name_format, l + 3));
	return GLIP_OK;
}

/* Rows of `from` values each, padded with zeros to rows of `to`. */
static enum glip_status observe_padded(struct glip_session *s, const float *rows, size_t count, size_t from, size_t to,
                                       const int64_t shape[3], const char *name)
{
	struct arena_mark mark = glip__arena_mark(&s->arena);
	float *padded = glip__ops_floats(&s->ops, count * to);
	if (padded == NULL)
		return GLIP_ERR_NOMEM;
	memset(padded, 0, count * to * sizeof *padded);
	for (size_t i = 0; i < count; i++)
		memcpy(padded + i * to, rows + i * from, from * sizeof *padded);
	s->options.observer(s->options.observer_user, name, padded, shape, 3);
	glip__arena_release(&s->arena, mark);
	return GLIP_OK;
}

enum glip_status glip__observe_text(struct glip_session *s, const float *text, size_t tokens, int channels,
                                    const char *name)
{
	if (is_silent(s))
		return GLIP_OK;
	int max_tokens = s->model->max_tokens;
	int64_t shape[3] = {1, max_tokens, channels};
	return observe_padded(s, text, 1, tokens * (size_t)channels, (size_t)max_tokens * (size_t)channels, shape, name);
}

enum glip_status glip__observe_logits(struct glip_session *s, const float *logits, int64_t positions, size_t tokens,
                                      const char *name)
{
	if (is_silent(s))
		return GLIP_OK;
	int max_tokens = s->model->max_tokens;
	int64_t shape[3] = {1, positions, max_tokens};
	return observe_padded(s, logits, (size_t)positions, tokens, (size_t)max_tokens, shape, name);
}
