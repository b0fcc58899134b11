/* test_http_events_life.c - what keeps a stream of events alive, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "answer_ways.h"

#include <sys/socket.h>
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

/* ---- alive --------------------------------------------------------------------------------- */

static void quick(struct crew__service_settings *s)
{
	s->heartbeat_ms = 100;
}

static void a_comment_keeps_it_alive(void **state)
{
	ways_open(state, quick);
	ways.handler = begin;
	crew_conn *c = ways_ask(WAYS_GET("/"));
	ways_hear();
	uint32_t before = c->record->last_out;
	world_until(&ways.world, c->record->last_out != before);
	assert_true(c->record->last_out - before >= 10);
	ways_hear(); /* a slow machine may bring more than one by now */
	assert_true(ways.len > 0 && ways.len % 9 == 0);
	for (size_t at = 0; at < ways.len; at += 9)
		assert_memory_equal(ways.room + at, "4\r\n: \n\n\r\n", 9);
	messages(0, 0, 0);
}

static void slower(struct crew__service_settings *s)
{
	s->heartbeat_ms = 1000;
}

static void none_while_events_flow(void **state)
{
	ways_open(state, slower);
	ways.handler = begin;
	crew_conn *c = ways_ask(GET_TEN);
	ways_hear();
	for (unsigned i = 0; i < 14; i++) {
		assert_true(crew_send(c, CREW_BYTES("x")) >= 0);
		world_pass(&ways.world, 100);
	}
	ssize_t n = peer_hears(ways.peer, ways.room, 1000);
	assert_int_equal(n, 14 * strlen("data: x\n\n"));
	world_until(&ways.world, peer_hears(ways.peer, ways.room, 1000) > 0);
	assert_string_equal(ways.room, ": \n\n");
}

static void stalled(struct crew__service_settings *s)
{
	s->heartbeat_ms = 30;
	s->max_send_buffer = 50 * 1000;
}

/* Who takes nothing is not given comments to take. */
static void none_behind_what_waits(void **state)
{
	static char data[60000];
	memset(data, 'd', sizeof(data));
	ways_open(state, stalled);
	ways.handler = begin;
	crew_conn *c = ways_ask(WAYS_GET("/"));
	assert_true(crew_send(c, (crew_bytes){ data, sizeof(data) }) >= 0);
	world_settle(&ways.world);
	size_t queued = crew_queued(c);
	assert_true(queued > 0);
	world_pass(&ways.world, 150);
	assert_int_equal(crew_queued(c), queued);
}

static void idle(struct crew__service_settings *s)
{
	s->heartbeat_ms = 0;
	s->idle_timeout_ms = 200;
}

/* Nor does it need a heartbeat to be set to outlive the idle timeout. */
static void rare_events_are_not_idleness(void **state)
{
	ways_open(state, idle);
	ways.handler = begin;
	crew_conn *c = ways_ask(WAYS_GET("/"));
	world_pass(&ways.world, 500);
	assert_ptr_equal(ways_conn(), c);
	assert_true(crew_send(c, CREW_BYTES("x")) >= 0);
	ways_hear();
	assert_non_null(strstr(ways.room, "\r\n4\r\n: \n\n\r\n"));
}

/* ---- ending -------------------------------------------------------------------------------- */

static void closed_by_the_program(void **state)
{
	crew_conn *c = open_stream(state, NULL);
	assert_true(crew_send(c, CREW_BYTES("x")) >= 0);
	assert_int_equal(crew_close(c), 0);
	assert_int_equal(crew_send(c, CREW_BYTES("y")), -ENOTCONN);
	assert_int_equal(crew_send_event(c, &(crew_event){ 0 }), -ENOTCONN);
	assert_string_equal(ways_hear(), "9\r\ndata: x\n\n\r\n0\r\n\r\n");
	assert_true(peer_sees_end(ways.peer));
	messages(3, 1, 2);
	close(ways.peer);
	ways.peer = -1;
	world_until(&ways.world, !ways_conn());
	assert_string_equal(told(), "error:closed:2 close:app");
}

static void finished_is_closed(void **state)
{
	crew_conn *c = open_stream(state, NULL);
	assert_int_equal(crew_finish(c), 0);
	assert_string_equal(ways_hear(), "0\r\n\r\n");
	assert_true(peer_sees_end(ways.peer));
}

static void closed_by_the_peer(void **state)
{
	open_stream(state, NULL);
	shutdown(ways.peer, SHUT_WR);
	world_until(&ways.world, !ways_conn());
	assert_string_equal(ways_hear(), "0\r\n\r\n");
	assert_string_equal(told(), "close:peer");
	assert_int_equal(counter(&ways.world, "close_peer"), 1);
}

static void on_stopped(crew_worker *w, void *arg)
{
	(void)w;
	*(bool *)arg = true;
}

static void the_worker_stops(void **state)
{
	bool stopped = false;
	open_stream(state, NULL);
	crew__worker_stop(ways.world.worker,
		&(struct crew__worker_stop){
			.window_ms = 1000, .done = on_stopped, .arg = &stopped });
	assert_string_equal(ways_hear(), "0\r\n\r\n");
	assert_true(peer_sees_end(ways.peer));
	world_until(&ways.world, stopped);
	assert_string_equal(told(), "close:drain");
}

static void what_the_peer_says_is_thrown_away(void **state)
{
	crew_conn *c = open_stream(state, NULL);
	for (int i = 0; i < 100; i++) {
		peer_says(ways.peer, CREW_BYTES(WAYS_GET("/") "rubbish\r\n\r\n\0"));
		world_settle(&ways.world);
	}
	assert_ptr_equal(ways_conn(), c);
	assert_int_equal(c->record->recv_queue, 0);
	assert_int_equal(counter(&ways.world, "total_request"), 1);
	assert_string_equal(ways_hear(), "");
	messages(0, 0, 0);
}

/* Its request need not be whole. */
static void pipelined_behind_the_request(void **state)
{
	ways_open(state, NULL);
	ways.handler = begin;
	crew_conn *c = ways_ask(WAYS_GET("/") WAYS_GET("/2"));
	assert_string_equal(ways_hear(), HEAD);
	assert_int_equal(counter(&ways.world, "total_request"), 1);
	assert_int_equal(crew_abort(c), 0);
	world_settle(&ways.world);
	assert_non_null(strstr(told(), "close:app"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_comment_keeps_it_alive),
		ON_BOTH(none_while_events_flow),
		ON_BOTH(none_behind_what_waits),
		ON_BOTH(rare_events_are_not_idleness),
		ON_BOTH(closed_by_the_program),
		ON_BOTH(finished_is_closed),
		ON_BOTH(closed_by_the_peer),
		ON_BOTH(the_worker_stops),
		ON_BOTH(what_the_peer_says_is_thrown_away),
		ON_BOTH(pipelined_behind_the_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
