/* test_service_ws.c - WebSocket connections: the handshake's answers, kinds, both ways of saying
 * goodbye, and the heartbeat, which ends the dead and leaves the slow alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "ws_ways.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	ROOM = 1 << 20,
	MESSAGE_MOST = 5000
};

static struct {
	struct world world;
	int peer;
	char *room, *frames;
} t;

#define FIELDS "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HELLO  FIELDS "Sec-WebSocket-Version: 13\r\n" KEY "\r\n"
#define WELCOME                                                      \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" \
	"Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

/* The first byte says what becomes of it; the rest is echoed in its own kind. */
static void on_message(crew_conn *c, crew_msg msg)
{
	tell("%s:%.*s", msg.kind == CREW_TEXT ? "text" : "binary", (int)crew__min(msg.body.len, 50),
		msg.body.data);
	switch (msg.body.len > 0 ? msg.body.data[0] : 0) {
	case 'c':
		assert_true(crew_send(c, CREW_BYTES("before")) > 0);
		assert_int_equal(crew_close_with(c, 4002, CREW_BYTES("as told")), 0);
		assert_int_equal(crew_send(c, CREW_BYTES("after")), -ENOTCONN);
		break;
	case 'b':
		crew_send_with(c, CREW_BYTES("b"), &(crew_send_options){ .kind = CREW_BINARY });
		crew_send_with(c, CREW_BYTES("t"), &(crew_send_options){ .kind = CREW_TEXT });
		crew_send_with(c, CREW_BYTES("d"), NULL);
		break;
	default:
		assert_true(crew_send(c, msg.body) >= 0);
	}
}

static const crew_service ws = {
	.name = "ws",
	.listen = "ws://127.0.0.1:1",
	.on_open = tell_open,
	.on_message = on_message,
	.on_close = tell_close,
	.on_error = tell_error,
};

static void usual(struct crew__service_settings *s)
{
	s->max_message = MESSAGE_MOST;
	s->max_send_buffer = 20000;
	s->linger_ms = 3600 * 1000;
}

static void open_with(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	memset(&t, 0, sizeof(t));
	t.room = malloc(ROOM);
	t.frames = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, &ws, engine_of(state), adjust));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
}

static void ask(const char *bytes)
{
	peer_says(t.peer, crew_str(bytes));
	world_settle(&t.world);
}

static const char *hear(void)
{
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	return t.room;
}

static void open_and_greet(void **state, void (*adjust)(struct crew__service_settings *settings))
{
	open_with(state, adjust);
	ask(HELLO);
	assert_string_equal(hear(), WELCOME);
	assert_string_equal(told(), "open");
	told_anew();
}

static void open_it(void **state)
{
	open_and_greet(state, usual);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	free(t.room);
	free(t.frames);
	return 0;
}

static crew_conn *conn(void)
{
	return world_conn(&t.world, 0);
}

/* Masked frames, back to back. */
static struct ws_stream frames_to_say;
static void put(unsigned byte0, const char *payload, size_t len)
{
	if (!frames_to_say.data)
		frames_to_say = ws_stream_new();
	ws_put_frame(&frames_to_say, byte0, payload, len);
}

static void say_them(void)
{
	peer_says(t.peer, (crew_bytes){ frames_to_say.data, frames_to_say.len });
	free(frames_to_say.data);
	frames_to_say = (struct ws_stream){ 0 };
	world_settle(&t.world);
}

static void say(unsigned byte0, const char *payload)
{
	put(byte0, payload, strlen(payload));
	say_them();
}

/* One frame of ours, in words. Returns its length. */
static size_t describe(const unsigned char *at, size_t left, char *out)
{
	static const char *const names[16] = {
		[1] = "text", [2] = "binary", [8] = "close", [9] = "ping", [10] = "pong"
	};
	size_t head = 2, len = left >= 2 ? at[1] : 0;
	assert_true(left >= 2 && (at[0] & 0xf0) == 0x80 && names[at[0] & 15]);
	if (len == 126) {
		head = 4;
		len = (size_t)at[2] << 8 | at[3];
	}
	assert_true(len < 65536 && left >= head + len); /* so it is not masked either */
	const char *body = (const char *)at + head;
	int shown = (int)crew__min(len, 40);
	if ((at[0] & 15) == 8 && len >= 2)
		sprintf(out, "close:%d:%.*s;", at[head] << 8 | at[head + 1], shown - 2, body + 2);
	else
		sprintf(out, "%s:%.*s;", names[at[0] & 15], shown, body);
	return head + len;
}

/* All that has come, as words. */
static const char *hear_frames(void)
{
	size_t len = peer_hears_all(&t.world, t.peer, t.room, ROOM);
	char *out = t.frames;
	*out = '\0';
	for (size_t at = 0; at < len; out += strlen(out))
		at += describe((unsigned char *)t.room + at, len - at, out);
	return t.frames;
}

/* ---- the handshake ------------------------------------------------------------------------- */

static void a_good_handshake_opens(void **state)
{
	open_it(state);
	assert_int_equal(counter(&t.world, "messages_offered"), 0);
	assert_int_equal(counter(&t.world, "bytes_out"), strlen(WELCOME));
	assert_int_equal(conn()->record->protocol, CREW__WS);
}

static void frames_may_follow_the_handshake_at_once(void **state)
{
	open_with(state, usual);
	put(WS_TEXT, "hi", 2);
	put(WS_TEXT, "there", 5);
	char *at = t.room + sprintf(t.room, "%s", HELLO);
	memcpy(at, frames_to_say.data, frames_to_say.len);
	peer_says(t.peer, (crew_bytes){ t.room, (size_t)(at - t.room) + frames_to_say.len });
	free(frames_to_say.data);
	frames_to_say = (struct ws_stream){ 0 };
	world_settle(&t.world);
	assert_string_equal(told(), "open text:hi text:there");
	assert_string_equal(hear() + strlen(WELCOME), "\x81\x02hi\x81\x05there");
}

static void refuse(void **state, const char *request, const char *status, const char *why)
{
	open_with(state, usual);
	ask(request);
	if (strncmp(hear(), status, strlen(status)) != 0)
		fail_msg("%s instead of %s for %s", t.room, status, request);
	if (strstr(status, "426")) {
		assert_non_null(strstr(t.room, "\r\nConnection: close, upgrade\r\n"));
		assert_non_null(strstr(t.room, "\r\nUpgrade: websocket\r\n"));
		assert_non_null(strstr(t.room, "\r\nSec-WebSocket-Version: 13\r\n"));
	}
	assert_true(peer_sees_end(t.peer));
	assert_string_equal(told(), "");
	shutdown(t.peer, SHUT_WR);
	world_settle(&t.world);
	assert_int_equal(counter(&t.world, why), 1);
	clean_up(state);
}

static void bad_handshakes_get_their_status(void **state)
{
	static const char *const requests[][3] = {
		{ FIELDS "Sec-WebSocket-Version: 8\r\n" KEY "\r\n", "HTTP/1.1 426 ",
			"close_handshake" },
		{ FIELDS KEY "\r\n", "HTTP/1.1 426 ", "close_handshake" },
		{ FIELDS "Sec-WebSocket-Version: 13\r\n\r\n", "HTTP/1.1 400 ", "close_handshake" },
		{ FIELDS "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
			"HTTP/1.1 400 ", "close_handshake" },
		{ FIELDS "Sec-WebSocket-Version: 13\r\n" KEY KEY "\r\n", "HTTP/1.1 400 ",
			"close_handshake" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		  "Sec-WebSocket-Version: 13\r\n" KEY "\r\n",
			"HTTP/1.1 400 ", "close_handshake" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 426 ", "close_handshake" },
		{ "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		  "Sec-WebSocket-Version: 13\r\n" KEY "\r\n",
			"HTTP/1.1 426 ", "close_handshake" },
		{ FIELDS "Sec-WebSocket-Version: 13\r\nContent-Length: 3\r\n" KEY "\r\nabc",
			"HTTP/1.1 400 ", "close_protocol" },
		{ "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "close_protocol" },
	};
	for (size_t i = 0; i < crew__lengthof(requests); i++)
		refuse(state, requests[i][0], requests[i][1], requests[i][2]);
	memset(&t, 0, sizeof(t));
	t.peer = -1;
}

static void one_that_drains_takes_no_more(void **state)
{
	open_with(state, usual);
	world_settle(&t.world);
	t.world.worker->leaving = CREW__WAITS;
	ask(HELLO);
	assert_memory_equal(hear(), "HTTP/1.1 503 ", 13);
	t.world.worker->leaving = CREW__STAYS;
}

/* ---- messages ------------------------------------------------------------------------------ */

static void an_answer_has_the_kind_of_what_it_answers(void **state)
{
	open_it(state);
	put(WS_TEXT, "one", 3);
	put(WS_BINARY, "two", 3);
	put(WS_TEXT, "", 0);
	put(WS_BINARY, "b", 1);
	say_them();
	assert_string_equal(told(), "text:one binary:two text: binary:b");
	assert_string_equal(hear_frames(), "text:one;binary:two;text:;binary:b;text:t;binary:d;");
	crew_send(conn(), CREW_BYTES("from elsewhere"));
	assert_string_equal(hear_frames(), "text:from elsewhere;");
	assert_int_equal(counter(&t.world, "messages_sent"), 7);
}

static void long_messages_keep_their_kind(void **state)
{
	static char body[MESSAGE_MOST];
	open_it(state);
	memset(body, 'x', sizeof(body));
	put(WS_BINARY, body, 125);
	put(WS_TEXT, body, 126);
	put(WS_BINARY, body, MESSAGE_MOST);
	say_them();
	size_t len = peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_int_equal(len, 2 + 125 + 4 + 126 + 4 + MESSAGE_MOST);
	assert_memory_equal(t.room, "\x82\x7dx", 3);
	assert_memory_equal(t.room + 127, "\x81\x7e\x00\x7ex", 5);
	assert_memory_equal(t.room + 257, "\x82\x7e\x13\x88x", 5);
}

static void control_frames_stand_between_fragments(void **state)
{
	open_it(state);
	put(WS_FIRST_TEXT, "one ", 4);
	put(WS_PINGING, "are you there?", 14);
	put(0x00, "two ", 4);
	put(WS_PONGING, "", 0);
	say_them();
	assert_string_equal(told(), "");
	assert_string_equal(hear_frames(), "pong:are you there?;");
	say(WS_LAST, "three");
	assert_string_equal(told(), "text:one two three");
	assert_string_equal(hear_frames(), "text:one two three;");
	assert_int_equal(counter(&t.world, "messages_offered"), 1); /* a pong is none */
}

/* ---- goodbyes ------------------------------------------------------------------------------ */

static void a_close_is_echoed(void **state)
{
	static const char *const closes[][2] = {
		{ "\x03\xe8", "close:1000:;" },
		{ "\x0f\xa1why", "close:4001:;" },
		{ "", "close:;" },
	};
	for (size_t i = 0; i < crew__lengthof(closes); i++) {
		open_it(state);
		put(WS_TEXT, "x", 1);
		put(WS_CLOSING, closes[i][0], strlen(closes[i][0]));
		put(WS_TEXT, "after the close", 15);
		say_them();
		snprintf(t.room, ROOM, "text:x;%s", closes[i][1]);
		char *wanted = strdup(t.room);
		assert_string_equal(hear_frames(), wanted);
		free(wanted);
		assert_true(peer_sees_end(t.peer));
		shutdown(t.peer, SHUT_WR);
		world_settle(&t.world);
		assert_string_equal(told(), "text:x close:peer");
		clean_up(state);
		memset(&t, 0, sizeof(t));
		t.peer = -1;
	}
}

static void our_close_waits_for_the_peers(void **state)
{
	open_it(state);
	assert_int_equal(crew_close(conn()), 0);
	assert_int_equal(crew_send(conn(), CREW_BYTES("late")), -ENOTCONN);
	world_settle(&t.world);
	assert_string_equal(hear_frames(), "close:1000:;");
	assert_false(peer_sees_end(t.peer));
	put(WS_TEXT, "crossing", 8); /* thrown away */
	put(WS_PINGING, "", 0);
	say_them();
	assert_string_equal(hear_frames(), "");
	assert_string_equal(told(), "error:closed:1");
	say(WS_CLOSING, "\x03\xe8");
	assert_true(peer_sees_end(t.peer));
	shutdown(t.peer, SHUT_WR);
	world_settle(&t.world);
	assert_string_equal(told(), "error:closed:1 close:app");
}

static void short_lingering(struct crew__service_settings *s)
{
	usual(s);
	s->linger_ms = 40;
}

static void a_close_that_nobody_answers_ends(void **state)
{
	open_and_greet(state, short_lingering);
	crew_close(conn());
	world_until(&t.world, strstr(told(), "close:"));
	assert_string_equal(told(), "close:app");
	assert_string_equal(hear_frames(), "close:1000:;");
	assert_true(peer_sees_end(t.peer));
}

static void a_close_from_on_message_comes_last(void **state)
{
	open_it(state);
	put(WS_TEXT, "1", 1);
	put(WS_TEXT, "close", 5);
	put(WS_TEXT, "2", 1);
	say_them();
	assert_string_equal(hear_frames(), "text:1;text:before;close:4002:as told;");
	say(WS_CLOSING, "\x0f\xa2");
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_string_equal(told(), "text:1 text:close error:closed:1 close:app");
}

static void a_finish_is_a_close(void **state)
{
	open_it(state);
	assert_int_equal(crew_finish(conn()), 0);
	assert_int_equal(crew_finish(conn()), -ENOTCONN);
	assert_string_equal(hear_frames(), "close:1000:;");
}

static void a_goodbye_that_cannot_be_is_refused(void **state)
{
	static const int codes[] = { -1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70000 };
	char reason[124];
	open_it(state);
	memset(reason, 'r', sizeof(reason));
	for (size_t i = 0; i < crew__lengthof(codes); i++)
		assert_int_equal(crew_close_with(conn(), codes[i], CREW_BYTES("")), -EINVAL);
	assert_int_equal(crew_close_with(conn(), 1000, (crew_bytes){ reason, 124 }), -EINVAL);
	assert_int_equal(crew_close_with(conn(), 1000, (crew_bytes){ NULL, 1 }), -EINVAL);
	assert_int_equal(crew_close_with(conn(), 1000, CREW_BYTES("\xc3")), -EINVAL);
	say(WS_TEXT, "still open");
	assert_string_equal(hear_frames(), "text:still open;");
	assert_int_equal(crew_close_with(conn(), 3000, (crew_bytes){ reason, 123 }), 0);
	assert_int_equal(crew_close_with(conn(), 3000, CREW_BYTES("")), -ENOTCONN);
	assert_memory_equal(hear(), "\x88\x7d\x0b\xb8rr", 6);
}

/* Control frames are never refused: the close leaves behind all that waits. */
static void a_full_queue_takes_the_close(void **state)
{
	static char body[1000];
	unsigned sent = 0, seen = 0;
	open_it(state);
	memset(body, 's', sizeof(body));
	while (crew_send(conn(), (crew_bytes){ body, sizeof(body) }) >= 0) {
		sent++;
		world_turn(&t.world, 0);
	}
	crew_close(conn());
	const char *at = hear_frames();
	for (; strncmp(at, "text:", 5) == 0; at = strchr(at, ';') + 1)
		seen++;
	assert_int_equal(seen, sent);
	assert_string_equal(at, "close:1000:;");
}

/* ---- what breaks the protocol -------------------------------------------------------------- */

static void breaks(void **state, const char *bytes, size_t len, const char *goodbye)
{
	open_it(state);
	put(WS_TEXT, "good", 4);
	ws_put(&frames_to_say, bytes, len);
	say_them();
	snprintf(t.room, ROOM, "text:good;%s", goodbye);
	char *wanted = strdup(t.room);
	assert_string_equal(hear_frames(), wanted);
	free(wanted);
	assert_true(peer_sees_end(t.peer)); /* not waited for */
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_string_equal(told(), "text:good close:protocol");
	assert_int_equal(counter(&t.world, "total_request"), 1);
	clean_up(state);
}

#define BREAKS(bytes, goodbye) breaks(state, bytes, sizeof(bytes) - 1, goodbye)

static void each_fault_has_its_code(void **state)
{
	BREAKS("\x81\x02hi", "close:1002:;");                       /* not masked */
	BREAKS("\xc1\x80\0\0\0\0", "close:1002:;");                 /* RSV1 without an extension */
	BREAKS("\x83\x80\0\0\0\0", "close:1002:;");                 /* unknown opcode */
	BREAKS("\x80\x80\0\0\0\0", "close:1002:;");                 /* nothing to go on with */
	BREAKS("\x01\x80\0\0\0\0\x81\x80\0\0\0\0", "close:1002:;"); /* not gone on with */
	BREAKS("\x09\x80\0\0\0\0", "close:1002:;");                 /* a ping in fragments */
	BREAKS("\x89\xfe\0\x7e\0\0\0\0", "close:1002:;");           /* a ping of 126 bytes */
	BREAKS("\x88\x81\0\0\0\0\x03", "close:1002:;");             /* half a code */
	BREAKS("\x88\x82\0\0\0\0\x03\xed", "close:1002:;");         /* 1005 must not be sent */
	BREAKS("\x81\x81\0\0\0\0\xff", "close:1007:;");             /* no UTF-8: a short one */
	BREAKS("\x01\x81\0\0\0\0\xff", "close:1007:;");             /* at the first bad byte */
	BREAKS("\x82\xfe\x13\x89\0\0\0\0", "close:1009:;"); /* 5001 bytes, before they come */
	BREAKS("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", "close:1002:;");
	memset(&t, 0, sizeof(t));
	t.peer = -1;
}

static void a_peer_that_vanishes_says_no_goodbye(void **state)
{
	open_it(state);
	put(WS_FIRST_TEXT, "unfinished", 10);
	say_them();
	close(t.peer);
	t.peer = -1;
	world_settle(&t.world);
	assert_string_equal(told(), "close:peer");
}

/* ---- the heartbeat ------------------------------------------------------------------------- */

static void beating(struct crew__service_settings *s)
{
	usual(s);
	s->heartbeat_ms = 40;
	s->linger_ms = 40;
}

static void who_answers_lives(void **state)
{
	open_and_greet(state, beating);
	for (int i = 0; i < 3; i++) {
		world_until(&t.world, strstr(hear_frames(), "ping:"));
		say(WS_PONGING, "");
	}
	world_until(&t.world, strstr(hear_frames(), "ping:"));
	say(WS_TEXT, "any byte will do");
	world_until(&t.world, strstr(hear_frames(), "ping:"));
	assert_string_equal(told(), "text:any byte will do");
}

static void who_reads_and_never_answers_is_dead(void **state)
{
	open_and_greet(state, beating);
	uint64_t give_up = patience_ends();
	while (!strstr(told(), "close:")) {
		peer_drinks(&t.world, t.peer);
		world_wait(&t.world, give_up, "the end", __LINE__);
	}
	assert_string_equal(told(), "close:heartbeat");
	assert_int_equal(counter(&t.world, "close_heartbeat"), 1);
	assert_int_equal(counter(&t.world, "messages_offered"), 0);
}

static void stuff(void)
{
	static char body[1000];
	while (crew_queued(conn()) < 5000) {
		crew_send(conn(), (crew_bytes){ body, sizeof(body) });
		world_turn(&t.world, 0);
	}
}

static void who_has_a_queue_is_slow_and_not_dead(void **state)
{
	open_and_greet(state, beating);
	stuff();
	world_pass(&t.world, 900); /* many heartbeats; the ping has not left our queue */
	assert_string_equal(told(), "");
	assert_non_null(strstr(hear_frames(), "ping:"));
	say(WS_PONGING, "");
	assert_string_equal(told(), "");
}

static void who_leaves_much_in_the_kernel_is_not_dead(void **state)
{
	open_and_greet(state, beating);
	crew_send(conn(), CREW_BYTES("never read, for now"));
	world_pass(&t.world, 900);
	assert_string_equal(told(), "");
	uint64_t give_up = patience_ends();
	while (!strstr(told(), "close:")) { /* once it reads, its silence counts */
		peer_drinks(&t.world, t.peer);
		world_wait(&t.world, give_up, "the end", __LINE__);
	}
	assert_string_equal(told(), "close:heartbeat");
}

static void who_is_paused_is_not_dead(void **state)
{
	open_and_greet(state, beating);
	assert_int_equal(crew_pause(conn()), 0);
	uint64_t give_up = patience_ends();
	while (!strstr(hear_frames(), "ping:"))
		world_wait(&t.world, give_up, "the ping", __LINE__);
	say(WS_PONGING, "");
	world_pass(&t.world, 700);
	assert_string_equal(told(), "");
	assert_int_equal(crew_resume(conn()), 0);
	world_settle(&t.world);
	assert_string_equal(told(), "");
}

static void no_heartbeat(struct crew__service_settings *s)
{
	usual(s);
	s->heartbeat_ms = 0;
}

static void without_a_heartbeat_nobody_is_pinged(void **state)
{
	open_and_greet(state, no_heartbeat);
	world_pass(&t.world, 400);
	assert_string_equal(hear_frames(), "");
	assert_string_equal(told(), "");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(a_good_handshake_opens),
		ON_BOTH(frames_may_follow_the_handshake_at_once),
		ON_BOTH(bad_handshakes_get_their_status),
		ON_BOTH(one_that_drains_takes_no_more),
		ON_BOTH(an_answer_has_the_kind_of_what_it_answers),
		ON_BOTH(long_messages_keep_their_kind),
		ON_BOTH(control_frames_stand_between_fragments),
		ON_BOTH(a_close_is_echoed),
		ON_BOTH(our_close_waits_for_the_peers),
		ON_BOTH(a_close_that_nobody_answers_ends),
		ON_BOTH(a_close_from_on_message_comes_last),
		ON_BOTH(a_finish_is_a_close),
		ON_BOTH(a_goodbye_that_cannot_be_is_refused),
		ON_BOTH(a_full_queue_takes_the_close),
		ON_BOTH(each_fault_has_its_code),
		ON_BOTH(a_peer_that_vanishes_says_no_goodbye),
		ON_BOTH(who_answers_lives),
		ON_BOTH(who_reads_and_never_answers_is_dead),
		ON_BOTH(who_has_a_queue_is_slow_and_not_dead),
		ON_BOTH(who_leaves_much_in_the_kernel_is_not_dead),
		ON_BOTH(who_is_paused_is_not_dead),
		ON_BOTH(without_a_heartbeat_nobody_is_pinged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
