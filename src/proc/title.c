/* title.c - overwriting the argument area.
 *
 * The kernel shows the bytes between the first argument and the end of the last; a program that
 * writes there renames itself. What the program may have got from getenv() stays untouched: beyond
 * the arguments only the string that follows them is used, and only when it is ours. */
#include "proc/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum {
	NAME_SIZE = 16
}; /* of a thread, with the NUL */

static struct {
	char *area; /* argv[0] */
	size_t size;
} title;

/* The end of the strings that follow each other without a gap, beginning at `end`. */
static char *extend(char *end, char *const *strings)
{
	for (; *strings && *strings == end; strings++)
		end += strlen(*strings) + 1;
	return end;
}

void crew__title_init(int argc, char **argv, char *room)
{
	char *const further[] = { room, NULL };
	if (title.area || argc < 1 || !argv[0])
		return;
	title.area = argv[0];
	title.size = (size_t)(extend(extend(argv[0], argv), further) - argv[0]);
}

void crew__title_set(const char *format, ...)
{
	char text[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	char name[NAME_SIZE]; /* for `ps -o comm`, which shows no more */
	snprintf(name, sizeof(name), "%.*s", NAME_SIZE - 1, text);
	prctl(PR_SET_NAME, name);
	if (title.size == 0)
		return;
	memset(title.area, 0, title.size);
	memcpy(title.area, text, crew__min(strlen(text), title.size - 1));
}
