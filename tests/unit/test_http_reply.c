/* test_http_reply.c - whole answers: the fields that go with them, what they say of their length,
 * and when there is none to give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <stdio.h>
#include <unistd.h>

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

static int add(crew_conn *c, const char *name, const char *value)
{
	return crew_reply_header(c, name, crew_str(value));
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define TEXT    "Content-Type: text/plain; charset=utf-8\r\n"

/* ---- fields beforehand --------------------------------------------------------------------- */

static void fields_go_with_the_next_answer_and_no_other(void **state)
{
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(add(c, "X-A", "1"), 0);
	assert_int_equal(add(c, "Set-Cookie", "a=b"), 0);
	assert_int_equal(add(c, "Set-Cookie", "c=d"), 0);
	assert_int_equal(crew_reply_header(c, "X-Empty", (crew_bytes){ NULL, 0 }), 0);
	const crew_header own = { CREW_BYTES("Own"), CREW_BYTES("x") };
	assert_true(crew_reply(c, &(crew_response){ .headers = &own,
					  .header_count = 1,
					  .body = CREW_BYTES("hi") }) > 0);
	assert_string_equal(ways_hear(),
		OK_HEAD TEXT "Content-Length: 2\r\nOwn: x\r\nX-A: 1\r\nSet-Cookie: a=b\r\n"
			     "Set-Cookie: c=d\r\nX-Empty: \r\n\r\nhi");
	c = ways_ask(WAYS_GET("/"));
	assert_true(crew_reply(c, &(crew_response){ .body = CREW_BYTES("hi") }) > 0);
	assert_string_equal(ways_hear(), OK_HEAD TEXT "Content-Length: 2\r\n\r\nhi");
}

static void fields_that_must_not_go(void **state)
{
	ways_open(state, NULL);
	assert_int_equal(add(NULL, "X-A", "1"), -ENOTCONN);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	static const char *const names[] = { "", "X A", "X:", "X\r\nY", "Content-Length",
		"content-length", "Transfer-Encoding", "Connection", "Date", "Content-Type",
		"Upgrade" };
	for (size_t i = 0; i < crew__lengthof(names); i++)
		assert_int_equal(add(c, names[i], "1"), -EINVAL);
	assert_int_equal(add(c, NULL, "1"), -EINVAL);
	assert_int_equal(add(c, "X", "a\r\nb"), -EINVAL);
	assert_int_equal(add(c, "X", "a\nb"), -EINVAL);
	assert_int_equal(crew_reply_header(c, "X", (crew_bytes){ "a\0b", 3 }), -EINVAL);
	assert_int_equal(crew_reply_header(c, "X", (crew_bytes){ NULL, 1 }), -EINVAL);
	assert_true(crew_reply(c, &(crew_response){ 0 }) > 0);
	assert_string_equal(ways_hear(), OK_HEAD "Content-Length: 0\r\n\r\n");
	assert_int_equal(add(ways_conn(), "X", "1"), -EINVAL); /* none is due */
	crew_abort(ways_conn());
	assert_int_equal(add(ways_conn(), "X", "1"), -ENOTCONN);
}

static void fields_have_a_bound(void **state)
{
	static char value[8 * 1024];
	memset(value, 'v', sizeof(value));
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(
		crew_reply_header(c, "A", (crew_bytes){ value, sizeof(value) }), -EMSGSIZE);
	assert_int_equal(crew_reply_header(c, "A", (crew_bytes){ value, sizeof(value) - 5 }), 0);
	assert_int_equal(add(c, "B", ""), -EMSGSIZE); /* 5 bytes with its punctuation */
	/* Beside as much as a response may bring itself. */
	static char own[16 * 1024 - 200];
	memset(own, 'o', sizeof(own));
	const crew_header field = { CREW_BYTES("Own"), { own, sizeof(own) } };
	assert_true(crew_reply(c, &(crew_response){ .headers = &field, .header_count = 1 }) >= 0);
	ways_hear();
	assert_true(ways.len > sizeof(value) + sizeof(own));
	assert_string_equal(ways.room + ways.len - 6, "vv\r\n\r\n");
}

/* ---- what a head says of its body ---------------------------------------------------------- */

static crew_response given;

static void give(crew_conn *c, const crew_request *r)
{
	(void)r;
	assert_true(crew_reply(c, &given) >= 0);
}

static void lengths(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *answer;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "Content-Length: 5\r\n\r\n12345" },
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "Content-Length: 5\r\n\r\n" },
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "Content-Length: 5\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 204, "HTTP/1.1 204 No Content\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 304, "HTTP/1.1 304 Not Modified\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 205,
			"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" },
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 205,
			"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
			"Content-Length: 5\r\nConnection: keep-alive\r\n\r\n12345" },
	};
	ways_open(state, NULL);
	ways.handler = give;
	for (int fields = 0; fields < 2; fields++) /* by the short way, and by the other */
		for (size_t i = 0; i < crew__lengthof(cases); i++) {
			given = (crew_response){ .status = cases[i].status,
				.body = CREW_BYTES("12345") };
			ways.handler = fields ? NULL : give;
			crew_conn *c = ways_ask(cases[i].request);
			if (fields) {
				assert_int_equal(add(c, "X-A", "1"), 0);
				assert_true(crew_reply(c, &given) >= 0);
			}
			char *extra = strstr((char *)(uintptr_t)ways_hear(), "X-A: 1\r\n");
			assert_int_equal(extra != NULL, fields);
			if (extra)
				memmove(extra, extra + 8, strlen(extra + 8) + 1);
			size_t len = strlen(ways.room), wanted = strlen(cases[i].answer);
			assert_true(len >= wanted);
			assert_string_equal(ways.room + len - wanted, cases[i].answer);
		}
	assert_int_equal(counter(&ways.world, "messages_sent"), 2 * crew__lengthof(cases));
}

/* Every length around the sizes at which another way begins. */
static void bodies_of_all_sizes(void **state)
{
	static char body[70000];
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)('a' + i % 26);
	static const size_t around[] = { 0, 30, 512, 4096 - 512, 4096, 16384, 65536 };
	ways_open(state, NULL);
	ways.handler = give;
	for (size_t i = 0; i < crew__lengthof(around); i++)
		for (size_t more = 0; more < 3; more++) {
			char head[100];
			size_t len = around[i] + more;
			given = (crew_response){ .type = "a/b", .body = { body, len } };
			ways_ask(WAYS_GET("/"));
			ways_hear();
			int n = snprintf(head, sizeof(head),
				OK_HEAD "Content-Type: a/b\r\nContent-Length: %zu\r\n\r\n", len);
			assert_int_equal(ways.len, len + (size_t)n);
			assert_memory_equal(ways.room, head, (size_t)n);
			assert_memory_equal(ways.room + n, body, len);
		}
}

static void many_fields(void **state)
{
	static const crew_header fields[20] = { { CREW_BYTES("A"), CREW_BYTES("b") },
		{ CREW_BYTES("A"), CREW_BYTES("b") }, { CREW_BYTES("A"), CREW_BYTES("b") },
		{ CREW_BYTES("A"), CREW_BYTES("b") }, { CREW_BYTES("A"), CREW_BYTES("b") } };
	static char value[600];
	memset(value, 'v', sizeof(value));
	const crew_header wide = { CREW_BYTES("A"), { value, sizeof(value) } };
	ways_open(state, NULL);
	ways.handler = give;
	given = (crew_response){ .headers = fields, .header_count = 5 };
	ways_ask(WAYS_GET("/"));
	assert_string_equal(ways_hear(),
		OK_HEAD "Content-Length: 0\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n");
	given = (crew_response){ .headers = &wide,
		.header_count = 1 }; /* no room for it in a short one */
	ways_ask(WAYS_GET("/"));
	ways_hear();
	assert_int_equal(ways.len, strlen(OK_HEAD "Content-Length: 0\r\nA: \r\n\r\n") + 600);
}

/* ---- when there is none to give ------------------------------------------------------------ */

/* A request that the program has not seen cannot be answered, as the next one would be taken for
 * it: not while its body is on its way, nor by who remembers the connection from before. */
static void a_request_on_its_way_is_not_answered(void **state)
{
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(crew_reply(c, &(crew_response){ 0 }) > 0);
	assert_int_equal(crew_reply(c, &(crew_response){ 0 }), -EINVAL);
	ways_hear();
	c = ways_ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123");
	assert_int_equal(crew_reply(c, &(crew_response){ 0 }), -EINVAL);
	assert_int_equal(crew_reply_begin(c, &(crew_response){ 0 }, -1), -EINVAL);
	assert_int_equal(crew_events_begin(c, NULL), -EINVAL);
	assert_string_equal(ways_hear(), "");
	ways_ask("45");
	assert_true(crew_reply(c, &(crew_response){ 0 }) > 0);
	assert_string_equal(ways_hear(), OK_HEAD "Content-Length: 0\r\n\r\n");
	assert_int_equal(counter(&ways.world, "messages_offered"), 2);
}

static void the_last_answer_ends_the_connection(void **state)
{
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/") WAYS_GET("/"));
	assert_true(add(c, "A", "b") == 0);
	assert_true(crew_reply(c, &(crew_response){ .close = true }) > 0);
	assert_string_equal(
		ways_hear(), OK_HEAD "Content-Length: 0\r\nConnection: close\r\nA: b\r\n\r\n");
	assert_true(peer_sees_end(ways.peer));
}

/* ---- what comes before an answer leaves ---------------------------------------------------- */

static void (*after)(crew_conn *c, crew_response *response);
static unsigned afters;

static void call_after(crew_conn *c, crew_response *response)
{
	afters++;
	if (after)
		after(c, response);
}

static const crew_route routes[] = {
	{ .path = "/", .on_request = ways_on_request, .after = { call_after } },
	{ 0 },
};
static const crew_service routed = {
	.name = "routed",
	.listen = "http://127.0.0.1:1",
	.routes = routes,
	.on_close = tell_close,
	.on_error = tell_error,
};

static void open_routed(void **state, void (*fn)(crew_conn *c, crew_response *response))
{
	ways_open_with(state, &routed, NULL);
	after = fn;
	afters = 0;
}

static void make_teapot(crew_conn *c, crew_response *response)
{
	assert_int_equal(add(c, "X-After", "1"), 0);
	response->status = 418;
	response->type = "a/b";
	response->body = CREW_BYTES("tea");
}

static void an_answer_may_be_changed(void **state)
{
	open_routed(state, make_teapot);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	const crew_response mine = { .body = CREW_BYTES("coffee") };
	assert_true(crew_reply(c, &mine) > 0);
	assert_string_equal(ways_hear(), "HTTP/1.1 418 Unknown\r\nContent-Type: a/b\r\n"
					 "Content-Length: 3\r\nX-After: 1\r\n\r\ntea");
	assert_int_equal(mine.status, 0); /* a copy of it was */
	c = ways_ask(WAYS_GET("/"));
	assert_true(crew_reply_begin(c, &mine, -1) > 0 && crew_reply_end(c, NULL, 0) >= 0);
	ways_hear();
	assert_int_equal(strncmp(ways.room, "HTTP/1.1 418 ", 13), 0);
	assert_string_equal(ways_unchunk(NULL), "tea");
	c = ways_ask(WAYS_GET("/"));
	assert_int_equal(crew_reply_begin(c, &mine, 6) > 0, 1); /* the length stays what was said */
	assert_true(crew_reply_write(c, CREW_BYTES("pot")) >= 0 && crew_reply_end(c, NULL, 0) >= 0);
	ways_hear();
	assert_string_equal(ways.room + ways.len - 6, "teapot");
	assert_int_equal(afters, 3);
}

static void answer_again(crew_conn *c, crew_response *response)
{
	(void)response;
	assert_int_equal(crew_reply(c, &(crew_response){ 0 }), -EINVAL);
	assert_int_equal(crew_reply_begin(c, &(crew_response){ 0 }, -1), -EINVAL);
	assert_int_equal(crew_events_begin(c, NULL), -EINVAL);
	assert_int_equal(crew_reply_write(c, CREW_BYTES("x")), -EINVAL);
}

static void one_answer_is_enough(void **state)
{
	open_routed(state, answer_again);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(crew_reply(c, &(crew_response){ 0 }) > 0);
	assert_string_equal(ways_hear(), OK_HEAD "Content-Length: 0\r\n\r\n");
	assert_int_equal(afters, 1);
	assert_int_equal(counter(&ways.world, "messages_offered"), 1);
}

static void spoil(crew_conn *c, crew_response *response)
{
	static const crew_header split = { CREW_BYTES("X"), CREW_BYTES("a\r\nb") };
	assert_int_equal(add(c, "X-After", "1"), 0);
	response->headers = &split;
	response->header_count = 1;
	after = NULL; /* the next one is good */
}

static void what_was_spoilt_can_be_put_right(void **state)
{
	const crew_response good = { .body = CREW_BYTES("x") };
	for (int way = 0; way < 3; way++) {
		open_routed(state, spoil);
		crew_conn *c = ways_ask(WAYS_GET("/"));
		assert_int_equal(add(c, "X-Before", "1"), 0);
		if (way == 0)
			assert_int_equal(crew_reply(c, &good), -EINVAL);
		else if (way == 1)
			assert_int_equal(crew_reply_begin(c, &good, -1), -EINVAL);
		else
			assert_int_equal(crew_events_begin(c, NULL), -EINVAL);
		assert_true(crew_reply(c, &good) > 0);
		/* Nothing of the spoilt one's is in it. */
		assert_string_equal(
			ways_hear(), OK_HEAD TEXT "Content-Length: 1\r\nX-Before: 1\r\n\r\nx");
		assert_int_equal(afters, 2);
		ways_close();
	}
	ways_open(state, NULL);
}

static void not_for_one_that_is_refused(void **state)
{
	open_routed(state, make_teapot);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(crew_reply(c, &(crew_response){ .status = 99 }), -EINVAL);
	assert_int_equal(afters, 0);
	assert_int_equal(crew_events_begin(c, &(crew_response){ .status = 404 }), -EINVAL);
	assert_int_equal(afters, 0);
}

static void lengthen(crew_conn *c, crew_response *response)
{
	(void)c;
	response->body = CREW_BYTES("far too long");
}

static void a_first_part_longer_than_all(void **state)
{
	open_routed(state, lengthen);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(crew_reply_begin(c, &(crew_response){ 0 }, 3), -EMSGSIZE);
	after = NULL;
	assert_true(crew_reply(c, &(crew_response){ 0 }) > 0);
	assert_string_equal(ways_hear(), OK_HEAD "Content-Length: 0\r\n\r\n");
}

static void close_it(crew_conn *c, crew_response *response)
{
	(void)response;
	assert_int_equal(crew_close(c), 0);
}

static void abort_it(crew_conn *c, crew_response *response)
{
	(void)response;
	assert_int_equal(crew_abort(c), 0);
}

/* The answer is one that was offered to a connection that is closing. */
static void a_function_that_ends_the_connection(void **state)
{
	for (int way = 0; way < 6; way++) {
		open_routed(state, way % 2 ? close_it : abort_it);
		crew_conn *c = ways_ask(WAYS_GET("/"));
		const crew_response response = { .body = CREW_BYTES("x") };
		if (way / 2 == 0)
			assert_int_equal(crew_reply(c, &response), -ENOTCONN);
		else if (way / 2 == 1)
			assert_int_equal(crew_reply_begin(c, &response, -1), -ENOTCONN);
		else
			assert_int_equal(crew_events_begin(c, NULL), -ENOTCONN);
		assert_string_equal(ways_hear(), "");
		assert_int_equal(counter(&ways.world, "fail_closed"), way / 2 == 2 ? 0 : 1);
		ways_close();
	}
	ways_open(state, NULL);
}

static void answer_the_other(crew_conn *c, crew_response *response)
{
	static char value[3000];
	memset(value, 'v', sizeof(value));
	const crew_header field = { CREW_BYTES("V"), { value, sizeof(value) } };
	(void)response;
	after = NULL;
	assert_true(c != ways_conn());
	assert_true(crew_reply(ways_conn(),
			    &(crew_response){ .headers = &field, .header_count = 1 }) >= 0);
}

/* What one answer is written in is not what another one, given meanwhile, is written in. */
static void two_answers_at_once(void **state)
{
	open_routed(state, answer_the_other);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	int other = world_connect(&ways.world);
	peer_says(other, CREW_BYTES(WAYS_GET("/")));
	world_until(&ways.world, ways_conn() != c);
	assert_true(crew_reply(c, &(crew_response){ .body = CREW_BYTES("mine") }) > 0);
	assert_string_equal(ways_hear(), OK_HEAD TEXT "Content-Length: 4\r\n\r\nmine");
	assert_int_equal(peer_hears_all(&ways.world, other, ways.room, 10000),
		strlen(OK_HEAD "Date: \r\nContent-Length: 0\r\nV: \r\n\r\n") + 29 + 3000);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(fields_go_with_the_next_answer_and_no_other),
		ON_BOTH(fields_that_must_not_go),
		ON_BOTH(fields_have_a_bound),
		ON_BOTH(lengths),
		ON_BOTH(bodies_of_all_sizes),
		ON_BOTH(many_fields),
		ON_BOTH(a_request_on_its_way_is_not_answered),
		ON_BOTH(the_last_answer_ends_the_connection),
		ON_BOTH(an_answer_may_be_changed),
		ON_BOTH(one_answer_is_enough),
		ON_BOTH(what_was_spoilt_can_be_put_right),
		ON_BOTH(not_for_one_that_is_refused),
		ON_BOTH(a_first_part_longer_than_all),
		ON_BOTH(a_function_that_ends_the_connection),
		ON_BOTH(two_answers_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
