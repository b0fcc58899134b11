/* test_backoff.c - the wait before a worker is started again. */
#include "proc/backoff.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static void a_long_life_is_followed_at_once(void **state)
{
	struct crew__backoff backoff = { 0 };
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(crew__backoff_next(&backoff, CREW__YOUNG_MS, false), 0);
	assert_int_equal(backoff.young, 0);
}

static void early_deaths_double_the_wait(void **state)
{
	static const uint64_t waits[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct crew__backoff backoff = { 0 };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(waits); i++) {
		assert_int_equal(crew__backoff_next(&backoff, CREW__YOUNG_MS - 1, false), waits[i]);
		assert_int_equal(backoff.young, i + 1);
	}
}

static void the_wait_never_overflows(void **state)
{
	struct crew__backoff backoff = { .young = 1000000 };
	(void)state;
	assert_int_equal(crew__backoff_next(&backoff, 0, false), CREW__BACKOFF_MOST_MS);
}

static void a_long_life_forgives(void **state)
{
	struct crew__backoff backoff = { 0 };
	(void)state;
	for (int i = 0; i < 6; i++)
		crew__backoff_next(&backoff, 10, false);
	assert_int_equal(crew__backoff_next(&backoff, 3600 * 1000, false), 0);
	assert_int_equal(crew__backoff_next(&backoff, 10, false), 0);
	assert_int_equal(crew__backoff_next(&backoff, 10, false), 100);
}

/* One that recycles itself after a while is no crash; one that does so at once would spin. */
static void leaving_by_itself_is_young_only_at_once(void **state)
{
	struct crew__backoff backoff = { 0 };
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(crew__backoff_next(&backoff, CREW__YOUNG_EXPECTED_MS, true), 0);
	assert_int_equal(crew__backoff_next(&backoff, 1, true), 0);
	assert_int_equal(crew__backoff_next(&backoff, 1, true), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_life_is_followed_at_once),
		cmocka_unit_test(early_deaths_double_the_wait),
		cmocka_unit_test(the_wait_never_overflows),
		cmocka_unit_test(a_long_life_forgives),
		cmocka_unit_test(leaving_by_itself_is_young_only_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
