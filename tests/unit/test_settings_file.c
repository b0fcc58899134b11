/* Settings from a file and from --set: every mistake is told with its place and what is meant. */
#include "service/settings_parts.h"
#include "settings_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- numbers -----------------------------------------------------------------------------------
 */

static void numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int error;
		int64_t number;
	} rows[] = {
		{ "0", 0, 0 },
		{ "12", 0, 12 },
		{ "007", 0, 7 },
		{ "off", 0, 0 },
		{ "64k", 0, 65536 },
		{ "64K", 0, 65536 },
		{ "1m", 0, 1048576 },
		{ "1g", 0, 1073741824 },
		{ "-5", 0, -5 },
		{ "-1k", 0, -1024 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "-9223372036854775808", 0, INT64_MIN },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "8589934592g", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-", -EINVAL, 0 },
		{ "k", -EINVAL, 0 },
		{ "+5", -EINVAL, 0 },
		{ "--5", -EINVAL, 0 },
		{ " 5", -EINVAL, 0 },
		{ "5 ", -EINVAL, 0 },
		{ "5kk", -EINVAL, 0 },
		{ "5t", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1.5m", -EINVAL, 0 },
		{ "on", -EINVAL, 0 },
		{ "Off", -EINVAL, 0 },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		int64_t number = 0;
		int error = crew__parse_number(rows[i].text, &number);
		if (error != rows[i].error || number != rows[i].number)
			fail_msg("\"%s\" gave %d, %lld", rows[i].text, error, (long long)number);
	}
}

/* ---- values ------------------------------------------------------------------------------------
 */

static void switches(void **state)
{
	(void)state;
	static const char *const on[] = { "on", "yes", "true", "1" };
	static const char *const off[] = { "off", "no", "false", "0" };
	char set[64];
	for (size_t i = 0; i < 4; i++) {
		snprintf(set, sizeof(set), "web.reuse_port=%s", on[i]);
		struct crew__settings *settings = settings_good(NULL, set);
		assert_true(settings_of(settings, "web")->reuse_port);
		crew__settings_free(settings);
		snprintf(set, sizeof(set), "web.reuse_port=%s", off[i]);
		settings = settings_good("[web]\nreuse_port = on\n", set);
		assert_false(settings_of(settings, "web")->reuse_port);
		crew__settings_free(settings);
	}
}

static void the_edges_of_ranges(void **state)
{
	(void)state;
	static const char *const good[] = { "web.workers=1024", "web.max_message=1",
		"web.max_message=512m", "web.max_send_buffer=1g", "web.kernel_unsent_limit=off",
		"web.kernel_unsent_limit=0", "web.send_timeout_ms=2592000000", "web.linger_ms=0",
		"web.max_connections=1", "web.max_connections_per_ip=off", "crew.control_mode=0660",
		"crew.control_mode=0", "crew.control_mode=777", "crew.engine=poll",
		"crew.engine=epoll", "crew.log_level=debug", "crew.log_level=error",
		"web.user=root", "web.group=root", "web.user=", "crew.log=", "web.gzip=off",
		"web.gzip=1", "web.deflate=shared", "web.deflate=takeover",
		"web.deflate=off", "web.deflate_min=off", "web.deflate_min=1",
		"web.max_head=1k", "web.max_head=1m", "web.min_body_rate=off",
		"web.access_log=", "web.access_log=off", "web.access_log_json=yes",
		"web.proxy_protocol=on", "web.upload_dir=/tmp", "web.upload_dir=",
		"web.trusted_proxies=", "web.trusted_proxies=10.0.0.0/8, ::1 unix" };
	static const char *const bad[] = { "web.workers=1025", "web.workers=0", "web.workers=off",
		"web.max_message=0", "web.max_message=off", "web.max_message=513m",
		"web.max_send_buffer=1073741825", "web.max_send_buffer=0",
		"web.send_timeout_ms=2592000001", "web.linger_ms=-1", "web.max_connections=0",
		"web.max_connections=1048576", "crew.control_mode=0888", "crew.control_mode=1777",
		"crew.control_mode=01777", "crew.control_mode=-1",
		"crew.control_mode=", "crew.control_mode=rw",
		"web.workers=", "web.reuse_port=", "crew.engine=", "web.gzip=-1",
		"web.deflate=", "web.deflate=on",
		"web.deflate=share", "web.deflate_min=-1", "web.deflate_min=2g", "web.gzip=2g",
		"web.max_head=1023", "web.max_head=off", "web.max_head=1025k",
		"web.min_body_rate=-1", "web.access_log_json=", "web.proxy_protocol=v2",
		"web.trusted_proxies=10.0.0.0/33", "web.upload_dir=/tmp/there/is/no/such",
		"web.upload_dir=/etc/passwd" };
	for (size_t i = 0; i < crew__lengthof(good); i++)
		crew__settings_free(settings_good(NULL, good[i]));
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		settings_bad(NULL, bad[i], "--set", NULL);
}

static void bad_values_are_told_with_what_is_allowed(void **state)
{
	(void)state;
	settings_bad(
		NULL, "feed.workers=none", "--set feed.workers = none", "1 to 1024", "auto", NULL);
	settings_bad(NULL, "feed.max_message=1x", "1x", "1 to 512m", NULL);
	settings_bad(NULL, "feed.max_message=99999999999999999999", "out of range", NULL);
	settings_bad(NULL, "feed.idle_timeout_ms=soon", "or off", "2592000000 milliseconds", NULL);
	settings_bad(NULL, "feed.reuse_port=perhaps", "perhaps", "on, off", NULL);
	settings_bad(NULL, "crew.log_level=loud", "loud", "debug, info, warn and error", NULL);
	settings_bad(NULL, "crew.log_level=wran", "did you mean", NULL);
	settings_bad(NULL, "crew.engine=kqueue", "kqueue", "auto, epoll and poll", NULL);
	settings_bad(NULL, "crew.engine=io_uring", "without io_uring", NULL);
	settings_bad(NULL, "feed.user=nosuchuser", "nosuchuser", "no such user", NULL);
	settings_bad(NULL, "feed.group=nosuchgroup", "nosuchgroup", "no such group", NULL);
	settings_bad(NULL, "crew.control_group=nosuchgroup", "no such group", NULL);
	settings_bad(NULL, "feed.trusted_proxies=::1 10.0.0.0/33 unix", "feed.trusted_proxies",
		"\"10.0.0.0/33\" is no network", NULL);
	settings_bad(NULL, "feed.upload_dir=/etc/passwd", "--set feed.upload_dir = /etc/passwd",
		"no directory", NULL);
	settings_bad(NULL, "feed.workers=\x1b[31m\x07", "?[31m?", NULL);
}

/* ---- names -------------------------------------------------------------------------------------
 */

static void unknown_names_have_a_nearest(void **state)
{
	(void)state;
	settings_bad(NULL, "feed.max_mesage=1", "--set feed.max_mesage", "\"max_message\"", NULL);
	settings_bad(NULL, "fed.workers=1", "\"fed\"", "\"feed\"", NULL);
	settings_bad(NULL, "crw.engine=poll", "\"crew\"", NULL);
	settings_bad(NULL, "crew.engin=poll", "\"engine\"", NULL);
	settings_bad(NULL, "feed.zzzzzz=1", "no such key", "help settings", NULL);
	settings_bad(NULL, "zzzzzz.workers=1", "unknown section", NULL);
	settings_bad(NULL, "feed.tls_crt=x", "no such key", "\"tls_cert\"", NULL);
	/* What is no setting. */
	settings_bad(NULL, "crew.name=x", "no such key", NULL);
	settings_bad(NULL, "feed.Workers=1", "no such key", NULL);
}

static void sets_that_are_none(void **state)
{
	(void)state;
	static const char *const sets[] = { "nonsense", "feed.workers", "feed=1", "=", ".", "" };
	for (size_t i = 0; i < crew__lengthof(sets); i++)
		settings_bad(NULL, sets[i], "--set", "SECTION.KEY=VALUE", NULL);
	settings_bad(NULL, ".workers=1", "unknown section", NULL);
	settings_bad(NULL, "app.=1", "no name", NULL);
	settings_bad(NULL, "feed.=1", "no such key", NULL);
}

/* ---- addresses ---------------------------------------------------------------------------------
 */

static void addresses(void **state)
{
	(void)state;
	static const char *const good[] = { "feed.listen=tcp://:1", "feed.listen=text://[::1]:1",
		"feed.listen=frame+unix://RUNDIR/x", "feed.listen=unix:///tmp/x",
		"feed.listen=tcp+unix:///tmp/x", "feed.listen=ws://127.0.0.1:0",
		"feed.listen=http://127.0.0.1:8081" };
	for (size_t i = 0; i < crew__lengthof(good); i++)
		crew__settings_free(settings_good(NULL, good[i]));
	settings_bad(NULL, "feed.listen=gopher://127.0.0.1:1", "gopher", "known are", NULL);
	settings_bad(NULL, "feed.listen=htp://127.0.0.1:1", "did you mean \"http\"", NULL);
	settings_bad(NULL, "feed.listen=unix+unix:///tmp/x", "unknown scheme", NULL);
	settings_bad(NULL, "feed.listen=unix+tcp://:1", "scheme", NULL);
	settings_bad(NULL, "feed.listen=tcp://127.0.0.1:99999", "--set feed.listen", "99999", NULL);
	settings_bad(NULL, "feed.listen=nonsense", "nonsense", NULL);
	settings_bad(NULL, "feed.listen=", "feed.listen is empty", NULL);
	settings_bad("[feed]\nlisten = tcp://nowhere:80\n", NULL, ".ini:2: feed.listen", "nowhere",
		NULL);
}

static void two_services_at_one_place(void **state)
{
	(void)state;
	struct crew__settings *settings;
	settings_bad(NULL, "feed.listen=http://127.0.0.1:8080", "feed.listen", "service web", NULL);
	assert_int_equal(
		settings_load(&settings_app, NULL, &settings, "web.listen=http+unix:///tmp/x",
			"feed.listen=ws+unix:///tmp/x", NULL),
		-EINVAL);
	assert_non_null(strstr(settings_error, "service web"));
	/* Any port is another port each time. */
	assert_int_equal(settings_load(&settings_app, NULL, &settings, "web.listen=http://:0",
				 "feed.listen=ws://:0", NULL),
		0);
	crew__settings_free(settings);
	assert_int_equal(
		settings_load(&settings_app, NULL, &settings, "web.listen=http://127.0.0.1:1",
			"feed.listen=ws://127.0.0.2:1", NULL),
		0);
	crew__settings_free(settings);
}

/* ---- limits of the machine ----------------------------------------------------------------------
 */

/* Last of all tests: it does not come back. */
static void connections_within_the_descriptor_limit(void **state)
{
	(void)state;
	const struct rlimit small = { .rlim_cur = 64, .rlim_max = 64 };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	struct crew__settings *settings = settings_good(NULL, NULL);
	assert_int_equal(settings_of(settings, "web")->max_connections, 57);
	crew__settings_free(settings);
	crew__settings_free(settings_good(NULL, "web.max_connections=63"));
	settings_bad(NULL, "web.max_connections=64", "--set web.max_connections", "64 descriptors",
		"at most 63", NULL);
	settings_bad("[web]\nmax_connections = 1000\n", NULL, ".ini:2", "ulimit", NULL);
}

/* ---- the file ----------------------------------------------------------------------------------
 */

static void a_file_with_all_that_is_allowed(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good("\xef\xbb\xbf# a comment\r\n"
							"; another\r\n"
							"\r\n"
							"[feed]   ; of all\r\n"
							"workers = 3   ; three\r\n"
							"  max_message : 2k\r\n"
							"\theartbeat_ms=1\r\n"
							"[job]\n"
							"  [app]\n"
							"word = a;b # c ; d",
		NULL);
	const struct crew__service_settings *feed = settings_of(settings, "feed");
	assert_int_equal(feed->workers, 3);
	assert_int_equal(feed->max_message, 2048);
	assert_int_equal(feed->heartbeat_ms, 1);
	assert_string_equal(crew_setting("word", ""), "a;b # c");
	crew__settings_free(settings);
}

static void mistakes_are_told_with_their_line(void **state)
{
	(void)state;
	static const struct {
		const char *file, *place, *word;
	} rows[] = {
		{ "[feed]\nworkers = 2\n\nmax_mesage = 1\n", ".ini:4: ", "max_message" },
		{ "[fed]\nworkers = 2\n", ".ini:1: ", "feed" },
		{ "\n[fed]\n", ".ini:2: ", "feed" },
		{ "[feed]\nworkers = two\n", ".ini:2: ", "two" },
		{ "workers = 2\n", ".ini:1: ", "before the first section" },
		{ "[feed]\nwhat is this\n", ".ini:2: ", "neither" },
		{ "[feed\nworkers = 2\n", ".ini:1: ", "neither" },
		{ "[feed]\nno value\nworkers = x\n", ".ini:2: ", "neither" },
		{ "[feed]\nworkers = x\nno value\n", ".ini:2: ", "workers = x" },
		{ "[feed]\n  workers = 2\n  max_mesage = 1\n", ".ini:3: ", "max_message" },
		{ "[]\nworkers = 1\n", ".ini:1: ", "unknown section" },
		{ "[a-section-that-is-longer-than-the-names-that-inih-keeps-whole]\n",
			".ini:1: ", "unknown section" },
		{ "[crew]\n= 3\n", ".ini:2: ", "no such key" },
		{ "[app]\n= 3\n", ".ini:2: ", "no name" },
		{ "[feed]\nworkers = 2 # two\n", ".ini:2: ", "2 # two" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++)
		settings_bad(
			rows[i].file, NULL, "crew-settings-", rows[i].place, rows[i].word, NULL);
}

static void long_lines_are_refused_not_cut(void **state)
{
	(void)state;
	char file[2000], value[1000];
	/* "key = " and 192 bytes are the 198 that inih takes. */
	memset(value, 'x', sizeof(value));
	snprintf(file, sizeof(file), "[app]\nkey = %.192s\nlast = 1\n", value);
	struct crew__settings *settings = settings_good(file, NULL);
	assert_int_equal(strlen(crew_setting("key", "")), 192);
	assert_string_equal(crew_setting("last", ""), "1");
	crew__settings_free(settings);
	snprintf(file, sizeof(file), "[app]\nkey = %.193s\n", value);
	settings_bad(file, NULL, ".ini:2: ", "too long", "198", NULL);
	snprintf(file, sizeof(file), "[app]\n;%.900s\n", value);
	settings_bad(file, NULL, ".ini:2: ", "too long", NULL);
	/* Also without an end. */
	snprintf(file, sizeof(file), "[app]\nkey = %.900s", value);
	settings_bad(file, NULL, ".ini:2: ", "too long", NULL);
	snprintf(file, sizeof(file), "[app]\nkey = %.100s", value);
	crew__settings_free(settings_good(file, NULL));
}

static void load_path(const char *path, int expected, const char *word)
{
	struct crew__settings *settings;
	const struct crew__settings_source source = {
		.app = &settings_app, .program = "shop", .config = path, .run_dir = "/run/x"
	};
	assert_int_equal(
		crew__settings_load(&source, &settings, settings_error, sizeof(settings_error)),
		expected);
	if (!strstr(settings_error, path) || !strstr(settings_error, word))
		fail_msg("%s", settings_error);
}

static void files_that_cannot_be_read(void **state)
{
	(void)state;
	load_path("/nowhere/missing.ini", -ENOENT, "-c FILE");
	load_path("/tmp", -EISDIR, "directory");
	load_path("/dev/zero", -EINVAL, "no text");
}

static void a_file_has_a_largest_size(void **state)
{
	(void)state;
	size_t size = 1024 * 1024;
	char *file = malloc(size + 2);
	memset(file, '\n', size + 1);
	file[size + 1] = '\0';
	settings_bad(file, NULL, "larger than 1048576", NULL);
	file[size] = '\0';
	crew__settings_free(settings_good(file, NULL));
	free(file);
}

/* Files made of pieces that mean something, in the wrong places. */
static void random_files_harm_nobody(void **state)
{
	(void)state;
	static const char *const pieces[] = { "[feed]", "[app]", "[", "]", "\n", "\n", "workers",
		"=", " ", "\t", "1", ";", "#", "\xff", "max_message", ":", "\r\n", "[crew]", "%s" };
	srandom(5);
	unsigned good = 0;
	for (int round = 0; round < 3000; round++) {
		char file[512] = "";
		struct crew__settings *settings;
		for (int i = 0; i < 1 + round % 12; i++)
			strcat(file, pieces[(size_t)random() % crew__lengthof(pieces)]);
		if (!settings_load(&settings_app, file, &settings, NULL)) {
			good++;
			crew__settings_free(settings);
		} else {
			assert_true(settings_error[0] != '\0');
			assert_null(strchr(settings_error, '\n'));
		}
	}
	assert_true(good > 50);
	assert_true(good < 2950);
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static void every_row_is_said_and_accepted(void **state)
{
	(void)state;
	size_t count, services = 0;
	const struct crew__setting_row *rows = crew__settings_table(&count);
	assert_int_equal(count, CREW__SERVICE_KEYS + CREW__CREW_KEYS);
	for (size_t i = 0; i < count; i++) {
		bool service = strcmp(rows[i].section, "service") == 0;
		services += service;
		assert_true(service || strcmp(rows[i].section, "crew") == 0);
		assert_true(strlen(rows[i].type) > 0 && strlen(rows[i].fallback) > 0);
		assert_true(strlen(rows[i].sentence) > 10);
		char set[128];
		struct crew__settings *settings;
		snprintf(set, sizeof(set), "%s.%s=\x01", service ? "web" : "crew", rows[i].key);
		if (settings_load(&settings_app, NULL, &settings, set, NULL))
			assert_null(strstr(settings_error, "no such key"));
		else
			crew__settings_free(settings);
	}
	assert_int_equal(services, CREW__SERVICE_KEYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(switches),
		cmocka_unit_test(the_edges_of_ranges),
		cmocka_unit_test(bad_values_are_told_with_what_is_allowed),
		cmocka_unit_test(unknown_names_have_a_nearest),
		cmocka_unit_test(sets_that_are_none),
		cmocka_unit_test(addresses),
		cmocka_unit_test(two_services_at_one_place),
		cmocka_unit_test(a_file_with_all_that_is_allowed),
		cmocka_unit_test(mistakes_are_told_with_their_line),
		cmocka_unit_test(long_lines_are_refused_not_cut),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(a_file_has_a_largest_size),
		cmocka_unit_test(random_files_harm_nobody),
		cmocka_unit_test(every_row_is_said_and_accepted),
		cmocka_unit_test(connections_within_the_descriptor_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
