/* http_upgrade.c - from HTTP to WebSocket (RFC 6455 section 4.2): who is let in, with which
 * sub-protocol, and compressed or not. What follows is the business of ws.c. */
#include "service/http.h"

#include "service/http_route.h"
#include "web/origin.h"
#include "web/subprotocol.h"

#include <string.h>

enum {
	GROUPS_MOST = 32
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
		*ret_place = crew__subprotocol_place(w, name);
	return found > 0 && *ret_place == 0 ? 503 : 0;
}

/* ---- compression --------------------------------------------------------------------------- */

/* 0, or the status that the offer deserves. With shared windows every message stands by itself, in
 * both directions: a client must do so when the answer says so, offered or not (RFC 7692 7.1.1.2).
 */
static int agree(
	const crew_worker *w, const crew_request *request, struct crew__ws_terms *ret_terms)
{
	bool resets = w->settings->deflate == CREW__DEFLATE_SHARED;
	if (w->settings->deflate == CREW__DEFLATE_OFF)
		return 0;
	int found = crew__ws_extension_choose(
		request->headers, request->header_count, resets, ret_terms);
	return found < 0 ? 400 : 0;
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
	struct crew__ws_agreed agreed = { 0 };
	int status = crew__departure_takes_upgrades(w) ? crew__ws_handshake_status(request) : 503;
	if (status == 0 && !origin_is_good(&request->public, websocket))
		status = 403;
	if (status == 0)
		status = choose(w, &request->public, websocket, &agreed.subprotocol);
	if (status == 0)
		status = agree(w, &request->public, &agreed.terms);
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
	crew__ws_upgrade(c, request, &agreed);
}
