/* WebSocket frames: lengths and limits, payloads of all lengths, and what memory is held when. */
#include "ws_ways.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct length_case {
	unsigned byte0, width;
	uint64_t len;
	const char *events;
};

static const struct length_case lengths[] = {
	{ WS_TEXT, 2, 0, "bad 1002;" },
	{ WS_TEXT, 2, 125, "bad 1002;" },
	{ WS_TEXT, 2, 126, "" },
	{ WS_TEXT, 8, 0, "bad 1002;" },
	{ WS_TEXT, 8, 125, "bad 1002;" },
	{ WS_TEXT, 8, 65535, "bad 1002;" },
	{ WS_TEXT, 8, 65536, "bad 1009;" },
	{ WS_BINARY, 2, WS_LIMIT, "" },
	{ WS_BINARY, 2, WS_LIMIT + 1, "bad 1009;" },
	{ WS_FIRST_TEXT, 2, WS_LIMIT + 1, "bad 1009;" },
	{ WS_BINARY, 8, INT64_MAX, "bad 1009;" },
	{ WS_BINARY, 8, UINT64_C(1) << 63, "bad 1002;" },
	{ WS_BINARY, 8, UINT64_MAX, "bad 1002;" },
	{ WS_PINGING, 2, 126, "bad 1002;" },
	{ WS_PINGING, 8, 65536, "bad 1002;" },
	{ WS_PINGING, 2, 5, "bad 1002;" },
};

/* The header alone decides, and even its mask is not waited for. */
static void a_length_is_judged_before_its_bytes(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < crew__lengthof(lengths); i++) {
		const struct length_case *c = &lengths[i];
		struct ws_stream s = ws_stream_new();
		ws_put_header(&s, c->byte0, c->width, c->len, "mask");
		s.len -= 4;
		ws_expect(s, c->events);
	}
}

/* Row 1 of the field's bugs: fragments whose lengths together pass 2^63 (and 2^64). */
static void fragments_are_summed_without_overflow(void **unused)
{
	(void)unused;
	static const uint64_t seconds[] = { INT64_MAX, INT64_MAX - 2, WS_LIMIT - 2, 65536,
		(UINT64_C(1) << 32) - 3 };
	for (size_t i = 0; i < crew__lengthof(seconds); i++) {
		struct ws_stream s = ws_stream_new();
		ws_put_frame(&s, WS_FIRST_BINARY, "abc", 3);
		ws_put_header(&s, WS_LAST, seconds[i] < 65536 ? 2 : 8, seconds[i], "mask");
		ws_expect_with(s, WS_LIMIT, "bad 1009;");
	}
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, WS_FIRST_BINARY, "abc", 3);
	ws_put_header(&s, WS_LAST, 8, INT64_MAX, "mask");
	ws_expect_with(s, SIZE_MAX, "bad 1009;");
}

static void a_message_may_be_as_long_as_the_limit(void **unused)
{
	(void)unused;
	char text[WS_LIMIT + 1];
	memset(text, 'x', sizeof(text));
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, WS_TEXT, text, WS_LIMIT);
	ws_put_frame(&s, WS_FIRST_TEXT, text, WS_LIMIT - 1);
	ws_put_frame(&s, 0, text, 1);
	ws_put_frame(&s, WS_LAST, text, 0);
	ws_put_frame(&s, WS_FIRST_TEXT, text, WS_LIMIT);
	ws_put_frame(&s, WS_PINGING, "p", 1);
	ws_put_frame(&s, WS_LAST, text, 1);
	ws_expect(s, "text 1000;text 1000;ping p;bad 1009;");

	s = ws_stream_new();
	ws_put_frame(&s, WS_TEXT, "", 0);
	ws_put_frame(&s, WS_TEXT, "x", 1);
	ws_expect_with(s, 0, "text;bad 1009;");
}

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
			struct ws_stream s = ws_stream_new();
			ws_put_frame(&s, WS_TEXT, text, len);
			for (size_t shift = 0; shift < 4; shift++) {
				char room[220];
				memcpy(room + shift, s.data, s.len);
				struct crew__ws ws;
				struct crew__ws_event e;
				crew__ws_init(
					&ws, &(struct crew__ws_options){ .max_message = WS_LIMIT });
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
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, WS_FIRST_BINARY, payload, 70000);
	ws_put_frame(&s, WS_PINGING, "p", 1);
	ws_put_frame(&s, WS_LAST, payload + 70000, LEN - 70000);
	for (unsigned way = 0; way < 8; way++) {
		struct pieces pieces = pieces_of(way);
		char *copy = malloc(s.len);
		assert_non_null(copy);
		memcpy(copy, s.data, s.len);
		struct crew__ws ws;
		struct crew__ws_event e = { .kind = CREW__WS_MORE };
		crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = LEN });
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
	struct ws_stream s = ws_stream_new();
	char text[600];
	memset(text, 'x', sizeof(text));
	memcpy(text + 300, "\xE2\x82\x28", 3); /* bad at 302 */
	ws_put_frame(&s, WS_TEXT, text, sizeof(text));
	const size_t header = s.len - sizeof(text);
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = WS_LIMIT });
	assert_int_equal(crew__ws_feed(&ws, s.data, header + 302, &e), header + 302);
	assert_int_equal(e.kind, CREW__WS_MORE);
	assert_int_equal(crew__ws_held(&ws), 302);
	assert_int_equal(crew__ws_feed(&ws, s.data + header + 302, 1, &e), 1);
	assert_int_equal(e.kind, CREW__WS_BAD);
	assert_int_equal(e.code, 1007);
	crew__ws_fini(&ws);
	free(s.data);
}

static void memory_follows_what_has_come(void **unused)
{
	(void)unused;
	struct ws_stream s = ws_stream_new();
	ws_put_header(&s, WS_FIRST_BINARY, 8, 100 << 20, "mask");
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = 200 << 20 });
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
	struct ws_stream s = ws_stream_new();
	char text[300] = { 0 };
	ws_put_frame(&s, WS_BINARY, text, sizeof(text));
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = WS_LIMIT });
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
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = WS_LIMIT });
	for (unsigned i = 0; i < 100000; i++) {
		char frame[6] = { (char)(i == 0 ? WS_FIRST_TEXT : 0), '\x80', 1, 2, 3, 4 };
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
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, WS_FIRST_TEXT, "hel", 3);
	ws_put_frame(&s, WS_LAST, "lo", 2);
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = WS_LIMIT });
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
