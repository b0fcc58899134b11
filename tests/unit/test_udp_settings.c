/* test_udp_settings.c - what settings are for a service on UDP unless somebody says otherwise, and
 * what is refused there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settings_world.h"

/* The service of a protocol of its own, by UDP, as the last of the sets says more. */
static struct crew__settings *loaded(const char *listen, const char *more)
{
	struct crew__settings *settings = NULL;
	if (settings_load(&settings_app, NULL, &settings, listen, more, NULL))
		fail_msg("%s", settings_error);
	return settings;
}

static void test_idleness(void **state)
{
	(void)state;
	static const struct {
		const char *listen;
		int64_t idle_ms;
	} cases[] = {
		{ "net.listen=udp://127.0.0.1:5", 60000 },
		{ "net.listen=netstring+udp://:5", 60000 },
		{ "net.listen= udp://[::1]:5 udp://127.0.0.1:5", 60000 },
		{ "net.listen=netstring://127.0.0.1:5", 0 },
		{ "net.listen=netstring+unix:///tmp/udp", 0 },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		struct crew__settings *settings = loaded(cases[i].listen, NULL);
		assert_int_equal(settings_of(settings, "net")->idle_timeout_ms, cases[i].idle_ms);
		crew__settings_free(settings);
	}
	struct crew__settings *settings = loaded("net.listen=udp://:5", "net.idle_timeout_ms=off");
	assert_int_equal(settings_of(settings, "net")->idle_timeout_ms, 0);
	crew__settings_free(settings);
}

static bool has_own_sockets(const char *listen, const char *workers, const char *reuse_port)
{
	struct crew__settings *settings = NULL;
	if (settings_load(&settings_app, NULL, &settings, listen, workers, reuse_port, NULL))
		fail_msg("%s", settings_error);
	bool own = settings_of(settings, "net")->reuse_port;
	crew__settings_free(settings);
	return own;
}

static void test_sockets_of_workers(void **state)
{
	(void)state;
	const char *udp = "net.listen=udp://:5", *tcp = "net.listen=tcp://:5";
	assert_true(has_own_sockets(udp, "net.workers=2", NULL));
	assert_false(has_own_sockets(udp, "net.workers=1", NULL));
	assert_false(has_own_sockets(tcp, "net.workers=2", NULL));
	assert_false(has_own_sockets(udp, "net.workers=2", "net.reuse_port=off"));
	assert_true(has_own_sockets(udp, "net.workers=1", "net.reuse_port=on"));
}

static void test_what_is_refused(void **state)
{
	(void)state;
	settings_bad(NULL, "feed.listen=ws+udp://:5", "ws", "streams", "udp://", NULL);
	settings_bad(NULL, "web.listen=http+udp://:5", "http", "streams", NULL);
	settings_bad(NULL, "net.listen=udp://:5 tcp://:5", "two schemes", NULL);
	settings_bad("[net]\nproxy_protocol = on\n", "net.listen=udp://:5", "PROXY", "UDP", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idleness),
		cmocka_unit_test(test_sockets_of_workers),
		cmocka_unit_test(test_what_is_refused),
	};
	return cmocka_run_group_tests_name("settings of udp", tests, NULL, NULL);
}
