/* test_settings_live.c - settings that change while the program runs, and the service that
 * crew.admin switches on. */
#include "settings_world.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- changes ------------------------------------------------------------------------------- */

static struct crew__settings_change change;

static void set_good(struct crew__settings *settings, const char *text)
{
	if (crew__settings_set_live(
		    settings, text, &change, settings_error, sizeof(settings_error)))
		fail_msg("%s: %s", text, settings_error);
}

/* Refused, with that in the complaint, and nothing has changed. */
static void set_bad(struct crew__settings *settings, const char *text, const char *words)
{
	char *before = crew__settings_write(settings);
	settings_error[0] = '\0';
	assert_int_equal(crew__settings_set_live(
				 settings, text, &change, settings_error, sizeof(settings_error)),
		-EINVAL);
	if (!strstr(settings_error, words))
		fail_msg("no \"%s\" in: %s", words, settings_error);
	assert_null(strstr(settings_error, "--set"));
	assert_null(strchr(settings_error, '\n'));
	char *after = crew__settings_write(settings);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void a_change_is_in_force_and_can_be_taken_back(void **state)
{
	(void)state;
	char text[128];
	struct crew__settings *settings = settings_good(NULL, NULL);
	const struct crew__service_settings *web = settings_of(settings, "web");
	set_good(settings, "web.policy=drop-oldest");
	assert_int_equal(web->policy, CREW_DROP_OLDEST);
	assert_int_equal(change.service, 0);
	assert_string_equal(change.name, "policy");
	assert_int_equal(change.before, CREW_DROP_NEWEST);
	assert_int_equal(change.now, CREW_DROP_OLDEST);
	assert_true(
		crew__settings_show_live(settings, change.service, change.key, text, sizeof(text)));
	assert_string_equal(text, "web.policy=drop-oldest");
	assert_false(crew__settings_show_live(settings, change.service, change.key, text, 5));
	crew__settings_undo_live(settings, &change);
	assert_int_equal(web->policy, CREW_DROP_NEWEST);
	set_good(settings, "web.deflate=off");
	assert_int_equal(web->deflate, CREW__DEFLATE_OFF);
	assert_int_equal(change.before, CREW__DEFLATE_SHARED);
	assert_true(
		crew__settings_show_live(settings, change.service, change.key, text, sizeof(text)));
	assert_string_equal(text, "web.deflate=off");
	set_good(settings, "feed.max_send_buffer=64k");
	assert_int_equal(settings_of(settings, "feed")->max_send_buffer, 64 << 10);
	assert_int_equal(web->max_send_buffer, 1 << 20);
	assert_int_equal(change.service, 1);
	set_good(settings, "crew.log_level=debug");
	assert_int_equal(settings->log_level, CREW_DEBUG);
	assert_int_equal(change.service, -1);
	crew__settings_undo_live(settings, &change);
	assert_int_equal(settings->log_level, CREW_INFO);
	set_good(settings, "crew.buffer_budget=off");
	assert_int_equal(settings->buffer_budget, 0);
	crew__settings_free(settings);
}

static void what_cannot_change_is_told(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, NULL);
	set_bad(settings, "web.workers=3", "web.workers cannot change while the program runs");
	set_bad(settings, "web.workers=3", "rate_bytes");
	set_bad(settings, "web.listen=tcp://127.0.0.1:1", "reload");
	set_bad(settings, "crew.log=/tmp/x", "log_level, log_size, log_keep, capture_lines, buffer_budget");
	set_bad(settings, "web.polcy=replace", "did you mean \"policy\"");
	set_bad(settings, "wbe.policy=replace", "did you mean \"web\"");
	set_bad(settings, "app.color=red", "program's own");
	set_bad(settings, "web.policy=repalce", "did you mean replace?");
	set_bad(settings, "web.idle_timeout_ms=soon", "this is no number");
	set_bad(settings, "web.soft_limit_ms=0", "out of range");
	set_bad(settings, "web.policy", "SECTION.KEY=VALUE");
	set_bad(settings, "policy=replace", "SECTION.KEY=VALUE");
	set_bad(settings, "", "SECTION.KEY=VALUE");
	set_bad(settings, "web.policy=replace\n", "line break");
	crew__settings_free(settings);
}

static void live_keys_are_those_of_the_table(void **state)
{
	(void)state;
	assert_true(crew__setting_is_live(true, "policy"));
	assert_true(crew__setting_is_live(true, "gzip"));
	assert_false(crew__setting_is_live(true, "listen"));
	assert_false(crew__setting_is_live(true, "log_level"));
	assert_true(crew__setting_is_live(false, "log_level"));
	assert_false(crew__setting_is_live(false, "engine"));
	assert_false(crew__setting_is_live(false, "nonsense"));
}

/* A worker that starts later reads them as text. */
static void changes_survive_the_way_to_a_worker(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, NULL), *read;
	set_good(settings, "web.rate_bytes=12k");
	set_good(settings, "feed.policy=disconnect");
	char *text = crew__settings_write(settings);
	assert_int_equal(crew__settings_parse(&settings_app, text, &read, settings_error,
				 sizeof(settings_error)),
		0);
	assert_int_equal(settings_of(read, "web")->rate_bytes, 12 << 10);
	assert_int_equal(settings_of(read, "feed")->policy, CREW_DISCONNECT);
	free(text);
	crew__settings_free(read);
	crew__settings_free(settings);
}

/* ---- the admin service --------------------------------------------------------------------- */

static const crew_service admin = {
	.name = "admin", .listen = "http://127.0.0.1:1", .idle_timeout_ms = 7000
};

static int with_admin(void **state)
{
	(void)state;
	crew__settings_use_admin(&admin);
	return 0;
}

static int without_admin(void **state)
{
	(void)state;
	crew__settings_use_admin(NULL);
	return 0;
}

static void it_is_there_only_when_switched_on(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, NULL);
	assert_int_equal(settings->services, 4);
	crew__settings_free(settings);
	settings = settings_good(NULL, "crew.admin=off");
	assert_int_equal(settings->services, 4);
	crew__settings_free(settings);
	settings = settings_good("[crew]\nadmin = http://127.0.0.1:9100\n", NULL);
	assert_int_equal(settings->services, 5);
	const struct crew__service_settings *last = &settings->service[4];
	assert_ptr_equal(last->service, &admin);
	assert_string_equal(last->listen, "http://127.0.0.1:9100");
	assert_int_equal(last->workers, 1);
	assert_int_equal(last->idle_timeout_ms, 7000);
	assert_int_equal(last->max_message, 1 << 20);
	assert_true(last->max_connections > 0);
	crew__settings_free(settings);
}

static void the_program_may_switch_it_on(void **state)
{
	(void)state;
	crew_app app = settings_app;
	struct crew__settings *settings;
	app.admin = "http://[::1]:9100";
	assert_int_equal(settings_load(&app, NULL, &settings, NULL), 0);
	assert_int_equal(settings->services, 5);
	assert_string_equal(settings->service[4].listen, "http://[::1]:9100");
	crew__settings_free(settings);
	assert_int_equal(settings_load(&app, NULL, &settings, "crew.admin=off", NULL), 0);
	assert_int_equal(settings->services, 4);
	crew__settings_free(settings);
}

static void its_section_sets_its_keys(void **state)
{
	(void)state;
	/* Before crew.admin is known; and without it the section is only a preparation. */
	struct crew__settings *settings = settings_good(
		"[admin]\nmax_connections = 7\n[crew]\nadmin = http://127.0.0.1:9100\n", NULL);
	assert_int_equal(settings->service[4].max_connections, 7);
	set_good(settings, "admin.max_connections=5");
	assert_int_equal(settings->service[4].max_connections, 5);
	crew__settings_free(settings);
	settings = settings_good("[admin]\nmax_connections = 7\naccess_log = /tmp/a\n", NULL);
	assert_int_equal(settings->services, 4);
	set_bad(settings, "admin.max_connections=5", "unknown section");
	crew__settings_free(settings);
	settings_bad("[admin]\nmax_conections = 7\n", NULL, ":2", "max_connections", NULL);
}

static void its_bad_settings_are_told(void **state)
{
	(void)state;
	settings_bad(NULL, "crew.admin=tcp://127.0.0.1:9100", "--set crew.admin",
		"http://127.0.0.1:9100", NULL);
	settings_bad(NULL, "crew.admin=http://127.0.0.1:99999", "crew.admin = http", NULL);
	settings_bad(NULL, "crew.admin=http://127.0.0.1:8080", "crew.admin = http",
		"service web listens there already", NULL);
	settings_bad("[admin]\nlisten = http://127.0.0.1:2\n", "crew.admin=http://127.0.0.1:9100",
		":2", "where crew.admin says", NULL);
	settings_bad("[admin]\nworkers = 2\n", "crew.admin=http://127.0.0.1:9100", ":2",
		"one worker", NULL);
}

static void a_program_with_one_of_its_own(void **state)
{
	(void)state;
	static const crew_service own = { .name = "admin", .listen = "tcp://127.0.0.1:5" };
	const crew_app app = { .name = "shop", .services = { &own } };
	struct crew__settings *settings;
	assert_int_equal(settings_load(&app, NULL, &settings, "admin.workers=2", NULL), 0);
	assert_int_equal(settings->services, 1);
	assert_ptr_equal(settings->service[0].service, &own);
	crew__settings_free(settings);
	assert_int_equal(
		settings_load(&app, NULL, &settings, "crew.admin=http://127.0.0.1:9100", NULL),
		-EINVAL);
	assert_non_null(strstr(settings_error, "service \"admin\" of its own"));
}

static void a_program_without_room_for_it(void **state)
{
	(void)state;
	static crew_service many[CREW_MAX_SERVICES];
	static char names[CREW_MAX_SERVICES][8];
	static crew_app app = { .name = "shop" };
	struct crew__settings *settings;
	for (unsigned i = 0; i < CREW_MAX_SERVICES; i++) {
		snprintf(names[i], sizeof(names[i]), "s%u", i);
		many[i] = (crew_service){ .name = names[i] };
		app.services[i] = &many[i];
	}
	assert_int_equal(settings_load(&app, NULL, &settings, NULL), 0);
	assert_int_equal(settings->services, CREW_MAX_SERVICES);
	crew__settings_free(settings);
	assert_int_equal(
		settings_load(&app, NULL, &settings, "crew.admin=http://127.0.0.1:9100", NULL),
		-EINVAL);
	assert_non_null(strstr(settings_error, "no place for the admin service"));
}

static void a_program_built_without_it(void **state)
{
	(void)state;
	crew__settings_use_admin(NULL);
	settings_bad(NULL, "crew.admin=http://127.0.0.1:9100", "built without", NULL);
	settings_bad("[admin]\nmax_connections = 7\n", NULL, "unknown section \"admin\"", NULL);
}

/* A worker gets the service and its address from the master. */
static void it_survives_the_way_to_a_worker(void **state)
{
	(void)state;
	struct crew__settings *read;
	struct crew__settings *settings = settings_good(
		"[admin]\nmax_message = 3k\n", "crew.admin=http+unix://RUNDIR/admin.sock");
	char *text = crew__settings_write(settings);
	assert_int_equal(crew__settings_parse(&settings_app, text, &read, settings_error,
				 sizeof(settings_error)),
		0);
	assert_int_equal(read->services, 5);
	assert_ptr_equal(read->service[4].service, &admin);
	assert_string_equal(read->service[4].listen, "http+unix://RUNDIR/admin.sock");
	assert_int_equal(read->service[4].max_message, 3 << 10);
	assert_int_equal(read->buffer_budget, settings->buffer_budget);
	free(text);
	crew__settings_free(read);
	crew__settings_free(settings);
}

/* Each live key has a number of its own, which leads back to it, however long the table is. */
static void numbers_lead_back_to_their_keys(void **state)
{
	(void)state;
	static const char *const values[] = { "2000", "drop-oldest", "off" };
	struct crew__settings *settings = settings_good(NULL, NULL);
	size_t count;
	uint64_t seen = 0;
	const struct crew__setting_row *rows = crew__settings_table(&count);
	for (size_t i = 0; i < count; i++) {
		char text[128], head[96];
		int status = -EINVAL;
		if (strcmp(rows[i].section, "service") != 0 ||
			!crew__setting_is_live(true, rows[i].key))
			continue;
		snprintf(head, sizeof(head), "web.%s=", rows[i].key);
		for (size_t v = 0; status < 0 && v < crew__lengthof(values); v++) {
			snprintf(text, sizeof(text), "%s%s", head, values[v]);
			status = crew__settings_set_live(
				settings, text, &change, settings_error, sizeof(settings_error));
		}
		assert_int_equal(status, 0);
		assert_in_range(change.key, 0, 63);
		assert_false(seen & (UINT64_C(1) << change.key));
		seen |= UINT64_C(1) << change.key;
		assert_true(crew__settings_show_live(
			settings, change.service, change.key, text, sizeof(text)));
		assert_int_equal(strncmp(text, head, strlen(head)), 0);
	}
	assert_int_not_equal(seen, 0);
	crew__settings_free(settings);
}

int main(void)
{
#define OF_ADMIN(test) cmocka_unit_test_setup_teardown(test, with_admin, without_admin)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_is_in_force_and_can_be_taken_back),
		cmocka_unit_test(what_cannot_change_is_told),
		cmocka_unit_test(live_keys_are_those_of_the_table),
		cmocka_unit_test(changes_survive_the_way_to_a_worker),
		cmocka_unit_test(numbers_lead_back_to_their_keys),
		OF_ADMIN(it_is_there_only_when_switched_on),
		OF_ADMIN(the_program_may_switch_it_on),
		OF_ADMIN(its_section_sets_its_keys),
		OF_ADMIN(its_bad_settings_are_told),
		OF_ADMIN(a_program_with_one_of_its_own),
		OF_ADMIN(a_program_without_room_for_it),
		OF_ADMIN(a_program_built_without_it),
		OF_ADMIN(it_survives_the_way_to_a_worker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
