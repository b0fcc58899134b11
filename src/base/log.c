#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX = 4096 };

static struct {
	int fd;
	crew_level level;
	char tag[64];
} sink = { .fd = STDERR_FILENO, .level = CREW_INFO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void crew__log_open(int fd, crew_level level, const char *tag)
{
	sink.fd = fd;
	sink.level = level;
	snprintf(sink.tag, sizeof(sink.tag), "%s", tag);
}

/* Control bytes of a peer must not forge lines or colour a terminal. */
static void make_printable(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];
		if (byte < 0x20 || byte == 0x7f)
			text[i] = ' ';
	}
}

static size_t write_prefix(char *line, size_t size, crew_level level)
{
	struct timespec now;
	struct tm calendar;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &calendar);
	size_t n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &calendar);
	int more = snprintf(line + n, size - n, ".%03ldZ %-5s %s: ", now.tv_nsec / 1000000,
		level_names[level], sink.tag);
	return n + crew__min((size_t)(more > 0 ? more : 0), size - n - 1);
}

void crew__log_v(crew_level level, const char *format, va_list arguments)
{
	if (level < sink.level || (unsigned)level >= crew__lengthof(level_names))
		return;
	char line[LINE_MAX];
	size_t n = write_prefix(line, sizeof(line) - 1, level);
	int more = vsnprintf(line + n, sizeof(line) - 1 - n, format, arguments);
	size_t end = n + crew__min((size_t)(more > 0 ? more : 0), sizeof(line) - 2 - n);
	make_printable(line + n, end - n);
	line[end] = '\n';
	ssize_t written = write(sink.fd, line, end + 1);
	(void)written; /* a full disk must not stop a server; there is nobody left to tell */
}

void crew__log(crew_level level, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	crew__log_v(level, format, arguments);
	va_end(arguments);
}

bool crew__log_allowed(struct crew__log_rate *rate, uint32_t per_second, uint32_t *ret_left_out)
{
	uint64_t second = crew__clock_ns() / CREW__NS_PER_S;
	if (second != rate->second) {
		rate->second = second;
		rate->lines = 0;
	}
	if (rate->lines >= per_second) {
		rate->left_out++;
		return false;
	}
	rate->lines++;
	*ret_left_out = rate->left_out;
	rate->left_out = 0;
	return true;
}
