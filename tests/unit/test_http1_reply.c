/* The head of a response: what it says, what it refuses to say, and how much room it takes; the
 * date and the phrases; what is a token, a value, the same name. */
#include "proto/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static int write_head(const crew_response *r, int version, bool keep, char *room, size_t size)
{
	struct crew__http_head head = {
		.response = r,
		.version = version,
		.keep_alive = keep,
		.date = DATE,
		.length = r->body.len,
	};
	return crew__http_write_head(&head, room, size);
}

struct reply_case {
	crew_response response;
	int version;
	bool keep;
	const char
		*head; /* but for status line's protocol and the date, which are always the same */
};

#define FIELDS(...)                                      \
	.headers = (const crew_header[]){ __VA_ARGS__ }, \
	.header_count = sizeof((const crew_header[]){ __VA_ARGS__ }) / sizeof(crew_header)
#define FIELD(name, value)                          \
	{                                           \
		CREW_BYTES(name), CREW_BYTES(value) \
	}
#define TEXT_PLAIN "Content-Type: text/plain; charset=utf-8\r\n"

static void heads_of_all_kinds(void **unused)
{
	(void)unused;
	const struct reply_case cases[] = {
		{ { 0 }, 11, true, "200 OK|Content-Length: 0\r\n" },
		{ { .body = CREW_BYTES("hello") }, 11, true,
			"200 OK|" TEXT_PLAIN "Content-Length: 5\r\n" },
		{ { .status = 404, .type = "text/html", .body = CREW_BYTES("<p>no") }, 11, true,
			"404 Not Found|Content-Type: text/html\r\nContent-Length: 5\r\n" },
		{ { .status = 599 }, 11, true, "599 Unknown|Content-Length: 0\r\n" },
		/* Who stays is said only where it is not plain. */
		{ { 0 }, 11, false, "200 OK|Content-Length: 0\r\nConnection: close\r\n" },
		{ { 0 }, 10, true, "200 OK|Content-Length: 0\r\nConnection: keep-alive\r\n" },
		{ { 0 }, 10, false, "200 OK|Content-Length: 0\r\n" },
		{ { .close = true }, 11, true,
			"200 OK|Content-Length: 0\r\nConnection: close\r\n" },
		{ { .close = true }, 10, true, "200 OK|Content-Length: 0\r\n" },
		/* What has no content says nothing of it. */
		{ { .status = 204, .body = CREW_BYTES("x") }, 11, true, "204 No Content|" },
		{ { .status = 304, .type = "a/b", .body = CREW_BYTES("x") }, 11, true,
			"304 Not Modified|" },
		/* The program's own fields. */
		{ { FIELDS(FIELD("X", "y"), FIELD("Set-Cookie", "a\t=b; c"), FIELD("E", "")) }, 11,
			true,
			"200 OK|Content-Length: 0\r\nX: y\r\nSet-Cookie: a\t=b; c\r\nE: \r\n" },
		{ { FIELDS({ { "N", 1 }, { NULL, 0 } }) }, 11, true,
			"200 OK|Content-Length: 0\r\nN: \r\n" },
		{ { .body = CREW_BYTES("{}"), FIELDS(FIELD("content-TYPE", "application/json")) },
			11, true,
			"200 OK|Content-Length: 2\r\ncontent-TYPE: application/json\r\n" },
		{ { .status = 426, FIELDS(FIELD("Upgrade", "websocket")) }, 11, true,
			"426 Upgrade Required|Content-Length: 0\r\nConnection: upgrade\r\n"
			"Upgrade: websocket\r\n" },
		{ { .status = 426, FIELDS(FIELD("Upgrade", "websocket")) }, 11, false,
			"426 Upgrade Required|Content-Length: 0\r\nConnection: close, upgrade\r\n"
			"Upgrade: websocket\r\n" },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		const struct reply_case *c = &cases[i];
		char expected[500], room[500];
		const char *bar = strchr(c->head, '|');
		sprintf(expected, "HTTP/1.1 %.*s\r\nDate: " DATE "\r\n%s\r\n", (int)(bar - c->head),
			c->head, bar + 1);
		int n = write_head(&c->response, c->version, c->keep, room, sizeof(room));
		assert_true(n > 0);
		room[n] = '\0';
		assert_string_equal(room, expected);

		/* It takes just the room it needs, and not a byte beyond what there is. */
		for (int size = 0; size <= n; size++) {
			char *tight = malloc((size_t)size + 1);
			assert_non_null(tight);
			int answer = write_head(
				&c->response, c->version, c->keep, tight + 1, (size_t)size);
			assert_int_equal(answer, size < n ? -EMSGSIZE : n);
			if (answer > 0)
				assert_memory_equal(tight + 1, expected, (size_t)n);
			free(tight);
		}
	}
}

/* Row 36 of the field's bugs: nothing that we write splits a response. */
static void what_would_split_a_response_is_refused(void **unused)
{
	(void)unused;
	const crew_response cases[] = {
		{ .status = 100 },
		{ .status = 101 },
		{ .status = 199 },
		{ .status = 600 },
		{ .status = -1 },
		{ .header_count = 1 },
		{ .type = "a\r\nX: y" },
		{ .type = "a\nb" },
		{ FIELDS(FIELD("", "y")) },
		{ FIELDS(FIELD("X Y", "z")) },
		{ FIELDS(FIELD("X:", "z")) },
		{ FIELDS(FIELD("X\r\nY", "z")) },
		{ FIELDS(FIELD("X\0", "z")) },
		{ FIELDS(FIELD("\xC3\xA9", "z")) },
		{ FIELDS(FIELD("X", "a\r\nSet-Cookie: b")) },
		{ FIELDS(FIELD("X", "a\rb")) },
		{ FIELDS(FIELD("X", "a\nb")) },
		{ FIELDS(FIELD("X", "a\0b")) },
		{ FIELDS(FIELD("X", "a\x7F")) },
		{ FIELDS(FIELD("X", "0123456789012345678901234567890123456789\n")) },
		{ FIELDS(FIELD("Good", "y"), FIELD("X", "\n")) },
		{ FIELDS({ { NULL, 0 }, { NULL, 0 } }) },
		{ FIELDS({ { "X", 1 }, { NULL, 1 } }) },
		/* Ours to write; and no second one of what is said already. */
		{ FIELDS(FIELD("Content-Length", "5")) },
		{ FIELDS(FIELD("content-length", "5")) },
		{ FIELDS(FIELD("Transfer-Encoding", "chunked")) },
		{ FIELDS(FIELD("Connection", "close")) },
		{ FIELDS(FIELD("Date", DATE)) },
		{ .type = "a/b", FIELDS(FIELD("Content-Type", "a/b")) },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		char room[1000];
		assert_int_equal(write_head(&cases[i], 11, true, room, sizeof(room)), -EINVAL);
	}
}

/* What is said of a body that is not there yet, and fields that were written before. */
static void other_framings(void **unused)
{
	(void)unused;
	static const crew_response plain = { .status = 200 }, typed = { .type = "a/b" },
				   gone = { .status = 204 };
	static const struct {
		const crew_response *response;
		enum crew__http_framing framing;
		uint64_t length;
		const char *fields, *expected;
	} cases[] = {
		{ &plain, CREW__HTTP_CHUNKED, 7, "", TEXT_PLAIN "Transfer-Encoding: chunked\r\n" },
		{ &typed, CREW__HTTP_CHUNKED, 0, "",
			"Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n" },
		{ &plain, CREW__HTTP_UNSAID, 7, "", TEXT_PLAIN },
		{ &plain, CREW__HTTP_LENGTH, UINT64_MAX, "",
			TEXT_PLAIN "Content-Length: 18446744073709551615\r\n" },
		{ &plain, CREW__HTTP_LENGTH, 0, "A: b\r\nC: d\r\n",
			"Content-Length: 0\r\nA: b\r\nC: d\r\n" },
		{ &gone, CREW__HTTP_CHUNKED, 0, "A: b\r\n", "A: b\r\n" },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		char room[500];
		const struct crew__http_head head = {
			.response = cases[i].response,
			.version = 11,
			.keep_alive = true,
			.date = DATE,
			.framing = cases[i].framing,
			.length = cases[i].length,
			.fields = crew_str(cases[i].fields),
		};
		int n = crew__http_write_head(&head, room, sizeof(room));
		assert_true(n > 0);
		room[n] = '\0';
		const char *rest = strstr(room, DATE "\r\n");
		assert_non_null(rest);
		rest += strlen(DATE "\r\n");
		size_t len = strlen(cases[i].expected);
		assert_memory_equal(rest, cases[i].expected, len);
		assert_string_equal(rest + len, "\r\n");
		for (int size = 0; size < n; size++)
			assert_int_equal(
				crew__http_write_head(&head, room, (size_t)size), -EMSGSIZE);
	}
}

static void lines_of_chunks(void **unused)
{
	(void)unused;
	for (int bit = 0; bit < 64; bit++)
		for (int less = 0; less < 2; less++) {
			char expected[30], room[CREW__HTTP_CHUNK_LINE_ROOM];
			uint64_t len = (UINT64_C(1) << bit) - (uint64_t)less;
			if (len == 0)
				continue;
			int n = sprintf(expected, "%llx\r\n", (unsigned long long)len);
			assert_int_equal(crew__http_chunk_line(len, room), n);
			assert_memory_equal(room, expected, (size_t)n);
		}
	char room[CREW__HTTP_CHUNK_LINE_ROOM];
	assert_int_equal(crew__http_chunk_line(UINT64_MAX, room), sizeof(room));
	assert_memory_equal(room, "ffffffffffffffff\r\n", sizeof(room));
}

static void what_may_come_behind_the_body(void **unused)
{
	(void)unused;
	static const crew_header good[] = { FIELD("Digest", "x"), FIELD("Server-Timing", ""),
		FIELD("ages", "1") };
	static const crew_header bad[] = { FIELD("Content-Length", "1"), FIELD("connection", "x"),
		FIELD("Transfer-Encoding", "chunked"), FIELD("Date", DATE), FIELD("TE", "x"),
		FIELD("content-type", "a/b"), FIELD("Content-Encoding", "gzip"), FIELD("HOST", "a"),
		FIELD("Set-Cookie", "a=b"), FIELD("Trailer", "x"), FIELD("Location", "/"),
		FIELD("Cache-Control", "x"), FIELD("", "x"), FIELD("a b", "x"),
		FIELD("a", "x\r\ny: z") };
	for (size_t i = 0; i < crew__lengthof(good); i++)
		assert_true(crew__http_may_trail(&good[i]));
	for (size_t i = 0; i < crew__lengthof(bad); i++)
		assert_false(crew__http_may_trail(&bad[i]));
	assert_true(crew__http_may_send(&bad[5])); /* in a head it may */
	assert_false(crew__http_may_send(&bad[0]));
}

static void dates(void **unused)
{
	(void)unused;
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {
		{ 784111777, DATE }, /* the example of RFC 9110 5.6.7 */
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 4102444799, "Thu, 31 Dec 2099 23:59:59 GMT" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
		{ 253402300800, "Fri, 31 Dec 9999 23:59:59 GMT" },
		{ INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT" },
		{ -1, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT" },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		char text[30];
		crew__http_date(cases[i].seconds, text);
		assert_string_equal(text, cases[i].text);
	}
	/* Each day of four years, as libc's C locale has it. */
	for (int64_t day = 10957; day < 10957 + 1461; day++) {
		char text[30], expected[40];
		time_t seconds = (time_t)(day * 86400 + day % 86400);
		struct tm t;
		crew__http_date(seconds, text);
		strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT",
			gmtime_r(&seconds, &t));
		assert_string_equal(text, expected);
	}
}

static void phrases(void **unused)
{
	(void)unused;
	assert_string_equal(crew__http_phrase(200), "OK");
	assert_string_equal(crew__http_phrase(101), "Switching Protocols");
	assert_string_equal(crew__http_phrase(404), "Not Found");
	assert_string_equal(crew__http_phrase(413), "Content Too Large");
	assert_string_equal(crew__http_phrase(426), "Upgrade Required");
	assert_string_equal(crew__http_phrase(431), "Request Header Fields Too Large");
	assert_string_equal(crew__http_phrase(505), "HTTP Version Not Supported");
	for (int status = -1000; status < 2000; status++)
		assert_true(strlen(crew__http_phrase(status)) > 1);
	assert_string_equal(crew__http_phrase(299), "Unknown");
	assert_string_equal(crew__http_phrase(-1), "Unknown");
	assert_string_equal(crew__http_phrase(1 << 30), "Unknown");
}

static void tokens_and_values(void **unused)
{
	(void)unused;
	assert_false(crew__http_token((crew_bytes){ 0 }));
	assert_true(crew__http_field_value((crew_bytes){ 0 }));
	for (int c = 0; c < 256; c++) {
		/* Each byte alone, and within what is scanned at once. */
		char text[20] = "aaaaaaaaaaaaaaaaaaa";
		text[7] = (char)c;
		bool token = c != 0 && c < 128 &&
			     strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz",
				     c);
		bool value = c == '\t' || (c >= 32 && c != 127);
		assert_int_equal(crew__http_token((crew_bytes){ text + 7, 1 }), token);
		assert_int_equal(crew__http_token((crew_bytes){ text, 19 }), token);
		assert_int_equal(crew__http_field_value((crew_bytes){ text + 7, 1 }), value);
		assert_int_equal(crew__http_field_value((crew_bytes){ text, 19 }), value);
	}
}

static void the_same_name(void **unused)
{
	(void)unused;
	assert_true(crew__http_same(CREW_BYTES("Host"), CREW_BYTES("hOST")));
	assert_true(crew__http_same((crew_bytes){ 0 }, CREW_BYTES("")));
	assert_false(crew__http_same(CREW_BYTES("Host"), CREW_BYTES("Hos")));
	assert_false(crew__http_same(CREW_BYTES("a-b"), CREW_BYTES("a\rb")));
	for (int a = 0; a < 256; a++)
		for (int b = 0; b < 256; b++) {
			char x = (char)a, y = (char)b;
			bool letters = (a | 32) >= 'a' && (a | 32) <= 'z' && a < 128;
			bool same = a == b || (letters && (a ^ 32) == b);
			assert_int_equal(
				crew__http_same((crew_bytes){ &x, 1 }, (crew_bytes){ &y, 1 }),
				same);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_of_all_kinds),
		cmocka_unit_test(what_would_split_a_response_is_refused),
		cmocka_unit_test(other_framings),
		cmocka_unit_test(lines_of_chunks),
		cmocka_unit_test(what_may_come_behind_the_body),
		cmocka_unit_test(dates),
		cmocka_unit_test(phrases),
		cmocka_unit_test(tokens_and_values),
		cmocka_unit_test(the_same_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
