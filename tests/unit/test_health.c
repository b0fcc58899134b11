/* Health: who is missing, and why. */
#include "admin/health.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const crew_service feed = { .name = "feed" };
static const crew_service web = { .name = "web" };

/* Two workers of feed, one of web, all well. */
struct scene {
	struct crew__settings settings;
	struct crew__status_row rows[4];
	struct crew__status status;
	struct crew__health health;
};

static void set_row(struct crew__status_row *row, const char *service, uint32_t id)
{
	*row = (struct crew__status_row){ .id = id, .generation = 1, .state = CREW__SHOWN_READY };
	snprintf(row->service, sizeof(row->service), "%s", service);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	assert_non_null(scene);
	scene->settings.services = 2;
	scene->settings.service[0].service = &feed;
	scene->settings.service[0].workers = 2;
	scene->settings.service[1].service = &web;
	scene->settings.service[1].workers = 1;
	set_row(&scene->rows[0], "feed", 0);
	set_row(&scene->rows[1], "feed", 1);
	set_row(&scene->rows[2], "web", 0);
	scene->status.rows = scene->rows;
	scene->status.row_count = 3;
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void judge(struct scene *scene)
{
	crew__health_judge(&scene->health, &scene->status, &scene->settings);
}

static char *print(
	const struct crew__health *health, void (*fn)(const struct crew__health *health, FILE *out))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	fn(health, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_missing(struct scene *scene, unsigned id, const char *why)
{
	judge(scene);
	assert_false(scene->health.ready);
	assert_int_equal(scene->health.missing, 1);
	assert_int_equal(scene->health.shown, 1);
	assert_string_equal(scene->health.ailing[0].service, "feed");
	assert_int_equal(scene->health.ailing[0].id, id);
	assert_string_equal(scene->health.ailing[0].why, why);
}

static void test_all_are_there(void **state)
{
	struct scene *scene = *state;
	judge(scene);
	assert_true(scene->health.ready);
	char *text = print(&scene->health, crew__health_text);
	assert_string_equal(text, "ready\n");
	free(text);
	text = print(&scene->health, crew__health_json);
	assert_string_equal(text, "{\"ready\":true,\"missing_count\":0,\"missing\":[]}\n");
	free(text);
}

static void test_states(void **state)
{
	struct scene *scene = *state;
	scene->rows[1].state = CREW__SHOWN_STARTING;
	assert_missing(scene, 1, "starting");
	scene->rows[1].state = CREW__SHOWN_EXITED;
	assert_missing(scene, 1, "exited");
	scene->rows[1].state = CREW__SHOWN_DRAINING;
	assert_missing(scene, 1, "draining");
	scene->rows[1].state = CREW__SHOWN_READY;
	scene->rows[1].stopped = true;
	assert_missing(scene, 1, "stopped by a signal or a debugger");
}

static void test_busy_is_well_until_it_is_stuck(void **state)
{
	struct scene *scene = *state;
	scene->rows[0].state = CREW__SHOWN_BUSY;
	scene->rows[0].busy_ms = CREW__HEALTH_STUCK_MS;
	judge(scene);
	assert_true(scene->health.ready);
	scene->rows[0].busy_ms = 12345;
	assert_missing(scene, 0, "stuck in one turn for 12 s");
	scene->rows[0].busy_in = "on_message";
	assert_missing(scene, 0, "stuck in on_message for 12 s");
}

static void test_a_row_that_is_not_there(void **state)
{
	struct scene *scene = *state;
	set_row(&scene->rows[1], "web", 1); /* another service's id 1 does not count */
	assert_missing(scene, 1, "not started");
}

static void test_one_of_two_generations_is_enough(void **state)
{
	struct scene *scene = *state;
	set_row(&scene->rows[3], "feed", 1);
	scene->rows[3].generation = 2;
	scene->status.row_count = 4;
	scene->rows[1].state = CREW__SHOWN_DRAINING;
	judge(scene);
	assert_true(scene->health.ready);
	scene->rows[1].state = CREW__SHOWN_READY;
	scene->rows[3].state = CREW__SHOWN_STARTING;
	judge(scene);
	assert_true(scene->health.ready);
	scene->rows[1].state = CREW__SHOWN_DRAINING;
	assert_missing(scene, 1, "starting"); /* the youngest tells */
}

static void test_very_many_are_counted_and_not_all_named(void **state)
{
	struct scene *scene = *state;
	scene->settings.service[0].workers = 1024;
	scene->status.row_count = 0;
	judge(scene);
	assert_int_equal(scene->health.missing, 1025);
	assert_int_equal(scene->health.shown, CREW__HEALTH_SHOWN);
	char *text = print(&scene->health, crew__health_json);
	json_t *json = json_loads(text, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(json, "missing_count")), 1025);
	json_t *missing = json_object_get(json, "missing");
	assert_int_equal(json_array_size(missing), CREW__HEALTH_SHOWN);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(missing, 7), "worker")), 7);
	json_decref(json);
	free(text);
	text = print(&scene->health, crew__health_text);
	assert_non_null(
		strstr(text, "not ready: 1025 workers are missing\nfeed #0: not started\n"));
	free(text);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(test_all_are_there),
		SCENE(test_states),
		SCENE(test_busy_is_well_until_it_is_stuck),
		SCENE(test_a_row_that_is_not_there),
		SCENE(test_one_of_two_generations_is_enough),
		SCENE(test_very_many_are_counted_and_not_all_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
