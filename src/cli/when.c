/* when.c - moments as text. */
#include "cli/when.h"

#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum {
	MS = 1000
};
#define LAST_MS INT64_C(253402300799999) /* the end of 9999, whatever the time zone makes of it */

static int64_t within_years(int64_t wall_ms)
{
	return wall_ms < 0 ? 0 : wall_ms > LAST_MS ? LAST_MS : wall_ms;
}

static const char *write_moment(
	const struct tm *tm, const char *format, int64_t ms, const char *end, char *text)
{
	char second[CREW__WHEN_MAX / 2];
	if (strftime(second, sizeof(second), format, tm) == 0)
		second[0] = '\0';
	snprintf(text, CREW__WHEN_MAX, "%s.%03u%s", second, (unsigned)ms % MS, end);
	return text;
}

const char *crew__when_iso(int64_t wall_ms, char *text)
{
	struct tm tm = { 0 };
	int64_t ms = within_years(wall_ms);
	time_t seconds = (time_t)(ms / MS);
	gmtime_r(&seconds, &tm);
	return write_moment(&tm, "%Y-%m-%dT%H:%M:%S", ms % MS, "Z", text);
}

const char *crew__when_local(int64_t wall_ms, char *text)
{
	struct tm tm = { 0 };
	int64_t ms = within_years(wall_ms);
	time_t seconds = (time_t)(ms / MS);
	localtime_r(&seconds, &tm);
	return write_moment(&tm, "%Y-%m-%d %H:%M:%S", ms % MS, "", text);
}

int64_t crew__when_now(void)
{
	return crew__clock_wall_ms(CLOCK_REALTIME);
}
