/* http_stream.c - answers whose body comes in parts. */
#include "service/http.h"

void crew__stream_drained(crew_conn *c)
{
	(void)c;
}

void crew__stream_gone(struct crew__exchange *e)
{
	(void)e;
}
