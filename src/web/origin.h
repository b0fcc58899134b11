/* origin.h - where a script comes from (RFC 6454, the Origin field), and lists of who may ask.
 *
 * An origin is `SCHEME://HOST` or `SCHEME://HOST:PORT`, without a path, or the word `null` (a page
 * without an origin of its own). Schemes and hosts are compared in any case, and a port that is the
 * scheme's own is the same as none. A list is origins with spaces between them, or `*`: any. */
#ifndef CREW_WEB_ORIGIN_H
#define CREW_WEB_ORIGIN_H

#include "base/base.h"

/* 0, or -EINVAL for a list that holds something else; then `ret_wrong` is that. NULL and "" are
 * empty lists. `*` stands alone. */
int crew__origins_check(const char *list, crew_bytes *ret_wrong);

/* Is the list `*`? */
bool crew__origins_any(const char *list);

/* Is `origin`, as a client sent it, in the list? NULL lists nobody. */
bool crew__origins_hold(const char *list, crew_bytes origin);

/* Is `origin` that of the host (`HOST` or `HOST:PORT`, a request's Host) itself? */
bool crew__origin_is_host(crew_bytes origin, crew_bytes host);

#endif
