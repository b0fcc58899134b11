/* Metrics: sums that never fall, names that mean one thing, both formats. */
#include "admin/metrics.h"

#include "status_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *print(const struct crew__metrics *metrics, enum crew__metrics_format format)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	assert_non_null(out);
	crew__metrics_print(metrics, format, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* The value of that series; fails unless it stands there exactly once. */
static const char *value(const char *text, const char *series)
{
	static char found[64];
	size_t length = strlen(series), times = 0;
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += !!line) {
		if (strncmp(line, series, length) != 0 || line[length] != ' ')
			continue;
		times++;
		snprintf(found, sizeof(found), "%.*s", (int)strcspn(line + length + 1, "\n"),
			line + length + 1);
	}
	if (times != 1)
		print_error("%s: %zu times\n", series, times);
	assert_int_equal(times, 1);
	return found;
}

static bool has(const char *text, const char *words)
{
	return strstr(text, words) != NULL;
}

/* Every line's series, and every family, stands in one place. */
static int compare_lines(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static void assert_no_duplicates(char *text)
{
	char *lines[4096], *saved = NULL;
	size_t count = 0;
	for (char *line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		assert_true(count < crew__lengthof(lines));
		char *space = strrchr(line, ' ');
		if (line[0] != '#' && space)
			*space = '\0';
		lines[count++] = line;
	}
	qsort(lines, count, sizeof(lines[0]), compare_lines);
	for (size_t i = 1; i < count; i++)
		assert_string_not_equal(lines[i - 1], lines[i]);
}

/* ---- a world of lives and dead ------------------------------------------------------------- */

struct scene {
	struct world *w;
	struct crew__status *status;
	struct crew__metrics metrics;
};

static void open_scene(struct scene *scene, struct world *w, size_t room)
{
	scene->w = w;
	scene->status = world_take(w);
	assert_int_equal(
		crew__metrics_init(&scene->metrics, scene->status, scene->status->row_count + room),
		0);
	for (size_t i = 0; i < scene->status->row_count; i++)
		crew__metrics_add_life(&scene->metrics, &scene->status->rows[i], NULL, false);
}

static void close_scene(struct scene *scene)
{
	crew__metrics_fini(&scene->metrics);
	crew__status_free(scene->status);
}

static void test_sums_over_generations_and_the_dead(void **state)
{
	struct world *w = *state;
	struct crew__life old = world_life(1, 0, 0, getpid());
	struct crew__life young = world_life(2, 0, 0, getpid());
	struct scene scene;
	young.generation = 2;
	world_work(world_add(w, old, world_app.counters), 2);
	world_work(world_add(w, young, world_app.counters), 3);
	world_work(world_add(w, world_life(3, 1, 0, getpid()), world_app.counters), 1);
	struct crew__retired dead = { .service = 0, .id = 0 };
	world_work(&dead.counters, 4);
	crew__slab_bury(&dead.counters);
	dead.measures[CREW__MEASURE_CALLBACK].count[10] = 5;
	dead.measures[CREW__MEASURE_CALLBACK].sum_us = 4000000;
	struct crew__retired elsewhere = { .service = 0, .id = 7 };
	elsewhere.counters.messages_sent = 11;

	open_scene(&scene, w, 2);
	crew__metrics_add_retired(&scene.metrics, "feed", &dead);
	crew__metrics_add_retired(&scene.metrics, "feed", &elsewhere);
	crew__metrics_finish(&scene.metrics);
	assert_int_equal(scene.metrics.count, 3);
	char *text = print(&scene.metrics, CREW__PROMETHEUS);
#define FEED0 "{service=\"feed\",worker=\"0\"}"
	assert_string_equal(value(text, "crew_messages_sent_total" FEED0), "108"); /* 12 x 9 */
	assert_string_equal(
		value(text, "crew_messages_sent_total{service=\"feed\",worker=\"7\"}"), "11");
	assert_string_equal(
		value(text, "crew_messages_sent_total{service=\"web\",worker=\"0\"}"), "12");
	assert_string_equal(value(text, "crew_connections_total" FEED0), "27");
	assert_string_equal(value(text, "crew_connections_open" FEED0), "10"); /* the living */
	assert_string_equal(value(text, "crew_orders_total" FEED0), "63");
	assert_string_equal(
		value(text, "crew_send_fail_total{service=\"feed\",worker=\"0\",reason=\"crash\"}"),
		"12");
	assert_string_equal(
		value(text, "crew_send_fail_total{service=\"feed\",worker=\"0\",reason=\"full\"}"),
		"36");
	assert_string_equal(
		value(text, "crew_closes_total{service=\"feed\",worker=\"0\",reason=\"crash\"}"),
		"8");
	assert_string_equal(value(text, "crew_callback_seconds_sum" FEED0), "4.000000");
	assert_string_equal(value(text, "crew_callback_seconds_count" FEED0), "5");
	assert_string_equal(
		value(text, "crew_worker_state{service=\"feed\",worker=\"0\",state=\"ready\"}"),
		"2");
	assert_false(has(text, "crew_send_fail_total" FEED0)); /* it would be counted twice */
	assert_no_duplicates(text);
	free(text);
	close_scene(&scene);
}

static void test_the_sum_of_reasons_is_send_fail(void **state)
{
	struct world *w = *state;
	struct scene scene;
	uint64_t sum = 0;
	struct crew__slab *slab = world_add(w, world_life(1, 0, 0, getpid()), NULL);
	for (crew_reason i = 0; i < CREW_LOST_REASONS; i++)
		*crew__slab_fail(slab, i) = (uint64_t)i * 7 + 1;
	open_scene(&scene, w, 0);
	crew__metrics_finish(&scene.metrics);
	char *text = print(&scene.metrics, CREW__OPENMETRICS);
	for (crew_reason i = 0; i < CREW_LOST_REASONS; i++) {
		char series[128];
		snprintf(series, sizeof(series),
			"crew_send_fail_total{service=\"feed\",worker=\"0\",reason=\"%s\"}",
			crew_reason_name(i));
		sum += strtoull(value(text, series), NULL, 10);
	}
	assert_int_equal(sum, 7 * 45 + 10);
	free(text);
	close_scene(&scene);
}

static void test_certificates_have_a_series_for_each_service(void **state)
{
	struct world *w = *state;
	struct scene scene;
	static const int64_t expires[] = { 2000, 7000, 1000, 0 };
	for (uint32_t i = 0; i < 4; i++) {
		world_add(w, world_life(i + 1, i == 1, i, getpid()), world_app.counters);
		atomic_store(&w->segments[i].header->tls.expires, expires[i]);
	}
	open_scene(&scene, w, 0);
	crew__metrics_finish(&scene.metrics);
	char *text = print(&scene.metrics, CREW__PROMETHEUS);
#define EXPIRY "crew_tls_certificate_expiry_seconds"
	assert_string_equal(value(text, EXPIRY "{service=\"feed\"}"), "1000");
	assert_string_equal(value(text, EXPIRY "{service=\"web\"}"), "7000");
	assert_false(has(text, EXPIRY "{service=\"feed\",worker"));
	assert_no_duplicates(text);
	free(text);
	close_scene(&scene);
}

static void test_a_life_that_cannot_be_read_leaves_a_gap(void **state)
{
	struct world *w = *state;
	struct scene scene;
	world_work(world_add(w, world_life(1, 0, 0, getpid()), NULL), 1);
	world_work(world_add(w, world_life(2, 1, 0, getpid()), NULL), 1);
	struct crew__retired dead = { .service = 0, .id = 0 };
	dead.counters.messages_sent = 5;
	scene.status = world_take(w);
	assert_int_equal(crew__metrics_init(&scene.metrics, scene.status, 3), 0);
	crew__metrics_add_life(&scene.metrics, &scene.status->rows[0], NULL, true);
	crew__metrics_add_life(&scene.metrics, &scene.status->rows[1], NULL, false);
	crew__metrics_add_retired(&scene.metrics, "feed", &dead);
	crew__metrics_finish(&scene.metrics);
	char *text = print(&scene.metrics, CREW__PROMETHEUS);
	assert_false(has(text, "crew_messages_sent_total{service=\"feed\""));
	assert_false(has(text, "crew_loop_turn_seconds_count{service=\"feed\""));
	assert_true(has(text, "crew_messages_sent_total{service=\"web\""));
	assert_true(has(text, "crew_worker_memory_bytes{service=\"feed\"")); /* that is known */
	free(text);
	close_scene(&scene);
}

static void test_the_rest_of_a_service_has_a_series_of_its_own(void **state)
{
	struct world *w = *state;
	struct scene scene;
	struct crew__retired rest = { .service = 0, .id = CREW__RETIRED_REST };
	rest.counters.messages_sent = 3;
	open_scene(&scene, w, 1);
	crew__metrics_add_retired(&scene.metrics, "feed", &rest);
	crew__metrics_finish(&scene.metrics);
	char *text = print(&scene.metrics, CREW__PROMETHEUS);
	assert_string_equal(
		value(text, "crew_messages_sent_total{service=\"feed\",worker=\"others\"}"), "3");
	assert_false(has(text, "crew_timers{service=\"feed\",worker=\"others\"}"));
	assert_false(has(text, "crew_worker_memory_bytes{"));
	free(text);
	close_scene(&scene);
}

static void test_buckets_add_up(void **state)
{
	struct world *w = *state;
	struct scene scene;
	struct crew__histogram measures[CREW__MEASURES] = { 0 };
	struct crew__histogram *turn = &measures[CREW__MEASURE_TURN];
	const uint64_t times[] = { 0, 1, 15, 16, 17, 1000, 1024, 70000000, UINT64_C(1) << 40 };
	world_add(w, world_life(1, 0, 0, getpid()), NULL);
	for (size_t i = 0; i < crew__lengthof(times); i++)
		crew__histogram_add(turn, times[i]);
	scene.status = world_take(w);
	assert_int_equal(crew__metrics_init(&scene.metrics, scene.status, 1), 0);
	crew__metrics_add_life(&scene.metrics, &scene.status->rows[0], measures, false);
	crew__metrics_finish(&scene.metrics);
	char *text = print(&scene.metrics, CREW__PROMETHEUS);
#define BUCKET(le) "crew_loop_turn_seconds_bucket{service=\"feed\",worker=\"0\",le=\"" le "\"}"
	assert_string_equal(value(text, BUCKET("0.000016")), "3");
	assert_string_equal(value(text, BUCKET("0.000032")), "5");
	assert_string_equal(value(text, BUCKET("0.001024")), "6");
	assert_string_equal(value(text, BUCKET("0.002048")), "7");
	assert_string_equal(value(text, BUCKET("67.108864")), "7");
	assert_string_equal(value(text, BUCKET("+Inf")), "9");
	assert_string_equal(value(text, "crew_loop_turn_seconds_count" FEED0), "9");
	free(text);
	close_scene(&scene);
}

/* ---- formats ------------------------------------------------------------------------------- */

static void test_the_formats_differ_where_they_must(void **state)
{
	struct world *w = *state;
	struct scene scene;
	world_add(w, world_life(1, 0, 0, getpid()), NULL);
	open_scene(&scene, w, 0);
	crew__metrics_finish(&scene.metrics);
	char *old = print(&scene.metrics, CREW__PROMETHEUS);
	char *open = print(&scene.metrics, CREW__OPENMETRICS);
	assert_true(has(old, "# TYPE crew_bytes_in_total counter\n"));
	assert_true(has(old, "# HELP crew_bytes_in_total bytes received\n"));
	assert_true(has(old, "# TYPE crew_build_info gauge\n"));
	assert_false(has(old, "# UNIT"));
	assert_false(has(old, "# EOF"));
	assert_true(has(open, "# TYPE crew_bytes_in counter\n"));
	assert_true(has(open, "\ncrew_bytes_in_total" FEED0 " 0\n"));
	assert_true(has(open, "# TYPE crew_build info\n"));
	assert_true(has(open, "# UNIT crew_loop_turn_seconds seconds\n"));
	assert_true(has(open, "# UNIT crew_worker_memory_bytes bytes\n"));
	size_t length = strlen(open);
	assert_string_equal(open + length - strlen("\n# EOF\n"), "\n# EOF\n");
	assert_true(has(old, "crew_build_info{app=\"shop\",version=\"1.2\",crew=\"" CREW_VERSION
			     "\",engine=\"epoll\",mode=\"daemon\"} 1\n"));
	assert_string_equal(
		crew__metrics_type(CREW__PROMETHEUS), "text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(crew__metrics_type(CREW__OPENMETRICS),
		"application/openmetrics-text; version=1.0.0; charset=utf-8");
	assert_no_duplicates(old);
	assert_no_duplicates(open);
	free(old);
	free(open);
	close_scene(&scene);
}

static void test_what_others_wrote_is_escaped(void **state)
{
	static const crew_counter odd[CREW_MAX_COUNTERS] = {
		{ "odd", "things", "a \"quoted\" \\ line\nand another" },
		{ "end_", "", "no unit" },
		{ "read_bytes", "bytes", "a unit" },
	};
	struct world *w = *state;
	struct scene scene;
	world_add(w, world_life(1, 0, 0, getpid()), NULL);
	open_scene(&scene, w, 0);
	scene.status->counters = odd;
	snprintf(scene.status->version, sizeof(scene.status->version), "1\"\\\n2");
	crew__metrics_finish(&scene.metrics);
	char *old = print(&scene.metrics, CREW__PROMETHEUS);
	char *open = print(&scene.metrics, CREW__OPENMETRICS);
	assert_true(has(old, "version=\"1\\\"\\\\?2\""));
	assert_true(has(old, "# HELP crew_odd_total a \"quoted\" \\\\ line?and another\n"));
	assert_false(has(open, "# UNIT crew_end_"));
	assert_true(has(open, "# UNIT crew_read_bytes bytes\n"));
	assert_true(has(open, "# HELP crew_odd a \\\"quoted\\\" \\\\ line?and another\n"));
	free(old);
	free(open);
	close_scene(&scene);
}

/* ---- names --------------------------------------------------------------------------------- */

static void test_names_of_the_table(void **state)
{
	crew__metric_name_text text;
	(void)state;
	crew__metric_name("", "connections", true, text);
	assert_string_equal(text, "crew_connections_open");
	crew__metric_name("", "connections_total", false, text);
	assert_string_equal(text, "crew_connections");
	crew__metric_name("", "slow", true, text);
	assert_string_equal(text, "crew_slow_connections");
	crew__metric_name("", "slow_total", false, text);
	assert_string_equal(text, "crew_slow");
	crew__metric_name("send_fail_by_reason", "full", false, text);
	assert_string_equal(text, "crew_send_fail");
	crew__metric_name("closes_by_reason", "full", false, text);
	assert_string_equal(text, "crew_closes");
}

/* What samples of a family may be called. */
static bool is_sample(const char *name, const char *family)
{
	static const char *const endings[] = { "", "_total", "_created", "_bucket", "_count",
		"_sum", "_info" };
	size_t length = strlen(family);
	for (size_t i = 0; i < crew__lengthof(endings); i++)
		if (!strncmp(name, family, length) && !strcmp(name + length, endings[i]))
			return true;
	return false;
}

static void test_no_family_can_be_taken_for_another(void **state)
{
	static const struct {
		const char *group, *name;
		bool gauge;
	} table[] = {
#define X(field, kind, group, name, unit, sentence) { group, name, #kind[0] == 'G' },
		CREW_COUNTER_TABLE(X)
#undef X
	};
	/* Names that a program may choose, and that are made to collide. */
	static const crew_counter nasty[CREW_MAX_COUNTERS] = { { "closes", "", "" },
		{ "up", "", "" }, { "orders", "", "" }, { "orders_total", "", "" },
		{ "orders_created", "", "" }, { "app_orders", "", "" }, { "app_orders_2", "", "" },
		{ "loop_turn_seconds", "", "" }, { "loop_turn_seconds_bucket", "", "" },
		{ "connections_open_total", "", "" }, { "build", "", "" }, { "build_info", "", "" },
		{ "_total", "", "" }, { "7", "", "" }, { "slow_connections", "", "" },
		{ "worker_exits_created", "", "" } };
	crew__metric_name_text names[256], app[CREW_MAX_COUNTERS];
	size_t count = 0;
	(void)state;
	for (const struct crew__metric_family *f = crew__metric_families; f->name; f++)
		snprintf(names[count++], sizeof(names[0]), "%s", f->name);
	for (size_t i = 0; i < crew__lengthof(table); i++)
		if (!*table[i].group && strcmp(table[i].name, "send_fail") != 0)
			crew__metric_name("", table[i].name, table[i].gauge, names[count++]);
	crew__metric_app_names(nasty, app);
	for (size_t i = 0; nasty[i].name; i++)
		memcpy(names[count++], app[i], sizeof(names[0]));
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < count; k++)
			if (i != k && is_sample(names[i], names[k]))
				fail_msg("%s may be taken for %s", names[i], names[k]);
	assert_string_equal(app[2], "crew_orders");
	assert_string_equal(app[13], "crew_7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_sums_over_generations_and_the_dead),
		WORLD_TEST(test_the_sum_of_reasons_is_send_fail),
		WORLD_TEST(test_certificates_have_a_series_for_each_service),
		WORLD_TEST(test_a_life_that_cannot_be_read_leaves_a_gap),
		WORLD_TEST(test_the_rest_of_a_service_has_a_series_of_its_own),
		WORLD_TEST(test_buckets_add_up),
		WORLD_TEST(test_the_formats_differ_where_they_must),
		WORLD_TEST(test_what_others_wrote_is_escaped),
		cmocka_unit_test(test_names_of_the_table),
		cmocka_unit_test(test_no_family_can_be_taken_for_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
