/* date.c - reading the dates of HTTP (RFC 9110 section 5.6.7).
 *
 *   Sun, 06 Nov 1994 08:49:37 GMT     what everybody writes
 *   Sunday, 06-Nov-94 08:49:37 GMT    RFC 850
 *   Sun Nov  6 08:49:37 1994          asctime()
 *
 * Each is described by a pattern, in which a letter of the table below stands for a part and any
 * other byte for itself. */
#include "web/date.h"

struct parts {
	int64_t year;
	unsigned month; /* 0 to 11 */
	unsigned day, hour, minute, second;
	bool short_year;
};

struct reader {
	const char *at;
	const char *end;
};

static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
	"Friday", "Saturday" };
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool read_word(struct reader *r, const char *word, size_t len)
{
	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

static bool read_day_name(struct reader *r, bool whole)
{
	for (size_t i = 0; i < crew__lengthof(days); i++)
		if (read_word(r, days[i], whole ? strlen(days[i]) : 3))
			return true;
	return false;
}

static bool read_month(struct reader *r, unsigned *ret_month)
{
	for (unsigned i = 0; i < 12; i++) {
		if (read_word(r, &months[3 * (size_t)i], 3)) {
			*ret_month = i;
			return true;
		}
	}
	return false;
}

/* Exactly `count` digits; `padded`: the first may be a space. */
static bool read_digits(struct reader *r, unsigned count, bool padded, unsigned *ret_number)
{
	unsigned number = 0;
	for (unsigned i = 0; i < count; i++, r->at++) {
		if (r->at == r->end)
			return false;
		if (padded && i == 0 && *r->at == ' ')
			continue;
		if (*r->at < '0' || *r->at > '9')
			return false;
		number = number * 10 + (unsigned)(*r->at - '0');
	}
	*ret_number = number;
	return true;
}

static bool read_year(struct reader *r, unsigned digits, struct parts *parts)
{
	unsigned number;
	if (!read_digits(r, digits, false, &number))
		return false;
	parts->year = number;
	parts->short_year = digits == 2;
	return true;
}

static bool read_part(struct reader *r, char what, struct parts *parts)
{
	switch (what) {
	case 'n': /* Sun */
		return read_day_name(r, false);
	case 'N': /* Sunday */
		return read_day_name(r, true);
	case 'm':
		return read_month(r, &parts->month);
	case 'd': /* 06 */
		return read_digits(r, 2, false, &parts->day);
	case 'p': /* 06, or a 6 behind a space */
		return read_digits(r, 2, true, &parts->day);
	case 'y':
		return read_year(r, 2, parts);
	case 'Y':
		return read_year(r, 4, parts);
	case 'h':
		return read_digits(r, 2, false, &parts->hour);
	case 'i':
		return read_digits(r, 2, false, &parts->minute);
	case 's':
		return read_digits(r, 2, false, &parts->second);
	default:
		return read_word(r, &what, 1);
	}
}

static bool read_pattern(crew_bytes text, const char *pattern, struct parts *ret_parts)
{
	struct reader r = { text.data, text.data + text.len };
	*ret_parts = (struct parts){ 0 };
	for (; *pattern; pattern++)
		if (!read_part(&r, *pattern, ret_parts))
			return false;
	return r.at == r.end;
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* A second of 60 is a leap second's. */
static bool are_possible(const struct parts *parts)
{
	static const unsigned char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned last = lengths[parts->month];
	if (parts->month == 1 && is_leap(parts->year))
		last++;
	return parts->day >= 1 && parts->day <= last && parts->hour < 24 && parts->minute < 60 &&
	       parts->second <= 60;
}

/* Days from 1 January 1970 to 1 January of a year that is not negative; year 0 was a leap year. */
static int64_t days_to_year(int64_t year)
{
	const int64_t from_0_to_1970 = 719528;
	int64_t leap_years_before = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
	return year * 365 + leap_years_before - from_0_to_1970;
}

static int64_t seconds_of(const struct parts *parts)
{
	static const unsigned short before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304,
		334 };
	int64_t day = days_to_year(parts->year) + before[parts->month] + parts->day - 1;
	if (parts->month > 1 && is_leap(parts->year))
		day++;
	return ((day * 24 + parts->hour) * 60 + parts->minute) * 60 + parts->second;
}

/* Of the years that end with these two digits it is the last that is not more than 50 years ahead.
 * A clock that stands outside 1970 to 9000 is taken for one that stands at its end. */
static void complete_year(struct parts *parts, int64_t now)
{
	const int64_t year = 31556952, last = (9000 - 1970) * year;
	int64_t clock = now < 0 ? 0 : now > last ? last : now;
	int64_t this_year = 1970 + clock / year;
	parts->year += this_year - this_year % 100 + 100;
	while (seconds_of(parts) > clock + 50 * year)
		parts->year -= 100;
}

bool crew__date_read(crew_bytes text, int64_t now, int64_t *ret_seconds)
{
	static const char *const patterns[] = { "n, d m Y h:i:s GMT", "N, d-m-y h:i:s GMT",
		"n m p h:i:s Y" };
	struct parts parts;
	if (text.len > CREW__DATE_MOST || text.len == 0)
		return false;
	for (size_t i = 0; i < crew__lengthof(patterns); i++) {
		if (!read_pattern(text, patterns[i], &parts))
			continue;
		if (parts.short_year)
			complete_year(&parts, now);
		if (!are_possible(&parts))
			return false;
		*ret_seconds = seconds_of(&parts);
		return true;
	}
	return false;
}
