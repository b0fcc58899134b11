/* test_budget.c - what all queues of a worker may hold: each stage begins and ends, is counted, and
 * does what it says; nothing is stuck for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include "base/clock.h"
#include "net/budget.h"
#include "stats/rings.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUDGET = 1000000,
	PEERS = 8,
};

static struct world world;
static int peers[PEERS];
static unsigned heard; /* messages that came to the program */

static int clean_up(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		if (peers[i] > 0)
			close(peers[i]);
	memset(peers, 0, sizeof(peers));
	heard = 0;
	world_clean_up(&world);
	return 0;
}

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	(void)msg;
	heard++;
}

#define CALLBACKS .on_message = on_message, .on_error = tell_error, .on_close = tell_close

static const crew_service lines = { .name = "lines", .listen = "text://127.0.0.1:1", CALLBACKS };
static const crew_service pages = { .name = "pages", .listen = "http://127.0.0.1:1" };
static const crew_service sockets = { .name = "sockets", .listen = "ws://127.0.0.1:1", CALLBACKS };

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = 4 * BUDGET;
}

static void set_budget(uint64_t bytes)
{
	struct crew__net *net = &world.worker->net;
	struct crew__limits limits = net->limits;
	limits.budget = bytes;
	crew__net_set_limits(net, &limits);
}

static void begin(void **state, const crew_service *service, int count)
{
	told_anew();
	assert_true(world_open(&world, service, engine_of(state), adjust));
	set_budget(BUDGET);
	for (int i = 0; i < count; i++) {
		peers[i] = world_connect(&world);
		assert_true(peers[i] > 0);
	}
	world_settle(&world);
}

static uint64_t held(void)
{
	return crew__net_held(&world.worker->net);
}

static unsigned stage(void)
{
	return world.worker->net.budget.stage;
}

/* Until so many percent are held; connection `slot` holds them. */
static void hold(uint32_t slot, unsigned percent)
{
	crew_conn *c = world_conn(&world, slot);
	while (held() < (uint64_t)BUDGET / 100 * percent)
		assert_true(send_line(c, "a", 1, 2000, NULL) >= 0);
}

/* Looks are made at a turn's end, and not in every one. */
static void look(void)
{
	world_turn(&world, 0);
	world_pass(&world, 120);
	world_turn(&world, 0);
}

/* ---- the stages ---------------------------------------------------------------------------- */

static void little_is_no_stage(void **state)
{
	begin(state, &lines, 2);
	hold(0, 60);
	look();
	assert_int_equal(stage(), CREW__BUDGET_CALM);
	assert_int_equal(counter(&world, "budget_tightened"), 0);
	assert_in_range(counter(&world, "bytes_held"), BUDGET / 100 * 60, BUDGET / 100 * 61);
	peer_drinks(&world, peers[0]);
	assert_int_equal(held(), 0);
}

static void the_longest_may_grow_no_further(void **state)
{
	begin(state, &lines, 3);
	hold(1, 5);
	hold(0, 72);
	look();
	assert_int_equal(stage(), CREW__BUDGET_TIGHTENS);
	assert_int_equal(counter(&world, "budget_tightened"), 1);
	assert_int_equal(send_line(world_conn(&world, 0), "a", 1, 2000, NULL), -ENOBUFS);
	assert_true(send_line(world_conn(&world, 1), "a", 1, 2000, NULL) > 0);
	assert_true(send_line(world_conn(&world, 2), "a", 1, 2000, NULL) > 0);
	look();
	assert_int_equal(counter(&world, "budget_tightened"), 1); /* once is enough */
	peer_drinks(&world, peers[0]);
	look();
	assert_int_equal(stage(), CREW__BUDGET_CALM);
	assert_false(world_conn(&world, 0)->flags & CREW__C_TIGHT);
	hold(0, 60); /* it may grow again */
	assert_int_equal(counter(&world, "close_memory"), 0);
}

static void nothing_is_read_until_there_is_room(void **state)
{
	begin(state, &lines, 3);
	hold(0, 82);
	look();
	assert_int_equal(stage(), CREW__BUDGET_STOPS_READING);
	assert_int_equal(counter(&world, "budget_paused"), 1);
	peer_says(peers[1], CREW_BYTES("hello\n"));
	peers[3] = world_connect(&world); /* one that comes now is not read from either */
	assert_true(peers[3] > 0);
	peer_says(peers[3], CREW_BYTES("hello\n"));
	world_pass(&world, 50);
	assert_int_equal(heard, 0);
	peer_drinks(&world, peers[0]);
	look();
	assert_int_equal(stage(), CREW__BUDGET_CALM);
	world_until(&world, heard == 2);
}

static void new_ones_are_refused(void **state)
{
	char room[1000];
	begin(state, &lines, 2);
	hold(0, 92);
	look();
	assert_int_equal(stage(), CREW__BUDGET_REFUSES);
	peers[2] = world_connect(&world);
	world_settle(&world);
	assert_int_equal(counter(&world, "refused_budget"), 1);
	assert_int_equal(counter(&world, "close_memory"), 1);
	assert_int_equal(counter(&world, "connections"), 2);
	assert_true(recv(peers[2], room, sizeof(room), MSG_DONTWAIT) <= 0);
	assert_null(strstr(told(), "close:")); /* the program has not seen it */
	peer_drinks(&world, peers[0]);
	look();
	peers[3] = world_connect(&world);
	peer_says(peers[3], CREW_BYTES("hello\n"));
	world_until(&world, heard == 1);
}

static void the_longest_are_cut(void **state)
{
	begin(state, &lines, 3);
	hold(1, 30);
	hold(2, 45);
	hold(0, 99);
	assert_true(send_line(world_conn(&world, 1), "a", 1, 60000, NULL) > 0);
	assert_true(held() >= BUDGET);
	assert_true(send_line(world_conn(&world, 1), "a", 1, 100, NULL) > 0);
	world_settle(&world);
	assert_int_equal(counter(&world, "budget_cut"), 1);
	assert_int_equal(counter(&world, "close_memory"), 1);
	assert_null(world_conn(&world, 0));
	assert_non_null(world_conn(&world, 1));
	assert_true(held() < BUDGET);
	assert_int_equal(counter(&world, "send_fail"), counter(&world, "fail_memory"));
	assert_non_null(strstr(told(), "close:memory"));
}

static bool told_of_stage(unsigned stage)
{
	struct crew__event event;
	uint64_t after = 0, missed = 0;
	while (crew__events_next(world.worker->net.stats.events, &after, &event, &missed))
		if (event.kind == CREW__EVENT_BUDGET && event.values[0] == stage)
			return true;
	return false;
}

/* It is itself the worst. Within one turn, and yet it is told of. */
static void the_one_that_is_sent_to_may_be_cut(void **state)
{
	begin(state, &lines, 2);
	hold(0, 99);
	assert_false(told_of_stage(CREW__BUDGET_CUTS));
	assert_true(send_line(world_conn(&world, 0), "a", 1, 60000, NULL) > 0);
	assert_int_equal(send_line(world_conn(&world, 0), "a", 1, 100, NULL), -ENOTCONN);
	world_settle(&world);
	assert_int_equal(counter(&world, "budget_cut"), 1);
	assert_int_equal(counter(&world, "connections"), 1);
	assert_int_equal(held(), 0);
	assert_true(told_of_stage(CREW__BUDGET_CUTS));
	look();
	assert_int_equal(stage(), CREW__BUDGET_CALM);
	assert_true(told_of_stage(CREW__BUDGET_CALM));
}

/* A flood from one timer: never much more than the budget, whatever is sent. */
static void never_much_more_than_all(void **state)
{
	begin(state, &lines, PEERS);
	for (int i = 0; i < 4000; i++) {
		crew_conn *c = world_conn(&world, (uint32_t)i % PEERS);
		if (c)
			send_line(c, "a", 1, 3000, NULL);
		assert_true(held() < BUDGET + 20000);
	}
	world_settle(&world);
	assert_true(counter(&world, "budget_cut") >= 1);
	assert_true(held() < BUDGET);
}

/* ---- what is held -------------------------------------------------------------------------- */

static void shared_bytes_count_once(void **state)
{
	begin(state, &lines, PEERS);
	static char text[400000];
	memset(text, 's', sizeof(text));
	for (uint32_t i = 0; i < PEERS; i++)
		stall(&world, world_conn(&world, i));
	uint64_t before = held();
	crew_shared *s = crew_shared_new((crew_bytes){ text, sizeof(text) });
	assert_int_equal(crew_broadcast(&lines, s), PEERS);
	assert_in_range(held() - before, sizeof(text), sizeof(text) + PEERS * 200);
	assert_int_equal(crew_broadcast(&lines, s), PEERS);
	assert_in_range(held() - before, sizeof(text), sizeof(text) + 2 * PEERS * 200);
	crew_shared_unref(s);
	look();
	assert_int_equal(stage(), CREW__BUDGET_CALM);
	for (int i = 0; i < PEERS; i++)
		peer_drinks(&world, peers[i]);
	assert_int_equal(held(), 0);
	assert_int_equal(crew__here.shared_held, 0);
}

static void bytes_handed_over_count(void **state)
{
	begin(state, &lines, 1);
	static char text[300000];
	memset(text, 's', sizeof(text));
	crew_conn *c = world_conn(&world, 0);
	stall(&world, c);
	uint64_t before = held();
	assert_true(crew_send_static(c, (crew_bytes){ text, sizeof(text) }) > 0);
	assert_in_range(held() - before, 1, 20000); /* they are there anyway */
	assert_true(crew_send_owned(c, (crew_bytes){ text, sizeof(text) }, NULL, NULL) > 0);
	assert_in_range(held() - before, sizeof(text), sizeof(text) + 40000);
}

/* Keys and numbers cost memory that is counted as well: a million tiny messages are no way round.
 */
static void tiny_messages_with_keys_count_in_full(void **state)
{
	begin(state, &lines, 1);
	crew_conn *c = world_conn(&world, 0);
	stall(&world, c);
	uint64_t before = held();
	for (unsigned i = 0; i < 1000; i++)
		assert_true(crew_send_with(c, CREW_BYTES("x"),
				    &(crew_send_options){ .sequence = i + 1 }) > 0);
	assert_true(held() - before >= 1000 * (sizeof(struct crew__unit) + 2));
}

/* ---- nothing is stuck ---------------------------------------------------------------------- */

/* What flows into a queue that may grow no further waits where it comes from; none of it is lost.
 */
static void a_pipe_keeps_to_the_tighter_limit(void **state)
{
	char line[1000];
	memset(line, 'p', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	begin(state, &lines, 3);
	assert_int_equal(crew_pipe(world_conn(&world, 1), world_conn(&world, 0)), 0);
	hold(0, 72);
	look();
	assert_int_equal(stage(), CREW__BUDGET_TIGHTENS);
	for (int i = 0; i < 50; i++) {
		ssize_t n = send(peers[1], line, sizeof(line), MSG_NOSIGNAL);
		(void)n;
		world_turn(&world, 0);
	}
	assert_int_equal(counter(&world, "send_fail"), 0);
	assert_true(world_conn(&world, 1)->flags & CREW__C_PIPE_FULL);
}

/* Nobody lets go of what he holds, and the others are not read from: after a while the longest
 * ends.
 */
static void patience_ends_at_last(void **state)
{
	begin(state, &lines, 2);
	hold(0, 85);
	look();
	assert_int_equal(stage(), CREW__BUDGET_STOPS_READING);
	peer_says(peers[1], CREW_BYTES("hello\n"));
	uint64_t before = crew__clock_ns();
	while (heard == 0) {
		crew__loop_turn(world.loop, 1000); /* as a worker with nothing else to do */
		assert_true(crew__clock_ns() - before < 15 * CREW__NS_PER_S);
	}
	assert_true(crew__clock_ns() - before > 3 * CREW__NS_PER_S);
	assert_int_equal(counter(&world, "budget_cut"), 1);
	assert_int_equal(counter(&world, "close_memory"), 1);
}

static void switched_off_all_goes_on(void **state)
{
	begin(state, &lines, 2);
	hold(0, 95);
	look();
	assert_int_equal(stage(), CREW__BUDGET_REFUSES);
	peer_says(peers[1], CREW_BYTES("hello\n"));
	set_budget(0);
	world_until(&world, heard == 1);
	assert_int_equal(stage(), CREW__BUDGET_CALM);
	assert_int_equal(counter(&world, "close_memory"), 0);
	set_budget(BUDGET);
	look();
	assert_int_equal(stage(), CREW__BUDGET_REFUSES);
}

/* ---- what a refused one hears -------------------------------------------------------------- */

static void fill_by_hand(void)
{
	world.worker->net.limits.budget = 100;
	crew__budget_set(&world.worker->net);
	world.worker->net.pieces.held += 95; /* as if it were held */
	world.worker->net.pieces.changed = true;
	look();
	assert_int_equal(stage(), CREW__BUDGET_REFUSES);
}

static void empty_by_hand(void)
{
	world.worker->net.pieces.held -= 95;
	look();
	assert_int_equal(stage(), CREW__BUDGET_CALM);
}

/* Log and ring of events are for other things too. */
static void of_many_stages_few_are_told(void **state)
{
	struct crew__event event;
	uint64_t after = 0, missed = 0, told = 0;
	begin(state, &lines, 1);
	struct crew__net *net = &world.worker->net;
	net->limits.budget = 100;
	for (int i = 0; i < 100; i++) {
		net->pieces.held += 95;
		crew__budget_look(net);
		assert_int_equal(stage(), CREW__BUDGET_REFUSES);
		net->pieces.held -= 95;
		crew__budget_look(net);
		assert_int_equal(stage(), CREW__BUDGET_CALM);
	}
	while (crew__events_next(net->stats.events, &after, &event, &missed))
		told += event.kind == CREW__EVENT_BUDGET;
	assert_in_range(told, 10, 40); /* a second may end meanwhile */
}

static void http_hears_503(void **state)
{
	char room[1000];
	begin(state, &pages, 0);
	fill_by_hand();
	peers[0] = world_connect(&world);
	peer_hears_all(&world, peers[0], room, sizeof(room));
	assert_memory_equal(room, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(room, "Connection: close\r\n"));
	assert_non_null(strstr(room, "Retry-After: "));
	assert_int_equal(counter(&world, "refused_budget"), 1);
	close(peers[0]);
	world_until(&world, counter(&world, "connections") == 0);
	empty_by_hand();
	peers[0] = world_connect(&world);
	peer_says(peers[0], CREW_BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
	peer_hears_all(&world, peers[0], room, sizeof(room));
	assert_memory_equal(room, "HTTP/1.1 404 ", 13);
}

/* Its handshake was on its way: it is answered, and then told to try again later. */
static void a_websocket_hears_1013(void **state)
{
	static const char handshake[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
					"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
					"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	char room[1000];
	begin(state, &sockets, 1);
	world.worker->net.budget.stage = CREW__BUDGET_REFUSES; /* as of this very turn */
	peer_says(peers[0], (crew_bytes){ handshake, sizeof(handshake) - 1 });
	world_turn(&world, 10);
	peer_hears_all(&world, peers[0], room, sizeof(room));
	assert_memory_equal(room, "HTTP/1.1 101", 12);
	const char *end = strstr(room, "\r\n\r\n");
	assert_non_null(end);
	assert_memory_equal(end + 4, "\x88\2\x03\xf5", 4);
	assert_int_equal(counter(&world, "refused_budget"), 1);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(little_is_no_stage),
		ON_BOTH(the_longest_may_grow_no_further),
		ON_BOTH(nothing_is_read_until_there_is_room),
		ON_BOTH(new_ones_are_refused),
		ON_BOTH(the_longest_are_cut),
		ON_BOTH(the_one_that_is_sent_to_may_be_cut),
		ON_BOTH(never_much_more_than_all),
		ON_BOTH(shared_bytes_count_once),
		ON_BOTH(bytes_handed_over_count),
		ON_BOTH(tiny_messages_with_keys_count_in_full),
		ON_BOTH(a_pipe_keeps_to_the_tighter_limit),
		ON_BOTH(patience_ends_at_last),
		ON_BOTH(switched_off_all_goes_on),
		ON_BOTH(of_many_stages_few_are_told),
		ON_BOTH(http_hears_503),
		ON_BOTH(a_websocket_hears_1013),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
