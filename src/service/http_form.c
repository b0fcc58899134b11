/* http_form.c - queries, cookies, forms, uploads. */
#include "service/http.h"

bool crew__parts_wanted(const crew_request *request)
{
	(void)request;
	return false;
}

int crew__parts_begin(struct crew__exchange *e, const crew_request *request)
{
	(void)e;
	(void)request;
	return 0;
}

int crew__parts_take(struct crew__exchange *e, crew_bytes bytes)
{
	(void)e;
	(void)bytes;
	return 0;
}

int crew__parts_end(struct crew__exchange *e)
{
	(void)e;
	return 0;
}

void crew__parts_free(struct crew__parts *parts)
{
	(void)parts;
}

void crew__uploads_close(struct crew__request_side *side)
{
	(void)side;
}
