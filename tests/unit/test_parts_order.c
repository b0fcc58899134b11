/* test_parts_order.c - a message in parts stays whole in the queue, though its beginning has left:
 * nothing that is more urgent comes between its parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_peer.h"

static struct {
	struct world world;
	struct ws_peer peer;
	crew_conn *conn;
	void (*in_message)(crew_conn *c); /* done in on_message, as its own event */
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)msg;
	if (t.in_message)
		t.in_message(c);
}

static const crew_service service = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.on_message = on_message,
	.on_error = tell_error,
	.on_close = tell_close,
};

static void open_it(void **state)
{
	told_anew();
	t.in_message = NULL;
	assert_true(world_open(&t.world, &service, engine_of(state), NULL));
	ws_peer_open(&t.peer, &t.world, NULL);
	t.conn = world_conn(&t.world, 0);
}

static int clean_up(void **state)
{
	(void)state;
	ws_peer_close(&t.peer);
	world_clean_up(&t.world);
	return 0;
}

/* Its first part leaves, and the kernel has it. */
static void begin_one(void)
{
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("begun ")) >= 0);
	world_settle(&t.world);
	assert_int_equal(crew_queued(t.conn), 0);
}

static void send_high(crew_conn *c)
{
	assert_true(crew_send_with(c, CREW_BYTES("urgent"),
			    &(crew_send_options){ .priority = CREW_HIGH }) >= 0);
}

static void a_higher_priority_waits_for_its_end(void **state)
{
	open_it(state);
	begin_one();
	assert_true(crew_send_part(t.conn, CREW_BYTES("and ")) > 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("done")) > 0);
	assert_true(crew_send_end(t.conn) > 0);
	send_high(t.conn);
	assert_string_equal(ws_peer_hear(&t.peer), "text:begun and done;text:urgent;");
}

/* The pong stands between two parts, of which the second comes behind it. */
static void a_pong_between_parts_lets_nothing_pass(void **state)
{
	open_it(state);
	begin_one();
	assert_int_equal(crew__conn_urgent(t.conn, CREW_BYTES("\x8a\x02hi")), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("done")) > 0);
	assert_int_equal(crew__conn_urgent(t.conn, CREW_BYTES("\x8a\x02ho")), 0);
	assert_true(crew_send_end(t.conn) > 0);
	send_high(t.conn);
	assert_string_equal(ws_peer_hear(&t.peer), "pong:hi;pong:ho;text:begun done;text:urgent;");
}

/* The same, none of which has left. */
static void nor_before_it_has_begun(void **state)
{
	open_it(state);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("begun ")) > 0);
	assert_int_equal(crew__conn_urgent(t.conn, CREW_BYTES("\x8a\x02hi")), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("done")) > 0);
	assert_true(crew_send_end(t.conn) > 0);
	send_high(t.conn);
	assert_string_equal(ws_peer_hear(&t.peer), "pong:hi;text:begun done;text:urgent;");
}

static char filling[40000];

/* All that the kernel takes, in parts, so that the next ones wait in the cork and then the queue.
 */
static void fill_and_end(crew_conn *c)
{
	assert_true(crew_send_part(c, (crew_bytes){ filling, sizeof(filling) }) > 0);
}

static void end_in_its_event(crew_conn *c)
{
	assert_true(crew_send_part(c, CREW_BYTES("x")) >= 0);
	assert_true(crew_send_end(c) >= 0);
	send_high(c);
}

/* What of the cork the kernel does not take goes on as what has begun, too. */
static void parts_in_the_cork(void **state)
{
	open_it(state);
	memset(filling, 'f', sizeof(filling));
	begin_one();
	t.in_message = fill_and_end;
	ws_peer_say(&t.peer, WS_TEXT, "go", 2);
	assert_true(crew_queued(t.conn) > 0);
	t.in_message = end_in_its_event;
	ws_peer_say(&t.peer, WS_TEXT, "go", 2);
	const char *heard = ws_peer_hear(&t.peer);
	assert_int_equal(strncmp(heard, "text:begun fff", 14), 0);
	assert_non_null(strstr(heard, ";text:urgent;"));
	assert_int_equal(t.peer.messages, 2);
}

/* One that a full queue refuses is told by on_gap, as any. */
static void one_that_is_refused_is_a_gap(void **state)
{
	open_it(state);
	memset(filling, 'f', sizeof(filling));
	while (crew_send(t.conn, (crew_bytes){ filling, sizeof(filling) }) >= 0)
		;
	const struct crew__gap *gap = &crew__conn_rare(t.conn)->gap;
	assert_int_equal(gap->messages, 1);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), -ENOBUFS);
	assert_int_equal(gap->messages, 2);
	assert_int_equal(counter(&t.world, "fail_full"), 2);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_higher_priority_waits_for_its_end),
		ON_BOTH(a_pong_between_parts_lets_nothing_pass),
		ON_BOTH(nor_before_it_has_begun),
		ON_BOTH(parts_in_the_cork),
		ON_BOTH(one_that_is_refused_is_a_gap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
