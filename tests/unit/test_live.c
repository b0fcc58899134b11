/* test_live.c - what an operator does to a worker that runs: connections end, settings change under
 * connections that are there. */
#include "service/live.h"

#include "service_world.h"
#include "stats/rings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PEERS = 3,
	BIG = 100000
};

static struct {
	unsigned closes;
	crew_end_reason reason;
	uint64_t lost;
	uint64_t kick; /* by on_message: whom */
} told;

static void on_close(crew_conn *c)
{
	told.closes++;
	told.reason = crew_close_reason(c);
}

static void on_error(crew_conn *c, const crew_loss *loss)
{
	(void)c;
	if (loss->reason == CREW_LOST_ABORTED)
		told.lost += loss->messages;
}

/* As the admin service of --single does: from inside a callback. */
static void on_message(crew_conn *c, crew_msg msg)
{
	(void)msg;
	if (told.kick == 0)
		return;
	assert_int_equal(crew__worker_kick(crew_worker_of(c), &told.kick, 1, 5), 1);
	/* It is closed now, and on_close comes later. */
	assert_int_equal(crew_send(crew_find(told.kick), CREW_BYTES("late")), -ENOTCONN);
}

static const crew_service service = {
	.name = "live",
	.listen = "text://127.0.0.1:1",
	.on_message = on_message,
	.on_close = on_close,
	.on_error = on_error,
};

struct live {
	struct world world;
	struct crew__settings settings; /* the world's, as crew__settings_set_live wants them */
	int peers[PEERS];
	uint64_t ids[PEERS];
};

/* The settings that change and those that the worker reads must be the same object. */
static void share(struct live *live)
{
	static char name[] = "test";
	live->settings =
		(struct crew__settings){ .name = name, .services = 1, .log_level = CREW_INFO };
	live->settings.service[0] = live->world.settings;
	live->world.worker->settings = &live->settings.service[0];
}

static int make_live(void **state)
{
	struct live *live = calloc(1, sizeof(*live));
	memset(&told, 0, sizeof(told));
	if (!live || !world_open(&live->world, &service, CREW__ENGINE_AUTO, NULL))
		return -1;
	share(live);
	for (uint32_t i = 0; i < PEERS; i++) {
		live->peers[i] = world_connect(&live->world);
		world_settle(&live->world);
		live->ids[i] = crew_id(world_conn(&live->world, i));
	}
	*state = live;
	return live->peers[PEERS - 1] >= 0 ? 0 : -1;
}

static int end_live(void **state)
{
	struct live *live = *state;
	for (int i = 0; i < PEERS; i++)
		close(live->peers[i]);
	world_close(&live->world);
	free(live);
	return 0;
}

static struct crew__event last_event(struct live *live, unsigned kind)
{
	struct crew__event event, last = { .kind = CREW__EVENT_NONE };
	uint64_t after = 0, missed = 0;
	while (crew__events_next(
		crew__segment_events(&live->world.segment), &after, &event, &missed))
		if (event.kind == kind)
			last = event;
	return last;
}

/* ---- kick ---------------------------------------------------------------------------------- */

static void a_kick_ends_that_one(void **state)
{
	struct live *live = *state;
	const struct crew__slab *slab = live->world.worker->net.stats.slab;
	assert_int_equal(crew__worker_kick(live->world.worker, &live->ids[1], 1, 0), 1);
	world_settle(&live->world);
	assert_int_equal(told.closes, 1);
	assert_int_equal(told.reason, CREW_END_KICKED);
	assert_int_equal(slab->close_kicked, 1);
	assert_int_equal(slab->connections, PEERS - 1);
	assert_null(crew_find(live->ids[1]));
	assert_non_null(crew_find(live->ids[0]));
	struct crew__event event = last_event(live, CREW__EVENT_KICK);
	assert_int_equal(event.conn, live->ids[1]);
	assert_int_equal(event.values[0], 0);
	char byte;
	assert_true(recv(live->peers[1], &byte, 1, MSG_DONTWAIT) <= 0);
	assert_int_not_equal(errno, EAGAIN);
	/* Again, and others that are nobody's. */
	const uint64_t none[] = { live->ids[1], 0, 1, UINT64_MAX, live->ids[0] + 1,
		live->ids[0] ^ UINT64_C(1) << 60 };
	assert_int_equal(crew__worker_kick(live->world.worker, none, crew__lengthof(none), 0), 0);
	assert_int_equal(slab->connections, PEERS - 1);
}

static void what_waited_is_lost_and_told(void **state)
{
	struct live *live = *state;
	static char bytes[BIG];
	crew_conn *c = crew_find(live->ids[0]);
	memset(bytes, 'x', sizeof(bytes));
	assert_true(crew_send(c, (crew_bytes){ bytes, BIG }) > 0);
	world_settle(&live->world);
	assert_int_equal(crew__worker_kick(live->world.worker, live->ids, PEERS, 0), PEERS);
	world_settle(&live->world);
	assert_int_equal(told.closes, PEERS);
	assert_int_equal(told.lost, 1);
	assert_int_equal(live->world.worker->net.stats.slab->fail_aborted, 1);
	struct crew__event event;
	uint64_t after = 0, missed = 0;
	bool found = false;
	while (crew__events_next(
		crew__segment_events(&live->world.segment), &after, &event, &missed))
		if (event.kind == CREW__EVENT_KICK && event.conn == live->ids[0]) {
			found = true;
			assert_true(event.values[0] > 0);
			assert_int_equal(event.values[1], 1);
		}
	assert_true(found);
}

static void a_kick_from_inside_a_callback(void **state)
{
	struct live *live = *state;
	for (int who = 0; who < 2; who++) {
		told.kick = live->ids[who]; /* another one, then itself */
		assert_int_equal(send(live->peers[1], "x\n", 2, 0), 2);
		world_settle(&live->world);
		assert_int_equal(told.closes, who + 1);
	}
	assert_non_null(crew_find(live->ids[2]));
}

/* ---- set ----------------------------------------------------------------------------------- */

static void set(struct live *live, const char *text)
{
	struct crew__settings_change change;
	char error[512];
	if (crew__settings_set_live(&live->settings, text, &change, error, sizeof(error)))
		fail_msg("%s", error);
	crew__worker_set(live->world.worker, &live->settings, &change);
	crew__net_check(&live->world.worker->net);
}

static void limits_follow(void **state)
{
	struct live *live = *state;
	const struct crew__limits *limits = &live->world.worker->net.limits;
	set(live, "live.max_send_buffer=64k");
	assert_int_equal(limits->max_send_buffer, 64 << 10);
	set(live, "live.policy=drop-oldest");
	assert_int_equal(limits->policy, CREW_DROP_OLDEST);
	set(live, "live.soft_limit=10k");
	set(live, "live.soft_limit_ms=1500");
	assert_int_equal(limits->soft_limit, 10 << 10);
	assert_int_equal(limits->soft_time, 150);
	set(live, "live.rate_bytes=5k");
	set(live, "live.rate_messages=7");
	assert_int_equal(limits->rate_bytes, 5 << 10);
	assert_int_equal(limits->rate_messages, 7);
	set(live, "live.send_timeout_ms=2000");
	assert_int_equal(limits->send_timeout, 200);
	set(live, "live.linger_ms=70");
	assert_int_equal(limits->linger, 7);
	set(live, "live.max_connections=9");
	assert_int_equal(limits->max_connections, 9);
	set(live, "live.kernel_unsent_limit=8k");
	assert_int_equal(limits->kernel_unsent_limit, 8 << 10);
	set(live, "live.auth_timeout_ms=1000");
	set(live, "live.unauthenticated_limit=2k");
	assert_int_equal(limits->auth_timeout, 100);
	assert_int_equal(limits->unauthenticated_limit, 2 << 10);
	set(live, "live.heartbeat_ms=250");
	set(live, "live.handshake_timeout_ms=90");
	assert_int_equal(live->world.worker->heartbeat, 25);
	assert_int_equal(live->world.worker->handshake_timeout, 9);
	set(live, "crew.buffer_budget=3m");
	assert_int_equal(limits->budget, 3 << 20);
	assert_string_equal(last_event(live, CREW__EVENT_SET).text, "crew.buffer_budget=3145728");
	set(live, "live.max_connections_per_ip=off");
	assert_int_equal(limits->max_connections_per_ip, 0);
}

static void an_idle_timeout_begins_for_those_who_are_there(void **state)
{
	struct live *live = *state;
	world_turn(&live->world, 50);
	assert_int_equal(told.closes, 0);
	set(live, "live.idle_timeout_ms=20");
	for (int i = 0; i < 200 && told.closes < PEERS; i++)
		world_turn(&live->world, 10);
	assert_int_equal(told.closes, PEERS);
	assert_int_equal(told.reason, CREW_END_IDLE);
}

/* A message that is longer than was allowed when its connection came; and a limit that is lower
 * than what is held already. */
static void max_message_both_ways(void **state)
{
	struct live *live = *state;
	static char line[3 << 20];
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	set(live, "live.max_message=4m");
	for (size_t sent = 0; sent < sizeof(line);) {
		ssize_t n = send(live->peers[0], line + sent, sizeof(line) - sent, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		world_turn(&live->world, 0);
	}
	world_settle(&live->world);
	assert_int_equal(live->world.worker->net.stats.slab->total_request, 1);
	assert_int_equal(send(live->peers[1], line, 20000, MSG_DONTWAIT), 20000);
	world_settle(&live->world);
	set(live, "live.max_message=100");
	world_settle(&live->world);
	assert_int_equal(send(live->peers[1], line, 10, MSG_DONTWAIT), 10);
	world_settle(&live->world);
	assert_int_equal(crew_close_reason(crew_find(live->ids[1])), CREW_END_PROTOCOL);
}

/* Another service's change is nothing to this one. */
static void changes_of_others_are_passed_over(void **state)
{
	static const crew_service other = { .name = "other" };
	struct live *live = *state;
	live->settings.services = 2;
	live->settings.service[1] = live->settings.service[0];
	live->settings.service[1].service = &other;
	set(live, "other.max_send_buffer=1k");
	assert_int_equal(live->world.worker->net.limits.max_send_buffer, 1 << 20);
	assert_int_equal(last_event(live, CREW__EVENT_SET).kind, CREW__EVENT_NONE);
}

int main(void)
{
#define LIVE(test) cmocka_unit_test_setup_teardown(test, make_live, end_live)
	const struct CMUnitTest tests[] = {
		LIVE(a_kick_ends_that_one),
		LIVE(what_waited_is_lost_and_told),
		LIVE(a_kick_from_inside_a_callback),
		LIVE(limits_follow),
		LIVE(an_idle_timeout_begins_for_those_who_are_there),
		LIVE(max_message_both_ways),
		LIVE(changes_of_others_are_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
