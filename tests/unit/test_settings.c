/* Settings: defaults, who overrules whom, what the program's structs may say, crew_setting. */
#include "settings_world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- defaults ----------------------------------------------------------------------------------
 */

static void defaults_are_those_of_the_design(void **state)
{
	(void)state;
	struct rlimit limit;
	struct crew__settings *settings = settings_good(NULL, NULL);
	const struct crew__service_settings *web = settings_of(settings, "web");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	int64_t most = limit.rlim_max > 1048575 ? 1048575 : (int64_t)limit.rlim_max;
	assert_int_equal(settings->services, 4);
	assert_string_equal(settings->name, "shop");
	assert_int_equal(settings->engine, CREW__ENGINE_AUTO);
	assert_int_equal(settings->log_level, CREW_INFO);
	assert_int_equal(settings->control_mode, 0600);
	assert_null(settings->control_group);
	assert_null(settings->log);
	assert_string_equal(web->listen, "http://127.0.0.1:8080");
	assert_int_equal(web->workers, 1);
	assert_false(web->reuse_port);
	assert_null(web->user);
	assert_null(web->group);
	assert_int_equal(web->max_connections, most * 9 / 10);
	assert_int_equal(web->max_connections_per_ip, 0);
	assert_int_equal(web->max_message, 1 << 20);
	assert_int_equal(web->max_send_buffer, 1 << 20);
	assert_int_equal(web->kernel_unsent_limit, 128 << 10);
	assert_int_equal(web->send_timeout_ms, 0);
	assert_int_equal(web->idle_timeout_ms, 60000);
	assert_int_equal(web->handshake_timeout_ms, 10000);
	assert_int_equal(web->heartbeat_ms, 30000);
	assert_int_equal(web->linger_ms, 1000);
	assert_int_equal(web->drain_timeout_ms, 30000);
	assert_int_equal(web->stop_timeout_ms, 2000);
	assert_int_equal(web->min_body_rate, 500);
	assert_int_equal(web->max_head, 16 << 10);
	assert_int_equal(web->gzip, 1 << 10);
	assert_int_equal(web->deflate, CREW__DEFLATE_SHARED);
	assert_int_equal(web->deflate_min, 1 << 10);
	assert_int_equal(web->offload_threads, 4);
	assert_int_equal(web->offload_queue, 1000);
	assert_int_equal(web->offload_timeout_ms, 30000);
	assert_null(web->access_log);
	assert_false(web->access_log_json);
	assert_null(web->trusted_proxies);
	assert_false(web->proxy_protocol);
	assert_null(web->upload_dir);
	assert_int_equal(settings_of(settings, "feed")->idle_timeout_ms, 0);
	assert_null(settings_of(settings, "job")->listen);
	crew__settings_free(settings);
	crew__settings_free(NULL);
}

static void the_program_overrules_defaults(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, NULL);
	const struct crew__service_settings *feed = settings_of(settings, "feed");
	assert_int_equal(feed->workers, 2);
	assert_int_equal(feed->max_message, 4096);
	assert_int_equal(feed->heartbeat_ms, 0);
	crew__settings_free(settings);
}

static void each_source_overrules_the_one_before(void **state)
{
	(void)state;
	struct crew__settings *settings;
	const char *file = "[feed]\nworkers = 3\nmax_message=8k\nheartbeat_ms = 5000\n";
	assert_int_equal(settings_load(&settings_app, file, &settings, "feed.workers=4",
				 "feed.workers=5", "web.idle_timeout_ms=off", NULL),
		0);
	const struct crew__service_settings *feed = settings_of(settings, "feed");
	assert_int_equal(feed->workers, 5);
	assert_int_equal(feed->max_message, 8192);
	assert_int_equal(feed->heartbeat_ms, 5000);
	assert_int_equal(settings_of(settings, "web")->idle_timeout_ms, 0);
	assert_int_equal(settings_of(settings, "web")->workers, 1);
	crew__settings_free(settings);
}

static void the_idle_default_follows_the_address_in_force(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, "feed.listen=http+unix://RUNDIR/f");
	assert_int_equal(settings_of(settings, "feed")->idle_timeout_ms, 60000);
	crew__settings_free(settings);
	settings = settings_good(NULL, "web.listen=tcp://127.0.0.1:1");
	assert_int_equal(settings_of(settings, "web")->idle_timeout_ms, 0);
	crew__settings_free(settings);
}

static void workers_auto_are_the_usable_cpus(void **state)
{
	(void)state;
	cpu_set_t cpus;
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	struct crew__settings *settings = settings_good("[web]\nworkers = auto\n", NULL);
	assert_int_equal(settings_of(settings, "web")->workers, CPU_COUNT(&cpus));
	crew__settings_free(settings);
}

/* ---- paths -------------------------------------------------------------------------------------
 */

static struct crew__settings *load_from(const char *run_dir, const char *set)
{
	struct crew__settings *settings;
	const struct crew__settings_source source = { .app = &settings_app,
		.program = "shop",
		.sets = &set,
		.set_count = set != NULL,
		.run_dir = run_dir };
	if (crew__settings_load(&source, &settings, settings_error, sizeof(settings_error)))
		fail_msg("%s", settings_error);
	return settings;
}

static void the_run_directory(void **state)
{
	(void)state;
	char expected[4200], cwd[4096];
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	/* The option, then the setting, then the default. */
	struct crew__settings *settings = load_from("/var/tmp/x/", "crew.run_dir=/nowhere");
	assert_string_equal(settings->run_dir, "/var/tmp/x");
	crew__settings_free(settings);
	settings = load_from(NULL, "crew.run_dir=some/where");
	snprintf(expected, sizeof(expected), "%s/some/where", cwd);
	assert_string_equal(settings->run_dir, expected);
	crew__settings_free(settings);
	settings = load_from(NULL, NULL);
	if (geteuid() == 0)
		assert_string_equal(settings->run_dir, "/run/shop");
	assert_int_equal(settings->run_dir[0], '/');
	crew__settings_free(settings);
	settings = load_from("/", NULL);
	assert_string_equal(settings->run_dir, "/");
	crew__settings_free(settings);
}

static void the_log_is_absolute(void **state)
{
	(void)state;
	char expected[4200], cwd[4096];
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	struct crew__settings *settings = settings_good("[crew]\nlog = logs/a.log\n", NULL);
	snprintf(expected, sizeof(expected), "%s/logs/a.log", cwd);
	assert_string_equal(settings->log, expected);
	crew__settings_free(settings);
}

static void the_paths_of_a_service(void **state)
{
	(void)state;
	char expected[4200], cwd[4096];
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	struct crew__settings *settings = load_from(
		"/tmp/there", "web.access_log=RUNDIR/access.log");
	assert_string_equal(settings_of(settings, "web")->access_log, "/tmp/there/access.log");
	assert_null(settings_of(settings, "feed")->access_log);
	crew__settings_free(settings);
	settings = settings_good("[web]\naccess_log = logs/a.log/\nupload_dir = .\n", NULL);
	snprintf(expected, sizeof(expected), "%s/logs/a.log", cwd);
	assert_string_equal(settings_of(settings, "web")->access_log, expected);
	snprintf(expected, sizeof(expected), "%s/.", cwd);
	assert_string_equal(settings_of(settings, "web")->upload_dir, expected);
	crew__settings_free(settings);
	/* RUNDIR/ is a name like any other where nothing says that it is more. */
	settings_bad(NULL, "web.upload_dir=RUNDIR/x", "RUNDIR/x", NULL);
	settings_bad(NULL, "web.access_log=a\nb", "line break", NULL);
}

static void the_edges_of_http_in_the_program(void **state)
{
	(void)state;
	const crew_service all = { .name = "all",
		.listen = "http://:0",
		.access_log = "/var/log/all",
		.access_log_json = true,
		.trusted_proxies = "10.0.0.0/8",
		.proxy_protocol = true,
		.upload_dir = "/tmp",
		.gzip = CREW_OFF,
		.deflate = "takeover",
		.deflate_min = CREW_OFF,
		.offload_threads = 7,
		.offload_queue = 1,
		.offload_timeout_ms = CREW_OFF,
		.min_body_rate = CREW_OFF,
		.max_head = 4096 };
	struct crew__settings *settings;
	const crew_app app = { .services = { &all } };
	assert_int_equal(settings_load(&app, NULL, &settings, NULL), 0);
	const struct crew__service_settings *s = &settings->service[0];
	assert_string_equal(s->access_log, "/var/log/all");
	assert_true(s->access_log_json);
	assert_string_equal(s->trusted_proxies, "10.0.0.0/8");
	assert_true(s->proxy_protocol);
	assert_string_equal(s->upload_dir, "/tmp");
	assert_int_equal(s->gzip, 0);
	assert_int_equal(s->deflate, CREW__DEFLATE_TAKEOVER);
	assert_int_equal(s->deflate_min, 0);
	assert_int_equal(s->offload_threads, 7);
	assert_int_equal(s->offload_queue, 1);
	assert_int_equal(s->offload_timeout_ms, 0);
	assert_int_equal(s->min_body_rate, 0);
	assert_int_equal(s->max_head, 4096);
	crew__settings_free(settings);
	/* What is nearer to the operator overrules it, also with nothing. */
	assert_int_equal(settings_load(&app, "[all]\naccess_log = off\n", &settings,
				 "all.trusted_proxies=", "all.proxy_protocol=off", NULL),
		0);
	assert_null(settings->service[0].access_log);
	assert_null(settings->service[0].trusted_proxies);
	assert_false(settings->service[0].proxy_protocol);
	crew__settings_free(settings);
}

static void a_line_break_in_a_path(void **state)
{
	(void)state;
	struct crew__settings *settings;
	const struct crew__settings_source source = {
		.app = &settings_app, .program = "shop", .run_dir = "/tmp/a\nb"
	};
	assert_int_equal(
		crew__settings_load(&source, &settings, settings_error, sizeof(settings_error)),
		-EINVAL);
	assert_null(strchr(settings_error, '\n'));
	settings_bad(NULL, "crew.log=a\nb", "line break", NULL);
	settings_bad(NULL, "app.key=a\nb", "line break", NULL);
	settings_bad(NULL, "app.ke\ny=a", "line break", NULL);
}

/* ---- the program's structs ---------------------------------------------------------------------
 */

static void refused(const crew_app *app, const char *first, const char *second)
{
	struct crew__settings *settings;
	if (!settings_load(app, NULL, &settings, NULL))
		fail_msg("accepted, but: %s", first);
	if (!strstr(settings_error, "the program: ") || !strstr(settings_error, first) ||
		!strstr(settings_error, second))
		fail_msg("no \"%s\", \"%s\" in: %s", first, second, settings_error);
}

static void services_must_have_good_names(void **state)
{
	(void)state;
	static const char *const names[] = { "crew", "app", "", "a b", "a.b", "a/b", "\xc3\xa9",
		"a-name-that-is-a-few-letters-longer-than-is-taken" };
	const crew_service good = { .name = "Good_1-a" }, none = { .name = NULL };
	for (size_t i = 0; i < crew__lengthof(names); i++) {
		crew_service bad = { .name = names[i] };
		refused(&(crew_app){ .services = { &good, &bad } }, "service 2", "name");
	}
	refused(&(crew_app){ .services = { &good, &none } }, "service 2", "has no name");
	crew_service same = { .name = "Good_1-a" };
	refused(&(crew_app){ .services = { &good, &same } }, "service 2", "taken by service 1");
	refused(&(crew_app){ .name = "x" }, "no service", "services");
}

static void there_may_be_64_services(void **state)
{
	(void)state;
	char names[CREW_MAX_SERVICES + 1][16];
	crew_service services[CREW_MAX_SERVICES + 1];
	crew_app app = { .name = "many" };
	struct crew__settings *settings;
	memset(services, 0, sizeof(services));
	for (int i = 0; i <= CREW_MAX_SERVICES; i++) {
		snprintf(names[i], sizeof(names[i]), "s%d", i);
		services[i].name = names[i];
		app.services[i] = &services[i];
	}
	refused(&app, "more than 64", "NULL");
	app.services[CREW_MAX_SERVICES] = NULL;
	assert_int_equal(settings_load(&app, NULL, &settings, NULL), 0);
	assert_int_equal(settings->services, 64);
	crew__settings_free(settings);
}

static void values_of_the_program_are_checked(void **state)
{
	(void)state;
	const crew_service bad[] = {
		{ .name = "bad", .max_message = -7 },
		{ .name = "bad", .max_message = CREW_OFF },
		{ .name = "bad", .max_message = INT64_MAX },
		{ .name = "bad", .workers = CREW_OFF },
		{ .name = "bad", .workers = 1025 },
		{ .name = "bad", .max_connections = 1048576 },
		{ .name = "bad", .idle_timeout_ms = INT64_C(2592000001) },
		{ .name = "bad", .listen = "tcp://127.0.0.1" },
		{ .name = "bad", .listen = "gopher://127.0.0.1:70" },
		{ .name = "bad", .listen = "" },
		{ .name = "bad", .user = "nosuchuser" },
		{ .name = "bad", .trusted_proxies = "10.0.0.0/99" },
		{ .name = "bad", .upload_dir = "/nowhere/at/all" },
		{ .name = "bad", .max_head = CREW_OFF },
		{ .name = "bad", .max_head = 100 },
		{ .name = "bad", .gzip = -3 },
		{ .name = "bad", .deflate = "on" },
		{ .name = "bad", .deflate = "" },
		{ .name = "bad", .deflate_min = -3 },
		{ .name = "bad", .offload_threads = 1025 },
		{ .name = "bad", .offload_queue = CREW_OFF },
	};
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		refused(&(crew_app){ .name = "x", .services = { &bad[i] } }, "bad", "");
}

static void off_in_the_program(void **state)
{
	(void)state;
	const crew_service off = { .name = "off",
		.listen = "http://:0",
		.max_connections_per_ip = CREW_OFF,
		.kernel_unsent_limit = CREW_OFF,
		.idle_timeout_ms = CREW_OFF,
		.handshake_timeout_ms = CREW_OFF,
		.stop_timeout_ms = CREW_OFF,
		.workers = CREW_AUTO };
	struct crew__settings *settings;
	const crew_app app = { .services = { &off } };
	assert_int_equal(settings_load(&app, NULL, &settings, NULL), 0);
	assert_int_equal(settings->service[0].kernel_unsent_limit, 0);
	assert_int_equal(settings->service[0].idle_timeout_ms, 0);
	assert_int_equal(settings->service[0].handshake_timeout_ms, 0);
	assert_int_equal(settings->service[0].stop_timeout_ms, 0);
	assert_true(settings->service[0].workers >= 1);
	/* The name is that of the program's file. */
	assert_string_equal(settings->name, "shop");
	crew__settings_free(settings);
}

static int64_t cut(crew_conn *c, crew_bytes in)
{
	(void)c;
	return (int64_t)in.len;
}

static void protocols_of_the_program(void **state)
{
	(void)state;
	const crew_protocol bad[] = { { .name = "Mine", .cut = cut }, { .name = NULL, .cut = cut },
		{ .name = "", .cut = cut }, { .name = "mine" }, { .name = "http", .cut = cut },
		{ .name = "unix", .cut = cut } };
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		crew_service service = { .name = "s", .protocol = &bad[i] };
		refused(&(crew_app){ .name = "x", .services = { &service } }, "service 1 (s)",
			"protocol");
	}
	crew__settings_free(settings_good(NULL, "net.listen=netstring+unix://RUNDIR/n"));
	crew__settings_free(settings_good(NULL, "net.listen=unix://RUNDIR/n"));
	settings_bad(
		NULL, "net.listen=http://127.0.0.1:1", "protocol of its own", "netstring://", NULL);
	settings_bad(NULL, "net.listen=netstrin://127.0.0.1:1", "did you mean \"netstring\"", NULL);
	settings_bad(NULL, "web.listen=netstring://127.0.0.1:1", "unknown scheme", NULL);
}

static void counters_of_the_program(void **state)
{
	(void)state;
	const crew_service service = { .name = "s" };
	crew_app app = { .name = "x", .services = { &service } };
	app.counters[0].name = "orders";
	app.counters[1].name = "send_fail";
	refused(&app, "counter 2", "send_fail");
	app.counters[1].name = "Orders";
	refused(&app, "counter 2", "lower-case");
	app.counters[1].name = "orders";
	refused(&app, "counter 2", "counter 1");
}

static void names_of_programs(void **state)
{
	(void)state;
	const crew_service service = { .name = "s" };
	const char *const names[] = { "", "a/b", ".", "..", "a\nb",
		"a-name-that-is-much-too-long-to-be-a-name-of-any-program-that-anybody-has" };
	for (size_t i = 0; i < crew__lengthof(names); i++)
		refused(&(crew_app){ .name = names[i], .services = { &service } }, "name",
			"crew_app.name");
}

/* ---- crew_setting ------------------------------------------------------------------------------
 */

static const char *refusal;
static const char *seen;

static const char *on_config(void)
{
	seen = crew_setting("word", "nothing");
	return refusal;
}

static void the_program_is_asked_last(void **state)
{
	(void)state;
	crew_app app = settings_app;
	struct crew__settings *before, *settings;
	app.on_config = on_config;
	refusal = NULL;
	assert_int_equal(settings_load(&app, NULL, &before, "app.word=one", NULL), 0);
	assert_string_equal(seen, "one");
	assert_string_equal(crew_setting("word", NULL), "one");
	/* A refusal leaves those in force that were. */
	refusal = "it does not please";
	assert_int_equal(settings_load(&app, NULL, &settings, "app.word=two", NULL), -EINVAL);
	assert_string_equal(seen, "two");
	assert_non_null(strstr(settings_error, "it does not please"));
	assert_string_equal(crew_setting("word", NULL), "one");
	/* It is not asked about settings that are wrong anyway. */
	seen = NULL;
	assert_int_equal(settings_load(&app, NULL, &settings, "web.workers=0", NULL), -EINVAL);
	assert_null(seen);
	crew__settings_free(before);
	assert_null(crew_setting("word", NULL));
}

static void settings_of_the_program(void **state)
{
	(void)state;
	struct crew__settings *settings;
	assert_int_equal(
		settings_load(&settings_app, "[app]\nword = spaces  inside \nrate=2k\nempty =\n",
			&settings, "app.a.b=c=d", "app.rate=3", NULL),
		0);
	assert_string_equal(crew_setting("word", ""), "spaces  inside");
	assert_string_equal(crew_setting("a.b", ""), "c=d");
	assert_string_equal(crew_setting("empty", "x"), "");
	assert_string_equal(crew_setting("missing", "fallback"), "fallback");
	assert_null(crew_setting("missing", NULL));
	assert_int_equal(crew_setting_int("rate", 1), 3);
	assert_int_equal(crew_setting_int("word", 7), 7);
	assert_int_equal(crew_setting_int("missing", 8), 8);
	crew__settings_free(settings);
}

static void what_crew_setting_gave_outlives_the_settings(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, "app.word=kept");
	const char *word = crew_setting("word", NULL);
	crew__settings_free(settings);
	assert_string_equal(word, "kept");
	settings = settings_good(NULL, "app.word=kept");
	assert_ptr_equal(crew_setting("word", NULL), word);
	crew__settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_design),
		cmocka_unit_test(the_program_overrules_defaults),
		cmocka_unit_test(each_source_overrules_the_one_before),
		cmocka_unit_test(the_idle_default_follows_the_address_in_force),
		cmocka_unit_test(workers_auto_are_the_usable_cpus),
		cmocka_unit_test(the_run_directory),
		cmocka_unit_test(the_log_is_absolute),
		cmocka_unit_test(the_paths_of_a_service),
		cmocka_unit_test(the_edges_of_http_in_the_program),
		cmocka_unit_test(a_line_break_in_a_path),
		cmocka_unit_test(services_must_have_good_names),
		cmocka_unit_test(there_may_be_64_services),
		cmocka_unit_test(values_of_the_program_are_checked),
		cmocka_unit_test(off_in_the_program),
		cmocka_unit_test(protocols_of_the_program),
		cmocka_unit_test(counters_of_the_program),
		cmocka_unit_test(names_of_programs),
		cmocka_unit_test(the_program_is_asked_last),
		cmocka_unit_test(settings_of_the_program),
		cmocka_unit_test(what_crew_setting_gave_outlives_the_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
