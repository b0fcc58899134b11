/* title.c - overwriting the argument area.
 *
 * The kernel shows the bytes between the first argument and the end of the last; a program that
 * writes there renames itself. The area reaches on into the environment's strings where those
 * follow without a gap, so they are copied first. Only memory that main() was given is ever
 * written. */
#include "proc/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	NAME_SIZE = 16
}; /* of a thread, with the NUL */

static struct {
	char *area; /* argv[0] */
	size_t size;
	char **copied; /* the environment, strings included, in one allocation; never freed, as
			* exit handlers may still read it */
} title;

/* The end of the strings that follow each other without a gap, beginning at `end`. */
static char *extend(char *end, char *const *strings)
{
	for (; *strings && *strings == end; strings++)
		end += strlen(*strings) + 1;
	return end;
}

static char **copy_strings(char *const *strings)
{
	size_t count = 0, bytes = 0;
	for (; strings[count]; count++)
		bytes += strlen(strings[count]) + 1;
	size_t table = (count + 1) * sizeof(char *);
	char **copies = malloc(table + bytes);
	if (!copies)
		return NULL;
	char *at = (char *)copies + table;
	for (size_t i = 0; i < count; i++) {
		copies[i] = at;
		at = stpcpy(at, strings[i]) + 1;
	}
	copies[count] = NULL;
	return copies;
}

void crew__title_init(int argc, char **argv)
{
	if (title.area || argc < 1 || !argv[0])
		return;
	char **copied = copy_strings(environ);
	if (!copied)
		return;
	title.area = argv[0];
	title.size = (size_t)(extend(extend(argv[0], argv), environ) - argv[0]);
	title.copied = copied;
	environ = copied;
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
