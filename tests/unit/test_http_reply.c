/* test_http_reply.c - whole answers: the fields that go with them, what they say of their length,
 * and when there is none to give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <stdio.h>

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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
