/* percent.h - percent-encoding (RFC 3986 section 2.1): bytes as `%XX`, and back.
 *
 * Not here: which part of a URI may hold what, and how paths are compared (router.h). */
#ifndef CREW_WEB_PERCENT_H
#define CREW_WEB_PERCENT_H

#include "base/base.h"

/* The byte that two hex digits name, -1 when they are none. */
int crew__percent_byte(const char digits[2]);

/* Decode once into `out`, which has room for in.len bytes and may be in.data itself. With
 * `plus_is_space` a `+` is a space, as in forms (application/x-www-form-urlencoded); never in
 * paths. The length, or -EINVAL for a `%` without two hex digits behind it: then `out` is
 * undefined, and where it is in.data the bytes up to the fault are decoded already. Any byte may
 * come out, NUL and `/` too. */
int64_t crew__percent_decode(crew_bytes in, char *out, bool plus_is_space);

/* Does it hold nothing but good escapes, of bytes other than NUL, and bytes that are none? */
bool crew__percent_good(crew_bytes in);

#endif
