#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void glip__log(const struct logger *log, enum glip_log_level level, const char *format, ...)
{
	if (log == NULL || log->fn == NULL)
		return;
	char text[1024];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n >= 0)
		log->fn(log->user, level, text);
}
