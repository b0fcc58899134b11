/* test_http_stream.c - answers whose body comes in parts: how they are framed, what is too much and
 * too little, what a full queue does; and that each is one message whatever becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <unistd.h>

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

static const crew_response plain = { .type = "a/b" };

static int64_t begin(crew_conn *c, int64_t length)
{
	return crew_reply_begin(c, &plain, length);
}

static int64_t put(crew_conn *c, const char *text)
{
	return crew_reply_write(c, crew_str(text));
}

static int64_t end(crew_conn *c)
{
	return crew_reply_end(c, NULL, 0);
}

static void one_message_each(unsigned sent, unsigned failed)
{
	assert_int_equal(counter(&ways.world, "messages_offered"), sent + failed);
	assert_int_equal(counter(&ways.world, "messages_sent"), sent);
	assert_int_equal(counter(&ways.world, "send_fail"), failed);
}

#define HEAD     "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
#define CHUNKED  HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define GET_TEN  "GET / HTTP/1.0\r\n\r\n"
#define GET_STAY "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

/* ---- framing ------------------------------------------------------------------------------- */

static void of_a_known_length(void **state)
{
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/1") WAYS_GET("/2"));
	assert_true(begin(c, 6) > 0);
	assert_true(put(c, "abc") >= 0);
	assert_true(put(c, "") >= 0);
	assert_int_equal(put(c, "defg"), -EMSGSIZE); /* nothing of it is taken */
	assert_true(put(c, "def") >= 0);
	assert_int_equal(put(c, "g"), -EMSGSIZE);
	assert_int_equal(counter(&ways.world, "messages_queued"), 1);
	assert_true(end(c) >= 0);
	assert_int_equal(put(c, "x"), -EINVAL);
	assert_int_equal(end(c), -EINVAL);
	assert_string_equal(ways_hear(), HEAD "Content-Length: 6\r\n\r\nabcdef");
	one_message_each(1, 0);
	c = ways_conn(); /* the next request is there */
	assert_true(crew_reply_begin(c, &(crew_response){ .body = CREW_BYTES("all") }, 3) > 0);
	assert_true(end(c) >= 0);
	ways_hear();
	assert_string_equal(ways.room + ways.len - 3, "all");
	one_message_each(2, 0);
}

static void in_chunks(void **state)
{
	static char much[70000];
	memset(much, 'm', sizeof(much));
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/1") WAYS_GET("/2"));
	crew_response first = plain;
	first.body = CREW_BYTES("first");
	assert_true(crew_reply_begin(c, &first, -1) > 0);
	assert_true(put(c, "0123456789abcdef") > 0);
	assert_true(put(c, "") > 0); /* an empty chunk would end it */
	assert_true(end(c) >= 0);
	assert_string_equal(
		ways_hear(), CHUNKED "5\r\nfirst\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
	c = ways_conn();
	assert_true(begin(c, -1) > 0);
	assert_true(crew_reply_write(c, (crew_bytes){ much, sizeof(much) }) > 0);
	assert_true(crew_reply_write(c, (crew_bytes){ much, sizeof(much) }) > 0);
	assert_true(end(c) >= 0);
	ways_hear();
	assert_int_equal(strlen(ways_unchunk(NULL)), 2 * sizeof(much));
	one_message_each(2, 0);
}

static void to_the_end_of_the_connection(void **state)
{
	static const char *const requests[] = { GET_TEN, GET_STAY };
	for (size_t i = 0; i < crew__lengthof(requests); i++) {
		ways_open(state, NULL);
		crew_conn *c = ways_ask(requests[i]);
		assert_true(begin(c, -1) > 0);
		assert_true(put(c, "abc") > 0);
		assert_true(put(c, "def") > 0);
		assert_true(end(c) >= 0);
		assert_string_equal(ways_hear(), HEAD "\r\nabcdef");
		assert_true(peer_sees_end(ways.peer));
		one_message_each(1, 0);
		ways_close();
	}
	ways_open(state, NULL); /* with a length it may stay */
	crew_conn *c = ways_ask(GET_STAY GET_STAY);
	assert_true(begin(c, 1) > 0 && put(c, "x") > 0 && end(c) >= 0);
	assert_string_equal(
		ways_hear(), HEAD "Content-Length: 1\r\nConnection: keep-alive\r\n\r\nx");
	assert_true(crew_reply(ways_conn(), &plain) > 0);
}

/* Where the end of the connection ends the body, one that is broken off must not look whole. */
static void what_is_broken_off_does_not_look_whole(void **state)
{
	ways_open(state, NULL);
	int tcp = world_connect_tcp(&ways.world, NULL);
	peer_says(tcp, CREW_BYTES(GET_TEN));
	world_until(&ways.world, ways_conn());
	crew_conn *c = ways_conn();
	assert_true(begin(c, -1) > 0 && put(c, "abc") > 0);
	world_settle(&ways.world);
	assert_int_equal(crew_close(c), 0);
	world_settle(&ways.world);
	assert_true(peer_sees_reset(tcp));
	one_message_each(0, 1);
	assert_non_null(strstr(told(), "error:aborted:1 close:app"));
	close(tcp);
}

static void closed_in_the_midst_of_chunks(void **state)
{
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(begin(c, -1) > 0 && put(c, "abc") > 0);
	assert_int_equal(crew_close(c), 0);
	assert_int_equal(put(c, "def"), -ENOTCONN);
	assert_int_equal(end(c), -ENOTCONN);
	assert_string_equal(ways_hear(), CHUNKED "3\r\nabc\r\n");
	assert_true(peer_sees_end(ways.peer));
	one_message_each(0, 1);
	assert_int_equal(counter(&ways.world, "fail_aborted"), 1);
}

static void without_a_body(void **state)
{
	static const struct {
		const char *request;
		int status;
		int64_t length;
		const char *answer;
	} cases[] = {
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 6, HEAD "Content-Length: 6\r\n\r\n" },
		{ "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, -1, HEAD "\r\n" },
		{ WAYS_GET("/"), 204, -1, "HTTP/1.1 204 No Content\r\n\r\n" },
		{ WAYS_GET("/"), 304, 6, "HTTP/1.1 304 Not Modified\r\n\r\n" },
	};
	ways_open(state, NULL);
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		crew_response response = plain;
		response.status = cases[i].status;
		response.body = CREW_BYTES("abc");
		crew_conn *c = ways_ask(cases[i].request);
		assert_true(crew_reply_begin(c, &response, cases[i].length) > 0);
		assert_true(put(c, "def") >= 0);
		assert_true(end(c) >= 0);
		assert_string_equal(ways_hear(), cases[i].answer);
	}
	one_message_each(crew__lengthof(cases), 0);
	crew_conn *c = ways_ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(begin(c, 6) > 0 && end(c) >= 0); /* nobody misses what nobody gets */
	assert_string_equal(ways_hear(), cases[0].answer);
}

/* ---- wrong use ----------------------------------------------------------------------------- */

static void what_cannot_begin(void **state)
{
	ways_open(state, NULL);
	assert_int_equal(begin(NULL, -1), -ENOTCONN);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(put(c, "x"), -EINVAL);
	assert_int_equal(end(c), -EINVAL);
	assert_int_equal(crew_reply_begin(c, NULL, -1), -EINVAL);
	assert_int_equal(begin(c, -2), -EINVAL);
	assert_int_equal(crew_reply_begin(c, &(crew_response){ .body = { NULL, 1 } }, -1), -EINVAL);
	assert_int_equal(crew_reply_begin(c, &(crew_response){ .status = 99 }, -1), -EINVAL);
	assert_int_equal(
		crew_reply_begin(c, &(crew_response){ .body = CREW_BYTES("abc") }, 2), -EMSGSIZE);
	one_message_each(0, 1); /* that to nobody */
	assert_true(begin(c, -1) > 0);
	assert_int_equal(begin(c, -1), -EINVAL);
	assert_int_equal(crew_reply(c, &plain), -EINVAL);
	assert_int_equal(crew_reply_header(c, "A", CREW_BYTES("b")), -EINVAL);
	assert_int_equal(crew_reply_write(c, (crew_bytes){ NULL, 1 }), -EINVAL);
	assert_int_equal(put(NULL, "x"), -ENOTCONN);
	assert_int_equal(end(NULL), -ENOTCONN);
	assert_true(end(c) >= 0);
	assert_string_equal(ways_hear(), CHUNKED "0\r\n\r\n");
}

static void too_little_breaks_the_connection(void **state)
{
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(begin(c, 6) > 0 && put(c, "abcde") > 0);
	assert_int_equal(end(c), -EMSGSIZE);
	world_settle(&ways.world);
	assert_string_equal(told(), "error:aborted:1 close:app");
	one_message_each(0, 1);
}

static void trailers(void **state)
{
	static const crew_header good[] = { { CREW_BYTES("Digest"), CREW_BYTES("abc=") },
		{ CREW_BYTES("X-Empty"), { NULL, 0 } } };
	static const crew_header bad[] = { { CREW_BYTES("Content-Length"), CREW_BYTES("1") },
		{ CREW_BYTES("Transfer-Encoding"), CREW_BYTES("chunked") },
		{ CREW_BYTES("Set-Cookie"), CREW_BYTES("a=b") },
		{ CREW_BYTES("X"), CREW_BYTES("a\r\n\r\nHTTP/1.1 200 OK") },
		{ CREW_BYTES("X\n"), CREW_BYTES("a") }, { { NULL, 0 }, { NULL, 0 } } };
	static char value[8 * 1024];
	memset(value, 'v', sizeof(value));
	const crew_header endless = { CREW_BYTES("X"), { value, sizeof(value) } };
	const crew_header most = { CREW_BYTES("X"), { value, sizeof(value) - 5 } };
	const char *behind;

	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(begin(c, -1) > 0 && put(c, "abc") > 0);
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_int_equal(crew_reply_end(c, &bad[i], 1), -EINVAL);
	assert_int_equal(crew_reply_end(c, NULL, 1), -EINVAL);
	assert_int_equal(crew_reply_end(c, &endless, 1), -EINVAL);
	assert_true(crew_reply_end(c, good, 2) >= 0); /* it is still under way */
	ways_hear();
	assert_string_equal(ways_unchunk(&behind), "abc");
	assert_string_equal(behind, "Digest: abc=\r\nX-Empty: \r\n");

	c = ways_ask(WAYS_GET("/"));
	assert_true(begin(c, -1) > 0 && crew_reply_end(c, &most, 1) >= 0);
	ways_hear();
	assert_string_equal(ways_unchunk(&behind), "");
	assert_int_equal(strlen(behind), sizeof(value));

	c = ways_ask(WAYS_GET("/")); /* no chunks, no trailers */
	assert_true(begin(c, 3) > 0 && put(c, "abc") > 0 && crew_reply_end(c, good, 2) >= 0);
	assert_string_equal(ways_hear(), HEAD "Content-Length: 3\r\n\r\nabc");
	one_message_each(3, 0);
}

/* ---- fullness ------------------------------------------------------------------------------ */

enum {
	LIMIT = 100 * 1000
};

static void small(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
}

static void a_full_queue_takes_nothing_and_loses_nothing(void **state)
{
	static char part[10000];
	size_t taken = 0;
	int64_t queued;
	memset(part, 'p', sizeof(part));
	ways_open(state, small);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(begin(c, -1) > 0);
	while ((queued = crew_reply_write(c, (crew_bytes){ part, sizeof(part) })) >= 0)
		taken++;
	assert_int_equal(queued, -ENOBUFS);
	assert_true(crew_queued(c) >= LIMIT && crew_queued(c) < LIMIT + sizeof(part) + 20);
	assert_int_equal(counter(&ways.world, "messages_offered"), 1);
	assert_int_equal(counter(&ways.world, "send_fail"), 0);
	ways_hear();
	assert_string_equal(told(), "full drain");
	assert_true(crew_reply_write(c, (crew_bytes){ part, 1 }) >= 0);
	assert_true(end(c) >= 0);
	/* What was heard before is the first part of it. */
	size_t before = ways.len;
	ways.len += peer_hears_all(&ways.world, ways.peer, ways.room + before, 1000);
	assert_int_equal(strlen(ways_unchunk(NULL)), taken * sizeof(part) + 1);
	one_message_each(1, 0);
}

/* The end is never refused. */
static void the_end_finds_room(void **state)
{
	static char part[LIMIT + LIMIT];
	memset(part, 'p', sizeof(part));
	ways_open(state, small);
	crew_conn *c = ways_ask(WAYS_GET("/") WAYS_GET("/"));
	assert_true(begin(c, -1) > 0);
	assert_true(crew_reply_write(c, (crew_bytes){ part, sizeof(part) }) >= 0);
	assert_int_equal(put(c, "x"), -ENOBUFS);
	assert_true(end(c) > 0);
	ways_hear();
	assert_int_equal(strlen(ways_unchunk(NULL)), sizeof(part));
	one_message_each(1, 0);
	assert_true(crew_reply(ways_conn(), &plain) > 0); /* the next one, once there was room */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(of_a_known_length),
		ON_BOTH(in_chunks),
		ON_BOTH(to_the_end_of_the_connection),
		ON_BOTH(what_is_broken_off_does_not_look_whole),
		ON_BOTH(closed_in_the_midst_of_chunks),
		ON_BOTH(without_a_body),
		ON_BOTH(what_cannot_begin),
		ON_BOTH(too_little_breaks_the_connection),
		ON_BOTH(trailers),
		ON_BOTH(a_full_queue_takes_nothing_and_loses_nothing),
		ON_BOTH(the_end_finds_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
