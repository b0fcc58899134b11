/* test_stall.c - which looks at a worker's pulse make a stall. */
#include "proc/stall.h"

#include "base/clock.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static const struct crew__stall_limits limits = { .slow_ns = 200 * CREW__NS_PER_MS,
	.stuck_ns = 1000 * CREW__NS_PER_MS };

static enum crew__stall_news see(
	struct crew__stall *stall, uint64_t began_ms, uint64_t requests, uint64_t now_ms)
{
	const struct crew__pulse pulse = { .callback = CREW__CB_MESSAGE, .requests = requests };
	return crew__stall_see(
		stall, &pulse, began_ms * CREW__NS_PER_MS, &limits, now_ms * CREW__NS_PER_MS);
}

static void one_call_becomes_slow_stuck_and_over(void **state)
{
	struct crew__stall stall = { 0 };
	(void)state;
	assert_int_equal(see(&stall, 1000, 5, 1100), CREW__STALL_NONE);
	assert_int_equal(crew__stall_due(&stall, &limits), 1200 * CREW__NS_PER_MS);
	assert_int_equal(see(&stall, 1000, 5, 1199), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 1000, 5, 1200), CREW__STALL_SLOW);
	assert_int_equal(see(&stall, 1000, 5, 1500), CREW__STALL_NONE);
	assert_int_equal(crew__stall_due(&stall, &limits), 2000 * CREW__NS_PER_MS);
	assert_int_equal(see(&stall, 1000, 5, 2000), CREW__STALL_STUCK);
	assert_int_equal(see(&stall, 1000, 5, 3000), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 0, 5, 3100), CREW__STALL_OVER);
	assert_int_equal(see(&stall, 0, 5, 3200), CREW__STALL_NONE);
	assert_true(crew__stall_due(&stall, &limits) == UINT64_MAX);
}

static void two_looks_must_agree(void **state)
{
	struct crew__stall stall = { 0 };
	(void)state;
	assert_int_equal(see(&stall, 1000, 5, 9000), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 1000, 5, 9001), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 1000, 5, 9030), CREW__STALL_STUCK);
}

static void many_quick_calls_are_none(void **state)
{
	struct crew__stall stall = { 0 };
	(void)state;
	for (uint64_t now = 1000; now < 9000; now += 100)
		assert_int_equal(see(&stall, 1000, now, now), CREW__STALL_NONE);
	/* The last of them is one from when it was first seen. */
	assert_int_equal(see(&stall, 1000, 8900, 9099), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 1000, 8900, 9100), CREW__STALL_SLOW);
}

static void what_is_forgiven_begins_anew(void **state)
{
	struct crew__stall stall = { 0 };
	(void)state;
	see(&stall, 1000, 5, 1000);
	assert_int_equal(see(&stall, 1000, 5, 1300), CREW__STALL_SLOW);
	crew__stall_forgive(&stall, 5000 * CREW__NS_PER_MS);
	assert_int_equal(see(&stall, 1000, 5, 5100), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 1000, 5, 5200), CREW__STALL_SLOW);
}

static void a_time_to_come_is_none(void **state)
{
	struct crew__stall stall = { 0 };
	(void)state;
	assert_int_equal(see(&stall, 5000, 5, 1000), CREW__STALL_NONE);
	assert_int_equal(see(&stall, 5000, 5, 4000), CREW__STALL_NONE);
	assert_int_equal(stall.turn_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_call_becomes_slow_stuck_and_over),
		cmocka_unit_test(two_looks_must_agree),
		cmocka_unit_test(many_quick_calls_are_none),
		cmocka_unit_test(what_is_forgiven_begins_anew),
		cmocka_unit_test(a_time_to_come_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
