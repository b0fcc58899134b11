/* session_redis_url.h - where Redis is: "redis://[:PASSWORD@]HOST:PORT[/DB]" or
 * "redis+unix://PATH[?db=DB]".
 *
 * HOST is an address or "localhost": to look a name up would stop the loop. What the password needs
 * to be percent-encoded for (`@`, `/`, `%`) is decoded. */
#ifndef CREW_WEB_SESSION_REDIS_URL_H
#define CREW_WEB_SESSION_REDIS_URL_H

#include "base/base.h"

struct crew__redis_url {
	bool local;      /* `host` is the path of a Unix socket */
	char host[108];
	int port;
	int db;
	char password[512]; /* "": none */
	char name[128];     /* for messages: without the password */
};

/* 0, or -EINVAL with a sentence. */
int crew__redis_url_parse(
	const char *text, struct crew__redis_url *ret_url, char *ret_error, size_t error_size);
bool crew__redis_url_is(const char *text);

#endif
