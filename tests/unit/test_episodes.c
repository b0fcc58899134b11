/* test_episodes.c - what the log and the ring of events are told of slow connections: not more than
 * can be read, and nothing twice or never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "service/episodes.h"
#include "stats/rings.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- a clock that can be moved on ---------------------------------------------------------- */

static uint64_t ahead_ns;

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int error = (int)syscall(SYS_clock_gettime, clock, time);
	uint64_t ns = (uint64_t)time->tv_nsec + ahead_ns;
	if (clock == CLOCK_MONOTONIC) {
		time->tv_sec += (time_t)(ns / 1000000000u);
		time->tv_nsec = (long)(ns % 1000000000u);
	}
	return error;
}

/* ---- a world, its log, its events ---------------------------------------------------------- */

static struct world world;
static int peer = -1, log_fd = -1;
static uint64_t after;

static int set_up(void **state)
{
	static const crew_service service = { .name = "feed", .listen = "tcp://127.0.0.1:1" };
	(void)state;
	ahead_ns += 2000000000u; /* other tests' limits of lines are over */
	log_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(log_fd >= 0);
	crew__log_open(log_fd, CREW_INFO, "test");
	assert_true(world_open(&world, &service, CREW__ENGINE_EPOLL, NULL));
	peer = world_connect(&world);
	assert_true(peer >= 0);
	after = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(peer);
	world_clean_up(&world);
	crew__log_open(STDERR_FILENO, CREW_INFO, "crew");
	close(log_fd);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&world, 0);
}

static struct crew__event next_event(void)
{
	struct crew__event event = { .kind = CREW__EVENT_NONE };
	uint64_t missed = 0;
	crew__events_next(world.worker->net.stats.events, &after, &event, &missed);
	assert_int_equal(missed, 0);
	return event;
}

static const char *logged(void)
{
	static char text[1 << 16];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static unsigned lines_with(const char *words)
{
	unsigned count = 0;
	for (const char *at = logged(); (at = strstr(at, words)); at += strlen(words))
		count++;
	return count;
}

static void pass(unsigned ms)
{
	ahead_ns += ms * UINT64_C(1000000);
	world_turn(&world, 0);
}

/* As conn_slow.c leaves the record when it tells of an episode. */
static struct crew__record_slow *slow_record(crew_verdict verdict)
{
	struct crew__record_slow *slow = &world.worker->net.stats.slow[0];
	slow->id = crew_id(conn());
	slow->verdict = (uint8_t)verdict;
	slow->began = 100;
	slow->ended = 1330;
	slow->peak_bytes = 131072;
	slow->peak_messages = 40;
	slow->lost = 120;
	slow->replaced = 1;
	slow->drained = 1234567;
	return slow;
}

static void lose(crew_reason reason, uint64_t messages, uint64_t bytes)
{
	crew_loss loss = { .reason = reason, .messages = messages, .bytes = bytes };
	crew__episode_loss(conn(), &loss);
}

/* ---- lines --------------------------------------------------------------------------------- */

static void test_lines(void **state)
{
	(void)state;
	slow_record(CREW_VERDICT_READER_STALLED);
	crew__episode(conn(), true);
	assert_non_null(strstr(logged(), "info  test: feed: "));
	assert_non_null(strstr(logged(),
		"(id 0070000000000001) is slow: reader-stalled, 0 bytes in 0 messages wait; '"));
	assert_non_null(strstr(logged(), " explain 00700000' says more\n"));
	crew__episode(conn(), false);
	assert_non_null(strstr(logged(),
		"(id 0070000000000001) is no longer slow after 12.3 s: reader-stalled, at most "
		"131 KB in 40 messages waited, 1.2 MB left, 120 lost, 1 replaced\n"));
}

/* What is ours to change is a warning; not to know why is said. */
static void test_levels(void **state)
{
	(void)state;
	slow_record(CREW_VERDICT_US);
	crew__episode(conn(), true);
	assert_non_null(strstr(logged(), "warn  test: feed: "));
	assert_non_null(strstr(logged(), "is slow: us, "));
	slow_record(CREW_VERDICT_NONE);
	crew__episode(conn(), true);
	assert_non_null(strstr(logged(), "is slow: what holds it up could not be seen, "));
}

static void test_ended(void **state)
{
	(void)state;
	slow_record(CREW_VERDICT_GONE);
	conn()->record->end = CREW_END_DEADLINE;
	crew__episode(conn(), false);
	conn()->record->end = CREW_END_REASONS;
	assert_non_null(strstr(logged(), "ended slow (deadline) after 12.3 s: gone, "));
	struct crew__event event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_SLOW_END);
	assert_int_equal(event.reason, CREW_END_DEADLINE);
	assert_int_equal(event.values[0], 12300);
	assert_int_equal(event.values[1], 131072);
	assert_int_equal(event.values[2], 120);
	assert_int_equal(event.values[3], 1);
}

/* A flood of one verdict is cut to a few lines, hides no other, and loses no event. */
static void test_lines_are_few(void **state)
{
	(void)state;
	slow_record(CREW_VERDICT_NETWORK);
	for (int i = 0; i < 100; i++)
		crew__episode(conn(), true);
	unsigned lines = lines_with("is slow: network");
	assert_in_range(lines, 1, 4); /* two a second, and a second may end meanwhile */
	crew__episode(conn(), false);
	assert_int_equal(lines_with("is no longer slow"), 1);
	slow_record(CREW_VERDICT_RATE);
	crew__episode(conn(), true);
	assert_int_equal(lines_with("is slow: rate"), 1);
	pass(1100);
	slow_record(CREW_VERDICT_NETWORK);
	crew__episode(conn(), true);
	assert_int_equal(lines_with("is slow: network"), lines + 1);
	assert_int_equal(lines_with("such lines left out"), 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(next_event().kind, CREW__EVENT_SLOW_BEGIN);
	assert_int_equal(next_event().kind, CREW__EVENT_SLOW_END);
}

/* ---- losses and gaps ----------------------------------------------------------------------- */

static void test_drops_add_up(void **state)
{
	(void)state;
	lose(CREW_LOST_FULL, 3, 300);
	struct crew__event event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_DROP); /* the first at once */
	assert_int_equal(event.conn, crew_id(conn()));
	assert_int_equal(event.reason, CREW_LOST_FULL);
	assert_int_equal(event.values[0], 3);
	assert_int_equal(event.values[1], 300);
	assert_string_equal(event.text, "");
	for (int i = 0; i < 50; i++)
		lose(CREW_LOST_FULL, 1, 100);
	lose(CREW_LOST_EXPIRED, 7, 70);
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
	pass(1100);
	lose(CREW_LOST_FULL, 1, 1);
	event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_DROP);
	assert_int_equal(event.reason, CREW_LOST_FULL); /* of which most were */
	assert_int_equal(event.values[0], 58);
	assert_int_equal(event.values[1], 5071);
	assert_string_equal(event.text, "full 51, expired 7");
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
}

/* One that loses for long is told of less and less often, until its episode ends. */
static void test_drops_of_one_become_fewer(void **state)
{
	uint64_t told = 0;
	unsigned events = 0;
	(void)state;
	slow_record(CREW_VERDICT_READER_STALLED);
	for (int i = 0; i < 60; i++) {
		lose(CREW_LOST_FULL, 10, 100);
		pass(1100);
	}
	crew__episode(conn(), false);
	struct crew__event event = next_event();
	for (; event.kind == CREW__EVENT_DROP; event = next_event(), events++)
		told += event.values[0];
	assert_int_equal(event.kind, CREW__EVENT_SLOW_END);
	assert_int_equal(told, 600);
	assert_in_range(events, 5, 9);
	pass(1100); /* the next ones are news again */
	lose(CREW_LOST_FULL, 1, 1);
	assert_int_equal(next_event().kind, CREW__EVENT_DROP);
	pass(2100);
	lose(CREW_LOST_FULL, 1, 1);
	assert_int_equal(next_event().kind, CREW__EVENT_DROP);
}

/* However many lose: what else has happened is to be found beside it. */
static void test_drops_of_many_are_few(void **state)
{
	struct crew__slow_past *past = &crew__conn_rare(conn())->past;
	unsigned events = 0;
	(void)state;
	pass(1100);
	for (int i = 0; i < 1000; i++) {
		lose(CREW_LOST_FULL, 1, 1);
		past->drops_told = 0; /* as if it were another one each time */
	}
	while (next_event().kind == CREW__EVENT_DROP)
		events++;
	assert_in_range(events, 8, 24); /* a second may end meanwhile */
}

/* What waits to be told is told when the episode ends, or the connection. */
static void test_drops_are_told_in_the_end(void **state)
{
	(void)state;
	slow_record(CREW_VERDICT_NETWORK);
	lose(CREW_LOST_FULL, 1, 10);
	lose(CREW_LOST_EVICTED, 2, 20);
	assert_int_equal(next_event().values[0], 1);
	crew__episode(conn(), false);
	struct crew__event event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_DROP);
	assert_int_equal(event.verdict, CREW_VERDICT_NETWORK);
	assert_int_equal(event.reason, CREW_LOST_EVICTED);
	assert_int_equal(event.values[0], 2);
	assert_int_equal(next_event().kind, CREW__EVENT_SLOW_END);
	lose(CREW_LOST_FULL, 5, 50);
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
	uint64_t id = crew_id(conn());
	crew_abort(conn());
	world_settle(&world);
	assert_null(conn());
	event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_DROP);
	assert_int_equal(event.conn, id);
	assert_int_equal(event.values[0], 5);
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
}

/* A number that is no reason is nobody's; counts stop instead of coming round. */
static void test_odd_losses(void **state)
{
	(void)state;
	lose(CREW_LOST_REASONS, 1, 1);
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
	lose(CREW_LOST_FULL, 1, 1);
	next_event();
	lose(CREW_LOST_FULL, UINT64_MAX, 1);
	lose(CREW_LOST_FULL, 9, 1);
	crew__episode_closed(conn());
	assert_int_equal(next_event().values[0], UINT32_MAX);
	crew__episode_closed(conn());
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
}

static void test_all_reasons_fit(void **state)
{
	(void)state;
	lose(CREW_LOST_FULL, 1, 1);
	next_event();
	for (unsigned reason = 0; reason < CREW_LOST_REASONS; reason++)
		lose((crew_reason)reason, UINT32_MAX, 1);
	crew__episode_closed(conn());
	struct crew__event event = next_event();
	assert_true(strlen(event.text) < sizeof(event.text));
	assert_memory_equal(event.text, "closed 4294967295, reset 4294967295", 35);
	assert_int_equal(event.values[0], (uint64_t)UINT32_MAX * CREW_LOST_REASONS);
}

static void test_gap(void **state)
{
	crew_gap gap = { .messages = 4, .bytes = 44, .first = 7, .last = 12 };
	(void)state;
	crew__episode_gap(conn(), &gap);
	struct crew__event event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_GAP);
	assert_int_equal(event.conn, crew_id(conn()));
	assert_int_equal(event.values[0], 4);
	assert_int_equal(event.values[1], 44);
	assert_int_equal(event.values[2], 7);
	assert_int_equal(event.values[3], 12);
}

/* Of many that are always behind: they add up, and all of it is told in the end. */
static void test_gaps_add_up(void **state)
{
	uint64_t told = 0, events = 0;
	(void)state;
	pass(1100);
	for (unsigned i = 0; i < 100; i++) {
		crew_gap gap = { .messages = 2, .bytes = 20, .first = 1000 - i, .last = 2000 + i };
		crew__episode_gap(conn(), &gap);
	}
	struct crew__event event = next_event();
	assert_int_equal(event.values[2], 1000);
	for (; event.kind == CREW__EVENT_GAP; event = next_event(), events++)
		told += event.values[0];
	assert_in_range(events, 8, 24); /* a second may end meanwhile */
	assert_in_range(told, 16, 199);
	crew__episode_closed(conn());
	event = next_event();
	assert_int_equal(event.kind, CREW__EVENT_GAP);
	assert_int_equal(told + event.values[0], 200);
	assert_int_equal(event.values[2], 1000 - 99);
	assert_int_equal(event.values[3], 2000 + 99);
	crew__episode_closed(conn());
	assert_int_equal(next_event().kind, CREW__EVENT_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_levels),
		TEST(test_ended),
		TEST(test_lines_are_few),
		TEST(test_drops_add_up),
		TEST(test_drops_of_one_become_fewer),
		TEST(test_drops_of_many_are_few),
		TEST(test_drops_are_told_in_the_end),
		TEST(test_odd_losses),
		TEST(test_all_reasons_fit),
		TEST(test_gap),
		TEST(test_gaps_add_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
