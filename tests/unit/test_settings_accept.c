/* test_settings_accept.c - who accepts: one thing that two keys say, and who of them has the word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "settings_world.h"

#include <stdlib.h>

static void assert_accept(const char *file, const char *set, int64_t accept, bool reuse_port)
{
	struct crew__settings *settings = settings_good(file, set);
	const struct crew__service_settings *web = settings_of(settings, "web");
	assert_int_equal(web->accept, accept);
	assert_int_equal(web->reuse_port, reuse_port);
	/* A worker gets the same from its master. */
	char *text = crew__settings_write(settings), error[256];
	struct crew__settings *again = NULL;
	assert_int_equal(
		crew__settings_parse(&settings_app, text, &again, error, sizeof(error)), 0);
	assert_int_equal(settings_of(again, "web")->accept, accept);
	assert_int_equal(settings_of(again, "web")->reuse_port, reuse_port);
	crew__settings_free(again);
	free(text);
	crew__settings_free(settings);
}

static void one_key_says_it(void **state)
{
	(void)state;
	assert_accept(NULL, NULL, CREW__ACCEPT_SHARED, false);
	assert_accept(NULL, "web.accept=shared", CREW__ACCEPT_SHARED, false);
	assert_accept(NULL, "web.accept=reuse-port", CREW__ACCEPT_REUSE_PORT, true);
	assert_accept(NULL, "web.accept=least-connections", CREW__ACCEPT_LEAST, false);
	assert_accept(NULL, "web.reuse_port=on", CREW__ACCEPT_REUSE_PORT, true);
	assert_accept(NULL, "web.reuse_port=off", CREW__ACCEPT_SHARED, false);
}

static void who_says_it_last_has_the_word(void **state)
{
	(void)state;
	assert_accept("[web]\nreuse_port = on\n", "web.accept=shared", CREW__ACCEPT_SHARED, false);
	assert_accept("[web]\nreuse_port = on\n", "web.accept=least-connections",
		CREW__ACCEPT_LEAST, false);
	assert_accept(
		"[web]\naccept = shared\n", "web.reuse_port=on", CREW__ACCEPT_REUSE_PORT, true);
	assert_accept(
		"[web]\naccept = reuse-port\n", "web.reuse_port=off", CREW__ACCEPT_SHARED, false);
	assert_accept("[web]\naccept = least-connections\n", "web.reuse_port=off",
		CREW__ACCEPT_LEAST, false);
}

static void both_say_it(void **state)
{
	(void)state;
	assert_accept("[web]\naccept = reuse-port\nreuse_port = on\n", NULL,
		CREW__ACCEPT_REUSE_PORT, true);
	assert_accept("[web]\naccept = least-connections\nreuse_port = off\n", NULL,
		CREW__ACCEPT_LEAST, false);
	settings_bad("[web]\naccept = shared\nreuse_port = on\n", NULL, "web.accept",
		"web.reuse_port", "contradict", NULL);
	settings_bad("[web]\naccept = reuse-port\nreuse_port = off\n", NULL, "contradict", NULL);
	settings_bad(NULL, "web.accept=least", "least-connections", "shared", NULL);
}

static void the_program_says_it(void **state)
{
	(void)state;
	const crew_service even = { .name = "even",
		.listen = "tcp://:5",
		.accept = "least-connections",
		.connection_rate_per_ip = 9 };
	const crew_service own = { .name = "own", .listen = "tcp://:6", .reuse_port = true };
	const crew_app app = { .services = { &even, &own } };
	struct crew__settings *settings;
	assert_int_equal(settings_load(&app, NULL, &settings, "own.accept=shared", NULL), 0);
	assert_int_equal(settings->service[0].accept, CREW__ACCEPT_LEAST);
	assert_int_equal(settings->service[0].connection_rate_per_ip, 9);
	assert_false(settings->service[1].reuse_port);
	assert_int_equal(settings->service[1].connection_rate_per_ip, 0);
	crew__settings_free(settings);
}

static void over_udp_nothing_is_accepted(void **state)
{
	(void)state;
	struct crew__settings *settings;
	settings_bad("[net]\naccept = least-connections\n", "net.listen=udp://:5", "net.accept",
		"UDP", NULL);
	assert_int_equal(settings_load(&settings_app, NULL, &settings, "net.listen=udp://:5",
				 "net.workers=2", "net.accept=shared", NULL),
		0);
	assert_false(settings_of(settings, "net")->reuse_port);
	crew__settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_key_says_it),
		cmocka_unit_test(who_says_it_last_has_the_word),
		cmocka_unit_test(both_say_it),
		cmocka_unit_test(the_program_says_it),
		cmocka_unit_test(over_udp_nothing_is_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
