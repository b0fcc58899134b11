/* test_user_timers.c - the program's timers: each fires when it should and as often, ids never mean
 * another, and all of them end with their worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "pieces.h"

#include "base/clock.h"
#include "loop/parts.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	MANY = 3000
};

static struct {
	struct world world;
	int64_t ids[MANY];
	unsigned calls[MANY];
} t;

static const crew_service quiet = { .name = "quiet", .listen = "tcp://127.0.0.1:1" };

static void open_it(void **state)
{
	memset(&t, 0, sizeof(t));
	told_anew();
	assert_true(world_open(&t.world, &quiet, engine_of(state), NULL));
}

static int clean_up(void **state)
{
	(void)state;
	world_clean_up(&t.world);
	return 0;
}

static crew_worker *worker(void)
{
	return t.world.worker;
}

static void call(crew_worker *w, void *arg)
{
	assert_ptr_equal(w, worker());
	assert_int_equal(atomic_load(&w->net.stats.slab->callback), CREW__CB_TIMER);
	tell("%s", (const char *)arg);
}

static void *name(const char *text)
{
	return (void *)(uintptr_t)text;
}

static int64_t after(uint64_t ms, const char *text)
{
	int64_t id = crew_timer_after(worker(), ms, call, name(text));
	assert_true(id > 0);
	return id;
}

static void wait_for(const char *text)
{
	world_until(&t.world, strstr(told(), text));
}

/* ---- firing -------------------------------------------------------------------------------- */

static void each_fires_once_in_the_order_of_the_times(void **state)
{
	open_it(state);
	after(30, "third");
	after(10, "first");
	after(20, "second");
	after(30, "fourth"); /* the same time: in the order of the starts */
	after(30, "fifth");
	assert_int_equal(counter(&t.world, "timers"), 5);
	wait_for("fifth");
	world_pass(&t.world, 50);
	assert_string_equal(told(), "first second third fourth fifth");
	assert_int_equal(counter(&t.world, "timers"), 0);
}

static void none_is_early(void **state)
{
	open_it(state);
	world_turn(&t.world, 0);
	uint64_t began = crew_now_ms();
	after(20, "now");
	wait_for("now");
	assert_true(crew_now_ms() - began >= 19); /* both are rounded down */
}

static void one_of_no_time_waits_for_the_loop(void **state)
{
	open_it(state);
	after(0, "now");
	assert_string_equal(told(), "");
	world_turn(&t.world, 1000);
	assert_string_equal(told(), "now");
}

static void start_another(crew_worker *w, void *arg)
{
	unsigned *left = arg;
	tell("%u", *left);
	if ((*left)-- > 0)
		assert_true(crew_timer_after(w, 0, start_another, left) > 0);
}

/* One that starts itself anew must not keep the turn from ending. */
static void one_that_a_timer_starts_waits_for_the_next_turn(void **state)
{
	unsigned left = 3;
	open_it(state);
	assert_true(crew_timer_after(worker(), 0, start_another, &left) > 0);
	world_turn(&t.world, 100);
	assert_string_equal(told(), "3");
	world_turn(&t.world, 100);
	assert_string_equal(told(), "3 2");
	wait_for("0");
	assert_string_equal(told(), "3 2 1 0");
}

static void note_beat(crew_worker *w, void *arg)
{
	assert_ptr_equal(w, worker());
	unsigned *beats = arg;
	if (++*beats == 3)
		assert_int_equal(crew_timer_stop(t.ids[0]), 0); /* its own */
}

static void a_beat_goes_on_until_it_is_stopped(void **state)
{
	unsigned beats = 0;
	open_it(state);
	t.ids[0] = crew_timer_every(worker(), 5, note_beat, &beats);
	assert_int_equal(counter(&t.world, "timers"), 1);
	world_until(&t.world, beats == 3);
	world_pass(&t.world, 40);
	assert_int_equal(beats, 3);
	assert_int_equal(counter(&t.world, "timers"), 0);
	assert_int_equal(crew_timer_stop(t.ids[0]), -ENOENT);
}

static void be_slow(crew_worker *w, void *arg)
{
	assert_ptr_equal(w, worker());
	++*(unsigned *)arg;
	usleep(25000); /* beats are missed meanwhile */
}

static void missed_beats_are_not_made_up_and_the_beat_is_kept(void **state)
{
	unsigned beats = 0;
	open_it(state);
	world_turn(&t.world, 0);
	uint64_t began = crew__loop_ns(t.world.loop);
	t.ids[0] = crew_timer_every(worker(), 10, be_slow, &beats);
	for (unsigned i = 1; i <= 4; i++) {
		world_until(&t.world, beats == i); /* one a turn, however late it is */
		uint64_t due = t.world.loop->timers.slots[0].timer->due_ns;
		assert_int_equal((due - began) % (10 * CREW__NS_PER_MS), 0);
		assert_true(due > crew__loop_ns(t.world.loop));
	}
	assert_int_equal(crew_timer_stop(t.ids[0]), 0);
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void stop_the_others(crew_worker *w, void *arg)
{
	call(w, arg);
	assert_int_equal(crew_timer_stop(t.ids[0]), -ENOENT); /* it is this one: done */
	assert_int_equal(crew_timer_stop(t.ids[1]), 0);
	assert_int_equal(crew_timer_stop(t.ids[2]), 0);
}

static void one_that_is_due_can_still_be_stopped(void **state)
{
	open_it(state);
	t.ids[0] = crew_timer_after(worker(), 1, stop_the_others, name("first"));
	t.ids[1] = after(1, "second");
	t.ids[2] = crew_timer_every(worker(), 1, call, name("beat"));
	usleep(5000);
	world_pass(&t.world, 30);
	assert_string_equal(told(), "first");
	assert_int_equal(counter(&t.world, "timers"), 0);
}

static void an_id_means_one_timer_only(void **state)
{
	open_it(state);
	int64_t old = after(1000, "old");
	assert_int_equal(crew_timer_stop(old), 0);
	assert_int_equal(crew_timer_stop(old), -ENOENT);
	int64_t fresh = after(1000, "fresh"); /* in the same place */
	assert_true(fresh != old);
	assert_int_equal(crew_timer_stop(old), -ENOENT);
	assert_int_equal(counter(&t.world, "timers"), 1);
	assert_int_equal(crew_timer_stop(0), -ENOENT);
	assert_int_equal(crew_timer_stop(-1), -ENOENT);
	assert_int_equal(crew_timer_stop(fresh + 1), -ENOENT);
	assert_int_equal(crew_timer_stop(fresh | 0xfffff), -ENOENT);
	assert_int_equal(crew_timer_stop(fresh), 0);
}

static void wrong_ones_are_refused(void **state)
{
	open_it(state);
	assert_int_equal(crew_timer_after(worker(), 1, NULL, NULL), -EINVAL);
	assert_int_equal(crew_timer_after(NULL, 1, call, NULL), -EINVAL);
	assert_int_equal(crew_timer_every(worker(), 0, call, NULL), -EINVAL);
	assert_int_equal(crew_timer_every(worker(), 1, NULL, NULL), -EINVAL);
	assert_int_equal(crew_timer_after(worker(), UINT64_MAX, call, NULL), -EINVAL);
	assert_int_equal(counter(&t.world, "timers"), 0);
}

/* ---- many ---------------------------------------------------------------------------------- */

static void count_call(crew_worker *w, void *arg)
{
	assert_ptr_equal(w, worker());
	++*(unsigned *)arg;
}

static void all_that_are_not_stopped_fire_once(void **state)
{
	static bool stopped[MANY];
	struct pieces dice = pieces_of(3);
	unsigned left = MANY;
	open_it(state);
	memset(stopped, 0, sizeof(stopped));
	for (unsigned i = 0; i < MANY; i++) {
		uint64_t ms = 20 + pieces_random(&dice) % 50;
		t.ids[i] = crew_timer_after(worker(), ms, count_call, &t.calls[i]);
		assert_true(t.ids[i] > 0);
		unsigned victim = (unsigned)(pieces_random(&dice) % MANY);
		if (victim > i || stopped[victim])
			continue;
		assert_int_equal(crew_timer_stop(t.ids[victim]), 0); /* no turn: none has fired */
		stopped[victim] = true;
		left--;
	}
	assert_int_equal(counter(&t.world, "timers"), left);
	world_until(&t.world, counter(&t.world, "timers") == 0);
	world_pass(&t.world, 10);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(t.calls[i], !stopped[i]);
		assert_int_equal(crew_timer_stop(t.ids[i]), -ENOENT);
	}
}

/* ---- the end ------------------------------------------------------------------------------- */

static void they_end_with_their_worker(void **state)
{
	open_it(state);
	int64_t id = after(1, "never");
	crew_timer_every(worker(), 1, call, name("never"));
	usleep(3000); /* both are due */
	world_close(&t.world);
	assert_string_equal(told(), "");
	assert_int_equal(crew_timer_stop(id), -ENOENT);
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(each_fires_once_in_the_order_of_the_times),
		ON_BOTH(none_is_early),
		ON_BOTH(one_of_no_time_waits_for_the_loop),
		ON_BOTH(one_that_a_timer_starts_waits_for_the_next_turn),
		ON_BOTH(a_beat_goes_on_until_it_is_stopped),
		ON_BOTH(missed_beats_are_not_made_up_and_the_beat_is_kept),
		ON_BOTH(one_that_is_due_can_still_be_stopped),
		ON_BOTH(an_id_means_one_timer_only),
		ON_BOTH(wrong_ones_are_refused),
		ON_BOTH(all_that_are_not_stopped_fire_once),
		ON_BOTH(they_end_with_their_worker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
