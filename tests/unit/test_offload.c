/* test_offload.c - slow work off the loop: what runs where, who is told what and when, what is
 * refused, and how it ends. The works here stand at a gate until the test lets them through, so
 * nothing is a matter of time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"

#include "service/offload_parts.h"

#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	THREADS = 2,
	QUEUE = 8,
	JOBS = THREADS + QUEUE,
	MANY = 400
};

/* What a job is given: it runs to its gate, and on when that opens. */
struct gate {
	char name[16];
	sem_t reached, open;
	pthread_t thread; /* that ran it */
	bool ran, wanted;
	int64_t id;
};

static struct {
	struct world world;
	struct gate gates[JOBS + 2];
	pthread_t loop;
	int64_t timeout_ms, stop_result;
	bool stopped;
	unsigned chain, done_count, errors;
	int64_t ids[MANY];
} t;

/* ---- the program --------------------------------------------------------------------------- */

static void on_stop(crew_worker *w)
{
	assert_int_equal(
		crew_offload(w, (crew_work_fn *)(uintptr_t)on_stop, NULL, NULL), -ESHUTDOWN);
	tell("stop");
}

static const crew_service quiet = {
	.name = "quiet",
	.listen = "tcp://127.0.0.1:1",
	.on_worker_stop = on_stop,
};

static void adjust(struct crew__service_settings *s)
{
	s->offload_threads = THREADS;
	s->offload_queue = QUEUE;
	s->offload_timeout_ms = t.timeout_ms;
}

static crew_worker *worker(void)
{
	return t.world.worker;
}

static void open_it(void **state)
{
	memset(&t, 0, sizeof(t));
	told_anew();
	for (unsigned i = 0; i < crew__lengthof(t.gates); i++) {
		snprintf(t.gates[i].name, sizeof(t.gates[i].name), "%u", i);
		sem_init(&t.gates[i].reached, 0, 0);
		sem_init(&t.gates[i].open, 0, 0);
	}
	t.loop = pthread_self();
	t.timeout_ms = 0;
	assert_true(world_open(&t.world, &quiet, engine_of(state), adjust));
}

static void let_through(unsigned i)
{
	sem_post(&t.gates[i].open);
}

/* Whatever a failed test left standing must not keep the next from its threads. */
static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < crew__lengthof(t.gates); i++)
		let_through(i);
	if (worker())
		world_clean_up(&t.world);
	else
		world_close(&t.world);
	for (int i = 0; i < 5000 && crew__offloads_left_behind() > 0; i++)
		usleep(1000);
	return 0;
}

static void stand_at_gate(void *arg)
{
	struct gate *gate = arg;
	gate->ran = true;
	gate->thread = pthread_self();
	sem_post(&gate->reached);
	while (sem_wait(&gate->open) < 0)
		;
	gate->wanted = crew_offload_wanted();
}

static void name_it(crew_worker *w, int error, void *arg)
{
	struct gate *gate = arg;
	assert_true(pthread_equal(pthread_self(), t.loop));
	assert_int_equal(atomic_load(&w->net.stats.slab->callback), CREW__CB_OFFLOAD);
	assert_int_equal(gate->ran, error == 0);
	tell(error ? "%s:%s" : "%s", gate->name, strerrorname_np(-error));
}

static int64_t send_off(unsigned i)
{
	struct gate *gate = &t.gates[i];
	gate->id = crew_offload(worker(), stand_at_gate, name_it, gate);
	return gate->id;
}

static void send_off_many(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_true(send_off(i) > 0);
}

static void await_gate(unsigned i)
{
	while (sem_wait(&t.gates[i].reached) < 0)
		;
}

static void until_told(const char *words)
{
	world_until(&t.world, strcmp(told(), words) == 0);
}

static uint64_t count_of(const char *name)
{
	return counter(&t.world, name);
}

/* Nothing that was offered is without an outcome. */
static void assert_law(void)
{
	assert_int_equal(count_of("offload_offered"),
		count_of("offload_done") + count_of("offload_refused") + count_of("offload_late") +
			count_of("offload_canceled") + count_of("offload_left") +
			count_of("offload_queued") + count_of("offload_running"));
}

static unsigned idle_threads(void)
{
	struct crew__pool *pool = worker()->offloads->pool;
	pthread_mutex_lock(&pool->lock);
	unsigned idle = pool->idle;
	pthread_mutex_unlock(&pool->lock);
	return idle;
}

static unsigned threads_here(void)
{
	unsigned count = 0;
	DIR *tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	for (struct dirent *task; (task = readdir(tasks));)
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

static void on_done(crew_worker *w, void *arg)
{
	(void)arg;
	assert_ptr_equal(w, worker());
	t.world.done = true;
}

static void stop_it(bool graceful, uint64_t window_ms)
{
	const struct crew__worker_stop stop = {
		.graceful = graceful,
		.window_ms = window_ms,
		.close_code = 1001,
		.done = on_done,
	};
	crew__worker_stop(worker(), &stop);
}

/* ---- running ------------------------------------------------------------------------------- */

static void it_runs_in_a_thread_and_is_told_in_the_loop(void **state)
{
	open_it(state);
	assert_true(send_off(0) > 0);
	await_gate(0);
	assert_false(pthread_equal(t.gates[0].thread, t.loop));
	assert_int_equal(count_of("offload_running"), 1);
	world_pass(&t.world, 20);
	assert_string_equal(told(), ""); /* the loop turns meanwhile */
	let_through(0);
	until_told("0");
	assert_true(t.gates[0].wanted);
	assert_int_equal(count_of("offload_done"), 1);
	assert_int_equal(count_of("offload_running"), 0);
	assert_law();
	assert_true(crew_offload_wanted()); /* of no job */
}

static void jobs_are_told_in_the_order_of_their_ends(void **state)
{
	open_it(state);
	send_off_many(3);
	await_gate(0);
	await_gate(1);
	assert_int_equal(count_of("offload_queued"), 1);
	let_through(1);
	until_told("1");
	await_gate(2); /* by the thread that is free */
	assert_true(pthread_equal(t.gates[2].thread, t.gates[1].thread));
	let_through(2);
	until_told("1 2");
	let_through(0);
	until_told("1 2 0");
	assert_law();
}

static void threads_are_begun_when_they_are_needed(void **state)
{
	open_it(state);
	unsigned before = threads_here();
	send_off(0);
	await_gate(0);
	assert_int_equal(threads_here(), before + 1);
	let_through(0);
	until_told("0");
	/* One that idles takes it. */
	world_until(&t.world, idle_threads() == 1);
	send_off(1);
	await_gate(1);
	assert_true(pthread_equal(t.gates[1].thread, t.gates[0].thread));
	assert_int_equal(threads_here(), before + 1);
	let_through(1);
	until_told("0 1");
}

static void look_around(void *arg)
{
	char *name = arg;
	sigset_t mask;
	pthread_getname_np(pthread_self(), name, 16);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	bool quiet_thread = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP) &&
			    sigismember(&mask, SIGCHLD) && sigismember(&mask, SIGPROF);
	bool tells_faults = !sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGABRT);
	if (!quiet_thread || !tells_faults)
		strcpy(name, "wrong mask");
}

static void say_it(crew_worker *w, int error, void *arg)
{
	(void)w;
	tell("%s:%d", (const char *)arg, error);
}

static void a_thread_has_a_name_and_takes_no_signals(void **state)
{
	char name[16] = "";
	sigset_t mask;
	open_it(state);
	assert_true(crew_offload(worker(), look_around, say_it, name) > 0);
	until_told("offload/0:0");
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_false(sigismember(&mask, SIGTERM)); /* of the loop's own thread it is as before */
}

static void go_on(void *arg)
{
	++*(unsigned *)arg;
}

static void chain(crew_worker *w, int error, void *arg)
{
	assert_int_equal(error, 0);
	if (t.chain < 50)
		assert_true(crew_offload(w, go_on, chain, arg) > 0);
	else
		tell("end");
}

static void one_may_bring_about_the_next(void **state)
{
	open_it(state);
	assert_true(crew_offload(worker(), go_on, chain, &t.chain) > 0);
	until_told("end");
	assert_int_equal(t.chain, 50);
	assert_law();
}

static void nobody_need_be_told(void **state)
{
	open_it(state);
	assert_true(crew_offload(worker(), stand_at_gate, NULL, &t.gates[0]) > 0);
	let_through(0);
	world_until(&t.world, count_of("offload_done") == 1);
	assert_string_equal(told(), "");
}

/* ---- not running --------------------------------------------------------------------------- */

static void what_is_wrong_is_refused_at_once(void **state)
{
	open_it(state);
	const crew_offload_options too_small = { .timeout_ms = -2 };
	const crew_offload_options too_large = { .timeout_ms = INT64_C(1) << 40 };
	const crew_offload_options gone = { .conn = UINT64_MAX };
	assert_int_equal(crew_offload(NULL, stand_at_gate, name_it, NULL), -EINVAL);
	assert_int_equal(crew_offload(worker(), NULL, name_it, NULL), -EINVAL);
	assert_int_equal(
		crew_offload_with(worker(), stand_at_gate, name_it, NULL, &too_small), -EINVAL);
	assert_int_equal(
		crew_offload_with(worker(), stand_at_gate, name_it, NULL, &too_large), -EINVAL);
	assert_int_equal(
		crew_offload_with(worker(), stand_at_gate, name_it, NULL, &gone), -ENOTCONN);
	assert_int_equal(crew_offload_cancel(1), -ENOENT);
	assert_int_equal(crew_offload_cancel(-1), -ENOENT);
	assert_int_equal(count_of("offload_offered"), 0); /* slips are no load */
}

static void a_full_queue_refuses(void **state)
{
	char all[256] = "";
	open_it(state);
	send_off_many(JOBS);
	assert_int_equal(send_off(JOBS), -ENOBUFS);
	assert_int_equal(send_off(JOBS), -ENOBUFS);
	assert_int_equal(count_of("offload_refused"), 2);
	await_gate(0);
	await_gate(1);
	assert_int_equal(send_off(JOBS), -ENOBUFS); /* those that run are not of the queue */
	assert_int_equal(count_of("offload_queued"), QUEUE);
	assert_law();
	let_through(0);
	until_told("0");
	assert_true(send_off(JOBS) > 0); /* and there is room again */
	for (unsigned i = 1; i <= JOBS; i++)
		let_through(i);
	world_until(&t.world, count_of("offload_done") == JOBS + 1);
	assert_law();
	snprintf(all, sizeof(all), "%s", told());
	assert_null(strchr(all, ':'));
}

static void one_that_waits_is_canceled_and_not_run(void **state)
{
	open_it(state);
	send_off_many(4);
	await_gate(0);
	await_gate(1);
	assert_int_equal(crew_offload_cancel(t.gates[3].id), 0);
	assert_int_equal(crew_offload_cancel(t.gates[2].id), 0);
	assert_string_equal(told(), "");                              /* never from inside a call */
	assert_int_equal(crew_offload_cancel(t.gates[2].id), -EBUSY); /* its fate is decided */
	until_told("3:ECANCELED 2:ECANCELED");
	assert_int_equal(crew_offload_cancel(t.gates[2].id), -ENOENT);
	assert_int_equal(count_of("offload_canceled"), 2);
	assert_law();
}

static void one_that_runs_is_only_told_so(void **state)
{
	open_it(state);
	send_off_many(2);
	await_gate(0);
	await_gate(1);
	assert_int_equal(crew_offload_cancel(t.gates[0].id), -EBUSY);
	let_through(0);
	until_told("0");
	assert_false(t.gates[0].wanted);
	let_through(1);
	until_told("0 1");
	assert_true(t.gates[1].wanted);
	assert_int_equal(count_of("offload_done"), 2);
	assert_int_equal(crew_offload_cancel(t.gates[0].id), -ENOENT);
}

static void one_that_waits_too_long_is_not_run(void **state)
{
	open_it(state);
	const crew_offload_options patient = { .timeout_ms = CREW_OFF };
	send_off_many(2);
	await_gate(0);
	await_gate(1);
	t.world.settings.offload_timeout_ms = 1; /* as `set` does */
	assert_true(send_off(2) > 0);
	assert_true(crew_offload_with(worker(), stand_at_gate, name_it, &t.gates[3], &patient) > 0);
	until_told("2:ETIMEDOUT");
	assert_int_equal(count_of("offload_late"), 1);
	world_pass(&t.world, 20);
	let_through(0); /* they run: for that there is no limit */
	let_through(1);
	let_through(3);
	world_until(&t.world, count_of("offload_done") == 3);
	assert_false(t.gates[2].ran);
	assert_law();
	assert_true(atomic_load(&worker()->net.stats.slab->offload.longest_wait_ns) >= 20000000);
}

static void what_a_gone_connection_wanted_is_not_run(void **state)
{
	open_it(state);
	int peer = world_connect(&t.world);
	world_settle(&t.world);
	crew_conn *c = world_conn(&t.world, 0);
	const crew_offload_options for_it = { .conn = crew_id(c) };
	for (unsigned i = 0; i < 3; i++)
		assert_true(crew_offload_with(
				    worker(), stand_at_gate, name_it, &t.gates[i], &for_it) > 0);
	await_gate(0);
	await_gate(1);
	crew_abort(c);
	world_settle(&t.world);
	assert_null(crew_find(for_it.conn));
	assert_int_equal(crew_offload_with(worker(), stand_at_gate, name_it, &t.gates[3], &for_it),
		-ENOTCONN);
	let_through(0);
	let_through(1);
	world_until(&t.world, count_of("offload_done") == 2 && count_of("offload_canceled") == 1);
	assert_non_null(strstr(told(), "2:ENOTCONN"));
	assert_false(t.gates[0].wanted);
	assert_law();
	close(peer);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void a_stop_waits_for_all_that_was_taken(void **state)
{
	open_it(state);
	unsigned before = threads_here();
	send_off_many(4);
	await_gate(0);
	await_gate(1);
	stop_it(false, 60000);
	world_pass(&t.world, 20);
	assert_string_equal(told(), "");
	for (unsigned i = 0; i < 4; i++)
		let_through(i);
	world_until(&t.world, t.world.done);
	assert_int_equal(count_of("offload_done"), 4);
	assert_int_equal(strlen(told()), strlen("0 1 2 3 stop"));
	assert_string_equal(told() + strlen("0 1 2 3 "), "stop"); /* last */
	assert_int_equal(threads_here(), before);                 /* they were joined */
	assert_int_equal(crew_offload(worker(), go_on, NULL, &t.chain), -ESHUTDOWN);
}

static void a_graceful_stop_waits_as_well(void **state)
{
	open_it(state);
	send_off_many(1);
	stop_it(true, 60000);
	world_pass(&t.world, 20);
	assert_true(send_off(1) > 0); /* still */
	let_through(0);
	let_through(1);
	world_until(&t.world, t.world.done);
	assert_int_equal(count_of("offload_done"), 2);
	assert_law();
}

static void what_does_not_come_back_is_left_behind(void **state)
{
	open_it(state);
	send_off_many(4);
	await_gate(0);
	await_gate(1);
	let_through(1); /* it is over, or not yet told, when time is up: told all the same */
	world_until(&t.world, count_of("offload_done") == 1);
	await_gate(2);
	stop_it(false, 20);
	world_until(&t.world, t.world.done);
	assert_string_equal(told(), "1 3:ECANCELED stop");
	assert_int_equal(count_of("offload_left"), 2);
	assert_int_equal(crew__offloads_left_behind(), 2);
	assert_law();
	crew__worker_free(worker()); /* the threads need nothing of it */
	t.world.worker = NULL;
	let_through(0);
	let_through(2);
	for (int i = 0; i < 5000 && crew__offloads_left_behind() > 0; i++)
		usleep(1000);
	assert_int_equal(crew__offloads_left_behind(), 0);
	assert_false(t.gates[0].wanted);
	assert_string_equal(told(), "1 3:ECANCELED stop");
}

/* As when on_worker_start has failed: there is no stop, and the loop does not turn. */
static void a_worker_that_goes_at_once_tells_what_it_can(void **state)
{
	open_it(state);
	send_off_many(4);
	await_gate(0);
	await_gate(1);
	let_through(0);
	await_gate(2); /* the thread that did it is at the next: it is over */
	crew__worker_free(worker());
	t.world.worker = NULL;
	assert_string_equal(told(), "0 3:ECANCELED");
	crew__loop_turn(t.world.loop, 0); /* what the loop was rung for finds nobody */
	assert_int_equal(crew__offloads_left_behind(), 2);
}

/* ---- many ---------------------------------------------------------------------------------- */

static void do_little(void *arg)
{
	(void)arg;
	crew_offload_wanted();
}

static void count_it(crew_worker *w, int error, void *arg)
{
	(void)w;
	(void)arg;
	t.done_count++;
	t.errors += error != 0;
}

/* All that can happen at once, with the threads at it all the time: for ThreadSanitizer above all.
 */
static void none_is_lost_among_many(void **state)
{
	unsigned taken = 0, refused = 0;
	open_it(state);
	t.world.settings.offload_queue = 50;
	t.world.settings.offload_timeout_ms = 2;
	for (unsigned i = 0; i < MANY; i++) {
		int64_t id = crew_offload(worker(), do_little, count_it, NULL);
		if (id > 0)
			t.ids[taken++] = id;
		else
			refused += id == -ENOBUFS;
		if (i % 7 == 0 && taken > 3)
			crew_offload_cancel(t.ids[taken - 3]);
		if (i % 40 == 0)
			world_turn(&t.world, 1);
	}
	assert_int_equal(taken + refused, MANY);
	world_until(&t.world, t.done_count == taken);
	assert_int_equal(count_of("offload_done"), taken - t.errors);
	assert_law();
	stop_it(false, 60000);
	world_until(&t.world, t.world.done);
}

#define BOTH(name) ON_BOTH(name)
#define ONE(name)  ON_ENGINE(name, "epoll", CREW__ENGINE_EPOLL)
int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(it_runs_in_a_thread_and_is_told_in_the_loop),
		ONE(jobs_are_told_in_the_order_of_their_ends),
		ONE(threads_are_begun_when_they_are_needed),
		ONE(a_thread_has_a_name_and_takes_no_signals),
		ONE(one_may_bring_about_the_next),
		ONE(nobody_need_be_told),
		ONE(what_is_wrong_is_refused_at_once),
		ONE(a_full_queue_refuses),
		ONE(one_that_waits_is_canceled_and_not_run),
		ONE(one_that_runs_is_only_told_so),
		ONE(one_that_waits_too_long_is_not_run),
		ONE(what_a_gone_connection_wanted_is_not_run),
		BOTH(a_stop_waits_for_all_that_was_taken),
		ONE(a_graceful_stop_waits_as_well),
		ONE(what_does_not_come_back_is_left_behind),
		ONE(a_worker_that_goes_at_once_tells_what_it_can),
		BOTH(none_is_lost_among_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
