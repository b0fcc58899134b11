/* test_conn_end.c - how connections end: in good order, by half, at once, by the peer, by a
 * deadline; what becomes of what waits; and that on_close comes once, last, with the reason. */
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
	ROOM = 1 << 22
};

static struct {
	struct world world;
	int peer;
	char *room;
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	tell_message(c, msg);
	if (msg.body.data[0] == '=')
		assert_true(crew_send(c, CREW_BYTES("in the cork")) > 0);
	if (msg.body.data[0] == 'a')
		assert_int_equal(crew_abort(c), 0);
	if (msg.body.data[0] == 'c')
		assert_int_equal(crew_close(c), 0);
}

static void on_open(crew_conn *c)
{
	tell_open(c);
	char *mine = crew_data(c);
	for (int i = 0; i < 40; i++)
		assert_int_equal(mine[i], 0);
	assert_int_equal((uintptr_t)mine % 16, 0);
	memset(mine, 0xff, 40);
}

static const crew_service text = {
	.name = "text",
	.listen = "text://127.0.0.1:1",
	.conn_size = 40,
	.on_open = on_open,
	.on_message = on_message,
	.on_close = tell_close,
	.on_error = tell_error,
};
static const crew_service silent_ws = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.on_open = tell_open,
	.on_close = tell_close,
};

static void short_lingering(struct crew__service_settings *s)
{
	s->linger_ms = 30;
}

static void long_lingering(struct crew__service_settings *s)
{
	s->linger_ms = 3600 * 1000;
}

static void open_it(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.peer = -1;
	t.room = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), adjust));
}

static void open_local(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	open_it(state, &text, adjust);
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
	assert_string_equal(told(), "open");
	told_anew();
}

static void open_tcp(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	open_it(state, &text, adjust);
	t.peer = world_connect_tcp(&t.world, NULL);
	int small = 4096;
	setsockopt(t.peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	world_settle(&t.world);
	told_anew();
}

static void hang_up(void)
{
	close(t.peer);
	t.peer = -1;
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		hang_up();
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

/* Messages of 100 bytes until the kernel takes no more and some wait. Returns how many in all. */
static unsigned stuff(void)
{
	unsigned count = 0;
	char line[99];
	memset(line, 's', sizeof(line));
	while (crew_queued(conn()) < 3000) {
		for (int i = 0; i < 40; i++, count++)
			assert_true(crew_send(conn(), (crew_bytes){ line, sizeof(line) }) >= 0);
		world_settle(&t.world);
	}
	return count;
}

static bool is_told(const char *what)
{
	return strcmp(told(), what) == 0;
}

/* ---- in good order ------------------------------------------------------------------------- */

static void a_close_lets_leave_what_waits(void **state)
{
	open_local(state, long_lingering);
	unsigned count = stuff();
	assert_int_equal(crew_close(conn()), 0);
	assert_int_equal(crew_close(conn()), -ENOTCONN);
	assert_int_equal(crew_finish(conn()), -ENOTCONN);
	assert_int_equal(crew_pause(conn()), -ENOTCONN);
	assert_int_equal(crew_send(conn(), CREW_BYTES("late")), -ENOTCONN);
	assert_int_equal(conn()->record->state, CREW__CONN_CLOSING);
	assert_int_equal(crew_close_reason(conn()), CREW_END_APP);
	size_t len = peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_int_equal(len, count * 100);
	assert_true(peer_sees_end(t.peer));
	assert_int_equal(conn()->record->state, CREW__CONN_LINGER);
	peer_says(t.peer, CREW_BYTES("goodbye\n")); /* thrown away */
	world_settle(&t.world);
	assert_string_equal(told(), "error:closed:1");
	hang_up();
	world_settle(&t.world);
	assert_string_equal(told(), "error:closed:1 close:app");
	assert_int_equal(counter(&t.world, "messages_sent"), count);
	assert_int_equal(counter(&t.world, "close_app"), 1);
}

static void a_peer_that_never_ends_is_not_waited_for_longer(void **state)
{
	open_local(state, short_lingering);
	crew_close(conn());
	world_until(&t.world, is_told("close:app"));
	assert_true(peer_sees_end(t.peer));
	assert_null(conn());
}

static void without_lingering_the_close_is_at_once(void **state)
{
	open_local(state, NULL);
	t.world.worker->net.limits.linger = 0;
	crew_close(conn());
	world_turn(&t.world, 0);
	world_turn(&t.world, 0);
	assert_string_equal(told(), "close:app");
}

static void short_drain(struct crew__service_settings *s)
{
	s->drain_timeout_ms = 50;
	s->linger_ms = 3600 * 1000;
}

static void a_close_does_not_wait_for_ever_for_its_queue(void **state)
{
	open_local(state, short_drain);
	stuff();
	unsigned waiting = conn()->record->messages_queued;
	crew_close(conn());
	world_until(&t.world, strstr(told(), "close:"));
	snprintf(t.room, ROOM, "error:aborted:%u close:app", waiting);
	assert_string_equal(told(), t.room);
	assert_int_equal(counter(&t.world, "fail_aborted"), waiting);
}

static void a_finish_closes_our_side_alone(void **state)
{
	open_local(state, NULL);
	unsigned count = stuff();
	assert_int_equal(crew_finish(conn()), 0);
	assert_int_equal(crew_finish(conn()), -ENOTCONN);
	assert_int_equal(crew_send(conn(), CREW_BYTES("late")), -ENOTCONN);
	assert_false(peer_sees_end(t.peer));
	assert_int_equal(peer_hears_all(&t.world, t.peer, t.room, ROOM) + 1, count * 100);
	assert_true(peer_sees_end(t.peer));
	told_anew();
	peer_says(t.peer, CREW_BYTES("still here\nbye\n"));
	world_settle(&t.world);
	assert_string_equal(told(), "message:still here message:bye");
	shutdown(t.peer, SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "message:still here message:bye close:peer");
	assert_int_equal(counter(&t.world, "fail_closed"), 1);
	assert_int_equal(counter(&t.world, "messages_sent"), count);
}

static void a_finish_can_become_a_close(void **state)
{
	open_local(state, short_lingering);
	crew_finish(conn());
	world_settle(&t.world);
	assert_true(peer_sees_end(t.peer));
	assert_int_equal(crew_close(conn()), 0);
	world_until(&t.world, is_told("close:app"));
}

static void close_it(crew_conn *c)
{
	tell_open(c);
	crew_send(c, CREW_BYTES("no"));
	crew_close(c);
}
static void abort_it(crew_conn *c)
{
	tell_open(c);
	crew_send(c, CREW_BYTES("no"));
	crew_abort(c);
}
static const crew_service closing = { .name = "c",
	.listen = "text://:1",
	.on_open = close_it,
	.on_message = tell_message,
	.on_close = tell_close,
	.on_error = tell_error };
static const crew_service aborting = { .name = "a",
	.listen = "text://:1",
	.on_open = abort_it,
	.on_message = tell_message,
	.on_close = tell_close,
	.on_error = tell_error };

static void closing_in_on_open_is_legal(void **state)
{
	open_it(state, &closing, short_lingering);
	t.peer = world_connect(&t.world);
	peer_says(t.peer, CREW_BYTES("hello?\n"));
	world_until(&t.world, is_told("open close:app"));
	assert_int_equal(peer_hears(t.peer, t.room, ROOM), 3);
	assert_string_equal(t.room, "no\n");
}

static void aborting_in_on_open_is_legal(void **state)
{
	open_it(state, &aborting, NULL);
	t.peer = world_connect(&t.world);
	world_settle(&t.world);
	assert_string_equal(told(), "open error:aborted:1 close:app");
	assert_int_equal(counter(&t.world, "messages_sent"), 0);
}

/* ---- at once ------------------------------------------------------------------------------- */

static void an_abort_resets_and_loses_what_waits(void **state)
{
	open_tcp(state, NULL);
	unsigned count = stuff();
	unsigned waiting = conn()->record->messages_queued;
	assert_true(waiting > 0 && waiting < count);
	assert_int_equal(crew_abort(conn()), 0);
	assert_int_equal(crew_abort(conn()), -ENOTCONN);
	assert_string_equal(told(), ""); /* not from inside the call */
	assert_int_equal(counter(&t.world, "fail_aborted"), waiting);
	assert_int_equal(counter(&t.world, "messages_queued"), 0);
	world_settle(&t.world);
	snprintf(t.room, ROOM, "error:aborted:%u close:app", waiting);
	assert_string_equal(told(), t.room);
	world_until(&t.world, peer_sees_reset(t.peer));
	assert_int_equal(counter(&t.world, "messages_sent"), count - waiting);
}

static void an_abort_in_its_own_event_loses_the_cork(void **state)
{
	open_local(state, NULL);
	crew_send(conn(), CREW_BYTES("left"));
	world_settle(&t.world);
	peer_says(t.peer, CREW_BYTES("=\nabort\nmore\n"));
	world_settle(&t.world);
	assert_string_equal(told(), "message:= message:abort error:aborted:1 close:app");
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_string_equal(t.room, "left\n");
}

static void an_abort_while_closing(void **state)
{
	open_local(state, long_lingering);
	stuff();
	unsigned waiting = conn()->record->messages_queued;
	crew_close(conn());
	world_turn(&t.world, 0);
	assert_int_equal(crew_abort(conn()), 0);
	world_settle(&t.world);
	snprintf(t.room, ROOM, "error:aborted:%u close:app", waiting);
	assert_string_equal(told(), t.room);
}

/* ---- by the peer --------------------------------------------------------------------------- */

static void a_reset_loses_what_waits(void **state)
{
	open_tcp(state, NULL);
	stuff();
	unsigned waiting = conn()->record->messages_queued;
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(t.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	hang_up();
	world_until(&t.world, strstr(told(), "close:"));
	snprintf(t.room, ROOM, "error:reset:%u close:reset", waiting);
	assert_string_equal(told(), t.room);
	assert_int_equal(counter(&t.world, "fail_reset"), waiting);
	assert_int_equal(counter(&t.world, "close_reset"), 1);
}

static void a_reset_of_an_idle_one_loses_nothing(void **state)
{
	open_tcp(state, NULL);
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(t.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	hang_up();
	world_until(&t.world, is_told("close:reset"));
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

static void a_peer_that_closes_is_told_so(void **state)
{
	open_tcp(state, NULL);
	hang_up();
	world_until(&t.world, is_told("close:peer"));
	assert_int_equal(counter(&t.world, "close_peer"), 1);
}

/* ---- by a deadline ------------------------------------------------------------------------- */

static void send_timeout(struct crew__service_settings *s)
{
	s->send_timeout_ms = 60;
}

static void one_that_takes_nothing_is_cut_off(void **state)
{
	open_tcp(state, send_timeout);
	stuff();
	unsigned waiting = conn()->record->messages_queued;
	world_until(&t.world, strstr(told(), "close:"));
	snprintf(t.room, ROOM, "error:deadline:%u close:deadline", waiting);
	assert_string_equal(told(), t.room);
	assert_int_equal(counter(&t.world, "fail_deadline"), waiting);
	world_until(&t.world, peer_sees_reset(t.peer)); /* the kernel's share is freed too */
}

static void one_to_whom_nothing_is_sent_is_not_cut_off(void **state)
{
	open_local(state, send_timeout);
	crew_send(conn(), CREW_BYTES("taken"));
	world_pass(&t.world, 500);
	assert_string_equal(told(), "");
}

static void idle_timeout(struct crew__service_settings *s)
{
	s->idle_timeout_ms = 60;
	s->linger_ms = 20;
}

static void an_idle_one_is_closed_in_good_order(void **state)
{
	open_local(state, idle_timeout);
	world_until(&t.world, is_told("close:idle"));
	assert_true(peer_sees_end(t.peer));
	assert_int_equal(counter(&t.world, "close_idle"), 1);
}

static void quick_handshake(struct crew__service_settings *s)
{
	s->handshake_timeout_ms = 60;
	s->linger_ms = 20;
}

static void one_that_never_shakes_hands_is_closed(void **state)
{
	open_it(state, &silent_ws, quick_handshake);
	t.peer = world_connect(&t.world);
	world_until(&t.world, counter(&t.world, "close_handshake") == 1);
	assert_string_equal(told(), ""); /* the program never saw it */
	assert_true(peer_sees_end(t.peer));
}

static void one_that_stays_in_its_handshake_is_told_why(void **state)
{
	open_it(state, &silent_ws, quick_handshake);
	t.peer = world_connect(&t.world);
	peer_says(t.peer, CREW_BYTES("GET / HTTP/1.1\r\nHost: a\r\nUpg"));
	world_until(&t.world, counter(&t.world, "close_handshake") == 1);
	assert_true(peer_hears(t.peer, t.room, ROOM) > 0);
	assert_memory_equal(t.room, "HTTP/1.1 408 ", 13);
	assert_string_equal(told(), "");
}

static void one_that_leaves_its_handshake_is_no_opened_one(void **state)
{
	open_it(state, &silent_ws, short_lingering);
	t.peer = world_connect(&t.world);
	hang_up();
	world_until(&t.world, counter(&t.world, "close_handshake") == 1);
	assert_string_equal(told(), "");
}

/* ---- with the worker ----------------------------------------------------------------------- */

static void what_lives_when_the_worker_ends_is_told(void **state)
{
	open_local(state, NULL);
	crew_send(conn(), CREW_BYTES("waits"));
	world_close(&t.world);
	assert_string_equal(told(), "error:aborted:1 close:drain");
}

/* ---- names --------------------------------------------------------------------------------- */

static void both_addresses_can_be_shown(void **state)
{
	struct crew__record_address own;
	char text_of[80], wanted[80];
	open_it(state, &text, NULL);
	t.peer = world_connect_tcp(&t.world, &own);
	snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", own.port);
	assert_int_equal(crew_remote(conn(), text_of, sizeof(text_of)), strlen(wanted));
	assert_string_equal(text_of, wanted);
	assert_int_equal(crew_remote(conn(), text_of, 5), strlen(wanted)); /* as snprintf */
	assert_string_equal(text_of, "127.");
	assert_true(crew_local(conn(), text_of, sizeof(text_of)) > 10);
	assert_memory_equal(text_of, "127.0.0.1:", 10);
	assert_string_not_equal(text_of, wanted);
	assert_ptr_equal(crew_service_of(conn()), &text);
	assert_ptr_equal(crew_worker_of(conn()), t.world.worker);
}

/* A slot and its data begin anew. */
static void data_is_zeroed_for_each(void **state)
{
	open_local(state, NULL);
	for (int i = 0; i < 3; i++) {
		hang_up();
		world_until(&t.world, !conn());
		t.peer = world_connect(&t.world);
		world_settle(&t.world);
		assert_non_null(conn());
	}
	assert_string_equal(told(), "close:peer open close:peer open close:peer open");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_close_lets_leave_what_waits),
		ON_BOTH(a_peer_that_never_ends_is_not_waited_for_longer),
		ON_BOTH(without_lingering_the_close_is_at_once),
		ON_BOTH(a_close_does_not_wait_for_ever_for_its_queue),
		ON_BOTH(a_finish_closes_our_side_alone),
		ON_BOTH(a_finish_can_become_a_close),
		ON_BOTH(closing_in_on_open_is_legal),
		ON_BOTH(aborting_in_on_open_is_legal),
		ON_BOTH(an_abort_resets_and_loses_what_waits),
		ON_BOTH(an_abort_in_its_own_event_loses_the_cork),
		ON_BOTH(an_abort_while_closing),
		ON_BOTH(a_reset_loses_what_waits),
		ON_BOTH(a_reset_of_an_idle_one_loses_nothing),
		ON_BOTH(a_peer_that_closes_is_told_so),
		ON_BOTH(one_that_takes_nothing_is_cut_off),
		ON_BOTH(one_to_whom_nothing_is_sent_is_not_cut_off),
		ON_BOTH(an_idle_one_is_closed_in_good_order),
		ON_BOTH(one_that_never_shakes_hands_is_closed),
		ON_BOTH(one_that_stays_in_its_handshake_is_told_why),
		ON_BOTH(one_that_leaves_its_handshake_is_no_opened_one),
		ON_BOTH(what_lives_when_the_worker_ends_is_told),
		ON_BOTH(both_addresses_can_be_shown),
		ON_BOTH(data_is_zeroed_for_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
