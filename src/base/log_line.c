/* log_line.c - the forms of a line. */
#include "base/log_line.h"

#include "base/json_text.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };

const char *crew__log_level_name(crew_level level)
{
	return level_names[level];
}

unsigned crew__log_priority(crew_level level)
{
	static const unsigned priorities[] = { 7, 6, 4, 3 };
	return priorities[level];
}

/* Where the line is being written; what does not fit is left out. */
struct line {
	char *at, *end;
};

__attribute__((format(printf, 2, 3))) static void put(struct line *line, const char *format, ...)
{
	va_list arguments;
	size_t room = (size_t)(line->end - line->at);
	va_start(arguments, format);
	int more = vsnprintf(line->at, room, format, arguments);
	va_end(arguments);
	if (more > 0 && room > 0)
		line->at += crew__min((size_t)more, room - 1);
}

/* Control bytes of a peer must not forge lines or colour a terminal: those of ASCII, and U+0080 to
 * U+009F, which terminals obey as well. They become spaces. */
static void put_printable(struct line *line, crew_bytes text)
{
	size_t length = crew__min(text.len, (size_t)(line->end - line->at));
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		unsigned char next = i + 1 < length ? (unsigned char)text.data[i + 1] : 0;
		bool second = byte == 0xc2 && next >= 0x80 && next <= 0x9f;
		bool control = byte < 0x20 || byte == 0x7f || second;
		*line->at++ = control ? ' ' : (char)byte;
		if (second) {
			*line->at++ = ' ';
			i++;
		}
	}
}

/* "master: ", "feed#0: " */
static void put_tag(struct line *line, const struct crew__log_origin *origin)
{
	if (origin->role)
		put(line, "%s: ", origin->role);
	else if (origin->service)
		put(line, "%s#%u: ", origin->service, origin->worker);
}

static const char *app_of(const struct crew__log_origin *origin)
{
	return origin->app ? origin->app : "crew";
}

/* strftime looks at the locale and its tables: digits by hand cost a tenth. */
static char *two_digits(char *at, int number)
{
	at[0] = (char)('0' + number / 10 % 10);
	at[1] = (char)('0' + number % 10);
	return at + 2;
}

/* 2026-11-21T10:42:00.123Z, or with six digits behind the point. */
static void put_time(struct line *line, const struct timespec *time, unsigned digits)
{
	struct tm t;
	char text[40], *at = text;
	gmtime_r(&time->tv_sec, &t);
	int year = t.tm_year + 1900;
	at = two_digits(at, year / 100);
	at = two_digits(at, year % 100);
	*at++ = '-';
	at = two_digits(at, t.tm_mon + 1);
	*at++ = '-';
	at = two_digits(at, t.tm_mday);
	*at++ = 'T';
	at = two_digits(at, t.tm_hour);
	*at++ = ':';
	at = two_digits(at, t.tm_min);
	*at++ = ':';
	at = two_digits(at, t.tm_sec);
	*at++ = '.';
	long unit = 100000000;
	for (unsigned i = 0; i < digits; i++, unit /= 10)
		*at++ = (char)('0' + time->tv_nsec / unit % 10);
	*at++ = 'Z';
	put_printable(line, (crew_bytes){ text, (size_t)(at - text) });
}

size_t crew__log_text(const struct crew__log_record *record, char line[CREW__LOG_LINE_MAX])
{
	struct line at = { line, line + CREW__LOG_LINE_MAX - 1 };
	put_time(&at, &record->time, 3);
	put(&at, " %-5s ", level_names[record->level]);
	put_tag(&at, record->origin);
	put_printable(&at, record->message);
	*at.at++ = '\n';
	return (size_t)(at.at - line);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

enum {
	NAME_SHOWN_MAX = 256,
	TAIL = 2 /* quote and brace */
};

static void put_string(struct line *line, const char *text)
{
	char shown[NAME_SHOWN_MAX];
	size_t length = text ? crew__json_text(crew_str(text), shown, sizeof(shown)) : 0;
	if (text)
		put(line, "\"%.*s\"", (int)length, shown);
	else
		put(line, "null");
}

/* Without an end of line, and whole whatever the message: its end has room kept for it. */
static void put_object(struct line *line, const struct crew__log_record *record)
{
	const struct crew__log_origin *origin = record->origin;
	bool worker = !origin->role && origin->service;
	put(line, "{\"time\":\"");
	put_time(line, &record->time, 6);
	put(line, "\",\"level\":\"%s\",\"app\":", level_names[record->level]);
	put_string(line, app_of(origin));
	put(line, ",\"service\":");
	put_string(line, worker ? origin->service : NULL);
	if (worker)
		put(line, ",\"worker\":%u", origin->worker);
	else
		put(line, ",\"worker\":null");
	put(line, ",\"pid\":%d,\"message\":\"", (int)origin->pid);
	line->at += crew__json_text(
		record->message, line->at, (size_t)(line->end - line->at) - TAIL);
	*line->at++ = '"';
	*line->at++ = '}';
}

size_t crew__log_json(const struct crew__log_record *record, char line[CREW__LOG_LINE_MAX])
{
	struct line at = { line, line + CREW__LOG_LINE_MAX - 1 };
	put_object(&at, record);
	*at.at++ = '\n';
	return (size_t)(at.at - line);
}

/* ---- destinations with times and priorities of their own ------------------------------------- */

static void put_content(struct line *line, const struct crew__log_record *record, bool json)
{
	if (json) {
		put_object(line, record);
	} else {
		put_tag(line, record->origin);
		put_printable(line, record->message);
	}
}

size_t crew__log_stream(
	const struct crew__log_record *record, bool json, char line[CREW__LOG_LINE_MAX])
{
	struct line at = { line, line + CREW__LOG_LINE_MAX - 1 };
	put(&at, "<%u>", crew__log_priority(record->level));
	put_content(&at, record, json);
	*at.at++ = '\n';
	return (size_t)(at.at - line);
}

size_t crew__log_syslog(const struct crew__log_record *record, bool json, unsigned facility,
	char line[CREW__LOG_LINE_MAX])
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct line at = { line, line + CREW__LOG_LINE_MAX };
	struct tm t;
	localtime_r(&record->time.tv_sec, &t);
	put(&at, "<%u>%.3s %2d %02d:%02d:%02d ", facility * 8 + crew__log_priority(record->level),
		months + t.tm_mon * 3, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
	put_printable(&at, crew_str(app_of(record->origin)));
	put(&at, "[%d]: ", (int)record->origin->pid);
	put_content(&at, record, json);
	return (size_t)(at.at - line);
}

/* Every value is printable, so that none needs the form with a length in front. */
static void put_field(struct line *line, const char *name, const char *value)
{
	put(line, "%s=", name);
	put_printable(line, crew_str(value));
	*line->at++ = '\n';
}

size_t crew__log_journal(const struct crew__log_record *record, bool json, unsigned facility,
	char entry[CREW__LOG_ENTRY_MAX])
{
	const struct crew__log_origin *origin = record->origin;
	struct line at = { entry, entry + CREW__LOG_ENTRY_MAX - CREW__LOG_LINE_MAX };
	put(&at, "PRIORITY=%u\nSYSLOG_FACILITY=%u\nSYSLOG_PID=%d\n",
		crew__log_priority(record->level), facility, (int)origin->pid);
	put_field(&at, "SYSLOG_IDENTIFIER", app_of(origin));
	put_field(&at, "CREW_APP", app_of(origin));
	if (origin->role)
		put_field(&at, "CREW_ROLE", origin->role);
	if (!origin->role && origin->service) {
		put_field(&at, "CREW_SERVICE", origin->service);
		put(&at, "CREW_WORKER=%u\n", origin->worker);
	}
	at.end = entry + CREW__LOG_ENTRY_MAX - 1;
	put(&at, "MESSAGE=");
	put_content(&at, record, json);
	*at.at++ = '\n';
	return (size_t)(at.at - entry);
}
