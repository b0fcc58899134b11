/* test_fetch_lies.c - servers that lie to a request: answers that belong to nobody, that never end,
 * or that would be taken for something else by whoever passes them on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch_ways.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVIL "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

/* The server keeps the connection open: the error must come from what was said, not from its end or
 * from the clock. */
static void what_is_no_answer_is_told_at_once(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 4\r\n\r\nevil",
		"HTTP/1.1 200 OK\r\nX-Test: a\rb\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Te\rst: a\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Test: a\x01z\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX Test: a\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n0\r\n\r\n",
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(answers); i++) {
		web_forget(&stage.web);
		web_answer(&stage.web, answers[i]);
		int error = go("/", (crew_fetch_options){ .timeout_ms = 3000 });
		if (error != -EPROTO)
			print_message("row %zu: %d (%s)\n", i, error, stage.told.why);
		assert_int_equal(error, -EPROTO);
		assert_int_equal(stage.told.len, 0);
	}
}

/* What stands behind an answer is nobody's: least of all that of who asks next. */
static void nobody_gets_an_answer_that_was_not_asked_for(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 204 No Content\r\n\r\n" EVIL,
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n" EVIL,
		OK EVIL,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" EVIL,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
		"2\r\nok\r\n0\r\n\r\n" EVIL,
		"HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n" EVIL,
	};
	(void)state;
	for (size_t i = 0; i < crew__lengthof(answers); i++) {
		web_forget(&stage.web);
		web_answer(&stage.web, answers[i]);
		web_answer(&stage.web, OK);
		go("/", (crew_fetch_options){ .timeout_ms = 3000 });
		assert_true(!stage.told.body || !strstr(stage.told.body, "evil"));
		fetch_turns(&stage.world, 20);
		assert_int_equal(go("/", (crew_fetch_options){ .timeout_ms = 3000 }), 0);
		assert_string_equal(stage.told.body, "ok");
	}
}

/* Said while nobody asked, on a connection that is kept. */
static void a_kept_connection_that_speaks_is_not_used(void **state)
{
	(void)state;
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	for (size_t i = 0; i < WEB_CONNS; i++)
		if (stage.web.conns[i].fd >= 0)
			assert_int_equal(write(stage.web.conns[i].fd, EVIL, sizeof(EVIL) - 1),
				sizeof(EVIL) - 1);
	fetch_turns(&stage.world, 20);
	assert_int_equal(go("/", (crew_fetch_options){ 0 }), 0);
	assert_string_equal(stage.told.body, "ok");
	assert_int_equal(stage.web.connections, 2);
}

/* A folded line goes on with what was before it, and may not be a way around. */
static void what_is_sound_is_taken(void **state)
{
	(void)state;
	web_answer(&stage.web, "HTTP/1.1 200 OK\r\nX-Test:  a\tb \r\n\tc\r\nContent-Length: 2\r\n"
			       "content-length:2\r\n\r\nok");
	assert_int_equal(go("/", (crew_fetch_options){ .timeout_ms = 3000 }), 0);
	assert_string_equal(stage.told.header, "a\tb c");
	assert_string_equal(stage.told.body, "ok");
}

static void lengths_that_do_not_agree(void **state)
{
	static const char *const lengths[] = { "2\r\nContent-Length: 9", "2, 9", "2, 2", "+2",
		"0x2", "2 2", "", "2\r\n 9" };
	char answer[256];
	(void)state;
	for (size_t i = 0; i < crew__lengthof(lengths); i++) {
		web_forget(&stage.web);
		snprintf(answer, sizeof(answer),
			"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\nok" EVIL, lengths[i]);
		web_answer(&stage.web, answer);
		web_answer(&stage.web, OK);
		int error = go("/", (crew_fetch_options){ .timeout_ms = 3000 });
		if (error != -EPROTO)
			print_message("%s: %d (%s)\n", lengths[i], error, stage.told.why);
		assert_int_equal(error, -EPROTO);
		assert_int_equal(go("/", (crew_fetch_options){ .timeout_ms = 3000 }), 0);
		assert_string_equal(stage.told.body, "ok");
	}
}

static void a_place_may_not_name_a_user(void **state)
{
	char answer[256];
	(void)state;
	snprintf(answer, sizeof(answer),
		"HTTP/1.1 302 F\r\nLocation: http://eve:pw@localhost:%d/b\r\nContent-Length: 0\r\n\r\n",
		stage.web.port);
	web_answer(&stage.web, answer);
	web_answer(&stage.web, OK);
	assert_int_equal(go("/", (crew_fetch_options){ .timeout_ms = 3000 }), 0);
	assert_null(strcasestr(stage.web.requests[1], "authorization"));
	assert_null(strstr(stage.told.url, "eve"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fetch_set_up, fetch_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_no_answer_is_told_at_once),
		TEST(nobody_gets_an_answer_that_was_not_asked_for),
		TEST(a_kept_connection_that_speaks_is_not_used),
		TEST(what_is_sound_is_taken),
		TEST(lengths_that_do_not_agree),
		TEST(a_place_may_not_name_a_user),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
