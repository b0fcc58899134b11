/* test_loop_turn.c - the turn, on both engines: how long it waits, what it notes, its hooks. */
#include "base/clock.h"
#include "loop/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

struct world {
	enum crew__engine_kind kind;
	struct crew__loop *loop;
};

static int set_up(void **state, enum crew__engine_kind kind)
{
	struct world *world = calloc(1, sizeof(*world));
	if (!world || crew__loop_new(kind, &world->loop) != 0)
		return -1;
	world->kind = kind;
	*state = world;
	return 0;
}

static int set_up_epoll(void **state)
{
	return set_up(state, CREW__ENGINE_EPOLL);
}

static int set_up_poll(void **state)
{
	return set_up(state, CREW__ENGINE_POLL);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	crew__loop_free(world->loop);
	free(world);
	return 0;
}

static void turn(struct world *world)
{
	assert_int_equal(crew__loop_turn(world->loop, 0), 0);
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct alarm {
	struct crew__timer timer;
	struct world *world;
	uint64_t rang_ns;
	int left; /* restarts */
};

static void on_alarm(struct crew__timer *timer)
{
	struct alarm *alarm = crew__container_of(timer, struct alarm, timer);
	alarm->rang_ns = crew__clock_ns();
	if (alarm->left-- > 0)
		assert_int_equal(crew__timer_start(alarm->world->loop, timer, timer->due_ns), 0);
	else
		crew__loop_stop(alarm->world->loop);
}

static void waits_for_a_timer_and_never_less(void **state)
{
	struct world *world = *state;
	for (uint64_t wait_us = 100; wait_us < 20000; wait_us = wait_us * 3 + 77) {
		struct alarm alarm = { .timer.fn = on_alarm, .world = world };
		uint64_t due_ns = crew__clock_ns() + wait_us * 1000;
		assert_int_equal(crew__timer_start(world->loop, &alarm.timer, due_ns), 0);
		assert_int_equal(crew__loop_run(world->loop), 0);
		assert_true(alarm.rang_ns >= due_ns);
		assert_true(crew__loop_ns(world->loop) >= due_ns);
	}
}

struct counting_hook {
	struct crew__turn_hook hook;
	int turns;
};

static bool count_turn(struct crew__turn_hook *hook)
{
	crew__container_of(hook, struct counting_hook, hook)->turns++;
	return false;
}

/* One wait each: a loop that rounds a wait down would turn many times over the last fraction. */
static void does_not_spin_before_a_timer(void **state)
{
	struct world *world = *state;
	struct counting_hook counter = { .hook.fn = count_turn };
	crew__loop_add_hook(world->loop, &counter.hook);
	for (int i = 1; i <= 10; i++) {
		struct alarm alarm = { .timer.fn = on_alarm, .world = world };
		uint64_t due_ns = crew__clock_ns() + 2345678;
		assert_int_equal(crew__timer_start(world->loop, &alarm.timer, due_ns), 0);
		assert_int_equal(crew__loop_run(world->loop), 0);
		assert_int_equal(counter.turns, i);
	}
}

static void a_timer_restarted_for_now_gets_a_turn_each(void **state)
{
	struct world *world = *state;
	struct counting_hook counter = { .hook.fn = count_turn };
	struct alarm alarm = { .timer.fn = on_alarm, .world = world, .left = 9 };
	crew__loop_add_hook(world->loop, &counter.hook);
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, 1), 0);
	assert_int_equal(crew__loop_run(world->loop), 0);
	assert_int_equal(counter.turns, 10);
}

static void a_turn_waits_no_longer_than_it_may(void **state)
{
	struct world *world = *state;
	struct alarm alarm = { .timer.fn = on_alarm, .world = world };
	uint64_t began = crew__clock_ns();
	assert_int_equal(crew__loop_turn(world->loop, 5), 0);
	uint64_t waited = crew__clock_ns() - began;
	assert_true(waited >= 5 * CREW__NS_PER_MS);
	/* A timer that is far away, or never, does not lengthen it. */
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, CREW__NEVER), 0);
	assert_int_equal(crew__loop_turn(world->loop, 1), 0);
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, CREW__NEVER - 1), 0);
	assert_int_equal(crew__loop_turn(world->loop, 1), 0);
	assert_true(crew__clock_ns() - began < 20 * CREW__NS_PER_S);
	assert_int_equal(alarm.rang_ns, 0);
	crew__timer_stop(world->loop, &alarm.timer); /* it ends before the loop does */
}

static void stop_before_run_ends_it_at_once(void **state)
{
	struct world *world = *state;
	struct counting_hook counter = { .hook.fn = count_turn };
	crew__loop_add_hook(world->loop, &counter.hook);
	crew__loop_stop(world->loop);
	assert_int_equal(crew__loop_run(world->loop), 0);
	assert_int_equal(counter.turns, 0);
}

/* ---- what is noted ------------------------------------------------------------------------- */

static _Atomic uint64_t noted[2];
static uint64_t noted_inside[2];

static bool look_at_note(struct crew__turn_hook *hook)
{
	(void)hook;
	noted_inside[0] = noted[0];
	noted_inside[1] = noted[1];
	return false;
}

static void notes_when_the_turn_began(void **state)
{
	struct world *world = *state;
	struct crew__turn_hook hook = { .fn = look_at_note };
	crew__loop_add_hook(world->loop, &hook);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[0], NULL), 0);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[1], NULL), 0);
	turn(world);
	assert_int_equal(noted_inside[0], crew__loop_ns(world->loop));
	assert_int_equal(noted_inside[1], crew__loop_ns(world->loop));

	struct alarm alarm = { .timer.fn = on_alarm, .world = world };
	assert_int_equal(crew__timer_start(world->loop, &alarm.timer, 1), 0);
	assert_int_equal(crew__loop_run(world->loop), 0);
	assert_int_equal(noted[0], 0); /* the loop no longer turns: it is not busy */

	assert_int_equal(crew__loop_note_turns(world->loop, NULL, NULL), 0);
	noted[0] = 7;
	turn(world);
	assert_int_equal(noted[0], 7);
	for (int i = 0; i < CREW_MAX_SERVICES; i++)
		assert_int_equal(crew__loop_note_turns(world->loop, &noted[0], NULL), 0);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[0], NULL), -ENOBUFS);
}

/* ---- which are timed ----------------------------------------------------------------------- */

static struct {
	unsigned begun, ended, turns, timed_inside;
	bool in_step;
	unsigned sleep_us;
} timing;

static void on_timed(bool timed)
{
	timing.in_step = timing.in_step && timed == crew__loop_timed;
	timing.begun += timed;
	timing.ended += !timed;
}

static bool look_at_timed(struct crew__turn_hook *hook)
{
	(void)hook;
	timing.turns++;
	timing.timed_inside += crew__loop_timed;
	timing.in_step = timing.in_step && crew__loop_timed == (timing.begun > timing.ended);
	if (crew__loop_timed)
		usleep(timing.sleep_us);
	return false;
}

static uint64_t counted(const struct crew__histogram *h)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < CREW__BUCKETS; i++)
		all += h->count[i];
	return all;
}

static void time_turns(struct world *world, struct crew__turn_hook *hook)
{
	memset(&timing, 0, sizeof(timing));
	timing.in_step = true;
	timing.sleep_us = 3000;
	hook->fn = look_at_timed;
	crew__loop_add_hook(world->loop, hook);
	crew__loop_on_timed(world->loop, on_timed);
}

static void one_turn_in_many_is_timed(void **state)
{
	struct world *world = *state;
	struct crew__turn_hook hook;
	struct crew__histogram turns = { 0 };
	time_turns(world, &hook);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[0], &turns), 0);
	turn(world);
	assert_int_equal(timing.timed_inside, 1); /* the first, so that there soon is something */
	for (unsigned i = 1; i < 3 * CREW__TIMED_EACH; i++)
		turn(world);
	assert_int_equal(timing.turns, 3 * CREW__TIMED_EACH);
	assert_int_equal(timing.timed_inside, 3);
	assert_int_equal(timing.begun, 3);
	assert_int_equal(timing.ended, 3);
	assert_true(timing.in_step);
	assert_false(crew__loop_timed);
	assert_int_equal(counted(&turns), 3);
	assert_true(turns.sum_us >= 3 * 3000);
	for (unsigned i = 0; i < 12; i++) /* below 2^11 us, i.e. shorter than it slept */
		assert_int_equal(turns.count[i], 0);
}

/* As in --single: every turn is noted in each place, and still only some are timed. */
static void several_share_the_timed_turns(void **state)
{
	struct world *world = *state;
	struct crew__turn_hook hook;
	struct crew__histogram turns[2] = { { .sum_us = 0 } };
	time_turns(world, &hook);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[0], &turns[0]), 0);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[1], NULL), 0);
	assert_int_equal(crew__loop_note_turns(world->loop, &noted[1], &turns[1]), 0);
	for (unsigned i = 0; i < 2 * CREW__TIMED_EACH; i++)
		turn(world);
	assert_int_equal(timing.timed_inside, 2);
	assert_true(timing.in_step);
	assert_int_equal(counted(&turns[0]), 2);
	assert_int_equal(counted(&turns[1]), 2);
	assert_int_equal(turns[0].sum_us, turns[1].sum_us);
	/* Who is added later waits for his turn as well. */
	assert_int_equal(crew__loop_note_turns(world->loop, NULL, NULL), 0);
	crew__loop_on_timed(world->loop, NULL);
	for (unsigned i = 0; i < CREW__TIMED_EACH; i++)
		turn(world);
	assert_int_equal(timing.timed_inside, 3);
	assert_int_equal(timing.begun, 2);
	assert_int_equal(counted(&turns[0]), 2);
}

/* ---- hooks --------------------------------------------------------------------------------- */

struct named_hook {
	struct crew__turn_hook hook;
	struct crew__loop *loop;
	char name;
	bool busy;
	struct named_hook *removes, *adds;
};

static char order[32];

static bool on_turn_end(struct crew__turn_hook *hook)
{
	struct named_hook *named = crew__container_of(hook, struct named_hook, hook);
	size_t len = strlen(order);
	assert_true(len + 1 < sizeof(order));
	order[len] = named->name;
	order[len + 1] = '\0';
	if (named->removes)
		crew__loop_remove_hook(named->loop, &named->removes->hook);
	if (named->adds)
		crew__loop_add_hook(named->loop, &named->adds->hook);
	named->adds = NULL;
	return named->busy;
}

static void make_hooks(struct world *world, struct named_hook *hooks, int count)
{
	for (int i = 0; i < count; i++) {
		hooks[i] = (struct named_hook){
			.hook.fn = on_turn_end, .loop = world->loop, .name = (char)('a' + i)
		};
		crew__loop_add_hook(world->loop, &hooks[i].hook);
	}
	order[0] = '\0';
}

static void hooks_run_in_order_each_once(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[3];
	make_hooks(world, hooks, 3);
	turn(world);
	assert_string_equal(order, "abc");
	crew__loop_remove_hook(world->loop, &hooks[1].hook);
	crew__loop_remove_hook(world->loop, &hooks[1].hook);
	turn(world);
	assert_string_equal(order, "abcac");
}

static void hooks_may_be_removed_by_hooks(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[4];
	make_hooks(world, hooks, 4);
	hooks[0].removes = &hooks[1]; /* the next */
	hooks[2].removes = &hooks[2]; /* itself */
	hooks[3].removes = &hooks[0]; /* one that has run */
	turn(world);
	assert_string_equal(order, "acd");
	turn(world);
	assert_string_equal(order, "acdd");
}

static void hooks_may_be_added_by_hooks(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[1], late = { .hook.fn = on_turn_end, .name = 'z' };
	make_hooks(world, hooks, 1);
	hooks[0].adds = &late;
	turn(world);
	turn(world);
	assert_string_equal(order, "aaz"); /* from the next turn on */
}

static void a_hook_with_work_keeps_the_loop_awake(void **state)
{
	struct world *world = *state;
	struct named_hook hooks[2];
	make_hooks(world, hooks, 2);
	hooks[0].busy = true;
	turn(world);
	hooks[0].busy = false;
	uint64_t began = crew__clock_ns();
	assert_int_equal(crew__loop_turn(world->loop, 60000), 0);
	assert_true(crew__clock_ns() - began < 30 * CREW__NS_PER_S);
	assert_string_equal(order, "abab");
}

static void cannot_be_made_without_descriptors(void **state)
{
	struct world *world = *state;
	struct rlimit old, none;
	struct crew__loop *loop = NULL;
	rlim_t needs = world->kind == CREW__ENGINE_EPOLL ? 3 : 1;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	int highest = dup(STDERR_FILENO);
	close(highest);
	for (rlim_t allowed = 0; allowed <= needs; allowed++) {
		none = (struct rlimit){ (rlim_t)highest + allowed, old.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		int error = crew__loop_new(world->kind, &loop);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(error, allowed < needs ? -EMFILE : 0);
	}
	crew__loop_free(loop);
	int again = dup(STDERR_FILENO);
	assert_int_equal(again, highest); /* and nothing was left open */
	close(again);
}

#define ON_BOTH(test)                                              \
	{ "epoll: " #test, test, set_up_epoll, tear_down, NULL },  \
	{                                                          \
		"poll: " #test, test, set_up_poll, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(waits_for_a_timer_and_never_less),
		ON_BOTH(does_not_spin_before_a_timer),
		ON_BOTH(a_timer_restarted_for_now_gets_a_turn_each),
		ON_BOTH(a_turn_waits_no_longer_than_it_may),
		ON_BOTH(stop_before_run_ends_it_at_once),
		ON_BOTH(notes_when_the_turn_began),
		ON_BOTH(one_turn_in_many_is_timed),
		ON_BOTH(several_share_the_timed_turns),
		ON_BOTH(hooks_run_in_order_each_once),
		ON_BOTH(hooks_may_be_removed_by_hooks),
		ON_BOTH(hooks_may_be_added_by_hooks),
		ON_BOTH(a_hook_with_work_keeps_the_loop_awake),
		ON_BOTH(cannot_be_made_without_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
