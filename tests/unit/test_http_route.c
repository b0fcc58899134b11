/* test_http_route.c - routes of a service: which handler a request reaches, what no route takes,
 * bodies in parts. What comes before and after: test_http_around.c; tables that are wrong:
 * test_http_table.c; scripts of other sites: test_http_cors.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "route_ways.h"

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

/* ---- handlers ------------------------------------------------------------------------------ */

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

/* ---- bodies in parts ----------------------------------------------------------------------- */

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
		ON_BOTH(bodies_come_in_parts),
		ON_BOTH(each_route_has_its_limit),
		ON_BOTH(the_services_limit_holds_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
