/* test_conn_out.c - the way out of a connection: what leaves together, what waits, what is refused,
 * and what the program is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LIMIT = 10000,
	LINE = 500, /* a numbered line with its newline */
	ROOM = 1 << 20
};

static struct {
	struct world world;
	void (*act)(crew_conn *c); /* on_message does this */
	int peer;
	unsigned sent, seen; /* numbered lines */
	char *room;
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)msg;
	tell("(");
	if (t.act)
		t.act(c);
	tell(")");
}

static const crew_service text = {
	.name = "text",
	.listen = "text://127.0.0.1:1",
	.on_message = on_message,
	.on_close = tell_close,
	.on_error = tell_error,
	.on_full = tell_full,
	.on_drain = tell_drain,
};
static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_message = on_message,
	.on_close = tell_close,
};

static void limit(struct crew__service_settings *s)
{
	s->max_send_buffer = LIMIT;
	s->linger_ms = 0;
}

static void open_it(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	t.room = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), limit));
}

static void connect_one(void)
{
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

/* Let on_message do this, now. */
static void provoke(void (*act)(crew_conn *c))
{
	t.act = act;
	peer_says(t.peer, CREW_BYTES("!\n"));
	world_settle(&t.world);
	t.act = NULL;
}

static const char *hear(void)
{
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	return t.room;
}

static int64_t send_line(crew_conn *c)
{
	char line[LINE];
	memset(line, '.', sizeof(line));
	snprintf(line, 8, "%06u", t.sent);
	line[6] = ' ';
	int64_t queued = crew_send(c, (crew_bytes){ line, LINE - 1 });
	t.sent += queued >= 0;
	return queued;
}

/* Lines until the kernel takes no more and so many bytes wait. */
static void stuff(size_t waiting)
{
	while (crew_queued(conn()) < waiting) {
		assert_true(send_line(conn()) >= 0);
		world_turn(&t.world, 0);
	}
	assert_true(conn()->flags & CREW__C_WRITING);
}

/* The peer reads it all: every line that was accepted, in order and whole. */
static void unstuff(void)
{
	size_t len = peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_int_equal(len % LINE, 0);
	for (size_t at = 0; at < len; at += LINE) {
		assert_int_equal(atoi(t.room + at), t.seen++);
		assert_int_equal(t.room[at + LINE - 1], '\n');
	}
	assert_int_equal(t.seen, t.sent);
	assert_int_equal(crew_queued(conn()), 0);
}

/* ---- what leaves together ------------------------------------------------------------------ */

static void answer_thrice(crew_conn *c)
{
	assert_int_equal(crew_send(c, CREW_BYTES("a")), 2);
	assert_int_equal(crew_send_static(c, CREW_BYTES("bb")), 5);
	assert_int_equal(crew_send(c, CREW_BYTES("")), 6);
	assert_int_equal(crew_send(c, CREW_BYTES("ccc")), 10);
	assert_int_equal(crew_queued(c), 10);
	assert_int_equal(counter(&t.world, "messages_queued"), 4);
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 0);
}

static void one_event_is_one_write(void **state)
{
	open_it(state, &text);
	t.peer = world_connect_packets(&t.world);
	provoke(answer_thrice);
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 10); /* one packet: one write */
	assert_string_equal(t.room, "a\nbb\n\nccc\n");
	assert_int_equal(counter(&t.world, "messages_sent"), 4);
	assert_int_equal(counter(&t.world, "bytes_out"), 10);
	assert_string_equal(told(), "( )");
}

static void the_short_and_the_long(crew_conn *c)
{
	static char big[6000];
	memset(big, 'b', sizeof(big));
	crew_send(c, CREW_BYTES("first"));
	assert_int_equal(crew_send(c, (crew_bytes){ big, sizeof(big) }), 0); /* it has left */
	crew_send(c, CREW_BYTES("last"));
}

static void a_long_message_leaves_from_where_it_is(void **state)
{
	open_it(state, &text);
	t.peer = world_connect_packets(&t.world);
	int large = 1 << 16;
	setsockopt(conn()->fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	provoke(the_short_and_the_long);
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 6);
	assert_string_equal(t.room, "first\n");
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 6001);
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 5);
	assert_string_equal(t.room, "last\n");
}

static void what_is_sent_from_elsewhere_leaves_at_the_turns_end(void **state)
{
	open_it(state, &text);
	t.peer = world_connect_packets(&t.world);
	world_settle(&t.world);
	assert_int_equal(crew_send(conn(), CREW_BYTES("one")), 4);
	assert_int_equal(crew_send(conn(), CREW_BYTES("two")), 8);
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 0);
	crew__net_check(&t.world.worker->net);
	world_turn(&t.world, 0);
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 8);
	assert_string_equal(t.room, "one\ntwo\n");
	assert_int_equal(crew_queued(conn()), 0);
}

/* More than the cork holds, in bytes and in messages, in one callback. */
static void chatter(crew_conn *c)
{
	for (int i = 0; i < 5000; i++)
		assert_true(crew_send(c, CREW_BYTES("x")) >= 0);
	for (int i = 0; i < 50; i++)
		assert_true(send_line(c) >= 0);
}

static void no_limit(struct crew__service_settings *s)
{
	s->max_send_buffer = 1 << 20;
}

static void more_than_the_cork_holds(void **state)
{
	open_it(state, &text);
	world_close(&t.world);
	assert_true(world_open(&t.world, &text, engine_of(state), no_limit));
	connect_one();
	provoke(chatter);
	size_t len = peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_int_equal(len, 5000 * 2 + 50 * LINE);
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(t.room[i], i % 2 ? '\n' : 'x');
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(atoi(t.room + 10000 + i * LINE), i);
	assert_int_equal(counter(&t.world, "messages_sent"), 5050);
}

static void send_nothing(crew_conn *c)
{
	assert_int_equal(crew_send(c, CREW_BYTES("ab")), 2);
	assert_int_equal(crew_send(c, (crew_bytes){ NULL, 0 }), 2);
}

static void an_empty_message_on_a_raw_stream_has_left_at_once(void **state)
{
	open_it(state, &raw);
	connect_one();
	provoke(send_nothing);
	assert_string_equal(hear(), "ab");
	assert_int_equal(counter(&t.world, "messages_offered"), 2);
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
}

/* ---- what waits ---------------------------------------------------------------------------- */

static void a_full_kernel_makes_a_queue_that_drains(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	stuff(LIMIT / 2);
	assert_string_equal(told(), "");
	assert_true(counter(&t.world, "messages_sent") > 0);
	assert_int_equal(counter(&t.world, "messages_queued"), conn()->record->messages_queued);
	unstuff();
	assert_string_equal(told(), "drain");
	assert_int_equal(counter(&t.world, "messages_sent"), t.sent);
	assert_false(conn()->flags & (CREW__C_WRITING | CREW__C_BACKLOG));
	stuff(1); /* and again */
	unstuff();
	assert_string_equal(told(), "drain drain");
}

/* A message of which the kernel took a part is queued, not sent; with the connection it is lost
 * whole. */
static void give_too_much(crew_conn *c)
{
	static char much[100000];
	memset(much, 'm', sizeof(much));
	assert_true(crew_send(c, (crew_bytes){ much, sizeof(much) }) > 0);
}

static void a_message_half_sent_is_queued_and_lost_whole(void **state)
{
	open_it(state, &text);
	connect_one();
	provoke(give_too_much);
	uint64_t left = counter(&t.world, "bytes_queued");
	assert_true(left > 0 && left < 100001);
	assert_int_equal(counter(&t.world, "messages_queued"), 1);
	assert_int_equal(counter(&t.world, "messages_sent"), 0);
	assert_int_equal(counter(&t.world, "bytes_out"), 100001 - left);
	assert_int_equal(crew_abort(conn()), 0);
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, "fail_aborted"), 1);
	assert_int_equal(counter(&t.world, "bytes_queued"), 0);
	assert_string_equal(told(), "( ) full error:aborted:1 close:app");
}

/* ---- what is refused ----------------------------------------------------------------------- */

/* Bring the queue to exactly `bytes`. */
static void stuff_exactly(size_t bytes)
{
	static char filler[LIMIT * 2];
	memset(filler, 'f', sizeof(filler));
	stuff(bytes - 2 * LINE);
	size_t rest = bytes - crew_queued(conn());
	assert_true(rest >= 1);
	assert_int_equal(crew_send(conn(), (crew_bytes){ filler, rest - 1 }), bytes);
}

static void below_the_limit_a_message_is_taken_whole(void **state)
{
	static char big[50000];
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	stuff_exactly(LIMIT - 1);
	assert_string_equal(told(), "");
	memset(big, 'b', sizeof(big));
	assert_int_equal(crew_send(conn(), (crew_bytes){ big, sizeof(big) }), LIMIT + 50000);
	assert_int_equal(crew_send(conn(), CREW_BYTES("")), -ENOBUFS);
	assert_int_equal(counter(&t.world, "fail_full"), 1);
	world_settle(&t.world);
	assert_string_equal(told(), "error:full:1 full");
}

static void at_the_limit_a_message_is_refused(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	stuff_exactly(LIMIT);
	assert_int_equal(crew_send(conn(), CREW_BYTES("x")), -ENOBUFS);
	assert_int_equal(crew_queued(conn()), LIMIT);
	assert_int_equal(conn()->record->send_fail, 1);
	assert_int_equal(t.world.worker->net.stats.cold[0].fail[CREW_LOST_FULL], 1);
}

static void drink_kernel(void)
{
	while (peer_hears(t.peer, t.room, ROOM) > 0)
		continue;
}

static void the_kernel_is_asked_before_a_message_is_refused(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	stuff(LIMIT);
	assert_int_equal(send_line(conn()), -ENOBUFS);
	drink_kernel(); /* there is room now, but no event has said so */
	crew__loop_turn(t.world.loop, 0);
	stuff(LIMIT);
	world_turn(&t.world, 0); /* the kernel was asked in the last turn; this is a new one */
	assert_int_equal(send_line(conn()), -ENOBUFS);
	world_turn(&t.world, 0);
	drink_kernel();
	assert_true(send_line(conn()) > 0);
	assert_true(crew_queued(conn()) < LIMIT);
}

/* ---- what is told of it -------------------------------------------------------------------- */

static void send_on_and_on(crew_conn *c)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(send_line(c), -ENOBUFS);
}

static void losses_are_told_once_a_turn_after_the_callback(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	stuff(LIMIT);
	world_settle(&t.world);
	assert_string_equal(told(), "full");
	told_anew();
	send_on_and_on(conn());
	assert_string_equal(told(), "");
	world_turn(&t.world, 0);
	assert_string_equal(told(), "error:full:3");
	world_settle(&t.world);
	assert_string_equal(told(), "error:full:3");
	send_on_and_on(conn());
	world_settle(&t.world);
	assert_string_equal(told(), "error:full:3 error:full:3");
}

static void fill_in_its_event(crew_conn *c)
{
	while (send_line(c) >= 0)
		continue;
	assert_int_equal(send_line(c), -ENOBUFS);
}

static void losses_of_its_own_event_are_told_when_it_is_over(void **state)
{
	open_it(state, &text);
	connect_one();
	provoke(fill_in_its_event);
	assert_string_equal(told(), "( ) error:full:2 full");
	unstuff();
	assert_string_equal(told(), "( ) error:full:2 full drain");
}

static void on_full_comes_once_for_each_crossing(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	for (int i = 0; i < 3; i++) {
		told_anew();
		stuff(LIMIT);
		world_settle(&t.world);
		assert_string_equal(told(), "full");
		for (int j = 0; j < 3; j++) {
			send_on_and_on(conn());
			world_settle(&t.world);
		}
		assert_string_equal(told(), "full error:full:3 error:full:3 error:full:3");
		unstuff();
	}
}

static void lose_in_two_ways(crew_conn *c)
{
	fill_in_its_event(c);
	assert_int_equal(crew_close(c), 0);
	assert_int_equal(crew_send(c, CREW_BYTES("late")), -ENOTCONN);
	assert_int_equal(crew_send_static(c, CREW_BYTES("later")), -ENOTCONN);
}

static void each_reason_is_told_before_the_close(void **state)
{
	open_it(state, &text);
	connect_one();
	provoke(lose_in_two_ways);
	assert_string_equal(told(), "( ) error:closed:2 error:full:2");
	hear();
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "( ) error:closed:2 error:full:2 close:app");
	assert_int_equal(counter(&t.world, "fail_closed"), 2);
	assert_int_equal(counter(&t.world, "fail_full"), 2);
	assert_int_equal(counter(&t.world, "fail_aborted"), 0);
}

/* on_error that sends again: told in a later turn, not for ever in this one. */
static void error_again(crew_conn *c, const crew_loss *loss)
{
	tell_error(c, loss);
	send_line(c);
}
static const crew_service stubborn = {
	.name = "stubborn",
	.listen = "text://127.0.0.1:1",
	.on_error = error_again,
};

static void a_loss_in_on_error_is_told_later(void **state)
{
	open_it(state, &stubborn);
	connect_one();
	world_settle(&t.world);
	stuff(LIMIT);
	world_settle(&t.world);
	assert_int_equal(send_line(conn()), -ENOBUFS);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "error:full:1");
	world_turn(&t.world, 0);
	assert_int_equal(counter(&t.world, "fail_full"), 2);
	assert_int_equal(send_line(conn()), -ENOBUFS); /* looked at for another reason */
	world_turn(&t.world, 0);
	assert_string_equal(told(), "error:full:1 error:full:2");
}

/* ---- to nobody ----------------------------------------------------------------------------- */

static void a_send_to_nobody_is_counted(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	uint64_t id = crew_id(conn());
	assert_int_equal(crew_send(NULL, CREW_BYTES("x")), -ENOTCONN);
	crew_abort(conn());
	assert_int_equal(
		crew_send(crew_find(id), CREW_BYTES("x")), -ENOTCONN); /* closed, not gone */
	world_settle(&t.world);
	assert_null(crew_find(id));
	assert_int_equal(crew_send(crew_find(id), CREW_BYTES("x")), -ENOTCONN);
	assert_int_equal(counter(&t.world, "fail_closed"), 3);
	assert_int_equal(counter(&t.world, "messages_offered"), 3);
	assert_string_equal(told(), "error:closed:1 close:app");
	crew__net_check(&t.world.worker->net);
}

static void every_call_takes_nobody(void **state)
{
	open_it(state, &text);
	char room[8] = "x";
	assert_int_equal(crew_send_with(NULL, CREW_BYTES("x"), NULL), -ENOTCONN);
	assert_int_equal(crew_send_static(NULL, CREW_BYTES("x")), -ENOTCONN);
	assert_int_equal(crew_send_owned(NULL, CREW_BYTES("x"), NULL, NULL), -ENOTCONN);
	assert_int_equal(crew_reply(NULL, &(crew_response){ .status = 200 }), -ENOTCONN);
	assert_int_equal(counter(&t.world, "fail_closed"), 4);
	assert_int_equal(crew_pause(NULL), -ENOTCONN);
	assert_int_equal(crew_resume(NULL), -ENOTCONN);
	assert_int_equal(crew_pipe(NULL, NULL), -ENOTCONN);
	assert_int_equal(crew_finish(NULL), -ENOTCONN);
	assert_int_equal(crew_close(NULL), -ENOTCONN);
	assert_int_equal(crew_close_with(NULL, 1000, CREW_BYTES("")), -ENOTCONN);
	assert_int_equal(crew_abort(NULL), -ENOTCONN);
	assert_int_equal(crew_id(NULL), 0);
	assert_int_equal(crew_queued(NULL), 0);
	assert_int_equal(crew_remote(NULL, room, sizeof(room)), 0);
	assert_string_equal(room, "");
	assert_int_equal(crew_local(NULL, NULL, 0), 0);
	assert_null(crew_data(NULL));
	assert_null(crew_protocol_state(NULL));
	assert_null(crew_scratch(NULL, 1));
	assert_null(crew_worker_of(NULL));
	assert_null(crew_service_of(NULL));
	assert_int_equal(crew_close_reason(NULL), CREW_END_REASONS);
	assert_null(crew_find(0));
}

static void a_stale_id_finds_nobody_though_its_slot_is_used_again(void **state)
{
	open_it(state, &text);
	connect_one();
	world_settle(&t.world);
	uint64_t old = crew_id(conn());
	assert_ptr_equal(crew_find(old), conn());
	assert_null(crew_find(old + 1));
	assert_null(crew_find(old ^ (UINT64_C(1) << 52)));     /* another life */
	assert_null(crew_find(old | UINT64_C(0xfffff) << 32)); /* no such slot */
	close(t.peer);
	world_until(&t.world, !crew_find(old));
	connect_one();
	assert_ptr_equal(crew_find(crew_id(conn())), conn());
	assert_int_equal(crew_id(conn()) >> 32, old >> 32); /* the slot is the same */
	assert_true(crew_id(conn()) != old);
	assert_null(crew_find(old));
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(one_event_is_one_write),
		ON_BOTH(a_long_message_leaves_from_where_it_is),
		ON_BOTH(what_is_sent_from_elsewhere_leaves_at_the_turns_end),
		ON_BOTH(more_than_the_cork_holds),
		ON_BOTH(an_empty_message_on_a_raw_stream_has_left_at_once),
		ON_BOTH(a_full_kernel_makes_a_queue_that_drains),
		ON_BOTH(a_message_half_sent_is_queued_and_lost_whole),
		ON_BOTH(below_the_limit_a_message_is_taken_whole),
		ON_BOTH(at_the_limit_a_message_is_refused),
		ON_BOTH(the_kernel_is_asked_before_a_message_is_refused),
		ON_BOTH(losses_are_told_once_a_turn_after_the_callback),
		ON_BOTH(losses_of_its_own_event_are_told_when_it_is_over),
		ON_BOTH(on_full_comes_once_for_each_crossing),
		ON_BOTH(each_reason_is_told_before_the_close),
		ON_BOTH(a_loss_in_on_error_is_told_later),
		ON_BOTH(a_send_to_nobody_is_counted),
		ON_BOTH(every_call_takes_nobody),
		ON_BOTH(a_stale_id_finds_nobody_though_its_slot_is_used_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
