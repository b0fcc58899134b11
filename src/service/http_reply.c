/* http_reply.c - whole answers, and the fields that are to go with the next one. */
#include "service/http.h"

#include <string.h>

static bool goes_without_body(const struct crew__http_side *http, int status)
{
	return http->head_only || status == 204 || status == 304;
}

static int write_head(crew_conn *c, const crew_response *response, char *room, size_t size)
{
	const struct crew__http_side *http = &crew__side(c)->http;
	const struct crew__http_head head = {
		.response = response,
		.version = http->version,
		.keep_alive = http->keep_alive && !response->close,
		.date = crew__http_date_now(crew__worker_of(c)),
	};
	return crew__http_write_head(&head, room, size);
}

static int64_t invalid(crew_worker *w)
{
	crew__net_count_invalid(&w->net);
	return -EINVAL;
}

int64_t crew_reply(crew_conn *c, const crew_response *response)
{
	char room[CREW__RESPONSE_HEAD_MOST];
	if (!c || c->record->state > CREW__CONN_OPEN)
		return crew__service_send(
			c, response ? response->body : (crew_bytes){ NULL, 0 }, CREW_KIND_DEFAULT);
	crew_worker *w = crew__worker_of(c);
	struct crew__exchange *e = crew__exchange_of(c);
	bool due = e && e->answer == CREW__ANSWER_DUE;
	if (!response || !due || (!response->body.data && response->body.len > 0))
		return invalid(w);
	if (response->body.len > CREW__SEND_MOST) {
		crew__net_count_invalid(&w->net);
		return -EMSGSIZE;
	}
	int head = write_head(c, response, room, sizeof(room));
	if (head < 0) {
		crew__net_count_invalid(&w->net);
		return head;
	}
	int status = response->status ? response->status : 200;
	struct crew__out out = { .head = { room, (size_t)head } };
	e->status = (uint16_t)status;
	if (!goes_without_body(&crew__side(c)->http, status))
		out.body = response->body;
	int64_t queued = crew__conn_send(c, &out);
	if (c->record->state <= CREW__CONN_OPEN && queued != -ENOBUFS && queued != -ENOMEM)
		crew__exchange_answered(c, response->close, CREW_END_APP);
	else if (c->record->state <= CREW__CONN_OPEN)
		crew__conn_abort(c, queued == -ENOMEM ? CREW_END_MEMORY : CREW_END_FULL);
	return queued;
}

crew_bytes crew_request_header(const crew_request *request, const char *name)
{
	crew_bytes wanted = crew_str(name);
	for (size_t i = 0; request && i < request->header_count; i++)
		if (crew__http_same(request->headers[i].name, wanted))
			return request->headers[i].value;
	return (crew_bytes){ NULL, 0 };
}
