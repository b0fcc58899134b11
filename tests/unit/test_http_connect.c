/* test_http_connect.c - CONNECT through an HTTP proxy: what is said, every answer, every cut,
 * bounds. */
#include "proto/http_connect.h"

#include "preamble_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void check_said(const char *host, unsigned port, const char *user, const char *password,
	const char *expected)
{
	struct talked t;
	assert_int_equal(talk_begin(&t, &crew__http_connect, host, port, user, password), 0);
	assert_int_equal(t.out.len, strlen(expected));
	assert_memory_equal(t.out.data, expected, strlen(expected));
	talk_end(&t);
}

static void says_connect(void **state)
{
	(void)state;
	check_said("feed.example", 443, NULL, NULL,
		"CONNECT feed.example:443 HTTP/1.1\r\nHost: feed.example:443\r\n\r\n");
	check_said("10.0.0.1", 1, NULL, NULL,
		"CONNECT 10.0.0.1:1 HTTP/1.1\r\nHost: 10.0.0.1:1\r\n\r\n");
	check_said("2001:db8::1", 65535, NULL, NULL,
		"CONNECT [2001:db8::1]:65535 HTTP/1.1\r\nHost: [2001:db8::1]:65535\r\n\r\n");
}

/* RFC 7617's own example. */
static void says_who_we_are(void **state)
{
	(void)state;
	check_said("h", 80, "Aladdin", "open sesame",
		"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n"
		"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
	check_said("h", 80, "u", "",
		"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nProxy-Authorization: Basic dTo=\r\n\r\n");
	check_said("h", 80, "u", "a:b",
		"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nProxy-Authorization: Basic dTphOmI=\r\n\r\n");
}

static void bounds_what_is_said(void **state)
{
	char longest[256], longer[257], host[255];
	struct talked t;
	(void)state;
	memset(longest, 'p', 255);
	longest[255] = '\0';
	memset(longer, 'p', 256);
	longer[256] = '\0';
	memset(host, 'h', 254);
	host[254] = '\0';
	assert_int_equal(talk_begin(&t, &crew__http_connect, host + 1, 65535, longest, longest), 0);
	assert_true(t.out.len > 1200 && t.out.len < 1400);
	assert_memory_equal(t.out.data + t.out.len - 4, "\r\n\r\n", 4);
	talk_end(&t);
	assert_int_equal(talk_begin(&t, &crew__http_connect, host, 1, NULL, NULL), -EINVAL);
	assert_int_equal(talk_begin(&t, &crew__http_connect, "h", 1, longer, "p"), -EINVAL);
	assert_int_equal(talk_begin(&t, &crew__http_connect, "h", 1, "u", longer), -EINVAL);
	assert_null(strstr(t.talk.why, "ppp"));
	assert_int_equal(talk_begin(&t, &crew__http_connect, "h", 1, "a:b", "p"), -EINVAL);
	assert_int_equal(t.out.len, 0);
}

/* Nothing of a host's can become a line of its own, or another target. */
static void refuses_hosts_that_are_none(void **state)
{
	static const char *const hosts[] = { "", "a b", "a\r\nX: y", "a\n", "a/b", "a@b", "a?b",
		"a#b", "[::1]", "fe80::1%eth0", "b\xc3\xbc", "a\tb", "a%20b" };
	struct talked t;
	(void)state;
	for (size_t i = 0; i < crew__lengthof(hosts); i++) {
		assert_int_equal(
			talk_begin(&t, &crew__http_connect, hosts[i], 1, NULL, NULL), -EINVAL);
		assert_int_equal(t.out.len, 0);
		assert_true(strlen(t.talk.why) > 10);
	}
}

/* ---- what the proxy answers ------------------------------------------------------------------ */

struct answer_case {
	const char *name, *text;
	int result;
	const char *rest; /* when it is well */
	const char *why;
	const char *user;
};

static const struct answer_case answers[] = {
	{ "plain", "HTTP/1.1 200 OK\r\n\r\n", 1, "", "", NULL },
	{ "HTTP/1.0", "HTTP/1.0 200 Connection established\r\n\r\n", 1, "", "", NULL },
	{ "fields", "HTTP/1.1 200 OK\r\nVia: 1.1 squid\r\nX:\r\n\r\n", 1, "", "", NULL },
	{ "bytes behind it", "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n", 1, "SSH-2.0-x\r\n", "", NULL },
	{ "bytes that look like HTTP", "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 No\r\n\r\n", 1,
		"HTTP/1.1 500 No\r\n\r\n", "", NULL },
	{ "bare line feeds", "HTTP/1.1 200 OK\nA: b\n\nrest", 1, "rest", "", NULL },
	{ "no reason", "HTTP/1.1 200 \r\n\r\n", 1, "", "", NULL },
	{ "nor a space before it", "HTTP/1.1 200\r\n\r\n", 1, "", "", NULL },
	{ "another 2xx", "HTTP/1.1 299 Odd\r\n\r\n", 1, "", "", NULL },
	{ "a length says nothing", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 1, "abc", "",
		NULL },
	{ "nor does an encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", 1,
		"5\r\n", "", NULL },
	{ "100 before it", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", 1, "x", "",
		NULL },
	{ "several of 1xx",
		"HTTP/1.1 102 A\r\nB: c\r\n\r\nHTTP/1.1 103 D\r\n\r\nHTTP/1.1 200 E\r\n\r\n", 1, "",
		"", NULL },
	{ "101", "HTTP/1.1 101 Switching\r\n", -EPROTO, NULL,
		"answers 101 Switching: it does not let us through", NULL },
	{ "302", "HTTP/1.1 302 Found\r\n", -EPROTO, NULL,
		"answers 302 Found: it does not let us through", NULL },
	{ "400", "HTTP/1.1 400 Bad Request\r\n", -EPROTO, NULL,
		"answers 400 Bad Request: it did not understand us", NULL },
	{ "403", "HTTP/1.1 403 Forbidden\r\n", -EACCES, NULL,
		"answers 403 Forbidden: its rules do not allow this connection", NULL },
	{ "404", "HTTP/1.1 404 Not Found\r\n", -EHOSTUNREACH, NULL,
		"answers 404 Not Found: is it a proxy at all?", NULL },
	{ "405", "HTTP/1.1 405 Method Not Allowed\r\n", -EACCES, NULL,
		"answers 405 Method Not Allowed: it does not CONNECT; is it a proxy at all?",
		NULL },
	{ "407, nobody", "HTTP/1.1 407 Proxy Authentication Required\r\n", -EACCES, NULL,
		"answers 407 Proxy Authentication Required: write USER:PASSWORD@ before its name",
		NULL },
	{ "407, somebody", "HTTP/1.1 407 No\r\n", -EACCES, NULL,
		"answers 407 No: it does not take this user and password", "me" },
	{ "500", "HTTP/1.1 500 Oh\r\n", -EIO, NULL, "answers 500 Oh: it had a failure of its own",
		NULL },
	{ "501", "HTTP/1.1 501\r\n", -EPROTO, NULL, "answers 501: it does not know how to CONNECT",
		NULL },
	{ "502", "HTTP/1.1 502 Bad Gateway\r\n", -EHOSTUNREACH, NULL,
		"answers 502 Bad Gateway: it could not reach the host", NULL },
	{ "503", "HTTP/1.1 503 \r\n", -EHOSTUNREACH, NULL,
		"answers 503: it could not reach the host, or is overloaded", NULL },
	{ "504", "HTTP/1.1 504 Gateway Timeout\r\n", -ETIMEDOUT, NULL,
		"answers 504 Gateway Timeout: the host did not answer it", NULL },
	{ "999", "HTTP/1.1 999 What\r\n", -EPROTO, NULL,
		"answers 999 What: it does not let us through", NULL },
	{ "a reason with escapes", "HTTP/1.1 403 \x1b[31m\xff\t\r\n", -EACCES, NULL,
		"answers 403 ?[31m??: its rules do not allow this connection", NULL },
	{ "a reason without end",
		"HTTP/1.1 403 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
		-EACCES, NULL,
		"answers 403 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: its rules "
		"do not allow this connection",
		NULL },
#define NOT_HTTP "does not answer as an HTTP proxy does"
	{ "an empty line", "\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "HTTP/2", "HTTP/2 200 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "HTTP/1.x", "HTTP/1.x 200 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "lower case", "http/1.1 200 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "two spaces", "HTTP/1.1  200 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "two digits", "HTTP/1.1 20 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "four digits", "HTTP/1.1 2000 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "status 099", "HTTP/1.1 099 OK\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
	{ "SSH", "SSH-2.0-OpenSSH_9.2\r\n", -EPROTO, NULL, NOT_HTTP, NULL },
#define NO_LINE  "answers with bytes that no HTTP line has"
#define NO_FIELD "answers with a field that is none"
	{ "a carriage return", "HTTP/1.1 200 O\rK\r\n", -EPROTO, NULL, NO_LINE, NULL },
	{ "two of them", "HTTP/1.1 200 OK\r\r\n", -EPROTO, NULL, NO_LINE, NULL },
	{ "no colon", "HTTP/1.1 200 OK\r\nVia\r\n\r\n", -EPROTO, NULL, NO_FIELD, NULL },
	{ "no name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", -EPROTO, NULL, NO_FIELD, NULL },
	{ "a folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n", -EPROTO, NULL, NO_FIELD,
		NULL },
	{ "one with a tab", "HTTP/1.1 200 OK\r\nA: b\r\n\tc: d\r\n\r\n", -EPROTO, NULL, NO_FIELD,
		NULL },
};

static void check_answer(const struct answer_case *c, size_t piece)
{
	struct talked t;
	size_t len = strlen(c->text);
	talk_begin(&t, &crew__http_connect, "host.example", 443, c->user, "secret");
	int result = talk_hear(&t, c->text, len, piece);
	if (result != c->result || strcmp(t.talk.why, c->why) != 0)
		fail_msg("%s, by %zu: %d, \"%s\"", c->name, piece, result, t.talk.why);
	if (result == 1)
		assert_string_equal(c->text + t.used, c->rest);
	assert_null(strstr(t.talk.why, "secret"));
	talk_end(&t);
}

static void takes_every_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(answers); i++)
		for (size_t piece = 1; piece <= strlen(answers[i].text); piece++)
			check_answer(&answers[i], piece);
}

static void waits_for_what_is_missing(void **state)
{
	(void)state;
	for (size_t i = 0; i < crew__lengthof(answers); i++) {
		const struct answer_case *c = &answers[i];
		size_t len = c->result == 1 ? strlen(c->text) - strlen(c->rest) : 0;
		for (size_t at = 0; at < len; at++) {
			struct talked t;
			talk_begin(&t, &crew__http_connect, "h", 443, NULL, NULL);
			assert_int_equal(talk_hear(&t, c->text, at, 7), 0);
			talk_end(&t);
		}
	}
}

static void refuses_a_nul(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n";
	struct talked t;
	(void)state;
	talk_begin(&t, &crew__http_connect, "h", 443, NULL, NULL);
	assert_int_equal(talk_hear(&t, text, sizeof(text) - 1, 100), -EPROTO);
	assert_string_equal(t.talk.why, NO_LINE);
	talk_end(&t);
}

/* ---- bounds -------------------------------------------------------------------------------- */

/* `line` again and again, to `len` bytes. */
static char *repeat(const char *begin, const char *line, size_t len)
{
	char *text = malloc(len + 1);
	size_t at = strlen(begin);
	assert_non_null(text);
	memcpy(text, begin, at);
	for (size_t i = 0; at < len; i++)
		text[at++] = line[i % strlen(line)];
	text[at] = '\0';
	return text;
}

static void check_endless(const char *begin, const char *line, size_t piece)
{
	size_t len = 2 * CREW__PREAMBLE_MOST;
	char *text = repeat(begin, line, len);
	struct talked t;
	talk_begin(&t, &crew__http_connect, "h", 443, NULL, NULL);
	assert_int_equal(talk_hear(&t, text, len, piece), -EPROTO);
	assert_string_equal(t.talk.why, "answers with more than 16384 bytes of fields");
	assert_true(t.talk.total <= CREW__PREAMBLE_MOST + strlen(line) + strlen(begin));
	talk_end(&t);
	free(text);
}

static void bounds_what_the_proxy_says(void **state)
{
	static const size_t pieces[] = { 1, 7, 4096, 65536 };
	(void)state;
	for (size_t i = 0; i < crew__lengthof(pieces); i++) {
		check_endless("HTTP/1.1 200 OK\r\n", "A: b\r\n", pieces[i]);
		check_endless("HTTP/1.1 200 OK\r\nA: ", "aaaaaaa", pieces[i]);
		check_endless("HTTP/1.1 200 ", "a", pieces[i]);
		check_endless("", "HTTP/1.1 100 Continue\r\n\r\n", pieces[i]);
	}
}

/* All that is allowed, and not a byte more; what follows is the peer's, however long. */
static void takes_as_much_as_is_allowed(void **state)
{
	static const char end[] = "\r\n\r\n";
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		size_t len = CREW__PREAMBLE_MOST + over;
		char *text = repeat("HTTP/1.1 200 OK\r\nA: ", "b", len + 5000);
		struct talked t;
		memcpy(text + len - 4, end, 4);
		talk_begin(&t, &crew__http_connect, "h", 443, NULL, NULL);
		assert_int_equal(talk_hear(&t, text, len + 5000, 100000), over ? -EPROTO : 1);
		if (!over)
			assert_int_equal(t.used, len);
		talk_end(&t);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_connect),
		cmocka_unit_test(says_who_we_are),
		cmocka_unit_test(bounds_what_is_said),
		cmocka_unit_test(refuses_hosts_that_are_none),
		cmocka_unit_test(takes_every_answer),
		cmocka_unit_test(waits_for_what_is_missing),
		cmocka_unit_test(refuses_a_nul),
		cmocka_unit_test(bounds_what_the_proxy_says),
		cmocka_unit_test(takes_as_much_as_is_allowed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
