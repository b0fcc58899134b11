/* when.h - moments as text: for people in local time, for programs in ISO 8601.
 *
 * They come from other processes' memory and may be any number; what is no moment of the years 1970
 * to 9999 is moved to the nearer end of them. */
#ifndef CREW_CLI_WHEN_H
#define CREW_CLI_WHEN_H

#include "base/base.h"

enum {
	CREW__WHEN_MAX = 48
};

/* Room for CREW__WHEN_MAX; both return `text`. `wall_ms`: since 1970. */
const char *crew__when_iso(int64_t wall_ms, char *text);   /* "2026-11-21T17:21:04.123Z" */
const char *crew__when_local(int64_t wall_ms, char *text); /* "2026-11-21 18:21:04.123" */
int64_t crew__when_now(void);

#endif
