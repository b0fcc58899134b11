/* The dashboard's policy: what it allows is what the page holds, and nothing that a client says. */
#include "admin/page.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const crew_bytes nobody = { NULL, 0 };

static size_t count(const char *text, const char *words)
{
	size_t times = 0;
	while ((text = strstr(text, words)) != NULL) {
		times++;
		text++;
	}
	return times;
}

static void test_each_part_has_its_hash(void **state)
{
	char text[CREW__POLICY_MAX];
	(void)state;
	crew_bytes page = crew_str("<style>b{}</style><script></script><p>x</p><script>a</script>");
	assert_int_equal(crew__page_policy(page, nobody, text), 0);
	/* Of the empty text and of "a", as any sha256sum says. */
	assert_non_null(
		strstr(text, "script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
			     "'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs=';"));
	assert_int_equal(count(text, "'sha256-"), 3);
	assert_int_equal(count(text, "unsafe"), 0);
	assert_non_null(strstr(text, "default-src 'self';"));
	assert_non_null(strstr(text, "connect-src 'self';"));
	assert_non_null(strstr(text, "frame-ancestors 'none'"));
}

static void test_what_is_not_closed_is_no_part(void **state)
{
	char text[CREW__POLICY_MAX];
	(void)state;
	assert_int_equal(crew__page_policy(crew_str("<script>a"), nobody, text), 0);
	assert_int_equal(count(text, "'sha256-"), 0);
	assert_int_equal(crew__page_policy(nobody, nobody, text), 0);
}

static void test_a_host_is_taken_only_when_it_is_one(void **state)
{
	static const char *const bad[] = { "a b", "a;script-src *", "a'b", "a\"", "a/b", "a,b",
		"a\xc3\xa4" };
	char text[CREW__POLICY_MAX], long_name[300];
	(void)state;
	assert_int_equal(crew__page_policy(nobody, crew_str("[::1]:9100"), text), 0);
	assert_non_null(strstr(text, "connect-src 'self' ws://[::1]:9100 wss://[::1]:9100;"));
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		assert_int_equal(crew__page_policy(nobody, crew_str(bad[i]), text), 0);
		assert_non_null(strstr(text, "connect-src 'self';"));
	}
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(crew__page_policy(nobody, crew_str(long_name), text), 0);
	assert_non_null(strstr(text, "connect-src 'self';"));
}

static void test_a_page_with_too_many_scripts(void **state)
{
	char text[CREW__POLICY_MAX], page[2048] = "";
	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(page, "<script>a</script>");
	assert_int_equal(crew__page_policy(crew_str(page), nobody, text), -ENOSPC);
	assert_true(strlen(text) < CREW__POLICY_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_part_has_its_hash),
		cmocka_unit_test(test_what_is_not_closed_is_no_part),
		cmocka_unit_test(test_a_host_is_taken_only_when_it_is_one),
		cmocka_unit_test(test_a_page_with_too_many_scripts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
