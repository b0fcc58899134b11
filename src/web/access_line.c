/* access_line.c - the two forms of a line in the access log. */
#include "web/access_line.h"

#include "base/json_text.h"

#include <string.h>
#include <time.h>

enum {
	SHOWN_PARTS = CREW__ACCESS_METHOD_MAX + CREW__ACCESS_TARGET_MAX + CREW__ACCESS_AGENT_MAX +
		      CREW__ACCESS_REFERER_MAX,
	CLIENT_MAX = 160,
	FRAME_MAX = 640, /* names, numbers, times */
};
_Static_assert(SHOWN_PARTS + CLIENT_MAX + FRAME_MAX <= CREW__ACCESS_LINE_MAX, "a line has room");

/* Where the line is being written; what does not fit is left out. */
struct line {
	char *at, *end;
};

static void put(struct line *line, const char *text, size_t len)
{
	len = crew__min(len, (size_t)(line->end - line->at));
	memcpy(line->at, text, len);
	line->at += len;
}

#define PUT(line, literal) put((line), "" literal, sizeof(literal) - 1)

static void put_number(struct line *line, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	put(line, digits + at, sizeof(digits) - at);
}

/* With zeros in front. */
static void put_digits(struct line *line, unsigned value, size_t count)
{
	char digits[10];
	for (size_t i = count; i > 0; value /= 10)
		digits[--i] = (char)('0' + value % 10);
	put(line, digits, count);
}

/* 11 is 1.1. */
static void put_version(struct line *line, int version)
{
	put_number(line, (uint64_t)version / 10);
	PUT(line, ".");
	put_number(line, (uint64_t)version % 10);
}

/* ---- time ---------------------------------------------------------------------------------- */

static struct tm split_time(int64_t unix_us, unsigned *ret_us)
{
	struct tm t;
	time_t seconds = (time_t)(unix_us / 1000000);
	*ret_us = (unsigned)(unix_us % 1000000);
	gmtime_r(&seconds, &t);
	return t;
}

static void put_clock(struct line *line, const struct tm *t)
{
	put_digits(line, (unsigned)t->tm_hour, 2);
	PUT(line, ":");
	put_digits(line, (unsigned)t->tm_min, 2);
	PUT(line, ":");
	put_digits(line, (unsigned)t->tm_sec, 2);
}

/* [21/Nov/2026:14:36:08 +0000] */
static void put_combined_time(struct line *line, int64_t unix_us)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned us;
	struct tm t = split_time(unix_us, &us);
	PUT(line, "[");
	put_digits(line, (unsigned)t.tm_mday, 2);
	PUT(line, "/");
	put(line, months + t.tm_mon * 3, 3);
	PUT(line, "/");
	put_digits(line, (unsigned)(t.tm_year + 1900), 4);
	PUT(line, ":");
	put_clock(line, &t);
	PUT(line, " +0000]");
}

/* 2026-11-21T14:36:08.123456Z */
static void put_json_time(struct line *line, int64_t unix_us)
{
	unsigned us;
	struct tm t = split_time(unix_us, &us);
	put_digits(line, (unsigned)(t.tm_year + 1900), 4);
	PUT(line, "-");
	put_digits(line, (unsigned)(t.tm_mon + 1), 2);
	PUT(line, "-");
	put_digits(line, (unsigned)t.tm_mday, 2);
	PUT(line, "T");
	put_clock(line, &t);
	PUT(line, ".");
	put_digits(line, us, 6);
	PUT(line, "Z");
}

/* ---- escapes ------------------------------------------------------------------------------- */

static const char hex[] = "0123456789abcdef";

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* A client's bytes, of which the line takes at most `most`, escapes included: \xHH. */
static void put_escaped(struct line *line, crew_bytes text, size_t most)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		const char escape[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
		size_t len = is_plain(c) ? 1 : sizeof(escape);
		if (len > most)
			return;
		put(line, len == 1 ? text.data + i : escape, len);
		most -= len;
	}
}

static void put_string(struct line *line, crew_bytes text, size_t most)
{
	PUT(line, "\"");
	line->at += crew__json_text(text, line->at, crew__min(most, (size_t)(line->end - line->at)));
	PUT(line, "\"");
}

/* ---- combined ------------------------------------------------------------------------------ */

/* "GET /path HTTP/1.1", or "-" for what was no request. */
static void put_request(struct line *line, const struct crew__access_entry *entry)
{
	PUT(line, " \"");
	if (entry->method.len == 0) {
		PUT(line, "-\"");
		return;
	}
	put_escaped(line, entry->method, CREW__ACCESS_METHOD_MAX);
	PUT(line, " ");
	put_escaped(line, entry->target, CREW__ACCESS_TARGET_MAX);
	PUT(line, " HTTP/");
	put_version(line, entry->version);
	PUT(line, "\"");
}

static void put_quoted(struct line *line, crew_bytes text, size_t most)
{
	PUT(line, " \"");
	if (text.data)
		put_escaped(line, text, most);
	else
		PUT(line, "-");
	PUT(line, "\"");
}

size_t crew__access_combined(
	const struct crew__access_entry *entry, char ret_line[CREW__ACCESS_LINE_MAX])
{
	struct line line = { ret_line, ret_line + CREW__ACCESS_LINE_MAX - 1 };
	put_escaped(&line, crew_str(entry->client), CLIENT_MAX);
	PUT(&line, " - - ");
	put_combined_time(&line, entry->unix_us);
	put_request(&line, entry);
	PUT(&line, " ");
	put_digits(&line, entry->status, 3);
	PUT(&line, " ");
	put_number(&line, entry->bytes_out);
	put_quoted(&line, entry->referer, CREW__ACCESS_REFERER_MAX);
	put_quoted(&line, entry->agent, CREW__ACCESS_AGENT_MAX);
	*line.at++ = '\n';
	return (size_t)(line.at - ret_line);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

/* `,"name":` */
#define NAME(line, name) PUT((line), ",\"" name "\":")

static void put_optional(struct line *line, crew_bytes text, size_t most)
{
	if (text.data)
		put_string(line, text, most);
	else
		PUT(line, "null");
}

static void put_numbers(struct line *line, const struct crew__access_entry *entry)
{
	NAME(line, "status");
	put_number(line, entry->status);
	NAME(line, "bytes_in");
	put_number(line, entry->bytes_in);
	NAME(line, "bytes_out");
	put_number(line, entry->bytes_out);
	NAME(line, "head_us");
	put_number(line, entry->head_us);
	NAME(line, "body_us");
	put_number(line, entry->body_us);
	NAME(line, "handler_us");
	put_number(line, entry->handler_us);
	NAME(line, "answer_us");
	put_number(line, entry->answer_us);
}

size_t crew__access_json(
	const struct crew__access_entry *entry, char ret_line[CREW__ACCESS_LINE_MAX])
{
	struct line line = { ret_line, ret_line + CREW__ACCESS_LINE_MAX - 1 };
	bool request = entry->method.len > 0;
	PUT(&line, "{\"time\":\"");
	put_json_time(&line, entry->unix_us);
	PUT(&line, "\"");
	NAME(&line, "id");
	put_string(&line, crew_str(entry->id), 16);
	NAME(&line, "client");
	put_string(&line, crew_str(entry->client), CLIENT_MAX);
	NAME(&line, "method");
	put_optional(
		&line, request ? entry->method : (crew_bytes){ NULL, 0 }, CREW__ACCESS_METHOD_MAX);
	NAME(&line, "target");
	put_optional(
		&line, request ? entry->target : (crew_bytes){ NULL, 0 }, CREW__ACCESS_TARGET_MAX);
	NAME(&line, "version");
	if (request) {
		PUT(&line, "\"");
		put_version(&line, entry->version);
		PUT(&line, "\"");
	} else {
		PUT(&line, "null");
	}
	put_numbers(&line, entry);
	NAME(&line, "ended");
	put_string(&line, crew_str(entry->ended), 16);
	NAME(&line, "user_agent");
	put_optional(&line, entry->agent, CREW__ACCESS_AGENT_MAX);
	NAME(&line, "referer");
	put_optional(&line, entry->referer, CREW__ACCESS_REFERER_MAX);
	PUT(&line, "}\n");
	return (size_t)(line.at - ret_line);
}
