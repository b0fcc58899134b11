/* test_pipe.c - connections that flow into each other: nothing is lost however slowly the far side
 * reads, and an ending travels as it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 3,
	MUCH = 600000
};

static struct {
	struct world world;
	int peers[PEERS];
	uint64_t ids[PEERS];
	unsigned opens;
	char *out, *in;
} t;

static char name_of(const crew_conn *c)
{
	for (unsigned i = 0; i < PEERS; i++)
		if (t.ids[i] == crew_id(c))
			return (char)('a' + i);
	return '?';
}

static void on_open(crew_conn *c)
{
	t.ids[t.opens++] = crew_id(c);
}

static void on_message(crew_conn *c, crew_msg msg)
{
	tell("%c:%.*s", name_of(c), (int)crew__min(msg.body.len, 50), msg.body.data);
}

static void on_end(crew_conn *c)
{
	tell("%c:end", name_of(c));
}

static void on_close(crew_conn *c)
{
	tell("%c:close:%s", name_of(c), crew_end_name(crew_close_reason(c)));
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	tell("%c:error:%s", name_of(c), crew_reason_name(loss->reason));
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = on_open,
	.on_message = on_message,
	.on_end = on_end,
	.on_close = on_close,
	.on_error = on_error,
};
static const crew_service text = {
	.name = "text",
	.listen = "text://127.0.0.1:1",
	.on_open = on_open,
	.on_message = on_message,
	.on_close = on_close,
	.on_error = on_error,
};

static void small_queue(struct crew__service_settings *s)
{
	s->max_send_buffer = 20000;
	s->linger_ms = 3600 * 1000;
}

static void open_it(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	t.out = malloc(MUCH);
	t.in = malloc(MUCH + 1);
	for (size_t i = 0; i < MUCH; i++)
		t.out[i] = (char)(i * 13 + (i >> 9));
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), small_queue));
	for (int i = 0; i < PEERS; i++)
		assert_true((t.peers[i] = world_connect(&t.world)) >= 0);
	world_settle(&t.world);
	assert_int_equal(t.opens, PEERS);
}

static int clean_up(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		if (t.peers[i] >= 0)
			close(t.peers[i]);
	world_clean_up(&t.world);
	free(t.out);
	free(t.in);
	return 0;
}

static crew_conn *conn(char name)
{
	return crew_find(t.ids[name - 'a']);
}

static int peer(char name)
{
	return t.peers[name - 'a'];
}

static void hang_up(char name)
{
	close(peer(name));
	t.peers[name - 'a'] = -1;
}

static void say(char name, const char *words)
{
	peer_says(peer(name), crew_str(words));
	world_settle(&t.world);
}

static const char *hear(char name)
{
	peer_hears_all(&t.world, peer(name), t.in, MUCH + 1);
	return t.in;
}

/* ---- flowing ------------------------------------------------------------------------------- */

static void what_comes_flows_instead_of_being_told(void **state)
{
	open_it(state, &raw);
	say('a', "before");
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	say('a', "one");
	say('b', "not piped");
	assert_string_equal(hear('b'), "one");
	assert_string_equal(told(), "a:before b:not piped");
	assert_int_equal(crew_pipe(conn('a'), NULL), 0);
	say('a', "after");
	assert_string_equal(told(), "a:before b:not piped a:after");
	assert_string_equal(hear('b'), "");
	assert_int_equal(counter(&t.world, "total_request"), 4);
}

static void messages_are_framed_anew(void **state)
{
	open_it(state, &text);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	say('a', "one\r\ntwo\n\nthree is unfinished");
	assert_string_equal(hear('b'), "one\ntwo\n\n");
	assert_int_equal(counter(&t.world, "messages_sent"), 3);
}

/* The writer writes what it can, the reader reads a little now and then. */
static void flow(char from, char to)
{
	size_t out = 0, in = 0;
	uint64_t give_up = patience_ends();
	while (in < MUCH) {
		ssize_t n = send(peer(from), t.out + out, MUCH - out, MSG_DONTWAIT);
		out += n > 0 ? (size_t)n : 0;
		world_wait(&t.world, give_up, "the flow", __LINE__);
		assert_true(crew_queued(conn(to)) <= 20000 + CREW__READ_MOST);
		if (n <= 0)
			in += (size_t)peer_hears(
				peer(to), t.in + in, crew__min(7000, MUCH + 1 - in));
	}
	assert_memory_equal(t.in, t.out, MUCH);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

static void a_slow_reader_slows_the_writer_and_loses_nothing(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	flow('a', 'b');
	assert_string_equal(told(), "");
}

static void both_directions_at_once(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	assert_int_equal(crew_pipe(conn('b'), conn('a')), 0);
	flow('a', 'b');
	flow('b', 'a');
	say('a', "to b");
	assert_string_equal(hear('b'), "to b");
	assert_string_equal(told(), "");
}

static void a_full_far_side_stops_the_reading(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	uint64_t before;
	do {
		before = conn('a')->record->bytes_in;
		ssize_t n = send(peer('a'), t.out, 60000, MSG_DONTWAIT);
		(void)n;
		world_settle(&t.world);
	} while (conn('a')->record->bytes_in > before);
	assert_true(conn('a')->flags & CREW__C_PIPE_FULL);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
	/* Without the pipe it is read again: its data goes to on_message. */
	assert_int_equal(crew_pipe(conn('a'), NULL), 0);
	world_settle(&t.world);
	assert_true(conn('a')->record->bytes_in > before);
}

/* ---- what cannot be ------------------------------------------------------------------------ */

static void wrong_pipes_are_refused(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('a')), -EINVAL);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0); /* as it is already */
	assert_int_equal(crew_pipe(conn('c'), conn('b')), -EBUSY);
	assert_int_equal(crew_pipe(conn('a'), conn('c')), 0); /* moved */
	assert_int_equal(crew_pipe(conn('b'), conn('c')), -EBUSY);
	assert_int_equal(crew_pipe(conn('b'), conn('a')), 0);
	uint8_t transport = conn('c')->record->transport;
	assert_int_equal(crew_pipe(conn('b'), NULL), 0);
	conn('c')->record->transport = CREW__UDP;
	assert_int_equal(
		crew_pipe(conn('b'), conn('c')), -EINVAL); /* nothing says where one ends */
	conn('b')->record->transport = CREW__UDP;
	assert_int_equal(
		crew_pipe(conn('b'), conn('a')), 0); /* the other way it is only forgotten */
	assert_int_equal(crew_pipe(conn('b'), NULL), 0);
	conn('b')->record->transport = conn('c')->record->transport = transport;
	crew_close(conn('c'));
	assert_int_equal(crew_pipe(conn('b'), conn('c')), -ENOTCONN);
	assert_int_equal(crew_pipe(conn('c'), conn('b')), -ENOTCONN);
	assert_int_equal(crew_pipe(conn('c'), NULL), -ENOTCONN);
}

/* ---- endings ------------------------------------------------------------------------------- */

static void an_end_flows_after_all_before_it(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	assert_int_equal(crew_pipe(conn('b'), conn('a')), 0);
	peer_says(peer('a'), CREW_BYTES("last words"));
	shutdown(peer('a'), SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(hear('b'), "last words");
	assert_true(peer_sees_end(peer('b')));
	say('b', "the other way goes on");
	assert_string_equal(hear('a'), "the other way goes on");
	assert_false(peer_sees_end(peer('a')));
	assert_string_equal(told(), "");
	shutdown(peer('b'), SHUT_WR);
	world_settle(&t.world);
	assert_true(peer_sees_end(peer('a')));
	assert_string_equal(told(), "b:close:peer a:close:peer");
	assert_int_equal(counter(&t.world, "connections"), 1);
}

static void the_end_of_one_that_nothing_flows_into_is_told(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	shutdown(peer('a'), SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "a:end");
	assert_true(peer_sees_end(peer('b')));
}

static void when_the_far_side_closes_so_does_the_source(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	assert_int_equal(crew_close(conn('b')), 0);
	world_settle(&t.world);
	assert_true(peer_sees_end(peer('a')));
	assert_true(peer_sees_end(peer('b')));
	assert_int_equal(crew_close_reason(conn('a')), CREW_END_APP);
}

static void when_the_far_side_breaks_so_does_the_source(void **state)
{
	open_it(state, &raw);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	for (int i = 0; i < 20; i++) {
		ssize_t n = send(peer('a'), t.out, 60000, MSG_DONTWAIT);
		(void)n;
		world_settle(&t.world);
	}
	assert_true(conn('a')->flags & CREW__C_PIPE_FULL);
	hang_up('b');
	world_until(&t.world, strstr(told(), "b:close"));
	assert_string_equal(told(), "b:error:reset b:close:reset");
	assert_true(peer_sees_end(peer('a')));
	assert_int_equal(conn('a')->record->state, CREW__CONN_LINGER);
}

static void abort_both(crew_conn *c, crew_msg msg)
{
	on_message(c, msg);
	crew_abort(conn('b'));
	crew_abort(conn('a'));
}
static const crew_service aborting = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = on_open,
	.on_message = abort_both,
	.on_close = on_close,
};
static void aborting_one_end_in_its_own_message(void **state)
{
	open_it(state, &aborting);
	assert_int_equal(crew_pipe(conn('a'), conn('b')), 0);
	assert_int_equal(crew_pipe(conn('b'), conn('c')), 0);
	assert_int_equal(crew_pipe(conn('c'), NULL), 0);
	say('c', "now");
	assert_true(strstr(told(), "c:now"));
	world_settle(&t.world);
	assert_null(conn('a'));
	assert_null(conn('b'));
	assert_true(peer_sees_end(peer('c'))); /* what flowed into it has ended */
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(what_comes_flows_instead_of_being_told),
		ON_BOTH(messages_are_framed_anew),
		ON_BOTH(a_slow_reader_slows_the_writer_and_loses_nothing),
		ON_BOTH(both_directions_at_once),
		ON_BOTH(a_full_far_side_stops_the_reading),
		ON_BOTH(wrong_pipes_are_refused),
		ON_BOTH(an_end_flows_after_all_before_it),
		ON_BOTH(the_end_of_one_that_nothing_flows_into_is_told),
		ON_BOTH(when_the_far_side_closes_so_does_the_source),
		ON_BOTH(when_the_far_side_breaks_so_does_the_source),
		ON_BOTH(aborting_one_end_in_its_own_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
