/* preamble.c - what all kinds of preamble say in the same way. */
#include "base/preamble.h"

#include <stdarg.h>
#include <stdio.h>

int crew__preamble_fail(struct crew__preamble_talk *talk, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(talk->why, sizeof(talk->why), format, arguments);
	va_end(arguments);
	return error;
}
