/* test_settings_tls.c - the settings of TLS: lists that become absolute, defaults that follow from
 * others, and what one needs of the other. */
#include "settings_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAIR "[web]\ntls_cert = /a.pem\ntls_key = /a.key\n"

static void paths_become_absolute(void **state)
{
	(void)state;
	char *cwd = getcwd(NULL, 0), expected[4096];
	struct crew__settings *settings = settings_good("[web]\n"
							"tls_cert = /a.pem  b.pem\tRUNDIR/c.pem\n"
							"tls_key = a.key b.key c.key\n"
							"tls_ocsp = - b.der -\n"
							"tls_client_ca = ca.pem\n",
		NULL);
	const struct crew__service_settings *web = settings_of(settings, "web");
	snprintf(expected, sizeof(expected), "/a.pem %s/b.pem %s/c.pem", cwd, settings->run_dir);
	assert_string_equal(web->tls_cert, expected);
	snprintf(expected, sizeof(expected), "%s/a.key %s/b.key %s/c.key", cwd, cwd, cwd);
	assert_string_equal(web->tls_key, expected);
	snprintf(expected, sizeof(expected), "- %s/b.der -", cwd);
	assert_string_equal(web->tls_ocsp, expected);
	snprintf(expected, sizeof(expected), "%s/ca.pem", cwd);
	assert_string_equal(web->tls_client_ca, expected);
	crew__settings_free(settings);
	free(cwd);
}

static void defaults_follow_from_others(void **state)
{
	(void)state;
	struct crew__settings *settings = settings_good(PAIR, NULL);
	const struct crew__service_settings *web = settings_of(settings, "web");
	assert_int_equal(web->tls_client, CREW__TLS_CLIENTS_OFF);
	assert_int_equal(web->tls_min, CREW__TLS_MIN_1_2);
	assert_int_equal(web->ktls, 1);
	assert_null(web->tls_alpn);
	assert_null(settings_of(settings, "feed")->tls_cert);
	crew__settings_free(settings);
	settings = settings_good(PAIR "tls_client_ca = /ca.pem\n", NULL);
	assert_int_equal(settings_of(settings, "web")->tls_client, CREW__TLS_CLIENTS_REQUIRED);
	crew__settings_free(settings);
	settings = settings_good(PAIR "tls_client_ca = /ca.pem\ntls_client = off\n", NULL);
	assert_int_equal(settings_of(settings, "web")->tls_client, CREW__TLS_CLIENTS_OFF);
	crew__settings_free(settings);
}

static void what_is_in_force_reads_back_to_the_same(void **state)
{
	(void)state;
	char error[512];
	struct crew__settings *settings = settings_good(PAIR
		"tls_ocsp = -\ntls_client_ca = /ca.pem\ntls_client = optional\ntls_min = 1.3\n"
		"tls_alpn = http/1.1 http/1.0\nktls = off\n",
		NULL);
	char *text = crew__settings_write(settings);
	struct crew__settings *again;
	assert_int_equal(
		crew__settings_parse(&settings_app, text, &again, error, sizeof(error)), 0);
	const struct crew__service_settings *web = settings_of(again, "web");
	assert_string_equal(web->tls_cert, "/a.pem");
	assert_string_equal(web->tls_key, "/a.key");
	assert_string_equal(web->tls_ocsp, "-");
	assert_string_equal(web->tls_client_ca, "/ca.pem");
	assert_string_equal(web->tls_alpn, "http/1.1 http/1.0");
	assert_int_equal(web->tls_client, CREW__TLS_CLIENTS_OPTIONAL);
	assert_int_equal(web->tls_min, CREW__TLS_MIN_1_3);
	assert_int_equal(web->ktls, 0);
	char *same = crew__settings_write(again);
	assert_string_equal(text, same);
	free(text);
	free(same);
	crew__settings_free(settings);
	crew__settings_free(again);
}

static void what_goes_together_is_asked_for(void **state)
{
	(void)state;
	settings_bad("[web]\ntls_cert = /a.pem\n", NULL, ".ini:2: ", "no key", "web.tls_key", NULL);
	settings_bad("[web]\ntls_key = /a.key\n", NULL, ".ini:2: ", "web.tls_cert", NULL);
	settings_bad("[web]\ntls_ocsp = /a.der\n", NULL, "tls_ocsp", "web.tls_cert", NULL);
	settings_bad("[web]\ntls_client_ca = /a\n", NULL, "tls_client_ca", "web.tls_cert", NULL);
	settings_bad("[web]\ntls_min = 1.3\n", NULL, "web.tls_min", "web.tls_cert", NULL);
	settings_bad("[web]\ntls_alpn = h2\n", NULL, "web.tls_alpn", "web.tls_cert", NULL);
	settings_bad("[web]\nktls = off\n", NULL, "web.ktls", "web.tls_cert", NULL);
	settings_bad("[web]\ntls_client = off\n", NULL, "web.tls_client", "web.tls_cert", NULL);
	settings_bad(PAIR, "web.tls_cert=/a /b", "how many files they name (2 and 1)", "same order",
		NULL);
	settings_bad(PAIR, "web.tls_key=/a /b", "tls_key", "(1 and 2)", NULL);
	settings_bad(
		PAIR, "web.tls_ocsp=/a /b", "--set", "tls_ocsp", "(1 and 2)", "- for none", NULL);
	settings_bad(PAIR, "web.tls_cert=-", "tls_ocsp", NULL);
	settings_bad(PAIR, "web.tls_key=-", "tls_ocsp", NULL);
	settings_bad(PAIR, "web.tls_client=required", "--set", "web.tls_client_ca", NULL);
	settings_bad(PAIR, "web.tls_client_ca=/a /b", "one file", NULL);
	settings_bad("[job]\ntls_cert = /a.pem\ntls_key = /a.key\n", NULL, "job.listen", NULL);
}

static void an_address_that_speaks_tls_needs_both(void **state)
{
	(void)state;
	settings_bad(NULL, "web.listen=https://:1", "web.listen", "web.tls_cert", NULL);
	settings_bad(NULL, "web.listen=wss://:1", "web.listen", "web.tls_cert", NULL);
	settings_bad(NULL, "web.listen=tls://:1", "web.listen", "web.tls_cert", NULL);
	settings_bad(PAIR, "web.listen=udp://:1", "tls_cert", "streams", NULL);
	static const char *const good[] = { "web.listen=https://:1", "web.listen=wss://:1",
		"web.listen=tls://:1", "web.listen=text://:1", "web.listen=text+unix:///tmp/x" };
	for (size_t i = 0; i < crew__lengthof(good); i++)
		crew__settings_free(settings_good(PAIR, good[i]));
}

static void choices_are_told(void **state)
{
	(void)state;
	settings_bad(PAIR, "web.tls_min=1.1", "allowed are 1.2 and 1.3", NULL);
	settings_bad(PAIR, "web.tls_client=perhaps", "off, optional and required", NULL);
	settings_bad(PAIR, "web.ktls=on", "auto and off", NULL);
	char set[400] = "web.tls_alpn=";
	memset(set + strlen(set), 'x', 300);
	settings_bad(PAIR, set, "web.tls_alpn", "http/1.1", NULL);
}

/* A client with whom h2 was agreed on hangs up when HTTP/1.1 answers. */
static void nothing_is_agreed_on_that_is_not_spoken(void **state)
{
	(void)state;
	settings_bad(PAIR "tls_alpn = h2 http/1.1\n", NULL, ".ini:4: ", "h2", "leave it out", NULL);
	settings_bad(PAIR "tls_alpn = http/1.1\th3\n", "web.listen=wss://:1", "h3", NULL);
	settings_bad(PAIR "tls_alpn = h2\n", "web.listen=https+unix:///tmp/x", "h2", NULL);
	static const char *const good[] = { "web.tls_alpn=h2c acme-tls/1 http/1.1",
		"web.listen=tls://:1" };
	crew__settings_free(settings_good(PAIR, good[0]));
	crew__settings_free(settings_good(PAIR "tls_alpn = h2 h3\n", good[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_become_absolute),
		cmocka_unit_test(defaults_follow_from_others),
		cmocka_unit_test(what_is_in_force_reads_back_to_the_same),
		cmocka_unit_test(what_goes_together_is_asked_for),
		cmocka_unit_test(an_address_that_speaks_tls_needs_both),
		cmocka_unit_test(choices_are_told),
		cmocka_unit_test(nothing_is_agreed_on_that_is_not_spoken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
