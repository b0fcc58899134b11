/* Who may act, and whom a kick means. */
#include "admin/actions.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static bool shown(const char *field, const char *token)
{
	return crew__token_shown(crew_str(field), token);
}

static void test_only_the_token_itself(void **state)
{
	(void)state;
	assert_true(shown("Bearer secret", "secret"));
	assert_true(shown("bearer   secret", "secret"));
	assert_false(shown("Bearer secre", "secret"));
	assert_false(shown("Bearer secrets", "secret"));
	assert_false(shown("Bearer Secret", "secret"));
	assert_false(shown("Bearer secret ", "secret"));
	assert_false(shown("Bearer ", "secret"));
	assert_false(shown("Bearer", "secret"));
	assert_false(shown("Basic secret", "secret"));
	assert_false(shown("secret", "secret"));
	assert_false(shown("", "secret"));
	assert_false(shown(NULL, "secret"));
	assert_false(crew__token_shown(
		(crew_bytes){ "Bearer secret\0", sizeof("Bearer secret\0") - 1 }, "secret"));
}

/* ---- whom ---------------------------------------------------------------------------------- */

static struct crew__connection rows[] = {
	{ .id = 0x2000000000000002, .verdict = "network" },
	{ .id = 0x1230000000000001, .verdict = "reader-stalled" },
	{ .id = 0x1240000000000001 },
	{ .id = 0x1230000000000003, .verdict = "reader-stalled" },
};
static const struct crew__connections all = { .count = crew__lengthof(rows), .rows = rows };

static struct crew__kick_list choose(const char *prefix, const char *verdict)
{
	struct crew__kick_list list;
	assert_int_equal(crew__kick_choose(&all, prefix, verdict, &list), 0);
	return list;
}

static void test_by_the_beginning_of_an_id(void **state)
{
	(void)state;
	struct crew__kick_list list = choose("124", NULL);
	assert_int_equal(list.count, 1);
	assert_true(list.ids[0] == 0x1240000000000001);
	free(list.ids);
	list = choose("12", NULL);
	assert_int_equal(list.count, 3);
	free(list.ids);
	list = choose("1230000000000003", NULL);
	assert_int_equal(list.count, 1);
	free(list.ids);
	list = choose("9", NULL);
	assert_int_equal(list.count, 0);
	free(list.ids);
}

static void test_by_verdict(void **state)
{
	(void)state;
	struct crew__kick_list list = choose(NULL, "reader-stalled");
	assert_int_equal(list.count, 2);
	assert_true(list.ids[0] == 0x1230000000000001);
	assert_true(list.ids[1] == 0x1230000000000003);
	free(list.ids);
	list = choose(NULL, "rate");
	assert_int_equal(list.count, 0);
	free(list.ids);
}

static void test_who_is_left(void **state)
{
	struct crew__connection later[] = {
		{ .id = 0x1230000000000003 }, { .id = 0x1230000000000004 }, /* new */
		{ .id = 0x2000000000000002 },                               /* not meant */
	};
	const struct crew__connections now = { .count = crew__lengthof(later), .rows = later };
	const struct crew__connections none = { 0 };
	struct crew__kick_list list = choose("123", NULL), left;
	(void)state;
	assert_int_equal(crew__kick_left(&list, &now, &left), 0);
	assert_int_equal(left.count, 1);
	assert_true(left.ids[0] == 0x1230000000000003);
	free(left.ids);
	assert_int_equal(crew__kick_left(&list, &none, &left), 0);
	assert_int_equal(left.count, 0);
	free(left.ids);
	free(list.ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_token_itself),
		cmocka_unit_test(test_by_the_beginning_of_an_id),
		cmocka_unit_test(test_by_verdict),
		cmocka_unit_test(test_who_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
