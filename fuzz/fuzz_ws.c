/* fuzz_ws.c - WebSocket frames: the same events however the bytes are cut; texts are UTF-8; the
 * short way says what the long one says; and messages that were framed well come out as they were.
 */
#include "fuzz.h"

#include "proto/utf8.h"
#include "proto/ws.h"

enum {
	LIMIT = 2000
};

static bool is_utf8(crew_bytes bytes)
{
	return crew__utf8_valid(bytes);
}

static void note_event(struct transcript *t, const struct crew__ws_event *event)
{
	note_number(t, (uint64_t)event->kind);
	switch (event->kind) {
	case CREW__WS_MESSAGE:
		crew__must(event->body.len <= LIMIT);
		crew__must(!event->text || is_utf8(event->body));
		note_number(t, event->text);
		break;
	case CREW__WS_CLOSE:
		crew__must(event->code == 1005 || crew__ws_code_valid(event->code));
		crew__must(is_utf8(event->body));
		note_number(t, event->code);
		break;
	case CREW__WS_BAD:
		crew__must(event->what &&
			   (event->code == 1002 || event->code == 1007 || event->code == 1009));
		note_number(t, event->code);
		return;
	default:
		crew__must(event->body.len <= CREW__WS_CONTROL_MAX);
		break;
	}
	note_bytes(t, (crew_bytes){ event->body.data ? event->body.data : "", event->body.len });
}

/* The short way takes a frame only if the long one does, and makes the same of it. */
static void compare_ways(const struct crew__ws *ws, const char *data, size_t len)
{
	struct crew__ws long_way;
	struct crew__ws_event event;
	crew_bytes body = { NULL, 0 };
	bool plain = false;
	if (ws->in_frame || ws->message.data || len == 0)
		return;
	char *one = copy_of(data, len), *other = copy_of(data, len);
	size_t taken = crew__ws_take_short(ws, one, len, &body, &plain);
	if (taken > 0) {
		bool text = (data[0] & 15) == CREW__WS_OP_TEXT;
		crew__ws_init(&long_way, LIMIT);
		size_t also = crew__ws_feed(&long_way, other, len, &event);
		if (text && !plain && !is_utf8(body)) {
			crew__must(event.kind == CREW__WS_BAD && event.code == 1007);
		} else {
			crew__must(event.kind == CREW__WS_MESSAGE && also == taken);
			crew__must(event.text == text && event.body.len == body.len);
			crew__must(memcmp(event.body.data, body.data, body.len) == 0);
		}
		crew__ws_fini(&long_way);
	} else {
		crew__must(memcmp(one, data, len) == 0);
	}
	free(one);
	free(other);
}

/* All of the bytes, in pieces (seed 0: in one). True: they were good to the end. */
static bool run(const uint8_t *input, size_t size, unsigned seed, struct transcript *t)
{
	struct crew__ws ws;
	struct cutter cutter = cutter_of(seed);
	size_t at = 0, held = 0; /* what is held begins at `at` */
	bool open = true;
	crew__ws_init(&ws, LIMIT);
	while (open) {
		struct crew__ws_event event = { .kind = CREW__WS_MORE };
		compare_ways(&ws, (const char *)input + at, held);
		char *data = copy_of(input + at, held);
		size_t taken = held > 0 ? crew__ws_feed(&ws, data, held, &event) : 0;
		crew__must(taken <= held && crew__ws_held(&ws) <= LIMIT);
		if (event.kind != CREW__WS_MORE)
			note_event(t, &event);
		if (event.kind == CREW__WS_MESSAGE && cutter_next(&cutter) % 2)
			crew__ws_done(&ws);
		open = event.kind != CREW__WS_BAD && event.kind != CREW__WS_CLOSE;
		free(data);
		at += taken;
		held -= taken;
		if (event.kind != CREW__WS_MORE || (taken > 0 && held > 0))
			continue;
		size_t left = size - at - held;
		if (left == 0)
			break;
		held += seed == 0 ? left : cut(&cutter, left);
	}
	crew__ws_fini(&ws);
	return open;
}

/* A frame of a client: masked, its length in the fewest bytes. */
static void put_frame(
	struct transcript *out, unsigned byte0, const uint8_t *data, size_t len, uint32_t mask)
{
	char header[CREW__WS_HEADER_MAX + 4];
	size_t n = crew__ws_header(header, byte0 & 15, len);
	header[0] = (char)byte0;
	header[1] = (char)(header[1] | 0x80);
	memcpy(header + n, &mask, 4);
	note(out, header, n + 4);
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = data[i] ^ ((const uint8_t *)&mask)[i % 4];
		note(out, &byte, 1);
	}
}

static void put_ping(struct transcript *out, crew_bytes body, uint32_t mask, struct transcript *t)
{
	put_frame(out, 0x80 | CREW__WS_OP_PING, (const uint8_t *)body.data, body.len, mask);
	note_event(t, &(struct crew__ws_event){ .kind = CREW__WS_PING, .body = body });
}

/* A binary message of one frame or more, with pings between them. */
static void put_message(
	struct transcript *out, crew_bytes body, struct cutter *cutter, struct transcript *t)
{
	for (size_t at = 0; at < body.len;) {
		size_t n = cut(cutter, body.len - at);
		bool last = at + n == body.len;
		unsigned opcode = at == 0 ? CREW__WS_OP_BINARY : 0;
		put_frame(out, (last ? 0x80u : 0) | opcode, (const uint8_t *)body.data + at, n,
			cutter_next(cutter));
		at += n;
		if (!last && cutter_next(cutter) % 4 == 0)
			put_ping(out, (crew_bytes){ body.data, n % 126 }, cutter_next(cutter), t);
	}
	note_event(t, &(struct crew__ws_event){ .kind = CREW__WS_MESSAGE, .body = body });
}

/* What is framed well comes out as it was. */
static void there_and_back(const uint8_t *data, size_t size, unsigned seed)
{
	struct cutter cutter = cutter_of(seed);
	struct transcript frames = { 0 }, expected = { 0 }, told = { 0 };
	for (size_t at = 0; at < size;) {
		size_t n = crew__min(cut(&cutter, size - at), (size_t)LIMIT);
		put_message(
			&frames, (crew_bytes){ (const char *)data + at, n }, &cutter, &expected);
		at += n;
	}
	crew__must(run((const uint8_t *)frames.data, frames.len, seed, &told));
	crew__must(same(&expected, &told));
	free(frames.data);
	free(expected.data);
	free(told.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned way = take_byte(&data, &size), seed = way >> 1;
	struct transcript whole = { 0 }, pieces = { 0 };
	if (size == 0)
		return 0;
	if (way % 2) {
		there_and_back(data, size, seed);
		return 0;
	}
	bool open = run(data, size, 0, &whole);
	crew__must(run(data, size, seed + 1, &pieces) == open);
	crew__must(same(&whole, &pieces));
	free(whole.data);
	free(pieces.data);
	return 0;
}
