/* test_fault_stats.c - readers of statistics without memory. */
#include "directory_world.h"
#include "fault.h"

#include <stdlib.h>

static void rows_by_worker(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__life life = directory_life(1, 0);
	struct crew__snapshot work = directory_work(1);
	struct crew__retired *rows = NULL;
	size_t count = 77;
	crew__directory_enter(&f->directory, &life);
	crew__directory_retire(&f->directory, 1, &work, "feed", 0, 0);
	const struct crew__directory_header *copy = directory_look(f);
	fault_set(FAULT_MEMORY, 1, false);
	int error = crew__directory_retired(&f->directory, copy, &rows, &count);
	bool hit = fault_hit();
	fault_set(FAULT_NONE, 0, false);
	assert_true(hit);
	assert_int_equal(error, -ENOMEM);
	/* What is returned is set on success only. */
	assert_null(rows);
	assert_int_equal(count, 77);
	assert_int_equal(crew__directory_retired(&f->directory, copy, &rows, &count), 0);
	assert_int_equal(count, 1);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		rows_by_worker, directory_set_up, directory_tear_down) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
