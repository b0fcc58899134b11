/* The model of `status`, from directories and segments made by hand. */
#include "status_world.h"

#include "base/clock.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_lawful(const struct crew__slab *slab)
{
	const char *law;
	if (!crew__slab_lawful(slab, &law))
		fail_msg("%s", law);
}

/* ---- the model ----------------------------------------------------------------------------- */

static void nothing_lives(void **state)
{
	struct crew__status *status = world_take(*state);
	assert_string_equal(status->app, "shop");
	assert_string_equal(status->version, "1.2");
	assert_string_equal(status->mode, "daemon");
	assert_string_equal(status->engine, "epoll");
	assert_int_equal(status->master, getpid());
	assert_true(status->consistent);
	assert_false(status->master_stopped);
	assert_int_equal(status->generation, 1);
	assert_int_equal(status->services, 2);
	assert_int_equal(status->row_count, 0);
	assert_int_equal(status->exit_count, 0);
	assert_int_equal(status->workers, 0);
	assert_true(status->uptime_s > 99.9 && status->uptime_s < 100.1);
	crew__status_free(status);
	crew__status_free(NULL);
}

static void totals_are_the_living_and_the_retired(void **state)
{
	struct world *w = *state;
	pid_t me = getpid();
	world_work(world_add(w, world_life(1, 1, 0, me), world_app.counters), 1);
	world_work(world_add(w, world_life(2, 0, 1, me), world_app.counters), 10);
	world_work(world_add(w, world_life(3, 0, 0, me), world_app.counters), 100);
	world_work(world_add(w, world_life(4, 0, 2, me), world_app.counters), 1000);
	struct crew__snapshot dead = { .counters = *w->slabs[3] };
	crew__directory_retire(&w->directory, 4, &dead, "feed", 0, SIGKILL);
	struct crew__status *status = world_take(w);
	assert_true(status->consistent);
	assert_int_equal(status->row_count, 3);
	/* By service and id. */
	assert_string_equal(status->rows[0].service, "feed");
	assert_int_equal(status->rows[0].id, 0);
	assert_int_equal(status->rows[1].id, 1);
	assert_string_equal(status->rows[2].service, "web");
	assert_string_equal(status->rows[2].listen, "http://:8080");
	assert_int_equal(status->rows[0].counters.total_request, 1000);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_READY);
	assert_int_equal(status->workers, 3);
	assert_int_equal(status->retired.total_request, 10000);
	assert_int_equal(status->retired.connections, 0);
	assert_int_equal(status->retired.fail_crash, 3000);
	assert_int_equal(status->totals.total_request, 11110);
	assert_int_equal(status->totals.connections, 222);
	assert_int_equal(status->totals.messages_queued, 333);
	assert_int_equal(status->totals.app[0], 7777);
	assert_lawful(&status->retired);
	assert_lawful(&status->totals);
	assert_int_equal(status->exit_count, 1);
	assert_string_equal(status->exits[0].service, "feed");
	assert_int_equal(status->exits[0].signal, SIGKILL);
	assert_int_equal(status->exits[0].count, 1);
	/* All rows are this process, whose memory is there once. */
	assert_true(status->rows[0].memory_bytes > 0);
	assert_int_equal(status->total_memory_bytes, status->rows[0].memory_bytes);
	crew__status_free(status);
}

static void busy_is_a_turn_longer_than_half_a_second(void **state)
{
	struct world *w = *state;
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	atomic_store(&slab->callback, CREW__CB_MESSAGE);
	atomic_store(&slab->turn_began_ns, w->now_ns - 500 * CREW__NS_PER_MS);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_READY);
	assert_int_equal(status->rows[0].busy_ms, 0);
	assert_null(status->rows[0].busy_in);
	crew__status_free(status);

	atomic_store(&slab->turn_began_ns, w->now_ns - 3200 * CREW__NS_PER_MS);
	status = world_take(w);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_BUSY);
	assert_int_equal(status->rows[0].busy_ms, 3200);
	assert_string_equal(status->rows[0].busy_in, "on_message");
	crew__status_free(status);

	atomic_store(&slab->callback, CREW__CB_NONE);
	status = world_take(w);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_BUSY);
	assert_null(status->rows[0].busy_in);
	crew__status_free(status);

	/* What no worker would write. */
	atomic_store(&slab->callback, 12345);
	atomic_store(&slab->turn_began_ns, UINT64_MAX);
	atomic_store(&slab->state, 77);
	status = world_take(w);
	assert_int_equal(status->rows[0].busy_ms, 0);
	assert_null(status->rows[0].busy_in);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_EXITED);
	crew__status_free(status);
}

static void the_later_of_two_states_is_shown(void **state)
{
	struct world *w = *state;
	struct crew__life life = world_life(1, 0, 0, getpid());
	struct crew__slab *slab = world_add(w, life, world_app.counters);
	atomic_store(&slab->state, CREW__DRAINING);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_DRAINING);
	crew__status_free(status);

	/* The master has told a worker that does not listen. */
	atomic_store(&slab->state, CREW__READY);
	life.state = CREW__DRAINING;
	crew__directory_enter(&w->directory, &life);
	status = world_take(w);
	assert_int_equal(status->row_count, 1);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_DRAINING);
	crew__status_free(status);

	life.state = CREW__STARTING;
	crew__directory_enter(&w->directory, &life);
	atomic_store(&slab->state, CREW__STARTING);
	status = world_take(w);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_STARTING);
	assert_int_equal(status->workers, 1);
	crew__status_free(status);
}

/* A child that has ended, and that nobody has waited for. */
static pid_t make_zombie(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

static void the_dead_are_shown_as_they_will_be_folded(void **state)
{
	struct world *w = *state;
	pid_t zombie = make_zombie();
	world_work(world_add(w, world_life(1, 0, 0, zombie), world_app.counters), 1);
	world_work(world_add(w, world_life(2, 0, 1, getpid()), world_app.counters), 1);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_EXITED);
	assert_int_equal(status->rows[0].memory_bytes, 0);
	assert_int_equal(status->rows[0].counters.connections, 0);
	assert_int_equal(status->rows[0].counters.fail_crash, 3);
	assert_int_equal(status->rows[0].counters.close_crash, 2);
	assert_int_equal(status->workers, 1);
	assert_int_equal(status->totals.connections, 2);
	assert_int_equal(status->totals.messages_offered, 40);
	assert_lawful(&status->totals);
	/* And so they are: the totals do not move. */
	struct crew__snapshot folded = { .counters = *w->slabs[0] };
	crew__directory_retire(&w->directory, 1, &folded, "feed", 0, 0);
	struct crew__status *after = world_take(w);
	assert_int_equal(after->row_count, 1);
	assert_int_equal(after->totals.send_fail, status->totals.send_fail);
	assert_int_equal(after->totals.messages_offered, status->totals.messages_offered);
	assert_int_equal(after->totals.connections, status->totals.connections);
	crew__status_free(after);
	crew__status_free(status);
	assert_int_equal(waitpid(zombie, NULL, 0), zombie);
}

static void a_stopped_worker_is_told_of(void **state)
{
	struct world *w = *state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			pause();
	siginfo_t info;
	world_add(w, world_life(1, 0, 0, pid), world_app.counters);
	kill(pid, SIGSTOP);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
	struct crew__status *status = world_take(w);
	assert_true(status->rows[0].stopped);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_READY);
	crew__status_free(status);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void a_slot_between_two_lives(void **state)
{
	struct world *w = *state;
	struct crew__life life = world_life(1, 0, 3, 0);
	struct crew__service_settings own = { .service = world_app.services[0],
		.listen = (char[]){ "ws://:99" } };
	struct crew__settings settings = { .services = 1 };
	settings.service[0] = own;
	life.state = CREW__EXITED;
	crew__directory_enter(&w->directory, &life);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->row_count, 1);
	assert_int_equal(status->rows[0].state, CREW__SHOWN_EXITED);
	assert_int_equal(status->rows[0].pid, 0);
	assert_string_equal(status->rows[0].service, "feed");
	assert_string_equal(status->rows[0].listen, "");
	assert_int_equal(status->workers, 0);
	assert_int_equal(status->missing, 0);
	assert_true(status->consistent);
	crew__status_free(status);

	struct crew__status_source source = { .attached = &w->attached,
		.app = &world_app,
		.settings = &settings,
		.now_ns = w->now_ns };
	assert_int_equal(crew__status_new(&source, &status), 0);
	assert_string_equal(status->rows[0].listen, "ws://:99");
	crew__status_free(status);

	/* A sibling knows better than what the settings say now. */
	world_add(w, world_life(2, 0, 0, getpid()), world_app.counters);
	status = world_take(w);
	assert_int_equal(status->rows[1].id, 3);
	assert_string_equal(status->rows[1].listen, "ws://:7010");
	crew__status_free(status);
}

static void a_life_without_its_segment_is_missing(void **state)
{
	struct world *w = *state;
	struct crew__life life = world_life(9, 1, 0, getpid());
	crew__directory_enter(&w->directory, &life);
	struct crew__status *status = world_take(w);
	assert_int_equal(status->row_count, 1);
	assert_int_equal(status->missing, 1);
	assert_false(status->consistent);
	crew__status_free(status);
}

static void a_writer_inside_an_update_is_told_of(void **state)
{
	struct world *w = *state;
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	world_work(slab, 1);
	crew__slab_begin(slab);
	slab->messages_offered++;
	struct crew__status *status = world_take(w);
	assert_false(status->consistent);
	assert_int_equal(status->missing, 0);
	assert_int_equal(status->rows[0].counters.total_request, 10);
	crew__status_free(status);
	crew__slab_end(slab);
	status = world_take(w);
	assert_true(status->consistent);
	crew__status_free(status);
}

static void counters_of_the_program_go_by_name(void **state)
{
	static const crew_counter other_order[CREW_MAX_COUNTERS] = { { "refunds", "refunds", "" },
		{ "visits", "visits", "" }, { "orders", "orders", "" } };
	struct world *w = *state;
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), other_order);
	slab->app[0] = 1;
	slab->app[1] = 2;
	slab->app[2] = 3;
	struct crew__status *status = world_take(w);
	assert_int_equal(status->rows[0].counters.app[0], 3); /* orders */
	assert_int_equal(status->rows[0].counters.app[1], 1); /* refunds */
	assert_int_equal(status->rows[0].counters.app[2], 0);
	crew__status_free(status);
}

static void names_from_elsewhere_are_cleaned(void **state)
{
	struct world *w = *state;
	struct crew__directory_header *header = w->directory.header;
	memset(header->app, 'x', sizeof(header->app)); /* no NUL */
	memcpy(header->app_version, "\033[31m\xff", 7);
	header->services = UINT32_MAX;
	header->exit_rows = UINT32_MAX;
	header->began_ns = UINT64_MAX;
	header->lives[0] = (struct crew__life){ .life = 5, .service = UINT32_MAX };
	struct crew__status *status = world_take(w);
	assert_int_equal(strlen(status->app), sizeof(header->app) - 1);
	assert_string_equal(status->version, "?[31m?");
	assert_int_equal(status->services, CREW_MAX_SERVICES);
	assert_int_equal(status->exit_count, CREW__EXITS_MAX);
	assert_true(status->uptime_s == 0);
	assert_string_equal(status->rows[0].service, "");
	crew__status_free(status);
}

static void rates_are_from_screen_to_screen(void **state)
{
	struct world *w = *state;
	pid_t me = getpid();
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, me), world_app.counters);
	world_work(slab, 1);
	struct crew__status *before = world_take(w);
	world_work(slab, 10);
	world_work(
		world_add(w, world_life(2, 0, 1, me), world_app.counters), 3); /* born in between */
	w->now_ns += 2 * CREW__NS_PER_S;
	struct crew__status *status = world_take(w);
	assert_true(status->span_s > 100);
	crew__status_since(status, before);
	assert_true(status->span_s > 1.99 && status->span_s < 2.01);
	assert_int_equal(status->rows[0].qps, 50);
	assert_int_equal(status->rows[1].qps, 15);
	assert_int_equal(status->total_qps, 65);
	assert_int_equal(status->before.send_fail, 5);
	crew__status_free(status);

	/* Started anew in between: nothing to compare with. */
	status = world_take(w);
	status->uptime_s = 1;
	status->span_s = 1;
	crew__status_since(status, before);
	assert_true(status->span_s == 1);
	crew__status_free(status);
	crew__status_free(before);
}

static void what_is_settled_is_taken_at_once(void **state)
{
	struct world *w = *state;
	char error[256] = "";
	world_work(world_add(w, world_life(1, 0, 0, getpid()), world_app.counters), 1);
	struct crew__status *status = world_take(w);
	crew__status_free(status);
	struct crew__status_source source = { .attached = &w->attached,
		.app = &world_app,
		.run_dir = "/nonexistent",
		.name = "shop",
		.now_ns = w->now_ns };
	assert_int_equal(crew__status_take(&source, &status, error, sizeof(error)), 0);
	assert_int_equal(status->totals.total_request, 10);
	crew__status_free(status);
}

/* A worker was born since the directory was copied: what is attached is looked up again. Here there
 * is nothing to attach to, and that is what is told. */
static void what_is_not_settled_is_taken_again(void **state)
{
	struct world *w = *state;
	char error[256] = "";
	struct crew__status *status = world_take(w);
	crew__status_free(status);
	struct crew__status_source source = { .attached = &w->attached,
		.app = &world_app,
		.run_dir = "/nonexistent",
		.name = "shop",
		.now_ns = w->now_ns };
	world_add(w, world_life(1, 0, 0, getpid()), world_app.counters);
	assert_true(crew__status_take(&source, &status, error, sizeof(error)) < 0);
	assert_string_not_equal(error, "");
	/* Of a master that does not turn nothing new is to be had. */
	w->attached.master_answers = false;
	assert_int_equal(crew__status_take(&source, &status, error, sizeof(error)), 0);
	assert_int_equal(status->row_count, 0);
	crew__status_free(status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(nothing_lives),
		WORLD_TEST(totals_are_the_living_and_the_retired),
		WORLD_TEST(busy_is_a_turn_longer_than_half_a_second),
		WORLD_TEST(the_later_of_two_states_is_shown),
		WORLD_TEST(the_dead_are_shown_as_they_will_be_folded),
		WORLD_TEST(a_stopped_worker_is_told_of),
		WORLD_TEST(a_slot_between_two_lives),
		WORLD_TEST(a_life_without_its_segment_is_missing),
		WORLD_TEST(a_writer_inside_an_update_is_told_of),
		WORLD_TEST(counters_of_the_program_go_by_name),
		WORLD_TEST(names_from_elsewhere_are_cleaned),
		WORLD_TEST(rates_are_from_screen_to_screen),
		WORLD_TEST(what_is_settled_is_taken_at_once),
		WORLD_TEST(what_is_not_settled_is_taken_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
