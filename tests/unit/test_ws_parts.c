/* test_ws_parts.c - long messages in parts, both ways; connections on which we are the client;
 * round trips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PMD "permessage-deflate"

enum {
	LONG = 60000,
};

static struct {
	struct world world;
	struct ws_peer peer;
	crew_conn *conn;
	char *body; /* what came in parts */
	size_t len, parts, messages;
	unsigned pause_every; /* parts; 0: never */
	unsigned stop_at;     /* the part at which the connection ends; 0: none */
	bool aborts;          /* ... by abort */
	unsigned echo;
	int64_t heartbeat_ms, max_send_buffer;
	enum crew__deflate_choice choice;
} t;

static void on_part(crew_conn *c, crew_msg part, bool last)
{
	assert_true(t.len + part.body.len <= LONG);
	if (part.body.len > 0)
		memcpy(t.body + t.len, part.body.data, part.body.len);
	t.len += part.body.len;
	t.parts++;
	if (last) {
		tell("%s:%zu", part.kind == CREW_TEXT ? "text" : "binary", t.len);
		t.messages++;
		t.len = 0;
	}
	if (t.pause_every && t.parts % t.pause_every == 0)
		crew_pause(c);
	if (t.stop_at == t.parts && t.aborts)
		crew_abort(c);
	else if (t.stop_at == t.parts)
		crew_close(c);
	if (t.echo && last)
		crew_send(c, CREW_BYTES("got it"));
}

static void on_message(crew_conn *c, crew_msg msg)
{
	(void)c;
	tell("%s:%.*s", msg.kind == CREW_TEXT ? "text" : "binary", (int)msg.body.len,
		msg.body.data);
}

#define CALLBACKS                                                                                 \
	.name = "ws", .listen = "ws://127.0.0.1:1", .on_open = tell_open, .on_close = tell_close, \
	.on_error = tell_error, .on_full = tell_full, .on_drain = tell_drain
static const crew_service whole = { CALLBACKS, .on_message = on_message };
static const crew_service parted = { CALLBACKS, .on_message = on_message, .on_part = on_part };

static void settings(struct crew__service_settings *s)
{
	s->deflate = t.choice;
	s->deflate_min = 1024;
	s->max_message = 1000;
	s->max_send_buffer = t.max_send_buffer;
	s->heartbeat_ms = t.heartbeat_ms;
	s->linger_ms = 200;
}

static void open_world(void **state, const crew_service *service)
{
	t.max_send_buffer = t.max_send_buffer ? t.max_send_buffer : 1 << 20;
	t.body = malloc(LONG);
	assert_non_null(t.body);
	assert_true(world_open(&t.world, service, engine_of(state), settings));
}

static void open_it(void **state, const crew_service *service, const char *extensions)
{
	t.choice = t.choice ? t.choice : CREW__DEFLATE_SHARED;
	open_world(state, service);
	ws_peer_open(&t.peer, &t.world, extensions);
	t.conn = world_conn(&t.world, 0);
	told_anew();
}

static int clean_up(void **state)
{
	(void)state;
	ws_peer_close(&t.peer);
	world_clean_up(&t.world);
	free(t.body);
	memset(&t, 0, sizeof(t));
	return 0;
}

static char letter(size_t at)
{
	return (char)('a' + at % 23 + (at / 5000) % 3);
}

static char *long_text(void)
{
	char *text = malloc(LONG);
	assert_non_null(text);
	for (size_t i = 0; i < LONG; i++)
		text[i] = letter(i);
	return text;
}

/* ---- sending in parts ---------------------------------------------------------------------- */

static void a_message_in_parts_is_one_message(void **state)
{
	open_it(state, &whole, PMD);
	char *text = long_text();
	assert_int_equal(crew_send_begin(t.conn, CREW_BINARY), 0);
	assert_int_equal(counter(&t.world, "messages_offered"), 1);
	for (size_t at = 0; at < LONG; at += 7500) {
		assert_true(crew_send_part(t.conn, (crew_bytes){ text + at, 7500 }) >= 0);
		assert_true(crew_send_part(t.conn, (crew_bytes){ NULL, 0 }) >= 0);
		ws_peer_hear(&t.peer);
		assert_int_equal(counter(&t.world, "messages_sent"), 0);
		assert_int_equal(counter(&t.world, "messages_queued"), 1);
	}
	assert_true(crew_send_end(t.conn) >= 0);
	ws_peer_hear(&t.peer);
	assert_int_equal(t.peer.message_len, LONG);
	assert_memory_equal(t.peer.message, text, LONG);
	assert_int_equal(t.peer.messages, 1);
	assert_int_equal(t.peer.frames, 9);
	assert_int_equal(t.peer.packed, 0); /* the window is everybody's */
	assert_int_equal(counter(&t.world, "messages_sent"), 1);
	/* Nothing between, and the kind of what follows is its own. */
	assert_true(crew_send(t.conn, CREW_BYTES("next")) >= 0);
	assert_string_equal(ws_peer_hear(&t.peer), "text:next;");
	free(text);
}

static void one_without_a_part_is_empty(void **state)
{
	open_it(state, &whole, NULL);
	assert_int_equal(crew_send_begin(t.conn, CREW_KIND_DEFAULT), 0);
	assert_true(crew_send_end(t.conn) >= 0);
	assert_string_equal(ws_peer_hear(&t.peer), "text:;");
	assert_int_equal(crew_send_begin(t.conn, CREW_BINARY), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("x")) >= 0);
	assert_true(crew_send_end(t.conn) >= 0);
	assert_string_equal(ws_peer_hear(&t.peer), "binary:x;");
}

static void with_takeover_parts_are_compressed(void **state)
{
	t.choice = CREW__DEFLATE_TAKEOVER;
	open_it(state, &whole, PMD);
	char *text = long_text();
	for (int round = 0; round < 2; round++) {
		assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
		assert_true(crew_send_part(t.conn, (crew_bytes){ text, 20000 }) >= 0);
		assert_true(crew_send_part(t.conn, (crew_bytes){ text + 20000, 20000 }) >= 0);
		assert_true(crew_send_end(t.conn) >= 0);
		assert_true(crew_send(t.conn, (crew_bytes){ text, 5000 }) >= 0);
	}
	ws_peer_hear(&t.peer);
	assert_int_equal(t.peer.messages, 4);
	assert_int_equal(t.peer.packed, 4);
	assert_int_equal(t.peer.message_len, 5000);
	assert_memory_equal(t.peer.message, text, 5000);
	assert_true(t.peer.bytes < 5000);
	/* An empty one, too. */
	assert_int_equal(crew_send_begin(t.conn, CREW_BINARY), 0);
	assert_true(crew_send_end(t.conn) >= 0);
	assert_string_equal(ws_peer_hear(&t.peer), "binary:;");
	free(text);
}

static void nothing_may_come_between(void **state)
{
	open_it(state, &whole, PMD);
	crew_shared *s = crew_shared_new(CREW_BYTES("all"));
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), -EBUSY);
	assert_true(crew_send_part(t.conn, CREW_BYTES("one ")) >= 0);
	assert_int_equal(crew_send(t.conn, CREW_BYTES("no")), -EBUSY);
	assert_int_equal(
		crew_send_with(t.conn, CREW_BYTES("no"), &(crew_send_options){ .plain = true }),
		-EBUSY);
	assert_int_equal(crew_send_static(t.conn, CREW_BYTES("no")), -EBUSY);
	assert_int_equal(crew_send_shared(t.conn, s), -EBUSY);
	assert_int_equal(crew_broadcast(&whole, s), 0);
	assert_int_equal(counter(&t.world, "send_invalid"), 6);
	ws_peer_say(&t.peer, WS_PINGING, "hi", 2); /* control frames may */
	assert_true(crew_send_part(t.conn, CREW_BYTES("two")) >= 0);
	assert_true(crew_send_end(t.conn) >= 0);
	assert_string_equal(ws_peer_hear(&t.peer), "pong:hi;text:one two;");
	assert_int_equal(crew_broadcast(&whole, s), 1);
	assert_string_equal(ws_peer_hear(&t.peer), "text:all;");
	crew_shared_unref(s);
}

static void what_is_no_use(void **state)
{
	open_it(state, &whole, NULL);
	assert_int_equal(crew_send_begin(NULL, CREW_TEXT), -EINVAL);
	assert_int_equal(crew_send_part(NULL, CREW_BYTES("x")), -ENOTCONN);
	assert_int_equal(crew_send_end(NULL), -ENOTCONN);
	assert_int_equal(crew_send_part(t.conn, CREW_BYTES("x")), -EINVAL);
	assert_int_equal(crew_send_end(t.conn), -EINVAL);
	assert_int_equal(crew_send_begin(t.conn, (crew_kind)7), -EINVAL);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
	assert_int_equal(crew_send_part(t.conn, (crew_bytes){ NULL, 3 }), -EINVAL);
	assert_int_equal(crew_send_part(t.conn, (crew_bytes){ "x", (size_t)2 << 30 }), -EMSGSIZE);
	assert_true(crew_send_end(t.conn) >= 0);
	assert_int_equal(crew_close(t.conn), 0);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), -ENOTCONN);
	assert_int_equal(crew_send_part(t.conn, CREW_BYTES("x")), -ENOTCONN);
	assert_int_equal(counter(&t.world, "fail_closed"), 1);
	/* Before the handshake there is no WebSocket. */
	int fd = world_connect(&t.world);
	crew_conn *early = world_conn(&t.world, 1);
	assert_int_equal(crew_send_begin(early, CREW_TEXT), -EINVAL);
	early->record->protocol = CREW__WS; /* as one that we open has, before it is open */
	assert_int_equal(early->record->state, CREW__CONN_HANDSHAKE);
	assert_int_equal(crew_send_begin(early, CREW_TEXT), -EINVAL);
	early->record->protocol = CREW__HTTP;
	close(fd);
}

/* A part that is refused was not taken; on_drain says when to go on, and nothing is missing. */
static void a_full_queue_takes_no_part(void **state)
{
	for (unsigned choice = CREW__DEFLATE_OFF; choice <= CREW__DEFLATE_TAKEOVER; choice++) {
		t.max_send_buffer = 20000;
		t.choice = (enum crew__deflate_choice)choice;
		open_world(state, &whole);
		ws_peer_open(&t.peer, &t.world, PMD);
		t.conn = world_conn(&t.world, 0);
		told_anew();
		char noise[997];
		uint32_t random = 9;
		size_t sent = 0, refused = 0;
		assert_int_equal(crew_send_begin(t.conn, CREW_BINARY), 0);
		while (sent < 200) {
			for (size_t i = 0; i < sizeof(noise); i++)
				noise[i] = (char)((random = random * 1664525 + 1013904223) >> 24);
			int64_t queued;
			while ((queued = crew_send_part(t.conn,
					(crew_bytes){ noise, sizeof(noise) })) == -ENOBUFS) {
				refused++;
				ws_peer_hear(&t.peer);
			}
			assert_true(queued >= 0);
			sent++;
		}
		assert_true(refused > 3);
		assert_true(crew_send_end(t.conn) >= 0);
		ws_peer_hear(&t.peer);
		assert_int_equal(t.peer.message_len, 200 * sizeof(noise));
		assert_memory_equal(t.peer.message + 199 * sizeof(noise), noise, sizeof(noise));
		assert_non_null(strstr(told(), "full"));
		assert_non_null(strstr(told(), "drain"));
		assert_int_equal(counter(&t.world, "send_fail"), 0);
		clean_up(state);
	}
}

static void an_end_in_the_middle_loses_it(void **state)
{
	open_it(state, &whole, NULL);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("never")) >= 0);
	assert_int_equal(crew_close(t.conn), 0);
	assert_int_equal(crew_send_end(t.conn), -ENOTCONN);
	assert_string_equal(ws_peer_hear(&t.peer), "close:1000:;"); /* which may stand between */
	assert_int_equal(t.peer.opcode, 1);
	ws_peer_say(&t.peer, WS_CLOSING, "\x03\xe8", 2);
	assert_int_equal(counter(&t.world, "fail_aborted"), 1);
	assert_int_equal(counter(&t.world, "messages_sent"), 0);
	assert_int_equal(counter(&t.world, "messages_offered"), 1);
}

/* ---- receiving in parts -------------------------------------------------------------------- */

static void say_long(unsigned packed)
{
	char *text = long_text();
	ws_peer_put(&t.peer, WS_FIRST_BINARY | packed, text, packed ? LONG : 30000);
	if (!packed)
		ws_peer_put(&t.peer, 0, text + 30000, 30000);
	ws_peer_say(&t.peer, WS_LAST, NULL, 0);
	free(text);
}

static void check_long(void)
{
	assert_string_equal(told(), "binary:60000");
	for (size_t i = 0; i < LONG; i++)
		assert_int_equal(t.body[i], letter(i));
}

/* Longer by far than max_message, which does not hold for parts. */
static void parts_come_as_they_arrive(void **state)
{
	open_it(state, &parted, NULL);
	say_long(0);
	check_long();
	assert_true(t.parts > 5);
	assert_int_equal(counter(&t.world, "total_request"), 1);
	told_anew();
	ws_peer_say(&t.peer, WS_TEXT, "short", 5);
	ws_peer_say(&t.peer, WS_TEXT, "", 0);
	assert_string_equal(told(), "text:5 text:0");
	assert_int_equal(t.conn->record->recv_queue, 0);
}

static void compressed_ones_too(void **state)
{
	for (unsigned choice = CREW__DEFLATE_SHARED; choice <= CREW__DEFLATE_TAKEOVER; choice++) {
		t.choice = (enum crew__deflate_choice)choice;
		open_it(state, &parted, PMD);
		/* One whole frame: the last bytes of it must not be waited for. */
		char *text = long_text();
		ws_peer_say(&t.peer, WS_BINARY | WS_PACKED, text, LONG);
		free(text);
		check_long();
		assert_true(t.parts > 2);
		clean_up(state);
	}
}

/* Paused in each callback, nothing comes until it is resumed, and then what had come already. */
static void pauses_between_parts(void **state)
{
	for (unsigned packed = 0; packed <= WS_PACKED; packed += WS_PACKED) {
		t.pause_every = 1;
		open_it(state, &parted, PMD);
		char *text = long_text();
		if (packed) {
			ws_peer_say(&t.peer, WS_BINARY | WS_PACKED, text, LONG);
			ws_peer_say(&t.peer, WS_TEXT, "after", 5);
		} else {
			for (size_t at = 0; at < LONG; at += 1000)
				ws_peer_put(&t.peer,
					at == 0            ? WS_FIRST_BINARY
					: at + 1000 < LONG ? 0
							   : WS_LAST,
					text + at, 1000);
			ws_peer_say(&t.peer, WS_TEXT, "after", 5);
		}
		free(text);
		assert_int_equal(t.parts, 1);
		while (t.messages < 2) {
			size_t before = t.parts;
			assert_int_equal(crew_resume(t.conn), 0);
			world_settle(&t.world);
			assert_int_equal(t.parts, before + 1);
		}
		assert_string_equal(told(), "binary:60000 text:5");
		clean_up(state);
	}
}

static void the_program_ends_it_between_parts(void **state)
{
	for (unsigned way = 0; way < 4; way++) {
		t.stop_at = 2;
		t.aborts = way & 1;
		open_it(state, &parted, PMD);
		char *text = long_text();
		unsigned packed = way & 2 ? WS_PACKED : 0;
		ws_peer_put(&t.peer, WS_FIRST_TEXT | packed, text, 40000);
		if (!t.aborts)
			ws_peer_say(&t.peer, WS_CLOSING, "\x03\xe8", 2);
		world_settle(&t.world);
		assert_int_equal(t.parts, 2);
		free(text);
		world_until(&t.world, strstr(told(), "close:app"));
		clean_up(state);
	}
}

static void text_in_parts_is_valid_or_ends(void **state)
{
	open_it(state, &parted, PMD);
	ws_peer_say(&t.peer, WS_FIRST_TEXT, "\xc3", 1);
	ws_peer_say(&t.peer, WS_LAST, "\xa9", 1);
	assert_string_equal(told(), "text:2");
	ws_peer_say(&t.peer, WS_FIRST_TEXT | WS_PACKED, "\xc3", 1);
	ws_peer_say(&t.peer, WS_LAST, NULL, 0);
	assert_string_equal(ws_peer_hear(&t.peer), "close:1007:;");
}

/* ---- the client ---------------------------------------------------------------------------- */

static void open_client(void **state, const struct crew__ws_agreed *agreed)
{
	t.choice = CREW__DEFLATE_SHARED;
	open_world(state, &whole);
	told_anew();
	t.conn = ws_peer_attach(&t.peer, &t.world, agreed);
}

static const struct crew__ws_agreed nothing,
	packed_terms = { .terms = { .deflate = true,
				 .server_resets = true,
				 .client_resets = true,
				 .server_bits = 15,
				 .client_bits = 15 } },
	takeover_terms = { .terms = { .deflate = true, .server_bits = 12, .client_bits = 10 } };

/* That every frame is masked is what the peer asserts. */
static void what_a_client_says_is_masked(void **state)
{
	open_client(state, &nothing);
	assert_string_equal(told(), "open");
	char *text = long_text();
	assert_true(crew_send(t.conn, CREW_BYTES("hello")) >= 0);
	assert_string_equal(ws_peer_hear(&t.peer), "text:hello;");
	assert_int_equal(t.peer.bytes, 6 + 5);
	assert_true(crew_send(t.conn, CREW_BYTES("")) >= 0);
	assert_true(crew_send_static(t.conn, (crew_bytes){ text, 70000 / 2 }) >= 0);
	crew_shared *s = crew_shared_new_kind(CREW_BYTES("shared"), CREW_BINARY);
	assert_true(crew_send_shared(t.conn, s) >= 0);
	assert_int_equal(crew_broadcast(&whole, s), 1);
	crew_shared_unref(s);
	assert_int_equal(crew_send_begin(t.conn, CREW_TEXT), 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("in ")) >= 0);
	assert_true(crew_send_part(t.conn, CREW_BYTES("parts")) >= 0);
	assert_true(crew_send_end(t.conn) >= 0);
	char expected[200];
	sprintf(expected, "text:;text:%.40s;binary:shared;binary:shared;text:in parts;", text);
	assert_string_equal(ws_peer_hear(&t.peer), expected);
	assert_int_equal(counter(&t.world, "bytes_out"), t.peer.bytes);
	assert_int_equal(text[100], letter(100)); /* it was not masked where it lies */
	free(text);
}

static void a_server_answers_a_client(void **state)
{
	open_client(state, &packed_terms);
	told_anew();
	char *text = long_text();
	ws_peer_say(&t.peer, WS_TEXT, "plain", 5);
	ws_peer_say(&t.peer, WS_BINARY | WS_PACKED, "packed", 6);
	assert_string_equal(told(), "text:plain binary:packed");
	ws_peer_say(&t.peer, WS_PINGING, "are you there", 13);
	assert_string_equal(ws_peer_hear(&t.peer), "pong:are you there;");
	assert_true(crew_send(t.conn, (crew_bytes){ text, 5000 }) > 0);
	ws_peer_hear(&t.peer);
	assert_int_equal(t.peer.packed, 1);
	assert_memory_equal(t.peer.message, text, 5000);
	assert_int_equal(crew_close_with(t.conn, 4001, CREW_BYTES("done")), 0);
	assert_string_equal(ws_peer_hear(&t.peer), "close:4001:done;");
	ws_peer_say(&t.peer, WS_CLOSING, "\x0f\xa1", 2);
	free(text);
}

/* A masked frame from a server is wrong (RFC 6455 section 5.1). */
static void a_server_that_masks(void **state)
{
	open_client(state, &nothing);
	told_anew();
	peer_says(t.peer.fd, (crew_bytes){ "\x81\x82\0\0\0\0hi", 8 });
	assert_string_equal(ws_peer_hear(&t.peer), "close:1002:;");
	assert_string_equal(told(), "");
}

static void a_client_with_takeover(void **state)
{
	open_client(state, &takeover_terms);
	char *text = long_text();
	size_t sizes[2];
	for (int i = 0; i < 2; i++) {
		size_t before = t.peer.bytes;
		assert_true(crew_send(t.conn, (crew_bytes){ text, 900 + 200 }) > 0);
		ws_peer_hear(&t.peer);
		sizes[i] = t.peer.bytes - before;
		assert_memory_equal(t.peer.message, text, 1100);
		ws_peer_say(&t.peer, WS_TEXT | WS_PACKED, text, 1000);
	}
	assert_true(sizes[1] < sizes[0]);
	assert_non_null(strstr(told(), text[0] == 'a' ? "text:abc" : ""));
	free(text);
}

/* ---- round trips --------------------------------------------------------------------------- */

static void a_round_trip_is_measured(void **state)
{
	t.heartbeat_ms = 50;
	open_it(state, &whole, NULL);
	assert_int_equal(crew_rtt_us(NULL), -ENOTCONN);
	assert_int_equal(crew_rtt_us(t.conn), -ENODATA);
	world_until(&t.world, (ws_peer_hear(&t.peer), t.peer.pings > 0));
	assert_int_equal(t.peer.ping_len, 8);
	world_pass(&t.world, 20);
	/* What is no answer to that ping measures nothing. */
	ws_peer_say(&t.peer, WS_PONGING, "", 0);
	ws_peer_say(&t.peer, WS_PONGING, "12345678", 8);
	assert_int_equal(crew_rtt_us(t.conn), -ENODATA);
	ws_peer_say(&t.peer, WS_PONGING, t.peer.ping, t.peer.ping_len);
	int64_t rtt = crew_rtt_us(t.conn);
	assert_true(rtt >= 20000 && rtt < 10000000);
	world_pass(&t.world, 10);
	ws_peer_say(&t.peer, WS_PONGING, t.peer.ping, t.peer.ping_len); /* once more: nothing new */
	assert_int_equal(crew_rtt_us(t.conn), rtt);
	unsigned before = t.peer.pings;
	char first[8];
	memcpy(first, t.peer.ping, 8);
	world_until(&t.world, (ws_peer_hear(&t.peer), t.peer.pings > before));
	assert_memory_not_equal(first, t.peer.ping, 8);
	ws_peer_say(&t.peer, WS_PONGING, t.peer.ping, t.peer.ping_len);
	assert_true(crew_rtt_us(t.conn) < rtt);
}

static void a_clients_heartbeat(void **state)
{
	t.heartbeat_ms = 50;
	open_client(state, &nothing);
	world_until(&t.world, (ws_peer_hear(&t.peer), t.peer.pings > 0));
	ws_peer_say(&t.peer, WS_PONGING, t.peer.ping, t.peer.ping_len);
	assert_true(crew_rtt_us(t.conn) > 0);
	world_until(&t.world, (ws_peer_hear(&t.peer), strstr(told(), "close:heartbeat")));
}

/* ---- pipes --------------------------------------------------------------------------------- */

/* What comes in parts flows on in parts, as one message. */
static void parts_flow_through_a_pipe(void **state)
{
	struct ws_peer other;
	open_it(state, &parted, PMD);
	ws_peer_open(&other, &t.world, NULL);
	assert_int_equal(crew_pipe(t.conn, world_conn(&t.world, 1)), 0);
	char *text = long_text();
	ws_peer_put(&t.peer, WS_BINARY | WS_PACKED, text, LONG);
	ws_peer_say(&t.peer, WS_TEXT, "then", 4);
	char expected[100];
	sprintf(expected, "binary:%.40s;text:then;", text);
	assert_string_equal(ws_peer_hear(&other), expected);
	assert_true(other.frames > 3);
	assert_int_equal(t.parts, 0);
	assert_int_equal(counter(&t.world, "messages_sent"), 2);
	free(text);
	ws_peer_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_message_in_parts_is_one_message),
		ON_BOTH(one_without_a_part_is_empty),
		ON_BOTH(with_takeover_parts_are_compressed),
		ON_BOTH(nothing_may_come_between),
		ON_BOTH(what_is_no_use),
		ON_BOTH(a_full_queue_takes_no_part),
		ON_BOTH(an_end_in_the_middle_loses_it),
		ON_BOTH(parts_come_as_they_arrive),
		ON_BOTH(compressed_ones_too),
		ON_BOTH(pauses_between_parts),
		ON_BOTH(the_program_ends_it_between_parts),
		ON_BOTH(text_in_parts_is_valid_or_ends),
		ON_BOTH(what_a_client_says_is_masked),
		ON_BOTH(a_server_answers_a_client),
		ON_BOTH(a_server_that_masks),
		ON_BOTH(a_client_with_takeover),
		ON_BOTH(a_round_trip_is_measured),
		ON_BOTH(a_clients_heartbeat),
		ON_BOTH(parts_flow_through_a_pipe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
