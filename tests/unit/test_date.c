/* test_date.c - dates of HTTP in their three forms (RFC 9110 section 5.6.7). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/http1.h"
#include "web/date.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const int64_t now = 1795000000; /* November 2026 */
static const int64_t none = INT64_MIN;

static int64_t read_at(const char *text, int64_t clock)
{
	int64_t seconds = none;
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1); /* without a NUL */
	memcpy(copy, text, len);
	bool is_date = crew__date_read((crew_bytes){ copy, len }, clock, &seconds);
	free(copy);
	assert_true(is_date || seconds == none);
	return seconds;
}

static int64_t read_date(const char *text)
{
	return read_at(text, now);
}

static void the_same_in_three_forms(void **state)
{
	(void)state;
	assert_int_equal(read_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
	assert_int_equal(read_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
	assert_int_equal(read_date("Sun Nov  6 08:49:37 1994"), 784111777);
	assert_int_equal(read_date("Wed Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
	assert_int_equal(read_date("Wednesday, 16-Nov-94 08:49:37 GMT"), 784111777 + 10 * 86400);
}

static void edges(void **state)
{
	(void)state;
	assert_int_equal(read_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
	assert_int_equal(read_date("Wed, 31 Dec 1969 23:59:59 GMT"), -1);
	assert_int_equal(read_date("Fri, 31 Dec 9999 23:59:59 GMT"), INT64_C(253402300799));
	assert_int_equal(read_date("Sat, 01 Jan 0000 00:00:00 GMT"), INT64_C(-62167219200));
	assert_int_equal(read_date("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800);
	assert_int_equal(read_date("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400);
	assert_int_equal(read_date("Mon, 29 Feb 2024 00:00:00 GMT"), 1709164800);
}

/* Every day that can be written is read back. */
static void what_we_write_we_read(void **state)
{
	char text[30];
	(void)state;
	for (int64_t seconds = 0; seconds < INT64_C(253402300799); seconds += 86400 * 13 + 3723) {
		crew__http_date(seconds, text);
		assert_int_equal(read_date(text), seconds);
	}
}

static void what_is_no_date(void **state)
{
	static const char *const texts[] = { "", "0", "now", "784111777",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 +0000", "Sun,06 Nov 1994 08:49:37 GMT",
		"sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37 gmt", "Son, 06 Nov 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT", "Sun,  6 Nov 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 29 Feb 2023 08:49:37 GMT",
		"Sun, 30 Feb 2024 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 23:60:00 GMT", "Sun, 06 Nov 1994 23:59:61 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 06 Nov 19994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday, 29-Feb-23 08:49:37 GMT",
		"Sun Nov 06 08:49:37 1994 GMT", "Sun Nov 6 08:49:37 1994",
		"Sun Nov    08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMTSun, 06 Nov 1994",
		"Sun, 0x Nov 1994 08:49:37 GMT", "Sun, 06 Nov -994 08:49:37 GMT" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(texts); i++)
		assert_int_equal(read_date(texts[i]), none);
	int64_t seconds;
	assert_false(crew__date_read((crew_bytes){ NULL, 0 }, now, &seconds));
}

/* Any beginning of a date is none. */
static void cut_off(void **state)
{
	static const char *const texts[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
		"Wednesday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" };
	char part[CREW__DATE_MOST + 1];
	(void)state;
	for (size_t i = 0; i < crew__lengthof(texts); i++) {
		assert_int_not_equal(read_date(texts[i]), none);
		for (size_t len = 0; len < strlen(texts[i]); len++) {
			memcpy(part, texts[i], len);
			part[len] = '\0';
			assert_int_equal(read_date(part), none);
		}
	}
}

static int64_t year_at(const char *digits, int64_t clock)
{
	char text[CREW__DATE_MOST + 1];
	snprintf(text, sizeof(text), "Sunday, 01-Jun-%s 00:00:00 GMT", digits);
	int64_t seconds = read_at(text, clock);
	assert_int_not_equal(seconds, none);
	time_t time = (time_t)seconds;
	struct tm parts;
	assert_non_null(gmtime_r(&time, &parts));
	return parts.tm_year + 1900;
}

/* Never more than fifty years ahead. */
static void years_of_two_digits(void **state)
{
	const int64_t year = 31556952;
	(void)state;
	assert_int_equal(year_at("26", now), 2026);
	assert_int_equal(year_at("00", now), 2000);
	assert_int_equal(year_at("75", now), 2075);
	assert_int_equal(year_at("76", now), 2076); /* the first of June 2076 is not yet 50 ahead */
	assert_int_equal(year_at("77", now), 1977);
	assert_int_equal(year_at("99", now), 1999);
	assert_int_equal(year_at("01", now + 72 * year), 2101);
	assert_int_equal(year_at("98", now + 72 * year), 2098);
	/* A clock that cannot be right. */
	assert_int_equal(year_at("70", -5), 1970);
	assert_int_equal(year_at("70", INT64_MIN), 1970);
	assert_in_range(year_at("70", INT64_MAX), 8900, 9100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_in_three_forms),
		cmocka_unit_test(edges),
		cmocka_unit_test(what_we_write_we_read),
		cmocka_unit_test(what_is_no_date),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(years_of_two_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
