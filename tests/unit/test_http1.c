/* HTTP/1 requests: the request line, the host, the fields, the limits of a head, and that a head in
 * pieces is looked at once. Each case whole, byte by byte and at random cuts. */
#include "http1_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct status_case {
	const char *input;
	size_t len;
	int status; /* 0: one good request */
};

struct text_case {
	const char *input;
	size_t len;
	const char *text;
};

#define S(status, input)                              \
	{                                             \
		"" input, sizeof(input) - 1, (status) \
	}
#define T(text, input)                              \
	{                                           \
		"" input, sizeof(input) - 1, (text) \
	}
#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n"

static void check_statuses(const struct status_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		http1_expect_status(cases[i].input, cases[i].len, cases[i].status);
}

static const struct status_case request_lines[] = {
	S(0, GET HOST "\r\n"),
	S(0, "\r\n" GET HOST "\r\n"),
	S(400, "\r\n\r\n" GET HOST "\r\n"),
	S(400, "\n" GET HOST "\r\n"),
	S(400, "\r" GET HOST "\r\n"),
	S(400, " " GET HOST "\r\n"),
	/* The method. */
	S(0, "DELETE / HTTP/1.1\r\n" HOST "\r\n"),
	S(0, "get / HTTP/1.1\r\n" HOST "\r\n"),
	S(0, "COPY / HTTP/1.1\r\n" HOST "\r\n"),
	S(0, "CHECKIN / HTTP/1.1\r\n" HOST "\r\n"),
	S(0, "X-!#$%&'*+.^_`|~9 / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "G@T / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "G\0T / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "G\xC3T / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET: / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "/ HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"), /* a TLS client */
	/* The spaces. */
	S(400, "GET  / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /  HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/1.1 \r\n" HOST "\r\n"),
	S(400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /\tHTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET / a HTTP/1.1\r\n" HOST "\r\n"),
	/* The target. */
	S(400, "GET HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /a\0b HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /a\x7F HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /a\x80 HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /?a#b HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET /0123456789012345678901234567890\x01 HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET a HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET ?a HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET * HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "OPTIONS ** HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET a:80 HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET http:/a HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET http:// HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET http:///b HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET http://?b HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET http://u@b/ HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET http://u:p@b/ HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "GET ftp://b/ HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "CONNECT / HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "CONNECT b HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "CONNECT b: HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "CONNECT [::1] HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "CONNECT b:1?c HTTP/1.1\r\n" HOST "\r\n"),
	S(400, "CONNECT u@b:1 HTTP/1.1\r\n" HOST "\r\n"),
	S(501, "CONNECT b:10 HTTP/1.1\r\n" HOST "\r\n"),
	S(501, "CONNECT [::1]:19 HTTP/1.1\r\n" HOST "\r\n"),
	S(501, "CONNECT b:1 HTTP/1.0\r\n\r\n"),
	/* The version. */
	S(0, "GET / HTTP/1.0\r\n\r\n"),
	S(505, "GET / HTTP/1.2\r\n" HOST "\r\n"),
	S(505, "GET / HTTP/1.9\r\n" HOST "\r\n"),
	S(505, "GET / HTTP/0.9\r\n" HOST "\r\n"),
	S(505, "GET / HTTP/2.0\r\n" HOST "\r\n"),
	S(505, "GET / HTTP/3.1\r\n" HOST "\r\n"),
	S(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	S(400, "GET /\r\n\r\n"),
	S(400, "GET / \r\n\r\n"),
	S(400, "GET / HTTP/x.1\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/1./\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/1\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/1.\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/1.10\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/11\r\n" HOST "\r\n"),
	S(400, "GET / HTTP/1,1\r\n" HOST "\r\n"),
	S(400, "GET / http/1.1\r\n" HOST "\r\n"),
	S(400, "GET / HTTPS/1.1\r\n" HOST "\r\n"),
	S(400, "GET / ICY/1.1\r\n" HOST "\r\n"),
	/* The line's end. */
	S(400, "GET / HTTP/1.1\n" HOST "\r\n"),
	S(400, "GET / HTTP/1.1\r" HOST "\r\n"),
	S(400, "GET /\n"),
	S(400, "GET / HT\n"),
};

static void request_lines_are_strict(void **unused)
{
	(void)unused;
	check_statuses(request_lines, crew__lengthof(request_lines));
}

static const struct status_case hosts[] = {
	S(400, GET "\r\n"),
	S(400, GET "Hos: a\r\n\r\n"),
	S(400, GET HOST HOST "\r\n"),
	S(400, GET HOST "hOST: b\r\n\r\n"),
	S(400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n"),
	S(400, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
	S(400, "GET http://b/ HTTP/1.1\r\n\r\n"),
	S(400, GET "Host:\r\n\r\n"),
	S(400, GET "Host: \r\n\r\n"),
	S(400, GET "Host: a, b\r\n\r\n"),
	S(400, GET "Host: a,b\r\n\r\n"),
	S(400, GET "Host: a b\r\n\r\n"),
	S(400, GET "Host: u@a\r\n\r\n"),
	S(400, GET "Host: u:p@a\r\n\r\n"),
	S(400, GET "Host: http://a\r\n\r\n"),
	S(400, GET "Host: a/b\r\n\r\n"),
	S(400, GET "Host: a?b\r\n\r\n"),
	S(400, GET "Host: a\\b\r\n\r\n"),
	S(400, GET "Host: \xC3\xA9\r\n\r\n"),
	S(400, GET "Host: :80\r\n\r\n"),
	S(400, GET "Host: a:b\r\n\r\n"),
	S(400, GET "Host: a:80:80\r\n\r\n"),
	S(400, GET "Host: a:-1\r\n\r\n"),
	S(400, GET "Host: a:65536\r\n\r\n"),
	S(400, GET "Host: a:99999999999999999999\r\n\r\n"),
	S(400, GET "Host: a%\r\n\r\n"),
	S(400, GET "Host: a%4\r\n\r\n"),
	S(400, GET "Host: a%4g\r\n\r\n"),
	S(400, GET "Host: [::1\r\n\r\n"),
	S(400, GET "Host: ::1\r\n\r\n"),
	S(400, GET "Host: []\r\n\r\n"),
	S(400, GET "Host: [::1]a\r\n\r\n"),
	S(400, GET "Host: [1.2.3.4]\r\n\r\n"),
	S(400, GET "Host: [fe80::1%eth0]\r\n\r\n"),
	S(400, GET "Host: [0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]\r\n\r\n"),
	S(400, GET "Host: [[::1]]\r\n\r\n"),
	S(0, GET "Host: a:65535\r\n\r\n"),
	S(0, GET "Host: a:0\r\n\r\n"),
	S(0, GET "Host: a:\r\n\r\n"),
	S(0, GET "Host: 127.0.0.1\r\n\r\n"),
	S(0, GET "Host: [::1]\r\n\r\n"),
	S(0, GET "Host: [::1]:8080\r\n\r\n"),
	S(0, GET "Host: [::ffff:1.2.3.4]\r\n\r\n"),
	S(0, GET "Host: a:9999\r\n\r\n"),
	S(0, GET "Host: [0000:0000:0000:0000:0000:ffff:255.255.255.255]\r\n\r\n"),
	S(0, GET "Host: a%C3%a9.example\r\n\r\n"),
	S(0, GET "Host: a%0F%f0\r\n\r\n"),
	S(0, GET "Host: xn--a_b~c!$&'()*+;=.example-with-a-long-name\r\n\r\n"),
	S(0, GET "Host:\ta\t \r\n\r\n"),
};

static void one_good_host(void **unused)
{
	(void)unused;
	check_statuses(hosts, crew__lengthof(hosts));
}

static const struct status_case fields[] = {
	S(0, GET HOST "X:\r\n\r\n"),
	S(0, GET HOST "X: \t \r\n\r\n"),
	S(0, GET HOST "X-!#$%&'*+.^_`|~9: y\r\n\r\n"),
	S(0, GET HOST "X: a\tb \x80\xFF\r\n\r\n"),
	S(400, GET HOST ": x\r\n\r\n"),
	S(400, GET HOST "X\r\n\r\n"),
	S(400, GET HOST "X : y\r\n\r\n"),
	S(400, GET HOST "X\t: y\r\n\r\n"),
	S(400, GET HOST "X Y: z\r\n\r\n"),
	S(400, GET HOST " X: y\r\n\r\n"),
	S(400, GET " Host: a\r\n\r\n"),
	S(400, GET HOST "X: y\r\n z\r\n\r\n"),
	S(400, GET HOST "X: y\r\n\tz\r\n\r\n"),
	S(400, GET HOST "X: y\r\n \r\n\r\n"),
	S(400, GET HOST "X(y): z\r\n\r\n"),
	S(400, GET HOST "X\0Y: z\r\n\r\n"),
	S(400, GET HOST "\xC3\xA9: z\r\n\r\n"),
	S(400, GET HOST "X: a\0b\r\n\r\n"),
	S(400, GET HOST "X: a\x01\r\n\r\n"),
	S(400, GET HOST "X: a\x1F\r\n\r\n"),
	S(400, GET HOST "X: a\x7F\r\n\r\n"),
	S(400, GET HOST "X: 0123456789012345678901234567890123456789\x0B\r\n\r\n"),
	S(400, GET HOST "X: a\rb\r\n\r\n"),
	S(400, GET HOST "X: a\nb: c\r\n\r\n"),
	S(400, GET HOST "X: a\r\r\n\r\n"),
	S(400, GET HOST "\n"),
	S(400, GET HOST "\r\r\n\r\n"),
	S(400, GET HOST "\rX: y\r\n\r\n"),
	S(400, GET "Host: a\n\n"),
};

static void fields_are_strict(void **unused)
{
	(void)unused;
	check_statuses(fields, crew__lengthof(fields));
}

static const struct text_case requests[] = {
	T("", ""),
	T("", "\r\n"),
	T("more", "G"),
	T("more", GET HOST "\r"),
	T("GET / a 11 1 [];", GET HOST "\r\n"),
	T("GET / a 11 1 [];", GET HOST "\r\n\r\n"),
	T("GET / a 11 1 [];more", GET HOST "\r\n\r\nG"),
	T("GET /a/b?c=d&e=?f a 11 1 [];", "GET /a/b?c=d&e=?f HTTP/1.1\r\n" HOST "\r\n"),
	T("GET /? a 11 1 [];", "GET /? HTTP/1.1\r\n" HOST "\r\n"),
	T("GET //evil/../%2e%2e/ a 11 1 [];", "GET //evil/../%2e%2e/ HTTP/1.1\r\n" HOST "\r\n"),
	T("OPTIONS * a 11 1 [];", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
	T("GET /c?d b:81 11 1 [];", "GET http://b:81/c?d HTTP/1.1\r\n" HOST "\r\n"),
	T("GET / b 11 1 [];", "GET HTTPS://b HTTP/1.1\r\n" HOST "\r\n"),
	T("GET /?d [::1] 11 1 [];", "GET http://[::1]?d HTTP/1.1\r\n" HOST "\r\n"),
	T("GET /c b 10 close 0 [];", "GET http://b/c HTTP/1.0\r\n\r\n"),
	T("HEAD / a 11 1 [];", "HEAD / HTTP/1.1\r\n" HOST "\r\n"),
	/* Who stays. */
	T("GET /  10 close 0 [];", "GET / HTTP/1.0\r\n\r\n"),
	T("GET /  10 1 [];GET /  10 close 0 [];",
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
	T("GET / a 11 close 2 [];", GET HOST "Connection: close\r\n\r\n"),
	T("GET / a 11 close 2 [];", GET HOST "Connection: x,CLOSE ,\t, y\r\n\r\n"),
	T("GET / a 11 close 3 [];", GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n"),
	T("GET / a 11 2 [];", GET HOST "Connection: closed\r\n\r\n"),
	T("GET / a 11 2 [];", GET HOST "Connection: \"close\"\r\n\r\n"),
	T("GET / a 11 2 [];", GET HOST "XConnection: close\r\n\r\n"),
	/* One behind the other. */
	T("GET / a 11 1 [];GET /b a 11 1 [];HEAD / c 11 2 [];", GET HOST
		"\r\nGET /b HTTP/1.1\r\n" HOST "\r\n\r\nHEAD / HTTP/1.1\r\nX: y\r\nHost: c\r\n"
		"\r\n"),
	T("GET / a 11 1 [];400", GET HOST "\r\nG@T / HTTP/1.1\r\n" HOST "\r\n"),
	T("GET / a 11 1 [];400", GET HOST "\r\n" GET "\r\n"),
};

static void requests_are_told_as_they_are(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < crew__lengthof(requests); i++)
		http1_expect(requests[i].input, requests[i].len, requests[i].text);
}

/* The first error counts, in whatever order a scanner would stumble over them. */
static const struct status_case orders[] = {
	S(505, "GET / HTTP/3.0\r\nX: y\n\r\n"),
	S(400, "GET / HTTP/1.1 \r\nX: y\r\nTransfer-Encoding: gzip\r\n\r\n"),
	S(400, GET HOST "X: \x01\r\nTransfer-Encoding: gzip\r\n\r\n"),
	S(505, "GET / HTTP/1.5\r\n\n"),
};

static void the_first_error_counts(void **unused)
{
	(void)unused;
	check_statuses(orders, crew__lengthof(orders));
}

/* ---- limits ------------------------------------------------------------------------------- */

static char *fill(char *at, char c, size_t n)
{
	memset(at, c, n);
	return at + n;
}

static void the_request_line_has_a_limit(void **unused)
{
	(void)unused;
	enum {
		LINE = 8192,
		AROUND = sizeof("GET  HTTP/1.1\r\n") - 1
	};
	char input[2 * LINE];
	for (size_t over = 0; over < 2; over++)
		for (size_t empty = 0; empty < 2; empty++) {
			char *at = input + sprintf(input, "%sGET /", empty ? "\r\n" : "");
			at = fill(at, 'a', LINE - AROUND - 1 + over);
			at += sprintf(at, " HTTP/1.1\r\n" HOST "\r\n");
			http1_expect_status(input, (size_t)(at - input), over ? 414 : 0);
		}
	/* It need not end to be too long, and each of its parts may be what is. */
	http1_expect_status(input, (size_t)(fill(input, 'A', 9000) - input), 414);
	char *at = fill(input + sprintf(input, "GET /?"), '?', 9000);
	http1_expect_status(input, (size_t)(at - input), 414);
}

static size_t many_fields(char *input, size_t count)
{
	char *at = input + sprintf(input, GET HOST);
	for (size_t i = 1; i < count; i++)
		at += sprintf(at, "X: y\r\n");
	at += sprintf(at, "\r\n");
	return (size_t)(at - input);
}

static void the_fields_have_limits(void **unused)
{
	(void)unused;
	enum {
		HEAD = CREW__HTTP_HEAD_MAX
	};
	static char input[2 * HEAD];
	http1_expect_status(input, many_fields(input, CREW__HTTP_HEADERS_MAX), 0);
	http1_expect_status(input, many_fields(input, CREW__HTTP_HEADERS_MAX + 1), 431);

	for (size_t over = 0; over < 2; over++) {
		char *at = input + sprintf(input, GET HOST "X: ");
		at = fill(at, 'y', HEAD - 4 - (size_t)(at - input) + over);
		at += sprintf(at, "\r\n\r\n");
		assert_int_equal(at - input, HEAD + over);
		http1_expect_status(input, (size_t)(at - input), over ? 431 : 0);
	}
	char *at = input + sprintf(input, GET HOST);
	http1_expect_status(input, (size_t)(fill(at, 'x', HEAD) - input), 431);
	/* A space for each byte of a head (row 19 of the field's bugs). */
	at = input + sprintf(input, GET HOST "Connection:");
	at = fill(at, ' ', HEAD - 200);
	at += sprintf(at, "x%60s\r\n\r\n", "");
	http1_expect_status(input, (size_t)(at - input), 0);
}

/* ---- looking once ------------------------------------------------------------------------- */

/* Row 21 of the field's bugs: while a head comes byte by byte, what was looked through is spoilt; a
 * parser that began again would refuse it. Only the last two bytes may be looked at again. */
static void a_head_in_pieces_is_looked_at_once(void **unused)
{
	(void)unused;
	static char input[CREW__HTTP_HEAD_MAX], spoilt[CREW__HTTP_HEAD_MAX];
	static struct crew__http1_request r;
	char *at = input + sprintf(input, GET HOST "X: ");
	at = fill(at, 'y', 7000);
	for (unsigned i = 0; i < 90; i++)
		at += sprintf(at, "\r\nX-%u: yes", i);
	at += sprintf(at, "\r\n\r\n");
	const size_t len = (size_t)(at - input);
	size_t consumed;
	int status;

	struct crew__http1 p = { 0 };
	size_t there = sizeof(GET HOST) - 1;
	memcpy(spoilt, input, there);
	assert_int_equal(
		crew__http1_feed(&p, spoilt, 1, 0, &r, &consumed, &status), CREW__HTTP_MORE);
	assert_int_equal(
		crew__http1_feed(&p, spoilt, there, 0, &r, &consumed, &status), CREW__HTTP_MORE);
	for (; there < len; there++) {
		memset(spoilt, '\1', there - 2);
		memcpy(spoilt + there - 2, input + there - 2, 2);
		assert_int_equal(crew__http1_feed(&p, spoilt, there, 0, &r, &consumed, &status),
			CREW__HTTP_MORE);
		assert_false(crew__http1_idle(&p));
	}
	assert_int_equal(
		crew__http1_feed(&p, input, len, 0, &r, &consumed, &status), CREW__HTTP_REQUEST);
	assert_int_equal(consumed, len);
	assert_int_equal(r.public.header_count, 92);
}

/* Nonsense is refused with its first line, or its first byte, and not when its sender gives up. */
static void nonsense_is_refused_early(void **unused)
{
	(void)unused;
	static const char *const early[] = { "\x16", "{", "GET / FTP", "GET /\x01", GET "a b",
		GET HOST "X: y\n", "GET a HTTP/1.1\r\n" };
	static struct crew__http1_request r;
	size_t consumed;
	int status;
	for (size_t i = 0; i < crew__lengthof(early); i++) {
		char copy[100];
		strcpy(copy, early[i]);
		assert_int_equal(
			http1_once(copy, strlen(copy), &r, &consumed, &status), CREW__HTTP_BAD);
		assert_int_equal(status, 400);
	}
	/* In pieces: with the line's end. */
	char copy[] = "HELO example.org\r\n";
	struct crew__http1 p = { 0 };
	for (size_t len = 1; len < sizeof(copy) - 2; len++)
		assert_int_equal(crew__http1_feed(&p, copy, len, 0, &r, &consumed, &status),
			CREW__HTTP_MORE);
	assert_int_equal(crew__http1_feed(&p, copy, sizeof(copy) - 1, 0, &r, &consumed, &status),
		CREW__HTTP_BAD);
}

static void views_point_into_the_bytes(void **unused)
{
	(void)unused;
	char input[] = "PUT /a?b HTTP/1.1\r\nHost: c\r\nX-Long-Name-Of-A-Field:  v w \r\n"
		       "Content-Length: 3\r\n\r\nxyzREST";
	static struct crew__http1_request r;
	size_t consumed;
	int status;
	assert_int_equal(
		http1_once(input, sizeof(input) - 1, &r, &consumed, &status), CREW__HTTP_REQUEST);
	assert_string_equal(input + consumed, "REST");
	assert_ptr_equal(r.public.method.data, input);
	assert_ptr_equal(r.public.target.data, input + 4);
	assert_int_equal(r.public.target.len, 4);
	assert_ptr_equal(r.public.headers[1].name.data, strstr(input, "X-Long"));
	assert_int_equal(r.public.headers[1].name.len, strlen("X-Long-Name-Of-A-Field"));
	assert_ptr_equal(r.public.headers[1].value.data, strstr(input, "v w"));
	assert_int_equal(r.public.headers[1].value.len, 3);
	assert_ptr_equal(r.public.body.data, strstr(input, "xyz"));
	assert_int_equal(r.public.body.len, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_lines_are_strict),
		cmocka_unit_test(one_good_host),
		cmocka_unit_test(fields_are_strict),
		cmocka_unit_test(requests_are_told_as_they_are),
		cmocka_unit_test(the_first_error_counts),
		cmocka_unit_test(the_request_line_has_a_limit),
		cmocka_unit_test(the_fields_have_limits),
		cmocka_unit_test(a_head_in_pieces_is_looked_at_once),
		cmocka_unit_test(nonsense_is_refused_early),
		cmocka_unit_test(views_point_into_the_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
