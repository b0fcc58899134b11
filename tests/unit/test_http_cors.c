/* test_http_cors.c - scripts of other sites: who may ask, what preflights are told, what answers
 * say; and error pages and redirections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <jansson.h>
#include <stdio.h>

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

#define HOST      " HTTP/1.1\r\nHost: a\r\n"
#define FRIEND    "Origin: https://friend.example\r\n"
#define STRANGER  "Origin: https://stranger.example\r\n"
#define ASKS(how) "Access-Control-Request-Method: " how "\r\n\r\n"
#define OK        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
#define NO_BODY   "HTTP/1.1 204 No Content\r\n"

static void empty(crew_conn *c, const crew_request *r)
{
	tell("%.*s", (int)r->path.len, r->path.data);
	ways.id = crew_id(c);
	if (!crew_request_header(r, "X-Later").data)
		assert_true(crew_reply(c, &(crew_response){ 0 }) >= 0);
}

static const crew_cors friends = {
	.origins = "https://friend.example http://other.example",
	.headers = "Content-Type, X-Token",
	.expose = "X-Total",
	.credentials = true,
	.max_age_s = 60,
};
static const crew_cors everybody = { .origins = "*" };
static const crew_cors nobody = { .origins = NULL };
static const crew_route api[] = {
	{ .method = "GET PUT", .path = "/api", .on_request = empty },
	{ .method = "DELETE", .path = "/api", .on_request = empty, .cors = &nobody },
	{ .path = "/open", .on_request = empty, .cors = &everybody },
	{ .method = "GET", .path = "/closed", .on_request = empty, .cors = &nobody },
	{ .method = "GET", .path = "/own", .on_request = empty },
	{ .method = "OPTIONS", .path = "/own", .on_request = empty, .cors = &nobody },
	{ .path = NULL },
};
static const crew_service web = {
	.name = "web",
	.listen = "http://127.0.0.1:1",
	.routes = api,
	.cors = &friends,
};
static const crew_service bare = {
	.name = "bare",
	.listen = "http://127.0.0.1:1",
	.on_request = empty,
	.cors = &friends,
};

static const char *ask(const char *request)
{
	told_anew();
	ways_ask(request);
	return ways_hear();
}

#define VARY "Vary: Origin\r\n"
#define LET_IN                                                    \
	"Access-Control-Allow-Origin: https://friend.example\r\n" \
	"Access-Control-Allow-Credentials: true\r\n"              \
	"Access-Control-Expose-Headers: X-Total\r\n"

/* ---- requests ------------------------------------------------------------------------------ */

static void a_friend_may_read_the_answer(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("GET /api" HOST FRIEND "\r\n"), OK VARY LET_IN "\r\n");
	assert_string_equal(told(), "/api");
	assert_string_equal(ask("GET /api" HOST FRIEND "X-Later: 1\r\n\r\n"), "");
	assert_true(crew_reply(ways_conn(), &(crew_response){ 0 }) >= 0);
	assert_string_equal(ways_hear(), OK VARY LET_IN "\r\n");
	ways_ask("PUT /api" HOST FRIEND "Content-Length: 2\r\n\r\nh");
	assert_string_equal(ask("i"), OK VARY LET_IN "\r\n");
	const char *text = ask("GET /nowhere" HOST FRIEND "\r\n");
	assert_memory_equal(text, "HTTP/1.1 404 ", 13);
	assert_non_null(strstr(text, VARY LET_IN));
	text = ask("POST /api" HOST FRIEND "Content-Length: 0\r\n\r\n");
	assert_memory_equal(text, "HTTP/1.1 405 ", 13);
	assert_non_null(strstr(text, VARY LET_IN));
}

static void a_stranger_may_not(void **state)
{
	static const char *const strangers[] = { STRANGER, "", "Origin: null\r\n", "Origin:\r\n",
		"Origin: https://friend.example.evil\r\n", "Origin: *\r\n",
		"Origin: http://friend.example\r\n" };
	char request[200];
	ways_open_with(state, &web, NULL);
	for (size_t i = 0; i < crew__lengthof(strangers); i++) {
		snprintf(request, sizeof(request), "GET /api" HOST "%s\r\n", strangers[i]);
		assert_string_equal(ask(request), OK VARY "\r\n");
		assert_string_equal(
			told(), "/api"); /* the browser keeps the answer from the script */
	}
}

static void a_star_is_for_everybody(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(
		ask("GET /open" HOST STRANGER "\r\n"), OK "Access-Control-Allow-Origin: *\r\n\r\n");
	assert_string_equal(
		ask("GET /open" HOST "\r\n"), OK "Access-Control-Allow-Origin: *\r\n\r\n");
}

static void a_route_may_be_closed(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("GET /closed" HOST FRIEND "\r\n"), OK "\r\n");
	assert_string_equal(ask("OPTIONS /closed" HOST FRIEND ASKS("GET")),
		NO_BODY "Allow: GET, HEAD, OPTIONS\r\n\r\n");
}

/* ---- preflights ---------------------------------------------------------------------------- */

static void a_friend_is_told_what_it_may_send(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("OPTIONS /api" HOST FRIEND ASKS("PUT")),
		NO_BODY "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n" VARY LET_IN
			"Access-Control-Allow-Methods: GET, HEAD, PUT, DELETE, OPTIONS\r\n"
			"Access-Control-Allow-Headers: Content-Type, X-Token\r\n"
			"Access-Control-Max-Age: 60\r\n\r\n");
	assert_string_equal(told(), "");
	assert_int_equal(counter(&ways.world, "messages_offered"), 0);
}

static void a_stranger_is_told_nothing(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("OPTIONS /api" HOST STRANGER ASKS("PUT")),
		NO_BODY "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n" VARY "\r\n");
}

static void it_is_the_method_asked_about_that_counts(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("OPTIONS /api" HOST FRIEND ASKS("DELETE")),
		NO_BODY "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n\r\n");
	assert_string_equal(ask("OPTIONS /open" HOST FRIEND ASKS("BREW")), NO_BODY
		"Allow: BREW\r\nAccess-Control-Allow-Origin: *\r\n"
		"Access-Control-Allow-Methods: BREW\r\nAccess-Control-Max-Age: 600\r\n\r\n");
	assert_string_equal(told(), "");
}

static void options_that_are_no_preflight(void **state)
{
	ways_open_with(state, &web, NULL);
	assert_string_equal(ask("OPTIONS /api" HOST FRIEND "\r\n"),
		NO_BODY "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n" VARY LET_IN "\r\n");
	assert_string_equal(ask("OPTIONS /api" HOST ASKS("PUT")),
		NO_BODY "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n" VARY "\r\n");
	assert_string_equal(ask("OPTIONS /api" HOST FRIEND ASKS("PUT, GET")),
		NO_BODY "Allow: GET, HEAD, PUT, DELETE, OPTIONS\r\n" VARY LET_IN "\r\n");
	ask("OPTIONS /open" HOST FRIEND "\r\n"); /* any method is its handler's */
	assert_string_equal(told(), "/open");
	ask("OPTIONS /own" HOST FRIEND ASKS("GET")); /* the program's own business */
	assert_string_equal(told(), "/own");
	assert_memory_equal(ask("OPTIONS /nowhere" HOST FRIEND ASKS("GET")), "HTTP/1.1 404 ", 13);
}

static void without_routes_it_holds_too(void **state)
{
	ways_open_with(state, &bare, NULL);
	assert_string_equal(ask("GET /x" HOST FRIEND "\r\n"), OK VARY LET_IN "\r\n");
	assert_string_equal(told(), "/x");
	const char *text = ask("OPTIONS /x" HOST FRIEND ASKS("PATCH"));
	assert_string_equal(told(), "");
	assert_non_null(strstr(text, "Access-Control-Allow-Methods: PATCH\r\n"));
	ask("OPTIONS *" HOST "\r\n");
	assert_string_equal(told(), "*");
	ask("GET /%zz" HOST "\r\n");
	assert_string_equal(told(), "/%zz");
}

/* ---- error pages --------------------------------------------------------------------------- */

static struct {
	int status;
	const char *detail;
	bool blind; /* without the request */
} page;

static void fail_so(crew_conn *c, const crew_request *r)
{
	int64_t result = crew_reply_error(c, page.blind ? NULL : r, page.status, page.detail);
	tell("%d", result >= 0 ? 1 : (int)result);
	if (result < 0)
		crew_reply(c, &(crew_response){ 0 });
}

static const char *body(const char *request)
{
	const char *text = ask(request);
	return strstr(text, "\r\n\r\n") + 4;
}

#define GET_JSON "GET /" HOST "Accept: application/json\r\n\r\n"

static void pages_of_html(void **state)
{
	ways_open(state, NULL);
	ways.handler = fail_so;
	page.blind = false;
	page.status = 503;
	page.detail = "<script>alert(\"a & 'b'\")</script>";
	const char *text = body(WAYS_GET("/"));
	assert_non_null(strstr(text, "<h1>503</h1><h2>Service Unavailable</h2><p>&lt;script&gt;"
				     "alert(&quot;a &amp; &#39;b&#39;&quot;)&lt;/script&gt;</p>"));
	assert_null(strstr(text, "<script"));
	assert_memory_equal(ways.room, "HTTP/1.1 503 ", 13);
	page.detail = NULL;
	assert_non_null(strstr(body(WAYS_GET("/")), "<h2>Service Unavailable</h2></main>"));
	assert_int_equal(counter(&ways.world, "messages_sent"), 2); /* the program's */
}

static void check_json(const char *detail, const char *wanted)
{
	page.detail = detail;
	json_t *json = json_loads(body(GET_JSON), 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "status")), page.status);
	assert_string_equal(json_string_value(json_object_get(json, "error")), "Bad Request");
	const char *told_detail = json_string_value(json_object_get(json, "detail"));
	if (wanted)
		assert_string_equal(told_detail, wanted);
	else
		assert_null(told_detail);
	json_decref(json);
}

static void pages_of_json(void **state)
{
	static char endless[3000];
	char cut[1025] = "";
	ways_open(state, NULL);
	ways.handler = fail_so;
	page.blind = false;
	page.status = 400;
	check_json("a \"quoted\" \\ word", "a \"quoted\" \\ word");
	check_json(NULL, NULL);
	check_json("", NULL);
	check_json("caf\xc3\xa9 \xf0\x9f\x8e\x89", "caf\xc3\xa9 \xf0\x9f\x8e\x89");
	check_json("a\nb\x01\x7f", "a b  ");
	check_json("bad \xff\xc3 \xe2\x82", "bad ?? ??");
	memset(endless, '"', sizeof(endless) - 1);
	memset(cut, '"', 1024);
	check_json(endless, cut);
	for (size_t i = 0; i + 2 < sizeof(endless); i += 2)
		memcpy(endless + i, "\xc3\xa9", 2);
	memcpy(endless, "x", 1); /* the first character is none any more */
	page.detail = endless;
	json_t *json = json_loads(body(GET_JSON), 0, NULL);
	assert_int_equal(json_string_length(json_object_get(json, "detail")), 1024);
	json_decref(json);
}

static void pages_of_text(void **state)
{
	ways_open(state, NULL);
	ways.handler = fail_so;
	page.blind = true;
	page.status = 418;
	page.detail = "I'm <b>";
	const char *text = ask(GET_JSON);
	assert_non_null(strstr(text, "Content-Type: text/plain; charset=utf-8\r\n"));
	assert_non_null(strstr(text, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n418 "));
	assert_string_equal(strchr(strstr(text, "\r\n\r\n418 ") + 4, '\n'), "\nI'm <b>\n");
}

static void pages_that_are_no_errors(void **state)
{
	static const int bad[] = { 0, -1, 200, 399, 600, 1000 };
	ways_open(state, NULL);
	ways.handler = fail_so;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		page.status = bad[i];
		ask(WAYS_GET("/"));
		assert_string_equal(told(), "-22");
	}
	assert_int_equal(counter(&ways.world, "send_invalid"), 6);
	assert_int_equal(crew_reply_error(NULL, NULL, 404, NULL), -ENOTCONN);
	assert_int_equal(crew_reply_error(NULL, NULL, 200, NULL), -ENOTCONN);
}

/* ---- redirections -------------------------------------------------------------------------- */

static struct {
	int status;
	const char *location;
} go;

static void redirect(crew_conn *c, const crew_request *r)
{
	(void)r;
	int64_t result = crew_reply_redirect(c, go.status, go.location);
	tell("%d", result >= 0 ? 1 : (int)result);
	if (result < 0)
		crew_reply(c, &(crew_response){ 0 });
}

static void redirections(void **state)
{
	ways_open(state, NULL);
	ways.handler = redirect;
	go.status = 303;
	go.location = "/a/b?c=d&e=%20#f";
	assert_string_equal(ask(WAYS_GET("/")),
		"HTTP/1.1 303 See Other\r\nContent-Length: 0\r\nLocation: /a/b?c=d&e=%20#f\r\n\r\n");
	go.status = 0;
	go.location = "https://[::1]:8080/~x";
	assert_memory_equal(ask(WAYS_GET("/")), "HTTP/1.1 303 ", 13);
	go.status = 308;
	go.location = "";
	assert_memory_equal(ask(WAYS_GET("/")), "HTTP/1.1 308 ", 13);
}

static void redirections_to_nowhere(void **state)
{
	static const char *const bad[] = { NULL, "/a b", "/a\r\nSet-Cookie: x", "/\n", "/\"", "/<",
		"/\\", "/^", "/`", "/{", "/|", "/caf\xc3\xa9", "/\x7f", "/\t" };
	static const int statuses[] = { 200, 299, 304, 400, -1 };
	ways_open(state, NULL);
	ways.handler = redirect;
	go.status = 303;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		go.location = bad[i];
		ask(WAYS_GET("/"));
		assert_string_equal(told(), "-22");
	}
	go.location = "/";
	for (size_t i = 0; i < crew__lengthof(statuses); i++) {
		go.status = statuses[i];
		ask(WAYS_GET("/"));
		assert_string_equal(told(), "-22");
	}
	assert_int_equal(crew_reply_redirect(NULL, 303, "/"), -ENOTCONN);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_friend_may_read_the_answer),
		ON_BOTH(a_stranger_may_not),
		ON_BOTH(a_star_is_for_everybody),
		ON_BOTH(a_route_may_be_closed),
		ON_BOTH(a_friend_is_told_what_it_may_send),
		ON_BOTH(a_stranger_is_told_nothing),
		ON_BOTH(it_is_the_method_asked_about_that_counts),
		ON_BOTH(options_that_are_no_preflight),
		ON_BOTH(without_routes_it_holds_too),
		ON_BOTH(pages_of_html),
		ON_BOTH(pages_of_json),
		ON_BOTH(pages_of_text),
		ON_BOTH(pages_that_are_no_errors),
		ON_BOTH(redirections),
		ON_BOTH(redirections_to_nowhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
