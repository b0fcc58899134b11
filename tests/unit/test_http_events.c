/* test_http_events.c - streams of events: how they begin, that sends and broadcasts reach them and
 * only them, that each event is one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int clean_up(void **state)
{
	(void)state;
	ways_close();
	return 0;
}

#define HEAD                                                     \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
	"Transfer-Encoding: chunked\r\nCache-Control: no-cache\r\n\r\n"
#define HEAD_TEN                                                 \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
	"Cache-Control: no-cache\r\n\r\n"
#define GET_TEN "GET / HTTP/1.0\r\n\r\n"

static void begin(crew_conn *c, const crew_request *r)
{
	(void)r;
	assert_int_equal(crew_events_begin(c, NULL), 0);
}

/* The usual: a stream has begun, and its head has been heard. */
static crew_conn *open_stream(void **state, void (*adjust)(struct crew__service_settings *s))
{
	ways_open(state, adjust);
	ways.handler = begin;
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_string_equal(ways_hear(), HEAD);
	told_anew();
	return c;
}

static void messages(unsigned offered, unsigned sent, unsigned failed)
{
	assert_int_equal(counter(&ways.world, "messages_offered"), offered);
	assert_int_equal(counter(&ways.world, "messages_sent"), sent);
	assert_int_equal(counter(&ways.world, "send_fail"), failed);
}

/* ---- beginning ----------------------------------------------------------------------------- */

static void a_stream_begins(void **state)
{
	crew_conn *c = open_stream(state, NULL);
	messages(0, 0, 0); /* its head is none */
	assert_string_equal(crew__protocol_name(c->record->protocol), "sse");
	assert_int_equal(crew_events_begin(c, NULL), -EINVAL);
	assert_int_equal(crew_reply(c, &(crew_response){ 0 }), -EINVAL);
	assert_int_equal(crew_reply_write(c, CREW_BYTES("x")), -EINVAL);
	assert_int_equal(crew_reply_end(c, NULL, 0), -EINVAL);
	assert_int_equal(crew_reply_header(c, "A", CREW_BYTES("b")), -EINVAL);
	messages(0, 0, 0);
}

static void with_fields(void **state)
{
	static const crew_header fields[] = { { CREW_BYTES("X-A"), CREW_BYTES("b") },
		{ CREW_BYTES("cache-control"), CREW_BYTES("no-store") } };
	ways_open(state, NULL);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_int_equal(crew_reply_header(c, "X-B", CREW_BYTES("c")), 0);
	const crew_response response = {
		.type = "text/event-stream; charset=utf-8", .headers = fields, .header_count = 2
	};
	assert_int_equal(crew_events_begin(c, &response), 0); /* later than its request */
	assert_string_equal(ways_hear(),
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		"Transfer-Encoding: chunked\r\nX-A: b\r\ncache-control: no-store\r\nX-B: c\r\n\r\n");
	assert_true(crew_send(c, CREW_BYTES("x")) >= 0);
	assert_string_equal(ways_hear(), "9\r\ndata: x\n\n\r\n");
}

static void what_is_no_stream(void **state)
{
	static const crew_header split = { CREW_BYTES("X"), CREW_BYTES("a\r\nb") };
	static const crew_response bad[] = { { .status = 204 }, { .status = 404 },
		{ .body = CREW_BYTES("x") }, { .type = "text/html" },
		{ .headers = &split, .header_count = 1 }, { .header_count = 1 } };
	ways_open(state, NULL);
	assert_int_equal(crew_events_begin(NULL, NULL), -ENOTCONN);
	crew_conn *c = ways_ask(WAYS_GET("/"));
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_int_equal(crew_events_begin(c, &bad[i]), -EINVAL);
	assert_int_equal(crew_send_event(c, &(crew_event){ 0 }), -EINVAL);
	assert_int_equal(crew_send(c, CREW_BYTES("x")), -EINVAL);
	assert_int_equal(crew_events_begin(c, NULL), 0); /* it can be put right */
	assert_string_equal(ways_hear(), HEAD);
}

static void head_gets_the_head(void **state)
{
	ways_open(state, NULL);
	ways.handler = begin;
	ways_ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" WAYS_GET("/"));
	assert_string_equal(ways_hear(), HEAD_TEN HEAD); /* and the next request its answer */
}

/* ---- events -------------------------------------------------------------------------------- */

static void events_of_all_kinds(void **state)
{
	crew_conn *c = open_stream(state, NULL);
	assert_true(crew_send(c, CREW_BYTES("hello")) >= 0);
	assert_string_equal(ways_hear(), "d\r\ndata: hello\n\n\r\n");
	assert_true(crew_send(c, CREW_BYTES("")) >= 0);
	assert_string_equal(ways_hear(), "8\r\ndata: \n\n\r\n");
	assert_true(crew_send(c, CREW_BYTES("a\nb\r\nc")) >= 0);
	assert_string_equal(ways_hear(), "19\r\ndata: a\ndata: b\ndata: c\n\n\r\n");
	assert_true(crew_send_static(c, CREW_BYTES("x")) >= 0);
	assert_string_equal(ways_hear(), "9\r\ndata: x\n\n\r\n");
	assert_true(crew_send_event(c, &(crew_event){ .name = "n",
					       .id = "7",
					       .retry_ms = 10,
					       .data = CREW_BYTES("d\n") }) >= 0);
	assert_string_equal(
		ways_hear(), "29\r\nevent: n\nid: 7\nretry: 10\ndata: d\ndata: \n\n\r\n");
	messages(5, 5, 0);
	assert_int_equal(crew_send_event(c, NULL), -EINVAL);
	assert_int_equal(crew_send_event(c, &(crew_event){ .name = "a\nb" }), -EINVAL);
	assert_int_equal(crew_send_event(c, &(crew_event){ .id = "a\rb" }), -EINVAL);
	assert_int_equal(crew_send_event(c, &(crew_event){ .retry_ms = -1 }), -EINVAL);
	assert_int_equal(crew_send_event(NULL, &(crew_event){ 0 }), -ENOTCONN);
	messages(6, 5, 1);
	assert_int_equal(counter(&ways.world, "send_invalid"), 4);
}

static unsigned released;

static void release(void *data, void *arg)
{
	free(data);
	(*(unsigned *)arg)++;
}

/* Whether its bytes go as they are or in other words. */
static void what_was_handed_over_is_given_back(void **state)
{
	static const char *const texts[] = { "plain", "with\na break" };
	crew_conn *c = open_stream(state, NULL);
	released = 0;
	for (size_t i = 0; i < 2; i++) {
		char *text = strdup(texts[i]);
		crew_bytes bytes = { text, strlen(text) };
		assert_true(crew_send_owned(c, bytes, release, &released) >= 0);
		ways_hear();
		assert_int_equal(released, i + 1);
	}
}

static crew_conn *other_one;
static unsigned sent_meanwhile;

/* Taking a message back, it sends another event, which wants the same memory. */
static void send_meanwhile(void *data, void *arg)
{
	(void)data;
	(void)arg;
	sent_meanwhile += crew_send(other_one, CREW_BYTES("mean\nwhile")) >= 0;
	sent_meanwhile += crew_send_event(other_one, &(crew_event){ .id = "m" }) >= 0;
}

static void tight(struct crew__service_settings *s)
{
	s->max_send_buffer = 1000; /* much less than the kernel takes at once */
}

/* Asked once more, the kernel takes what waits, in the midst of a send: what is being sent stays
 * what it is. */
static void events_while_one_is_taken_back(void **state)
{
	static char data[60000];
	crew_conn *c = open_stream(state, tight);
	int other = world_connect(&ways.world);
	peer_says(other, CREW_BYTES(WAYS_GET("/")));
	world_settle(&ways.world);
	other_one = ways_conn();
	assert_true(other_one != c);
	assert_true(peer_hears_all(&ways.world, other, ways.room, 1000) > 0);
	memset(data, 'd', sizeof(data));
	/* Where the last bytes leave depends on the kernel: many lengths, so that it is in a send.
	 */
	for (size_t len = sizeof(data); len > sizeof(data) - 20000; len -= 500) {
		sent_meanwhile = 0;
		assert_true(
			crew_send_owned(c, (crew_bytes){ data, len }, send_meanwhile, NULL) >= 0);
		world_settle(&ways.world);
		size_t heard = 0;
		while (sent_meanwhile == 0) {
			heard += (size_t)peer_hears(ways.peer, ways.room + heard, 200000);
			c->asked_turn--; /* as if it were the next turn */
			if (len % 1000 == 0)
				crew_send(c, CREW_BYTES("one\nevent"));
			else
				crew_send_event(
					c, &(crew_event){ .data = CREW_BYTES("one\nevent") });
		}
		assert_int_equal(sent_meanwhile, 2);
		peer_hears_all(&ways.world, ways.peer, ways.room + heard, 200000);
		const char *at = strstr(ways.room, "d\n\n\r\n");
		assert_non_null(at);
		for (at += 5; *at; at += 29)
			assert_int_equal(
				strncmp(at, "17\r\ndata: one\ndata: event\n\n\r\n", 29), 0);
		peer_hears_all(&ways.world, other, ways.room, 1000);
		assert_string_equal(
			ways.room, "18\r\ndata: mean\ndata: while\n\n\r\n7\r\nid: m\n\n\r\n");
	}
	close(other);
}

static void to_http_1_0(void **state)
{
	ways_open(state, NULL);
	ways.handler = begin;
	crew_conn *c = ways_ask(GET_TEN);
	assert_string_equal(ways_hear(), HEAD_TEN);
	assert_string_equal(crew__protocol_name(c->record->protocol), "sse");
	assert_true(crew_send(c, CREW_BYTES("x")) >= 0);
	assert_true(crew_send(c, CREW_BYTES("a\nb")) >= 0);
	assert_true(crew_send_event(c, &(crew_event){ .id = "7" }) >= 0);
	assert_string_equal(ways_hear(), "data: x\n\ndata: a\ndata: b\n\nid: 7\n\n");
	assert_int_equal(crew_close(c), 0);
	assert_string_equal(ways_hear(), "");
	assert_true(peer_sees_end(ways.peer));
	messages(3, 3, 0);
}

static void large_events_leave_whole(void **state)
{
	static char data[300000];
	memset(data, 'x', sizeof(data));
	crew_conn *c = open_stream(state, NULL);
	assert_true(crew_send(c, (crew_bytes){ data, sizeof(data) }) >= 0);
	data[1] = '\n';
	assert_true(crew_send(c, (crew_bytes){ data, sizeof(data) }) >= 0);
	data[1] = 'x';
	ways_hear();
	char line[20];
	int n = snprintf(line, sizeof(line), "%zx\r\ndata: ", sizeof(data) + 8);
	assert_memory_equal(ways.room, line, (size_t)n);
	assert_int_equal(
		ways.len, 2 * (sizeof(data) + (size_t)n + 4) + 6); /* `data: ` again, for LF */
	assert_string_equal(ways.room + ways.len - 5, "x\n\n\r\n");
	messages(2, 2, 0);
}

/* ---- to all -------------------------------------------------------------------------------- */

static void count_member(crew_conn *c, void *arg)
{
	assert_true(crew__is_events(c));
	(*(unsigned *)arg)++;
}

/* Two streams of 1.1, one of 1.0, one connection that is none: three get it, each in its way. */
static void broadcasts(void **state)
{
	static char rooms[4][10000];
	static const char *const requests[] = { WAYS_GET("/"), GET_TEN, WAYS_GET("/"), "" };
	static char text[6000]; /* too long for a burst */
	int peers[4];
	unsigned members = 0;
	ways_open(state, NULL);
	ways.handler = begin;
	crew_shared *nothing = crew_shared_new(CREW_BYTES(""));
	assert_int_equal(crew_broadcast(&ways_web, nothing), 0);
	crew_shared_unref(nothing);
	for (size_t i = 0; i < 4; i++) {
		peers[i] = i == 0 ? ways.peer : world_connect(&ways.world);
		if (requests[i][0])
			peer_says(peers[i], crew_str(requests[i]));
		world_settle(&ways.world);
		peer_hears(peers[i], rooms[i], sizeof(rooms[i]));
	}
	assert_int_equal(crew_each(&ways_web, count_member, &members), 3);
	assert_int_equal(members, 3);

	memset(text, 't', sizeof(text));
	crew_shared *both[] = { crew_shared_new(CREW_BYTES("hi")),
		crew_shared_new(CREW_BYTES("a\nb")),
		crew_shared_event(&(crew_event){ .name = "n", .data = CREW_BYTES("d") }),
		crew_shared_new((crew_bytes){ text, sizeof(text) }) };
	static const char *const expected[] = { "data: hi\n\n", "data: a\ndata: b\n\n",
		"event: n\ndata: d\n\n", "data: ttt" };
	for (size_t s = 0; s < crew__lengthof(both); s++)
		for (int twice = 0; twice < 2; twice++) {
			size_t len = s < 3 ? strlen(expected[s]) : sizeof(text) + 8;
			char chunk[20];
			int n = snprintf(chunk, sizeof(chunk), "%zx\r\n", len);
			assert_int_equal(crew_broadcast(&ways_web, both[s]), 3);
			world_settle(&ways.world);
			for (size_t i = 0; i < 4; i++) {
				ssize_t got = peer_hears(peers[i], rooms[i], sizeof(rooms[i]));
				const char *at = rooms[i] + (i == 1 ? 0 : n);
				if (i == 3) {
					assert_int_equal(got, 0);
					continue;
				}
				assert_int_equal(got, len + (i == 1 ? 0 : (size_t)n + 2));
				assert_memory_equal(rooms[i], chunk, i == 1 ? 0 : (size_t)n);
				assert_memory_equal(
					at, expected[s], crew__min(strlen(expected[s]), len));
				assert_memory_equal(at + len - 2, "\n\n\r\n", i == 1 ? 2 : 4);
			}
		}
	messages(24, 24, 0);
	for (size_t s = 0; s < crew__lengthof(both); s++)
		crew_shared_unref(both[s]);
	for (size_t i = 1; i < 4; i++)
		close(peers[i]);
}

static void shared_events(void **state)
{
	crew_conn *c = open_stream(state, NULL);
	assert_null(crew_shared_event(NULL));
	assert_null(crew_shared_event(&(crew_event){ .id = "a\nb" }));
	crew_shared *s = crew_shared_event(&(crew_event){ .id = "7", .data = CREW_BYTES("d") });
	assert_non_null(s);
	crew_bytes bytes = crew_shared_bytes(s);
	assert_int_equal(bytes.len, strlen("id: 7\ndata: d\n\n"));
	assert_memory_equal(bytes.data, "id: 7\ndata: d\n\n", bytes.len);
	assert_true(crew_send_shared(c, s) >= 0);
	assert_string_equal(ways_hear(), "f\r\nid: 7\ndata: d\n\n\r\n");
	crew_shared_unref(s);
}

static crew_shared *to_websocket;

static void on_open(crew_conn *c)
{
	assert_true(crew_send_shared(c, to_websocket) >= 0);
}

static const crew_service sockets = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.on_request = ways_on_request,
	.on_open = on_open,
};

/* On a WebSocket port both kinds are members, and plain HTTP is none. */
static void beside_websockets(void **state)
{
	ways_open_with(state, &sockets, NULL);
	ways.handler = begin;
	to_websocket = crew_shared_event(&(crew_event){ .data = CREW_BYTES("d") });
	ways_ask(
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	ways_hear();
	assert_string_equal(strstr(ways.room, "\r\n\r\n") + 4, "\x81\x09"
							       "data: d\n\n");
	int stream = world_connect(&ways.world), plain = world_connect(&ways.world);
	peer_says(stream, CREW_BYTES(WAYS_GET("/")));
	world_settle(&ways.world);
	peer_hears(stream, ways.room, 1000);
	assert_int_equal(crew_broadcast(&sockets, to_websocket), 2);
	assert_string_equal(ways_hear(), "\x81\x09"
					 "data: d\n\n");
	assert_true(peer_hears(stream, ways.room, 1000) > 0);
	assert_string_equal(ways.room, "9\r\ndata: d\n\n\r\n");
	assert_int_equal(peer_hears(plain, ways.room, 1000), 0);
	crew_shared_unref(to_websocket);
	close(stream);
	close(plain);
}

/* ---- fullness ------------------------------------------------------------------------------ */

static void small(struct crew__service_settings *s)
{
	s->max_send_buffer = 50 * 1000;
}

static void what_a_full_stream_loses_is_counted(void **state)
{
	static char data[1000];
	unsigned taken = 0, lost = 0;
	memset(data, 'd', sizeof(data));
	crew_conn *c = open_stream(state, small);
	for (unsigned i = 0; i < 200; i++) {
		int64_t queued = crew_send(c, (crew_bytes){ data, sizeof(data) });
		taken += queued >= 0;
		lost += queued == -ENOBUFS;
		world_turn(&ways.world, 0);
	}
	assert_true(taken > 0 && lost > 0 && taken + lost == 200);
	assert_int_equal(counter(&ways.world, "fail_full"), lost);
	assert_int_equal(counter(&ways.world, "messages_offered"), 200);
	assert_true(crew_queued(c) >= 50 * 1000 && crew_queued(c) < 52 * 1000);
	ways_hear();
	assert_int_equal(ways.len, taken * (strlen("3f0\r\ndata: \n\n\r\n") + sizeof(data)));
	messages(200, taken, lost);
	assert_non_null(strstr(told(), "full"));
	assert_non_null(strstr(told(), "drain"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_stream_begins),
		ON_BOTH(with_fields),
		ON_BOTH(what_is_no_stream),
		ON_BOTH(head_gets_the_head),
		ON_BOTH(events_of_all_kinds),
		ON_BOTH(what_was_handed_over_is_given_back),
		ON_BOTH(events_while_one_is_taken_back),
		ON_BOTH(to_http_1_0),
		ON_BOTH(large_events_leave_whole),
		ON_BOTH(broadcasts),
		ON_BOTH(shared_events),
		ON_BOTH(beside_websockets),
		ON_BOTH(what_a_full_stream_loses_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
