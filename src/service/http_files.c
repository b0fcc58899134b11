/* http_files.c - files as answers. */
#include "service/http.h"

int crew__files_start(crew_worker *w)
{
	(void)w;
	return 0;
}

void crew__files_end(crew_worker *w)
{
	(void)w;
}
