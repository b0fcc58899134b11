/* How processes and workers stand; moments as text. */
#include "cli/look.h"

#include "base/clock.h"
#include "cli/when.h"
#include "view_world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t spawn(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void a_process(void **state)
{
	(void)state;
	int status;
	pid_t pid = spawn();
	struct crew__process_look look = crew__look_process(pid);
	assert_false(look.gone || look.stopped);
	assert_true(crew__look_memory(pid) > 0);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	look = crew__look_process(pid);
	assert_true(look.stopped && !look.gone);
	kill(pid, SIGKILL);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	look = crew__look_process(pid); /* nobody has taken its status yet */
	assert_true(look.gone);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(crew__look_process(pid).gone);
	assert_int_equal(crew__look_memory(pid), 0);
}

static void numbers_that_are_no_process(void **state)
{
	(void)state;
	assert_true(crew__look_process(0).gone);
	assert_true(crew__look_process(-1).gone);
	assert_int_equal(crew__look_memory(0), 0);
	assert_int_equal(crew__look_memory(-1), 0);
}

static void a_worker(void **state)
{
	struct view_world *w = *state;
	struct crew__segment *segment = &w->world->segments[1];
	struct crew__slab *slab = w->stats[1].slab;
	struct crew__worker_look look;
	uint64_t now = crew__clock_ns();
	crew__look_worker(segment, now, &look);
	assert_string_equal(look.service, "web");
	assert_int_equal(look.pid, getpid());
	assert_int_equal(look.life, 2);
	assert_int_equal(look.turn_ms, 0);
	assert_null(look.busy_in);
	assert_false(look.stands_still);
	atomic_store(&slab->turn_began_ns, now - (CREW__STILL_MS - 1) * CREW__NS_PER_MS);
	atomic_store(&slab->callback, CREW__CB_TIMER);
	crew__look_worker(segment, now, &look);
	assert_int_equal(look.turn_ms, CREW__STILL_MS - 1);
	assert_string_equal(look.busy_in, "timer");
	assert_false(look.stands_still);
	atomic_store(&slab->turn_began_ns, now - CREW__STILL_MS * CREW__NS_PER_MS);
	atomic_store(&slab->callback, 9999);
	crew__look_worker(segment, now, &look);
	assert_true(look.stands_still);
	assert_null(look.busy_in);
	atomic_store(&slab->turn_began_ns, now + CREW__NS_PER_S);
	crew__look_worker(segment, now, &look);
	assert_int_equal(look.turn_ms, 0);
	assert_false(look.stands_still);
	memset(segment->header->service, 7, CREW__NAME_MAX);
	crew__look_worker(segment, now, &look);
	assert_int_equal(strspn(look.service, "?"), CREW__NAME_MAX - 1);
}

static void moments(void **state)
{
	(void)state;
	char text[CREW__WHEN_MAX];
	assert_string_equal(crew__when_iso(0, text), "1970-01-01T00:00:00.000Z");
	assert_string_equal(
		crew__when_iso(INT64_C(1700000000123), text), "2023-11-14T22:13:20.123Z");
	assert_string_equal(crew__when_iso(-5, text), "1970-01-01T00:00:00.000Z");
	assert_string_equal(crew__when_iso(INT64_MIN, text), "1970-01-01T00:00:00.000Z");
	assert_string_equal(crew__when_iso(INT64_MAX, text), "9999-12-31T23:59:59.999Z");
	setenv("TZ", "CET-1", 1);
	tzset();
	assert_string_equal(
		crew__when_local(INT64_C(1700000000123), text), "2023-11-14 23:13:20.123");
	assert_string_equal(crew__when_local(INT64_MAX, text), "10000-01-01 00:59:59.999");
	assert_true(crew__when_now() > INT64_C(1700000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process),
		cmocka_unit_test(numbers_that_are_no_process),
		VIEW_TEST(a_worker),
		cmocka_unit_test(moments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
