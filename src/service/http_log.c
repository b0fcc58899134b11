/* http_log.c - the access log: a line for each exchange. */
#include "service/http.h"

int crew__access_start(crew_worker *w)
{
	(void)w;
	return 0;
}

void crew__access_stop(crew_worker *w)
{
	(void)w;
}

void crew__access_reopen(crew_worker *w)
{
	(void)w;
}

void crew__access_begin(struct crew__exchange *e, const crew_request *request)
{
	(void)e;
	(void)request;
}

void crew__access_end(struct crew__exchange *e, crew_end_reason reason)
{
	(void)e;
	(void)reason;
}
