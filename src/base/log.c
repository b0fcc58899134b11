/* log.c - lines of the log. Not here: which descriptor that is, and when it is opened anew. */
#include "base/log.h"

#include "base/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_MAX = 4096
}; /* what a pipe takes whole or not at all */

static struct {
	int fd;
	crew_level level;
	uint32_t lost; /* lines that were not taken since one last was */
	bool torn;     /* the last one was taken in part: it lacks its end of line */
	char tag[64];
} sink = { .fd = STDERR_FILENO, .level = CREW_INFO, .tag = "crew" };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void crew__log_open(int fd, crew_level level, const char *tag)
{
	sink.fd = fd;
	sink.level = level;
	sink.torn = false;
	snprintf(sink.tag, sizeof(sink.tag), "%s", tag);
}

/* Control bytes of a peer must not forge lines or colour a terminal: those of ASCII, and U+0080 to
 * U+009F, which terminals obey as well. */
static void make_printable(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];
		unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;
		if (byte < 0x20 || byte == 0x7f) {
			text[i] = ' ';
		} else if (byte == 0xc2 && next >= 0x80 && next <= 0x9f) {
			text[i] = ' ';
			text[++i] = ' ';
		}
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

/* Asked first, because a pipe or terminal that nobody reads would hold up the whole process;
 * whether it may be made non-blocking is not ours to say, others share it. */
static bool is_ready(void)
{
	struct pollfd sink_poll = { .fd = sink.fd, .events = POLLOUT };
	return poll(&sink_poll, 1, 0) == 1 && (sink_poll.revents & POLLOUT);
}

static bool emit(const char *line, size_t length)
{
	ssize_t written = is_ready() ? write(sink.fd, line, length) : -1;
	if (written > 0)
		sink.torn = (size_t)written < length;
	return written == (ssize_t)length;
}

static bool tell_lost(void)
{
	char line[256];
	size_t n = 0;
	if (sink.torn)
		line[n++] = '\n';
	n += write_prefix(line + n, sizeof(line) - n, CREW_WARN);
	int more = snprintf(line + n, sizeof(line) - n,
		"lines lost before this one: %u (the log did not take them)\n", sink.lost);
	if (!emit(line, n + crew__min((size_t)(more > 0 ? more : 0), sizeof(line) - n - 1)))
		return false;
	sink.lost = 0;
	return true;
}

void crew__log_v(crew_level level, const char *format, va_list arguments)
{
	if (level < sink.level || (unsigned)level >= crew__lengthof(level_names))
		return;
	int callers_errno = errno; /* a caller may log first and then return -errno */
	char line[LINE_MAX];
	size_t n = write_prefix(line, sizeof(line) - 1, level);
	int more = vsnprintf(line + n, sizeof(line) - 1 - n, format, arguments);
	size_t end = n + crew__min((size_t)(more > 0 ? more : 0), sizeof(line) - 2 - n);
	make_printable(line + n, end - n);
	line[end] = '\n';
	if ((sink.lost > 0 && !tell_lost()) || !emit(line, end + 1))
		sink.lost++; /* a full disk must not stop a server */
	errno = callers_errno;
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

const char *crew__log_left_out(uint32_t count, char text[CREW__LEFT_OUT_MAX])
{
	text[0] = '\0';
	if (count > 0)
		snprintf(text, CREW__LEFT_OUT_MAX, " (%u such lines left out)", count);
	return text;
}
