/* The last events: cut by stamp and number, told again for a while, then only to who begins. */
#include "admin/recent.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROWS = 10
};

/* Rows with the stamps 1000, 2000, ... microseconds. */
static struct crew__event_rows make(void)
{
	struct crew__event_rows rows = { .count = ROWS, .rows = calloc(ROWS, sizeof(*rows.rows)) };
	assert_non_null(rows.rows);
	for (size_t i = 0; i < ROWS; i++) {
		rows.rows[i].event.kind = CREW__EVENT_STOP;
		rows.rows[i].event.time_ns = (i + 1) * 1000 * 1000;
	}
	return rows;
}

static void assert_cut(uint64_t after, size_t most, size_t count, uint64_t first)
{
	struct crew__event_rows rows = make();
	crew__events_cut(&rows, after, most);
	assert_int_equal(rows.count, count);
	if (count > 0)
		assert_true(crew__event_row_stamp(&rows.rows[0]) == first);
	crew__event_rows_fini(&rows);
}

static void test_cut(void **state)
{
	struct crew__event_rows none = { 0 };
	(void)state;
	assert_cut(0, SIZE_MAX, 10, 1000);
	assert_cut(0, 3, 3, 8000);
	assert_cut(4000, SIZE_MAX, 6, 5000);
	assert_cut(4001, SIZE_MAX, 6, 5000);
	assert_cut(4000, 2, 2, 9000);
	assert_cut(10000, SIZE_MAX, 0, 0);
	assert_cut(UINT64_MAX, 5, 0, 0);
	assert_cut(0, 0, 0, 0);
	crew__events_cut(&none, 7, 7);
	assert_int_equal(none.count, 0);
}

static size_t told(const struct crew__recent *recent, bool all, uint64_t now_ns)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	assert_int_equal(crew__recent_json(recent, all, now_ns, out), 0);
	assert_int_equal(fclose(out), 0);
	json_t *json = json_loads(text, 0, NULL);
	assert_true(json_is_array(json));
	size_t count = json_array_size(json);
	json_decref(json);
	free(text);
	return count;
}

static void test_told_again_for_a_while(void **state)
{
	struct crew__recent recent = { .rows = make() }, none = { 0 };
	const uint64_t window_ns = CREW__RECENT_MS * UINT64_C(1000000);
	(void)state;
	assert_int_equal(told(&recent, true, 1), ROWS);
	assert_int_equal(told(&recent, false, 10000000), ROWS); /* the machine is that young */
	assert_int_equal(told(&recent, false, window_ns + 3000000), 7);
	assert_int_equal(told(&recent, false, window_ns + 10000000), 0);
	assert_int_equal(told(&recent, true, window_ns + 10000000), ROWS);
	assert_int_equal(told(&none, true, 1), 0);
	assert_int_equal(told(&none, false, window_ns * 2), 0);
	crew__recent_fini(&recent);
	crew__recent_fini(&recent);
	crew__recent_fini(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_told_again_for_a_while),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
