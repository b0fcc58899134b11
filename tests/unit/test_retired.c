/* test_retired.c - what the dead leave worker by worker, and the master's own events. */
#include "directory_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct directory_rows look_at_rows(struct directory_fixture *f)
{
	struct directory_rows rows;
	const struct crew__directory_header *copy = directory_look(f);
	assert_int_equal(crew__directory_retired(&f->directory, copy, &rows.row, &rows.count), 0);
	return rows;
}

static const struct crew__retired *row_of(
	const struct directory_rows *rows, uint32_t service, uint32_t id)
{
	const struct crew__retired *found = NULL;
	for (size_t i = 0; i < rows->count; i++) {
		if (rows->row[i].service != service || rows->row[i].id != id)
			continue;
		assert_null(found);
		found = &rows->row[i];
	}
	return found;
}

static void live_and_die(struct directory_fixture *f, uint32_t number, uint32_t service,
	uint32_t id, const struct crew__snapshot *last)
{
	struct crew__life life = directory_life(number, service);
	life.id = id;
	crew__directory_enter(&f->directory, &life);
	crew__directory_retire(
		&f->directory, number, last, directory_services[service]->name, 0, 0);
}

static void the_dead_are_known_by_worker(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__snapshot one = directory_work(1), ten = directory_work(10),
			      hundred = directory_work(100);
	struct directory_rows rows = look_at_rows(f);
	assert_int_equal(rows.count, 0);
	free(rows.row);
	one.id = 55; /* what a segment says of itself its worker may have written */
	live_and_die(f, 1, 0, 0, &one);
	live_and_die(f, 2, 0, 1, &ten);
	live_and_die(f, 3, 0, 0, &ten);
	live_and_die(f, 4, 1, 0, &hundred);
	crew__directory_retire(&f->directory, 0, &hundred, "feed", 0, 0);
	rows = look_at_rows(f);
	assert_int_equal(rows.count, 4);
	const struct crew__retired *row = row_of(&rows, 0, 0);
	assert_int_equal(row->counters.messages_offered, 110);
	assert_int_equal(row->counters.fail_crash, 22);
	assert_int_equal(row->counters.connections, 0);
	assert_int_equal(row->counters.bytes_held, 0);
	assert_int_equal(row->counters.slow, 0);
	assert_int_equal(row->counters.slow_total, 44);
	assert_int_equal(row->measures[CREW__MEASURE_CALLBACK].count[3], 11);
	assert_int_equal(row->measures[CREW__MEASURE_CALLBACK].sum_us, 55);
	assert_int_equal(row->measures[CREW__MEASURE_TURN].sum_us, 0);
	assert_int_equal(row_of(&rows, 0, 1)->counters.messages_offered, 100);
	assert_int_equal(row_of(&rows, 1, 0)->counters.messages_offered, 1000);
	row = row_of(&rows, 0, CREW__RETIRED_REST);
	assert_int_equal(row->counters.messages_offered, 1000);
	assert_int_equal(row->measures[CREW__MEASURE_CALLBACK].sum_us, 500);
	directory_assert_sums(f, &rows);
	free(rows.row);
}

/* More workers than there are rows, and more lives than there are numbers for. */
static void workers_without_a_row_are_the_rest(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__snapshot one = directory_work(1);
	enum {
		LIVES = 4095
	};
	for (uint32_t i = 0; i < LIVES; i++) {
		uint32_t number;
		assert_int_equal(crew__directory_reserve(&f->directory, &number), 0);
		live_and_die(f, number, i % 2, i / 2, &one);
	}
	struct directory_rows rows = look_at_rows(f);
	assert_int_equal(rows.count, CREW__LIVES_MAX + 2);
	uint64_t rest = row_of(&rows, 0, CREW__RETIRED_REST)->counters.connections_total +
			row_of(&rows, 1, CREW__RETIRED_REST)->counters.connections_total;
	assert_int_equal(rest, 3 * (LIVES - CREW__LIVES_MAX));
	assert_int_equal(row_of(&rows, 1, 511)->counters.connections_total, 3);
	assert_null(row_of(&rows, 0, 512));
	directory_assert_sums(f, &rows);
	free(rows.row);
	/* Those that have one keep it. */
	live_and_die(f, 1, 1, 511, &one);
	rows = look_at_rows(f);
	assert_int_equal(rows.count, CREW__LIVES_MAX + 2);
	assert_int_equal(row_of(&rows, 1, 511)->counters.connections_total, 6);
	free(rows.row);
}

static void rows_are_of_the_same_moment_as_the_copy(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__snapshot one = directory_work(1);
	struct directory_rows rows = { 0 };
	struct crew__life other = directory_life(9, 0);
	live_and_die(f, 1, 0, 0, &one);
	const struct crew__directory_header *copy = directory_look(f);
	/* What is not a death does not disturb. */
	crew__directory_enter(&f->directory, &other);
	crew__directory_generation(&f->directory, 2, NULL);
	assert_int_equal(crew__directory_retired(&f->directory, copy, &rows.row, &rows.count), 0);
	free(rows.row);
	live_and_die(f, 2, 0, 0, &one);
	assert_int_equal(
		crew__directory_retired(&f->directory, copy, &rows.row, &rows.count), -EAGAIN);
	rows = look_at_rows(f);
	assert_int_equal(row_of(&rows, 0, 0)->counters.connections_total, 6);
	free(rows.row);
	/* A master that stopped inside a fold. */
	atomic_fetch_add(&f->directory.header->sequence, 1);
	atomic_fetch_add(&f->directory.header->folds, 1);
	assert_false(crew__directory_read(&f->directory, 0, f->copy));
	assert_int_equal(
		crew__directory_retired(&f->directory, f->copy, &rows.row, &rows.count), 0);
	assert_int_equal(rows.count, 1);
	free(rows.row);
}

static void damaged_rows_are_tamed(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__snapshot one = directory_work(1);
	live_and_die(f, 1, 1, 3, &one);
	f->directory.retired->rows = UINT32_MAX;
	f->directory.retired->row[1].service = 2; /* there are two */
	f->directory.retired->row[2].service = UINT32_MAX;
	struct directory_rows rows = look_at_rows(f);
	assert_int_equal(rows.count, CREW__LIVES_MAX + CREW_MAX_SERVICES - 2);
	assert_int_equal(row_of(&rows, 1, 3)->counters.connections_total, 3);
	free(rows.row);
}

/* A status copies the header alone; what is behind it must not make it slower. */
static void the_header_is_no_larger_for_it(void **state)
{
	struct directory_fixture *f = *state;
	const char *header = (const char *)f->directory.header;
	assert_true((const char *)f->directory.retired >= header + sizeof(*f->directory.header));
	assert_true((const char *)f->directory.events >=
		    (const char *)f->directory.retired + sizeof(*f->directory.retired));
	assert_true(sizeof(*f->directory.header) < 128 * 1024);
}

static void the_master_has_events_of_its_own(void **state)
{
	struct directory_fixture *f = *state;
	struct crew__directory reader;
	struct crew__event event = { .kind = CREW__EVENT_DEATH, .values = { 3, 2, 77, SIGSEGV } };
	uint64_t after = 0, missed = 0;
	snprintf(event.text, sizeof(event.text), "out of range");
	crew__events_add(f->directory.events, &event);
	assert_int_equal(
		crew__directory_open(crew__directory_readonly_fd(&f->directory), &reader), 0);
	memset(&event, 0, sizeof(event));
	assert_true(crew__events_next(reader.events, &after, &event, &missed));
	assert_int_equal(event.kind, CREW__EVENT_DEATH);
	assert_int_equal(event.values[3], SIGSEGV);
	assert_string_equal(event.text, "out of range");
	assert_false(crew__events_next(reader.events, &after, &event, &missed));
	crew__directory_fini(&reader);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, directory_set_up, directory_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_dead_are_known_by_worker),
		TEST(workers_without_a_row_are_the_rest),
		TEST(rows_are_of_the_same_moment_as_the_copy),
		TEST(damaged_rows_are_tamed),
		TEST(the_header_is_no_larger_for_it),
		TEST(the_master_has_events_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
