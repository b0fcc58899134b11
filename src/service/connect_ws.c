/* connect_ws.c - the handshake of a WebSocket that we open: ask, judge the answer, go on in frames.
 */
#include "service/connect_parts.h"

void crew__link_ask(struct crew__link *link)
{
	const struct crew__connect_plan *plan = &link->plan;
	int64_t deflate = link->client->worker.settings->deflate;
	char authority[CREW__URL_AUTHORITY];
	size_t len = crew__url_authority(&plan->url, authority, sizeof(authority));
	struct crew__buf request;
	crew__buf_init(&request, CREW__WS_ASK_MOST);
	link->ask = (struct crew__ws_ask){
		.authority = { authority, len },
		.target = plan->url.target,
		.protocols = plan->options.protocols,
		.headers = plan->options.headers,
		.deflate = deflate != CREW__DEFLATE_OFF,
		.resets = deflate == CREW__DEFLATE_SHARED,
	};
	int error = crew__ws_ask_key(&link->ask);
	if (!error)
		error = crew__ws_ask_write(&link->ask, &request);
	if (!error)
		error = crew__conn_handshake_bytes(
			link->conn, (crew_bytes){ request.data, request.len });
	crew__buf_release(&request);
	link->ask.authority = (crew_bytes){ NULL, 0 };
	link->step = CREW__LINK_ASKS;
	if (error)
		crew__link_fail(link, "its handshake cannot be sent: %s", strerror(-error));
}

static void begin(struct crew__link *link, const struct crew__ws_reply *reply)
{
	crew_conn *c = link->conn;
	struct crew__ws_agreed agreed = { .terms = reply->terms };
	if (reply->protocol.len > 0) {
		agreed.subprotocol = crew__subprotocol_place(
			&link->client->worker, reply->protocol);
		if (agreed.subprotocol == 0) {
			crew__link_fail(link, "there is no room for another sub-protocol's name");
			return;
		}
	}
	link->step = CREW__LINK_STANDS;
	link->since = crew__net_now(c->net);
	link->told = false;
	crew__ws_begin_client(c, &agreed);
}

/* What was used: all up to the end of the answer, or of the interim ones before it. */
static size_t read_answer(
	struct crew__link *link, const char *data, size_t len, struct crew__ws_reply *ret_reply)
{
	size_t used = 0;
	int64_t n;
	char why[CREW__CONNECT_WHY];
	do {
		n = crew__ws_reply_read(&link->ask, (crew_bytes){ data + used, len - used },
			&link->scanned, ret_reply, why, sizeof(why));
		if (n > 0) {
			used += (size_t)n;
			link->scanned = 0;
		}
	} while (n > 0 && crew__ws_reply_is_interim(ret_reply));
	if (n < 0)
		crew__link_fail(link, "%s", why);
	return n < 0 ? len : used;
}

size_t crew__link_answer(struct crew__link *link, char *data, size_t len)
{
	crew_conn *c = link->conn;
	struct crew__ws_reply reply;
	size_t used = read_answer(link, data, len, &reply);
	if (c->record->state == CREW__CONN_CLOSED || reply.status != 101)
		return used;
	begin(link, &reply);
	if (c->record->state > CREW__CONN_OPEN && !(c->flags & CREW__C_UNPARTED))
		return len;
	return used + crew__service_data(c, data + used, len - used);
}
