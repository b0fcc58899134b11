/* http_route.c - which route takes a request, what comes before its handler, what no route takes.
 *
 *   head whole ─▸ find: plan, params, limits, CORS fields
 *   request whole (or its head, for on_body) ─▸ dispatch:
 *       preflight? ─▸ session ─▸ before ... ─▸ on_request | files | upgrade
 *                        └─ being fetched: dispatch is called again
 *
 * A service without routes, cors and sessions has no plans, and goes straight to its handler. */
#include "service/http_route.h"

#include "web/percent.h"

#include <stdlib.h>
#include <string.h>

static bool has_plans(const crew_service *s)
{
	return s->routes || s->cors || s->sessions;
}

int crew__routes_new(crew_worker *w)
{
	if (!has_plans(w->service))
		return 0;
	struct crew__routes *routes = calloc(1, sizeof(*routes));
	if (!routes)
		return -ENOMEM;
	w->http->routes = routes;
	routes->router = crew__router_new();
	return routes->router ? crew__route_table(routes, w) : -ENOMEM;
}

void crew__routes_free(crew_worker *w)
{
	struct crew__routes *routes = w->http->routes;
	if (!routes)
		return;
	crew__router_free(routes->router);
	crew__arena_release(&routes->arena);
	free(routes);
	w->http->routes = NULL;
}

/* ---- find ---------------------------------------------------------------------------------- */

static struct crew__routes *routes_of(const struct crew__exchange *e)
{
	return crew__worker_of(e->conn)->http->routes;
}

static crew__rarely const struct crew__resource *look_up_again(
	struct crew__exchange *e, crew_bytes path)
{
	return crew__router_match(routes_of(e)->router, path, e->side->params);
}

/* Whose CORS fields an answer about the resource gets: those of the route that takes the request,
 * and for a preflight, of the route that it asks about. */
static crew__rarely const crew_cors *cors_about(const struct crew__resource *resource,
	const struct crew__action *action, const crew_request *request)
{
	crew_bytes asked = crew__cors_asked(request);
	const struct crew__action *other = asked.data ? crew__resource_action(resource, asked)
						      : NULL;
	if (!other)
		other = action ? action : &resource->actions[0];
	return ((const struct crew__route_plan *)other->target)->cors;
}

static bool is_on(const crew_cors *cors)
{
	return cors && cors->origins;
}

static void note_cors(struct crew__exchange *e, const crew_request *request, const crew_cors *cors)
{
	if (is_on(cors))
		crew__cors_note(e, request, cors);
}

static __attribute__((noinline)) void name_params(
	struct crew__request_side *side, const struct crew__action *action)
{
	side->param_count = action->name_count;
	for (unsigned i = 0; i < action->name_count; i++)
		side->params[i].name = action->names[i];
}

/* It is nobody's, or something is to be said about CORS: once, though a request whose body was
 * waited for is looked at again. */
static crew__rarely void find_more(struct crew__exchange *e, const crew_request *request,
	const struct crew__resource *resource, const struct crew__action *action)
{
	struct crew__routes *routes = routes_of(e);
	bool again = e->route != NULL;
	e->route = action ? action->target : &routes->rest;
	if (again)
		return;
	note_cors(e, request, resource ? cors_about(resource, action, request) : routes->rest.cors);
}

/* Flat, as every request pays for the calls. */
__attribute__((flatten)) void crew__routes_find(struct crew__exchange *e,
	const crew_request *request, uint64_t *ret_limit, bool *ret_stream)
{
	const crew_worker *w = crew__worker_of(e->conn);
	const struct crew__route_plan *plan;
	const struct crew__action *action = NULL;
	struct crew__request_side *side = e->side;
	*ret_limit = w->max_message;
	*ret_stream = false;
	if (!w->http->routes)
		return;
	const struct crew__resource *resource = crew__router_match(
		w->http->routes->router, request->path, side->params);
	if (crew__likely(resource != NULL))
		action = crew__resource_action(resource, request->method);
	if (crew__unlikely(!action)) {
		find_more(e, request, resource, NULL);
		return;
	}
	plan = action->target;
	side->route = plan->route;
	e->has_after = plan->after != NULL;
	if (plan->limit != 0)
		*ret_limit = plan->limit;
	*ret_stream = plan->stream;
	if (action->name_count > 0)
		name_params(side, action);
	if (crew__unlikely(plan->cors != NULL))
		find_more(e, request, resource, action);
	else
		e->route = plan;
}

/* ---- what no route takes ------------------------------------------------------------------- */

static bool is_options(const crew_request *request)
{
	return request->method.len == 7 && memcmp(request->method.data, "OPTIONS", 7) == 0;
}

static void answer_options(struct crew__exchange *e, crew_bytes allow)
{
	const crew_header field = { CREW_BYTES("Allow"), allow };
	crew__answer_own(
		e, &(crew_response){ .status = 204, .headers = &field, .header_count = 1 });
}

/* A browser asks whether a script may. True: it has been told. A route of the program's own for
 * OPTIONS that says nothing of CORS is to tell it itself. */
static bool answer_preflight(struct crew__exchange *e, const crew_request *request)
{
	crew_bytes methods = crew__cors_asked(request);
	const crew_cors *cors = e->route->cors;
	if (!methods.data || (e->route->route && !is_on(cors)))
		return false;
	const struct crew__resource *resource = look_up_again(e, request->path);
	if (resource) {
		cors = cors_about(resource, NULL, request);
		methods = resource->any ? methods : resource->allow;
	} else if (!crew__worker_of(e->conn)->service->on_request) {
		return false;
	}
	if (!is_on(cors))
		return false;
	crew__cors_preflight(e, request, cors, methods);
	return true;
}

/* True: it is for the service's on_request or its WebSockets. */
static bool is_for_service(struct crew__exchange *e, const crew_request *request, bool upgrade)
{
	const crew_service *service = crew__worker_of(e->conn)->service;
	const crew_bytes none = { NULL, 0 };
	const struct crew__resource *resource;
	if (upgrade || !service->routes)
		return true;
	if (!crew__percent_good(request->path)) {
		crew__answer_error(e, request, 400, "The path has a malformed escape.", none);
		return false;
	}
	resource = look_up_again(e, request->path);
	if (request->path.len == 1 && *request->path.data == '*' && routes_of(e)->all.count > 0)
		resource = &routes_of(e)->all;
	if (!resource && service->on_request)
		return true;
	if (!resource)
		crew__answer_error(e, request, 404, "There is nothing at this address.", none);
	else if (is_options(request))
		answer_options(e, resource->allow);
	else
		crew__answer_error(e, request, 405, "This address does not know that method.",
			resource->allow);
	return false;
}

/* ---- dispatch ------------------------------------------------------------------------------ */

static const struct crew__http1_request *parsed(const crew_request *request)
{
	return crew__container_of(request, struct crew__http1_request, public);
}

static bool still_due(const struct crew__exchange *e)
{
	return e->conn->record->state <= CREW__CONN_OPEN && crew__exchange_of(e->conn) == e &&
	       e->answer == CREW__ANSWER_DUE;
}

/* One that asked for a WebSocket, and which the program gets to see before that, or instead: http.c
 * has not done for it what it does for other requests. */
static crew__rarely void show(crew_conn *c)
{
	crew__side(c)->shown = true;
	crew__count_request(crew__worker_of(c));
	crew__conn_opened(c);
}

static inline void call(struct crew__exchange *e, crew_request_fn *fn, const crew_request *request)
{
	crew_worker *w = crew__worker_of(e->conn);
	struct crew__entered before = crew__enter(w, CREW__CB_REQUEST);
	fn(e->conn, request);
	crew__leave(w, before);
}

/* To the service itself. */
static void serve(struct crew__exchange *e, const crew_request *request, bool upgrade)
{
	crew_worker *w = crew__worker_of(e->conn);
	bool ws = w->kind == CREW__WS;
	if (upgrade)
		crew__http_upgrade(e, parsed(request), w->service->websocket);
	else if (w->service->on_request)
		call(e, w->service->on_request, request);
	else
		crew__http_refuse(e->conn, ws ? 426 : 404, ws ? CREW_END_HANDSHAKE : CREW_END_APP);
}

/* True: it is there. What of the body has not been read waits as long as it is fetched. */
static bool fetch_session(
	struct crew__exchange *e, const crew_request *request, const crew_sessions *sessions)
{
	crew_conn *c = e->conn;
	int result = crew__session_begin(e, request, sessions);
	if (result < 0)
		crew__answer_error(e, request, 503, "The sessions cannot be reached just now.",
			(crew_bytes){ NULL, 0 });
	else if (result > 0 && !e->body_done)
		crew__conn_stop_reading(c, CREW__C_WAITING);
	else if (result == 0 && !e->body_done)
		crew__conn_go_on_reading(c, CREW__C_WAITING);
	return result == 0;
}

/* False: one of them has answered, or will. */
static bool run_before(
	struct crew__exchange *e, const crew_request *request, crew_before_fn *const *before)
{
	crew_worker *w = crew__worker_of(e->conn);
	bool go_on = true;
	for (; go_on && *before; before++) {
		struct crew__entered entered = crew__enter(w, CREW__CB_REQUEST);
		go_on = (*before)(e->conn, request);
		crew__leave(w, entered);
		go_on = go_on && still_due(e);
	}
	return go_on;
}

static crew_bytes decoded(struct crew__request_side *side, crew_bytes text)
{
	if (!text.data || !memchr(text.data, '%', text.len))
		return text;
	char *room = crew__arena_take(&side->arena, text.len);
	int64_t len = room ? crew__percent_decode(text, room, false) : -ENOMEM;
	return len < 0 ? (crew_bytes){ NULL, 0 } : (crew_bytes){ room, (size_t)len };
}

static void send_file(
	struct crew__exchange *e, const crew_request *request, const crew_files *files)
{
	struct crew__request_side *side = e->side;
	crew_bytes path = decoded(side, side->params[side->param_count - 1].value);
	if (!path.data || crew_reply_file(e->conn, request, files, path) < 0)
		if (still_due(e))
			crew__answer_error(e, request, 503, NULL, (crew_bytes){ NULL, 0 });
}

static void hand_over(struct crew__exchange *e, const crew_request *request,
	const crew_route *route, bool upgrade)
{
	const crew_websocket *websocket = route->websocket;
	if (upgrade)
		crew__http_upgrade(e, parsed(request),
			websocket ? websocket : crew__worker_of(e->conn)->service->websocket);
	else if (route->files)
		send_file(e, request, route->files);
	else if (route->on_request)
		call(e, route->on_request, request);
	else
		crew__http_refuse(e->conn, 426, CREW_END_HANDSHAKE);
}

/* A WebSocket service takes handshakes wherever no route says otherwise. */
static bool is_upgrade(const struct crew__exchange *e, const crew_request *request)
{
	const struct crew__route_plan *plan = e->route;
	if (crew__likely(!parsed(request)->upgrade_websocket))
		return false;
	return crew__worker_of(e->conn)->kind == CREW__WS ||
	       (plan && plan->route && plan->route->websocket);
}

/* True: the handler is to be called now. */
static bool prepare(struct crew__exchange *e, const crew_request *request, bool upgrade)
{
	const struct crew__route_plan *plan = e->route;
	if (crew__unlikely(plan->cors || !plan->route) && answer_preflight(e, request))
		return false;
	if (!plan->route && !is_for_service(e, request, upgrade))
		return false;
	return !plan->sessions || fetch_session(e, request, plan->sessions);
}

static void dispatch(struct crew__exchange *e, const crew_request *request)
{
	const struct crew__route_plan *plan = e->route;
	bool upgrade = is_upgrade(e, request);
	if (plan && !prepare(e, request, upgrade))
		return;
	if (parsed(request)->upgrade_websocket && (!upgrade || (plan && plan->before)))
		show(e->conn);
	if (plan && plan->before && !run_before(e, request, plan->before))
		e->turned_away = true;
	else if (plan && plan->route)
		hand_over(e, request, plan->route, upgrade);
	else
		serve(e, request, upgrade);
}

void crew__routes_dispatch(struct crew__exchange *e, const crew_request *request)
{
	const struct crew__route_plan *plan = e->route;
	crew_request_fn *handler = plan ? plan->route ? plan->route->on_request : NULL
					: crew__worker_of(e->conn)->service->on_request;
	bool is_plain = handler && (!plan || plan->is_plain);
	if (crew__likely(is_plain && !parsed(request)->upgrade_websocket))
		call(e, handler, request);
	else
		dispatch(e, request);
}

/* ---- around the handler -------------------------------------------------------------------- */

void crew__routes_body(struct crew__exchange *e, crew_bytes part, bool last)
{
	crew_conn *c = e->conn;
	crew_worker *w = crew__worker_of(c);
	if (e->finding_out || e->turned_away) /* the handler comes first: see above */
		return;
	struct crew__entered before = crew__enter(w, CREW__CB_REQUEST);
	e->route->route->on_body(c, part, last);
	crew__leave(w, before);
}

void crew__routes_after(struct crew__exchange *e, crew_response *response)
{
	const struct crew__route_plan *plan = e->route;
	crew_conn *c = e->conn;
	crew_worker *w = crew__worker_of(c);
	if (crew__likely(!plan || !plan->after))
		return;
	for (crew_after_fn *const *after = plan->after; *after; after++) {
		if (c->record->state > CREW__CONN_OPEN)
			return;
		struct crew__entered before = crew__enter(w, CREW__CB_REQUEST);
		(*after)(c, response);
		crew__leave(w, before);
	}
}

/* ---- what the program asks ----------------------------------------------------------------- */

crew_bytes crew_request_path(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	if (!side)
		return (crew_bytes){ NULL, 0 };
	if (!side->path.data)
		side->path = decoded(side, request->path);
	return side->path;
}

crew_bytes crew_request_param(const crew_request *request, const char *name)
{
	struct crew__request_side *side = crew__request_side(request);
	crew_bytes wanted = crew_str(name);
	for (uint32_t i = 0; side && i < side->param_count; i++) {
		crew_bytes own = side->params[i].name;
		if (own.len > 0 && own.len == wanted.len &&
			memcmp(own.data, wanted.data, own.len) == 0)
			return decoded(side, side->params[i].value);
	}
	return (crew_bytes){ NULL, 0 };
}

const crew_route *crew_route_of(const crew_request *request)
{
	struct crew__request_side *side = crew__request_side(request);
	return side ? side->route : NULL;
}
