/* http_upgrade.c - from HTTP to WebSocket (RFC 6455 section 4.2): who is let in, and with which
 * sub-protocol. What follows is the business of ws.c. */
#include "service/http.h"

#include "service/http_route.h"
#include "web/origin.h"
#include "web/subprotocol.h"

#include <stdlib.h>
#include <string.h>

enum {
	GROUPS_MOST = 32,
	NAMES_MOST = UINT8_MAX /* a connection keeps the place of its own in one byte */
};

static bool has_websocket(const crew_route *routes, unsigned depth)
{
	for (; routes && routes->path && depth < GROUPS_MOST; routes++)
		if (routes->websocket || has_websocket(routes->group, depth + 1))
			return true;
	return false;
}

bool crew__has_websocket(const crew_service *service)
{
	return has_websocket(service->routes, 0);
}

/* ---- sub-protocols ------------------------------------------------------------------------- */

/* The place of a name among those of this worker, from 1. 0: there is no room for it. */
static uint8_t intern(struct crew__http_worker *http, crew_bytes name)
{
	for (unsigned i = 0; i < http->subprotocol_count; i++)
		if (strlen(http->subprotocols[i]) == name.len &&
			memcmp(http->subprotocols[i], name.data, name.len) == 0)
			return (uint8_t)(i + 1);
	if (http->subprotocol_count == NAMES_MOST)
		return 0;
	char *copy = calloc(name.len + 1, 1);
	char **names = reallocarray(
		http->subprotocols, http->subprotocol_count + 1u, sizeof(*names));
	if (names)
		http->subprotocols = names;
	if (!copy || !names) {
		free(copy);
		return 0;
	}
	memcpy(copy, name.data, name.len);
	names[http->subprotocol_count++] = copy;
	return http->subprotocol_count;
}

void crew__subprotocols_free(struct crew__http_worker *http)
{
	for (unsigned i = 0; i < http->subprotocol_count; i++)
		free(http->subprotocols[i]);
	free(http->subprotocols);
	http->subprotocols = NULL;
	http->subprotocol_count = 0;
}

/* 0, or the status that the offer deserves. `ret_place` 0: none was agreed on. */
static int choose(crew_worker *w, const crew_request *request, const crew_websocket *websocket,
	uint8_t *ret_place)
{
	crew_bytes name;
	*ret_place = 0;
	if (!websocket || !websocket->protocols)
		return 0;
	int found = crew__subprotocol_choose(
		websocket->protocols, request->headers, request->header_count, &name);
	if (found < 0)
		return 400;
	if (found > 0)
		*ret_place = intern(w->http, name);
	return found > 0 && *ret_place == 0 ? 503 : 0;
}

const char *crew_websocket_protocol(const crew_conn *c)
{
	if (!c || c->record->protocol != CREW__WS)
		return "";
	uint8_t place = crew__side((crew_conn *)(uintptr_t)c)->subprotocol;
	return place ? crew__worker_of(c)->http->subprotocols[place - 1] : "";
}

/* ---- who is let in ------------------------------------------------------------------------- */

/* A browser tells whose script asks. Who tells nothing is no browser, and could tell anything. A
 * second such field is no honest browser's either. */
static bool origin_is_good(const crew_request *request, const crew_websocket *websocket)
{
	crew_bytes name = CREW_BYTES("Origin"), origin = { NULL, 0 };
	unsigned origins = 0;
	for (size_t i = 0; i < request->header_count; i++) {
		if (!crew__http_same(request->headers[i].name, name))
			continue;
		origin = request->headers[i].value;
		origins++;
	}
	if (!websocket || origins == 0 || crew__origins_any(websocket->origins))
		return true;
	if (origins > 1)
		return false;
	return websocket->origins ? crew__origins_hold(websocket->origins, origin)
				  : crew__origin_is_host(origin, request->host);
}

/* The program looks at the request: from here on it knows of the connection. */
static int ask(
	struct crew__exchange *e, const crew_request *request, const crew_websocket *websocket)
{
	crew_conn *c = e->conn;
	crew_worker *w = crew__worker_of(c);
	if (!e->route || !e->route->before)
		crew__count_request(w);
	crew__side(c)->shown = true;
	struct crew__entered before = crew__enter(w, CREW__CB_REQUEST);
	int status = websocket->on_upgrade(c, request);
	crew__leave(w, before);
	return status;
}

/* It may have answered by itself, or ended the connection. */
static bool still_due(const struct crew__exchange *e)
{
	return e->conn->record->state <= CREW__CONN_OPEN && crew__exchange_of(e->conn) == e &&
	       e->answer == CREW__ANSWER_DUE;
}

/* The connection goes on as one of HTTP. */
static void turn_down(struct crew__exchange *e, const crew_request *request, int status)
{
	crew_conn *c = e->conn;
	if (status < 200 || status > 599) {
		crew__log(CREW_WARN,
			"%s: on_upgrade returned %d, which is no status to refuse with: 500",
			crew__worker_of(c)->service->name, status);
		status = 500;
	}
	crew__conn_opened(c);
	crew_reply_error(c, request, status, NULL);
	if (still_due(e))
		crew__http_refuse(c, status, CREW_END_APP);
}

void crew__http_upgrade(struct crew__exchange *e, const struct crew__http1_request *request,
	const crew_websocket *websocket)
{
	crew_conn *c = e->conn;
	crew_worker *w = crew__worker_of(c);
	uint8_t place = 0;
	int status = w->leaving == CREW__STAYS ? crew__ws_handshake_status(request) : 503;
	if (status == 0 && !origin_is_good(&request->public, websocket))
		status = 403;
	if (status == 0)
		status = choose(w, &request->public, websocket, &place);
	if (status != 0) {
		crew__http_refuse(c, status, CREW_END_HANDSHAKE);
		return;
	}
	if (websocket && websocket->on_upgrade) {
		status = ask(e, &request->public, websocket);
		if (!still_due(e))
			return;
		if (status != 0) {
			turn_down(e, &request->public, status);
			return;
		}
	}
	crew__session_save(e);
	crew__ws_upgrade(c, request, place);
}
