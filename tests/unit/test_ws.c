/* WebSocket frames: every rule of RFC 6455 that the server's side has, each case whole, byte by
 * byte and at random cuts. */
#include "ws_ways.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct frame {
	unsigned byte0; /* 0: end of the list */
	const char *payload;
	size_t len;
};

struct frames_case {
	const char *events;
	struct frame frames[6];
};

#define F(byte0, payload)                                \
	{                                                \
		(byte0), "" payload, sizeof(payload) - 1 \
	}

enum {
	MIDDLE = 0x100
}; /* a first byte of 0, which would end a list */

#define X25  "0123456789012345678901234"
#define X125 X25 X25 X25 X25 X25

static const struct frames_case cases[] = {
	/* Messages. */
	{ "text hello;", { F(WS_TEXT, "hello") } },
	{ "msg hello;", { F(WS_BINARY, "hello") } },
	{ "text;msg;", { F(WS_TEXT, ""), F(WS_BINARY, "") } },
	{ "text a;text b;text c;", { F(WS_TEXT, "a"), F(WS_TEXT, "b"), F(WS_TEXT, "c") } },
	{ "text " X125 ";", { F(WS_TEXT, X125) } },
	{ "text " X125 "6;", { F(WS_TEXT, X125 "6") } },
	{ "msg \xFF\xFE\x80;", { F(WS_BINARY, "\xFF\xFE\x80") } },
	/* Fragments, and control frames between them. */
	{ "text hello;", { F(WS_FIRST_TEXT, "hel"), F(WS_LAST, "lo") } },
	{ "msg hello;", { F(WS_FIRST_BINARY, "h"), F(MIDDLE, "ell"), F(WS_LAST, "o") } },
	{ "text hello;", { F(WS_FIRST_TEXT, ""), F(MIDDLE, ""), F(WS_LAST, "hello") } },
	{ "text hello;", { F(WS_FIRST_TEXT, "hello"), F(MIDDLE, ""), F(WS_LAST, "") } },
	{ "text;", { F(WS_FIRST_TEXT, ""), F(MIDDLE, ""), F(WS_LAST, "") } },
	{ "ping p;pong q;text hello;", { F(WS_FIRST_TEXT, "hel"), F(WS_PINGING, "p"),
					       F(WS_PONGING, "q"), F(WS_LAST, "lo") } },
	{ "text ab;text c;", { F(WS_FIRST_TEXT, "a"), F(WS_LAST, "b"), F(WS_TEXT, "c") } },
	{ "close 1000;", { F(WS_FIRST_TEXT, "a"), F(WS_CLOSING, "\x03\xE8"), F(WS_LAST, "b") } },
	/* Control frames. */
	{ "ping;", { F(WS_PINGING, "") } },
	{ "pong x;", { F(WS_PONGING, "x") } },
	{ "ping " X125 ";", { F(WS_PINGING, X125) } },
	{ "ping \xFF\xFE;", { F(WS_PINGING, "\xFF\xFE") } },
	{ "bad 1002;", { F(WS_PINGING, X125 "6") } },
	{ "bad 1002;", { F(WS_CLOSING, "\x03\xE8" X125) } },
	{ "bad 1002;", { F(0x09, "p") } },
	{ "bad 1002;", { F(0x0A, "p") } },
	{ "bad 1002;", { F(0x08, "\x03\xE8") } },
	/* Close. */
	{ "close 1005;", { F(WS_CLOSING, ""), F(WS_TEXT, "nobody reads this") } },
	{ "close 1000;", { F(WS_CLOSING, "\x03\xE8") } },
	{ "close 1001 bye \xC3\xA9;", { F(WS_CLOSING, "\x03\xE9"
						      "bye \xC3\xA9") } },
	{ "close 4999 x;", { F(WS_CLOSING, "\x13\x87x") } },
	{ "bad 1002;", { F(WS_CLOSING, "\x03") } },
	{ "bad 1002;", { F(WS_CLOSING, "\x03\xE7") } }, /* 999 */
	{ "bad 1002;", { F(WS_CLOSING, "\x03\xEC") } }, /* 1004 */
	{ "bad 1002;", { F(WS_CLOSING, "\x03\xED") } }, /* 1005 */
	{ "bad 1002;", { F(WS_CLOSING, "\x03\xEE") } }, /* 1006 */
	{ "bad 1002;", { F(WS_CLOSING, "\x03\xF7") } }, /* 1015 */
	{ "bad 1002;", { F(WS_CLOSING, "\x07\xD0") } }, /* 2000 */
	{ "bad 1002;", { F(WS_CLOSING, "\x13\x88") } }, /* 5000 */
	{ "bad 1002;", { F(WS_CLOSING, "\0\0") } },
	{ "bad 1007;", { F(WS_CLOSING, "\x03\xE8\xC3") } },
	{ "bad 1007;", { F(WS_CLOSING, "\x03\xE8"
				       "bye\xFF") } },
	/* Reserved bits and opcodes. */
	{ "bad 1002;", { F(0xC1, "a") } },
	{ "bad 1002;", { F(0xA1, "a") } },
	{ "bad 1002;", { F(0x91, "a") } },
	{ "bad 1002;", { F(0xC9, "a") } },
	{ "bad 1002;", { F(WS_FIRST_TEXT, "a"), F(0xC0, "b") } },
	{ "bad 1002;", { F(0x83, "a") } },
	{ "bad 1002;", { F(0x87, "a") } },
	{ "bad 1002;", { F(0x8B, "a") } },
	{ "bad 1002;", { F(0x8F, "a") } },
	{ "text a;bad 1002;", { F(WS_TEXT, "a"), F(0x03, "b") } },
	/* Continuation. */
	{ "bad 1002;", { F(WS_LAST, "a") } },
	{ "bad 1002;", { F(MIDDLE, "a") } },
	{ "bad 1002;", { F(WS_FIRST_TEXT, "a"), F(WS_TEXT, "b") } },
	{ "bad 1002;", { F(WS_FIRST_TEXT, "a"), F(WS_FIRST_TEXT, "b") } },
	{ "bad 1002;", { F(WS_FIRST_TEXT, ""), F(WS_BINARY, "b") } },
	{ "text a;bad 1002;", { F(WS_TEXT, "a"), F(WS_LAST, "b") } },
	{ "text ab;bad 1002;", { F(WS_FIRST_TEXT, "a"), F(WS_LAST, "b"), F(WS_LAST, "c") } },
	/* UTF-8 across frames. */
	{ "text \xE2\x82\xAC;", { F(WS_FIRST_TEXT, "\xE2"), F(MIDDLE, ""), F(MIDDLE, "\x82"),
					F(WS_LAST, "\xAC") } },
	{ "ping \x82;text \xE2\x82\xAC;",
		{ F(WS_FIRST_TEXT, "\xE2"), F(WS_PINGING, "\x82"), F(WS_LAST, "\x82\xAC") } },
	{ "bad 1007;", { F(WS_TEXT, "\xE2\x82") } },
	{ "bad 1007;", { F(WS_FIRST_TEXT, "\xE2\x82"), F(WS_LAST, "") } },
	{ "bad 1007;", { F(WS_FIRST_TEXT, "\xE2"), F(WS_LAST, "a") } },
	{ "bad 1007;", { F(WS_TEXT, "hello, hello, hello, hello \xFF") } },
	{ "bad 1007;", { F(WS_TEXT, "\xC0\x80") } },
	{ "bad 1007;", { F(WS_TEXT, "\xED\xA0\x80") } },
	{ "bad 1007;", { F(WS_TEXT, "\xF4\x90\x80\x80") } },
	{ "text a;bad 1007;", { F(WS_TEXT, "a"), F(WS_FIRST_TEXT, "\x80") } },
	/* After a text that ended badly nothing of it is left for the next. */
	{ "msg \xE2;text a;", { F(WS_BINARY, "\xE2"), F(WS_TEXT, "a") } },
};

static struct ws_stream stream_of(const struct frames_case *c)
{
	struct ws_stream s = ws_stream_new();
	for (size_t i = 0; i < crew__lengthof(c->frames) && c->frames[i].byte0 != 0; i++) {
		const struct frame *f = &c->frames[i];
		ws_put_frame(&s, f->byte0 == MIDDLE ? 0 : f->byte0, f->payload, f->len);
	}
	return s;
}

static void every_case_in_every_way(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < crew__lengthof(cases); i++)
		ws_expect(stream_of(&cases[i]), cases[i].events);
}

static void a_frame_must_be_masked(void **unused)
{
	(void)unused;
	static const char *const frames[] = { "\x81\x05hello", "\x82\x01x", "\x88\x01x",
		"\x89\x01p", "\x81\x7E\x01\x00", "\x01\x01x", "\x81\x7D", "\x8A\x01" };
	for (size_t i = 0; i < crew__lengthof(frames); i++) {
		struct ws_stream s = ws_stream_new();
		ws_put_frame(&s, WS_TEXT, "first", 5);
		ws_put(&s, frames[i], strlen(frames[i]));
		ws_expect(s, "text first;bad 1002;");
	}
}

/* Bytes without sense: whatever comes of them, the propositions hold and the end is the same
 * however they are cut. */
static void noise_is_the_same_in_every_way(void **unused)
{
	(void)unused;
	struct pieces random = pieces_of(11);
	for (unsigned round = 0; round < 2000; round++) {
		struct ws_stream s = ws_stream_new();
		for (unsigned frames = 0; frames < 5; frames++) {
			static const unsigned firsts[] = { WS_TEXT, WS_BINARY, WS_FIRST_TEXT,
				WS_FIRST_BINARY, 0, WS_LAST, WS_PINGING, WS_PONGING };
			unsigned byte0 = firsts[pieces_random(&random) % crew__lengthof(firsts)];
			char payload[40];
			size_t len = pieces_random(&random) % sizeof(payload);
			for (size_t i = 0; i < len; i++)
				payload[i] = "ab\xC3\xA9"[pieces_random(&random) % 4];
			ws_put_frame(&s, byte0, payload, len);
		}
		s.data[pieces_random(&random) % s.len] ^= (char)(1 << pieces_random(&random) % 8);
		char whole[4000], cut[4000];
		ws_run(&s, 60, PIECES_WHOLE, whole);
		for (unsigned way = 1; way < 5; way++) {
			ws_run(&s, 60, way, cut);
			assert_string_equal(cut, whole);
		}
		free(s.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_in_every_way),
		cmocka_unit_test(a_frame_must_be_masked),
		cmocka_unit_test(noise_is_the_same_in_every_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
