/* test_http_upgrade.c - WebSockets on HTTP ports: who is let in, with which sub-protocol, what the
 * program sees of the request, and that everything else of a WebSocket works there too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "ws_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 18
};

static struct {
	struct world world;
	int peer;
	int upgrades;
	char room[ROOM];
} t;

/* The query says what is to become of it. */
static int on_upgrade(crew_conn *c, const crew_request *r)
{
	crew_bytes what = r->query;
	t.upgrades++;
	assert_non_null(crew_data(c));
	*(char *)crew_data(c) = 'u';
	tell("upgrade:%.*s", (int)what.len, what.data);
	if (what.len > 0 && what.data[0] == 'c')
		tell("cookie:%.*s", (int)crew_request_cookie(r, "user").len,
			crew_request_cookie(r, "user").data);
	if (what.len > 0 && what.data[0] == 's')
		assert_int_equal(
			crew_reply_header(c, "Set-Cookie", (crew_bytes)CREW_BYTES("a=b")), 0);
	if (what.len > 0 && what.data[0] == 'a')
		crew_abort(c);
	if (what.len > 0 && what.data[0] == 'x')
		crew_close(c);
	if (what.len > 0 && what.data[0] == 'r')
		crew_reply(c, &(crew_response){ .status = 299, .body = CREW_BYTES("own") });
	if (what.len > 0 && what.data[0] == '-')
		return -1;
	return what.len == 3 && what.data[0] >= '2' && what.data[0] <= '9'
		       ? (what.data[0] - '0') * 100 + (what.data[1] - '0') * 10 + what.data[2] - '0'
		       : 0;
}

static void on_open(crew_conn *c)
{
	tell("open:%s%s", crew_websocket_protocol(c),
		crew_data(c) && *(char *)crew_data(c) == 'u' ? "+" : "");
}

static void on_message(crew_conn *c, crew_msg msg)
{
	tell("message:%.*s", (int)msg.body.len, msg.body.data);
	assert_true(crew_send(c, msg.body) >= 0);
}

static void on_request(crew_conn *c, const crew_request *r)
{
	(void)r;
	assert_string_equal(crew_websocket_protocol(c), "");
	assert_true(crew_reply(c, &(crew_response){ .body = CREW_BYTES("plain") }) >= 0);
}

static const crew_websocket any = { .origins = "*" };
static const crew_websocket own = { .protocols = "chat.v2 chat.v1" };
static const crew_websocket listed = { .origins = "https://good.example http://a.example:8080",
	.protocols = "chat.v1 other" };
static const crew_websocket asked = { .origins = "*", .on_upgrade = on_upgrade };
static const crew_route below[] = { { .path = "/asked", .websocket = &asked }, { 0 } };
static const crew_route routes[] = {
	{ .path = "/any", .websocket = &any, .on_request = on_request },
	{ .path = "/own", .websocket = &own },
	{ .path = "/listed", .websocket = &listed },
	{ .path = "/plain", .on_request = on_request },
	{ .path = "/in", .group = below },
	{ 0 },
};
static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.conn_size = 1,
	.routes = routes,
	.on_open = on_open,
	.on_message = on_message,
	.on_close = tell_close,
};
static const crew_service ws = {
	.name = "ws", .listen = "ws://127.0.0.1:1", .on_open = on_open, .on_close = tell_close
};
static const crew_service strict = { .name = "strict",
	.listen = "ws://127.0.0.1:1",
	.conn_size = 1,
	.websocket = &own,
	.on_open = on_open,
	.on_close = tell_close };
static const crew_service asking = { .name = "asking",
	.listen = "ws://127.0.0.1:1",
	.conn_size = 1,
	.websocket = &asked,
	.on_open = on_open,
	.on_close = tell_close };

static void usual(struct crew__service_settings *s)
{
	s->linger_ms = 0;
}

static void pinging(struct crew__service_settings *s)
{
	usual(s);
	s->heartbeat_ms = 30;
}

static void open_with(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, offsetof(__typeof__(t), room));
	t.room[0] = '\0';
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), adjust));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
	assert_string_equal(told(), "");
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	t.peer = -1;
	world_clean_up(&t.world);
	return 0;
}

static const char *hear(void)
{
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	return t.room;
}

/* The status of the answer; the rest is in t.room. */
static int ask_with(const char *path, const char *fields, const char *version)
{
	static char request[100 * 1024];
	snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Version: %s\r\n%s\r\n",
		path, version, fields);
	peer_says(t.peer, crew_str(request));
	world_settle(&t.world);
	return atoi(hear() + strlen("HTTP/1.1 "));
}

static int ask(const char *path, const char *fields)
{
	return ask_with(path, fields, "13");
}

/* On a connection of its own. */
static int ask_anew(const char *path, const char *fields)
{
	close(t.peer);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	told_anew();
	t.peer = world_connect(&t.world);
	return ask(path, fields);
}

static void say_frame(unsigned byte0, const char *payload)
{
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, byte0, payload, strlen(payload));
	peer_says(t.peer, (crew_bytes){ s.data, s.len });
	free(s.data);
	world_settle(&t.world);
}

/* ---- on the routes of an HTTP service ------------------------------------------------------ */

static void on_a_route(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/any", ""), 101);
	assert_non_null(strstr(t.room, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_null(strstr(t.room, "Sec-WebSocket-Protocol"));
	assert_string_equal(told(), "open:");
	say_frame(WS_TEXT, "hi");
	assert_string_equal(told(), "open: message:hi");
	assert_memory_equal(hear(), "\x81\x02hi", 4);
	say_frame(WS_PINGING, "p");
	assert_memory_equal(hear(), "\x8a\x01p", 3);
	say_frame(WS_CLOSING, "\x03\xe8");
	assert_memory_equal(hear(), "\x88\x02\x03\xe8", 4);
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "open: message:hi close:peer");
}

/* Opened for the program when it is a WebSocket, not before. */
static void after_plain_requests(void **state)
{
	open_with(state, &web, usual);
	peer_says(t.peer, CREW_BYTES("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
				     "GET /any HTTP/1.1\r\nHost: a\r\n\r\n"));
	world_settle(&t.world);
	assert_non_null(strstr(hear(), "plain"));
	assert_string_equal(told(), "");
	assert_int_equal(counter(&t.world, "total_request"), 2);
	assert_int_equal(ask("/any", ""), 101);
	assert_string_equal(told(), "open:");
	say_frame(WS_TEXT, "hi");
	assert_string_equal(told(), "open: message:hi");
}

static void frames_behind_the_request(void **state)
{
	static const char request[] =
		"GET /any HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"Sec-WebSocket-Version: 13\r\n\r\n";
	open_with(state, &web, usual);
	struct ws_stream s = ws_stream_new();
	ws_put(&s, request, sizeof(request) - 1);
	ws_put_frame(&s, WS_TEXT, "at once", 7);
	peer_says(t.peer, (crew_bytes){ s.data, s.len });
	free(s.data);
	world_settle(&t.world);
	assert_string_equal(told(), "open: message:at once");
}

static void other_routes_take_none(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/plain", ""), 200); /* RFC 9110 7.8: an upgrade may be ignored */
	assert_int_equal(ask_anew("/nowhere", ""), 404);
	assert_null(strstr(told(), "open"));
}

static void bad_handshakes(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask_with("/any", "", "12"), 426);
	assert_non_null(strstr(t.room, "Sec-WebSocket-Version: 13\r\n"));
	assert_int_equal(ask_anew("/any", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400);
	/* With a body it is none (field-bugs 28). */
	assert_int_not_equal(ask_anew("/own", "Content-Length: 3\r\n\r\nabc"), 101);
	assert_string_equal(told(), "");
}

static void a_plain_request_to_a_route_for_websockets(void **state)
{
	open_with(state, &web, usual);
	peer_says(t.peer, CREW_BYTES("GET /own HTTP/1.1\r\nHost: a\r\n\r\n"));
	world_settle(&t.world);
	assert_non_null(strstr(hear(), "HTTP/1.1 426"));
}

static void everything_else_of_a_websocket(void **state)
{
	crew_shared *s = crew_shared_new(CREW_BYTES("to all"));
	open_with(state, &web, pinging);
	int plain = world_connect(&t.world);
	assert_int_equal(crew_broadcast(&web, s), 0); /* there are none but of HTTP */
	assert_int_equal(ask("/any", ""), 101);
	assert_int_equal(crew_broadcast(&web, s), 1);
	crew_shared_unref(s);
	assert_memory_equal(hear(), "\x81\x06to all", 8);
	/* Silent: a ping, and then the end. */
	world_until(&t.world, hear()[0] == '\x89');
	world_until(&t.world, counter(&t.world, "close_heartbeat") == 1);
	assert_string_equal(told(), "open: close:heartbeat");
	assert_int_equal(counter(&t.world, "connections"), 1);
	close(plain);
}

static void the_close_of_the_program(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/any", ""), 101);
	assert_int_equal(crew_close_with(world_conn(&t.world, 0), 4321, CREW_BYTES("why")), 0);
	world_settle(&t.world);
	assert_memory_equal(hear(), "\x88\x05\x10\xe1why", 7);
}

static void on_done(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	tell("done");
}

static void a_worker_that_stops(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/any", ""), 101);
	const struct crew__worker_stop stop = {
		.window_ms = 400, .close_code = 1012, .done = on_done
	};
	crew__worker_stop(t.world.worker, &stop);
	world_settle(&t.world);
	/* The only one is as likely to be the first as the last of a walk over four slots. */
	const char *heard = "";
	world_until(&t.world, (heard = hear())[0]);
	assert_memory_equal(heard + 2, "\x03\xf4reload; retry-after-ms=", 25);
	world_until(&t.world, strstr(told(), "done"));
	assert_string_equal(told(), "open: close:drain done");
}

/* ---- origins ------------------------------------------------------------------------------- */

static void its_own_host_where_none_is_listed(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/own", "Origin: http://a.example\r\n"), 101);
	assert_int_equal(ask_anew("/own", "Origin: https://a.example\r\n"), 101);
	assert_int_equal(ask_anew("/own", ""), 101); /* no browser */
	static const char *const bad[] = { "Origin: http://b.example\r\n", "Origin: null\r\n",
		"Origin: http://a.example.evil.example\r\n", "Origin: \r\n",
		"Origin: a.example\r\n", "Origin: http://a.example/\r\n",
		"Origin: http://a.example:81\r\n",
		"Origin: http://b.example\r\nOrigin: http://a.example\r\n",
		"Origin: http://a.example\r\nOrigin: http://a.example\r\n" };
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		if (ask_anew("/own", bad[i]) != 403)
			fail_msg("%s: %s", bad[i], t.room);
		assert_string_equal(told(), "");
	}
	assert_true(counter(&t.world, "close_handshake") >= 7);
}

static void listed_origins(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/listed", "Origin: https://good.example\r\n"), 101);
	assert_int_equal(ask_anew("/listed", "Origin: http://a.example:8080\r\n"), 101);
	assert_int_equal(ask_anew("/listed", ""), 101);
	assert_int_equal(ask_anew("/listed", "Origin: http://a.example\r\n"), 403);
	assert_int_equal(ask_anew("/listed", "Origin: http://good.example\r\n"), 403);
	assert_int_equal(ask_anew("/any", "Origin: http://anywhere.example\r\n"), 101);
	assert_int_equal(ask_anew("/any", "Origin: null\r\n"), 101);
}

/* ---- sub-protocols ------------------------------------------------------------------------- */

#define OFFER(list) "Sec-WebSocket-Protocol: " list "\r\n"

static void the_best_of_ours(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/own", OFFER("chat.v1, chat.v2")), 101);
	assert_non_null(strstr(t.room, "\r\nSec-WebSocket-Protocol: chat.v2\r\n"));
	assert_string_equal(told(), "open:chat.v2");
	assert_int_equal(ask_anew("/own", OFFER("x") OFFER("chat.v1")), 101);
	assert_string_equal(told(), "open:chat.v1");
	assert_int_equal(ask_anew("/own", OFFER("x, y")), 101);
	assert_string_equal(told(), "open:");
	assert_null(strstr(t.room, "Sec-WebSocket-Protocol"));
	assert_int_equal(ask_anew("/listed", OFFER("other")), 101);
	assert_string_equal(told(), "open:other");
	assert_int_equal(ask_anew("/any", OFFER("chat.v1")), 101);
	assert_string_equal(told(), "open:");
	assert_int_equal(ask_anew("/own", OFFER("chat.v1 chat.v2")), 400);
	assert_string_equal(crew_websocket_protocol(NULL), "");
}

/* ---- with the request at hand -------------------------------------------------------------- */

static void the_program_looks_at_the_request(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/in/asked?c", "Cookie: user=ann\r\n"), 101);
	assert_string_equal(told(), "upgrade:c cookie:ann open:+");
	assert_int_equal(counter(&t.world, "total_request"), 1);
	assert_int_equal(ask_anew("/in/asked?s", ""), 101);
	assert_non_null(strstr(t.room, "\r\nSet-Cookie: a=b\r\n\r\n"));
	say_frame(WS_TEXT, "hi");
	assert_string_equal(told(), "upgrade:s open:+ message:hi");
}

/* Refused, it is a connection of HTTP as before: the next request may be another one. */
static void it_may_refuse_with_any_status(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/in/asked?401", ""), 401);
	assert_int_equal(ask("/in/asked?503", ""), 503);
	assert_int_equal(ask("/in/asked?-", ""), 500);
	assert_int_equal(counter(&t.world, "connections"), 1);
	assert_string_equal(told(), "upgrade:401 upgrade:503 upgrade:-");
	assert_int_equal(ask("/in/asked", ""), 101);
	assert_string_equal(told(), "upgrade:401 upgrade:503 upgrade:- upgrade: open:+");
	close(t.peer);
	t.peer = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_non_null(strstr(told(), "open:+ close:peer"));
}

static void it_may_do_something_else(void **state)
{
	open_with(state, &web, usual);
	assert_int_equal(ask("/in/asked?reply", ""), 299);
	assert_string_equal(told(), "upgrade:reply");
	ask_anew("/in/asked?abort", "");
	assert_string_equal(told(), "upgrade:abort close:app");
	ask_anew("/in/asked?x", "");
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "upgrade:x close:app");
	assert_null(strstr(t.room, "101"));
}

/* ---- services of ws:// --------------------------------------------------------------------- */

static void without_a_word_anybody_is_taken(void **state)
{
	open_with(state, &ws, usual);
	assert_int_equal(ask("/", "Origin: http://evil.example\r\n" OFFER("a b")), 101);
	assert_string_equal(told(), "open:");
}

static void with_one_they_are_judged(void **state)
{
	open_with(state, &strict, usual);
	assert_int_equal(ask("/x", "Origin: http://evil.example\r\n"), 403);
	assert_int_equal(ask_anew("/x", "Origin: http://a.example\r\n" OFFER("chat.v1")), 101);
	assert_string_equal(told(), "open:chat.v1");
	assert_int_equal(ask_anew("/x", ""), 101);
}

static void there_too_it_may_refuse(void **state)
{
	open_with(state, &asking, usual);
	assert_int_equal(ask("/?401", ""), 401);
	assert_int_equal(counter(&t.world, "total_request"), 1);
	assert_int_equal(ask("/", ""), 101);
	assert_string_equal(told(), "upgrade:401 upgrade: open:+");
	assert_int_equal(ask_anew("/?401", ""), 401);
	close(t.peer);
	t.peer = -1;
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "upgrade:401 close:peer");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(on_a_route),
		ON_BOTH(after_plain_requests),
		ON_BOTH(frames_behind_the_request),
		ON_BOTH(other_routes_take_none),
		ON_BOTH(bad_handshakes),
		ON_BOTH(a_plain_request_to_a_route_for_websockets),
		ON_BOTH(everything_else_of_a_websocket),
		ON_BOTH(the_close_of_the_program),
		ON_BOTH(a_worker_that_stops),
		ON_BOTH(its_own_host_where_none_is_listed),
		ON_BOTH(listed_origins),
		ON_BOTH(the_best_of_ours),
		ON_BOTH(the_program_looks_at_the_request),
		ON_BOTH(it_may_refuse_with_any_status),
		ON_BOTH(it_may_do_something_else),
		ON_BOTH(without_a_word_anybody_is_taken),
		ON_BOTH(with_one_they_are_judged),
		ON_BOTH(there_too_it_may_refuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
