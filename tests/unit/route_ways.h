/* route_ways.h - what tests of routes have in common: handlers that tell of themselves, and what a
 * peer must get. */
#ifndef CREW_TESTS_ROUTE_WAYS_H
#define CREW_TESTS_ROUTE_WAYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <stdio.h>

#define HOST   " HTTP/1.1\r\nHost: a\r\n"
#define OK(at) "HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: " at "\r\n"

static inline int64_t answer(crew_conn *c, const char *body)
{
	return crew_reply(c, &(crew_response){ .type = "t/t", .body = crew_str(body) });
}

static inline const char *text_of(crew_bytes bytes)
{
	static char text[4][200];
	static unsigned next;
	char *room = text[next++ % 4];
	snprintf(room, sizeof(text[0]), "%.*s", (int)bytes.len, bytes.len ? bytes.data : "");
	return bytes.data ? room : "NULL";
}

/* What a peer gets for that; the record is anew. */
static inline const char *ask(const char *request)
{
	told_anew();
	ways_ask(request);
	return ways_hear();
}

static inline bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static inline void must_begin(const char *text, const char *with)
{
	if (!begins(text, with))
		fail_msg("\"%.300s\" does not begin with \"%s\"", text, with);
}

static inline void must_have(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%.600s\" has no \"%s\"", text, what);
}

/* ---- handlers ------------------------------------------------------------------------------ */

static inline void home(crew_conn *c, const crew_request *r)
{
	ways.id = crew_id(c);
	tell("home:%s", text_of(crew_request_path(r)));
	assert_true(answer(c, "home") >= 0);
}

static inline void later(crew_conn *c, const crew_request *r)
{
	(void)r;
	ways.id = crew_id(c);
	tell("later");
}

static inline void part(crew_conn *c, crew_bytes bytes, bool last)
{
	tell("%s%s", text_of(bytes.data ? bytes : CREW_BYTES("-")), last ? "!" : "");
	if (last)
		answer(c, "done");
}

#endif
