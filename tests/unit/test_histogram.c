/* test_histogram.c - which bucket a duration is counted in, sums that end, names. */
#include "stats/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void each_bucket_has_its_range(void **state)
{
	(void)state;
	assert_int_equal(crew__histogram_bucket(0), 0);
	for (unsigned i = 1; i < CREW__BUCKETS - 1; i++) {
		/* Bucket i counts what is below 2^i and not below 2^(i-1). */
		assert_int_equal(crew__histogram_bucket(UINT64_C(1) << (i - 1)), i);
		assert_int_equal(crew__histogram_bucket((UINT64_C(1) << i) - 1), i);
	}
	assert_int_equal(crew__histogram_bucket(UINT64_C(1) << 30), CREW__BUCKETS - 1);
	assert_int_equal(crew__histogram_bucket(UINT64_C(1) << 40), CREW__BUCKETS - 1);
	assert_int_equal(crew__histogram_bucket(UINT64_MAX), CREW__BUCKETS - 1);
}

static void adding_counts_and_sums(void **state)
{
	(void)state;
	struct crew__histogram h = { 0 };
	crew__histogram_add(&h, 5);
	crew__histogram_add(&h, 7);
	crew__histogram_add_ns(&h, 1999);
	crew__histogram_add_ns(&h, 999);
	assert_int_equal(h.count[3], 2);
	assert_int_equal(h.count[1], 1);
	assert_int_equal(h.count[0], 1);
	assert_int_equal(h.sum_us, 13);
}

static void sums_stop_at_the_largest_number(void **state)
{
	(void)state;
	struct crew__histogram a = { .count = { 1, UINT64_MAX - 1 }, .sum_us = UINT64_MAX };
	const struct crew__histogram b = { .count = { 2, 5, 9 }, .sum_us = 1 };
	crew__histogram_sum(&a, &b);
	assert_int_equal(a.count[0], 3);
	assert_true(a.count[1] == UINT64_MAX);
	assert_int_equal(a.count[2], 9);
	assert_true(a.sum_us == UINT64_MAX);
}

static void every_measure_is_named_and_told(void **state)
{
	(void)state;
	assert_string_equal(crew__measure_name(CREW__MEASURE_TURN), "loop_turn");
	assert_string_equal(crew__measure_name(CREW__MEASURE_CALLBACK), "callback");
	assert_string_equal(crew__measure_name(CREW__MEASURE_QUEUE_AGE), "send_queue_age");
	for (unsigned i = 0; i < CREW__MEASURES; i++)
		assert_string_not_equal(crew__measure_sentence((enum crew__measure)i), "?");
	assert_string_equal(crew__measure_name(CREW__MEASURES), "?");
	assert_string_equal(crew__measure_sentence(CREW__MEASURES), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bucket_has_its_range),
		cmocka_unit_test(adding_counts_and_sums),
		cmocka_unit_test(sums_stop_at_the_largest_number),
		cmocka_unit_test(every_measure_is_named_and_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
