/* cors.h - which scripts of other sites may ask
 * (https://fetch.spec.whatwg.org/#http-cors-protocol).
 *
 * Pure. Not here: the fields of requests and answers (service/http_cors.c). */
#ifndef CREW_WEB_CORS_H
#define CREW_WEB_CORS_H

#include "base/base.h"

/* 0, or -EINVAL for what a browser would refuse, or no field can hold; then `ret_why` is a static
 * sentence. One without origins is good: it lets nobody in where an outer one would. */
int crew__cors_check(const crew_cors *cors, const char **ret_why);

/* The value of Access-Control-Allow-Origin for a script of `origin` (no bytes: it does not say):
 * "*", or the origin itself; data NULL when it may not ask. */
crew_bytes crew__cors_allowed(const crew_cors *cors, crew_bytes origin);

#endif
