/* Settings as text for a worker: what was written is read back to the same. */
#include "settings_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct crew__settings *parse(const crew_app *app, const char *text)
{
	struct crew__settings *settings;
	if (crew__settings_parse(app, text, &settings, settings_error, sizeof(settings_error)))
		fail_msg("%s", settings_error);
	return settings;
}

static void assert_same_text(const char *a, const char *b)
{
	if (!a || !b)
		assert_true(!a && !b);
	else
		assert_string_equal(a, b);
}

static void assert_same_service(
	const struct crew__service_settings *a, const struct crew__service_settings *b)
{
	assert_ptr_equal(a->service, b->service);
	assert_same_text(a->listen, b->listen);
	assert_same_text(a->user, b->user);
	assert_same_text(a->group, b->group);
	assert_int_equal(a->reuse_port, b->reuse_port);
	assert_int_equal(a->accept, b->accept);
	assert_int_equal(a->connection_rate_per_ip, b->connection_rate_per_ip);
	assert_int_equal(a->workers, b->workers);
	assert_int_equal(a->max_connections, b->max_connections);
	assert_int_equal(a->max_connections_per_ip, b->max_connections_per_ip);
	assert_int_equal(a->max_message, b->max_message);
	assert_int_equal(a->max_send_buffer, b->max_send_buffer);
	assert_int_equal(a->kernel_unsent_limit, b->kernel_unsent_limit);
	assert_int_equal(a->send_timeout_ms, b->send_timeout_ms);
	assert_int_equal(a->idle_timeout_ms, b->idle_timeout_ms);
	assert_int_equal(a->handshake_timeout_ms, b->handshake_timeout_ms);
	assert_int_equal(a->heartbeat_ms, b->heartbeat_ms);
	assert_int_equal(a->linger_ms, b->linger_ms);
	assert_int_equal(a->drain_timeout_ms, b->drain_timeout_ms);
	assert_int_equal(a->stop_timeout_ms, b->stop_timeout_ms);
	assert_int_equal(a->min_body_rate, b->min_body_rate);
	assert_int_equal(a->max_head, b->max_head);
	assert_int_equal(a->gzip, b->gzip);
	assert_int_equal(a->deflate, b->deflate);
	assert_int_equal(a->deflate_min, b->deflate_min);
	assert_int_equal(a->offload_threads, b->offload_threads);
	assert_int_equal(a->offload_queue, b->offload_queue);
	assert_int_equal(a->offload_timeout_ms, b->offload_timeout_ms);
	assert_same_text(a->access_log, b->access_log);
	assert_int_equal(a->access_log_json, b->access_log_json);
	assert_same_text(a->trusted_proxies, b->trusted_proxies);
	assert_int_equal(a->proxy_protocol, b->proxy_protocol);
	assert_same_text(a->upload_dir, b->upload_dir);
}

static void assert_same(const struct crew__settings *a, const struct crew__settings *b)
{
	assert_int_equal(a->services, b->services);
	for (unsigned i = 0; i < a->services; i++)
		assert_same_service(&a->service[i], &b->service[i]);
	assert_int_equal(a->engine, b->engine);
	assert_int_equal(a->log_level, b->log_level);
	assert_int_equal(a->control_mode, b->control_mode);
	assert_same_text(a->control_group, b->control_group);
	assert_same_text(a->log, b->log);
	assert_same_text(a->run_dir, b->run_dir);
	assert_same_text(a->name, b->name);
	assert_int_equal(a->app_count, b->app_count);
	for (size_t i = 0; i < a->app_count; i++) {
		assert_string_equal(a->app_keys[i], b->app_keys[i]);
		assert_string_equal(a->app_values[i], b->app_values[i]);
	}
}

static void assert_round_trip(const struct crew__settings *settings)
{
	char *text = crew__settings_write(settings);
	assert_non_null(text);
	struct crew__settings *again = parse(settings->app, text);
	assert_same(settings, again);
	char *text_again = crew__settings_write(again);
	assert_string_equal(text, text_again);
	crew__settings_free(again);
	free(text);
	free(text_again);
}

static void defaults(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, NULL);
	assert_round_trip(settings);
	crew__settings_free(settings);
}

static void everything_set(void **state)
{
	(void)state;
	struct crew__settings *settings;
	const char *file = "[feed]\nlisten=unix://RUNDIR/x\nworkers=auto\nreuse_port=yes\n"
			   "user=root\ngroup=root\nmax_connections=77\nmax_connections_per_ip=3\n"
			   "connection_rate_per_ip=11\n"
			   "max_message=5k\nmax_send_buffer=6m\nkernel_unsent_limit=off\n"
			   "send_timeout_ms=1\nidle_timeout_ms=2\nhandshake_timeout_ms=0\n"
			   "heartbeat_ms=off\nlinger_ms=4\ndrain_timeout_ms=5\nstop_timeout_ms=6\n"
			   "min_body_rate=7\nmax_head=8k\ngzip=off\ndeflate=takeover\n"
			   "deflate_min=off\noffload_threads=3\noffload_queue=9\n"
			   "offload_timeout_ms=off\naccess_log=RUNDIR/a.log\n"
			   "access_log_json=on\ntrusted_proxies=10.0.0.0/8, ::1 unix\n"
			   "proxy_protocol=on\nupload_dir=/tmp\n"
			   "[crew]\nengine=poll\nlog=/tmp/a b.log\nlog_level=error\n"
			   "run_dir=/tmp/other\ncontrol_mode=0666\ncontrol_group=root\n"
			   "[web]\nidle_timeout_ms=off\n";
	assert_int_equal(settings_load(&settings_app, file, &settings, NULL), 0);
	assert_int_equal(settings->control_mode, 0666);
	assert_round_trip(settings);
	crew__settings_free(settings);
}

static void odd_values(void **state)
{
	(void)state;
	static const char *const sets[] = { "app.a=", "app.b= leading and trailing ",
		"app.c===", "app.d=\t\r\x01\x7f", "app.e=\xff\xc3\xa9", "app.f.g.h=[web].workers=3",
		"app.i=; # % %s \\n \"'" };
	for (size_t i = 0; i < crew__lengthof(sets); i++) {
		struct crew__settings *settings = settings_good(NULL, sets[i]);
		assert_string_equal(settings->app_values[0], strchr(sets[i], '=') + 1);
		assert_round_trip(settings);
		crew__settings_free(settings);
	}
}

static void random_bytes(char *text, size_t size, const char *without)
{
	size_t length = (size_t)random() % (size - 1), kept = 0;
	for (size_t i = 0; i < length; i++) {
		char byte = (char)random();
		if (byte != '\0' && !strchr(without, byte))
			text[kept++] = byte;
	}
	text[kept] = '\0';
}

static void random_values(void **state)
{
	(void)state;
	srandom(8);
	for (int round = 0; round < 1000; round++) {
		char sets[5][128], value[60], key[20];
		struct crew__settings *settings;
		for (int i = 0; i < 3; i++) {
			random_bytes(key, sizeof(key), "\n=");
			random_bytes(value, sizeof(value), "\n");
			snprintf(sets[i], sizeof(sets[i]), "app.%s%d=%s", key, i, value);
		}
		snprintf(sets[3], sizeof(sets[3]), "web.linger_ms=%ld", random());
		snprintf(sets[4], sizeof(sets[4]), "feed.max_message=%ld",
			1 + random() % (512L << 20));
		assert_int_equal(settings_load(&settings_app, NULL, &settings, sets[0], sets[1],
					 sets[2], sets[3], sets[4], NULL),
			0);
		assert_int_equal(settings->app_count, 3);
		assert_round_trip(settings);
		crew__settings_free(settings);
	}
}

/* ---- another version at the other end ----------------------------------------------------------
 */

static void what_is_not_known_is_left_out(void **state)
{
	(void)state;
	struct crew__settings *settings = parse(&settings_app,
		"crew.name=shop\ncrew.run_dir=/run/s\ncrew.of_tomorrow=1\nfeed.policy=drop-oldest\n"
		"gone.workers=3\nfeed.workers=7\n");
	assert_int_equal(settings_of(settings, "feed")->workers, 7);
	assert_int_equal(settings_of(settings, "feed")->max_message, 4096);
	assert_int_equal(settings_of(settings, "web")->idle_timeout_ms, 60000);
	assert_string_equal(settings->run_dir, "/run/s");
	crew__settings_free(settings);
}

static void text_that_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = { "nonsense", "feed", "feed.workers", "feed=3\n",
		"feed.workers=\n", "feed.workers=0\n", "feed.max_message=1e9\n", "app.=1\n",
		"crew.engine=io_uring\n" };
	for (size_t i = 0; i < crew__lengthof(texts); i++) {
		struct crew__settings *settings;
		if (crew__settings_parse(&settings_app, texts[i], &settings, settings_error,
			    sizeof(settings_error)) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_non_null(strstr(settings_error, "the master's settings: "));
	}
}

static void an_unsound_program_is_told_of(void **state)
{
	(void)state;
	const crew_service bad = { .name = "crew" };
	const crew_app app = { .name = "x", .services = { &bad } };
	struct crew__settings *settings;
	assert_int_equal(
		crew__settings_parse(&app, "", &settings, settings_error, sizeof(settings_error)),
		-EINVAL);
	assert_non_null(strstr(settings_error, "service 1"));
}

static void the_worker_uses_them(void **state)
{
	(void)state;
	struct crew__settings *settings = parse(&settings_app, "app.word=of the master\n");
	assert_null(crew_setting("word", NULL));
	crew__settings_use(settings);
	assert_string_equal(crew_setting("word", NULL), "of the master");
	crew__settings_use(NULL);
	assert_null(crew_setting("word", NULL));
	crew__settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(everything_set),
		cmocka_unit_test(odd_values),
		cmocka_unit_test(random_values),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(text_that_is_none),
		cmocka_unit_test(an_unsound_program_is_told_of),
		cmocka_unit_test(the_worker_uses_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
