/* test_budget_patience.c - while the buffer budget stops reading, peers that hold what they have,
 * and one that takes a little now and then, cannot stop the others for long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy_ways.h"

#include "base/clock.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
	BUDGET = 40000000,
	PEERS = 60,
	LINE = 20000,
};

static struct world world;
static int peers[PEERS];

static int clean_up(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		close(peers[i]);
	world_clean_up(&world);
	return 0;
}

static const crew_service lines = {
	.name = "lines", .listen = "text://127.0.0.1:1", .on_close = tell_close
};

static void adjust(struct crew__service_settings *s)
{
	s->max_send_buffer = BUDGET;
}

static void begin(void **state)
{
	told_anew();
	assert_true(world_open(&world, &lines, engine_of(state), adjust));
	struct crew__limits limits = world.worker->net.limits;
	limits.budget = BUDGET;
	crew__net_set_limits(&world.worker->net, &limits);
	for (int i = 0; i < PEERS; i++) {
		peers[i] = world_connect(&world);
		assert_true(peers[i] > 0);
	}
	world_settle(&world);
}

static uint64_t held(void)
{
	return crew__net_held(&world.worker->net);
}

/* As much for each of them, until 81 percent are held beside what the kernel takes. */
static void hold_most(void)
{
	for (uint32_t i = 0; held() < (uint64_t)BUDGET / 100 * 81; i++) {
		assert_true(send_line(world_conn(&world, i % PEERS), "a", 1, LINE, NULL) >= 0);
		if (i % PEERS == PEERS - 1)
			world_turn(&world, 0);
	}
	world_turn(&world, 0);
}

static void take_a_little(int peer)
{
	static char room[4 * LINE];
	(void)recv(peer, room, sizeof(room), MSG_DONTWAIT);
}

static void a_little_now_and_then_is_no_relief(void **state)
{
	begin(state);
	hold_most();
	assert_int_equal(world.worker->net.budget.stage, CREW__BUDGET_STOPS_READING);
	uint64_t before = crew__clock_ns(), then = held();
	while (counter(&world, "budget_cut") == 0) {
		assert_true(crew__clock_ns() - before < 15 * CREW__NS_PER_S);
		take_a_little(peers[0]);
		world_pass(&world, 1000);
	}
	assert_true(crew__clock_ns() - before > 3 * CREW__NS_PER_S);
	world_settle(&world); /* who was cut is counted as ended at a turn's end */
	assert_true(held() < then - BUDGET / 100 * 2); /* enough, not one of many */
	assert_true(counter(&world, "budget_cut") < 10);
	assert_int_equal(counter(&world, "close_memory"), counter(&world, "budget_cut"));
}

/* Whatever an operator sets: what is empty is not full. */
static void the_smallest_budget_refuses_nobody(void **state)
{
	begin(state);
	struct crew__limits limits = world.worker->net.limits;
	limits.budget = 1;
	crew__net_set_limits(&world.worker->net, &limits);
	world_turn(&world, 0);
	world_pass(&world, 120);
	assert_int_equal(world.worker->net.budget.stage, CREW__BUDGET_CALM);
	assert_int_equal(counter(&world, "budget_paused"), 0);
	assert_int_equal(counter(&world, "connections"), PEERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_little_now_and_then_is_no_relief),
		ON_BOTH(the_smallest_budget_refuses_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
