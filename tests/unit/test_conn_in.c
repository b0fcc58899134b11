/* test_conn_in.c - the way in of a connection: whole messages in order however the bytes come,
 * pausing in the midst of them, and the end that waits behind what was kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 21
};

static struct {
	struct world world;
	int peers[2];
	char *room;
	size_t got;
} t;

/* What on_message does depends on the message's first byte. */
static void on_message(crew_conn *c, crew_msg msg)
{
	tell_message(c, msg);
	switch (msg.body.len > 0 ? msg.body.data[0] : 0) {
	case 'p':
		assert_int_equal(crew_pause(c), 0);
		break;
	case 'b': /* both */
		crew_pause(c);
		crew_resume(c);
		break;
	case 'c':
		crew_pause(c);
		crew_close(c);
		break;
	case 'a':
		crew_pause(c);
		crew_abort(c);
		break;
	case 'o': /* the other one goes on */
		crew_resume(world_conn(&t.world, 1));
		break;
	default:
		break;
	}
}

#define TELLING .on_close = tell_close, .on_error = tell_error
static const crew_service text = {
	.name = "text", .listen = "text://127.0.0.1:1", .on_message = on_message, TELLING
};
static const crew_service text_with_end = {
	.name = "text",
	.listen = "text://127.0.0.1:1",
	.on_message = on_message,
	.on_end = tell_end,
	TELLING,
};

static void no_linger(struct crew__service_settings *s)
{
	s->linger_ms = 0;
}

static void open_with(void **state, const crew_service *service,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.room = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), adjust));
	for (size_t i = 0; i < crew__lengthof(t.peers); i++) {
		t.peers[i] = world_connect(&t.world);
		assert_true(t.peers[i] >= 0);
	}
	world_settle(&t.world);
}

static void open_it(void **state, const crew_service *service)
{
	open_with(state, service, no_linger);
}

static void hang_up(int i)
{
	close(t.peers[i]);
	t.peers[i] = -1;
}

static int clean_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(t.peers); i++)
		if (t.peers[i] >= 0)
			close(t.peers[i]);
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

static void say(const char *bytes)
{
	peer_says(t.peers[0], crew_str(bytes));
	world_settle(&t.world);
}

/* ---- messages ------------------------------------------------------------------------------ */

static void messages_come_whole_in_every_cutting(void **state)
{
	static const char stream[] = "one\n\ntwo and a bit\r\nthree\nfour is on its way";
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		struct pieces pieces = pieces_of(way);
		open_it(state, &text);
		for (size_t at = 0, n; at < sizeof(stream) - 1; at += n) {
			n = pieces_next(&pieces, sizeof(stream) - 1 - at);
			peer_says(t.peers[0], (crew_bytes){ stream + at, n });
			world_turn(&t.world, 0);
		}
		world_settle(&t.world);
		assert_string_equal(
			told(), "message:one message: message:two and a bit message:three");
		assert_int_equal(conn()->record->recv_queue, strlen("four is on its way"));
		assert_int_equal(conn()->record->bytes_in, sizeof(stream) - 1);
		clean_up(state);
	}
	open_it(state, &text); /* for the clean_up that follows */
}

static void count_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	for (size_t i = 0; i < msg.body.len; i++)
		assert_int_equal((unsigned char)msg.body.data[i], (i * 31 + msg.body.len) & 0xff);
	t.got += msg.body.len;
	tell("%zu", msg.body.len);
}
static const crew_service frames = {
	.name = "frame", .listen = "frame://127.0.0.1:1", .on_message = count_message, TELLING
};

static size_t add_frame(char *at, size_t body)
{
	uint32_t whole = (uint32_t)body + 4;
	for (int i = 0; i < 4; i++)
		at[i] = (char)(whole >> (24 - 8 * i));
	for (size_t i = 0; i < body; i++)
		at[4 + i] = (char)(i * 31 + body);
	return whole;
}

/* Around the size of one read, of the rest that is put before the next, and of what is read in
 * place. */
static void long_messages_come_whole(void **state)
{
	static const size_t sizes[] = { 1000, 1100, 65532, 65533, 70000, 300000, 5, 1048000, 0,
		70000 };
	open_it(state, &frames);
	size_t len = 0, at = 0, sum = 0;
	struct pieces pieces = pieces_of(6);
	for (size_t i = 0; i < crew__lengthof(sizes); i++) {
		len += add_frame(t.room + len, sizes[i]);
		sum += sizes[i];
	}
	while (at < len) {
		size_t n = pieces_next(&pieces, crew__min(len - at, 150000));
		ssize_t sent = send(t.peers[0], t.room + at, n, MSG_DONTWAIT);
		at += sent > 0 ? (size_t)sent : 0;
		world_turn(&t.world, 0);
	}
	world_settle(&t.world);
	assert_int_equal(t.got, sum);
	assert_string_equal(told(), "1000 1100 65532 65533 70000 300000 5 1048000 0 70000");
	assert_int_equal(conn()->record->recv_queue, 0);
	assert_null(conn()->in.data); /* an idle connection owns no buffer */
}

static void one_that_talks_much_takes_one_read_a_turn(void **state)
{
	open_it(state, &text);
	memset(t.room, 'x', 150000);
	int large = 1 << 20;
	setsockopt(t.peers[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	peer_says(t.peers[0], (crew_bytes){ t.room, 150000 });
	peer_says(t.peers[1], CREW_BYTES("hello\n"));
	world_turn(&t.world, 100);
	assert_string_equal(told(), "message:hello");
	assert_true(conn()->record->bytes_in <= CREW__READ_MOST);
	world_settle(&t.world);
	assert_int_equal(conn()->record->bytes_in, 150000);
}

static const crew_service deaf = { .name = "deaf", .listen = "text://127.0.0.1:1", TELLING };

static void nobody_need_listen(void **state)
{
	open_it(state, &deaf);
	say("a\nb\nc\n");
	assert_int_equal(counter(&t.world, "total_request"), 3);
	assert_int_equal(conn()->record->recv_queue, 0);
}

/* ---- pausing ------------------------------------------------------------------------------- */

static void a_pause_stops_at_the_next_message(void **state)
{
	open_it(state, &text);
	say("1\np2\n3\np4\n5\n6");
	assert_string_equal(told(), "message:1 message:p2");
	assert_int_equal(conn()->record->recv_queue, 8);
	say("7\n8\n"); /* while paused: it stays in the kernel */
	assert_string_equal(told(), "message:1 message:p2");
	assert_int_equal(crew_resume(conn()), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "message:1 message:p2 message:3 message:p4");
	assert_int_equal(crew_resume(conn()), 0);
	world_settle(&t.world);
	assert_string_equal(told(),
		"message:1 message:p2 message:3 message:p4 message:5 message:67 "
		"message:8");
	assert_int_equal(conn()->record->recv_queue, 0);
}

static void pauses_do_not_nest(void **state)
{
	open_it(state, &text);
	assert_int_equal(crew_pause(conn()), 0);
	assert_int_equal(crew_pause(conn()), 0);
	say("1\n");
	assert_string_equal(told(), "");
	assert_int_equal(crew_resume(conn()), 0);
	assert_int_equal(crew_resume(conn()), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "message:1");
}

/* Paused and resumed in the callback that holds a view of the very bytes. */
static void pause_and_resume_in_one_callback_lose_nothing(void **state)
{
	open_it(state, &text);
	say("b1\nb2\n3\nb4");
	say("5\n6\n");
	assert_string_equal(told(), "message:b1 message:b2 message:3 message:b45 message:6");
}

static void one_resumes_another(void **state)
{
	open_it(state, &text);
	peer_says(t.peers[1], CREW_BYTES("p1\n2\np3\n4\n"));
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1");
	say("o\no\n");
	assert_string_equal(told(), "message:p1 message:o message:o message:2 message:p3");
	say("o\n");
	assert_string_equal(
		told(), "message:p1 message:o message:o message:2 message:p3 message:o message:4");
}

static void resume_it(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	crew_resume(conn());
	crew_pause(conn());
	crew_resume(conn());
}
static void a_resume_from_a_timer_delivers_what_was_kept(void **state)
{
	open_it(state, &text);
	say("p1\n2\n3\n");
	assert_true(crew_timer_after(t.world.worker, 1, resume_it, NULL) > 0);
	world_until(&t.world, strstr(told(), "message:3"));
	assert_string_equal(told(), "message:p1 message:2 message:3");
}

static void nothing_is_delivered_after_a_close(void **state)
{
	open_it(state, &text);
	say("1\nc2\n3\n");
	assert_string_equal(told(), "message:1 message:c2 close:app");
	assert_int_equal(crew_resume(conn()), -ENOTCONN);
}

static void nothing_is_delivered_after_an_abort(void **state)
{
	open_it(state, &text);
	say("1\na2\n3\n");
	assert_string_equal(told(), "message:1 message:a2 close:app");
}

/* ---- the end ------------------------------------------------------------------------------- */

static void the_end_closes_when_nobody_wants_to_know(void **state)
{
	open_it(state, &text);
	say("1\nunfinished");
	shutdown(t.peers[0], SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "message:1 close:peer");
	assert_true(peer_sees_end(t.peers[0]));
}

static void the_end_is_told_and_leaves_our_side_open(void **state)
{
	open_it(state, &text_with_end);
	say("1\n");
	shutdown(t.peers[0], SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "message:1 end");
	assert_true(crew_send(conn(), CREW_BYTES("answer")) > 0);
	world_settle(&t.world);
	assert_true(peer_hears(t.peers[0], t.room, ROOM) > 0);
	assert_string_equal(t.room, "answer\n");
	assert_int_equal(crew_close(conn()), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "message:1 end close:app");
	assert_true(peer_sees_end(t.peers[0]));
}

static void the_end_waits_behind_what_is_kept(void **state)
{
	open_it(state, &text_with_end);
	say("p1\n2\np3\n4\n");
	shutdown(t.peers[0], SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1");
	crew_resume(conn());
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1 message:2 message:p3");
	crew_resume(conn());
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1 message:2 message:p3 message:4 end");
	crew_close(conn());
}

/* A hang-up cannot be masked: it must neither spin nor lose what had come before. */
static void a_hang_up_while_paused_is_noticed_on_resume(void **state)
{
	open_it(state, &text);
	say("p1\n2\n");
	peer_says(t.peers[0], CREW_BYTES("3\n"));
	hang_up(0);
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1");
	assert_int_equal(counter(&t.world, "connections"), 2);
	crew_resume(conn());
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1 message:2 message:3 close:peer");
}

static void a_hang_up_while_paused_is_noticed_by_a_send(void **state)
{
	open_it(state, &text);
	say("p1\n");
	hang_up(0);
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1");
	assert_true(crew_send(conn(), CREW_BYTES("anyone?")) > 0);
	world_settle(&t.world);
	assert_string_equal(told(), "message:p1 error:reset:1 close:reset");
}

/* ---- back-pressure ------------------------------------------------------------------------- */

static void echo(crew_conn *c, crew_msg msg)
{
	assert_true(crew_send(c, msg.body) >= 0);
}
static const crew_service echoing = {
	.name = "echo", .listen = "frame://127.0.0.1:1", .on_message = echo, TELLING
};

static void small_queue(struct crew__service_settings *s)
{
	s->max_send_buffer = 20000;
}

/* An echo without a line of flow control: the peer that writes much and reads late loses nothing.
 */
static void an_echo_needs_no_care(void **state)
{
	enum {
		COUNT = 2000,
		BODY = 496
	};
	open_with(state, &echoing, small_queue);
	char *back = malloc(COUNT * 500 + 1);
	size_t out = 0, in = 0;
	for (size_t i = 0; i < COUNT; i++)
		add_frame(t.room + i * 500, BODY);
	uint64_t give_up = patience_ends();
	while (in < COUNT * 500) {
		size_t piece = crew__min(COUNT * 500 - out, 30000);
		ssize_t n = piece ? send(t.peers[0], t.room + out, piece, MSG_DONTWAIT) : 0;
		out += n > 0 ? (size_t)n : 0;
		world_wait(&t.world, give_up, "the echo", __LINE__);
		if (n <= 0) /* only when nothing more can be written */
			in += (size_t)peer_hears(t.peers[0], back + in, COUNT * 500 + 1 - in);
	}
	assert_memory_equal(back, t.room, COUNT * 500);
	free(back);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
	assert_int_equal(counter(&t.world, "messages_sent"), COUNT);
}

static void one_that_does_not_read_is_not_read(void **state)
{
	open_with(state, &echoing, small_queue);
	for (size_t i = 0; i < 400; i++)
		add_frame(t.room + i * 500, 496);
	uint64_t before;
	size_t out = 0;
	do {
		before = conn()->record->bytes_in;
		ssize_t n = send(t.peers[0], t.room + out % 100000, 50000, MSG_DONTWAIT);
		out += n > 0 ? (size_t)n : 0;
		world_settle(&t.world);
	} while (conn()->record->bytes_in > before);
	assert_true(conn()->flags & CREW__C_HELD);
	assert_true(crew_queued(conn()) <= 20000);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
	/* Neither a pause nor a resume of the program's touches that. */
	crew_pause(conn());
	crew_resume(conn());
	world_settle(&t.world);
	assert_int_equal(conn()->record->bytes_in, before);
	assert_true(conn()->flags & CREW__C_HELD);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(messages_come_whole_in_every_cutting),
		ON_BOTH(long_messages_come_whole),
		ON_BOTH(one_that_talks_much_takes_one_read_a_turn),
		ON_BOTH(nobody_need_listen),
		ON_BOTH(a_pause_stops_at_the_next_message),
		ON_BOTH(pauses_do_not_nest),
		ON_BOTH(pause_and_resume_in_one_callback_lose_nothing),
		ON_BOTH(one_resumes_another),
		ON_BOTH(a_resume_from_a_timer_delivers_what_was_kept),
		ON_BOTH(nothing_is_delivered_after_a_close),
		ON_BOTH(nothing_is_delivered_after_an_abort),
		ON_BOTH(the_end_closes_when_nobody_wants_to_know),
		ON_BOTH(the_end_is_told_and_leaves_our_side_open),
		ON_BOTH(the_end_waits_behind_what_is_kept),
		ON_BOTH(a_hang_up_while_paused_is_noticed_on_resume),
		ON_BOTH(a_hang_up_while_paused_is_noticed_by_a_send),
		ON_BOTH(an_echo_needs_no_care),
		ON_BOTH(one_that_does_not_read_is_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
