/* What the WebSocket codec has beside frames that come: masked frames of our own, their keys, parts
 * as they come, and the memory of compressed messages. */
#include "ws_ways.h"

#include "proto/ws_mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- what a client sends --------------------------------------------------------------------- */

static void every_length_is_masked(void **unused)
{
	(void)unused;
	enum {
		LONGEST = 300
	};
	char plain[LONGEST], masked[LONGEST + 16];
	const uint8_t mask[4] = { 0x37, 0xFA, 0x21, 0x3D };
	for (size_t i = 0; i < LONGEST; i++)
		plain[i] = (char)(i * 31);
	for (size_t len = 0; len <= LONGEST; len++) {
		for (unsigned at = 0; at < 4; at++) {
			uint32_t key = crew__ws_key(mask, at);
			memset(masked, 'x', sizeof(masked));
			crew__ws_mask_copy(masked + at, plain, len, key);
			for (size_t i = 0; i < len; i++)
				assert_int_equal((uint8_t)masked[at + i],
					(uint8_t)plain[i] ^ mask[(at + i) & 3]);
			for (size_t i = at + len; i < at + len + 4 && i < sizeof(masked); i++)
				assert_int_equal(masked[i], 'x');
			crew__ws_unmask(masked + at, len, key);
			assert_memory_equal(masked + at, plain, len);
		}
	}
}

/* What a client frames, a server understands; and the other way round. */
static void our_own_frames_are_understood(void **unused)
{
	(void)unused;
	static const size_t lengths[] = { 0, 1, 125, 126, 127, 65535, 65536 };
	struct crew__ws_keys keys = { 0 };
	char *body = calloc(1, 65536), *frame = malloc(65536 + CREW__WS_MASKED_HEADER_MAX);
	assert_true(body && frame);
	memset(body, 'b', 65536);
	for (size_t i = 0; i < crew__lengthof(lengths); i++) {
		for (unsigned client = 0; client < 2; client++) {
			struct crew__ws ws;
			struct crew__ws_event e;
			uint32_t key;
			size_t len = lengths[i], head;
			assert_int_equal(crew__ws_key_draw(&keys, &key), 0);
			unsigned byte0 = CREW__WS_FIN | CREW__WS_OP_BINARY;
			if (client)
				head = crew__ws_masked_head(frame, byte0, len, key);
			else
				head = crew__ws_head(frame, byte0, len);
			size_t wide = len < 126 ? 2 : len < 65536 ? 4 : 10;
			assert_int_equal(head, wide + (client ? 4 : 0));
			if (client)
				crew__ws_mask_copy(frame + head, body, len, key);
			else
				memcpy(frame + head, body, len);
			crew__ws_init(&ws, &(struct crew__ws_options){
						   .max_message = 65536, .client = !client });
			assert_int_equal(crew__ws_feed(&ws, frame, head + len, &e), head + len);
			assert_int_equal(e.kind, CREW__WS_MESSAGE);
			assert_int_equal(e.body.len, len);
			assert_memory_equal(e.body.data, body, len);
			crew__ws_fini(&ws);
		}
	}
	free(body);
	free(frame);
}

/* No two of very many are the same but by chance (odds of 10^-3 here to see one pair too many), and
 * none stays in memory. */
static void keys_are_drawn_once(void **unused)
{
	(void)unused;
	enum {
		COUNT = 2000
	};
	struct crew__ws_keys keys = { 0 };
	uint32_t drawn[COUNT];
	unsigned same = 0, zero = 0;
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(crew__ws_key_draw(&keys, &drawn[i]), 0);
		zero += drawn[i] == 0;
		for (unsigned k = 0; k < i; k++)
			same += drawn[k] == drawn[i];
		for (size_t at = keys.left; at + 4 <= sizeof(keys.bytes); at += 4)
			assert_true(memcmp(keys.bytes + at, "\0\0\0\0", 4) == 0);
	}
	assert_true(same <= 1 && zero <= 1);
}

/* The short way is the server's with whole messages: for others it takes nothing and touches
 * nothing. */
static void the_short_way_is_not_for_all(void **unused)
{
	(void)unused;
	const struct crew__ws_options options[] = {
		{ .max_message = 100, .client = true },
		{ .max_message = 100, .parts = true },
		{ .max_message = 100 },
	};
	static const char sent[] = "\x81\x85\0\1\2\3Hdnlo";
	for (size_t i = 0; i < crew__lengthof(options); i++) {
		struct crew__ws ws;
		char frame[sizeof(sent)];
		crew_bytes body;
		bool plain;
		memcpy(frame, sent, sizeof(sent));
		crew__ws_init(&ws, &options[i]);
		size_t n = crew__ws_take_short(&ws, frame, sizeof(sent) - 1, &body, &plain);
		assert_int_equal(n, i == 2 ? sizeof(sent) - 1 : 0);
		assert_int_equal(memcmp(frame, sent, sizeof(sent)) == 0, i != 2);
		crew__ws_fini(&ws);
	}
}

/* A compressed one is not for it either, agreed or not. */
static void the_short_way_is_for_plain_frames(void **unused)
{
	(void)unused;
	struct crew__ws ws;
	char frame[] = "\xC1\x81\0\0\0\0\0";
	crew_bytes body;
	bool plain;
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = 100, .inflate_bits = 15 });
	assert_int_equal(crew__ws_take_short(&ws, frame, 7, &body, &plain), 0);
	crew__ws_fini(&ws);
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Each feed's piece is told by that feed, lent from where it lies. */
static void parts_come_as_they_come(void **unused)
{
	(void)unused;
	struct ws_stream s = ws_stream_new();
	struct crew__ws ws;
	struct crew__ws_event e;
	char body[1000];
	memset(body, 'b', sizeof(body));
	ws_put_frame(&s, WS_FIRST_BINARY, body, 600);
	ws_put_frame(&s, WS_LAST, body, 400);
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = 10, .parts = true });
	size_t at = crew__ws_feed(&ws, s.data, 108, &e);
	assert_int_equal(e.kind, CREW__WS_PART);
	assert_int_equal(e.body.len, 100);
	assert_ptr_equal(e.body.data, s.data + 8);
	assert_false(e.last);
	assert_false(e.text);
	assert_int_equal(crew__ws_held(&ws), 0);
	at += crew__ws_feed(&ws, s.data + at, s.len - at, &e);
	assert_int_equal(e.kind, CREW__WS_PART);
	assert_int_equal(e.body.len, 500);
	assert_false(e.last);
	at += crew__ws_feed(&ws, s.data + at, s.len - at, &e);
	assert_int_equal(e.body.len, 400);
	assert_true(e.last);
	assert_int_equal(at, s.len);
	assert_null(ws.message.data);
	crew__ws_fini(&ws);
	free(s.data);
}

/* Twenty million bytes through a chunk of memory, from a frame of 20 KB. */
static void a_bomb_comes_in_parts(void **unused)
{
	(void)unused;
	const size_t size = 20 * 1000 * 1000;
	struct crew__deflate_shared shared;
	struct crew__buf packed;
	struct crew__ws ws;
	struct crew__ws_event e;
	char *zeros = calloc(1, size);
	assert_non_null(zeros);
	crew__deflate_shared_init(&shared);
	crew__buf_init(&packed, size + 10);
	assert_int_equal(crew__deflate(crew__deflate_shared_deflater(&shared, 15),
				 (crew_bytes){ zeros, size }, false, &packed),
		0);
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, WS_BINARY | CREW__WS_RSV1, packed.data, packed.len);
	crew__ws_init(&ws,
		&(struct crew__ws_options){
			.max_message = 10, .parts = true, .inflate_bits = 15, .shared = &shared });
	size_t at = 0, told = 0;
	do {
		assert_true(at < s.len);
		at += crew__ws_feed(&ws, s.data + at, s.len - at, &e);
		assert_int_equal(e.kind, CREW__WS_PART);
		assert_true(e.last || e.body.len > 0);
		assert_true(e.body.len <= 16 * 1024 && ws.message.cap <= 16 * 1024);
		assert_memory_equal(e.body.data, zeros, e.body.len);
		told += e.body.len;
	} while (!e.last);
	assert_int_equal(told, size);
	assert_int_equal(at, s.len);
	crew__ws_fini(&ws);
	crew__deflate_shared_fini(&shared);
	crew__buf_release(&packed);
	free(s.data);
	free(zeros);
}

/* A part may be full while all payload is given to the inflater and more is still in it: that is
 * not lost, and told without waiting for more to come. Lengths around a part's, so that one is so.
 */
static void nothing_stays_in_the_inflater(void **unused)
{
	(void)unused;
	enum {
		AROUND = 2 * 16 * 1024,
		SPAN = 300
	};
	char *zeros = calloc(1, AROUND + SPAN);
	struct crew__deflate_shared shared;
	unsigned was_ahead = 0;
	assert_non_null(zeros);
	crew__deflate_shared_init(&shared);
	struct crew__deflater *d = crew__deflate_shared_deflater(&shared, 15);
	for (size_t len = AROUND - SPAN; len < AROUND + SPAN; len++) {
		struct crew__buf packed;
		struct crew__ws ws;
		struct crew__ws_event e = { .kind = CREW__WS_MORE };
		crew__buf_init(&packed, AROUND + 2 * SPAN);
		assert_int_equal(crew__deflate(d, (crew_bytes){ zeros, len }, false, &packed), 0);
		struct ws_stream s = ws_stream_new();
		ws_put_frame(&s, WS_BINARY | CREW__WS_RSV1, packed.data, packed.len);
		crew__ws_init(&ws, &(struct crew__ws_options){
					   .parts = true, .inflate_bits = 15, .shared = &shared });
		size_t at = 0, told = 0;
		while (!e.last) {
			assert_true(at < s.len);
			at += crew__ws_feed(&ws, s.data + at, s.len - at, &e);
			assert_int_equal(e.kind, CREW__WS_PART);
			told += e.body.len;
			was_ahead += ws.ahead;
		}
		assert_int_equal(told, len);
		assert_int_equal(at, s.len);
		crew__ws_fini(&ws);
		crew__buf_release(&packed);
		free(s.data);
	}
	assert_true(was_ahead > 0);
	crew__deflate_shared_fini(&shared);
	free(zeros);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Peers that stall inside a compressed message: so many have an inflater, the others hold what they
 * have sent. All of them come out right in the end. */
static void stalled_messages_cost_what_was_sent(void **unused)
{
	(void)unused;
	enum {
		PEERS = 200
	};
	static const char hello[] = "\xF2\x48\xCD\xC9\xC9\x07";
	struct crew__deflate_shared shared;
	struct crew__ws *ws = calloc(PEERS, sizeof(*ws));
	struct crew__ws_event e;
	assert_non_null(ws);
	crew__deflate_shared_init(&shared);
	for (unsigned i = 0; i < PEERS; i++) {
		struct ws_stream s = ws_stream_new();
		crew__ws_init(&ws[i],
			&(struct crew__ws_options){
				.max_message = 1 << 20, .inflate_bits = 15, .shared = &shared });
		ws_put_frame(&s, WS_FIRST_TEXT | CREW__WS_RSV1, hello, 6);
		assert_int_equal(crew__ws_feed(&ws[i], s.data, s.len, &e), s.len);
		assert_int_equal(e.kind, CREW__WS_MORE);
		assert_int_equal(ws[i].inflater != NULL, i < CREW__INFLATERS_LENT);
		assert_true(ws[i].message.cap <= 512);
		free(s.data);
	}
	assert_int_equal(shared.lent, CREW__INFLATERS_LENT);
	for (unsigned i = 0; i < PEERS; i++) {
		struct ws_stream s = ws_stream_new();
		ws_put_frame(&s, WS_LAST, "", 1);
		assert_int_equal(crew__ws_feed(&ws[i], s.data, s.len, &e), s.len);
		assert_int_equal(e.kind, CREW__WS_MESSAGE);
		assert_true(e.text && e.body.len == 5);
		assert_memory_equal(e.body.data, "Hello", 5);
		crew__ws_fini(&ws[i]);
		free(s.data);
	}
	assert_int_equal(shared.lent, 0);
	crew__deflate_shared_fini(&shared);
	free(ws);
}

/* What is gathered compressed is bounded as well, though it may be a little longer than what it
 * stands for. */
static void what_is_gathered_is_bounded(void **unused)
{
	(void)unused;
	char block[5 + 1000] = { 0, '\xE8', 3, '\x17', '\xFC' }; /* stored, 1000 bytes */
	struct crew__deflate_shared shared;
	crew__deflate_shared_init(&shared);
	shared.lent_most = 0;
	for (unsigned blocks = 1; blocks <= 3; blocks++) {
		struct ws_stream s = ws_stream_new();
		struct crew__ws ws;
		struct crew__ws_event e;
		size_t at = 0;
		for (unsigned i = 0; i < blocks; i++)
			ws_put_frame(&s, i == 0 ? WS_FIRST_BINARY | CREW__WS_RSV1 : 0, block,
				sizeof(block));
		ws_put_frame(&s, WS_LAST, "", 1);
		crew__ws_init(
			&ws, &(struct crew__ws_options){
				     .max_message = 1000, .inflate_bits = 15, .shared = &shared });
		do {
			at += crew__ws_feed(&ws, s.data + at, s.len - at, &e);
			assert_true(ws.message.len <= 1000 + 1000 / 8 + 64);
		} while (e.kind == CREW__WS_MORE);
		assert_int_equal(e.kind, blocks == 1 ? CREW__WS_MESSAGE : CREW__WS_BAD);
		assert_int_equal(e.code, blocks == 1 ? 0 : 1009);
		assert_int_equal(e.body.len, blocks == 1 ? 1000 : 0);
		crew__ws_fini(&ws);
		free(s.data);
	}
	crew__deflate_shared_fini(&shared);
}

/* The buffer stops at max_message while inflating: no more is made but one byte. */
static void inflating_stops_at_the_limit(void **unused)
{
	(void)unused;
	static const char bomb[] = /* 5000 zeros */
		"\xEC\xC1\x31\x01\x00\x00\x00\xC2\xA0\xF5\x4F\x6D\x0A\x3F\xA0\x00\x00\x00\x00\x80\xB7\x01";
	struct crew__deflate_shared shared;
	struct crew__ws ws;
	struct crew__ws_event e;
	crew__deflate_shared_init(&shared);
	struct ws_stream s = ws_stream_new();
	ws_put_frame(&s, WS_BINARY | CREW__WS_RSV1, bomb, sizeof(bomb) - 1);
	crew__ws_init(&ws, &(struct crew__ws_options){
				   .max_message = 700, .inflate_bits = 15, .shared = &shared });
	crew__ws_feed(&ws, s.data, s.len, &e);
	assert_int_equal(e.kind, CREW__WS_BAD);
	assert_int_equal(e.code, 1009);
	assert_true(ws.message.cap <= 700);
	crew__ws_fini(&ws);
	crew__deflate_shared_fini(&shared);
	free(s.data);
}

/* Idle again, a connection holds no memory but its own window where that is kept. */
static void an_idle_connection_holds_nothing(void **unused)
{
	(void)unused;
	static const char hello[] = "\xF2\x48\xCD\xC9\xC9\x07";
	struct crew__deflate_shared shared;
	struct crew__ws_event e;
	struct crew__ws ws;
	crew__deflate_shared_init(&shared);
	for (unsigned own = 0; own < 2; own++) {
		struct ws_stream s = ws_stream_new();
		ws_put_frame(&s, WS_TEXT | CREW__WS_RSV1, hello, 7);
		crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = 1000,
					   .inflate_bits = 15,
					   .shared = own ? NULL : &shared });
		assert_null(ws.inflater);
		crew__ws_feed(&ws, s.data, s.len, &e);
		assert_int_equal(e.kind, CREW__WS_MESSAGE);
		crew__ws_done(&ws);
		assert_null(ws.message.data);
		assert_int_equal(ws.inflater != NULL, own);
		crew__ws_fini(&ws);
		assert_null(ws.inflater);
		free(s.data);
	}
	assert_int_equal(shared.idle_count, 1);
	crew__deflate_shared_fini(&shared);
}

/* 10,000 of them are in memory: what each costs is looked at here. */
static void the_codec_is_small(void **unused)
{
	(void)unused;
	assert_true(sizeof(struct crew__ws) <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_is_masked),
		cmocka_unit_test(our_own_frames_are_understood),
		cmocka_unit_test(keys_are_drawn_once),
		cmocka_unit_test(the_short_way_is_not_for_all),
		cmocka_unit_test(the_short_way_is_for_plain_frames),
		cmocka_unit_test(parts_come_as_they_come),
		cmocka_unit_test(a_bomb_comes_in_parts),
		cmocka_unit_test(nothing_stays_in_the_inflater),
		cmocka_unit_test(stalled_messages_cost_what_was_sent),
		cmocka_unit_test(what_is_gathered_is_bounded),
		cmocka_unit_test(inflating_stops_at_the_limit),
		cmocka_unit_test(an_idle_connection_holds_nothing),
		cmocka_unit_test(the_codec_is_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
