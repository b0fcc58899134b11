/* http_session.c - a request's session. */
#include "service/http.h"

int crew__session_begin(struct crew__exchange *e, const crew_request *request,
	const crew_sessions *sessions)
{
	(void)e;
	(void)request;
	(void)sessions;
	return 0;
}

void crew__session_save(struct crew__exchange *e)
{
	(void)e;
}

struct crew__session *crew__session_ref(struct crew__session *session)
{
	return session;
}

void crew__session_free(struct crew__session *session)
{
	(void)session;
}

int crew__sessions_start(crew_worker *w)
{
	(void)w;
	return 0;
}

void crew__sessions_end(crew_worker *w)
{
	(void)w;
}
