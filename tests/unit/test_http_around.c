/* test_http_around.c - what stands around handlers: groups, what comes before and after, sessions
 * that cannot be fetched, handshakes of WebSockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route_ways.h"

#include <sys/socket.h>

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

/* ---- groups, and what comes before and after ----------------------------------------------- */

static bool pass(crew_conn *c, const crew_request *r)
{
	(void)c;
	(void)r;
	tell("pass");
	return true;
}

static bool guard(crew_conn *c, const crew_request *r)
{
	crew_bytes word = crew_request_header(r, "X-Guard");
	ways.id = crew_id(c);
	tell("guard");
	assert_non_null(crew_route_of(r));
	if (begins(text_of(word), "answer"))
		crew_reply_error(c, r, 403, "Not you.");
	else if (begins(text_of(word), "abort"))
		crew_abort(c);
	return !word.data || begins(text_of(word), "answer-go-on") ||
	       begins(text_of(word), "abort");
}

static bool inner(crew_conn *c, const crew_request *r)
{
	(void)r;
	tell("inner");
	assert_int_equal(crew_reply_header(c, "X-Inner", CREW_BYTES("1")), 0);
	return true;
}

static void sign(crew_conn *c, crew_response *response)
{
	(void)response;
	tell("sign");
	crew_reply_header(c, "X-Signed", CREW_BYTES("yes"));
}

static void shout(crew_conn *c, crew_response *response)
{
	tell("shout:%d", response->status);
	assert_int_equal(answer(c, "another"), -EINVAL); /* not from here */
	response->status = 202;
	response->body = CREW_BYTES("SHOUTED");
}

static void last_word(crew_conn *c, crew_response *response)
{
	(void)c;
	tell("last:%d", response->status);
	if (response->body.len == 5)
		crew_abort(c);
}

static const crew_route admin[] = {
	{ .path = "/", .on_request = home },
	{ .path = "/:id", .on_request = home, .before = { inner }, .after = { sign, shout } },
	{ .path = "/later", .on_request = later, .after = { shout } },
	{ .path = NULL },
};
static const crew_route inside[] = {
	{ .path = "/admin/", .group = admin, .before = { guard }, .after = { last_word } },
	{ .path = "/open", .on_request = home },
	{ .path = NULL },
};
static const crew_route grouped[] = {
	{ .path = "/", .group = inside, .before = { pass, pass } },
	{ .path = "/plain", .on_request = home },
	{ .path = NULL },
};
static const crew_service layers = {
	.name = "layers",
	.listen = "http://127.0.0.1:1",
	.routes = grouped,
	.on_close = tell_close,
};

static void outer_ones_first_before_and_last_after(void **state)
{
	ways_open_with(state, &layers, NULL);
	assert_string_equal(ask(WAYS_GET("/admin/7")),
		"HTTP/1.1 202 Accepted\r\nContent-Type: t/t\r\nContent-Length: 7\r\n"
		"X-Inner: 1\r\nX-Signed: yes\r\n\r\nSHOUTED");
	assert_string_equal(told(), "pass pass guard inner home:/admin/7 sign shout:0 last:202");
	assert_string_equal(ask(WAYS_GET("/open")), OK("4") "\r\nhome");
	assert_string_equal(told(), "pass pass home:/open");
	assert_string_equal(ask(WAYS_GET("/plain")), OK("4") "\r\nhome");
	assert_string_equal(told(), "home:/plain");
	assert_int_equal(counter(&ways.world, "send_invalid"), 1);
}

static void a_groups_own_path(void **state)
{
	ways_open_with(state, &layers, NULL);
	ask(WAYS_GET("/admin"));
	assert_string_equal(told(), "pass pass guard home:/admin last:0");
	ask(WAYS_GET("/admin/"));
	assert_string_equal(told(), "pass pass guard home:/admin/ last:0");
	must_begin(ask(WAYS_GET("/admin//")), "HTTP/1.1 404 ");
	assert_string_equal(told(), "");
}

static void late_answers_are_changed_as_well(void **state)
{
	ways_open_with(state, &layers, NULL);
	assert_string_equal(ask(WAYS_GET("/admin/later")), "");
	assert_true(answer(ways_conn(), "small") >= 0);
	assert_string_equal(told(), "pass pass guard later shout:0 last:202");
	must_begin(ways_hear(), "HTTP/1.1 202 ");
}

static void one_that_stops_it_answers(void **state)
{
	ways_open_with(state, &layers, NULL);
	const char *text = ask("GET /admin/7" HOST "X-Guard: answer\r\n\r\n");
	must_begin(text, "HTTP/1.1 202 "); /* the route's `after` sees every answer */
	assert_string_equal(told(), "pass pass guard sign shout:403 last:202");
	ask("GET /admin/7" HOST "X-Guard: answer-go-on\r\n\r\n"); /* but it has answered */
	assert_string_equal(told(), "pass pass guard sign shout:403 last:202");
	assert_string_equal(ask("GET /admin/7" HOST "X-Guard: wait\r\n\r\n"), "");
	assert_string_equal(told(), "pass pass guard");
	assert_true(answer(ways_conn(), "late") >= 0);
	must_have(ways_hear(), "SHOUTED");
	ask("GET /admin/7" HOST "X-Guard: abort\r\n\r\n");
	assert_string_equal(told(), "pass pass guard close:app");
}

static void an_after_function_may_end_it(void **state)
{
	ways_open_with(state, &layers, NULL);
	told_anew();
	ways_ask("GET /admin/" HOST "X-Guard: wait\r\n\r\n");
	assert_int_equal(answer(ways_conn(), "short"), -ENOTCONN);
	world_settle(&ways.world);
	assert_string_equal(told(), "pass pass guard last:0 close:app");
}

/* ---- sessions ------------------------------------------------------------------------------ */

/* Nobody listens at port 1: each look-up takes a while, and fails. */
static const crew_sessions unreachable = { .store = "redis://127.0.0.1:1", .insecure = true };
static const crew_route with_sessions[] = {
	{ .method = "POST", .path = "/stream", .on_request = later, .on_body = part },
	{ .path = "/page", .on_request = home, .before = { pass } },
	{ .path = NULL },
};
static const crew_service remembering = {
	.name = "remembering",
	.listen = "http://127.0.0.1:1",
	.routes = with_sessions,
	.sessions = &unreachable,
	.on_close = tell_close,
};

static bool peer_has_something(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

#define COOKIE "Cookie: sid=0123456789abcdefghijABCDEFGHIJ0123456789abc\r\n"

static void look_up(const char *request)
{
	told_anew();
	ways_ask(request);
	world_until(&ways.world, peer_has_something(ways.peer));
	ways_hear();
}

static void without_its_session_no_request_is_handled(void **state)
{
	ways_open_with(state, &remembering, NULL);
	look_up("GET /page" HOST COOKIE "\r\n" WAYS_GET("/nowhere"));
	must_begin(ways.room, "HTTP/1.1 503 ");
	must_have(ways.room, "HTTP/1.1 404 ");
	assert_string_equal(told(), "");
	look_up("POST /stream" HOST COOKIE "\r\n");
	must_begin(ways.room, "HTTP/1.1 503 ");
	look_up("POST /stream" HOST COOKIE "Content-Length: 3\r\n\r\nabc");
	must_begin(ways.room, "HTTP/1.1 503 ");
	assert_string_equal(told(), "");
	ask(WAYS_GET("/page")); /* it has none that would have to be found */
	assert_string_equal(told(), "pass home:/page");
}

/* ---- WebSockets on a route ----------------------------------------------------------------- */

#define HANDSHAKE                                       \
	"Connection: Upgrade\r\nUpgrade: websocket\r\n" \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static const crew_websocket chat = { .origins = "*" };
static const crew_route sockets[] = {
	{ .path = "/chat", .websocket = &chat },
	{ .path = "/both", .websocket = &chat, .on_request = home },
	{ .path = "/guarded", .websocket = &chat, .before = { guard } },
	{ .path = "/page", .on_request = home },
	{ .path = NULL },
};
static const crew_service mixed = {
	.name = "mixed",
	.listen = "http://127.0.0.1:1",
	.routes = sockets,
	.on_open = tell_open,
	.on_close = tell_close,
};

static void a_route_takes_handshakes(void **state)
{
	ways_open_with(state, &mixed, NULL);
	must_begin(ask("GET /both" HOST "\r\n"), OK("4"));
	must_begin(ask("GET /both" HOST HANDSHAKE), "HTTP/1.1 101 ");
	assert_string_equal(told(), "open");
	assert_int_equal(counter(&ways.world, "total_request"), 1);
}

static void what_comes_before_sees_handshakes(void **state)
{
	ways_open_with(state, &mixed, NULL);
	must_begin(ask("GET /guarded" HOST "X-Guard: answer\r\n" HANDSHAKE), "HTTP/1.1 403 ");
	assert_string_equal(told(), "guard");
	assert_int_equal(counter(&ways.world, "total_request"), 1);
	must_begin(ask("GET /guarded" HOST HANDSHAKE), "HTTP/1.1 101 ");
	assert_string_equal(told(), "guard open");
}

static void elsewhere_a_handshake_is_a_request(void **state)
{
	ways_open_with(state, &mixed, NULL);
	assert_string_equal(ask("GET /page" HOST HANDSHAKE), OK("4") "\r\nhome");
	assert_string_equal(told(), "home:/page");
	assert_int_equal(counter(&ways.world, "total_request"), 1);
	must_begin(ask("GET /nowhere" HOST HANDSHAKE), "HTTP/1.1 404 ");
	must_begin(ask("POST /chat" HOST "\r\n"), "HTTP/1.1 405 ");
	must_begin(ask("GET /chat" HOST "\r\n"), "HTTP/1.1 426 ");
	must_have(ways.room, "Upgrade: websocket\r\n");
}

static const crew_route pages[] = {
	{ .path = "/", .on_request = home },
	{ .path = NULL },
};
static const crew_service sockets_first = {
	.name = "sockets",
	.listen = "ws://127.0.0.1:1",
	.routes = pages,
	.on_open = tell_open,
	.on_close = tell_close,
};

static void a_websocket_service_has_pages(void **state)
{
	ways_open_with(state, &sockets_first, NULL);
	assert_string_equal(ask(WAYS_GET("/")), OK("4") "\r\nhome");
	must_begin(ask(WAYS_GET("/nowhere")), "HTTP/1.1 404 ");
	must_begin(ask("GET /" HOST HANDSHAKE), "HTTP/1.1 101 ");
	assert_string_equal(told(), "open");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(outer_ones_first_before_and_last_after),
		ON_BOTH(a_groups_own_path),
		ON_BOTH(late_answers_are_changed_as_well),
		ON_BOTH(one_that_stops_it_answers),
		ON_BOTH(an_after_function_may_end_it),
		ON_BOTH(without_its_session_no_request_is_handled),
		ON_BOTH(a_route_takes_handshakes),
		ON_BOTH(what_comes_before_sees_handshakes),
		ON_BOTH(elsewhere_a_handshake_is_a_request),
		ON_BOTH(a_websocket_service_has_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
