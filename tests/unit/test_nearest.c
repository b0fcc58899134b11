/* Which known name was meant. */
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static void distances(void **state)
{
	(void)state;
	assert_int_equal(crew__edit_distance("", ""), 0);
	assert_int_equal(crew__edit_distance("", "abc"), 3);
	assert_int_equal(crew__edit_distance("abc", ""), 3);
	assert_int_equal(crew__edit_distance("status", "status"), 0);
	assert_int_equal(crew__edit_distance("statsu", "status"), 1);
	assert_int_equal(crew__edit_distance("sttus", "status"), 1);
	assert_int_equal(crew__edit_distance("statuss", "status"), 1);
	assert_int_equal(crew__edit_distance("stztus", "status"), 1);
	assert_int_equal(crew__edit_distance("kitten", "sitting"), 3);
	assert_int_equal(crew__edit_distance("sitting", "kitten"), 3);
}

static void long_words_are_never_near(void **state)
{
	(void)state;
	char longest[64], longer[65];
	memset(longest, 'a', sizeof(longest) - 1);
	memset(longer, 'a', sizeof(longer) - 1);
	longest[sizeof(longest) - 1] = longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(crew__edit_distance(longest, longest), 0);
	assert_true(crew__edit_distance(longer, "a") == SIZE_MAX);
	assert_true(crew__edit_distance("a", longer) == SIZE_MAX);
	size_t best = SIZE_MAX;
	assert_false(crew__nearer(longer, "a", &best));
}

static void the_nearest_wins(void **state)
{
	(void)state;
	size_t best = SIZE_MAX;
	assert_true(crew__nearer("stat", "status", &best)); /* begins so */
	assert_true(crew__nearer("stat", "start", &best));  /* one letter */
	assert_int_equal(best, 1);
	assert_false(crew__nearer("stat", "stop", &best));
	assert_int_equal(best, 1);
}

static void what_is_far_is_not_meant(void **state)
{
	(void)state;
	size_t best = SIZE_MAX;
	assert_false(crew__nearer("frobnicate", "status", &best));
	assert_false(crew__nearer("xy", "stop", &best));
	assert_false(crew__nearer("co", "connections", &best)); /* too short to begin anything */
	assert_true(best == SIZE_MAX);
	assert_true(crew__nearer("conn", "connections", &best));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(long_words_are_never_near),
		cmocka_unit_test(the_nearest_wins),
		cmocka_unit_test(what_is_far_is_not_meant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
