/* test_origin.c - origins: which are the same, which are in a list, which are the host's own. */
#include "web/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void lists_are_checked(void **state)
{
	static const char *const good[] = { "", "*", "https://a.example", "null",
		"  https://a.example   http://b.example:8080 ", "http://[::1]:80 http://[::1]",
		"ws://a", "app+x-1.y://host", "http://127.0.0.1:65535", "https://A.EXAMPLE" };
	static const char *const bad[][2] = {
		{ "a.example", "a.example" },
		{ "https://a.example/", "https://a.example/" },
		{ "https://a.example, https://b.example", "https://a.example," },
		{ "https://a.example *", "*" },
		{ "* https://a.example", "*" },
		{ "https://*.a.example", "https://*.a.example" },
		{ "https://", "https://" },
		{ "://a", "://a" },
		{ "1a://a", "1a://a" },
		{ "https://a:", "https://a:" },
		{ "https://a:b", "https://a:b" },
		{ "https://a:123456", "https://a:123456" },
		{ "https://user@a", "https://user@a" },
		{ "https://a?b", "https://a?b" },
		{ "https://a#b", "https://a#b" },
		{ "https://::1", "https://::1" },
		{ "NULL", "NULL" },
		{ "https://a\tb", "https://a\tb" },
		{ "https://\xc3\xa4.example", "https://\xc3\xa4.example" },
	};
	crew_bytes wrong = { NULL, 0 };
	(void)state;
	assert_int_equal(crew__origins_check(NULL, &wrong), 0);
	for (size_t i = 0; i < crew__lengthof(good); i++)
		if (crew__origins_check(good[i], &wrong) != 0)
			fail_msg("\"%s\" is good", good[i]);
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		if (crew__origins_check(bad[i][0], &wrong) != -EINVAL)
			fail_msg("\"%s\" is bad", bad[i][0]);
		assert_int_equal(wrong.len, strlen(bad[i][1]));
		assert_memory_equal(wrong.data, bad[i][1], wrong.len);
	}
}

static void check_hold(const char *list, const char *origin, bool wanted)
{
	size_t len = strlen(origin);
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, origin, len);
	if (crew__origins_hold(list, (crew_bytes){ copy, len }) != wanted)
		fail_msg("\"%s\" in \"%s\"", origin, list ? list : "NULL");
	free(copy);
}

static void lists_hold_what_they_name(void **state)
{
	static const char list[] = "https://a.example http://b.example:8080";
	(void)state;
	check_hold(list, "https://a.example", true);
	check_hold(list, "https://a.example:443", true);
	check_hold(list, "HTTPS://A.Example", true);
	check_hold(list, "http://b.example:8080", true);
	check_hold("https://a.example:443", "https://a.example", true);
	check_hold("http://[::1]:80", "http://[::1]", true);
	check_hold("ws://a:80", "ws://a", true);
	check_hold("wss://a", "wss://a:443", true);
	check_hold("x null y://z", "null", true);
}

static void nobody_else_is_in(void **state)
{
	static const char list[] = "https://a.example http://b.example:8080";
	static const char *const others[] = { "", "null", "http://a.example", "https://b.example",
		"https://a.example:444", "https://a.example:80", "https://a.example.evil.example",
		"https://evil.example/https://a.example", "https://a.exampl", "a.example", "*",
		"https://a.example https://evil.example", "https://a.example,http://x",
		"https://x@a.example", "http://b.example", "http://b.example:80800",
		"https://a.example:", "https://", "://", "https://a.example/" };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(others); i++) {
		check_hold(list, others[i], false);
		check_hold(NULL, others[i], false);
		check_hold("", others[i], false);
	}
	assert_false(crew__origins_hold(list, CREW_BYTES("https://a.example\0")));
}

static void a_star_is_anybody(void **state)
{
	(void)state;
	assert_true(crew__origins_any("*"));
	assert_false(crew__origins_any(NULL));
	assert_false(crew__origins_any(""));
	assert_false(crew__origins_any("**"));
	check_hold("*", "https://a.example", true);
	check_hold("*", "null", true);
	check_hold("*", "", true);
}

static void check_host(const char *origin, const char *host, bool wanted)
{
	if (crew__origin_is_host(crew_str(origin), crew_str(host)) != wanted)
		fail_msg("\"%s\" of host \"%s\"", origin, host);
}

static void the_hosts_own_origin(void **state)
{
	(void)state;
	check_host("http://a.example", "a.example", true);
	check_host("https://a.example", "a.example", true);
	check_host("http://a.example", "A.EXAMPLE:80", true);
	check_host("https://a.example", "a.example:443", true);
	check_host("http://a.example:8080", "a.example:8080", true);
	check_host("http://[::1]:8080", "[::1]:8080", true);
	check_host("http://[::1]", "[::1]", true);
	check_host("http://a.example", "a.example:443", false);
	check_host("http://a.example:8080", "a.example", false);
	check_host("http://a.example", "a.example:8080", false);
	check_host("http://b.example", "a.example", false);
	check_host("http://a.example.evil", "a.example", false);
	check_host("null", "null", false);
	check_host("", "", false);
	check_host("http://", "", false);
	check_host("a.example", "a.example", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_checked),
		cmocka_unit_test(lists_hold_what_they_name),
		cmocka_unit_test(nobody_else_is_in),
		cmocka_unit_test(a_star_is_anybody),
		cmocka_unit_test(the_hosts_own_origin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
