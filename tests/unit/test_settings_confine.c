/* Settings that confine workers and renew them: values, what goes together, the way to a worker. */
#include "settings_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void by_default_only_privileges_are_not_gained(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(NULL, NULL);
	const struct crew__service_settings *web = settings_of(settings, "web");
	assert_null(web->capabilities);
	assert_true(web->no_new_privs);
	assert_int_equal(web->seccomp, CREW__SECCOMP_OFF);
	assert_int_equal(web->seccomp_action, CREW__SECCOMP_REFUSE);
	assert_null(web->chroot);
	assert_null(web->cpu_affinity);
	assert_true(web->umask == CREW__UNCHANGED && web->limit_core == CREW__UNCHANGED);
	assert_true(web->nice == CREW__UNCHANGED && web->oom_score_adj == CREW__UNCHANGED);
	assert_int_equal(web->limit_nofile, 0);
	assert_int_equal(web->limit_memory, 0);
	assert_int_equal(web->recycle_requests, 0);
	assert_int_equal(web->recycle_age_ms, 0);
	assert_int_equal(web->recycle_memory, 0);
	assert_null(crew__settings_name_confine(web, 0));
	crew__settings_free(settings);
}

/* All of them, from the file to the text for a worker and back. */
static void all_survive_the_way_to_a_worker(void **state)
{
	(void)state;
	static const char file[] = "[web]\ncapabilities = net_raw\nno_new_privs = on\n"
				   "seccomp = default\nseccomp_action = kill\numask = 027\n"
				   "chroot = /tmp/\nlimit_nofile = 4096\nlimit_core = 0\n"
				   "limit_memory = 512m\ncpu_affinity = each 0\nnice = -5\n"
				   "oom_score_adj = -100\nrecycle_requests = 1000\n"
				   "recycle_age_ms = 3600000\nrecycle_memory = 200m\n";
	static const char *const named[] = { "capabilities", "seccomp", "umask", "chroot",
		"limit_nofile", "limit_core", "limit_memory", "cpu_affinity", "nice",
		"oom_score_adj", "recycle_requests", "recycle_age_ms", "recycle_memory" };
	struct crew__settings *settings = settings_good(file, NULL), *read;
	char *text = crew__settings_write(settings);
	assert_int_equal(crew__settings_parse(&settings_app, text, &read, settings_error,
				 sizeof(settings_error)),
		0);
	const struct crew__service_settings *web = settings_of(read, "web");
	assert_string_equal(web->capabilities, "net_raw");
	assert_int_equal(web->seccomp, CREW__SECCOMP_DEFAULT);
	assert_int_equal(web->seccomp_action, CREW__SECCOMP_KILL);
	assert_int_equal(web->umask, 027);
	assert_string_equal(web->chroot, "/tmp");
	assert_int_equal(web->limit_nofile, 4096);
	assert_int_equal(web->max_connections, 4096 * 9 / 10);
	assert_int_equal(web->limit_core, 0);
	assert_int_equal(web->limit_memory, 512 << 20);
	assert_string_equal(web->cpu_affinity, "each 0");
	assert_int_equal(web->nice, -5);
	assert_int_equal(web->oom_score_adj, -100);
	assert_int_equal(web->recycle_requests, 1000);
	assert_int_equal(web->recycle_age_ms, 3600000);
	assert_int_equal(web->recycle_memory, 200 << 20);
	for (unsigned i = 0; i < crew__lengthof(named); i++)
		assert_string_equal(crew__settings_name_confine(web, i), named[i]);
	assert_null(crew__settings_name_confine(web, crew__lengthof(named)));
	const struct crew__service_settings *feed = settings_of(read, "feed");
	assert_true(feed->nice == CREW__UNCHANGED && feed->umask == CREW__UNCHANGED);
	assert_true(feed->no_new_privs);
	free(text);
	crew__settings_free(read);
	crew__settings_free(settings);
}

static void unchanged_and_off_take_values_back(void **state)
{
	(void)state;
	struct crew__settings *settings;
	assert_int_equal(
		settings_load(&settings_app,
			"[web]\nnice=3\numask=77\ncpu_affinity=auto\nno_new_privs=off\n", &settings,
			"web.nice=unchanged", "web.umask=unchanged", "web.cpu_affinity=off", NULL),
		0);
	const struct crew__service_settings *web = settings_of(settings, "web");
	assert_true(web->nice == CREW__UNCHANGED && web->umask == CREW__UNCHANGED);
	assert_null(web->cpu_affinity);
	assert_false(web->no_new_privs);
	crew__settings_free(settings);
}

static void bad_values_are_told_with_what_is_allowed(void **state)
{
	(void)state;
	settings_bad(NULL, "web.capabilities=net_rwa", "web.capabilities", "\"net_rwa\"",
		"did you mean \"net_raw\"", NULL);
	settings_bad(NULL, "web.seccomp=strict", "web.seccomp", "off and default", NULL);
	settings_bad(NULL, "web.seccomp_action=kil", "refuse, kill and log", "kill", NULL);
	settings_bad(NULL, "web.umask=8", "web.umask", "three octal digits", NULL);
	settings_bad(NULL, "web.umask=1777", "web.umask", "three octal digits", NULL);
	settings_bad(NULL, "web.nice=20", "web.nice", "-20 to 19", "unchanged", NULL);
	settings_bad(NULL, "web.nice=often", "this is no number", NULL);
	settings_bad(NULL, "web.oom_score_adj=-1001", "-1000 to 1000", NULL);
	settings_bad(NULL, "web.limit_core=-1", "out of range", NULL);
	settings_bad(NULL, "web.cpu_affinity=0-", "web.cpu_affinity", "each 0-3,6", NULL);
	settings_bad(NULL, "web.cpu_affinity=1023", "processor 1023", "it may use", NULL);
	settings_bad(NULL, "web.cpu_affinity=4000", "no so large", NULL);
	settings_bad(NULL, "web.recycle_age_ms=-5", "web.recycle_age_ms", "out of range", NULL);
	settings_bad("[web]\nlimit_nofile=100\nmax_connections=100\n", NULL, "max_connections",
		"only 100", NULL);
}

static void what_does_not_go_together(void **state)
{
	(void)state;
	settings_bad("[web]\nseccomp=default\nno_new_privs=off\n", NULL, "no_new_privs",
		"web.seccomp", NULL);
	settings_bad(NULL, "web.chroot=/nowhere/at/all", "web.chroot", "No such file", NULL);
	settings_bad(NULL, "web.chroot=/dev/null", "web.chroot", "no directory", NULL);
	settings_bad(NULL, "web.chroot=/", "web.chroot", "already", NULL);
	settings_bad("[web]\nchroot=/usr\naccess_log=/var/log/web\n", NULL, "web.access_log",
		"outside", "web.chroot = /usr", NULL);
	settings_bad(
		"[web]\nchroot=/usr\nupload_dir=/tmp\n", NULL, "web.upload_dir", "outside", NULL);
}

static void paths_within_a_root(void **state)
{
	(void)state;
	assert_string_equal(crew__path_inside("/srv", "/srv/log/x"), "/log/x");
	assert_string_equal(crew__path_inside("/srv", "/srv"), "/");
	assert_null(crew__path_inside("/srv", "/srvother/x"));
	assert_null(crew__path_inside("/srv", "/var/srv"));
	assert_null(crew__path_inside("/srv/a", "/srv"));
	struct crew__settings *settings = settings_good(
		"[web]\nchroot=/usr\nupload_dir=/usr/share\naccess_log=/usr/log\n", NULL);
	struct crew__service_settings *web = &settings->service[0];
	crew__settings_enter_root(web);
	assert_string_equal(web->upload_dir, "/share");
	assert_string_equal(web->access_log, "/log");
	crew__settings_free(settings);
}

/* The program may say some of them in its struct, and the file overrules it. */
static void the_program_may_say_them(void **state)
{
	(void)state;
	static const crew_service service = { .name = "one",
		.listen = "tcp://127.0.0.1:1",
		.capabilities = "none",
		.no_new_privs_off = true,
		.recycle_requests = 500,
		.recycle_memory = CREW_OFF };
	static const crew_app app = { .name = "one", .services = { &service } };
	struct crew__settings *settings;
	assert_int_equal(settings_load(&app, NULL, &settings, "one.recycle_age_ms=1000", NULL), 0);
	const struct crew__service_settings *one = &settings->service[0];
	assert_string_equal(one->capabilities, "none");
	assert_false(one->no_new_privs);
	assert_int_equal(one->recycle_requests, 500);
	assert_int_equal(one->recycle_age_ms, 1000);
	assert_int_equal(one->recycle_memory, 0);
	crew__settings_free(settings);
	static const crew_service wrong = { .name = "one", .seccomp = "hard" };
	static const crew_app wrong_app = { .name = "one", .services = { &wrong } };
	assert_int_equal(settings_load(&wrong_app, NULL, &settings, NULL), -EINVAL);
	assert_non_null(strstr(settings_error, "one.seccomp"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_default_only_privileges_are_not_gained),
		cmocka_unit_test(all_survive_the_way_to_a_worker),
		cmocka_unit_test(unchanged_and_off_take_values_back),
		cmocka_unit_test(bad_values_are_told_with_what_is_allowed),
		cmocka_unit_test(what_does_not_go_together),
		cmocka_unit_test(paths_within_a_root),
		cmocka_unit_test(the_program_may_say_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
