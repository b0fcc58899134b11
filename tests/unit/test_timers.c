/* test_timers.c - the heap of timers: order, restarts, stops, and what callbacks may do to it. The
 * heap is driven with a made-up clock; that the loop waits for it is test_loop.c's business. */
#include "loop/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Growing a table fails while this is 1, and once it has counted down to 1. 0: never. */
static int calls_to_failure;

void *reallocarray(void *ptr, size_t nmemb, size_t size)
{
	size_t bytes;
	if (calls_to_failure == 1 || __builtin_mul_overflow(nmemb, size, &bytes))
		return NULL;
	if (calls_to_failure > 1)
		calls_to_failure--;
	return realloc(ptr, bytes);
}

struct fired {
	struct crew__timer timer;
	struct world *world;
	int name;
	void (*then)(struct fired *fired);
	struct fired *other;
};

struct world {
	struct crew__loop *loop;
	int log[4096];
	int count;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	if (!world || crew__loop_new(CREW__ENGINE_AUTO, &world->loop) != 0)
		return -1;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	crew__loop_free(world->loop);
	free(world);
	return 0;
}

static void on_timer(struct crew__timer *timer)
{
	struct fired *fired = crew__container_of(timer, struct fired, timer);
	struct world *world = fired->world;
	assert_int_equal(timer->place, 0); /* it no longer runs when it is called */
	assert_true(world->count < (int)crew__lengthof(world->log));
	world->log[world->count++] = fired->name;
	if (fired->then)
		fired->then(fired);
}

static struct fired make(struct world *world, int name)
{
	return (struct fired){ .timer.fn = on_timer, .world = world, .name = name };
}

static void start(struct fired *fired, uint64_t due_ns)
{
	assert_int_equal(crew__timer_start(fired->world->loop, &fired->timer, due_ns), 0);
	assert_int_equal(fired->timer.due_ns, due_ns);
}

static void run(struct world *world, uint64_t now_ns)
{
	crew__timers_run(&world->loop->timers, now_ns);
}

/* The sentences above struct crew__timers. */
static void check_heap(const struct world *world)
{
	const struct crew__timers *timers = &world->loop->timers;
	for (uint32_t i = 0; i < timers->count; i++) {
		assert_int_equal(timers->slots[i].timer->place, i + 1);
		if (i == 0)
			continue;
		const struct crew__timer_slot *up = &timers->slots[(i - 1) / 2];
		assert_true(up->due_ns <= timers->slots[i].due_ns);
		if (up->due_ns == timers->slots[i].due_ns)
			assert_true(up->order < timers->slots[i].order);
	}
}

static void nothing_runs_at_first(void **state)
{
	struct world *world = *state;
	assert_true(world->loop->timers.next_ns == CREW__NEVER);
	run(world, UINT64_MAX - 1);
	assert_int_equal(world->count, 0);
}

static void fires_once_and_not_early(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1);
	start(&a, 1000);
	assert_int_equal(world->loop->timers.next_ns, 1000);
	run(world, 999);
	assert_int_equal(world->count, 0);
	run(world, 1000);
	assert_int_equal(world->count, 1);
	run(world, 2000);
	assert_int_equal(world->count, 1);
	assert_true(world->loop->timers.next_ns == CREW__NEVER);
}

static void equal_times_fire_in_order_of_start(void **state)
{
	struct world *world = *state;
	struct fired all[100];
	for (int i = 0; i < 100; i++) {
		all[i] = make(world, i);
		start(&all[i], 500);
	}
	run(world, 500);
	assert_int_equal(world->count, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(world->log[i], i);
}

static void restarting_moves_it(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1), b = make(world, 2);
	start(&a, 100);
	start(&b, 200);
	start(&a, 300);
	assert_int_equal(world->loop->timers.count, 2);
	run(world, 250);
	assert_int_equal(world->count, 1);
	assert_int_equal(world->log[0], 2);
	start(&a, 260);
	run(world, 260);
	assert_int_equal(world->count, 2);
}

static void stopping_what_does_not_run_changes_nothing(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1), b = make(world, 2);
	crew__timer_stop(world->loop, &a.timer);
	start(&b, 10);
	crew__timer_stop(world->loop, &a.timer);
	assert_int_equal(world->loop->timers.count, 1);
	crew__timer_stop(world->loop, &b.timer);
	crew__timer_stop(world->loop, &b.timer);
	run(world, 10);
	assert_int_equal(world->count, 0);
}

static void restart_for_now(struct fired *fired)
{
	start(fired, 5);
}

static void one_restarted_for_now_waits_for_the_next_turn(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1);
	a.then = restart_for_now;
	start(&a, 5);
	world->loop->again = false;
	run(world, 10);
	assert_int_equal(world->count, 1);
	assert_true(world->loop->again); /* and the loop will not sleep until then */
	run(world, 11);
	assert_int_equal(world->count, 2);
	crew__timer_stop(world->loop, &a.timer);
}

static void stop_other(struct fired *fired)
{
	crew__timer_stop(fired->world->loop, &fired->other->timer);
}

static void start_other_for_now(struct fired *fired)
{
	start(fired->other, fired->timer.due_ns);
}

static void a_callback_may_stop_one_that_is_due(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1), b = make(world, 2);
	a.then = stop_other;
	a.other = &b;
	start(&a, 5);
	start(&b, 5);
	run(world, 10);
	assert_int_equal(world->count, 1);
	assert_int_equal(world->loop->timers.count, 0);
}

static void one_started_by_a_callback_waits_for_the_next_turn(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1), b = make(world, 2);
	a.then = start_other_for_now;
	a.other = &b;
	start(&a, 5);
	run(world, 10);
	assert_int_equal(world->count, 1);
	/* Also one that ran already and was due in this very turn. */
	start(&a, 5);
	start(&b, 6);
	world->count = 0;
	run(world, 20);
	assert_int_equal(world->count, 1);
	run(world, 30);
	assert_int_equal(world->count, 2);
	assert_int_equal(world->log[1], 2);
}

static void a_freed_loop_leaves_no_timer_running(void **state)
{
	struct world *world = *state;
	struct fired a = make(world, 1);
	start(&a, 5);
	crew__loop_free(world->loop);
	assert_int_equal(a.timer.place, 0);
	assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &world->loop), 0);
}

static void a_start_without_memory_changes_nothing(void **state)
{
	struct world *world = *state;
	struct fired *all = calloc(1000, sizeof(*all));
	int count = 0;
	int error = 0;
	calls_to_failure = 3;
	for (; count < 1000 && !error; count++) {
		all[count] = make(world, count);
		error = crew__timer_start(world->loop, &all[count].timer, 1000 - (uint64_t)count);
	}
	count--;
	assert_int_equal(error, -ENOMEM);
	assert_true(count > 1);
	assert_int_equal(all[count].timer.place, 0);
	assert_int_equal(world->loop->timers.count, count);
	start(&all[0], 1); /* one that runs needs no memory */
	crew__timer_stop(world->loop, &all[1].timer);
	start(&all[count], 2); /* and there is one place again */
	check_heap(world);
	calls_to_failure = 0;
	run(world, 1000);
	assert_int_equal(world->count, count);
	assert_int_equal(world->log[0], 0);
	assert_int_equal(world->log[1], count);
	free(all);
}

/* Many starts, restarts and stops at random, against the simplest thing that could tell. */
static void random_use_agrees_with_a_list(void **state)
{
	enum {
		TIMERS = 300,
		STEPS = 20000
	};
	struct world *world = *state;
	struct fired *all = calloc(TIMERS, sizeof(*all));
	bool runs[TIMERS] = { false };
	uint64_t now = 1000;
	unsigned seed = 42;
	for (int i = 0; i < TIMERS; i++)
		all[i] = make(world, i);

	for (int step = 0; step < STEPS; step++) {
		int i = rand_r(&seed) % TIMERS;
		unsigned what = (unsigned)rand_r(&seed) % 8;
		if (what < 5) {
			start(&all[i], now + 1 + (unsigned)rand_r(&seed) % 1000);
			runs[i] = true;
		} else if (what < 7) {
			crew__timer_stop(world->loop, &all[i].timer);
			runs[i] = false;
		} else {
			now += (unsigned)rand_r(&seed) % 200;
			world->count = 0;
			run(world, now);
			for (int j = 0; j < world->count; j++) {
				int name = world->log[j];
				assert_true(runs[name]);
				assert_true(all[name].timer.due_ns <= now);
				if (j > 0)
					assert_true(all[world->log[j - 1]].timer.due_ns <=
						    all[name].timer.due_ns);
				runs[name] = false;
			}
			for (int j = 0; j < TIMERS; j++) {
				assert_int_equal(runs[j], all[j].timer.place != 0);
				if (runs[j])
					assert_true(all[j].timer.due_ns > now);
			}
		}
		if (step % 50 == 0)
			check_heap(world);
	}
	for (int i = 0; i < TIMERS; i++)
		crew__timer_stop(world->loop, &all[i].timer);
	assert_int_equal(world->loop->timers.count, 0);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_runs_at_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fires_once_and_not_early, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			equal_times_fire_in_order_of_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(restarting_moves_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			stopping_what_does_not_run_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_restarted_for_now_waits_for_the_next_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_callback_may_stop_one_that_is_due, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_started_by_a_callback_waits_for_the_next_turn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_freed_loop_leaves_no_timer_running, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_start_without_memory_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_use_agrees_with_a_list, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
