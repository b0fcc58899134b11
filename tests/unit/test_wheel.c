/* test_wheel.c - coarse deadlines, with a made-up clock: the test moves the loop's time and runs
 * its timers itself. */
#include "loop/parts.h"
#include "loop/wheel.h"

#include "base/clock.h"

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

#define HUNDREDTH_NS (CREW__NS_PER_S / 100)

enum {
	LATE = 20,
	ENTRIES = 400
}; /* a deadline is met up to 0.2 s late */

struct item {
	struct crew__wheel_entry entry;
	int asked;
	uint64_t asked_at; /* hundredths, not wrapped */
	uint32_t answer;   /* what it answers when asked */
	void (*then)(struct item *item);
};

static struct {
	struct crew__loop *loop;
	struct crew__wheel *wheel;
	uint64_t origin_ns;
	int asked;  /* since the last advance */
	int wakes;  /* turns in which a timer was due */
	bool slept; /* for longer than 32-bit times can tell */
	struct item items[ENTRIES];
} world;

static uint64_t now(void)
{
	return (world.loop->clock.ns - world.origin_ns) / HUNDREDTH_NS;
}

static uint32_t on_due(void *arg, struct crew__wheel_entry *entry, uint32_t now32)
{
	assert_ptr_equal(arg, &world);
	assert_int_equal(now32, (uint32_t)now());
	struct item *item = crew__container_of(entry, struct item, entry);
	if (!world.slept)
		assert_true((int32_t)(entry->due - now32) <= 0); /* never early */
	item->asked++;
	item->asked_at = now();
	world.asked++;
	if (item->then)
		item->then(item);
	return item->answer;
}

/* The origin so far back that `begin` hundredths have passed. */
static void make(uint64_t begin)
{
	memset(&world, 0, sizeof(world));
	assert_int_equal(crew__loop_new(CREW__ENGINE_AUTO, &world.loop), 0);
	world.origin_ns = world.loop->clock.ns - begin * HUNDREDTH_NS;
	assert_int_equal(
		crew__wheel_new(world.loop, world.origin_ns, on_due, &world, &world.wheel), 0);
	for (int i = 0; i < ENTRIES; i++)
		crew__wheel_entry_init(&world.items[i].entry);
}

static int set_up(void **state)
{
	(void)state;
	make(0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	crew__wheel_free(world.wheel);
	crew__loop_free(world.loop);
	return 0;
}

static void set(int i, uint64_t due)
{
	crew__wheel_sooner(world.wheel, &world.items[i].entry, (uint32_t)due);
}

/* When the loop would wake next, in hundredths; UINT64_MAX for never. */
static uint64_t wake(void)
{
	uint64_t due_ns = world.loop->timers.next_ns;
	if (due_ns == CREW__NEVER)
		return UINT64_MAX;
	return (due_ns - world.origin_ns + HUNDREDTH_NS - 1) / HUNDREDTH_NS;
}

/* Time jumps to `when`; one turn. */
static void jump(uint64_t when)
{
	world.asked = 0;
	world.loop->clock.ns = world.origin_ns + when * HUNDREDTH_NS;
	if (world.loop->timers.next_ns <= world.loop->clock.ns) {
		world.wakes++;
		crew__timers_run(&world.loop->timers, world.loop->clock.ns);
	}
}

/* Time passes until `end`, the loop wakes whenever the timer says so. */
static void pass(uint64_t end)
{
	while (wake() <= end)
		jump(wake());
	jump(end);
}

static void asks_when_the_time_has_come(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++)
		set(i, (uint64_t)i * 7 + 1);
	pass(200 * 7 + LATE);
	for (int i = 0; i < 200; i++) {
		uint64_t due = (uint64_t)i * 7 + 1;
		assert_int_equal(world.items[i].asked, 1);
		assert_in_range(world.items[i].asked_at, due, due + LATE);
		assert_true(crew__list_empty(&world.items[i].entry.node));
	}
}

static void sleeps_while_nothing_waits(void **state)
{
	(void)state;
	assert_true(wake() == UINT64_MAX);
	set(0, 5000);
	assert_in_range(wake(), 5000, 5010);
	pass(9000);
	assert_int_equal(world.wakes, 1); /* not once for each empty bucket */
	assert_int_equal(world.items[0].asked, 1);
	assert_true(wake() == UINT64_MAX);
}

/* After a long time without entries a round begins at the present, not where the last one ended. */
static void an_idle_time_costs_no_wake_afterwards(void **state)
{
	(void)state;
	pass(9000);
	set(0, 14000);
	assert_in_range(wake(), 14000, 14010);
	crew__wheel_remove(world.wheel, &world.items[0].entry);
}

static void wakes_once_for_each_bucket(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		set(i, 1001 + (uint64_t)i % 9); /* one bucket */
	for (int i = 100; i < 200; i++)
		set(i, 7001 + (uint64_t)i % 9); /* another */
	pass(8000);
	assert_int_equal(world.wakes, 2);
	for (int i = 0; i < 200; i++)
		assert_int_equal(world.items[i].asked, 1);
}

static void looks_once_a_round_at_what_is_far_away(void **state)
{
	(void)state;
	set(0, 100000); /* nearly ten rounds of 10,240 */
	pass(99999);
	assert_int_equal(world.items[0].asked, 0);
	assert_in_range(world.wakes, 9, 10);
	pass(100000 + LATE);
	assert_int_equal(world.items[0].asked, 1);
}

static void sooner_moves_only_to_the_front(void **state)
{
	(void)state;
	set(0, 500);
	set(0, 900);
	assert_int_equal(world.items[0].entry.due, 500);
	set(0, 300);
	assert_int_equal(world.items[0].entry.due, 300);
	pass(300 + LATE);
	assert_int_equal(world.items[0].asked, 1);
	pass(2000);
	assert_int_equal(world.items[0].asked, 1);
}

static void what_lies_behind_is_asked_soon(void **state)
{
	(void)state;
	pass(1000);
	set(0, 0); /* rounded up to 1: 0 is no time */
	assert_int_equal(world.items[0].entry.due, 1);
	set(1, 1000);
	set(2, 999);
	pass(1000 + LATE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(world.items[i].asked, 1);
}

static void removed_ones_are_not_asked(void **state)
{
	(void)state;
	set(0, 100);
	set(1, 100);
	crew__wheel_remove(world.wheel, &world.items[0].entry);
	crew__wheel_remove(world.wheel, &world.items[0].entry);
	pass(1000);
	assert_int_equal(world.items[0].asked, 0);
	assert_int_equal(world.items[1].asked, 1);
	/* All gone: at most the one wake that was set already, then none. */
	set(2, 2000);
	set(3, 3000);
	crew__wheel_remove(world.wheel, &world.items[2].entry);
	crew__wheel_remove(world.wheel, &world.items[3].entry);
	int wakes = world.wakes;
	pass(5000);
	assert_in_range(world.wakes, wakes, wakes + 1);
	assert_true(wake() == UINT64_MAX);
}

static void an_answer_is_the_next_time(void **state)
{
	(void)state;
	world.items[0].answer = 700;
	set(0, 300);
	pass(300 + LATE);
	assert_int_equal(world.items[0].asked, 1);
	world.items[0].answer = CREW__WHEEL_OUT;
	pass(699);
	assert_int_equal(world.items[0].asked, 1);
	pass(700 + LATE);
	assert_int_equal(world.items[0].asked, 2);
	pass(20000);
	assert_int_equal(world.items[0].asked, 2);
}

/* An owner that answers with a time gone by is asked again, but not in the same turn. */
static void an_answer_in_the_past_does_not_spin(void **state)
{
	(void)state;
	world.items[0].answer = 5;
	set(0, 300);
	jump(310);
	assert_int_equal(world.asked, 1);
	assert_true(wake() > 310 && wake() <= 310 + LATE);
	jump(100000);
	assert_int_equal(world.asked, 1);
	world.items[0].answer = CREW__WHEEL_OUT;
}

static void set_all(struct item *item)
{
	(void)item;
	for (int i = 0; i < 10; i++)
		set(i, now());
}

static void remove_all(struct item *item)
{
	(void)item;
	for (int i = 0; i < 10; i++)
		crew__wheel_remove(world.wheel, &world.items[i].entry);
}

static void set_self_sooner(struct item *item)
{
	crew__wheel_sooner(world.wheel, &item->entry, (uint32_t)now() + 50);
}

static void a_callback_may_set_and_remove_any(void **state)
{
	(void)state;
	/* The first takes the others out before they are asked. */
	for (int i = 0; i < 10; i++) {
		world.items[i].then = remove_all;
		set(i, 100);
	}
	jump(120);
	assert_int_equal(world.asked, 1);
	jump(9000);
	assert_int_equal(world.asked, 0);

	/* Each sets all others for now: they are asked once in this turn. */
	for (int i = 0; i < 10; i++) {
		world.items[i].then = set_all;
		set(i, 9100);
	}
	jump(9120);
	assert_int_equal(world.asked, 10);
	for (int i = 0; i < 10; i++)
		world.items[i].then = NULL;
	/* What was set by the callback of another is kept; its own answer was OUT. */
	jump(9120 + LATE);
	assert_in_range(world.asked, 1, 9);
	jump(9120 + 10 * LATE);
	assert_int_equal(world.asked, 0);
}

/* The answer holds, whatever the callback set. */
static void the_answer_overrules_what_the_callback_set(void **state)
{
	(void)state;
	world.items[0].then = set_self_sooner;
	set(0, 100);
	world.items[1].then = set_self_sooner;
	world.items[1].answer = 1000;
	set(1, 100);
	jump(120);
	assert_true(crew__list_empty(&world.items[0].entry.node));
	assert_int_equal(world.items[1].entry.due, 1000);
	jump(500);
	assert_int_equal(world.asked, 0);
	world.items[1].answer = CREW__WHEEL_OUT;
	jump(1000 + LATE);
	assert_int_equal(world.asked, 1);
}

/* 2^32 hundredths after the origin the 32-bit times begin anew. */
static void goes_on_where_times_wrap(void **state)
{
	(void)state;
	uint64_t wrap = UINT64_C(1) << 32;
	tear_down(NULL);
	make(wrap - 2000);
	assert_int_equal(crew__wheel_now(world.wheel), UINT32_MAX - 1999);
	for (int i = 0; i < ENTRIES; i++) {
		uint64_t due = wrap - 1000 + (uint64_t)i * 5;
		if ((uint32_t)due == CREW__WHEEL_OUT)
			due++;
		set(i, due);
	}
	pass(wrap + 4000);
	for (int i = 0; i < ENTRIES; i++) {
		uint64_t due = wrap - 1000 + (uint64_t)i * 5;
		assert_int_equal(world.items[i].asked, 1);
		assert_in_range(world.items[i].asked_at, due, due + LATE + 1);
	}
	assert_int_equal(crew__wheel_now(world.wheel), 4000);
}

/* A machine that slept: everything that is due is asked once, in one wake, whatever the length. */
static void survives_jumps(void **state)
{
	(void)state;
	const uint64_t jumps[] = { 10239, 10240, 10241, 20480, 1000000, UINT64_C(1) << 31,
		(UINT64_C(1) << 31) + 5, (UINT64_C(1) << 32) + 77, UINT64_C(1) << 34 };
	uint64_t present = 0;
	for (size_t j = 0; j < crew__lengthof(jumps); j++) {
		for (int i = 0; i < 100; i++)
			set(i, present + 1 + (uint64_t)i * 90); /* all within one round */
		present += jumps[j];
		world.wakes = 0;
		world.slept = jumps[j] >= UINT64_C(1) << 31;
		jump(present);
		assert_int_equal(world.asked, 100);
		assert_int_equal(world.wakes, 1);
		assert_true(wake() == UINT64_MAX);
	}
}

/* The time a connection looks at is the loop's, which may be older than a very young origin. */
static void an_origin_ahead_of_the_loop_is_the_present(void **state)
{
	(void)state;
	crew__wheel_free(world.wheel);
	world.origin_ns = world.loop->clock.ns + 3 * HUNDREDTH_NS;
	assert_int_equal(
		crew__wheel_new(world.loop, world.origin_ns, on_due, &world, &world.wheel), 0);
	assert_int_equal(crew__wheel_now(world.wheel), 0);
	set(0, 100);
	pass(100 + LATE);
	assert_int_equal(world.items[0].asked, 1);
}

static struct crew__timer fillers[64];

static void on_filler(struct crew__timer *timer)
{
	(void)timer;
}

/* Start timers until there is no room for another. Returns how many. */
static int fill_heap(void)
{
	int started = 0;
	calls_to_failure = 1;
	for (size_t i = 0; i < crew__lengthof(fillers); i++) {
		fillers[i].fn = on_filler;
		if (fillers[i].place == 0 &&
			crew__timer_start(world.loop, &fillers[i], CREW__NEVER - 1) == 0)
			started++;
	}
	return started;
}

static void fill_heap_in_callback(struct item *item)
{
	(void)item;
	assert_int_equal(fill_heap(), 0); /* the wheel did not give its place away */
}

static void a_wheel_needs_memory_only_to_begin(void **state)
{
	(void)state;
	assert_in_range(fill_heap(), 1, crew__lengthof(fillers) - 1);
	struct crew__wheel *another;
	assert_int_equal(
		crew__wheel_new(world.loop, world.origin_ns, on_due, &world, &another), -ENOMEM);

	world.items[0].then = fill_heap_in_callback;
	world.items[0].answer = 1000;
	set(0, 100);
	jump(120);
	assert_int_equal(world.asked, 1);
	world.items[0].answer = CREW__WHEEL_OUT;
	pass(1000 + LATE);
	assert_int_equal(world.items[0].asked, 2);
	calls_to_failure = 0;
	for (size_t i = 0; i < crew__lengthof(fillers); i++)
		crew__timer_stop(world.loop, &fillers[i]);
}

static void a_freed_wheel_leaves_its_entries_alone(void **state)
{
	(void)state;
	set(0, 100);
	set(1, 100);
	set(2, 5000);
	crew__wheel_free(world.wheel);
	for (int i = 0; i < 3; i++)
		assert_true(crew__list_empty(&world.items[i].entry.node));
	assert_int_equal(world.loop->timers.count, 0);
	crew__wheel_free(NULL);
	world.wheel = NULL;
}

/* Random sets, removals, answers and jumps, against plain numbers. */
static void random_use_agrees_with_plain_numbers(void **state)
{
	(void)state;
	uint64_t due[ENTRIES] = { 0 }; /* 0: out */
	uint64_t present = (UINT64_C(1) << 32) - 40000;
	unsigned seed = 7;
	tear_down(NULL);
	make(present);
	for (int step = 0; step < 20000; step++) {
		int i = rand_r(&seed) % ENTRIES;
		unsigned what = (unsigned)rand_r(&seed) % 10;
		if (what < 6) {
			uint64_t when = present + (unsigned)rand_r(&seed) % 30000;
			when += (uint32_t)when == CREW__WHEEL_OUT;
			set(i, when);
			if (due[i] == 0 || when < due[i])
				due[i] = when;
		} else if (what < 7) {
			crew__wheel_remove(world.wheel, &world.items[i].entry);
			due[i] = 0;
		} else {
			present += (unsigned)rand_r(&seed) % (what == 9 ? 300 : 30);
			for (int j = 0; j < ENTRIES; j++)
				world.items[j].asked = 0;
			pass(present);
			for (int j = 0; j < ENTRIES; j++) {
				if (world.items[j].asked) {
					assert_int_equal(world.items[j].asked, 1);
					assert_true(due[j] != 0 && due[j] <= present);
					due[j] = 0;
				}
				assert_true(due[j] == 0 || due[j] + LATE > present);
			}
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(asks_when_the_time_has_come),
		TEST(sleeps_while_nothing_waits),
		TEST(an_idle_time_costs_no_wake_afterwards),
		TEST(wakes_once_for_each_bucket),
		TEST(looks_once_a_round_at_what_is_far_away),
		TEST(sooner_moves_only_to_the_front),
		TEST(what_lies_behind_is_asked_soon),
		TEST(removed_ones_are_not_asked),
		TEST(an_answer_is_the_next_time),
		TEST(an_answer_in_the_past_does_not_spin),
		TEST(a_callback_may_set_and_remove_any),
		TEST(the_answer_overrules_what_the_callback_set),
		TEST(goes_on_where_times_wrap),
		TEST(survives_jumps),
		TEST(an_origin_ahead_of_the_loop_is_the_present),
		TEST(a_wheel_needs_memory_only_to_begin),
		TEST(a_freed_wheel_leaves_its_entries_alone),
		TEST(random_use_agrees_with_plain_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
