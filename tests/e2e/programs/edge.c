/* edge.c - a program at the edge of a network: behind proxies, with an access log, taking
 * WebSockets on its HTTP port.
 *
 *   GET /who     "CLIENT ID": who asked, and what the request is called
 *   POST /take   the length of the body
 *   GET /late    the answer after 100 ms
 *   /chat        a WebSocket for its own origin, "chat.v2 chat.v1"; echoes
 *   /listed      one for https://good.example
 *   /private     one for who has the cookie user=ann (others: 401); says whose it is
 *
 * Service `line` echoes lines; it tells each connection first where it comes from. */
#include <crew/crew.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- HTTP ---------------------------------------------------------------------------------- */

static void who(crew_conn *c, const crew_request *r)
{
	char client[128], text[200];
	crew_request_client(r, client, sizeof(client));
	snprintf(text, sizeof(text), "%s %s", client, crew_request_id(r));
	crew_reply(c, &(crew_response){ .body = crew_str(text) });
}

static void take(crew_conn *c, const crew_request *r)
{
	char text[32];
	snprintf(text, sizeof(text), "%zu", r->body.len);
	crew_reply(c, &(crew_response){ .body = crew_str(text) });
}

static void reply_late(crew_worker *w, void *arg)
{
	(void)w;
	uint64_t *id = arg;
	crew_reply(crew_find(*id), &(crew_response){ .body = CREW_BYTES("late") });
	free(id);
}

static void late(crew_conn *c, const crew_request *r)
{
	(void)r;
	uint64_t *id = malloc(sizeof(*id));
	if (!id)
		abort();
	*id = crew_id(c);
	if (crew_timer_after(crew_worker_of(c), 100, reply_late, id) < 0)
		abort();
}

/* ---- WebSockets ---------------------------------------------------------------------------- */

struct guest {
	bool private;
	char name[32];
};

static int let_in(crew_conn *c, const crew_request *r)
{
	struct guest *guest = crew_data(c);
	crew_bytes user = crew_request_cookie(r, "user");
	if (!user.data)
		return 401;
	if (user.len >= sizeof(guest->name))
		return 403;
	memcpy(guest->name, user.data, user.len);
	guest->private = true;
	crew_reply_header(c, "Set-Cookie", CREW_BYTES("seen=1"));
	return 0;
}

static void on_open(crew_conn *c)
{
	struct guest *guest = crew_data(c);
	if (guest->private)
		crew_send(c, crew_str(guest->name));
}

static void on_message(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

/* ---- lines --------------------------------------------------------------------------------- */

static void tell_where(crew_conn *c)
{
	char text[128];
	crew_remote(c, text, sizeof(text));
	crew_send(c, crew_str(text));
}

int main(int argc, char **argv)
{
	static const crew_websocket chat = { .protocols = "chat.v2 chat.v1" };
	static const crew_websocket listed = { .origins = "https://good.example" };
	static const crew_websocket private = { .origins = "*", .on_upgrade = let_in };
	static const crew_route routes[] = {
		{ .method = "GET", .path = "/who", .on_request = who },
		{ .method = "POST", .path = "/take", .on_request = take },
		{ .method = "GET", .path = "/late", .on_request = late },
		{ .path = "/chat", .websocket = &chat },
		{ .path = "/listed", .websocket = &listed },
		{ .path = "/private", .websocket = &private },
		{ 0 },
	};
	static const crew_service web = {
		.name = "web",
		.listen = "http://127.0.0.1:7120",
		.conn_size = sizeof(struct guest),
		.stop_timeout_ms = 500,
		.routes = routes,
		.on_open = on_open,
		.on_message = on_message,
	};
	static const crew_service line = {
		.name = "line",
		.listen = "text://127.0.0.1:7121",
		.stop_timeout_ms = 500,
		.on_open = tell_where,
		.on_message = on_message,
	};
	static const crew_service local = {
		.name = "local",
		.listen = "text+unix://RUNDIR/local.sock",
		.stop_timeout_ms = 500,
		.on_open = tell_where,
		.on_message = on_message,
	};
	return crew_main(argc, argv, &(crew_app){ .services = { &web, &line, &local } });
}
