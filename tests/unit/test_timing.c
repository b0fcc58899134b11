/* test_timing.c - how long calls into the program take: which are timed, and what they are counted
 * as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "base/clock.h"

#include <unistd.h>

enum {
	NAP_US = 3000, /* in bucket 12, or above when the machine is busy */
	NAP_BUCKET = 12
};

static struct {
	struct world world;
	int peer;
	unsigned calls, timed_calls;
} t;

static void nap(void)
{
	t.calls++;
	t.timed_calls += crew__loop_timed;
	usleep(NAP_US);
}

static void nap_in_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	(void)msg;
	nap();
}

static void nap_in_timer(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	nap();
}

static unsigned visits;

static void visit(crew_conn *c, void *arg)
{
	(void)c;
	(void)arg;
	visits++;
	usleep(NAP_US);
}

/* crew_each is a call into the program that stands in another. */
static void nap_and_visit(crew_worker *w, void *arg)
{
	(void)w;
	(void)arg;
	nap();
	crew_each(t.world.worker->service, visit, NULL);
}

static const crew_service napping = {
	.name = "napping", .listen = "text://127.0.0.1:1", .on_message = nap_in_message
};
static const crew_service deaf = { .name = "deaf", .listen = "text://127.0.0.1:1" };

static const struct crew__histogram *measured(void)
{
	return &t.world.worker->net.stats.measures[CREW__MEASURE_CALLBACK];
}

static uint64_t counted(const struct crew__histogram *h)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < CREW__BUCKETS; i++)
		all += h->count[i];
	return all;
}

static void open_it(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	visits = 0;
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), NULL));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer > 0)
		close(t.peer);
	world_clean_up(&t.world);
	return 0;
}

static void only_calls_in_timed_turns_are_counted(void **state)
{
	open_it(state, &napping);
	uint64_t before = counted(measured());
	while (t.timed_calls < 3 && t.calls < 1000) {
		unsigned calls = t.calls;
		peer_says(t.peer, CREW_BYTES("hello\n"));
		world_until(&t.world, t.calls > calls);
	}
	assert_int_equal(t.timed_calls, 3);
	assert_true(t.calls > 10);
	assert_int_equal(counted(measured()) - before, 3);
	assert_true(measured()->sum_us >= 3 * NAP_US);
	for (unsigned i = 1; i < NAP_BUCKET; i++)
		assert_int_equal(measured()->count[i], 0);
}

/* All of a turn's messages are, each by itself. */
static void each_message_of_a_timed_turn_counts(void **state)
{
	open_it(state, &napping);
	while (t.timed_calls == 0 && t.calls < 2000) {
		unsigned calls = t.calls;
		peer_says(t.peer, CREW_BYTES("a\nb\nc\n"));
		world_until(&t.world, t.calls == calls + 3);
	}
	assert_int_equal(t.timed_calls, 3);
	assert_int_equal(counted(measured()), 3);
	/* The sum is of three naps, not of one that includes the others. */
	assert_true(measured()->sum_us >= 3 * NAP_US);
}

static void timers_are_calls_too(void **state)
{
	open_it(state, &napping);
	while (t.timed_calls == 0 && t.calls < 1000) {
		unsigned calls = t.calls;
		assert_true(crew_timer_after(t.world.worker, 0, nap_in_timer, NULL) > 0);
		world_until(&t.world, t.calls > calls);
	}
	assert_int_equal(t.timed_calls, 1);
	assert_int_equal(counted(measured()), 1);
	assert_true(measured()->sum_us >= NAP_US);
}

static void a_call_within_a_call_is_part_of_it(void **state)
{
	open_it(state, &napping);
	while (t.timed_calls == 0 && t.calls < 1000) {
		unsigned calls = t.calls;
		assert_true(crew_timer_after(t.world.worker, 0, nap_and_visit, NULL) > 0);
		world_until(&t.world, t.calls > calls);
	}
	assert_int_equal(visits, t.calls);
	assert_int_equal(counted(measured()), 1);
	assert_true(measured()->sum_us >= 2 * NAP_US);
}

/* A service without on_message must not be given one by the turns that are timed. */
static void nothing_is_called_that_is_not_there(void **state)
{
	open_it(state, &deaf);
	for (int i = 0; i < 3 * CREW__TIMED_EACH; i++) {
		peer_says(t.peer, CREW_BYTES("hello\n"));
		world_turn(&t.world, 0);
		assert_null(t.world.worker->on_message);
	}
	assert_int_equal(counted(measured()), 0);
}

static void turns_are_counted_beside(void **state)
{
	open_it(state, &napping);
	const struct crew__histogram *turns =
		&t.world.worker->net.stats.measures[CREW__MEASURE_TURN];
	uint64_t before = counted(turns);
	for (int i = 0; i < 2 * CREW__TIMED_EACH; i++)
		world_turn(&t.world, 0);
	assert_int_equal(counted(turns) - before, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(only_calls_in_timed_turns_are_counted),
		ON_BOTH(each_message_of_a_timed_turn_counts),
		ON_BOTH(timers_are_calls_too),
		ON_BOTH(a_call_within_a_call_is_part_of_it),
		ON_BOTH(nothing_is_called_that_is_not_there),
		ON_BOTH(turns_are_counted_beside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
