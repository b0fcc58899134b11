/* date.h - reading the dates of HTTP, in all three forms (RFC 9110 section 5.6.7).
 *
 * Writing one is proto/http1.h's. */
#ifndef CREW_WEB_DATE_H
#define CREW_WEB_DATE_H

#include "base/base.h"

/* The longest form: "Wednesday, 06-Nov-94 08:49:37 GMT". */
enum {
	CREW__DATE_MOST = 33
};

/* Seconds since 1970, which may be negative. `now` tells which century a year of two digits means.
 * The name of the day must be one, but need not be the right one. False: it is no date, in which
 * case conditions on it are ignored. */
bool crew__date_read(crew_bytes text, int64_t now, int64_t *ret_seconds);

#endif
