/* test_fault_udp.c - UDP where calls fail: nothing is lost that can wait, what cannot be sent
 * concerns that message alone, and no count is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fault.h"
#include "udp_ways.h"

#include "net/udp_parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PEERS = 8
};

static struct {
	struct world world;
	struct sockaddr_in6 address;
	int peers[PEERS];
	unsigned peer_count;
} t;

static void on_message(crew_conn *c, crew_msg msg)
{
	tell("got:%.*s", (int)crew__min(msg.body.len, 10), msg.body.data);
	crew_send(c, msg.body);
}

static const crew_service echo = {
	.name = "echo",
	.listen = "udp://127.0.0.1:1",
	.on_message = on_message,
	.on_error = tell_error,
	.on_full = tell_full,
	.on_drain = tell_drain,
	.on_close = tell_close,
};

static void open_it(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	told_anew();
	fault_set(FAULT_NONE, 0, false);
	assert_true(world_open(&t.world, &echo, engine_of(state), adjust));
	int fd = udp_bind("127.0.0.1", &t.address);
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
	fault_set(FAULT_NONE, 0, false);
	for (unsigned i = 0; i < t.peer_count; i++)
		close(t.peers[i]);
	t.peer_count = 0;
	world_clean_up(&t.world);
	return 0;
}

static crew_conn *conn(uint32_t slot)
{
	return world_conn(&t.world, slot);
}

static void assert_answers(int peer, const char *text)
{
	udp_says(peer, text);
	assert_string_equal(udp_hears(&t.world, peer), text);
}

/* Both are known, and the kernel takes nothing any more. */
static void open_blocked(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	open_it(state, adjust);
	assert_answers(new_peer(), "a");
	assert_answers(new_peer(), "b");
	told_anew();
	fault_set(FAULT_SENDMMSG_AGAIN, 1, true);
}

/* ---- a kernel that is full ----------------------------------------------------------------- */

static void test_all_waits_and_leaves_in_order(void **state)
{
	char text[16];
	open_blocked(state, NULL);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 2; k++) {
			snprintf(text, sizeof(text), "%d", i);
			udp_says(t.peers[k], text);
		}
		world_turn(&t.world, 0);
	}
	assert_int_equal(counter(&t.world, "messages_queued"), 40);
	assert_true(fault_hit());
	assert_true(crew_send(conn(0), CREW_BYTES("from elsewhere")) > 0);
	fault_set(FAULT_NONE, 0, false);
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "%d", i);
			assert_string_equal(udp_hears(&t.world, t.peers[k]), text);
		}
	assert_string_equal(udp_hears(&t.world, t.peers[0]), "from elsewhere");
	assert_int_equal(counter(&t.world, "messages_queued"), 0);
	assert_int_equal(counter(&t.world, "send_fail"), 0);
	assert_int_equal(counter(&t.world, "messages_sent"), 43);
	world_settle(&t.world);
	assert_non_null(strstr(told(), "drain"));
	assert_answers(t.peers[1], "as before");
}

static void small_queue(struct crew__service_settings *s)
{
	s->max_send_buffer = 1000;
}

static void test_a_full_queue_refuses(void **state)
{
	static const char body[300] = { 'x' };
	open_blocked(state, small_queue);
	for (int i = 0; i < 4; i++)
		assert_true(crew_send(conn(0), (crew_bytes){ body, 300 }) >= 0);
	assert_int_equal(crew_send(conn(0), (crew_bytes){ body, 300 }), -ENOBUFS);
	assert_int_equal(
		crew_send(conn(0), (crew_bytes){ NULL, 0 }), -ENOBUFS); /* nor an empty one */
	world_turn(&t.world, 0);
	assert_string_equal(told(), "error:full:2 full");
	assert_int_equal(counter(&t.world, "fail_full"), 2);
	/* What it sends meanwhile is dropped. */
	udp_says(t.peers[0], "lost");
	world_until(&t.world, counter(&t.world, "datagrams_dropped") == 1);
	fault_set(FAULT_NONE, 0, false);
	for (int i = 0; i < 4; i++)
		assert_string_equal(udp_hears(&t.world, t.peers[0]), "x");
	assert_answers(t.peers[0], "again");
}

static void test_ends_while_it_waits(void **state)
{
	open_blocked(state, NULL);
	udp_says(t.peers[0], "one");
	udp_says(t.peers[1], "two");
	world_until(&t.world, counter(&t.world, "messages_queued") == 2);
	crew_abort(conn(0));
	world_turn(&t.world, 0);
	assert_int_equal(counter(&t.world, "fail_aborted"), 1);
	crew_close(conn(1));
	world_turn(&t.world, 0);
	assert_int_equal(counter(&t.world, "connections"), 1); /* the other is waited for */
	fault_set(FAULT_NONE, 0, false);
	assert_string_equal(udp_hears(&t.world, t.peers[1]), "two");
	world_until(&t.world, counter(&t.world, "connections") == 0);
	assert_string_equal(told(), "got:one got:two error:aborted:1 close:app close:app");
	assert_true(udp_hears_nothing(&t.world, t.peers[0]));
}

static void test_a_worker_that_stops_while_it_waits(void **state)
{
	open_blocked(state, NULL);
	udp_says(t.peers[0], "one");
	world_until(&t.world, counter(&t.world, "messages_queued") == 1);
	crew__worker_disown(t.world.worker, crew__udp_fd(t.world.worker->udps[0]));
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, "connections"), 1);
	fault_set(FAULT_NONE, 0, false);
	assert_string_equal(udp_hears(&t.world, t.peers[0]), "one");
	world_until(&t.world, counter(&t.world, "connections") == 0);
	world_settle(&t.world);
	assert_int_equal(crew__udp_fd(t.world.worker->udps[0]), -1);
}

/* ---- what cannot be sent ------------------------------------------------------------------- */

static void test_a_forbidden_datagram_is_lost_alone(void **state)
{
	open_it(state, NULL);
	assert_answers(new_peer(), "a");
	assert_answers(new_peer(), "b");
	told_anew();
	fault_set(FAULT_SENDMMSG_PERM, 1, false);
	udp_says(t.peers[0], "lost");
	udp_says(t.peers[1], "goes on");
	udp_says(t.peers[0], "goes on too");
	assert_string_equal(udp_hears(&t.world, t.peers[1]), "goes on");
	assert_string_equal(udp_hears(&t.world, t.peers[0]), "goes on too");
	world_settle(&t.world);
	assert_non_null(strstr(told(), "error:reset:1"));
	assert_int_equal(counter(&t.world, "fail_reset"), 1);
	assert_int_equal(counter(&t.world, "connections"), 2);
}

static void test_all_forbidden(void **state)
{
	open_it(state, NULL);
	assert_answers(new_peer(), "a");
	fault_set(FAULT_SENDMMSG_PERM, 1, true);
	for (int i = 0; i < 100; i++)
		udp_says(t.peers[0], "x");
	world_until(&t.world, counter(&t.world, "fail_reset") == 100);
	fault_set(FAULT_NONE, 0, false);
	assert_answers(t.peers[0], "b");
}

static void test_without_pieces(void **state)
{
	open_it(state, NULL);
	assert_answers(new_peer(), "a");
	fault_set(FAULT_SENDMMSG_PIECE, 1, false);
	for (int i = 0; i < 10; i++)
		udp_says(t.peers[0], "same");
	for (int i = 0; i < 10; i++)
		assert_string_equal(udp_hears(&t.world, t.peers[0]), "same");
	assert_true(fault_hit());
	assert_int_equal(counter(&t.world, "send_fail"), 0);
	assert_false(t.world.worker->udps[0]->segments);
}

/* As of an address that somebody has forged: the others' pieces are not to suffer. */
static void test_a_bad_address_leaves_pieces_alone(void **state)
{
	open_it(state, NULL);
	assert_answers(new_peer(), "a");
	fault_set(FAULT_SENDMMSG_PIECE, 1, true);
	for (int i = 0; i < 10; i++)
		udp_says(t.peers[0], "same");
	world_until(&t.world, counter(&t.world, "fail_reset") == 10);
	fault_set(FAULT_NONE, 0, false);
	assert_true(t.world.worker->udps[0]->segments);
	assert_answers(t.peers[0], "b");
}

static void test_one_at_a_time(void **state)
{
	open_it(state, NULL);
	assert_answers(new_peer(), "a");
	assert_answers(new_peer(), "b");
	fault_set(FAULT_SENDMMSG_ONE, 1, true);
	for (int i = 0; i < 10; i++)
		udp_says(t.peers[i % 2], i % 3 ? "short" : "a longer one");
	for (int i = 0; i < 10; i++)
		assert_string_equal(
			udp_hears(&t.world, t.peers[i % 2]), i % 3 ? "short" : "a longer one");
	assert_int_equal(counter(&t.world, "messages_sent"), 12);
}

/* ---- memory, and the way in ---------------------------------------------------------------- */

static void test_a_read_that_fails_is_tried_again(void **state)
{
	open_it(state, NULL);
	int peer = new_peer();
	fault_set(FAULT_RECVMMSG, 1, false);
	assert_answers(peer, "a");
	assert_true(fault_hit());
}

/* Whatever allocation fails while a peer is let in: its datagram is dropped, or all is well. */
static void test_no_memory_for_a_peer(void **state)
{
	open_it(state, NULL);
	unsigned failed = 0;
	for (unsigned n = 1; n < 20; n++) {
		int peer = udp_peer(&t.address, NULL);
		udp_says(peer, "hello");
		fault_set(FAULT_MEMORY, n, false);
		for (int i = 0; i < 5; i++)
			crew__loop_turn(t.world.loop, 0);
		bool hit = fault_hit();
		fault_set(FAULT_NONE, 0, false);
		failed += hit;
		crew__net_check(&t.world.worker->net);
		udp_says(peer, "again");
		while (strcmp(udp_hears(&t.world, peer), "again") != 0)
			; /* hello was let in all the same */
		close(peer);
		if (!hit)
			break;
	}
	assert_true(failed > 0);
	assert_int_equal(
		counter(&t.world, "accept_failed"), counter(&t.world, "datagrams_dropped"));
	assert_true(counter(&t.world, "accept_failed") > 0);
}

static void test_no_memory_for_a_socket(void **state)
{
	open_it(state, NULL);
	unsigned n = 1;
	for (int error = -1; error; n++) {
		struct sockaddr_in6 address;
		int fd = udp_bind("127.0.0.1", &address);
		fault_set(FAULT_MEMORY, n, false);
		error = crew__worker_adopt(t.world.worker, fd);
		fault_set(FAULT_NONE, 0, false);
		assert_true(error == 0 || error == -ENOMEM);
		assert_true(n < 20);
	}
	assert_true(n > 3);
	assert_answers(new_peer(), "all is well");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(test_all_waits_and_leaves_in_order),
		ON_BOTH(test_a_full_queue_refuses),
		ON_BOTH(test_ends_while_it_waits),
		ON_BOTH(test_a_worker_that_stops_while_it_waits),
		ON_BOTH(test_a_forbidden_datagram_is_lost_alone),
		ON_BOTH(test_all_forbidden),
		ON_BOTH(test_without_pieces),
		ON_BOTH(test_a_bad_address_leaves_pieces_alone),
		ON_BOTH(test_one_at_a_time),
		ON_BOTH(test_a_read_that_fails_is_tried_again),
		ON_BOTH(test_no_memory_for_a_peer),
		ON_BOTH(test_no_memory_for_a_socket),
	};
	return cmocka_run_group_tests_name("udp where calls fail", tests, NULL, NULL);
}
