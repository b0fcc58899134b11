/* test_http_route.c - routes of a service: which handler a request reaches, what comes before and
 * after it, what no route takes, bodies in parts. Tables that are wrong: test_http_table.c; scripts
 * of other sites: test_http_cors.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <stdio.h>
#include <sys/socket.h>

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

#define HOST   " HTTP/1.1\r\nHost: a\r\n"
#define OK(at) "HTTP/1.1 200 OK\r\nContent-Type: t/t\r\nContent-Length: " at "\r\n"

static int64_t answer(crew_conn *c, const char *body)
{
	return crew_reply(c, &(crew_response){ .type = "t/t", .body = crew_str(body) });
}

static const char *text_of(crew_bytes bytes)
{
	static char text[4][200];
	static unsigned next;
	char *room = text[next++ % 4];
	snprintf(room, sizeof(text[0]), "%.*s", (int)bytes.len, bytes.len ? bytes.data : "");
	return bytes.data ? room : "NULL";
}

/* What a peer gets for that; the record is anew. */
static const char *ask(const char *request)
{
	told_anew();
	ways_ask(request);
	return ways_hear();
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void must_begin(const char *text, const char *with)
{
	if (!begins(text, with))
		fail_msg("\"%.300s\" does not begin with \"%s\"", text, with);
}

static void must_have(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%.600s\" has no \"%s\"", text, what);
}

static bool peer_has_something(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* ---- handlers ------------------------------------------------------------------------------ */

static void home(crew_conn *c, const crew_request *r)
{
	ways.id = crew_id(c);
	tell("home:%s", text_of(crew_request_path(r)));
	assert_true(answer(c, "home") >= 0);
}

static void user(crew_conn *c, const crew_request *r)
{
	assert_null(crew_request_param(r, "nobody").data);
	assert_null(crew_request_param(r, "").data);
	assert_null(crew_request_param(r, NULL).data);
	assert_string_equal(crew_route_of(r)->path, "/users/:id/:what");
	tell("user:%s:%s:%s", text_of(crew_request_param(r, "id")),
		text_of(crew_request_param(r, "what")), text_of(crew_request_path(r)));
	assert_true(answer(c, "user") >= 0);
}

static void later(crew_conn *c, const crew_request *r)
{
	(void)r;
	ways.id = crew_id(c);
	tell("later");
}

static void left_over(crew_conn *c, const crew_request *r)
{
	assert_null(crew_route_of(r));
	tell("left:%s", text_of(r->path));
	assert_true(answer(c, "left") >= 0);
}

static const crew_route table[] = {
	{ .method = "GET", .path = "/", .on_request = home },
	{ .path = "/users/:id/:what", .on_request = user },
	{ .method = "POST PUT", .path = "/post", .on_request = home },
	{ .method = "GET", .path = "/later", .on_request = later },
	{ .path = NULL },
};
static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = table,
	.on_close = tell_close,
};
static const crew_service web_rest = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = table,
	.on_request = left_over,
	.on_close = tell_close,
};

/* ---- which handler ------------------------------------------------------------------------- */

static void requests_reach_their_routes(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask(WAYS_GET("/")), OK("4") "\r\nhome");
	assert_string_equal(told(), "home:/");
	ask(WAYS_GET("/users/7%2F8/a%20b?x=/"));
	assert_string_equal(told(), "user:7/8:a b:/users/7/8/a b");
	ask("DELETE /users/%C3%A4/%2541" HOST "\r\n");
	assert_string_equal(told(), "user:\xc3\xa4:%41:/users/\xc3\xa4/%41");
	ask("PUT /post" HOST "Content-Length: 2\r\n\r\nhi");
	assert_string_equal(told(), "home:/post");
	ask("GET http://b/users/1/2" HOST "\r\n");
	assert_string_equal(told(), "user:1:2:/users/1/2");
	assert_int_equal(counter(&ways.world, "messages_sent"), 5);
	assert_int_equal(counter(&ways.world, "total_request"), 5);
}

static void one_after_the_other_and_late(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(
		ask(WAYS_GET("/") WAYS_GET("/later") WAYS_GET("/")), OK("4") "\r\nhome");
	assert_string_equal(told(), "home:/ later");
	assert_true(answer(ways_conn(), "now") > 0);
	assert_string_equal(ways_hear(), OK("3") "\r\nnow" OK("4") "\r\nhome");
}

static void head_is_get_without_the_body(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("HEAD /" HOST "\r\n"), OK("4") "\r\n");
	assert_string_equal(told(), "home:/");
	must_begin(ask("HEAD /post" HOST "\r\n"), "HTTP/1.1 405 ");
	assert_null(strchr(strstr(ways.room, "\r\n\r\n") + 4, '<'));
	must_begin(ask("HEAD /nowhere" HOST "\r\n"), "HTTP/1.1 404 ");
	assert_string_equal(strstr(ways.room, "\r\n\r\n"), "\r\n\r\n");
}

/* ---- what no route takes ------------------------------------------------------------------- */

static void nothing_there_is_404(void **state)
{
	ways_open_with(state, &web, NULL);
	const char *text = ask(WAYS_GET("/nowhere"));
	must_begin(text, "HTTP/1.1 404 Not Found\r\n");
	must_have(text, "Content-Type: text/html; charset=utf-8\r\n");
	must_have(text, "Cache-Control: no-store\r\n");
	must_have(text, "<title>404 Not Found</title>");
	assert_string_equal(told(), "");
	text = ask("GET /nowhere" HOST "Accept: application/json\r\n\r\n");
	must_have(text, "Content-Type: application/json\r\n");
	must_have(text, "\r\n\r\n{\"status\":404,\"error\":\"Not Found\",\"detail\":\"");
	assert_string_equal(ask(WAYS_GET("/")), OK("4") "\r\nhome"); /* it goes on */
}

static void crews_own_answers_are_no_messages(void **state)
{
	ways_open_with(state, &web, NULL);
	ask(WAYS_GET("/nowhere") "POST /" HOST "Content-Length: 0\r\n\r\n"
				 "OPTIONS /" HOST "\r\n");
	assert_int_equal(counter(&ways.world, "messages_offered"), 0);
	assert_int_equal(counter(&ways.world, "messages_sent"), 0);
	const char *text = ask(WAYS_GET("/") WAYS_GET("/nowhere") WAYS_GET("/"));
	assert_int_equal(counter(&ways.world, "messages_sent"), 2);
	must_begin(text, OK("4") "\r\nhomeHTTP/1.1 404 ");
	must_have(text, "</html>\n" OK("4") "\r\nhome");
}

static void a_method_that_is_not_known_is_405(void **state)
{
	ways_open_with(state, &web_rest, NULL);
	const char *text = ask("DELETE /post" HOST "\r\n");
	must_begin(text, "HTTP/1.1 405 Method Not Allowed\r\n");
	must_have(text, "\r\nAllow: POST, PUT, OPTIONS\r\n");
	text = ask("POST /" HOST "Content-Length: 2\r\n\r\nhi");
	must_begin(text, "HTTP/1.1 405 ");
	must_have(text, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
	assert_string_equal(told(), "");
	assert_string_equal(ask(WAYS_GET("/")), OK("4") "\r\nhome");
}

static void options_are_answered(void **state)
{
	ways_open_with(state, &web_rest, NULL);
	assert_string_equal(ask("OPTIONS /" HOST "\r\n"),
		"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n");
	assert_string_equal(ask("OPTIONS *" HOST "\r\n"),
		"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, PUT, OPTIONS\r\n\r\n");
	assert_string_equal(told(), "");
	ask("OPTIONS /users/1/2" HOST "\r\n"); /* takes any method */
	assert_string_equal(told(), "user:1:2:/users/1/2");
	ask("OPTIONS /nowhere" HOST "\r\n");
	assert_string_equal(told(), "left:/nowhere");
}

static void the_rest_goes_to_on_request(void **state)
{
	ways_open_with(state, &web_rest, NULL);
	assert_string_equal(ask(WAYS_GET("/nowhere")), OK("4") "\r\nleft");
	assert_string_equal(told(), "left:/nowhere");
}

static void bad_escapes_are_400(void **state)
{
	static const char *const bad[] = { "/%", "/users/%4/x", "/%zz", "/a%00" };
	ways_open_with(state, &web_rest, NULL);
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		char request[100];
		snprintf(request, sizeof(request), "GET %s" HOST "\r\n", bad[i]);
		must_begin(ask(request), "HTTP/1.1 400 ");
		assert_string_equal(told(), "");
	}
	assert_string_equal(ask(WAYS_GET("/")), OK("4") "\r\nhome");
}

/* Without routes the program decodes. */
static void tell_path(crew_conn *c, const crew_request *r)
{
	crew_bytes path = crew_request_path(r);
	tell("%s", text_of(path));
	assert_ptr_equal(crew_request_path(r).data, path.data);
	assert_null(crew_request_param(r, "x").data);
	assert_null(crew_route_of(r));
	answer(c, "");
}

static void paths_are_decoded_once(void **state)
{
	ways_open(state, NULL);
	ways.handler = tell_path;
	ask(WAYS_GET("/a%20b+c/%2541%2f"));
	assert_string_equal(told(), "/a b+c/%41/");
	ask(WAYS_GET("/plain"));
	assert_string_equal(told(), "/plain");
	ask(WAYS_GET("/bad%4"));
	assert_string_equal(told(), "NULL");
	assert_null(crew_request_path(NULL).data);
	assert_null(crew_request_param(NULL, "x").data);
	assert_null(crew_route_of(NULL));
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

/* ---- bodies in parts ----------------------------------------------------------------------- */

static void part(crew_conn *c, crew_bytes bytes, bool last)
{
	tell("%s%s", text_of(bytes.data ? bytes : CREW_BYTES("-")), last ? "!" : "");
	if (last)
		answer(c, "done");
}

static const crew_route uploads[] = {
	{ .method = "POST", .path = "/stream", .on_request = later, .on_body = part },
	{ .method = "POST", .path = "/short", .on_request = later, .on_body = part, .max_body = 5 },
	{ .method = "POST",
		.path = "/endless",
		.on_request = later,
		.on_body = part,
		.max_body = CREW_OFF },
	{ .method = "POST", .path = "/whole", .on_request = home, .max_body = 200 },
	{ .path = NULL },
};
static const crew_service upload = {
	.name = "upload",
	.listen = "http://127.0.0.1:1",
	.routes = uploads,
	.on_close = tell_close,
};

static void small_messages(struct crew__service_settings *s)
{
	s->max_message = 100;
	s->linger_ms = 0;
}

static void bodies_come_in_parts(void **state)
{
	ways_open_with(state, &upload, small_messages);
	told_anew();
	ways_ask("POST /stream" HOST "Content-Length: 6\r\n\r\n");
	assert_string_equal(told(), "later");
	ways_ask("abc");
	ways_ask("def");
	assert_string_equal(told(), "later abc def -!");
	assert_string_equal(ways_hear(), OK("4") "\r\ndone");
	ask("POST /stream" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
	assert_string_equal(told(), "later ab -!");
	ask("POST /stream" HOST "\r\n"); /* none at all */
	assert_string_equal(told(), "later -!");
	ask("POST /stream" HOST "Content-Length: 0\r\n\r\n");
	assert_string_equal(told(), "later -!");
}

static void each_route_has_its_limit(void **state)
{
	char request[400] = "";
	ways_open_with(state, &upload, small_messages);
	int n = snprintf(
		request, sizeof(request), "POST /whole" HOST "Content-Length: 200\r\n\r\n");
	memset(request + n, 'x', 200);
	assert_string_equal(ask(request), OK("4") "\r\nhome");
	memset(request, 0, sizeof(request));
	n = snprintf(request, sizeof(request), "POST /endless" HOST "Content-Length: 200\r\n\r\n");
	memset(request + n, 'x', 200);
	assert_string_equal(ask(request), OK("4") "\r\ndone");
	ask("POST /short" HOST "Content-Length: 5\r\n\r\n12345");
	assert_string_equal(told(), "later 12345 -!");
	must_begin(ask("POST /short" HOST "Content-Length: 6\r\n\r\n"), "HTTP/1.1 413 ");
	assert_string_equal(told(), "close:protocol");
}

static void the_services_limit_holds_elsewhere(void **state)
{
	ways_open_with(state, &upload, small_messages);
	must_begin(ask("POST /nowhere" HOST "Content-Length: 101\r\n\r\n"), "HTTP/1.1 413 ");
	assert_string_equal(told(), "close:protocol");
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
		ON_BOTH(requests_reach_their_routes),
		ON_BOTH(one_after_the_other_and_late),
		ON_BOTH(head_is_get_without_the_body),
		ON_BOTH(nothing_there_is_404),
		ON_BOTH(crews_own_answers_are_no_messages),
		ON_BOTH(a_method_that_is_not_known_is_405),
		ON_BOTH(options_are_answered),
		ON_BOTH(the_rest_goes_to_on_request),
		ON_BOTH(bad_escapes_are_400),
		ON_BOTH(paths_are_decoded_once),
		ON_BOTH(outer_ones_first_before_and_last_after),
		ON_BOTH(a_groups_own_path),
		ON_BOTH(late_answers_are_changed_as_well),
		ON_BOTH(one_that_stops_it_answers),
		ON_BOTH(an_after_function_may_end_it),
		ON_BOTH(bodies_come_in_parts),
		ON_BOTH(each_route_has_its_limit),
		ON_BOTH(the_services_limit_holds_elsewhere),
		ON_BOTH(without_its_session_no_request_is_handled),
		ON_BOTH(a_route_takes_handshakes),
		ON_BOTH(what_comes_before_sees_handshakes),
		ON_BOTH(elsewhere_a_handshake_is_a_request),
		ON_BOTH(a_websocket_service_has_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
