/* http_route.c - which route takes a request, what comes before its handler, what no route takes. */
#include "service/http.h"

int crew__routes_new(crew_worker *w)
{
	(void)w;
	return 0;
}

void crew__routes_free(crew_worker *w)
{
	(void)w;
}

void crew__routes_find(struct crew__exchange *e, const crew_request *request, uint64_t *ret_limit,
	bool *ret_stream)
{
	(void)request;
	*ret_limit = crew__worker_of(e->conn)->max_message;
	*ret_stream = false;
}

void crew__routes_dispatch(struct crew__exchange *e, const crew_request *request)
{
	crew_conn *c = e->conn;
	crew_worker *w = crew__worker_of(c);
	const struct crew__http1_request *parsed =
		crew__container_of(request, struct crew__http1_request, public);
	if (w->kind == CREW__WS && parsed->upgrade_websocket) {
		crew__http_upgrade(e, parsed, w->service->websocket);
		return;
	}
	if (!w->service->on_request) {
		crew__http_refuse(c, w->kind == CREW__WS ? 426 : 404,
			w->kind == CREW__WS ? CREW_END_HANDSHAKE : CREW_END_APP);
		return;
	}
	struct crew__entered before = crew__enter(w, CREW__CB_REQUEST);
	w->service->on_request(c, request);
	crew__leave(w, before);
}

void crew__routes_body(struct crew__exchange *e, crew_bytes part, bool last)
{
	(void)e;
	(void)part;
	(void)last;
}

void crew__routes_after(struct crew__exchange *e, crew_response *response)
{
	(void)e;
	(void)response;
}
