/* test_caps.c - rate caps at work: what leaves in which time, what waits and is neither stuck nor
 * lost, and how a cap is set and taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINE = 100
};

static struct world world;
static int peer = -1;
static struct {
	int64_t bytes, messages, per_ip;
	bool proxied;
} wanted;

static int clean_up(void **state)
{
	(void)state;
	if (peer >= 0)
		close(peer);
	peer = -1;
	memset(&wanted, 0, sizeof(wanted));
	world_clean_up(&world);
	return 0;
}

static void echo(crew_conn *c, crew_msg msg)
{
	crew_send(c, msg.body);
}

static const crew_service lines = {
	.name = "lines",
	.listen = "text://127.0.0.1:1",
	.on_message = echo,
	.on_error = tell_error,
	.on_drain = tell_drain,
	.on_close = tell_close,
};

static const crew_service sockets = {
	.name = "sockets",
	.listen = "ws://127.0.0.1:1",
	.on_close = tell_close,
};

static void adjust(struct crew__service_settings *s)
{
	s->rate_bytes = wanted.bytes;
	s->rate_messages = wanted.messages;
	s->proxy_protocol = wanted.proxied;
	s->max_connections_per_ip = wanted.per_ip;
}

static crew_conn *begin(void **state, int64_t bytes, int64_t messages)
{
	wanted.bytes = bytes;
	wanted.messages = messages;
	told_anew();
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	peer = world_connect(&world);
	assert_true(peer >= 0);
	return world_conn(&world, 0);
}

static void offer(crew_conn *c, const char *prefix, unsigned count)
{
	for (unsigned i = 1; i <= count; i++)
		assert_true(send_line(c, prefix, i, LINE, NULL) >= 0);
}

/* Reads for so long; how many lines came. */
static unsigned lines_in(unsigned ms, const char *prefix)
{
	unsigned count = 0;
	uint64_t until = crew__clock_ns() + ms * CREW__NS_PER_MS;
	while (crew__clock_ns() < until) {
		count += lines_of(hear_lines(&world, peer), prefix);
		world_turn(&world, 2);
	}
	return count;
}

/* ---- what leaves --------------------------------------------------------------------------- */

static void so_many_messages_a_second(void **state)
{
	crew_conn *c = begin(state, 0, 20);
	uint64_t began = crew__clock_ns();
	offer(c, "a", 100);
	unsigned heard = lines_of(hear_lines(&world, peer), "a-") + lines_in(500, "a-");
	/* However late the machine is: a second's worth, and what time brings. */
	uint64_t ms = (crew__clock_ns() - began) / CREW__NS_PER_MS;
	assert_in_range(heard, 20 + 6, 20 + ms * 20 / 1000 + 1);
	assert_true(c->flags & CREW__C_HELD_BACK);
	assert_int_equal(counter(&world, "send_fail"), 0);
	assert_true(counter(&world, "messages_queued") <= 100 - heard);
}

/* By bytes a message may be cut on its way; only the whole is read here. */
static void so_many_bytes_a_second(void **state)
{
	crew_conn *c = begin(state, 2000, 0);
	char room[10000];
	uint64_t began = crew__clock_ns();
	offer(c, "a", 60);
	size_t heard = peer_hears_all(&world, peer, room, sizeof(room));
	world_pass(&world, 500);
	heard += peer_hears_all(&world, peer, room, sizeof(room));
	uint64_t ms = (crew__clock_ns() - began) / CREW__NS_PER_MS;
	assert_in_range(heard, 2000 + 700, 2000 + ms * 2 + 100);
}

static void of_its_own_event_too(void **state)
{
	begin(state, 0, 3);
	char text[200] = "";
	for (int i = 0; i < 20; i++)
		strcat(text, "a-1\n");
	peer_says(peer, (crew_bytes){ text, strlen(text) });
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 3);
	assert_in_range(lines_in(450, "a-"), 1, 5);
}

static void a_broadcast_keeps_to_it(void **state)
{
	crew_conn *c = begin(state, 0, 0);
	int other = world_connect(&world);
	assert_int_equal(crew_set_rate(c, 0, 3), 0);
	crew_shared *s = crew_shared_new(CREW_BYTES("b-1"));
	for (int i = 0; i < 10; i++)
		assert_int_equal(crew_broadcast(&lines, s), 2);
	crew_shared_unref(s);
	assert_int_equal(lines_of(hear_lines(&world, other), "b-"), 10);
	assert_int_equal(lines_of(hear_lines(&world, peer), "b-"), 3);
	close(other);
}

static void what_waits_leaves_when_the_cap_goes(void **state)
{
	crew_conn *c = begin(state, 100, 1);
	offer(c, "a", 50);
	world_settle(&world);
	assert_true(crew_queued(c) > 4000);
	assert_int_equal(crew_set_rate(c, CREW_OFF, CREW_OFF), 0);
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 50);
	assert_false(c->flags & (CREW__C_CAPPED | CREW__C_HELD_BACK));
	assert_non_null(strstr(told(), "drain"));
}

static void zero_is_the_services(void **state)
{
	crew_conn *c = begin(state, 0, 3);
	assert_int_equal(crew_set_rate(c, 0, 2), 0);
	offer(c, "a", 10);
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 2);
	assert_int_equal(crew_set_rate(c, 0, 0), 0);
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 3); /* a new second's worth */
	assert_int_equal(crew__conn_rare(c)->rate.messages_per_s, 3);
}

static void bad_caps_are_refused(void **state)
{
	crew_conn *c = begin(state, 0, 0);
	assert_int_equal(crew_set_rate(c, -2, 0), -EINVAL);
	assert_int_equal(crew_set_rate(c, 0, -2), -EINVAL);
	assert_int_equal(crew_set_rate(c, INT64_MAX, 0), -EINVAL);
	assert_int_equal(crew_set_rate(c, (INT64_C(1) << 30) + 1, 0), -EINVAL);
	assert_int_equal(crew_set_rate(c, 0, (INT64_C(1) << 30) + 1), -EINVAL);
	assert_false(c->flags & CREW__C_CAPPED);
	assert_int_equal(crew_set_rate(c, INT64_C(1) << 30, INT64_C(1) << 30), 0);
	assert_true(c->flags & CREW__C_CAPPED);
	assert_int_equal(crew_set_rate(NULL, 1, 1), -ENOTCONN);
}

/* ---- nothing is stuck ---------------------------------------------------------------------- */

/* What the cap held back has expired; what is sent much later must not wait for ever. */
static void an_empty_queue_is_held_back_no_more(void **state)
{
	crew_conn *c = begin(state, 0, 5);
	offer(c, "a", 5);
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 5);
	crew_send_options brief = { .ttl_ms = 20 };
	assert_true(send_line(c, "t", 1, LINE, &brief) >= 0);
	world_until(&world, counter(&world, "fail_expired") == 1);
	world_pass(&world, 400); /* the wheel's time for it has come and gone */
	offer(c, "b", 1);
	world_pass(&world, 300);
	assert_int_equal(lines_of(hear_lines(&world, peer), "b-"), 1);
}

static void the_end_waits_for_what_is_held_back(void **state)
{
	crew_conn *c = begin(state, 0, 10);
	offer(c, "a", 13);
	crew_close(c);
	assert_int_equal(lines_in(700, "a-"), 13);
	world_until(&world, counter(&world, "connections") == 0);
	assert_int_equal(counter(&world, "send_fail"), 0);
}

static void a_reader_that_stalls_as_well(void **state)
{
	crew_conn *c = begin(state, 0, 1000000);
	stall(&world, c);
	offer(c, "a", 100);
	assert_int_equal(crew_set_rate(c, 0, 50), 0);
	world_settle(&world);
	assert_true(lines_of(hear_lines(&world, peer), "a-") <= 50);
	assert_true(lines_in(1600, "a-") >= 50);
	assert_int_equal(counter(&world, "messages_queued"), 0);
}

/* A pong is no message: the cap of messages must not keep it. */
static void a_pong_is_not_held_back_by_messages(void **state)
{
	static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
					"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
					"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	char room[2000];
	wanted.messages = 1;
	assert_true(world_open(&world, &sockets, engine_of(state), adjust));
	peer = world_connect(&world);
	peer_says(peer, (crew_bytes){ handshake, sizeof(handshake) - 1 });
	assert_true(peer_hears_all(&world, peer, room, sizeof(room)) > 100);
	crew_conn *c = world_conn(&world, 0);
	for (int i = 0; i < 4; i++)
		assert_true(crew_send(c, CREW_BYTES("m")) >= 0);
	assert_int_equal(peer_hears_all(&world, peer, room, sizeof(room)), 3);
	peer_says(peer, CREW_BYTES("\x89\x80\0\0\0\0"));
	assert_int_equal(peer_hears_all(&world, peer, room, sizeof(room)), 2);
	assert_memory_equal(room, "\x8a\0", 2);
	assert_int_equal(counter(&world, "messages_queued"), 3);
}

/* ---- beside other things ------------------------------------------------------------------- */

/* Whose it is and whether it is capped are two things. */
static void a_cap_behind_a_proxy(void **state)
{
	wanted.messages = 3;
	wanted.per_ip = 1;
	wanted.proxied = true;
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	for (int i = 0; i < 3; i++) {
		peer = world_connect(&world);
		peer_says(peer, CREW_BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 5 6\r\n"));
		world_settle(&world);
		crew_conn *c = world_conn(&world, 0);
		assert_non_null(c);
		assert_true(c->flags & CREW__C_CAPPED);
		offer(c, "a", 20);
		assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 3);
		close(peer);
		world_until(&world, counter(&world, "connections") == 0);
	}
	peer = -1;
	assert_int_equal(counter(&world, "refused_ip"), 0);
}

static void before_the_proxy_has_told_it_counts_for_nobody(void **state)
{
	wanted.per_ip = 1;
	wanted.proxied = true;
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	for (int i = 0; i < 3; i++) {
		peer = world_connect(&world);
		world_settle(&world);
		assert_false(world_conn(&world, 0)->flags & CREW__C_CAPPED);
		close(peer);
		world_until(&world, counter(&world, "connections") == 0);
	}
	peer = -1;
}

/* One that comes from where a client also is, and leaves without a word of whose it was. */
static void who_left_before_it_told_takes_nobody_along(void **state)
{
	struct crew__record_address there = {
		.ip = { [10] = 0xff, [11] = 0xff, 10, 1, 2, 3 }, .port = 7, .family = AF_INET
	};
	const crew_bytes header = CREW_BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 5 6\r\n");
	int pair[2];
	wanted.per_ip = 1;
	wanted.proxied = true;
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	peer = world_connect(&world);
	peer_says(peer, header);
	world_settle(&world);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(crew__net_adopt(&world.worker->net, pair[0], &there, NULL), 0);
	close(pair[1]);
	world_until(&world, counter(&world, "connections") == 1);
	int second = world_connect(&world);
	peer_says(second, header);
	world_settle(&world);
	assert_int_equal(counter(&world, "refused_ip"), 1);
	assert_int_equal(counter(&world, "connections"), 1);
	close(second);
}

static void limits_that_change_reach_those_that_are_there(void **state)
{
	crew_conn *c = begin(state, 0, 0);
	int own = world_connect(&world);
	assert_int_equal(crew_set_rate(world_conn(&world, 1), 0, 50), 0);
	struct crew__limits limits = world.worker->net.limits;
	limits.rate_messages = 3;
	crew__net_set_limits(&world.worker->net, &limits);
	offer(c, "a", 20);
	offer(world_conn(&world, 1), "a", 20);
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 3);
	assert_int_equal(lines_of(hear_lines(&world, own), "a-"), 20);
	limits.rate_messages = 0;
	crew__net_set_limits(&world.worker->net, &limits);
	assert_int_equal(lines_of(hear_lines(&world, peer), "a-"), 17);
	close(own);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(so_many_messages_a_second),
		ON_BOTH(so_many_bytes_a_second),
		ON_BOTH(of_its_own_event_too),
		ON_BOTH(a_broadcast_keeps_to_it),
		ON_BOTH(what_waits_leaves_when_the_cap_goes),
		ON_BOTH(zero_is_the_services),
		ON_BOTH(bad_caps_are_refused),
		ON_BOTH(an_empty_queue_is_held_back_no_more),
		ON_BOTH(the_end_waits_for_what_is_held_back),
		ON_BOTH(a_reader_that_stalls_as_well),
		ON_BOTH(a_pong_is_not_held_back_by_messages),
		ON_BOTH(a_cap_behind_a_proxy),
		ON_BOTH(before_the_proxy_has_told_it_counts_for_nobody),
		ON_BOTH(who_left_before_it_told_takes_nobody_along),
		ON_BOTH(limits_that_change_reach_those_that_are_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
