/* test_session_redis_url.c - where Redis is, as programs write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/session_redis_url.h"

#include <string.h>

static void urls_are_read(void **state)
{
	(void)state;
	char error[256];
	struct crew__redis_url url;
	assert_int_equal(
		crew__redis_url_parse("redis://10.1.2.3:6379", &url, error, sizeof(error)), 0);
	assert_string_equal(url.host, "10.1.2.3");
	assert_int_equal(url.port, 6379);
	assert_int_equal(url.db, 0);
	assert_string_equal(url.password, "");
	assert_false(url.local);
	assert_string_equal(url.name, "10.1.2.3:6379");
	assert_int_equal(crew__redis_url_parse(
				 "redis://:p%40s%25%2f:w@[::1]:1/12", &url, error, sizeof(error)),
		0);
	assert_string_equal(url.host, "::1");
	assert_string_equal(url.password, "p@s%/:w");
	assert_int_equal(url.port, 1);
	assert_int_equal(url.db, 12);
	assert_string_equal(url.name, "[::1]:1");
	assert_int_equal(
		crew__redis_url_parse("redis://localhost:65535/", &url, error, sizeof(error)),
		-EINVAL);
	assert_int_equal(
		crew__redis_url_parse("redis://localhost:65535", &url, error, sizeof(error)), 0);
	assert_string_equal(url.host, "127.0.0.1");
	assert_int_equal(
		crew__redis_url_parse("redis+unix:///run/r.sock?db=3", &url, error, sizeof(error)),
		0);
	assert_true(url.local);
	assert_string_equal(url.host, "/run/r.sock");
	assert_int_equal(url.db, 3);
}

static void bad_urls_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"redis:",
		"redis://",
		"redis://127.0.0.1",
		"redis://:6379",
		"redis://127.0.0.1:",
		"redis://127.0.0.1:0",
		"redis://127.0.0.1:65536",
		"redis://127.0.0.1:99999999999999999999",
		"redis://127.0.0.1:6379x",
		"redis://127.0.0.1:6379/x",
		"redis://127.0.0.1:6379/-1",
		"redis://127.0.0.1:6379/99999999999",
		"redis://127.0.0.256:6379",
		"redis://::1:6379",
		"redis://[::1:6379",
		"redis://[127.0.0.1]:6379",
		"redis://user:secret@127.0.0.1:6379",
		"redis://:%zz@127.0.0.1:6379",
		"redis://:a%00b@127.0.0.1:6379",
		"redis+unix://",
		"redis+unix://relative",
		"redis+unix:///s?db=",
		"redis+unix:///s?db=x",
		"redis+unix:///s?x=1",
		"http://127.0.0.1:6379",
	};
	char error[256];
	struct crew__redis_url url;
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		error[0] = '\0';
		if (crew__redis_url_parse(bad[i], &url, error, sizeof(error)) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
		assert_true(strlen(error) > 10);
		assert_null(strstr(error, "secret"));
	}
	assert_int_equal(
		crew__redis_url_parse("redis://redis.example:6379", &url, error, sizeof(error)),
		-EINVAL);
	assert_non_null(strstr(error, "localhost"));
	char large[1024] = "redis://:";
	memset(large + 9, 'x', 600);
	strcpy(large + 609, "@127.0.0.1:1");
	assert_int_equal(crew__redis_url_parse(large, &url, error, sizeof(error)), -EINVAL);
	strcpy(large, "redis+unix:///");
	memset(large + 14, 'x', 107);
	large[121] = '\0';
	assert_int_equal(crew__redis_url_parse(large, &url, error, sizeof(error)), -EINVAL);
	assert_true(crew__redis_url_is("redis://x"));
	assert_true(crew__redis_url_is("redis+unix:///x"));
	assert_false(crew__redis_url_is("rediss://x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_read),
		cmocka_unit_test(bad_urls_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
