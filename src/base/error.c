#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message cut by the buffer must not end in the middle of a code point. */
static void trim_partial_code_point(char *text, size_t length)
{
	size_t start = length;
	while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start == 0)
		return;
	unsigned char lead = (unsigned char)text[start - 1];
	size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
	if (length - (start - 1) < need)
		text[start - 1] = '\0';
}

enum glip_status glip__fail(struct glip_error *err, enum glip_status code, const char *format, ...)
{
	if (err == NULL)
		return code;
	char text[sizeof err->message]; /* an argument may be the old message */
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n < 0)
		text[0] = '\0';
	else if ((size_t)n >= sizeof text)
		trim_partial_code_point(text, sizeof text - 1);
	err->code = code;
	memcpy(err->message, text, sizeof text);
	return code;
}

enum glip_status glip__fail_nomem(struct glip_error *err, const char *what, size_t bytes)
{
	return glip__fail(err, GLIP_ERR_NOMEM, "out of memory for %s (%zu bytes)", what, bytes);
}

const char *glip_status_str(enum glip_status status)
{
	switch (status) {
	case GLIP_OK: return "ok";
	case GLIP_ERR_ARGUMENT: return "invalid argument";
	case GLIP_ERR_NOMEM: return "out of memory";
	case GLIP_ERR_IO: return "file error";
	case GLIP_ERR_FORMAT: return "damaged or foreign file";
	case GLIP_ERR_UNSUPPORTED: return "not supported";
	case GLIP_ERR_MODEL: return "incomplete or contradictory model";
	case GLIP_ERR_IMAGE: return "unreadable image";
	case GLIP_ERR_TEXT: return "invalid text";
	case GLIP_ERR_LIMIT: return "limit exceeded";
	case GLIP_ERR_CANCELLED: return "cancelled";
	case GLIP_ERR_THREAD: return "cannot start a thread";
	}
	return "unknown status";
}
