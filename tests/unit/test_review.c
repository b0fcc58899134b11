/* test_review.c - what a reading of the core with hostile eyes brought to light: each test is a
 * connection, timer or wake-up that was once lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct world world;
	uint64_t ids[4];
	unsigned opens, messages, closes, fulls, drains, requests, losses;
	size_t got;
	crew_end_reason end;
	crew_loss loss;
} play;

static void forget(void)
{
	memset(&play, 0, sizeof(play));
}

static void note_open(crew_conn *c)
{
	if (play.opens < crew__lengthof(play.ids))
		play.ids[play.opens] = crew_id(c);
	play.opens++;
}

static void note_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	play.messages++;
	play.got += msg.body.len;
}

static void note_close(crew_conn *c)
{
	play.closes++;
	play.end = crew_close_reason(c);
}

static void note_error(crew_conn *c, const crew_loss *loss)
{
	(void)c;
	play.losses++;
	play.loss = *loss;
}

static void note_full(crew_conn *c)
{
	(void)c;
	play.fulls++;
}

static void note_drain(crew_conn *c)
{
	(void)c;
	play.drains++;
}

/* Read what there is. */
static size_t drink(int fd)
{
	static char sink[1 << 20];
	size_t sum = 0;
	ssize_t n;
	while ((n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT)) > 0)
		sum += (size_t)n;
	return sum;
}

/* The peer sees the end of our stream. */
static bool sees_end(int fd)
{
	char byte;
	drink(fd);
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void pass_ms(struct world *world, int ms)
{
	uint64_t until = crew__loop_ns(world->loop) + (uint64_t)ms * 1000000;
	while (crew__loop_ns(world->loop) < until)
		world_turn(world, 5);
}

static const crew_service raw = {
	.name = "raw",
	.listen = "tcp://127.0.0.1:1",
	.on_open = note_open,
	.on_message = note_message,
	.on_close = note_close,
	.on_error = note_error,
	.on_full = note_full,
	.on_drain = note_drain,
};

/* ---- pipes --------------------------------------------------------------------------------- */

static void small_queue(struct crew__service_settings *s)
{
	s->max_send_buffer = 8000;
}

static void a_pipe_that_is_laid_anew_flows_again(void **state)
{
	(void)state;
	static char much[60000];
	forget();
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, small_queue));
	int from = world_connect(&play.world), stuck = world_connect(&play.world);
	int free_one = world_connect(&play.world);
	world_settle(&play.world);
	assert_int_equal(crew_pipe(crew_find(play.ids[0]), crew_find(play.ids[1])), 0);
	for (int i = 0; i < 10; i++) {
		assert_true(send(from, much, sizeof(much), MSG_DONTWAIT) > 0 || errno == EAGAIN);
		world_settle(&play.world);
	}
	assert_true(crew_find(play.ids[0])->flags & CREW__C_PIPE_FULL);
	assert_int_equal(crew_pipe(crew_find(play.ids[0]), crew_find(play.ids[2])), 0);
	world_settle(&play.world);
	assert_true(drink(free_one) > 0);
	close(from);
	close(stuck);
	close(free_one);
	world_close(&play.world);
}

static void what_ends_in_a_pipe_of_one_direction_is_closed(void **state)
{
	(void)state;
	forget();
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, NULL));
	int from = world_connect(&play.world), to = world_connect(&play.world);
	world_settle(&play.world);
	assert_int_equal(crew_pipe(crew_find(play.ids[0]), crew_find(play.ids[1])), 0);
	shutdown(from, SHUT_WR);
	world_settle(&play.world);
	assert_true(sees_end(to));
	assert_true(sees_end(from)); /* or it stays for ever: nobody is told of it */
	pass_ms(&play.world, 120);
	assert_int_equal(play.end, CREW_END_PEER);
	close(from);
	close(to);
	world_close(&play.world);
}

static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const crew_service ws_service = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.on_open = note_open,
	.on_message = note_message,
	.on_close = note_close,
};

static void a_websocket_that_is_piped_into_gets_a_close_frame(void **state)
{
	(void)state;
	char bytes[16] = "";
	forget();
	assert_true(world_open(&play.world, &ws_service, CREW__ENGINE_EPOLL, NULL));
	int from = world_connect(&play.world), to = world_connect(&play.world);
	assert_true(send(from, handshake, sizeof(handshake) - 1, 0) > 0);
	world_settle(&play.world);
	assert_true(send(to, handshake, sizeof(handshake) - 1, 0) > 0);
	world_settle(&play.world);
	drink(to);
	assert_int_equal(crew_pipe(crew_find(play.ids[0]), crew_find(play.ids[1])), 0);
	shutdown(from, SHUT_WR);
	world_settle(&play.world);
	assert_int_equal(recv(to, bytes, sizeof(bytes), 0), 4);
	assert_memory_equal(bytes, "\x88\x02\x03\xe8", 4);
	close(from);
	close(to);
	world_close(&play.world);
}

/* ---- WebSocket ports ----------------------------------------------------------------------- */

static void answer(crew_conn *c, const crew_request *request)
{
	play.requests++;
	crew_response huge = { .body = { "x", (size_t)2 << 30 } };
	assert_int_equal(crew_reply(c, &huge), -EMSGSIZE);
	crew_reply(c, &(crew_response){ .body = request->path });
}
static const crew_service ws_with_page = {
	.name = "page",
	.listen = "ws://127.0.0.1:1",
	.on_open = note_open,
	.on_message = note_message,
	.on_request = answer,
	.on_close = note_close,
};
static const char plain[] = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

static void quick_heartbeat(struct crew__service_settings *s)
{
	s->heartbeat_ms = 30;
	s->handshake_timeout_ms = 0;
}

static void a_websocket_that_asked_for_a_page_first_is_pinged(void **state)
{
	(void)state;
	forget();
	assert_true(world_open(&play.world, &ws_with_page, CREW__ENGINE_EPOLL, quick_heartbeat));
	int fd = world_connect(&play.world);
	assert_true(send(fd, plain, sizeof(plain) - 1, 0) > 0);
	pass_ms(&play.world, 250); /* no deadline is left */
	assert_true(send(fd, handshake, sizeof(handshake) - 1, 0) > 0);
	world_settle(&play.world);
	assert_int_equal(play.opens, 1);
	drink(fd);
	pass_ms(&play.world, 250);
	assert_true(drink(fd) > 0);
	close(fd);
	world_close(&play.world);
}

static void quick_handshake(struct crew__service_settings *s)
{
	s->handshake_timeout_ms = 40;
}

static void a_plain_client_of_a_websocket_port_does_not_stay_for_ever(void **state)
{
	(void)state;
	forget();
	assert_true(world_open(&play.world, &ws_with_page, CREW__ENGINE_EPOLL, quick_handshake));
	int fd = world_connect(&play.world);
	assert_true(send(fd, plain, sizeof(plain) - 1, 0) > 0);
	pass_ms(&play.world, 500);
	assert_int_equal(play.requests, 1);
	assert_int_equal(play.closes, 1);
	assert_int_equal(play.end, CREW_END_IDLE);
	close(fd);
	world_close(&play.world);
}

/* ---- queues -------------------------------------------------------------------------------- */

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}
static const crew_service echoing = {
	.name = "echo",
	.listen = "tcp://127.0.0.1:1",
	.on_open = note_open,
	.on_message = echo,
	.on_close = note_close,
};

static void a_peer_that_hangs_up_while_it_is_held_is_let_go(void **state)
{
	(void)state;
	static char much[60000];
	forget();
	assert_true(world_open(&play.world, &echoing, CREW__ENGINE_EPOLL, small_queue));
	int fd = world_connect(&play.world);
	for (int i = 0; i < 20; i++) {
		ssize_t n = send(fd, much, sizeof(much), MSG_DONTWAIT);
		(void)n;
		world_settle(&play.world);
	}
	assert_true(crew_find(play.ids[0])->flags & CREW__C_HELD);
	shutdown(fd, SHUT_RDWR); /* without reading: what we hold can never leave */
	world_settle(&play.world);
	assert_int_equal(play.closes, 1);
	assert_int_equal(play.end, CREW_END_RESET);
	close(fd);
	world_close(&play.world);
}

static void let_kernel_take(uint64_t id)
{
	int large = 1 << 20;
	setsockopt(crew_find(id)->fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
}

/* Many small pieces and a long one: at the limit, though the kernel takes all in the end. */
static void fill(crew_worker *w, void *arg)
{
	static char big[20000];
	crew_conn *c = crew_find(play.ids[0]);
	(void)w;
	(void)arg;
	for (int i = 0; i < 380; i++)
		assert_true(crew_send_static(c, CREW_BYTES("twenty bytes of text")) >= 0);
	assert_true(crew_send_static(c, (crew_bytes){ big, sizeof(big) }) >= 0);
}

static void on_full_is_followed_by_on_drain(void **state)
{
	(void)state;
	forget();
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, small_queue));
	int fd = world_connect(&play.world);
	world_settle(&play.world);
	let_kernel_take(play.ids[0]);
	crew_timer_after(play.world.worker, 1, fill, NULL);
	pass_ms(&play.world, 30);
	drink(fd);
	world_settle(&play.world);
	assert_int_equal(crew_queued(crew_find(play.ids[0])), 0);
	assert_int_equal(play.fulls, 1);
	assert_int_equal(play.drains, 1);
	close(fd);
	world_close(&play.world);
}

/* Room chatter: whoever speaks is heard by all, many times in a turn. */
static void chatter(crew_conn *c, crew_msg msg)
{
	static char line[1900]; /* two are less than half of a small queue, four are more */
	(void)msg;
	play.messages++;
	crew_shared *s = crew_shared_new((crew_bytes){ line, sizeof(line) });
	for (int i = 0; i < 2; i++)
		crew_broadcast(crew_service_of(c), s);
	crew_shared_unref(s);
}
static const crew_service chat = {
	.name = "chat",
	.listen = "tcp://127.0.0.1:1",
	.on_open = note_open,
	.on_message = chatter,
};

static void one_that_was_held_for_the_turns_broadcasts_is_read_again(void **state)
{
	(void)state;
	int fds[3];
	forget();
	assert_true(world_open(&play.world, &chat, CREW__ENGINE_EPOLL, small_queue));
	for (int i = 0; i < 3; i++)
		fds[i] = world_connect(&play.world);
	world_settle(&play.world);
	for (int i = 0; i < 3; i++)
		let_kernel_take(play.ids[i]);
	for (unsigned round = 1; round < 5; round++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(send(fds[i], "x", 1, 0), 1);
		for (int i = 0; i < 3 * 8; i++) {
			world_settle(&play.world);
			drink(fds[i % 3]);
		}
		assert_int_equal(play.messages, round * 3);
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	world_close(&play.world);
}

static void short_windows(struct crew__service_settings *s)
{
	s->drain_timeout_ms = 30;
}

static void what_we_cut_off_after_a_peers_end_is_aborted(void **state)
{
	(void)state;
	static char much[900000];
	forget();
	assert_true(world_open(&play.world, &raw, CREW__ENGINE_EPOLL, short_windows));
	int fd = world_connect(&play.world);
	world_settle(&play.world);
	crew_send(crew_find(play.ids[0]), (crew_bytes){ much, sizeof(much) });
	shutdown(fd, SHUT_WR); /* it would read on, but does not */
	pass_ms(&play.world, 400);
	assert_int_equal(play.closes, 1);
	assert_int_equal(play.end, CREW_END_PEER);
	assert_int_equal(play.loss.reason, CREW_LOST_ABORTED);
	close(fd);
	world_close(&play.world);
}

/* ---- protocols of the program's own -------------------------------------------------------- */

static int64_t never(crew_conn *c, crew_bytes in)
{
	(void)c;
	(void)in;
	return 0;
}

static int encode_without_memory(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	(void)c;
	(void)kind;
	(void)frame;
	return -ENOMEM;
}
static const crew_protocol odd = { .name = "odd", .cut = never, .encode = encode_without_memory };
static const crew_service odd_service = {
	.name = "odd",
	.listen = "odd://127.0.0.1:1",
	.protocol = &odd,
	.on_open = note_open,
	.on_close = note_close,
	.on_error = note_error,
};

static void a_frame_without_memory_is_an_offered_message_that_was_lost(void **state)
{
	(void)state;
	forget();
	assert_true(world_open(&play.world, &odd_service, CREW__ENGINE_EPOLL, NULL));
	int fd = world_connect(&play.world);
	world_settle(&play.world);
	assert_int_equal(crew_send(crew_find(play.ids[0]), CREW_BYTES("x")), -ENOMEM);
	world_settle(&play.world);
	assert_int_equal(play.losses, 1);
	assert_int_equal(play.loss.reason, CREW_LOST_MEMORY);
	assert_int_equal(play.world.worker->net.stats.slab->send_invalid, 0);
	assert_int_equal(play.world.worker->net.stats.slab->messages_offered, 1);
	close(fd);
	world_close(&play.world);
}

static void short_messages(struct crew__service_settings *s)
{
	s->max_message = 1000;
}

static void an_endless_message_breaks_the_protocol(void **state)
{
	(void)state;
	static char much[200000];
	forget();
	assert_true(world_open(&play.world, &odd_service, CREW__ENGINE_EPOLL, short_messages));
	int fd = world_connect(&play.world);
	for (int i = 0; i < 10; i++) {
		ssize_t n = send(fd, much, sizeof(much), MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)n;
		world_settle(&play.world);
	}
	pass_ms(&play.world, 150);
	assert_int_equal(play.closes, 1);
	assert_int_equal(play.end, CREW_END_PROTOCOL);
	close(fd);
	world_close(&play.world);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pipe_that_is_laid_anew_flows_again),
		cmocka_unit_test(what_ends_in_a_pipe_of_one_direction_is_closed),
		cmocka_unit_test(a_websocket_that_is_piped_into_gets_a_close_frame),
		cmocka_unit_test(a_websocket_that_asked_for_a_page_first_is_pinged),
		cmocka_unit_test(a_plain_client_of_a_websocket_port_does_not_stay_for_ever),
		cmocka_unit_test(a_peer_that_hangs_up_while_it_is_held_is_let_go),
		cmocka_unit_test(one_that_was_held_for_the_turns_broadcasts_is_read_again),
		cmocka_unit_test(on_full_is_followed_by_on_drain),
		cmocka_unit_test(what_we_cut_off_after_a_peers_end_is_aborted),
		cmocka_unit_test(a_frame_without_memory_is_an_offered_message_that_was_lost),
		cmocka_unit_test(an_endless_message_breaks_the_protocol),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
