/* test_patience.c - the soft limit's clock, what a peer may cost that has not proved who it is, and
 * the lanes of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINE = 100,
	SOFT = 3000,
	UNPROVED = 2000,
};

static struct world world;
static int peer = -1;
static struct {
	int64_t soft_limit, soft_ms, auth_ms;
	crew_policy policy;
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
	if (msg.body.len == 2 && memcmp(msg.body.data, "ok", 2) == 0)
		crew_authenticated(c);
	crew_send(c, msg.body);
}

#define CALLBACKS \
	.on_message = echo, .on_close = tell_close, .on_error = tell_error, .on_full = tell_full

static const crew_service lines = { .name = "lines", .listen = "text://127.0.0.1:1", CALLBACKS };
static const crew_service frames = { .name = "frames", .listen = "frame://127.0.0.1:1", CALLBACKS };
static const crew_service sockets = { .name = "sockets", .listen = "ws://127.0.0.1:1", CALLBACKS };

static void adjust(struct crew__service_settings *s)
{
	s->policy = wanted.policy;
	s->soft_limit = wanted.soft_limit;
	s->soft_limit_ms = wanted.soft_ms;
	s->auth_timeout_ms = wanted.auth_ms;
	s->unauthenticated_limit = UNPROVED;
	s->drain_timeout_ms = 100;
	s->max_send_buffer = 100000;
}

static crew_conn *begin(void **state, const crew_service *service)
{
	told_anew();
	assert_true(world_open(&world, service, engine_of(state), adjust));
	peer = world_connect(&world);
	assert_true(peer >= 0);
	return world_conn(&world, 0);
}

/* ---- the soft limit ------------------------------------------------------------------------ */

static crew_conn *begin_soft(void **state, crew_policy policy)
{
	wanted.soft_limit = SOFT;
	wanted.soft_ms = 120;
	wanted.policy = policy;
	crew_conn *c = begin(state, &lines);
	stall(&world, c);
	return c;
}

static void offer(crew_conn *c, unsigned count, const crew_send_options *options)
{
	for (unsigned i = 1; i <= count; i++)
		assert_true(send_line(c, "a", i, LINE, options) >= 0);
}

static void too_long_above_it_ends(void **state)
{
	crew_conn *c = begin_soft(state, CREW_DROP_NEWEST);
	offer(c, 40, NULL);
	world_pass(&world, 60);
	assert_int_equal(counter(&world, "connections"), 1);
	world_until(&world, counter(&world, "connections") == 0);
	assert_non_null(strstr(told(), "close:full"));
	assert_in_range(counter(&world, "fail_full"), 40, 41);
}

static void below_it_may_stay(void **state)
{
	crew_conn *c = begin_soft(state, CREW_DROP_NEWEST);
	offer(c, 20, NULL);
	world_pass(&world, 250);
	assert_int_equal(counter(&world, "connections"), 1);
	assert_int_equal(counter(&world, "send_fail"), 0);
}

/* Row 44: above, drained, above again: the clock begins anew. */
static void a_drain_stops_the_clock(void **state)
{
	crew_conn *c = begin_soft(state, CREW_DROP_NEWEST);
	for (int round = 0; round < 4; round++) {
		offer(c, 40, NULL);
		world_pass(&world, 70);
		assert_int_equal(counter(&world, "connections"), 1);
		peer_drinks(&world, peer);
		assert_int_equal(crew__conn_rare(c)->soft_since, 0);
		stall(&world, c);
	}
	world_pass(&world, 200);
	assert_int_equal(counter(&world, "connections"), 1);
}

static void so_does_all_that_makes_it_shorter(void **state)
{
	crew_conn *c = begin_soft(state, CREW_REPLACE);
	const crew_send_options latest = { .key = CREW_BYTES("k") };
	const crew_send_options brief = { .ttl_ms = 40 };
	assert_true(send_line(c, "a", 1, 2 * SOFT, &latest) > 0);
	assert_true(crew__conn_rare(c)->soft_since > 0);
	assert_true(send_line(c, "a", 2, LINE, &latest) > 0);
	assert_int_equal(crew__conn_rare(c)->soft_since, 0);
	assert_true(send_line(c, "a", 3, 2 * SOFT, &latest) > 0); /* a longer one starts it again */
	assert_true(crew__conn_rare(c)->soft_since > 0);
	assert_true(send_line(c, "a", 4, LINE, &latest) > 0);
	offer(c, 40, &brief);
	assert_true(crew__conn_rare(c)->soft_since > 0);
	world_until(&world, counter(&world, "fail_expired") == 40);
	assert_int_equal(crew__conn_rare(c)->soft_since, 0);
	c->net->limits.max_send_buffer = SOFT + LINE;
	assert_true(send_line(c, "b", 1, 2 * SOFT, NULL) > 0);
	assert_true(crew__conn_rare(c)->soft_since > 0);
	offer(c, 5, NULL); /* the long one gives way */
	assert_true(counter(&world, "fail_evicted") > 0);
	assert_int_equal(crew__conn_rare(c)->soft_since, 0);
	world_pass(&world, 250);
	assert_int_equal(counter(&world, "connections"), 1);
}

/* An operator's `set`: the clock is the new limit's, also of a queue that grows no more. */
static void a_limit_that_changes_counts_at_once(void **state)
{
	crew_conn *c = begin_soft(state, CREW_DROP_NEWEST);
	struct crew__limits limits = c->net->limits;
	offer(c, 40, NULL);
	assert_true(crew__conn_rare(c)->soft_since > 0);
	limits.soft_limit = 10 * SOFT;
	crew__net_set_limits(c->net, &limits);
	assert_int_equal(crew__conn_rare(c)->soft_since, 0);
	limits.soft_limit = SOFT;
	crew__net_set_limits(c->net, &limits);
	assert_true(crew__conn_rare(c)->soft_since > 0);
	limits.soft_limit = 0;
	crew__net_set_limits(c->net, &limits);
	world_pass(&world, 250);
	assert_int_equal(counter(&world, "connections"), 1);
	limits.soft_limit = SOFT;
	crew__net_set_limits(c->net, &limits);
	world_until(&world, counter(&world, "connections") == 0);
	assert_non_null(strstr(told(), "close:full"));
}

/* ---- until it has proved who it is --------------------------------------------------------- */

static void begin_unproved(void **state, const crew_service *service, unsigned ms)
{
	wanted.auth_ms = ms;
	begin(state, service);
	world_settle(&world);
}

/* Row 29: it asks and asks, and never reads. */
static void one_that_never_reads_costs_little(void **state)
{
	begin_unproved(state, &lines, 10000);
	char text[1000];
	memset(text, 'q', sizeof(text));
	text[499] = text[999] = '\n';
	for (int i = 0; i < 400; i++) {
		ssize_t n = send(peer, text, sizeof(text), MSG_NOSIGNAL);
		(void)n;
		world_turn(&world, 0);
		crew_conn *c = world_conn(&world, 0);
		assert_true(crew_queued(c) <= UNPROVED + sizeof(text));
		assert_true(crew__net_held(&world.worker->net) <= 20000);
	}
	crew_conn *c = world_conn(&world, 0);
	assert_true(c->flags & CREW__C_HELD); /* nor is it read from */
	assert_true(c->in.len <= 64 * 1024);
}

static void our_own_sends_keep_to_the_limit(void **state)
{
	begin_unproved(state, &lines, 10000);
	crew_conn *c = world_conn(&world, 0);
	stall(&world, c);
	while (send_line(c, "a", 1, LINE, NULL) >= 0)
		assert_true(crew_queued(c) < UNPROVED + LINE);
	assert_int_equal(counter(&world, "fail_full"), 1);
	assert_int_equal(crew_authenticated(c), 0);
	offer(c, 200, NULL);
	assert_true(crew_queued(c) > 10 * UNPROVED);
	assert_int_equal(counter(&world, "fail_full"), 1);
}

/* Rows 16 and 23: a length that is announced, or goes on and on. */
static void its_messages_keep_to_the_limit(void **state)
{
	const struct {
		const crew_service *service;
		crew_bytes begin;
	} all[] = {
		{ &frames, CREW_BYTES("\0\0\x08\1") },
		{ &frames, CREW_BYTES("\x7f\xff\xff\xff") },
		{ &lines, CREW_BYTES("x") },
	};
	for (size_t i = 0; i < crew__lengthof(all); i++) {
		char more[500];
		memset(more, 'x', sizeof(more));
		begin_unproved(state, all[i].service, 10000);
		peer_says(peer, all[i].begin);
		for (int k = 0; k < 10 && counter(&world, "connections") > 0; k++) {
			ssize_t n = send(peer, more, sizeof(more), MSG_NOSIGNAL);
			(void)n;
			world_settle(&world);
			crew_conn *c = world_conn(&world, 0);
			assert_true(!c || c->in.len <= UNPROVED + sizeof(more));
		}
		world_until(&world, counter(&world, "close_protocol") == 1);
		clean_up(NULL);
	}
}

static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
				"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static void begin_socket(void **state, unsigned auth_ms)
{
	char room[2000];
	wanted.auth_ms = auth_ms;
	begin(state, &sockets);
	peer_says(peer, (crew_bytes){ handshake, sizeof(handshake) - 1 });
	assert_true(peer_hears_all(&world, peer, room, sizeof(room)) > 100);
}

/* A frame of 3000 bytes, masked with zeros. */
static void say_large(void)
{
	char frame[3008] = "\x82\xfe\x0b\xb8";
	memset(frame + 8, 'w', 3000);
	ssize_t n = send(peer, frame, sizeof(frame), MSG_NOSIGNAL);
	(void)n;
}

static void so_do_those_of_a_websocket(void **state)
{
	char room[8000];
	begin_socket(state, 10000);
	say_large();
	size_t len = peer_hears_all(&world, peer, room, sizeof(room));
	assert_true(len >= 4);
	assert_memory_equal(room, "\x88", 1);
	assert_memory_equal(room + 2, "\x03\xf1", 2); /* 1009 */
	clean_up(NULL);
	begin_socket(state, 10000);
	peer_says(peer, CREW_BYTES("\x81\x82\0\0\0\0ok"));
	assert_int_equal(peer_hears_all(&world, peer, room, sizeof(room)), 4);
	say_large();
	assert_int_equal(peer_hears_all(&world, peer, room, sizeof(room)), 3004);
}

static void in_time_or_not_at_all(void **state)
{
	begin_unproved(state, &lines, 100);
	int other = world_connect(&world);
	peer_says(peer, CREW_BYTES("ok\n"));
	world_pass(&world, 60);
	assert_int_equal(counter(&world, "connections"), 2);
	world_until(&world, counter(&world, "connections") == 1);
	assert_int_equal(counter(&world, "close_handshake"), 1);
	world_pass(&world, 200);
	assert_int_equal(counter(&world, "connections"), 1);
	assert_string_equal(hear_lines(&world, peer), "ok");
	close(other);
}

static void at_once_when_it_does_not_read(void **state)
{
	begin_unproved(state, &lines, 100);
	struct crew__limits limits = world.worker->net.limits;
	limits.closing_timeout = 100000; /* what queues get to leave */
	crew__net_set_limits(&world.worker->net, &limits);
	stall(&world, world_conn(&world, 0));
	world_until(&world, counter(&world, "connections") == 0);
	assert_int_equal(counter(&world, "close_handshake"), 1);
	assert_true(counter(&world, "fail_handshake") > 0);
}

/* It hears 1008, which tells its program not to come again the same way. */
static void a_websocket_hears_that_it_was_late(void **state)
{
	char room[100];
	begin_socket(state, 100);
	world_until(&world, counter(&world, "close_handshake") == 1 ||
				    crew_close_reason(world_conn(&world, 0)) == CREW_END_HANDSHAKE);
	assert_true(peer_hears_all(&world, peer, room, sizeof(room)) >= 4);
	assert_memory_equal(room, "\x88\x02\x03\xf0", 4);
}

static void without_the_setting_nothing_is_asked(void **state)
{
	crew_conn *c = begin(state, &lines);
	assert_int_equal(crew_authenticated(c), 0);
	assert_int_equal(crew_authenticated(NULL), -ENOTCONN);
	assert_false(c->flags & CREW__C_TIGHT);
	crew_close(c);
	assert_int_equal(crew_authenticated(c), -ENOTCONN);
}

/* ---- lanes --------------------------------------------------------------------------------- */

static void a_higher_priority_passes(void **state)
{
	crew_conn *c = begin(state, &lines);
	const crew_send_options high = { .priority = CREW_HIGH };
	stall(&world, c);
	offer(c, 3, NULL);
	assert_true(send_line(c, "h", 1, LINE, &high) > 0);
	assert_true(send_line(c, "h", 2, LINE, &high) > 0);
	const char *heard = hear_lines(&world, peer);
	assert_string_equal(heard, "h-1 h-2 a-1 a-2 a-3");
}

static void never_within_a_message(void **state)
{
	crew_conn *c = begin(state, &lines);
	const crew_send_options high = { .priority = CREW_HIGH };
	assert_true(send_line(c, "a", 1, 90000, NULL) > 0);
	assert_true(send_line(c, "a", 2, LINE, NULL) > 0);
	assert_true(send_line(c, "h", 1, LINE, &high) > 0);
	assert_string_equal(hear_lines(&world, peer), "a-1 h-1 a-2");
}

static void the_lower_gives_way_to_the_higher(void **state)
{
	wanted.policy = CREW_DROP_OLDEST;
	crew_conn *c = begin(state, &lines);
	const crew_send_options high = { .priority = CREW_HIGH };
	stall(&world, c);
	c->net->limits.max_send_buffer = 10 * LINE;
	for (unsigned i = 1; i <= 30; i++) {
		send_line(c, "a", i, LINE, NULL);
		send_line(c, "h", i, LINE, &high);
	}
	/* Ten of the higher fill it: none of the lower may push one of them out. */
	assert_int_equal(send_line(c, "a", 31, LINE, NULL), -ENOBUFS);
	const char *heard = hear_lines(&world, peer);
	assert_int_equal(lines_of(heard, "a-"), 0);
	assert_in_range(lines_of(heard, "h-"), 9, 10);
	assert_non_null(strstr(heard, "h-30"));
}

/* The answer to the handshake is first, whatever on_open sends, and however. */
static void greet(crew_conn *c)
{
	const crew_send_options high = { .priority = CREW_HIGH };
	crew_send(c, CREW_BYTES("n"));
	crew_send_with(c, CREW_BYTES("h"), &high);
}

static const crew_service greeting = {
	.name = "greeting", .listen = "ws://127.0.0.1:1", .on_open = greet
};

static void never_before_the_handshakes_answer(void **state)
{
	char room[2000];
	begin(state, &greeting);
	crew__conn_set_rate(world_conn(&world, 0), 1, 0); /* all of it waits */
	peer_says(peer, (crew_bytes){ handshake, sizeof(handshake) - 1 });
	world_settle(&world);
	crew__conn_set_rate(world_conn(&world, 0), 0, 0);
	size_t len = peer_hears_all(&world, peer, room, sizeof(room));
	assert_memory_equal(room, "HTTP/1.1 101", 12);
	assert_memory_equal(room + len - 6, "\x81\1h\x81\1n", 6);
}

static void a_pong_passes_all_that_has_not_begun(void **state)
{
	static char room[200000];
	static char text[2000];
	memset(text, 't', sizeof(text));
	begin_socket(state, 0);
	crew_conn *c = world_conn(&world, 0);
	while (!(c->flags & CREW__C_WRITING)) {
		assert_true(crew_send(c, (crew_bytes){ text, sizeof(text) }) >= 0);
		world_turn(&world, 0);
	}
	for (int i = 0; i < 10; i++)
		assert_true(crew_send(c, (crew_bytes){ text, sizeof(text) }) >= 0);
	peer_says(peer, CREW_BYTES("\x89\x80\0\0\0\0"));
	world_settle(&world);
	size_t len = peer_hears_all(&world, peer, room, sizeof(room)), behind = 0;
	bool seen = false;
	for (size_t at = 0; at < len;) {
		unsigned char first = (unsigned char)room[at];
		size_t size = (unsigned char)room[at + 1] == 126 ? 4 + sizeof(text) : 2;
		assert_true(first == 0x81 ? size > 2 : first == 0x8a);
		behind += seen;
		seen |= first == 0x8a;
		at += size;
	}
	assert_true(seen);
	assert_true(behind >= 10);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(too_long_above_it_ends),
		ON_BOTH(below_it_may_stay),
		ON_BOTH(a_drain_stops_the_clock),
		ON_BOTH(so_does_all_that_makes_it_shorter),
		ON_BOTH(a_limit_that_changes_counts_at_once),
		ON_BOTH(one_that_never_reads_costs_little),
		ON_BOTH(our_own_sends_keep_to_the_limit),
		ON_BOTH(its_messages_keep_to_the_limit),
		ON_BOTH(so_do_those_of_a_websocket),
		ON_BOTH(in_time_or_not_at_all),
		ON_BOTH(at_once_when_it_does_not_read),
		ON_BOTH(a_websocket_hears_that_it_was_late),
		ON_BOTH(without_the_setting_nothing_is_asked),
		ON_BOTH(a_higher_priority_passes),
		ON_BOTH(never_within_a_message),
		ON_BOTH(the_lower_gives_way_to_the_higher),
		ON_BOTH(never_before_the_handshakes_answer),
		ON_BOTH(a_pong_passes_all_that_has_not_begun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
