/* test_progress.c - what is waited for, in words: a reload's two halves, a stop, a worker that
 * holds on. */
#include "cli/progress.h"

#include "base/clock.h"
#include "status_world.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char line[CREW__PROGRESS_MAX];

/* A worker of that generation; one that drains has 12 s left. */
static struct crew__slab *add(struct world *w, uint32_t number, uint32_t id, uint32_t generation,
	enum crew__worker_state state)
{
	struct crew__life life = world_life(number, 0, id, getpid());
	life.generation = generation;
	life.state = state;
	if (state == CREW__DRAINING)
		life.next_ns = w->now_ns + 11500 * CREW__NS_PER_MS;
	return world_add(w, life, world_app.counters);
}

static const char *reload_line(const struct crew__status *status)
{
	crew__reload_line(status, line);
	return line;
}

static void nothing_is_said_of_nothing(void **state)
{
	struct world *w = *state;
	char waits[CREW__WAITS_MAX];
	add(w, 1, 0, 1, CREW__READY);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->reload.state, CREW__RELOAD_NONE);
	assert_string_equal(reload_line(status), "");
	assert_string_equal(crew__waits_for(&status->rows[0], waits), "");
	crew__status_free(status);
}

static void the_new_ones_are_counted(void **state)
{
	struct world *w = *state;
	add(w, 1, 0, 1, CREW__READY);
	add(w, 2, 1, 1, CREW__READY);
	crew__directory_reload(&w->directory, crew__clock_ns());
	struct crew__status *status = world_take(w);
	/* It has begun, and nobody is there yet. */
	assert_int_equal(status->reload.state, CREW__RELOAD_STARTS);
	assert_string_equal(reload_line(status), "generation 2: 0 of 0 workers ready");
	crew__status_free(status);
	add(w, 3, 0, 2, CREW__READY);
	add(w, 4, 1, 2, CREW__STARTING);
	status = world_take(w);
	assert_int_equal(status->reload.generation, 2);
	assert_string_equal(reload_line(status), "generation 2: 1 of 2 workers ready");
	crew__status_free(status);
}

static void who_holds_the_old_one_is_named(void **state)
{
	struct world *w = *state;
	char waits[CREW__WAITS_MAX];
	crew__directory_generation(&w->directory, 2, NULL);
	world_work(add(w, 1, 1, 1, CREW__DRAINING), 60);
	add(w, 2, 0, 2, CREW__READY);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->reload.state, CREW__RELOAD_DRAINS);
	assert_int_equal(status->reload.ready, 1);
	assert_int_equal(status->rows[0].leaves_in_ms, 11500);
	assert_string_equal(crew__waits_for(&status->rows[0], waits), "120 connections");
	assert_string_equal(reload_line(status),
		"generation 1: 1 worker left, feed#1, waiting for 120 connections, 12 s left");
	crew__status_free(status);
	for (uint32_t id = 2; id < 6; id++)
		add(w, 10 + id, id, 1, CREW__DRAINING);
	status = world_take(w);
	assert_string_equal(reload_line(status),
		"generation 1: 5 workers left, feed#1, feed#2, feed#3 and 2 more, 120 connections, "
		"12 s left");
	crew__status_free(status);
}

static void a_callback_that_does_not_return_is_named(void **state)
{
	struct world *w = *state;
	char waits[CREW__WAITS_MAX];
	crew__directory_generation(&w->directory, 2, NULL);
	struct crew__slab *slab = add(w, 1, 1, 1, CREW__DRAINING);
	world_work(slab, 1);
	atomic_store(&slab->callback, CREW__CB_WORKER_STOP);
	atomic_store(&slab->turn_began_ns, w->now_ns - 3200 * CREW__NS_PER_MS);
	struct crew__status *status = world_take(w);
	assert_string_equal(crew__waits_for(&status->rows[0], waits),
		"on_worker_stop, which has not returned for 3.2 s");
	crew__status_free(status);
}

static void a_stop_names_whom_it_waits_for(void **state)
{
	struct world *w = *state;
	struct crew__status *status;
	add(w, 1, 0, 1, CREW__DRAINING);
	world_work(add(w, 2, 1, 1, CREW__DRAINING), 1);
	status = world_take(w);
	crew__stop_line(status, 30000, line);
	assert_string_equal(
		line, "stopping: 2 workers left, feed#0, feed#1, 2 connections, 12 s left");
	crew__status_free(status);
}

static void without_workers_it_waits_for_the_master(void **state)
{
	struct world *w = *state;
	struct crew__status *status = world_take(w);
	crew__stop_line(status, 30000, line);
	assert_string_equal(line, "all workers have gone; the master ends");
	crew__status_free(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(nothing_is_said_of_nothing),
		WORLD_TEST(the_new_ones_are_counted),
		WORLD_TEST(who_holds_the_old_one_is_named),
		WORLD_TEST(a_callback_that_does_not_return_is_named),
		WORLD_TEST(a_stop_names_whom_it_waits_for),
		WORLD_TEST(without_workers_it_waits_for_the_master),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
