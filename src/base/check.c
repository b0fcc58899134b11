/* check.c - the end of a process that can no longer trust itself. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	char *text;
	size_t size;
} last_words;

void crew__panic_into(char *text, size_t size)
{
	last_words.text = text;
	last_words.size = size;
}

void crew__panic(const char *file, int line, const char *kind, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "crew: panic: %s: %s (%s:%d)\n", kind, what, file, line);
	if (n > 0) {
		size_t length = crew__min((size_t)n, sizeof(text) - 1);
		ssize_t ignored = write(STDERR_FILENO, text, length);
		(void)ignored;
		if (last_words.text)
			snprintf(last_words.text, last_words.size, "%.*s", (int)length - 1, text);
	}
	abort();
}
