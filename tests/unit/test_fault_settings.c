/* test_fault_settings.c - settings and statistics when the n-th allocation fails, for every n: one
 * complaint, nothing in force, nothing left behind (under AddressSanitizer). */
#include "settings_world.h"

#include "fault.h"
#include "stats/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MOST_CALLS = 1000
};

/* Each allocation in turn. How many there are. */
static unsigned for_every_failure(int (*fn)(void))
{
	unsigned failed = 0;
	for (unsigned n = 1; n < MOST_CALLS; n++) {
		settings_error[0] = '\0';
		fault_set(FAULT_MEMORY, n, false);
		int error = fn();
		bool hit = fault_hit();
		fault_set(FAULT_NONE, 0, false);
		if (!hit) {
			assert_int_equal(error, 0);
			return failed;
		}
		assert_int_equal(error, -ENOMEM);
		failed++;
	}
	fail_msg("there is no end of failures");
	return failed;
}

/* The texts are new ones each time, because texts that are known need no memory. */
static const char *new_set(void)
{
	static char set[64];
	static unsigned count;
	snprintf(set, sizeof(set), "app.word=%u", count++);
	return set;
}

static int load(void)
{
	const char *sets[] = { new_set(), "feed.listen=tcp://:0", "crew.log=/tmp/x" };
	const struct crew__settings_source source = { .app = &settings_app,
		.program = "shop",
		.sets = sets,
		.set_count = 3,
		.run_dir = "/r" };
	struct crew__settings *settings;
	int error = crew__settings_load(&source, &settings, settings_error, sizeof(settings_error));
	assert_true((error != 0) == (strstr(settings_error, "no memory") != NULL));
	if (!error)
		crew__settings_free(settings);
	assert_null(crew_setting("word", NULL));
	return error;
}

static void loading(void **state)
{
	(void)state;
	assert_true(for_every_failure(load) >= 3);
}

static int parse(void)
{
	char text[128];
	struct crew__settings *settings;
	snprintf(text, sizeof(text), "crew.name=shop\n%s\n", new_set());
	int error = crew__settings_parse(
		&settings_app, text, &settings, settings_error, sizeof(settings_error));
	assert_true((error != 0) == (strstr(settings_error, "no memory") != NULL));
	if (!error)
		crew__settings_free(settings);
	return error;
}

static void parsing(void **state)
{
	(void)state;
	assert_true(for_every_failure(parse) >= 2);
}

static struct crew__segment segment;

static int read_connections(void)
{
	size_t count;
	struct crew__conn_snapshot *rows = crew__segment_connections(&segment, &count);
	/* Without memory they are counted, so that nobody takes it for an empty table. */
	assert_true(count > 0);
	int error = rows ? 0 : -ENOMEM;
	assert_true(error || count == 1000);
	free(rows);
	return error;
}

static void reading_connections(void **state)
{
	(void)state;
	const struct crew__segment_plan plan = { .service = "s", .life = 1, .slots = 1000 };
	struct crew__stats stats;
	assert_int_equal(crew__segment_new(&plan, &segment), 0);
	assert_int_equal(crew__segment_stats(&segment, &stats), 0);
	for (uint32_t i = 0; i < 1000; i++)
		atomic_store(&stats.records[i].id, i + 1);
	atomic_store(&stats.slab->slots_high, 1000);
	assert_true(for_every_failure(read_connections) >= 4);
	crew__segment_fini(&segment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loading),
		cmocka_unit_test(parsing),
		cmocka_unit_test(reading_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
