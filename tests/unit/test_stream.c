/* test_stream.c - streams cut into messages: lines, frames, and a protocol of the program's own,
 * with what each does to a peer that does not keep to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_ways.h"
#include "pieces.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	ROOM = 1 << 16,
	MOST = 20 /* max_message */
};

static struct {
	struct world world;
	int peer;
	char *room;
} t;

/* ---- a protocol: a digit says how many bytes follow ---------------------------------------- */

struct state {
	char mark[7];
	unsigned cuts;
};

static int64_t cut(crew_conn *c, crew_bytes in)
{
	struct state *state = crew_protocol_state(c);
	assert_string_equal(state->mark, "opened");
	state->cuts++;
	assert_true(in.len > 0);
	if (in.data[0] == 'z')
		return 1000; /* longer than max_message */
	if (in.data[0] == '.')
		return 0; /* never to be told */
	if (in.data[0] == 'c')
		crew_close(c);
	if (in.data[0] == 'a')
		crew_abort(c);
	if (isalpha(in.data[0]))
		return 1;
	return isdigit(in.data[0]) ? 1 + in.data[0] - '0' : -EPROTO;
}

static int decode(crew_conn *c, crew_bytes in, crew_msg *ret_msg)
{
	struct state *state = crew_protocol_state(c);
	if (in.len == 5)
		return -EBADMSG;
	if (in.len == 4)
		crew_close(c);
	*ret_msg = (crew_msg){ { in.data + 1, in.len - 1 }, CREW_TEXT };
	assert_true(state->cuts > 0);
	return 0;
}

/* In capitals, twice over: more than the frame's room takes. */
static int encode(crew_conn *c, crew_kind kind, crew_frame *frame)
{
	size_t len = frame->body.len;
	char *room = crew_scratch(c, len);
	assert_true(kind == CREW_TEXT || kind == CREW_BINARY);
	if (!room)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++)
		room[i] = (char)toupper(frame->body.data[i]);
	room = crew_scratch(c, 2 * len); /* may have moved; holds the same */
	memcpy(room + len, room, len);
	frame->body = (crew_bytes){ room, 2 * len };
	frame->room[0] = '(';
	frame->room[1] = ')';
	frame->head = (crew_bytes){ frame->room, 1 };
	frame->tail = (crew_bytes){ frame->room + 1, 1 };
	return 0;
}

static void protocol_open(crew_conn *c)
{
	struct state *state = crew_protocol_state(c);
	assert_int_equal(state->cuts, 0);
	assert_int_equal((uintptr_t)state % 16, 0);
	memcpy(state->mark, "opened", 7);
	tell("protocol-open");
}

static void protocol_close(crew_conn *c)
{
	struct state *state = crew_protocol_state(c);
	assert_string_equal(state->mark, "opened");
	tell("protocol-close");
}

static const crew_protocol digits = {
	.name = "digits",
	.state_size = sizeof(struct state),
	.cut = cut,
	.decode = decode,
	.encode = encode,
	.on_open = protocol_open,
	.on_close = protocol_close,
};

static void on_open(crew_conn *c)
{
	tell_open(c);
	memset(crew_data(c), 0xff, 100); /* beside the protocol's own, not in it */
}

static void on_message(crew_conn *c, crew_msg msg)
{
	tell("%s:%.*s", msg.kind == CREW_TEXT ? "text" : "binary", (int)msg.body.len,
		msg.body.data);
	crew_send(c, msg.body);
}

#define TELLING                                                                                 \
	.conn_size = 100, .on_open = on_open, .on_message = on_message, .on_error = tell_error, \
	.on_close = tell_close
static const crew_service own = {
	.name = "own", .listen = "digits://127.0.0.1:1", .protocol = &digits, TELLING
};
static const crew_service text = { .name = "text", .listen = "text://127.0.0.1:1", TELLING };
static const crew_service frame = { .name = "frame", .listen = "frame://127.0.0.1:1", TELLING };
static const crew_service raw = { .name = "raw", .listen = "tcp://127.0.0.1:1", TELLING };

static int64_t cut_all(crew_conn *c, crew_bytes in)
{
	assert_non_null(c);
	return (int64_t)in.len;
}
static const crew_protocol bare_protocol = { .name = "bare", .cut = cut_all };
static const crew_service bare = {
	.name = "bare", .listen = "bare://127.0.0.1:1", .protocol = &bare_protocol, TELLING
};

static void small(struct crew__service_settings *s)
{
	s->max_message = MOST;
	s->linger_ms = 0;
}

static void open_it(void **state, const crew_service *service)
{
	memset(&t, 0, sizeof(t));
	t.room = malloc(ROOM);
	told_anew();
	assert_true(world_open(&t.world, service, engine_of(state), small));
	t.peer = world_connect(&t.world);
	assert_true(t.peer >= 0);
	world_settle(&t.world);
}

static int clean_up(void **state)
{
	(void)state;
	if (t.peer >= 0)
		close(t.peer);
	world_clean_up(&t.world);
	free(t.room);
	return 0;
}

static void say(const char *bytes, size_t len)
{
	peer_says(t.peer, (crew_bytes){ bytes, len });
	world_settle(&t.world);
}

#define SAY(literal) say(literal, sizeof(literal) - 1)

/* What is told after the opening. */
static void expect(const char *words)
{
	const char *opening = strncmp(told(), "protocol-open ", 14) == 0 ? "protocol-open open"
									 : "open";
	assert_memory_equal(told(), opening, strlen(opening));
	const char *rest = told() + strlen(opening);
	assert_string_equal(*rest ? rest + 1 : rest, words);
}

/* A stream that breaks the protocol after one good message. */
static void breaks(
	void **state, const crew_service *service, const char *bytes, size_t len, const char *words)
{
	open_it(state, service);
	say(bytes, len);
	expect(words);
	assert_int_equal(counter(&t.world, "close_protocol"), 1);
	clean_up(state);
	memset(&t, 0, sizeof(t));
	t.peer = -1;
}

#define BREAKS(service, bytes, words) breaks(state, service, bytes, sizeof(bytes) - 1, words)

/* ---- lines and frames ---------------------------------------------------------------------- */

static void lines_keep_to_their_length(void **state)
{
	open_it(state, &text);
	SAY("12345678901234567890\nshort\r\n\r\n\n"); /* as long as can be, and as short */
	expect("text:12345678901234567890 text:short text: text:");
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_string_equal(t.room, "12345678901234567890\nshort\n\n\n");
	clean_up(state);
	BREAKS(&text, "good\n123456789012345678901\n", "text:good close:protocol");
	BREAKS(&text, "good\n1234567890123456789012345", "text:good close:protocol"); /* no end */
}

static void frames_keep_to_their_length(void **state)
{
	open_it(state, &frame);
	SAY("\0\0\0\x04\0\0\0\x05"
	    "a\0\0\0\x18"
	    "12345678901234567890\0\0");
	expect("binary: binary:a binary:12345678901234567890");
	clean_up(state);
	BREAKS(&frame, "\0\0\0\x05g\0\0\0\x03", "binary:g close:protocol");
	BREAKS(&frame, "\0\0\0\x05g\0\0\0\0", "binary:g close:protocol");
	BREAKS(&frame, "\0\0\0\x05g\0\0\0\x19", "binary:g close:protocol");
	BREAKS(&frame, "\0\0\0\x05g\xff\xff\xff\xff", "binary:g close:protocol");
	BREAKS(&frame, "\0\0\0\x05g\x80\0\0\0", "binary:g close:protocol");
}

static void a_raw_stream_is_taken_as_it_comes(void **state)
{
	open_it(state, &raw);
	SAY("more than max_message at once");
	SAY("and more");
	expect("binary:more than max_message at once binary:and more");
}

/* ---- a protocol of the program's own ------------------------------------------------------- */

static void a_protocol_cuts_decodes_and_encodes(void **state)
{
	static const char stream[] = "2hi5there02ok";
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		struct pieces pieces = pieces_of(way);
		open_it(state, &own);
		for (size_t at = 0, n; at < sizeof(stream) - 1; at += n) {
			n = pieces_next(&pieces, sizeof(stream) - 1 - at);
			say(stream + at, n);
		}
		peer_hears_all(&t.world, t.peer, t.room, ROOM);
		assert_string_equal(t.room, "(HIHI)(THERETHERE)()(OKOK)");
		close(t.peer);
		t.peer = -1;
		world_settle(&t.world);
		/* The protocol is first to come and last to go. */
		assert_string_equal(told(), "protocol-open open text:hi text:there text: text:ok "
					    "close:peer protocol-close");
		clean_up(state);
	}
	memset(&t, 0, sizeof(t));
	t.peer = -1;
}

static void what_a_protocol_refuses_ends_the_connection(void **state)
{
	BREAKS(&own, "2hi?", "text:hi close:protocol protocol-close");     /* cut says no */
	BREAKS(&own, "2hi4nono", "text:hi close:protocol protocol-close"); /* decode says no */
	BREAKS(&own, "2hiz", "text:hi close:protocol protocol-close");     /* too long */
	BREAKS(&own, "2hi.....................", "text:hi close:protocol protocol-close");
}

/* Closing is legal in cut and decode; then the message is none any more. */
static void a_protocol_may_close(void **state)
{
	static const char *const streams[][2] = {
		{ "2hic", "text:hi close:app protocol-close" },
		{ "2hi3bye2no", "text:hi close:app protocol-close" },
		{ "2hia", "text:hi error:aborted:1 close:app protocol-close" }, /* the answer */
	};
	for (size_t i = 0; i < crew__lengthof(streams); i++) {
		open_it(state, &own);
		say(streams[i][0], strlen(streams[i][0]));
		expect(streams[i][1]);
		clean_up(state);
	}
	memset(&t, 0, sizeof(t));
	t.peer = -1;
}

static void a_protocol_need_do_no_more_than_cut(void **state)
{
	open_it(state, &bare);
	SAY("whole");
	expect("binary:whole");
	peer_hears_all(&t.world, t.peer, t.room, ROOM);
	assert_string_equal(t.room, "whole");
	clean_up(state);
	BREAKS(&bare, "more than twenty bytes", "close:protocol");
}

int main(void)
{
	crew__log_open(-1, CREW_ERROR, "test");
	const struct CMUnitTest tests[] = {
		ON_BOTH(lines_keep_to_their_length),
		ON_BOTH(frames_keep_to_their_length),
		ON_BOTH(a_raw_stream_is_taken_as_it_comes),
		ON_BOTH(a_protocol_cuts_decodes_and_encodes),
		ON_BOTH(what_a_protocol_refuses_ends_the_connection),
		ON_BOTH(a_protocol_may_close),
		ON_BOTH(a_protocol_need_do_no_more_than_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
