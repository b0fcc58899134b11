/* http_session.h - what a worker has of sessions: for http_session.c and http_sessions.c. */
#ifndef CREW_SERVICE_HTTP_SESSION_H
#define CREW_SERVICE_HTTP_SESSION_H

#include "service/http.h"
#include "web/session_store.h"

enum {
	CREW__SESSIONS_MOST = 64 /* different `sessions` of a service and its routes */
};

/* One crew_sessions of the program, checked. */
struct crew__sessions_use {
	const crew_sessions *config;
	struct crew__store *store;
	bool owns_store;    /* else an earlier one does */
	const char *cookie;
	char *scope;        /* whose sessions these are: no other cookie's id opens them */
	int64_t life_ms;
	int64_t touch_ms;   /* a session used again so soon needs no new end */
};

struct crew__sessions {
	struct crew__sessions_use uses[CREW__SESSIONS_MOST];
	size_t count;
	bool ending;
	struct crew__log_rate log;
};

/* NULL when the program has no such. */
const struct crew__sessions_use *crew__sessions_find(
	const struct crew__sessions *sessions, const crew_sessions *config);

#endif
