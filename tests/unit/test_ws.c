/* WebSocket frames: every rule of RFC 6455 that the server's side has, each case whole, byte by
 * byte and at random cuts; limits and memory. */
#include "proto/ws.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
	ROOM = 200 * 1024,
	LIMIT = 1000
};

/* Masked frames back to back. */
struct stream {
	char *data;
	size_t len;
};

static struct stream new_stream(void)
{
	struct stream s = { malloc(ROOM), 0 };
	assert_non_null(s.data);
	return s;
}

static void put(struct stream *s, const void *bytes, size_t len)
{
	assert_true(len <= ROOM - s->len);
	memcpy(s->data + s->len, bytes, len);
	s->len += len;
}

/* A header with its length in `width` bytes (0, 2, 8) and a mask. */
static void put_header(
	struct stream *s, unsigned byte0, unsigned width, uint64_t len, const char mask[4])
{
	char header[10] = { (char)byte0, (char)(0x80 | (width == 0          ? len
							       : width == 2 ? 126
									    : 127)) };
	for (unsigned i = 0; i < width; i++)
		header[2 + i] = (char)(len >> (8 * (width - 1 - i)));
	put(s, header, 2 + width);
	put(s, mask, 4);
}

static void put_frame(struct stream *s, unsigned byte0, const char *payload, size_t len)
{
	static const char mask[4] = { '\x9D', '\x21', '\xF3', '\x08' };
	put_header(s, byte0, len < 126 ? 0 : len < 65536 ? 2 : 8, len, mask);
	size_t start = s->len;
	put(s, payload, len);
	for (size_t i = 0; i < len; i++)
		s->data[start + i] = (char)(s->data[start + i] ^ mask[i & 3]);
}

/* What holds between any two calls (ws.c). */
static void check(const struct crew__ws *ws)
{
	assert_true(!ws->in_frame || ws->opcode != 0);
	assert_true(ws->left == 0 || ws->in_frame);
	assert_true(ws->message.len + ws->left <= ws->message.max);
	assert_true(ws->utf8 == 0 || ws->opcode == CREW__WS_OP_TEXT);
	assert_true(crew__ws_held(ws) <= ws->message.len);
}

static char *tell(char *out, const struct crew__ws_event *e)
{
	static const char *const names[] = { "", "msg", "ping", "pong", "close", "bad" };
	const char *name = e->kind == CREW__WS_MESSAGE && e->text ? "text" : names[e->kind];
	out += sprintf(out, "%s", name);
	if (e->code != 0)
		out += sprintf(out, " %u", e->code);
	if (e->body.len > 0 && e->body.len < 200)
		out += sprintf(out, " %.*s", (int)e->body.len, e->body.data);
	else if (e->body.len > 0)
		out += sprintf(out, " %zu", e->body.len);
	return out + sprintf(out, ";");
}

/* Feed the stream in pieces and write down the events. As the caller is to do it: what was not
 * taken comes again with more behind it, at another place in memory, which ends where the bytes
 * end. */
static void run(const struct stream *s, size_t limit, unsigned way, char *out)
{
	struct pieces pieces = pieces_of(way);
	struct crew__ws ws;
	size_t start = 0, there = 0;
	crew__ws_init(&ws, limit);
	*out = '\0';
	bool over = false;
	while (!over) {
		size_t len = there - start;
		char *copy = malloc(len + 1);
		assert_non_null(copy);
		memcpy(copy + 1, s->data + start, len);
		struct crew__ws_event e;
		size_t n = crew__ws_feed(&ws, copy + 1, len, &e);
		assert_true(n <= len);
		over = e.kind == CREW__WS_BAD || e.kind == CREW__WS_CLOSE;
		if (!over)
			check(&ws);
		if (e.kind != CREW__WS_MORE)
			out = tell(out, &e);
		else if (n == 0)
			assert_true(len < CREW__WS_HEADER_MAX + 4 + CREW__WS_CONTROL_MAX);
		if (e.kind == CREW__WS_BAD)
			assert_non_null(e.what);
		if (e.kind == CREW__WS_MESSAGE && way % 3 == 0) {
			crew__ws_done(&ws);
			assert_null(ws.message.data);
		}
		free(copy);
		start += n;
		if (e.kind == CREW__WS_MORE && n == 0) {
			if (there == s->len)
				break;
			there += pieces_next(&pieces, s->len - there);
		}
	}
	crew__ws_fini(&ws);
}

static void expect_with(struct stream s, size_t limit, const char *events)
{
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		char out[2000];
		run(&s, limit, way, out);
		assert_string_equal(out, events);
	}
	free(s.data);
}

static void expect(struct stream s, const char *events)
{
	expect_with(s, LIMIT, events);
}

/* ---- cases: frames as text --------------------------------------------------------------- */

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

enum { /* the first byte */
	TEXT = 0x81,
	BINARY = 0x82,
	LAST = 0x80,
	FIRST_TEXT = 0x01,
	FIRST_BINARY = 0x02,
	MIDDLE = 0x100, /* 0, which ends a list */
	CLOSE = 0x88,
	PING = 0x89,
	PONG = 0x8A,
};

#define X25  "0123456789012345678901234"
#define X125 X25 X25 X25 X25 X25

static const struct frames_case cases[] = {
	/* Messages. */
	{ "text hello;", { F(TEXT, "hello") } },
	{ "msg hello;", { F(BINARY, "hello") } },
	{ "text;msg;", { F(TEXT, ""), F(BINARY, "") } },
	{ "text a;text b;text c;", { F(TEXT, "a"), F(TEXT, "b"), F(TEXT, "c") } },
	{ "text " X125 ";", { F(TEXT, X125) } },
	{ "text " X125 "6;", { F(TEXT, X125 "6") } },
	{ "msg \xFF\xFE\x80;", { F(BINARY, "\xFF\xFE\x80") } },
	/* Fragments, and control frames between them. */
	{ "text hello;", { F(FIRST_TEXT, "hel"), F(LAST, "lo") } },
	{ "msg hello;", { F(FIRST_BINARY, "h"), F(MIDDLE, "ell"), F(LAST, "o") } },
	{ "text hello;", { F(FIRST_TEXT, ""), F(MIDDLE, ""), F(LAST, "hello") } },
	{ "text hello;", { F(FIRST_TEXT, "hello"), F(MIDDLE, ""), F(LAST, "") } },
	{ "text;", { F(FIRST_TEXT, ""), F(MIDDLE, ""), F(LAST, "") } },
	{ "ping p;pong q;text hello;",
		{ F(FIRST_TEXT, "hel"), F(PING, "p"), F(PONG, "q"), F(LAST, "lo") } },
	{ "text ab;text c;", { F(FIRST_TEXT, "a"), F(LAST, "b"), F(TEXT, "c") } },
	{ "close 1000;", { F(FIRST_TEXT, "a"), F(CLOSE, "\x03\xE8"), F(LAST, "b") } },
	/* Control frames. */
	{ "ping;", { F(PING, "") } },
	{ "pong x;", { F(PONG, "x") } },
	{ "ping " X125 ";", { F(PING, X125) } },
	{ "ping \xFF\xFE;", { F(PING, "\xFF\xFE") } },
	{ "bad 1002;", { F(PING, X125 "6") } },
	{ "bad 1002;", { F(CLOSE, "\x03\xE8" X125) } },
	{ "bad 1002;", { F(0x09, "p") } },
	{ "bad 1002;", { F(0x0A, "p") } },
	{ "bad 1002;", { F(0x08, "\x03\xE8") } },
	/* Close. */
	{ "close 1005;", { F(CLOSE, ""), F(TEXT, "nobody reads this") } },
	{ "close 1000;", { F(CLOSE, "\x03\xE8") } },
	{ "close 1001 bye \xC3\xA9;", { F(CLOSE, "\x03\xE9"
						 "bye \xC3\xA9") } },
	{ "close 4999 x;", { F(CLOSE, "\x13\x87x") } },
	{ "bad 1002;", { F(CLOSE, "\x03") } },
	{ "bad 1002;", { F(CLOSE, "\x03\xE7") } }, /* 999 */
	{ "bad 1002;", { F(CLOSE, "\x03\xEC") } }, /* 1004 */
	{ "bad 1002;", { F(CLOSE, "\x03\xED") } }, /* 1005 */
	{ "bad 1002;", { F(CLOSE, "\x03\xEE") } }, /* 1006 */
	{ "bad 1002;", { F(CLOSE, "\x03\xF7") } }, /* 1015 */
	{ "bad 1002;", { F(CLOSE, "\x07\xD0") } }, /* 2000 */
	{ "bad 1002;", { F(CLOSE, "\x13\x88") } }, /* 5000 */
	{ "bad 1002;", { F(CLOSE, "\0\0") } },
	{ "bad 1007;", { F(CLOSE, "\x03\xE8\xC3") } },
	{ "bad 1007;", { F(CLOSE, "\x03\xE8"
				  "bye\xFF") } },
	/* Reserved bits and opcodes. */
	{ "bad 1002;", { F(0xC1, "a") } },
	{ "bad 1002;", { F(0xA1, "a") } },
	{ "bad 1002;", { F(0x91, "a") } },
	{ "bad 1002;", { F(0xC9, "a") } },
	{ "bad 1002;", { F(FIRST_TEXT, "a"), F(0xC0, "b") } },
	{ "bad 1002;", { F(0x83, "a") } },
	{ "bad 1002;", { F(0x87, "a") } },
	{ "bad 1002;", { F(0x8B, "a") } },
	{ "bad 1002;", { F(0x8F, "a") } },
	{ "text a;bad 1002;", { F(TEXT, "a"), F(0x03, "b") } },
	/* Continuation. */
	{ "bad 1002;", { F(LAST, "a") } },
	{ "bad 1002;", { F(MIDDLE, "a") } },
	{ "bad 1002;", { F(FIRST_TEXT, "a"), F(TEXT, "b") } },
	{ "bad 1002;", { F(FIRST_TEXT, "a"), F(FIRST_TEXT, "b") } },
	{ "bad 1002;", { F(FIRST_TEXT, ""), F(BINARY, "b") } },
	{ "text a;bad 1002;", { F(TEXT, "a"), F(LAST, "b") } },
	{ "text ab;bad 1002;", { F(FIRST_TEXT, "a"), F(LAST, "b"), F(LAST, "c") } },
	/* UTF-8 across frames. */
	{ "text \xE2\x82\xAC;",
		{ F(FIRST_TEXT, "\xE2"), F(MIDDLE, ""), F(MIDDLE, "\x82"), F(LAST, "\xAC") } },
	{ "ping \x82;text \xE2\x82\xAC;",
		{ F(FIRST_TEXT, "\xE2"), F(PING, "\x82"), F(LAST, "\x82\xAC") } },
	{ "bad 1007;", { F(TEXT, "\xE2\x82") } },
	{ "bad 1007;", { F(FIRST_TEXT, "\xE2\x82"), F(LAST, "") } },
	{ "bad 1007;", { F(FIRST_TEXT, "\xE2"), F(LAST, "a") } },
	{ "bad 1007;", { F(TEXT, "hello, hello, hello, hello \xFF") } },
	{ "bad 1007;", { F(TEXT, "\xC0\x80") } },
	{ "bad 1007;", { F(TEXT, "\xED\xA0\x80") } },
	{ "bad 1007;", { F(TEXT, "\xF4\x90\x80\x80") } },
	{ "text a;bad 1007;", { F(TEXT, "a"), F(FIRST_TEXT, "\x80") } },
	/* After a text that ended badly nothing of it is left for the next. */
	{ "msg \xE2;text a;", { F(BINARY, "\xE2"), F(TEXT, "a") } },
};

static struct stream stream_of(const struct frames_case *c)
{
	struct stream s = new_stream();
	for (size_t i = 0; i < crew__lengthof(c->frames) && c->frames[i].byte0 != 0; i++) {
		const struct frame *f = &c->frames[i];
		put_frame(&s, f->byte0 == MIDDLE ? 0 : f->byte0, f->payload, f->len);
	}
	return s;
}

static void every_case_in_every_way(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < crew__lengthof(cases); i++)
		expect(stream_of(&cases[i]), cases[i].events);
}

static void a_frame_must_be_masked(void **unused)
{
	(void)unused;
	static const char *const frames[] = { "\x81\x05hello", "\x82\x01x", "\x88\x01x",
		"\x89\x01p", "\x81\x7E\x01\x00", "\x01\x01x", "\x81\x7D", "\x8A\x01" };
	for (size_t i = 0; i < crew__lengthof(frames); i++) {
		struct stream s = new_stream();
		put_frame(&s, TEXT, "first", 5);
		put(&s, frames[i], strlen(frames[i]));
		expect(s, "text first;bad 1002;");
	}
}

/* ---- lengths ------------------------------------------------------------------------------ */

struct length_case {
	unsigned byte0, width;
	uint64_t len;
	const char *events;
};

static const struct length_case lengths[] = {
	{ TEXT, 2, 0, "bad 1002;" },
	{ TEXT, 2, 125, "bad 1002;" },
	{ TEXT, 2, 126, "" },
	{ TEXT, 8, 0, "bad 1002;" },
	{ TEXT, 8, 125, "bad 1002;" },
	{ TEXT, 8, 65535, "bad 1002;" },
	{ TEXT, 8, 65536, "bad 1009;" },
	{ BINARY, 2, LIMIT, "" },
	{ BINARY, 2, LIMIT + 1, "bad 1009;" },
	{ FIRST_TEXT, 2, LIMIT + 1, "bad 1009;" },
	{ BINARY, 8, INT64_MAX, "bad 1009;" },
	{ BINARY, 8, UINT64_C(1) << 63, "bad 1002;" },
	{ BINARY, 8, UINT64_MAX, "bad 1002;" },
	{ PING, 2, 126, "bad 1002;" },
	{ PING, 8, 65536, "bad 1002;" },
	{ PING, 2, 5, "bad 1002;" },
};

/* The header alone decides, and even its mask is not waited for. */
static void a_length_is_judged_before_its_bytes(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < crew__lengthof(lengths); i++) {
		const struct length_case *c = &lengths[i];
		struct stream s = new_stream();
		put_header(&s, c->byte0, c->width, c->len, "mask");
		s.len -= 4;
		expect(s, c->events);
	}
}

/* Row 1 of the field's bugs: fragments whose lengths together pass 2^63 (and 2^64). */
static void fragments_are_summed_without_overflow(void **unused)
{
	(void)unused;
	static const uint64_t seconds[] = { INT64_MAX, INT64_MAX - 2, LIMIT - 2, 65536,
		(UINT64_C(1) << 32) - 3 };
	for (size_t i = 0; i < crew__lengthof(seconds); i++) {
		struct stream s = new_stream();
		put_frame(&s, FIRST_BINARY, "abc", 3);
		put_header(&s, LAST, seconds[i] < 65536 ? 2 : 8, seconds[i], "mask");
		expect_with(s, LIMIT, "bad 1009;");
	}
	struct stream s = new_stream();
	put_frame(&s, FIRST_BINARY, "abc", 3);
	put_header(&s, LAST, 8, INT64_MAX, "mask");
	expect_with(s, SIZE_MAX, "bad 1009;");
}

static void a_message_may_be_as_long_as_the_limit(void **unused)
{
	(void)unused;
	char text[LIMIT + 1];
	memset(text, 'x', sizeof(text));
	struct stream s = new_stream();
	put_frame(&s, TEXT, text, LIMIT);
	put_frame(&s, FIRST_TEXT, text, LIMIT - 1);
	put_frame(&s, 0, text, 1);
	put_frame(&s, LAST, text, 0);
	put_frame(&s, FIRST_TEXT, text, LIMIT);
	put_frame(&s, PING, "p", 1);
	put_frame(&s, LAST, text, 1);
	expect(s, "text 1000;text 1000;ping p;bad 1009;");

	s = new_stream();
	put_frame(&s, TEXT, "", 0);
	put_frame(&s, TEXT, "x", 1);
	expect_with(s, 0, "text;bad 1009;");
}

/* ---- payloads ----------------------------------------------------------------------------- */

/* All lengths around the steps of the unmasking, at all alignments, with a character beyond ASCII
 * at every place. */
static void every_length_is_unmasked(void **unused)
{
	(void)unused;
	for (size_t len = 0; len < 200; len++)
		for (size_t odd = 0; odd <= len; odd += 1 + len / 20) {
			char text[200];
			memset(text, 'a', sizeof(text));
			for (size_t i = 0; i < len; i++)
				text[i] = (char)('a' + i % 26);
			if (odd + 2 <= len)
				memcpy(text + odd, "\xC3\xA9", 2);
			struct stream s = new_stream();
			put_frame(&s, TEXT, text, len);
			for (size_t shift = 0; shift < 4; shift++) {
				char room[220];
				memcpy(room + shift, s.data, s.len);
				struct crew__ws ws;
				struct crew__ws_event e;
				crew__ws_init(&ws, LIMIT);
				assert_int_equal(
					crew__ws_feed(&ws, room + shift, s.len, &e), s.len);
				assert_int_equal(e.kind, CREW__WS_MESSAGE);
				assert_true(e.text);
				assert_int_equal(e.body.len, len);
				assert_memory_equal(e.body.data, text, len);
				/* Lent, not copied. */
				assert_ptr_equal(e.body.data + len, room + shift + s.len);
				assert_null(ws.message.data);
			}
			free(s.data);
		}
}

static void long_messages_come_out_as_they_went_in(void **unused)
{
	(void)unused;
	enum {
		LEN = 100000
	};
	char *payload = malloc(LEN);
	assert_non_null(payload);
	struct pieces random = pieces_of(3);
	for (size_t i = 0; i < LEN; i++)
		payload[i] = (char)pieces_random(&random);
	struct stream s = new_stream();
	put_frame(&s, FIRST_BINARY, payload, 70000);
	put_frame(&s, PING, "p", 1);
	put_frame(&s, LAST, payload + 70000, LEN - 70000);
	for (unsigned way = 0; way < 8; way++) {
		struct pieces pieces = pieces_of(way);
		char *copy = malloc(s.len);
		assert_non_null(copy);
		memcpy(copy, s.data, s.len);
		struct crew__ws ws;
		struct crew__ws_event e = { .kind = CREW__WS_MORE };
		crew__ws_init(&ws, LEN);
		size_t start = 0, there = 0;
		while (e.kind != CREW__WS_MESSAGE) {
			size_t n = crew__ws_feed(&ws, copy + start, there - start, &e);
			start += n;
			if (n == 0) {
				assert_true(there < s.len);
				there += pieces_next(&pieces, s.len - there);
			}
		}
		assert_int_equal(e.body.len, LEN);
		assert_memory_equal(e.body.data, payload, LEN);
		crew__ws_fini(&ws);
		free(copy);
	}
	free(s.data);
	free(payload);
}

/* The bad byte is refused by the very feed that brings it, though its frame goes on for long. */
static void a_text_is_refused_at_the_first_bad_byte(void **unused)
{
	(void)unused;
	struct stream s = new_stream();
	char text[600];
	memset(text, 'x', sizeof(text));
	memcpy(text + 300, "\xE2\x82\x28", 3); /* bad at 302 */
	put_frame(&s, TEXT, text, sizeof(text));
	const size_t header = s.len - sizeof(text);
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, LIMIT);
	assert_int_equal(crew__ws_feed(&ws, s.data, header + 302, &e), header + 302);
	assert_int_equal(e.kind, CREW__WS_MORE);
	assert_int_equal(crew__ws_held(&ws), 302);
	assert_int_equal(crew__ws_feed(&ws, s.data + header + 302, 1, &e), 1);
	assert_int_equal(e.kind, CREW__WS_BAD);
	assert_int_equal(e.code, 1007);
	crew__ws_fini(&ws);
	free(s.data);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void memory_follows_what_has_come(void **unused)
{
	(void)unused;
	struct stream s = new_stream();
	put_header(&s, FIRST_BINARY, 8, 100 << 20, "mask");
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, 200 << 20);
	assert_int_equal(crew__ws_feed(&ws, s.data, s.len, &e), s.len);
	assert_int_equal(e.kind, CREW__WS_MORE);
	assert_int_equal(ws.message.cap, 0);
	char bytes[3000] = { 0 };
	for (size_t sent = 1; sent <= 10; sent++) {
		assert_int_equal(crew__ws_feed(&ws, bytes, sizeof(bytes), &e), sizeof(bytes));
		assert_int_equal(crew__ws_held(&ws), sent * sizeof(bytes));
		assert_true(ws.message.cap <= 2 * sent * sizeof(bytes));
	}
	crew__ws_fini(&ws);
	free(s.data);
}

/* The buffer refuses to grow in the middle of a frame, as it does without memory. */
static void without_memory_it_ends(void **unused)
{
	(void)unused;
	struct stream s = new_stream();
	char text[300] = { 0 };
	put_frame(&s, BINARY, text, sizeof(text));
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, LIMIT);
	assert_int_equal(crew__ws_feed(&ws, s.data, 100, &e), 100);
	ws.message.max = ws.message.cap;
	assert_int_equal(crew__ws_feed(&ws, s.data + 100, s.len - 100, &e), s.len - 100);
	assert_int_equal(e.kind, CREW__WS_BAD);
	assert_int_equal(e.code, 1011);
	crew__ws_fini(&ws);
	free(s.data);
}

static void empty_fragments_cost_nothing(void **unused)
{
	(void)unused;
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, LIMIT);
	for (unsigned i = 0; i < 100000; i++) {
		char frame[6] = { (char)(i == 0 ? FIRST_TEXT : 0), '\x80', 1, 2, 3, 4 };
		assert_int_equal(crew__ws_feed(&ws, frame, sizeof(frame), &e), sizeof(frame));
		assert_int_equal(e.kind, CREW__WS_MORE);
	}
	assert_null(ws.message.data);
	crew__ws_fini(&ws);
}

/* A gathered message is lent until the next feed, or until it is said to be done with; one that is
 * not finished is kept whatever is said. */
static void a_gathered_message_is_given_back(void **unused)
{
	(void)unused;
	struct stream s = new_stream();
	put_frame(&s, FIRST_TEXT, "hel", 3);
	put_frame(&s, LAST, "lo", 2);
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, LIMIT);
	size_t n = crew__ws_feed(&ws, s.data, s.len, &e);
	crew__ws_done(&ws);
	assert_int_equal(crew__ws_held(&ws), 3);
	crew__ws_feed(&ws, s.data + n, s.len - n, &e);
	assert_int_equal(e.kind, CREW__WS_MESSAGE);
	assert_int_equal(crew__ws_held(&ws), 0);
	assert_memory_equal(e.body.data, "hello", 5);
	crew__ws_feed(&ws, NULL, 0, &e);
	assert_int_equal(e.kind, CREW__WS_MORE);
	assert_null(ws.message.data);
	crew__ws_fini(&ws);
	free(s.data);
}

/* Bytes without sense: whatever comes of them, the propositions hold and the end is the same
 * however they are cut. */
static void noise_is_the_same_in_every_way(void **unused)
{
	(void)unused;
	struct pieces random = pieces_of(11);
	for (unsigned round = 0; round < 2000; round++) {
		struct stream s = new_stream();
		for (unsigned frames = 0; frames < 5; frames++) {
			static const unsigned firsts[] = { TEXT, BINARY, FIRST_TEXT, FIRST_BINARY,
				0, LAST, PING, PONG };
			unsigned byte0 = firsts[pieces_random(&random) % crew__lengthof(firsts)];
			char payload[40];
			size_t len = pieces_random(&random) % sizeof(payload);
			for (size_t i = 0; i < len; i++)
				payload[i] = "ab\xC3\xA9"[pieces_random(&random) % 4];
			put_frame(&s, byte0, payload, len);
		}
		s.data[pieces_random(&random) % s.len] ^= (char)(1 << pieces_random(&random) % 8);
		char whole[4000], cut[4000];
		run(&s, 60, PIECES_WHOLE, whole);
		for (unsigned way = 1; way < 5; way++) {
			run(&s, 60, way, cut);
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
		cmocka_unit_test(a_length_is_judged_before_its_bytes),
		cmocka_unit_test(fragments_are_summed_without_overflow),
		cmocka_unit_test(a_message_may_be_as_long_as_the_limit),
		cmocka_unit_test(every_length_is_unmasked),
		cmocka_unit_test(long_messages_come_out_as_they_went_in),
		cmocka_unit_test(a_text_is_refused_at_the_first_bad_byte),
		cmocka_unit_test(memory_follows_what_has_come),
		cmocka_unit_test(without_memory_it_ends),
		cmocka_unit_test(empty_fragments_cost_nothing),
		cmocka_unit_test(a_gathered_message_is_given_back),
		cmocka_unit_test(noise_is_the_same_in_every_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
