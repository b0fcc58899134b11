/* When a worker is due, by its figures: limits, give or take 10 %, the same each time it is asked.
 */
#include "proc/recycle.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static char why[104];

static void limits_are_given_or_taken_a_tenth(void **state)
{
	(void)state;
	uint64_t least = UINT64_MAX, most = 0, sum = 0;
	for (unsigned i = 0; i < 1000; i++) {
		pid_t pid = (pid_t)(1000 + i);
		uint64_t limit = crew__recycle_limit(1000, pid, 5 * CREW__NS_PER_S);
		assert_in_range(limit, 900, 1100);
		assert_int_equal(limit, crew__recycle_limit(1000, pid, 5 * CREW__NS_PER_S));
		least = limit < least ? limit : least;
		most = limit > most ? limit : most;
		sum += limit;
	}
	/* All over the range, and not to one side. */
	assert_in_range(least, 900, 905);
	assert_in_range(most, 1095, 1100);
	assert_in_range(sum / 1000, 980, 1020);
	assert_int_equal(crew__recycle_limit(1, 7, 7), 1);
	assert_int_equal(crew__recycle_limit(9, 7, 7), 9);
	uint64_t large = UINT64_C(1) << 50;
	assert_in_range(crew__recycle_limit(large, 7, 7), large / 10 * 9, large / 10 * 11 + 10);
}

static void nothing_is_due_without_limits(void **state)
{
	(void)state;
	const struct crew__service_settings settings = { .recycle_requests = 0 };
	const struct crew__recycle_figures figures = { .pid = 9,
		.now_ns = UINT64_C(1000000) * CREW__NS_PER_S,
		.requests = UINT64_MAX,
		.memory = UINT64_MAX,
		.memory_counts = true };
	assert_false(crew__recycle_due(&settings, &figures, why, sizeof(why)));
}

static void each_limit_by_itself(void **state)
{
	(void)state;
	struct crew__service_settings settings = { .recycle_requests = 1000 };
	struct crew__recycle_figures figures = { .pid = 9, .now_ns = 10 * CREW__NS_PER_S };
	uint64_t limit = crew__recycle_limit(1000, 9, 0);
	figures.requests = limit - 1;
	assert_false(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	figures.requests = limit;
	assert_true(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	assert_non_null(strstr(why, "requests (recycle_requests = 1000)"));

	settings = (struct crew__service_settings){ .recycle_age_ms = 60000 };
	limit = crew__recycle_limit(60000, 9, 0);
	figures.now_ns = (limit - 1) * CREW__NS_PER_MS;
	assert_false(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	figures.now_ns = limit * CREW__NS_PER_MS;
	assert_true(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	assert_non_null(strstr(why, "recycle_age_ms = 60000"));

	settings = (struct crew__service_settings){ .recycle_memory = 1 << 20 };
	figures.memory = 2 << 20;
	assert_false(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	figures.memory_counts = true;
	assert_true(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	assert_non_null(strstr(why, "2097152 bytes resident (recycle_memory = 1048576)"));
	figures.memory = 0; /* unknown */
	assert_false(crew__recycle_due(&settings, &figures, why, sizeof(why)));
}

static void nobody_is_replaced_at_once(void **state)
{
	(void)state;
	const struct crew__service_settings settings = { .recycle_requests = 1 };
	struct crew__recycle_figures figures = {
		.pid = 9, .began_ns = 7 * CREW__NS_PER_S, .requests = 5000
	};
	figures.now_ns = figures.began_ns + (CREW__RECYCLE_LEAST_MS - 1) * CREW__NS_PER_MS;
	assert_false(crew__recycle_due(&settings, &figures, why, sizeof(why)));
	figures.now_ns += CREW__NS_PER_MS;
	assert_true(crew__recycle_due(&settings, &figures, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_given_or_taken_a_tenth),
		cmocka_unit_test(nothing_is_due_without_limits),
		cmocka_unit_test(each_limit_by_itself),
		cmocka_unit_test(nobody_is_replaced_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
