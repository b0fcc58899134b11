/* http_worker.c - what a worker of HTTP has beside its connections: made, started, freed. */
#include "service/http.h"

#include <stdlib.h>

int crew__http_new(crew_worker *w)
{
	w->http = calloc(1, sizeof(*w->http));
	if (!w->http)
		return -ENOMEM;
	crew__ids_start(w);
	w->request.max_head = (uint32_t)w->settings->max_head;
	crew__side_init(&w->http->side, w);
	crew__buf_init(&w->http->head, CREW__ANSWER_ROOM);
	crew__buf_init(&w->http->text, CREW__SEND_MOST);
	return 0;
}

int crew__http_start(crew_worker *w)
{
	int error = crew__routes_new(w);
	if (!error)
		error = crew__sessions_start(w);
	if (!error)
		error = crew__files_start(w);
	if (!error)
		error = crew__access_start(w);
	return error;
}

void crew__http_free(crew_worker *w)
{
	struct crew__http_worker *http = w->http;
	crew__ws_worker_free(w);
	if (!http)
		return;
	crew__side_clear(&http->side);
	crew__arena_release(&http->side.arena);
	crew__access_stop(w);
	crew__files_end(w);
	crew__sessions_end(w);
	crew__routes_free(w);
	while (http->spare) {
		struct crew__exchange *e = http->spare;
		http->spare = e->next;
		free(e);
	}
	crew__gzip_free(w);
	crew__buf_release(&http->head);
	crew__buf_release(&http->text);
	free(http);
	w->http = NULL;
}
