/* test_udp.c - a service's UDP socket: whose datagrams come, to whom answers go, who gives way, and
 * what is counted when something is not delivered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "udp_ways.h"

#include "net/udp_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 80
};

static struct {
	struct world world;
	struct sockaddr_in6 address;
	int peers[PEERS];
	unsigned peer_count;
	int64_t sent; /* what the last send returned */
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	if (msg.body.len == 5 && memcmp(msg.body.data, "close", 5) == 0) {
		crew_send(c, CREW_BYTES("bye"));
		crew_close(c);
	} else if (msg.body.len == 5 && memcmp(msg.body.data, "abort", 5) == 0) {
		crew_abort(c);
	} else if (msg.body.len == 5 && memcmp(msg.body.data, "pause", 5) == 0) {
		crew_pause(c);
	} else if (msg.body.len == 4 && memcmp(msg.body.data, "long", 4) == 0) {
		static char room[65508];
		t.sent = crew_send_static(c, (crew_bytes){ room, sizeof(room) });
	} else {
		t.sent = crew_send(c, msg.body);
	}
}

static const crew_service echo = {
	.name = "echo",
	.listen = "udp://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = on_message,
	.on_error = tell_error,
	.on_close = tell_close,
};

static void open_it(void **state, const crew_service *service, const char *ip,
	void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), adjust));
	int fd = udp_bind(ip, &t.address);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
}

static int new_peer(void)
{
	assert_true(t.peer_count < PEERS);
	return t.peers[t.peer_count++] = udp_peer(&t.address, NULL);
}

static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	t.peer_count = 0;
	world_clean_up(&t.world);
	return 0;
}

static void assert_answers(int peer, const char *text)
{
	udp_says(peer, text);
	assert_string_equal(udp_hears(&t.world, peer), text);
}

static crew_conn *first(void)
{
	return world_conn(&t.world, 0);
}

/* ---- there and back ------------------------------------------------------------------------ */

static void test_answers_the_sender(void **state)
{
	open_it(state, &echo, "127.0.0.1", NULL);
	int a = new_peer(), b = new_peer();
	assert_answers(a, "one");
	assert_answers(b, "two");
	assert_answers(a, "three");
	assert_int_equal(counter(&t.world, "connections"), 2);
	assert_int_equal(counter(&t.world, "total_request"), 3);
	assert_int_equal(counter(&t.world, "messages_sent"), 3);
	assert_int_equal(counter(&t.world, "bytes_in"), 11);
	assert_int_equal(counter(&t.world, "bytes_out"), 11);
	assert_string_equal(told(), "open open");
}

static void test_a_peer_has_addresses(void **state)
{
	struct sockaddr_in own;
	socklen_t size = sizeof(own);
	char text[80], expected[80];
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	assert_answers(peer, "a");
	assert_int_equal(getsockname(peer, (struct sockaddr *)&own, &size), 0);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(own.sin_port));
	crew_remote(first(), text, sizeof(text));
	assert_string_equal(text, expected);
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", ntohs(t.address.sin6_port));
	crew_local(first(), text, sizeof(text));
	assert_string_equal(text, expected);
	assert_int_equal(first()->record->transport, CREW__UDP);
	assert_int_equal(crew_fd(first()), -ENOTCONN);
}

static void test_an_empty_datagram_is_a_message(void **state)
{
	char room[8];
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	assert_int_equal(send(peer, "", 0, 0), 0);
	assert_string_equal(udp_hears(&t.world, peer), "");
	assert_true(recv(peer, room, sizeof(room), MSG_DONTWAIT) < 0);
	assert_int_equal(counter(&t.world, "messages_sent"), 1);
	assert_int_equal(counter(&t.world, "total_request"), 1);
	/* From outside its event too. */
	assert_int_equal(crew_send(first(), (crew_bytes){ NULL, 0 }), 0);
	assert_string_equal(udp_hears(&t.world, peer), "");
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
}

static void test_many_keep_their_order(void **state)
{
	enum {
		MANY = 200
	};
	char text[16];
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			snprintf(text, sizeof(text), "%d", i);
			udp_says(peer, text);
		}
		for (int i = 0; i < MANY; i++) {
			snprintf(text, sizeof(text), "%d", i);
			assert_string_equal(udp_hears(&t.world, peer), text);
		}
	}
	assert_int_equal(counter(&t.world, "connections_total"), 1);
	assert_int_equal(counter(&t.world, "messages_sent"), 3 * MANY);
}

static void test_peers_are_told_apart(void **state)
{
	enum {
		FEW = 40
	};
	char text[32];
	open_it(state, &echo, "127.0.0.1", NULL);
	for (int i = 0; i < FEW; i++)
		new_peer();
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < FEW; i++) {
			snprintf(text, sizeof(text), "%d of %d", round, i);
			udp_says(t.peers[i], text);
		}
	for (int i = 0; i < FEW; i++)
		for (int round = 0; round < 3; round++) {
			snprintf(text, sizeof(text), "%d of %d", round, i);
			assert_string_equal(udp_hears(&t.world, t.peers[i]), text);
		}
	assert_int_equal(counter(&t.world, "connections"), FEW);
}

static void test_the_longest_datagram(void **state)
{
	static char body[65507];
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	memset(body, 'x', sizeof(body));
	assert_int_equal(send(peer, body, sizeof(body), 0), (ssize_t)sizeof(body));
	assert_int_equal(strlen(udp_hears(&t.world, peer)), sizeof(body));
	udp_says(peer, "long"); /* answered with a byte more */
	world_settle(&t.world);
	assert_int_equal(t.sent, -EMSGSIZE);
	assert_int_equal(counter(&t.world, "send_invalid"), 1);
	assert_int_equal(counter(&t.world, "messages_offered"), 1);
	assert_answers(peer, "still here");
}

static void test_from_elsewhere(void **state)
{
	open_it(state, &echo, "127.0.0.1", NULL);
	int a = new_peer(), b = new_peer();
	assert_answers(a, "a");
	assert_answers(b, "b");
	crew_shared *s = crew_shared_new(CREW_BYTES("to all"));
	assert_int_equal(crew_broadcast(&echo, s), 2);
	assert_int_equal(crew_broadcast(&echo, s), 2);
	crew_shared_unref(s);
	assert_int_equal(crew_send_static(first(), CREW_BYTES("to one")), 6 + 2 * 6);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(udp_hears(&t.world, a), "to all");
		assert_string_equal(udp_hears(&t.world, b), "to all");
	}
	assert_string_equal(udp_hears(&t.world, a), "to one");
	assert_true(udp_hears_nothing(&t.world, b));
}

/* ---- addresses ----------------------------------------------------------------------------- */

static void test_answers_leave_from_the_address_asked(void **state)
{
	char text[80];
	open_it(state, &echo, "::", NULL);
	struct sockaddr_in6 second = udp_at("127.0.0.2", &t.address);
	struct sockaddr_in6 six = udp_at("::1", &t.address);
	/* A connected socket hears only what comes from there. */
	int a = t.peers[t.peer_count++] = udp_peer(&second, "127.0.0.1");
	int b = t.peers[t.peer_count++] = udp_peer(&six, NULL);
	assert_answers(a, "ipv4");
	crew_local(first(), text, sizeof(text));
	assert_memory_equal(text, "127.0.0.2:", 10);
	assert_answers(b, "ipv6");
	assert_answers(a, "ipv4 again");
	for (int i = 0; i < 100; i++)
		udp_says(i % 2 ? a : b, "x");
	for (int i = 0; i < 50; i++) {
		assert_string_equal(udp_hears(&t.world, a), "x");
		assert_string_equal(udp_hears(&t.world, b), "x");
	}
	assert_int_equal(counter(&t.world, "connections_total"), 2);
}

static void test_one_sender_at_two_addresses_is_two_peers(void **state)
{
	open_it(state, &echo, "0.0.0.0", NULL);
	struct sockaddr_in6 one = udp_at("127.0.0.1", &t.address);
	struct sockaddr_in6 two = udp_at("127.0.0.2", &t.address);
	int peer = t.peers[t.peer_count++] = udp_peer(&one, "127.0.0.1");
	assert_answers(peer, "one");
	assert_int_equal(connect(peer, (struct sockaddr *)&two, sizeof(struct sockaddr_in)), 0);
	assert_answers(peer, "two");
	assert_int_equal(counter(&t.world, "connections"), 2);
}

/* ---- joined by the kernel ------------------------------------------------------------------ */

static void test_what_was_sent_in_one_piece_is_many(void **state)
{
	uint16_t segment = 100;
	static char body[2050];
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)('a' + i / segment);
	if (setsockopt(peer, IPPROTO_UDP, UDP_SEGMENT, &(int){ segment }, sizeof(int)) < 0)
		skip();
	assert_int_equal(send(peer, body, sizeof(body), 0), (ssize_t)sizeof(body));
	for (size_t i = 0; i < sizeof(body); i += segment) {
		const char *part = udp_hears(&t.world, peer);
		size_t expected = crew__min(segment, sizeof(body) - i);
		assert_int_equal(strlen(part), expected);
		assert_memory_equal(part, body + i, expected);
	}
	assert_int_equal(counter(&t.world, "total_request"), 21);
	assert_int_equal(counter(&t.world, "messages_sent"), 21);
	assert_int_equal(counter(&t.world, "bytes_in"), sizeof(body));
}

static void test_pieces_only_where_lengths_allow(void **state)
{
	static const int lengths[] = { 10, 10, 10, 7, 10, 1500, 1500, 3, 0, 3, 3, 4 };
	static char body[1501];
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	memset(body, 'y', 1500);
	for (size_t i = 0; i < crew__lengthof(lengths); i++)
		assert_int_equal(send(peer, body, (size_t)lengths[i], 0), lengths[i]);
	for (size_t i = 0; i < crew__lengthof(lengths); i++)
		assert_int_equal(strlen(udp_hears(&t.world, peer)), lengths[i]);
}

/* ---- what is not delivered ----------------------------------------------------------------- */

static void short_messages(struct crew__service_settings *s)
{
	s->max_message = 100;
}

static void test_longer_than_max_message(void **state)
{
	static char body[101];
	open_it(state, &echo, "127.0.0.1", short_messages);
	int peer = new_peer();
	assert_int_equal(send(peer, body, 101, 0), 101);
	assert_int_equal(send(peer, body, 100, 0), 100);
	udp_hears(&t.world, peer);
	assert_true(udp_hears_nothing(&t.world, peer));
	assert_int_equal(counter(&t.world, "datagrams_truncated"), 1);
	assert_int_equal(counter(&t.world, "total_request"), 1);
	assert_string_equal(told(), "open");
}

static void test_paused_peers_hear_nothing(void **state)
{
	open_it(state, &echo, "127.0.0.1", NULL);
	int a = new_peer(), b = new_peer();
	udp_says(a, "pause");
	udp_says(a, "lost");
	assert_answers(b, "others go on");
	assert_true(udp_hears_nothing(&t.world, a));
	assert_int_equal(counter(&t.world, "datagrams_dropped"), 1);
	assert_int_equal(crew_send(first(), CREW_BYTES("we may send")), 11);
	assert_string_equal(udp_hears(&t.world, a), "we may send");
	assert_int_equal(crew_resume(first()), 0);
	assert_answers(a, "again");
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void test_closing_is_at_once(void **state)
{
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	udp_says(peer, "close");
	assert_string_equal(udp_hears(&t.world, peer), "bye");
	world_turn(&t.world, 0);
	assert_string_equal(told(), "open close:app");
	assert_answers(peer, "a new one");
	assert_string_equal(told(), "open close:app open");
	assert_int_equal(counter(&t.world, "send_fail"), 0);
}

static void test_abort_and_finish(void **state)
{
	open_it(state, &echo, "127.0.0.1", NULL);
	int peer = new_peer();
	udp_says(peer, "abort");
	udp_says(peer, "x");
	/* Of the same batch or the next: x begins a new connection in any case. */
	assert_string_equal(udp_hears(&t.world, peer), "x");
	world_turn(&t.world, 0);
	assert_string_equal(told(), "open open close:app");
	assert_int_equal(crew_finish(first() ? first() : world_conn(&t.world, 1)), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "open open close:app close:app");
	assert_int_equal(counter(&t.world, "connections"), 0);
}

static void idle_soon(struct crew__service_settings *s)
{
	s->idle_timeout_ms = 50;
}

static void test_idle_peers_go(void **state)
{
	open_it(state, &echo, "127.0.0.1", idle_soon);
	int peer = new_peer();
	assert_answers(peer, "a");
	world_until(&t.world, counter(&t.world, "close_idle") == 1);
	assert_string_equal(told(), "open close:idle");
	assert_answers(peer, "b");
}

static void three_peers(struct crew__service_settings *s)
{
	s->max_connections = 3;
}

static void test_the_idlest_gives_way(void **state)
{
	open_it(state, &echo, "127.0.0.1", three_peers);
	int a = new_peer(), b = new_peer(), c = new_peer(), d = new_peer();
	assert_answers(a, "a");
	assert_answers(b, "b");
	assert_answers(c, "c");
	assert_answers(a, "a again");
	assert_answers(d, "d"); /* b has been idle for longest */
	assert_int_equal(counter(&t.world, "close_idle"), 1);
	assert_int_equal(counter(&t.world, "connections"), 3);
	assert_answers(a, "a is still the same");
	assert_answers(c, "c too");
	assert_int_equal(counter(&t.world, "connections_total"), 4);
	assert_answers(b, "b is back");
	assert_int_equal(counter(&t.world, "connections_total"), 5);
}

static void test_several_of_a_new_peer_push_out_one(void **state)
{
	open_it(state, &echo, "127.0.0.1", three_peers);
	int a = new_peer(), b = new_peer(), c = new_peer(), d = new_peer();
	assert_answers(a, "a");
	assert_answers(b, "b");
	assert_answers(c, "c");
	for (int i = 0; i < 5; i++)
		udp_says(d, "d");
	for (int i = 0; i < 5; i++)
		assert_string_equal(udp_hears(&t.world, d), "d");
	assert_int_equal(counter(&t.world, "close_idle"), 1);
}

static void test_a_flood_of_addresses_is_bounded(void **state)
{
	enum {
		FLOOD = 1000
	};
	open_it(state, &echo, "127.0.0.1", NULL);
	unsigned answered = 0;
	char room[8];
	for (int i = 0; i < FLOOD / 50; i++) {
		int fds[50];
		for (int k = 0; k < 50; k++) {
			fds[k] = udp_peer(&t.address, NULL);
			udp_says(fds[k], "x");
		}
		for (int k = 0; k < 10; k++)
			world_turn(&t.world, 0);
		for (int k = 0; k < 50; k++) {
			answered += recv(fds[k], room, sizeof(room), MSG_DONTWAIT) == 1;
			close(fds[k]);
		}
		assert_true(counter(&t.world, "connections") <= 64);
	}
	assert_int_equal(answered, FLOOD);
	assert_int_equal(
		counter(&t.world, "close_idle"), counter(&t.world, "connections_total") - 64);
	assert_int_equal(counter(&t.world, "refused_limit"), 0);
	assert_int_equal(counter(&t.world, "datagrams_dropped"), 0);
}

static void two_of_each(struct crew__service_settings *s)
{
	s->max_connections_per_ip = 2;
}

static void test_few_of_one_address(void **state)
{
	open_it(state, &echo, "127.0.0.1", two_of_each);
	int a = new_peer(), b = new_peer(), c = new_peer();
	int d = t.peers[t.peer_count++] = udp_peer(&t.address, "127.0.0.9");
	assert_answers(a, "a");
	assert_answers(b, "b");
	udp_says(c, "c");
	assert_true(udp_hears_nothing(&t.world, c));
	assert_int_equal(counter(&t.world, "refused_ip"), 1);
	assert_int_equal(counter(&t.world, "datagrams_dropped"), 1);
	assert_answers(d, "another address");
	crew_close(first());
	world_settle(&t.world);
	assert_answers(c, "there is room now");
}

static void test_a_stop_closes_all(void **state)
{
	open_it(state, &echo, "127.0.0.1", NULL);
	int a = new_peer();
	assert_answers(a, "a");
	crew__worker_disown(t.world.worker, t.world.worker->udps[0]->fd);
	assert_int_equal(crew_send(first(), CREW_BYTES("late")), -ENOTCONN);
	world_settle(&t.world);
	assert_string_equal(told(), "open error:closed:1 close:drain");
	assert_int_equal(crew__udp_fd(t.world.worker->udps[0]), -1);
	/* The next takes its place. */
	int fd = udp_bind("127.0.0.1", &t.address);
	assert_int_equal(crew__worker_adopt(t.world.worker, fd), 0);
	assert_int_equal(t.world.worker->udp_count, 1);
	int b = new_peer();
	assert_answers(b, "b");
}

static void test_not_a_socket(void **state)
{
	int pipes[2];
	open_it(state, &echo, "127.0.0.1", NULL);
	assert_int_equal(pipe(pipes), 0);
	close(pipes[1]);
	assert_int_equal(crew__worker_adopt(t.world.worker, pipes[0]), -ENOTSOCK);
	assert_true(fcntl(pipes[0], F_GETFD) < 0); /* taken over all the same */
}

/* ---- limits of what is sent ---------------------------------------------------------------- */

static void slowly(struct crew__service_settings *s)
{
	s->rate_bytes = 2000;
}

static void test_a_rate_never_cuts_a_datagram(void **state)
{
	char body[1501] = "";
	open_it(state, &echo, "127.0.0.1", slowly);
	int peer = new_peer();
	memset(body, 'z', 1500);
	for (int i = 0; i < 3; i++)
		udp_says(peer, body);
	for (int i = 0; i < 3; i++)
		assert_int_equal(strlen(udp_hears(&t.world, peer)), 1500);
	assert_int_equal(counter(&t.world, "messages_sent"), 3);
}

static void small_queue(struct crew__service_settings *s)
{
	s->max_send_buffer = 1000;
}

static void test_a_batch_is_no_full_queue(void **state)
{
	char body[601] = "";
	open_it(state, &echo, "127.0.0.1", small_queue);
	int peer = new_peer();
	memset(body, 'q', 600);
	for (int i = 0; i < 50; i++)
		udp_says(peer, body);
	for (int i = 0; i < 50; i++)
		assert_int_equal(strlen(udp_hears(&t.world, peer)), 600);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
	assert_int_equal(counter(&t.world, "datagrams_dropped"), 0);
}

/* ---- a protocol of the program's own ------------------------------------------------------- */

/* Messages of a length in one byte and so many bytes; 'X' as the first of them is refused. */
static int64_t cut(crew_conn *c, crew_bytes in)
{
	assert_non_null(c);
	return in.len == 0 ? 0 : 1 + (unsigned char)in.data[0];
}

static int decode(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	assert_non_null(c);
	ret_msg->body = (crew_bytes){ in.data + 1, in.len - 1 };
	return in.len > 1 && in.data[1] == 'X' ? -EPROTO : 0;
}

static const crew_protocol bytes_protocol = { .name = "bytes", .cut = cut, .decode = decode };
static const crew_service own = {
	.name = "own",
	.listen = "bytes+udp://127.0.0.1:1",
	.protocol = &bytes_protocol,
	.on_open = tell_open,
	.on_message = tell_message,
	.on_close = tell_close,
};

static void test_a_protocol_cuts_datagrams(void **state)
{
	open_it(state, &own, "127.0.0.1", NULL);
	int peer = new_peer();
	udp_says(peer, "\003abc\001d");
	world_until(&t.world, counter(&t.world, "total_request") == 2);
	udp_says(peer, "\002ef\003gh"); /* ends within its second message */
	world_until(&t.world, counter(&t.world, "datagrams_dropped") == 1);
	udp_says(peer, "\002Xi\001j"); /* the second is not looked at any more */
	world_until(&t.world, counter(&t.world, "datagrams_dropped") == 2);
	assert_int_equal(send(peer, "", 0, 0), 0); /* no message at all */
	world_until(&t.world, counter(&t.world, "datagrams_dropped") == 3);
	udp_says(peer, "\001k");
	world_until(&t.world, counter(&t.world, "total_request") == 4);
	assert_string_equal(told(), "open message:abc message:d message:ef message:k");
	assert_int_equal(counter(&t.world, "connections"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_answers_the_sender),
		ON_BOTH(test_a_peer_has_addresses),
		ON_BOTH(test_an_empty_datagram_is_a_message),
		ON_BOTH(test_many_keep_their_order),
		ON_BOTH(test_peers_are_told_apart),
		ON_BOTH(test_the_longest_datagram),
		ON_BOTH(test_from_elsewhere),
		ON_BOTH(test_answers_leave_from_the_address_asked),
		ON_BOTH(test_one_sender_at_two_addresses_is_two_peers),
		ON_BOTH(test_what_was_sent_in_one_piece_is_many),
		ON_BOTH(test_pieces_only_where_lengths_allow),
		ON_BOTH(test_longer_than_max_message),
		ON_BOTH(test_paused_peers_hear_nothing),
		ON_BOTH(test_closing_is_at_once),
		ON_BOTH(test_abort_and_finish),
		ON_BOTH(test_idle_peers_go),
		ON_BOTH(test_the_idlest_gives_way),
		ON_BOTH(test_several_of_a_new_peer_push_out_one),
		ON_BOTH(test_a_flood_of_addresses_is_bounded),
		ON_BOTH(test_few_of_one_address),
		ON_BOTH(test_a_stop_closes_all),
		ON_BOTH(test_not_a_socket),
		ON_BOTH(test_a_rate_never_cuts_a_datagram),
		ON_BOTH(test_a_batch_is_no_full_queue),
		ON_BOTH(test_a_protocol_cuts_datagrams),
	};
	return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
