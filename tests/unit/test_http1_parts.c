/* HTTP/1: heads before their bodies, bodies in parts of any length, trailers, and a head's limit as
 * its owner sets it. That parts come to the same as a gathered body, in every way of cutting them,
 * test_http1_body.c sees to. */
#include "http1_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOST    "Host: a\r\n"
#define POST    "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define GIB     (UINT64_C(1) << 30)

static struct crew__http1_request request;

static bool is(crew_bytes b, const char *text)
{
	return b.data && b.len == strlen(text) && memcmp(b.data, text, b.len) == 0;
}

/* The head of a request with a body, whole; what is behind it does not matter. */
static struct crew__http1 begun(const char *head)
{
	struct crew__http1 p = { 0 };
	size_t consumed = 0;
	int status = 0;
	char copy[200];
	strcpy(copy, head);
	assert_int_equal(crew__http1_begin(&p, copy, strlen(copy), &request, &consumed, &status),
		CREW__HTTP_HEAD);
	assert_int_equal(consumed, strlen(copy));
	assert_int_equal(request.public.body.len, 0);
	assert_false(crew__http1_idle(&p));
	return p;
}

struct step {
	enum crew__http1_result result;
	crew_bytes part;
	size_t consumed;
	int status;
};

static struct step part(struct crew__http1 *p, const char *data, size_t len, uint64_t max)
{
	static char copy[32 * 1024];
	assert_true(len <= sizeof(copy));
	memcpy(copy, data, len);
	struct step s = { .consumed = 12345 };
	s.result = crew__http1_part(p, copy, len, max, &s.part, &s.consumed, &s.status);
	assert_true(s.consumed <= len);
	return s;
}

static struct step text(struct crew__http1 *p, const char *data, uint64_t max)
{
	return part(p, data, strlen(data), max);
}

/* ---- the head alone ------------------------------------------------------------------------ */

static void a_head_alone(void **unused)
{
	(void)unused;
	struct crew__http1 p = { 0 };
	size_t consumed = 0;
	int status = 0;
	char input[] = POST "Content-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n";
	const size_t len = sizeof(input) - 1, head = len - strlen("abcGET / HTTP/1.0\r\n\r\n");
	for (size_t n = 0; n < head; n++)
		assert_int_equal(crew__http1_begin(&p, input, n, &request, &consumed, &status),
			CREW__HTTP_MORE);
	/* However much of the body is there, and however long it may be. */
	assert_int_equal(
		crew__http1_begin(&p, input, len, &request, &consumed, &status), CREW__HTTP_HEAD);
	assert_int_equal(consumed, head);
	assert_int_equal(request.public.header_count, 2);

	/* Gathered from here, with the same bytes. */
	struct crew__http1 other = p;
	assert_int_equal(crew__http1_feed(&other, input, len, 2, &request, &consumed, &status),
		CREW__HTTP_BAD);
	assert_int_equal(status, 413);
	assert_int_equal(crew__http1_feed(&p, input, len, 3, &request, &consumed, &status),
		CREW__HTTP_REQUEST);
	assert_int_equal(consumed, head + 3);
	assert_true(is(request.public.body, "abc"));

	/* And one that has no body is complete at once. */
	assert_int_equal(crew__http1_begin(&p, input + consumed, len - consumed, &request,
				 &consumed, &status),
		CREW__HTTP_REQUEST);
	assert_int_equal(consumed, strlen("GET / HTTP/1.0\r\n\r\n"));
	assert_true(crew__http1_idle(&p));
}

/* ---- lengths ------------------------------------------------------------------------------- */

static void a_length_in_parts(void **unused)
{
	(void)unused;
	struct crew__http1 p = begun(POST "Content-Length: 6\r\n\r\n");
	struct step s = text(&p, "", 6);
	assert_true(s.result == CREW__HTTP_MORE && s.consumed == 0);
	s = text(&p, "abc", 6);
	assert_true(s.result == CREW__HTTP_PART && s.consumed == 3 && is(s.part, "abc"));
	assert_false(crew__http1_ended(&p));
	/* What is behind it is not its own. */
	s = text(&p, "defGET /", 6);
	assert_true(s.result == CREW__HTTP_PART && s.consumed == 3 && is(s.part, "def"));
	assert_true(crew__http1_ended(&p));
	assert_true(crew__http1_idle(&p));

	/* Who does not ask is told in the next call. */
	p = begun(POST "Content-Length: 1\r\n\r\n");
	text(&p, "x", 1);
	s = text(&p, "GET", 1);
	assert_true(s.result == CREW__HTTP_REQUEST && s.consumed == 0 && s.part.len == 0);
	assert_true(crew__http1_idle(&p));
}

/* The limit is that of the whole body, whatever of it has come. */
static void a_limit_is_for_the_whole(void **unused)
{
	(void)unused;
	struct crew__http1 p = begun(POST "Content-Length: 6\r\n\r\n");
	struct step s = text(&p, "abcdef", 5);
	assert_true(s.result == CREW__HTTP_BAD && s.status == 413 && s.consumed == 0);

	/* One that shrinks on the way, as when nobody wants the body any more. */
	p = begun(POST "Content-Length: 10\r\n\r\n");
	assert_int_equal(text(&p, "abcd", 10).result, CREW__HTTP_PART);
	struct crew__http1 q = p;
	assert_int_equal(text(&q, "efghij", 10).result, CREW__HTTP_PART);
	q = p;
	assert_int_equal(text(&q, "e", 9).status, 413);
	q = p;
	assert_int_equal(text(&q, "e", 3).status, 413); /* less than there has been already */

	p = begun(CHUNKED);
	assert_int_equal(text(&p, "4\r\nabcd\r\n", 6).consumed, 7);
	text(&p, "\r\n", 6);
	q = p;
	assert_int_equal(text(&q, "2\r\nef", 6).result, CREW__HTTP_PART);
	q = p;
	assert_int_equal(text(&q, "3\r\n", 6).status, 413);
	q = p;
	assert_int_equal(text(&q, "1\r\n", 3).status, 413);
}

/* `total` bytes in pieces, of a body that is framed already. */
static void take_much(struct crew__http1 *p, uint64_t total, uint64_t max)
{
	static char piece[1 << 20];
	uint64_t taken = 0;
	while (taken < total) {
		crew_bytes view;
		size_t consumed;
		int status;
		assert_int_equal(
			crew__http1_part(p, piece, sizeof(piece), max, &view, &consumed, &status),
			CREW__HTTP_PART);
		assert_ptr_equal(view.data, piece);
		assert_true(view.len == consumed && view.len <= total - taken);
		taken += view.len;
	}
}

static void lengths_beyond_32_bits(void **unused)
{
	(void)unused;
	const uint64_t sizes[] = { 4 * GIB - 1, 4 * GIB, 4 * GIB + 1, 10 * GIB + 7 };
	for (size_t i = 0; i < crew__lengthof(sizes); i++) {
		char head[200];
		sprintf(head, POST "Content-Length: %llu\r\n\r\n", (unsigned long long)sizes[i]);
		struct crew__http1 p = begun(head);
		assert_int_equal(text(&p, "x", sizes[i] - 1).status, 413);
		take_much(&p, sizes[i], sizes[i]);
		assert_true(crew__http1_ended(&p));

		p = begun(CHUNKED);
		sprintf(head, "%llx\r\n", (unsigned long long)sizes[i]);
		struct step s = text(&p, head, sizes[i]);
		assert_true(s.result == CREW__HTTP_MORE && s.consumed == strlen(head));
		take_much(&p, sizes[i], sizes[i]);
		s = text(&p, "\r\n1\r\n", sizes[i]);
		assert_int_equal(s.status, 413);
	}
	/* The largest there are: nothing overflows. */
	struct crew__http1 p = begun(POST "Content-Length: 9999999999999999999\r\n\r\n");
	struct step s = text(&p, "abc", UINT64_MAX);
	assert_true(s.result == CREW__HTTP_PART && s.part.len == 3);
	p = begun(CHUNKED);
	s = text(&p, "3\r\nabc\r\nffffffffffffffff\r\n", UINT64_MAX);
	assert_true(s.result == CREW__HTTP_PART && s.consumed == 6);
	assert_int_equal(text(&p, "\r\nffffffffffffffff\r\n", UINT64_MAX).status, 413);
	p = begun(CHUNKED);
	assert_int_equal(text(&p, "ffffffffffffffff\r\n", UINT64_MAX).result, CREW__HTTP_MORE);
	p = begun(CHUNKED);
	assert_int_equal(text(&p, "10000000000000000", UINT64_MAX).status, 413);
}

/* ---- trailers ------------------------------------------------------------------------------ */

static void trailers_wait_until_they_are_whole(void **unused)
{
	(void)unused;
	static const char section[] = "A: b\r\nHost: c\r\nLong: d e\r\n\r\n";
	struct crew__http1 p = begun(CHUNKED);
	char data[200] = "0\r\n";
	struct step s = text(&p, "0\r\nA: b", 0);
	assert_true(s.result == CREW__HTTP_MORE && s.consumed == 3);
	/* What has been looked through is not looked at again: it is spoilt here. */
	for (size_t n = 5; n < sizeof(section) - 1; n++) {
		memset(data, '\1', n - 1);
		data[n - 1] = section[n - 1];
		s = part(&p, data, n, 0);
		assert_true(s.result == CREW__HTTP_MORE && s.consumed == 0);
	}
	s = text(&p, section, 0);
	assert_true(s.result == CREW__HTTP_REQUEST && s.consumed == sizeof(section) - 1);
	assert_true(crew__http1_idle(&p));
	crew_header fields[3];
	assert_int_equal(crew__http1_trailers(s.part, fields, 3), 2);
	assert_true(is(fields[0].name, "A") && is(fields[0].value, "b"));
	assert_true(is(fields[1].name, "Long") && is(fields[1].value, "d e"));
	assert_int_equal(crew__http1_trailers(s.part, fields, 1), 1);

	/* All at once, with data before and a request behind. */
	p = begun(CHUNKED);
	text(&p, "1\r\nx", 1);
	s = text(&p, "\r\n0\r\nA: b\r\n\r\nGET", 1);
	assert_true(
		s.result == CREW__HTTP_REQUEST && s.consumed == strlen("\r\n0\r\nA: b\r\n\r\n"));
	assert_int_equal(crew__http1_trailers(s.part, fields, 3), 1);
	p = begun(CHUNKED);
	s = text(&p, "0\r\n\r\n", 1);
	assert_true(s.result == CREW__HTTP_REQUEST && s.consumed == 5);
	assert_int_equal(crew__http1_trailers(s.part, fields, 3), 0);
}

/* The head of a request by chunks, with so many fields. */
static size_t head_with(char *out, size_t fields)
{
	char *at = out + sprintf(out, POST "Transfer-Encoding: chunked\r\n");
	for (size_t i = 2; i < fields; i++)
		at += sprintf(at, "X: y\r\n");
	at += sprintf(at, "\r\n0\r\n");
	return (size_t)(at - out);
}

static void fields_and_trailers_are_counted_together(void **unused)
{
	(void)unused;
	static const size_t heads[] = { 2, 50, 99, 100 };
	char input[4000];
	for (size_t i = 0; i < crew__lengthof(heads); i++)
		for (size_t over = 0; over < 2; over++) {
			char *at = input + head_with(input, heads[i]);
			for (size_t n = heads[i]; n < CREW__HTTP_HEADERS_MAX + over; n++)
				at += sprintf(at, "t:u\r\n");
			at += sprintf(at, "\r\n");
			/* The text of a good one is as long as there are trailers. */
			if (over)
				http1_expect_status(input, (size_t)(at - input), 431);
			else
				assert_true(http1_same(input, (size_t)(at - input)));
		}
}

static void trailers_have_a_length(void **unused)
{
	(void)unused;
	for (size_t over = 0; over < 2; over++) {
		char section[CREW__HTTP_TRAILER_MAX + 10];
		int n = sprintf(
			section, "X:%0*zu\r\n\r\n", CREW__HTTP_TRAILER_MAX - 5 + (int)over, over);
		assert_int_equal(n, CREW__HTTP_TRAILER_MAX + 1 + over);
		struct crew__http1 p = begun(CHUNKED);
		text(&p, "0\r\n", 0);
		struct step s = text(&p, section, 0);
		assert_int_equal(s.result, over ? CREW__HTTP_BAD : CREW__HTTP_REQUEST);
		assert_int_equal(s.status, over ? 431 : 0);
	}
}

static void what_decides_before_a_body_is_no_trailer(void **unused)
{
	(void)unused;
	static const char *const out[] = { "authorization", "Cache-Control", "CONNECTION",
		"content-encoding", "content-length", "content-range", "content-type", "cookie",
		"expect", "forwarded", "host", "keep-alive", "max-forwards", "origin", "pragma",
		"range", "referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
		"x-http-method-override", "x-real-ip", "if-match", "If-Modified-Since",
		"proxy-authorization", "Sec-WebSocket-Key", "sec-fetch-site", "X-FORWARDED-FOR" };
	static const char *const in[] = { "Digest", "X-Checksum", "Server-Timing", "ETag", "i",
		"If", "Hosts", "Content-MD5", "Secret", "XForwarded-For" };
	char line[100];
	crew_header field;
	for (size_t i = 0; i < crew__lengthof(out); i++) {
		size_t n = (size_t)sprintf(line, "%s: v\r\n", out[i]);
		if (crew__http1_trailers((crew_bytes){ line, n }, &field, 1) != 0)
			fail_msg("%s is told", out[i]);
	}
	for (size_t i = 0; i < crew__lengthof(in); i++) {
		size_t n = (size_t)sprintf(line, "%s: v\r\n", in[i]);
		assert_int_equal(crew__http1_trailers((crew_bytes){ line, n }, &field, 1), 1);
		assert_true(is(field.name, in[i]) && is(field.value, "v"));
	}
}

/* Trailers stay behind a gathered body while the coding between is given back. */
static void squeezing_keeps_trailers(void **unused)
{
	(void)unused;
	static const char input[] = CHUNKED "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n";
	static const char long_size[] = "0;"
					"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
					"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
	char data[600];
	struct crew__http1 p = { 0 };
	size_t held = sizeof(input) - 1, consumed = 0, dropped = 0;
	int status = 0;
	/* The last chunk's line is made long, so that there is much to give back. */
	char *zero = memcpy(data, input, held + 1);
	zero = strstr(zero, "\r\n0\r\n") + 2;
	memmove(zero + sizeof(long_size) - 1, zero + 1, strlen(zero + 1) + 1);
	memcpy(zero, long_size, sizeof(long_size) - 1);
	held += sizeof(long_size) - 2;
	for (size_t n = 1; n <= held - dropped; n++) {
		enum crew__http1_result result = crew__http1_feed(
			&p, data + dropped, n, 1, &request, &consumed, &status);
		if (result == CREW__HTTP_REQUEST)
			break;
		assert_true(result == CREW__HTTP_MORE || result == CREW__HTTP_HEAD);
		size_t more = crew__http1_squeeze(&p, data + dropped, n);
		dropped += more;
		n -= more;
	}
	assert_true(dropped > 0);
	assert_true(is(request.public.body, "x"));
	assert_int_equal(request.public.trailer_count, 2);
	assert_true(is(request.public.trailers[0].name, "A"));
	assert_true(is(request.public.trailers[1].value, "d"));
	assert_ptr_equal(request.public.trailers, request.table + 2);

	/* Nothing of them is left in the next. */
	char next[] = POST "\r\n";
	assert_int_equal(http1_once(next, sizeof(next) - 1, &request, &consumed, &status),
		CREW__HTTP_REQUEST);
	assert_int_equal(request.public.trailer_count, 0);
	assert_null(request.public.trailers);
}

/* ---- a head's limit ------------------------------------------------------------------------ */

/* The status for `len` bytes of a head that need not be whole, in one piece or byte by byte; 0: a
 * request, 1: more is wanted. */
static int judge(const char *input, size_t len, uint32_t max_head, bool bytes)
{
	static char copy[2 << 20];
	static struct crew__http1_request r;
	struct crew__http1 p = { 0 };
	r.max_head = max_head;
	memcpy(copy, input, len);
	for (size_t n = bytes ? 1 : len;; n++) {
		size_t consumed = 0;
		int status = 0;
		enum crew__http1_result result = crew__http1_begin(
			&p, copy, n, &r, &consumed, &status);
		if (result == CREW__HTTP_BAD)
			return status;
		if (result == CREW__HTTP_REQUEST)
			return consumed == len ? 0 : -1;
		if (n == len)
			return 1;
	}
}

static void expect(const char *input, size_t len, uint32_t max_head, int status)
{
	for (int bytes = 0; bytes < 2; bytes++)
		if (judge(input, len, max_head, bytes) != status)
			fail_msg("%d instead of %d for %zu bytes, limit %u, bytes %d",
				judge(input, len, max_head, bytes), status, len, max_head, bytes);
}

/* A request whose line has `line` bytes with its end, and its head `head`. 0: without an end. */
static size_t request_of(char *out, size_t line, size_t head)
{
	char *at = out + sprintf(out, "GET /");
	size_t room = line - strlen("GET / HTTP/1.1\r\n");
	memset(at, 'a', room);
	at += room;
	at += sprintf(at, " HTTP/1.1\r\n" HOST "X:");
	size_t value = head - 4 - (size_t)(at - out);
	memset(at, 'v', value);
	at += value;
	at += sprintf(at, "\r\n\r\n");
	return (size_t)(at - out);
}

static void heads_have_the_limit_that_is_set(void **unused)
{
	(void)unused;
	static char input[2 << 20];
	static const uint32_t limits[] = { 1024, 4096, 8192, 16384, 65536, 1 << 20 };
	for (size_t i = 0; i < crew__lengthof(limits); i++) {
		uint32_t limit = limits[i];
		size_t line = limit < CREW__HTTP_LINE_MAX ? limit : CREW__HTTP_LINE_MAX;
		expect(input, request_of(input, 100, limit), limit, 0);
		expect(input, request_of(input, 100, limit + 1), limit, 431);
		/* Without an end, one byte makes the difference as well. */
		expect(input, request_of(input, 100, limit + 99) - 99, limit, 1);
		expect(input, request_of(input, 100, limit + 99) - 98, limit, 431);
		/* The line. */
		expect(input, request_of(input, line + 1, line + 200), limit, 414);
		expect(input, request_of(input, line, line + 200), limit, line < limit ? 0 : 431);
		expect(input, request_of(input, line - 60, line), limit, 0);
	}
	/* Not said: the default. */
	expect(input, request_of(input, 100, CREW__HTTP_HEAD_MAX), 0, 0);
	expect(input, request_of(input, 100, CREW__HTTP_HEAD_MAX + 1), 0, 431);
	/* It is the head's alone. */
	char body[] = POST "Content-Length: 60\r\n\r\n"
			   "0123456789012345678901234567890123456789"
			   "01234567890123456789";
	request.max_head = sizeof(body) - 1 - 60;
	size_t consumed;
	int status;
	assert_int_equal(http1_once(body, sizeof(body) - 1, &request, &consumed, &status),
		CREW__HTTP_REQUEST);
	request.max_head--;
	assert_int_equal(
		http1_once(body, sizeof(body) - 1, &request, &consumed, &status), CREW__HTTP_BAD);
	assert_int_equal(status, 431);
	request.max_head = 0;
}

/* Row 31 of the field's bugs: a name whose length, cut to 8 or 16 bits, is that of a field that
 * frames bodies, and which begins and ends like it, is another field all the same. */
static void long_names_are_names(void **unused)
{
	(void)unused;
	static char input[1 << 18];
	static const char *const known[] = { "content-length", "transfer-encoding", "host" };
	static const size_t wraps[] = { 1 << 8, 1 << 16 };
	for (size_t i = 0; i < crew__lengthof(known); i++)
		for (size_t w = 0; w < crew__lengthof(wraps); w++) {
			size_t len = strlen(known[i]);
			char *at = input +
				   sprintf(input, "POST / HTTP/1.1\r\n" HOST "%s", known[i]);
			memset(at, 'x', wraps[w] - len);
			at += wraps[w] - len;
			at += sprintf(at, "%s: 7\r\n\r\n", known[i]);
			static struct crew__http1_request r;
			r.max_head = 1 << 20;
			size_t consumed = 0;
			int status = 0;
			assert_int_equal(
				http1_once(input, (size_t)(at - input), &r, &consumed, &status),
				CREW__HTTP_REQUEST);
			assert_int_equal(consumed, at - input);
			assert_int_equal(r.public.headers[1].name.len, wraps[w] + len);
			assert_true(is(r.public.host, "a"));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_alone),
		cmocka_unit_test(a_length_in_parts),
		cmocka_unit_test(a_limit_is_for_the_whole),
		cmocka_unit_test(lengths_beyond_32_bits),
		cmocka_unit_test(trailers_wait_until_they_are_whole),
		cmocka_unit_test(fields_and_trailers_are_counted_together),
		cmocka_unit_test(trailers_have_a_length),
		cmocka_unit_test(what_decides_before_a_body_is_no_trailer),
		cmocka_unit_test(squeezing_keeps_trailers),
		cmocka_unit_test(heads_have_the_limit_that_is_set),
		cmocka_unit_test(long_names_are_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
