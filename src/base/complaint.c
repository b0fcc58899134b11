#include "base/complaint.h"

#include <stdarg.h>
#include <stdio.h>

int crew__complain(const struct crew__complaint *complaint, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(complaint->text, complaint->size, format, arguments);
	va_end(arguments);
	for (size_t i = 0; i < complaint->size && complaint->text[i]; i++)
		if ((unsigned char)complaint->text[i] < ' ' || complaint->text[i] == 0x7f)
			complaint->text[i] = '?';
	return error;
}
