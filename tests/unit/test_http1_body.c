/* HTTP/1 bodies: what frames them, what is refused for it, the chunked coding and its limits, and
 * the upgrade, which has none. */
#include "http1_ways.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct body_case {
	const char *input;
	size_t len;
	const char *text; /* as http1_expect has it */
};

#define T(text, input)                              \
	{                                           \
		"" input, sizeof(input) - 1, (text) \
	}
#define POST      "POST / HTTP/1.1\r\nHost: a\r\n"
#define CL        "Content-Length: "
#define TE        "Transfer-Encoding: "
#define CHUNKED   POST TE "chunked\r\n\r\n"
#define GOOD      "POST / a 11 2 "
#define NEXT      "GET / HTTP/1.0\r\n\r\n"
#define NEXT_TOLD "GET /  10 close 0 [];"

static void check(const struct body_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++)
		http1_expect(cases[i].input, cases[i].len, cases[i].text);
}

/* Row 6 of the field's bugs is among them. */
static const struct body_case lengths[] = {
	T(GOOD "[];" NEXT_TOLD, POST CL "0\r\n\r\n" NEXT),
	T(GOOD "[hello];" NEXT_TOLD, POST CL "5\r\n\r\nhello" NEXT),
	T(GOOD "[hello];", POST "content-LENGTH:5\r\n\r\nhello"),
	T(GOOD "[hello];", POST CL "0005\r\n\r\nhello"),
	T(GOOD "[h\r\n\r\n];", POST CL "5\r\n\r\nh\r\n\r\n"),
	T("more", POST CL "5\r\n\r\nhell"),
	T("GET / a 11 2 [x];", "GET / HTTP/1.1\r\nHost: a\r\n" CL "1\r\n\r\nx"),
	T("POST /  10 close 1 [x];", "POST / HTTP/1.0\r\n" CL "1\r\n\r\nx"),
	T("400", POST CL "-1\r\n\r\n"),
	T("400", POST CL "+5\r\n\r\nhello"),
	T("400", POST CL " 5\r\n\r\nhello"),
	T("400", POST CL "\t5\r\n\r\nhello"),
	T("400", POST CL "5 \r\n\r\nhello"),
	T("400", POST CL "5\t\r\n\r\nhello"),
	T("400", POST "Content-Length:\t5\r\n\r\nhello"),
	T("400", POST CL "\r\n\r\n"),
	T("400", POST "Content-Length:\r\n\r\n"),
	T("400", POST CL "5,5\r\n\r\nhello"),
	T("400", POST CL "5, 5\r\n\r\nhello"),
	T("400", POST CL "5 5\r\n\r\nhello"),
	T("400", POST CL "5;\r\n\r\nhello"),
	T("400", POST CL "5.0\r\n\r\nhello"),
	T("400", POST CL "0x5\r\n\r\nhello"),
	T("400", POST CL "5e0\r\n\r\nhello"),
	T("400", POST CL "five\r\n\r\nhello"),
	T("400", POST CL "\xC2\xB2\r\n\r\nhello"),
	T("400", POST CL "5\r\n" CL "5\r\n\r\nhello"),
	T("400", POST CL "5\r\n" CL "6\r\n\r\nhello"),
	T("400", POST CL "99999999999999999999\r\n\r\n"),
	T("400", POST CL "18446744073709551621\r\n\r\nhello"), /* 5 in 64 bits */
	T("400", POST CL "00000000000000000005\r\n\r\nhello"),
	T("413", POST CL "4294967301\r\n\r\nhello"), /* 5 in 32 bits */
	T("413", POST CL "9223372036854775808\r\n\r\n"),
	T("413", POST CL "1001\r\n\r\n"),
	T("more", POST CL "1000\r\n\r\n"),
};

static void a_length_is_digits_once(void **unused)
{
	(void)unused;
	check(lengths, crew__lengthof(lengths));
}

static const struct body_case codings[] = {
	T(GOOD "[x];", CHUNKED "1\r\nx\r\n0\r\n\r\n"),
	T(GOOD "[x];", POST "transfer-encoding:CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
	T(GOOD "[x];", POST TE "\tchunked \r\n\r\n1\r\nx\r\n0\r\n\r\n"),
	T("400", POST TE "gzip\r\n\r\n"),
	T("501", POST TE "identity, chunked\r\n\r\n0\r\n\r\n"),
	T("501", POST TE "gzip, chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "xchunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "chunked1\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "identity\r\n\r\n"),
	T("400", POST TE "chunked, chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "chunked, gzip\r\n\r\n"),
	T("400", POST TE "chunked,\r\n\r\n0\r\n\r\n"),
	T("400", POST TE ",chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "chunked;q=1\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "\"chunked\"\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "chun ked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "\x0B"
			 "chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "chunked\r\n" TE "chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "gzip\r\n" TE "chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST TE "chunked\r\n" CL "5\r\n\r\n0\r\n\r\n"),
	T("400", POST CL "5\r\n" TE "chunked\r\n\r\n0\r\n\r\n"),
	T("400", POST CL "0\r\n" TE "gzip\r\n\r\n"),
	T("400", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
	/* Row 7 of the field's bugs: HTTP/1.0 has no codings. */
	T("400", "POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n0\r\n\r\n"),
	T("400", "POST / HTTP/1.0\r\n" TE "gzip\r\n\r\n"),
	T("400", "POST / HTTP/1.0\r\n" CL "1\r\n" TE "chunked\r\n\r\n0\r\n\r\n"),
};

static void only_chunked_and_only_once(void **unused)
{
	(void)unused;
	check(codings, crew__lengthof(codings));
}

static const struct body_case chunks[] = {
	T(GOOD "[];" NEXT_TOLD, CHUNKED "0\r\n\r\n" NEXT),
	T(GOOD "[hello];" NEXT_TOLD, CHUNKED "5\r\nhello\r\n0\r\n\r\n" NEXT),
	T(GOOD "[hello, world];",
		CHUNKED "1\r\nh\r\n04\r\nello\r\n000007\r\n, world\r\n00\r\n\r\n"),
	T(GOOD "[0123456789abcdef0123456789];",
		CHUNKED "a\r\n0123456789\r\n10\r\nabcdef0123456789\r\n0\r\n\r\n"),
	T(GOOD "[\r\n0\r\n\r\n];", CHUNKED "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
	T(GOOD "[x];", CHUNKED "1;a\r\nx\r\n0;b=c;d=\"e f\"\r\n\r\n"),
	T(GOOD "[x];", CHUNKED "1 \t;a\r\nx\r\n0\r\n\r\n"),
	T("more", CHUNKED "1\r\nx\r\n0\r\n\r"),
	T("more", CHUNKED "1\r\nx\r\n"),
	/* The size. */
	T("400", CHUNKED "\r\n\r\n"),
	T("400", CHUNKED ";a\r\n\r\n"),
	T("400", CHUNKED " 1\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1 \r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1 2\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "-1\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "+1\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "0x1\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "g\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1h\r\nx\r\n0\r\n\r\n"),
	T("413", CHUNKED "3e9\r\n"),
	T("more", CHUNKED "3e8\r\n"),
	T("413", CHUNKED "1\r\nx\r\n3e8\r\n"),
	T("413", CHUNKED "3e9"), /* with its last digit */
	T("413", CHUNKED "3e9g\r\n"),
	T("413", CHUNKED "ffffffff\r\n"),
	T("413", CHUNKED "ffffffffff"),
	T("413", CHUNKED "100000001\r\nx\r\n0\r\n\r\n"),         /* 1 in 32 bits */
	T("413", CHUNKED "10000000000000001\r\nx\r\n0\r\n\r\n"), /* 1 in 64 bits */
	/* CR LF, and nothing else. */
	T("400", CHUNKED "1\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1\rx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1\r\nx\n0\r\n\r\n"),
	T("400", CHUNKED "1\r\nx\r0\r\n\r\n"),
	T("400", CHUNKED "1\r\nxy\r\n0\r\n\r\n"),
	T("400", CHUNKED "2\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1\r\nx\r\n0\n\r\n"),
	T("400", CHUNKED "1\r\nx\r\n0\r\n\n"),
	T("400", CHUNKED "1\r\nx\r\n0\r\n\rG"),
	T("400", CHUNKED "1;a\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1;a\rx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1;a\0\r\nx\r\n0\r\n\r\n"),
	T("400", CHUNKED "1;a\x7F\r\nx\r\n0\r\n\r\n"),
	/* Trailers; whatever they say, the request has what its head said. */
	T(GOOD "[x]{X=};" NEXT_TOLD, CHUNKED "1\r\nx\r\n0\r\nHost: b\r\n" CL
					    "5\r\nConnection: close\r\nX:\r\n\r\n" NEXT),
	T(GOOD "[xy]{A=b c}{D=e}{A=f};" NEXT_TOLD,
		CHUNKED "1\r\nx\r\n1\r\ny\r\n0;z\r\nA: \t b c\t\r\nD:e\r\nA: f\r\n\r\n" NEXT),
	T(GOOD "[]{a=b};" NEXT_TOLD, CHUNKED "0\r\na: b\r\n\r\n" NEXT),
	T("more", CHUNKED "0\r\na: b\r\n\r"),
	T("400", CHUNKED "0\r\na: b\r\n\rx"),
	T("400", CHUNKED "0\r\nX\r\n\r\n"),
	T("400", CHUNKED "0\r\nX : y\r\n\r\n"),
	T("400", CHUNKED "0\r\n: y\r\n\r\n"),
	T("400", CHUNKED "0\r\nX: y\r\n z\r\n\r\n"),
	T("400", CHUNKED "0\r\nX: y\n\r\n"),
	T("400", CHUNKED "0\r\nX: y\rz\r\n\r\n"),
	T("400", CHUNKED "0\r\nX: \0\r\n\r\n"),
	T("400", CHUNKED "0\r\nX\0: y\r\n\r\n"),
};

static void chunks_are_strict(void **unused)
{
	(void)unused;
	check(chunks, crew__lengthof(chunks));
}

static void what_is_dropped_has_limits(void **unused)
{
	(void)unused;
	char input[12000];
	for (int over = 0; over < 2; over++) {
		/* A size line, all before its CR: at most 1023 bytes. */
		int n = sprintf(input, CHUNKED "0;%0*d\r\n\r\n", 1021 + over, 1);
		http1_expect(input, (size_t)n, over ? "400" : GOOD "[];");
		n = sprintf(input, CHUNKED "%0*d\r\n\r\n", 1023 + over, 0);
		http1_expect(input, (size_t)n, over ? "400" : GOOD "[];");
		/* Trailers with their line ends, and the last CR: at most 8192 bytes. */
		n = sprintf(input, CHUNKED "0\r\nTE:%0*d\r\n\r\n", 8186 + over, 1);
		http1_expect(input, (size_t)n, over ? "431" : GOOD "[];");
	}
}

#define UPGRADE "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static const struct body_case upgrades[] = {
	T("GET / a 11 ws 3 [];", UPGRADE "\r\n"),
	T("GET / a 11 ws 4 [];", UPGRADE CL "0\r\n\r\n"),
	/* Row 28: its body could be taken for frames. */
	T("400", UPGRADE CL "1\r\n\r\nx"),
	T("400", UPGRADE TE "chunked\r\n\r\n0\r\n\r\n"),
	T("GET / a 11 ws 3 [];",
		"GET / HTTP/1.1\r\nHost: a\r\nupgrade: h2c, WebSocket\r\nconnection: keep-alive, uPGRADE\r\n"
		"\r\n"),
	T("GET / a 11 3 [];",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close-not\r\n\r\n"),
	T("GET / a 11 2 [];", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"),
	T("GET / a 11 2 [];", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n"),
	T("GET / a 11 3 [];",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websockets\r\nConnection: upgrade\r\n\r\n"),
	T("GET / a 11 3 [];",
		"GET / HTTP/1.1\r\nHost: a\r\nX: Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
	/* HTTP/1.0 never upgrades; another protocol is none of ours, and its body stays a body. */
	T("GET / a 10 close 3 [];",
		"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
	T("POST / a 11 4 [x];", POST "Upgrade: h2c\r\nConnection: upgrade\r\n" CL "1\r\n\r\nx"),
	/* Expect. */
	T("POST / a 11 expect 3 [x];", POST "Expect: 100-Continue\r\n" CL "1\r\n\r\nx"),
	T("POST / a 11 expect 3 [x];", POST "expect:\t100-CONTINUE \r\n" CL "1\r\n\r\nx"),
	T("417", POST "Expect: 100-continued\r\n" CL "1\r\n\r\nx"),
	T("417", POST "Expect:\r\n" CL "1\r\n\r\nx"),
	T("417", POST "Expect: 100-continue, x\r\n" CL "1\r\n\r\nx"),
	T("417", POST "Expect: 100-continue\r\nExpect: x=y\r\n" CL "1\r\n\r\nx"),
	T("417", "GET / HTTP/1.1\r\nHost: a\r\nExpect: y\r\n\r\n"),
	T("400", POST "Expect: y\r\n" CL "1\r\n" TE "chunked\r\n\r\n"),
	T("GET /  10 close 1 [];", "GET / HTTP/1.0\r\nExpect: y\r\n\r\n"),
	T("POST /  10 close 2 [x];", "POST / HTTP/1.0\r\nExpect: 100-continue\r\n" CL "1\r\n\r\nx"),
};

static void upgrades_and_expectations(void **unused)
{
	(void)unused;
	check(upgrades, crew__lengthof(upgrades));
}

static bool is(crew_bytes b, const char *text)
{
	return b.data && b.len == strlen(text) && memcmp(b.data, text, b.len) == 0;
}

static void the_fields_of_a_handshake(void **unused)
{
	(void)unused;
	static struct crew__http1_request r;
	size_t consumed;
	int status;
	char full[] = UPGRADE "Sec-WebSocket-Key: k\r\nSEC-WEBSOCKET-VERSION: 13\r\n"
			      "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n"
			      "Sec-WebSocket-Extensions: e\r\nX-Sec-WebSocket-Key: not\r\n\r\n";
	assert_int_equal(
		http1_once(full, sizeof(full) - 1, &r, &consumed, &status), CREW__HTTP_REQUEST);
	assert_true(is(r.ws_key, "k") && is(r.ws_version, "13"));
	assert_true(is(r.ws_protocol, "a, b") && is(r.ws_extensions, "e"));
	assert_false(r.ws_repeated);

	/* Nothing of the last request is left in the next. */
	char bare[] = UPGRADE "\r\n";
	assert_int_equal(
		http1_once(bare, sizeof(bare) - 1, &r, &consumed, &status), CREW__HTTP_REQUEST);
	assert_null(r.ws_key.data);
	assert_null(r.ws_version.data);
	assert_null(r.ws_protocol.data);
	assert_null(r.ws_extensions.data);

	static const char *const twice[] = { UPGRADE
		"Sec-WebSocket-Key: k\r\nSec-WebSocket-Key:\r\n\r\n",
		UPGRADE "Sec-WebSocket-Version:\r\nSec-WebSocket-Version: 13\r\n\r\n" };
	for (size_t i = 0; i < crew__lengthof(twice); i++) {
		char copy[200];
		strcpy(copy, twice[i]);
		assert_int_equal(
			http1_once(copy, strlen(copy), &r, &consumed, &status), CREW__HTTP_REQUEST);
		assert_true(r.ws_repeated);
	}
}

/* A head is told once, before its body, with what 100-continue needs. */
static void a_head_is_told_before_its_body(void **unused)
{
	(void)unused;
	char input[] = POST "Expect: 100-continue\r\n" CL "2\r\n\r\nxy";
	const size_t head = sizeof(input) - 1 - 2;
	static struct crew__http1_request r;
	struct crew__http1 p = { 0 };
	size_t consumed;
	int status;
	assert_int_equal(
		crew__http1_feed(&p, input, head, 2, &r, &consumed, &status), CREW__HTTP_HEAD);
	assert_true(r.expect_continue);
	assert_int_equal(crew__http1_squeeze(&p, input, head), 0);
	for (size_t more = 0; more < 2; more++)
		assert_int_equal(
			crew__http1_feed(&p, input, head + more, 2, &r, &consumed, &status),
			CREW__HTTP_MORE);
	assert_int_equal(crew__http1_feed(&p, input, head + 2, 2, &r, &consumed, &status),
		CREW__HTTP_REQUEST);
	assert_true(is(r.public.body, "xy"));
}

/* Ten million chunks of a byte, as they come from a socket: linear in time, or this would not end;
 * and held in twice the body's own length, as squeezing promises, not in six times that. */
static void many_small_chunks(void **unused)
{
	(void)unused;
	enum {
		BODY = 10 * 1000 * 1000,
		CHUNKS = 10 * 1000,
		HEAD = sizeof(CHUNKED) - 1
	};
	const size_t room = 2 * BODY + 6 * CHUNKS + 1000;
	char *data = malloc(room), *at = data;
	assert_non_null(data);
	memcpy(data, CHUNKED, HEAD);
	static struct crew__http1_request r;
	struct crew__http1 p = { 0 };
	size_t consumed, held = HEAD, drops = 0;
	int status;
	for (size_t sent = 0; sent < BODY; sent += CHUNKS) {
		assert_true((size_t)(at - data) + held + CHUNKS * 6 <= room);
		for (size_t i = 0; i < CHUNKS; i++, held += 6)
			memcpy(at + held, "1\r\nx\r\n", 6);
		enum crew__http1_result result = crew__http1_feed(
			&p, at, held, BODY, &r, &consumed, &status);
		assert_int_equal(result, sent == 0 ? CREW__HTTP_HEAD : CREW__HTTP_MORE);
		size_t dropped = crew__http1_squeeze(&p, at, held);
		drops += dropped > 0;
		held -= dropped;
		at += dropped;
		assert_true(held < 2 * (HEAD + sent + CHUNKS));
		if (dropped > 0) {
			memmove(data, at, held);
			at = data;
		}
	}
	assert_true(drops > 1 && drops < 50);
	memcpy(at + held, "0\r\n\r\n", 5);
	assert_int_equal(crew__http1_feed(&p, at, held + 5, BODY, &r, &consumed, &status),
		CREW__HTTP_REQUEST);
	assert_int_equal(consumed, held + 5);
	assert_int_equal(r.public.body.len, BODY);
	for (size_t i = 0; i < BODY; i++)
		if (r.public.body.data[i] != 'x')
			fail_msg("byte %zu is %d", i, r.public.body.data[i]);
	free(data);
}

/* What is decoded is never looked at again: it is spoilt here, and stays so. */
static void a_chunked_body_is_looked_at_once(void **unused)
{
	(void)unused;
	static struct crew__http1_request r;
	char data[4000] = CHUNKED;
	size_t len = sizeof(CHUNKED) - 1, consumed;
	int status;
	struct crew__http1 p = { 0 };
	crew__http1_feed(&p, data, len, 1000, &r, &consumed, &status);
	for (unsigned i = 0; i < 300; i++) {
		char *chunk = data + len;
		memcpy(chunk, "2\r\nxy\r\n", 7);
		len += 7;
		for (size_t n = 1; n <= 7; n++)
			assert_int_equal(crew__http1_feed(&p, data, len - 7 + n, 1000, &r,
						 &consumed, &status),
				CREW__HTTP_MORE);
		memset(data + sizeof(CHUNKED) - 1, '\1', len - (sizeof(CHUNKED) - 1));
	}
	memcpy(data + len, "0\r\n\r\n", 5);
	assert_int_equal(crew__http1_feed(&p, data, len + 5, 1000, &r, &consumed, &status),
		CREW__HTTP_REQUEST);
	assert_int_equal(r.public.body.len, 600);
	for (size_t i = 0; i < 600; i++)
		assert_int_equal(r.public.body.data[i], '\1');
}

/* Good requests with one to three bytes changed for others that mean something: whatever comes of
 * it, it is the same however the bytes are cut. The end makes sure that no head is left open. */
static void spoilt_requests_are_the_same_in_every_way(void **unused)
{
	(void)unused;
	static const char *const good[] = {
		POST CL "12\r\n\r\nhello, world" NEXT,
		CHUNKED "5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX: y\r\n\r\n" NEXT,
		UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n" NEXT,
		"\r\nGET http://b:80/c?d HTTP/1.1\r\nHost: [::1]\r\nX:  y \r\n\r\n" POST "\r\n",
	};
	static const char spoil[] = "\r\n\r\n\0 \t:;,/?09af%\x7F\xC3[]hH";
	struct pieces random = pieces_of(77);
	unsigned taken = 0, rounds = 4000;
	for (unsigned round = 0; round < rounds; round++) {
		char input[400];
		size_t len = (size_t)sprintf(input, "%s", good[round % crew__lengthof(good)]);
		for (uint64_t n = 1 + pieces_random(&random) % 3; n > 0; n--)
			input[pieces_random(&random) % len] =
				spoil[pieces_random(&random) % (sizeof(spoil) - 1)];
		memcpy(input + len, "\r\n\r\n", 4);
		taken += http1_same(input, len + 4);
	}
	assert_true(taken > rounds / 20 && taken < rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_length_is_digits_once),
		cmocka_unit_test(only_chunked_and_only_once),
		cmocka_unit_test(chunks_are_strict),
		cmocka_unit_test(what_is_dropped_has_limits),
		cmocka_unit_test(upgrades_and_expectations),
		cmocka_unit_test(the_fields_of_a_handshake),
		cmocka_unit_test(a_head_is_told_before_its_body),
		cmocka_unit_test(many_small_chunks),
		cmocka_unit_test(a_chunked_body_is_looked_at_once),
		cmocka_unit_test(spoilt_requests_are_the_same_in_every_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
