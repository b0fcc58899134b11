/* test_verdict.c - figures, and the verdict that each row of them must give. The rows are like
 * those that real sockets gave when the fault named was injected; those named "edge" stand at a
 * threshold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/verdict.h"

#include <string.h>

/* One second of a path of 10 ms on which all is busy, and nobody is to blame but the network. */
#define BUSY                                                                                  \
	.at = 100, .window_ms = 1000, .has_tcp = true, .rtt_us = 10000, .segment_size = 1448, \
	.peer_window = 100000, .peer_window_most = 100000, .unsent = 100000, .busy_ms = 1000

/* A row says what is different. */
#pragma GCC diagnostic ignored "-Woverride-init"

struct row {
	const char *name;
	struct crew__slow_figures figures;
	crew_verdict verdict;
};

static const struct row rows[] = {
	{ "narrow link", { BUSY, .acked = 500000 }, CREW_VERDICT_NETWORK },
	{ "never looked", { BUSY, .at = 0 }, CREW_VERDICT_NONE },
	{ "edge: no window", { BUSY, .window_ms = 0, .busy_ms = 0 }, CREW_VERDICT_NONE },
	{ "edge: too short", { BUSY, .window_ms = 99, .busy_ms = 99 }, CREW_VERDICT_NONE },
	{ "edge: long enough", { BUSY, .window_ms = 100, .busy_ms = 99 }, CREW_VERDICT_NETWORK },

	{ "cap", { BUSY, .capped_ms = 900, .busy_ms = 20 }, CREW_VERDICT_RATE },
	{ "edge: cap half the time", { BUSY, .capped_ms = 500 }, CREW_VERDICT_RATE },
	{ "edge: cap less than half", { BUSY, .capped_ms = 499 }, CREW_VERDICT_NETWORK },
	{ "cap for most of the time that is left", { BUSY, .capped_ms = 400, .busy_ms = 300 },
		CREW_VERDICT_RATE },
	{ "cap for little of it", { BUSY, .capped_ms = 300, .busy_ms = 300 }, CREW_VERDICT_US },
	{ "cap without TCP_INFO", { BUSY, .has_tcp = false, .capped_ms = 600 }, CREW_VERDICT_RATE },

	{ "gone", { BUSY, .timeouts = 3, .last_ack_ms = 1400 }, CREW_VERDICT_GONE },
	{ "gone with a closed window",
		{ BUSY, .timeouts = 4, .last_ack_ms = 9000, .peer_window = 0,
			.peer_limited_ms = 1000 },
		CREW_VERDICT_GONE },
	{ "edge: two timeouts", { BUSY, .timeouts = 2, .last_ack_ms = 9000 },
		CREW_VERDICT_NETWORK },
	{ "edge: an answer lately", { BUSY, .timeouts = 9, .last_ack_ms = 999 },
		CREW_VERDICT_NETWORK },

	{ "stalled reader", { BUSY, .peer_window = 0, .peer_limited_ms = 1000 },
		CREW_VERDICT_READER_STALLED },
	{ "stalled before the first look",
		{ BUSY, .peer_window = 0, .peer_window_most = 0, .peer_limited_ms = 1000 },
		CREW_VERDICT_READER_STALLED },
	{ "window taken back: what was on its way is lost, and nothing counts as held back",
		{ BUSY, .peer_window = 0, .retransmits = 1, .lost = 5, .last_ack_ms = 776 },
		CREW_VERDICT_READER_STALLED },
	{ "window closed for a moment, and much got through",
		{ BUSY, .peer_window = 0, .acked = 500000 }, CREW_VERDICT_NETWORK },
	{ "slow reader, window open as we look", { BUSY, .peer_limited_ms = 900, .acked = 100000 },
		CREW_VERDICT_READER_STALLED },
	{ "long way, window as large as ever and full",
		{ BUSY, .rtt_us = 200000, .peer_limited_ms = 1000, .acked = 480000 },
		CREW_VERDICT_NETWORK },
	{ "edge: window half in use", { BUSY, .peer_limited_ms = 1000, .acked = 5000000 },
		CREW_VERDICT_NETWORK },
	{ "edge: window not half in use", { BUSY, .peer_limited_ms = 1000, .acked = 4999000 },
		CREW_VERDICT_READER_STALLED },
	{ "edge: less than half of the time, window large",
		{ BUSY, .peer_limited_ms = 499, .acked = 100000 }, CREW_VERDICT_NETWORK },
	{ "paced to the reader's speed, window small",
		{ BUSY, .peer_limited_ms = 450, .acked = 50000, .peer_window = 8192 },
		CREW_VERDICT_READER_STALLED },
	{ "edge: less than a quarter of the time",
		{ BUSY, .peer_limited_ms = 249, .acked = 50000, .peer_window = 8192 },
		CREW_VERDICT_NETWORK },
	{ "slow worker, stalled reader",
		{ BUSY, .late_ms = 1000, .peer_window = 0, .peer_limited_ms = 1000 },
		CREW_VERDICT_READER_STALLED },

	{ "small kernel buffer", { BUSY, .unsent = 0, .buffer_limited_ms = 960 },
		CREW_VERDICT_KERNEL_BUFFER },
	{ "edge: buffer half of the time", { BUSY, .buffer_limited_ms = 500 },
		CREW_VERDICT_KERNEL_BUFFER },
	{ "edge: buffer less than half", { BUSY, .buffer_limited_ms = 499 }, CREW_VERDICT_NETWORK },
	{ "small buffer and slow reader",
		{ BUSY, .buffer_limited_ms = 0, .peer_limited_ms = 950, .acked = 50000 },
		CREW_VERDICT_READER_STALLED },

	{ "slow worker", { BUSY, .busy_ms = 200, .late_ms = 990 }, CREW_VERDICT_US },
	{ "kernel idle", { BUSY, .busy_ms = 0 }, CREW_VERDICT_US },
	{ "slow worker, far away: in flight most of the time",
		{ BUSY, .busy_ms = 700, .late_ms = 900 }, CREW_VERDICT_US },
	{ "edge: late, idle a quarter of the time", { BUSY, .busy_ms = 750, .late_ms = 500 },
		CREW_VERDICT_US },
	{ "edge: late, idle less than a quarter", { BUSY, .busy_ms = 751, .late_ms = 500 },
		CREW_VERDICT_NETWORK },
	{ "edge: idle a quarter of the time, late less than half",
		{ BUSY, .busy_ms = 750, .late_ms = 499 }, CREW_VERDICT_NETWORK },
	{ "edge: busy half of the time", { BUSY, .busy_ms = 500 }, CREW_VERDICT_NETWORK },
	{ "edge: busy less than half", { BUSY, .busy_ms = 499 }, CREW_VERDICT_US },
	{ "slow worker, far away: in flight all the time, nothing to send",
		{ BUSY, .late_ms = 900, .unsent = 0 }, CREW_VERDICT_US },
	{ "slow worker, and yet the kernel had enough", { BUSY, .late_ms = 900, .unsent = 60000 },
		CREW_VERDICT_NETWORK },
	{ "late, and the buffer is small",
		{ BUSY, .late_ms = 900, .unsent = 0, .buffer_limited_ms = 900 },
		CREW_VERDICT_KERNEL_BUFFER },

	{ "unix: stalled reader", { .at = 1, .window_ms = 1000, .unsent = 4096 },
		CREW_VERDICT_READER_STALLED },
	{ "unix: slow reader", { .at = 1, .window_ms = 1000, .unsent = 4096, .drained = 100 },
		CREW_VERDICT_READER_STALLED },
	{ "unix: slow worker",
		{ .at = 1, .window_ms = 1000, .unsent = 4096, .drained = 100, .late_ms = 500 },
		CREW_VERDICT_US },
	{ "unix: slow worker, all read", { .at = 1, .window_ms = 1000, .late_ms = 500 },
		CREW_VERDICT_US },
	{ "unix: slow worker, stalled reader",
		{ .at = 1, .window_ms = 1000, .unsent = 4096, .late_ms = 900 },
		CREW_VERDICT_READER_STALLED },
	{ "unix: nothing is known", { .at = 1, .window_ms = 1000 }, CREW_VERDICT_NONE },

	/* What no kernel says, and still no number divides by nothing or comes round. */
	{ "all zero but the time", { .at = 1, .window_ms = 1000, .has_tcp = true },
		CREW_VERDICT_US },
	{ "all as large as can be",
		{ .at = 1,
			.window_ms = UINT32_MAX,
			.has_tcp = true,
			.rtt_us = UINT32_MAX,
			.acked = UINT32_MAX,
			.peer_window_most = UINT32_MAX,
			.busy_ms = UINT32_MAX,
			.peer_window = UINT32_MAX,
			.segment_size = UINT32_MAX,
			.unsent = UINT32_MAX,
			.peer_limited_ms = UINT32_MAX },
		CREW_VERDICT_READER_STALLED },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		crew_verdict verdict = crew__verdict(&rows[i].figures, 1000);
		if (verdict != rows[i].verdict)
			fail_msg("%s: '%s' instead of '%s'", rows[i].name,
				crew_verdict_name(verdict), crew_verdict_name(rows[i].verdict));
	}
}

static void test_nothing_queued(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		assert_int_equal(crew__verdict(&rows[i].figures, 0), CREW_VERDICT_NONE);
}

/* Every verdict that there is comes from some row. */
static void test_all_verdicts(void **state)
{
	bool seen[CREW_VERDICTS] = { false };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		seen[crew__verdict(&rows[i].figures, 1)] = true;
	for (unsigned verdict = 0; verdict < CREW_VERDICTS; verdict++)
		assert_true(seen[verdict]);
}

static void test_clear(void **state)
{
	struct crew__slow_figures open = { BUSY }, closed = { BUSY, .peer_window = 0 };
	struct crew__slow_figures still = { .at = 1 }, moves = { .at = 1, .drained = 1 };
	(void)state;
	assert_true(crew__verdict_is_clear(&open, CREW_VERDICT_RATE));
	assert_true(crew__verdict_is_clear(&open, CREW_VERDICT_GONE));
	assert_true(crew__verdict_is_clear(&closed, CREW_VERDICT_READER_STALLED));
	assert_false(crew__verdict_is_clear(&open, CREW_VERDICT_READER_STALLED));
	assert_true(crew__verdict_is_clear(&still, CREW_VERDICT_READER_STALLED));
	assert_false(crew__verdict_is_clear(&moves, CREW_VERDICT_READER_STALLED));
	assert_false(crew__verdict_is_clear(&open, CREW_VERDICT_NETWORK));
	assert_false(crew__verdict_is_clear(&open, CREW_VERDICT_US));
	assert_false(crew__verdict_is_clear(&open, CREW_VERDICT_KERNEL_BUFFER));
	assert_false(crew__verdict_is_clear(&open, CREW_VERDICT_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nothing_queued),
		cmocka_unit_test(test_all_verdicts),
		cmocka_unit_test(test_clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
