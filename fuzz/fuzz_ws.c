/* fuzz_ws.c - WebSocket frames in both roles, compressed or not: the same events however the bytes
 * are cut; texts are UTF-8; the short way says what the long one says; and messages that were
 * framed well come out as they were.
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "proto/ws.h"

enum {
	LIMIT = 2000,
	GATHERED = LIMIT + LIMIT / 8 + 64, /* of a compressed message that waits for its end */
};

/* How the connection came out of its handshake: the second byte of the input. */
struct how {
	bool client, parts, deflate, own_window, none_to_lend;
};

static struct how how_of(unsigned byte)
{
	return (struct how){ byte & 1, byte & 2, byte & 4, byte & 8, byte & 16 };
}

static struct crew__ws_options options_of(struct how how, struct crew__deflate_shared *shared)
{
	crew__deflate_shared_init(shared);
	if (how.none_to_lend)
		shared->lent_most = 0;
	return (struct crew__ws_options){ .max_message = LIMIT,
		.client = how.client,
		.parts = how.parts,
		.inflate_bits = how.deflate ? 15 : 0,
		.shared = how.deflate && !how.own_window ? shared : NULL };
}

static bool is_utf8(crew_bytes bytes)
{
	return crew__utf8_valid(bytes);
}

/* A message that is told in parts, written down when it is whole: where it was cut must not matter.
 */
struct parts {
	uint64_t hash, len;
	uint32_t utf8;
};

static void note_part(struct transcript *t, struct parts *p, const struct crew__ws_event *event)
{
	crew__must(event->last || event->body.len > 0);
	for (size_t i = 0; i < event->body.len; i++)
		p->hash = (p->hash ^ (uint8_t)event->body.data[i]) * UINT64_C(0x100000001B3);
	p->len += event->body.len;
	if (event->text)
		crew__must(crew__utf8_feed(&p->utf8, event->body.data, event->body.len));
	if (!event->last)
		return;
	crew__must(p->utf8 == CREW__UTF8_START);
	note_number(t, event->text);
	note_number(t, p->len);
	note_number(t, p->hash);
	*p = (struct parts){ 0 };
}

/* What would have been told of it. */
static void note_whole(struct transcript *t, struct how how, crew_bytes body)
{
	struct crew__ws_event event = { .body = body, .last = true };
	struct parts parts = { 0 };
	if (how.parts) {
		note_part(t, &parts, &event);
	} else {
		note_number(t, CREW__WS_MESSAGE);
		note_number(t, false);
		note_bytes(t, body);
	}
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
		crew__must(ws->special == 0);
		bool text = (data[0] & 15) == CREW__WS_OP_TEXT;
		crew__ws_init(&long_way, &(struct crew__ws_options){ .max_message = LIMIT });
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

static void check_held(const struct crew__ws *ws, struct how how)
{
	size_t held = crew__ws_held(ws);
	crew__must(held <= (how.deflate && how.none_to_lend ? GATHERED : LIMIT));
	crew__must(!how.parts || held == 0);
}

/* All of the bytes, in pieces (seed 0: in one). True: they were good to the end. */
static bool run(
	struct how how, const uint8_t *input, size_t size, unsigned seed, struct transcript *t)
{
	struct crew__ws ws;
	struct crew__deflate_shared shared;
	struct parts parts = { 0 };
	struct cutter cutter = cutter_of(seed);
	size_t at = 0, held = 0; /* what is held begins at `at` */
	bool open = true;
	struct crew__ws_options options = options_of(how, &shared);
	crew__ws_init(&ws, &options);
	while (open) {
		struct crew__ws_event event = { .kind = CREW__WS_MORE };
		compare_ways(&ws, (const char *)input + at, held);
		char *data = copy_of(input + at, held);
		size_t taken = held > 0 ? crew__ws_feed(&ws, data, held, &event) : 0;
		crew__must(taken <= held);
		if (event.kind == CREW__WS_PART)
			note_part(t, &parts, &event);
		else if (event.kind != CREW__WS_MORE)
			note_event(t, &event);
		open = event.kind != CREW__WS_BAD && event.kind != CREW__WS_CLOSE;
		if (open && event.kind != CREW__WS_MORE && cutter_next(&cutter) % 2)
			crew__ws_done(&ws);
		if (open)
			check_held(&ws, how);
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
	crew__deflate_shared_fini(&shared);
	return open;
}

/* The peer's end of it: frames of its role, compressed where that was agreed. */
struct peer {
	struct how how;
	struct cutter *cutter;
	struct crew__deflater *deflater;
	struct transcript *out, *expected;
};

static void put_frame(struct peer *p, unsigned byte0, crew_bytes body)
{
	char header[CREW__WS_MASKED_HEADER_MAX];
	uint32_t mask = p->how.client ? 0 : cutter_next(p->cutter);
	note(p->out, header,
		p->how.client ? crew__ws_head(header, byte0, body.len)
			      : crew__ws_masked_head(header, byte0, body.len, mask));
	for (size_t i = 0; i < body.len; i++) {
		uint8_t byte = (uint8_t)body.data[i] ^ ((const uint8_t *)&mask)[i % 4];
		note(p->out, &byte, 1);
	}
}

static void put_ping(struct peer *p, crew_bytes body)
{
	put_frame(p, CREW__WS_FIN | CREW__WS_OP_PING, body);
	note_event(p->expected, &(struct crew__ws_event){ .kind = CREW__WS_PING, .body = body });
}

/* A payload of one frame or more, with pings between them. */
static void put_fragments(struct peer *p, unsigned opcode, crew_bytes body)
{
	for (size_t at = 0; at < body.len;) {
		size_t n = cut(p->cutter, body.len - at);
		bool last = at + n == body.len;
		put_frame(p, (last ? CREW__WS_FIN : 0u) | (at == 0 ? opcode : 0),
			(crew_bytes){ body.data + at, n });
		at += n;
		if (!last && cutter_next(p->cutter) % 4 == 0)
			put_ping(p, (crew_bytes){ body.data, n % 126 });
	}
}

static void put_message(struct peer *p, crew_bytes body)
{
	struct crew__buf packed;
	crew__buf_init(&packed, 2 * LIMIT);
	if (p->deflater && crew__deflate(p->deflater, body, p->how.own_window, &packed) == 0)
		put_fragments(p, CREW__WS_RSV1 | CREW__WS_OP_BINARY,
			(crew_bytes){ packed.data, packed.len });
	else
		put_fragments(p, CREW__WS_OP_BINARY, body);
	crew__buf_release(&packed);
	note_whole(p->expected, p->how, body);
}

/* What is framed well comes out as it was. */
static void there_and_back(struct how how, const uint8_t *data, size_t size, unsigned seed)
{
	struct cutter cutter = cutter_of(seed);
	struct transcript frames = { 0 }, expected = { 0 }, told = { 0 };
	struct peer peer = { how, &cutter,
		how.deflate ? crew__deflater_new(8 + seed % 8, 1 + (int)seed % 9) : NULL, &frames,
		&expected };
	for (size_t at = 0; at < size;) {
		size_t n = crew__min(cut(&cutter, size - at), (size_t)LIMIT);
		put_message(&peer, (crew_bytes){ (const char *)data + at, n });
		at += n;
	}
	crew__must(run(how, (const uint8_t *)frames.data, frames.len, seed, &told));
	crew__must(same(&expected, &told));
	crew__deflater_free(peer.deflater);
	free(frames.data);
	free(expected.data);
	free(told.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned way = take_byte(&data, &size), seed = way >> 1;
	struct how how = how_of(take_byte(&data, &size));
	struct transcript whole = { 0 }, pieces = { 0 };
	if (size == 0)
		return 0;
	if (way % 2) {
		there_and_back(how, data, size, seed);
		return 0;
	}
	bool open = run(how, data, size, 0, &whole);
	crew__must(run(how, data, size, seed + 1, &pieces) == open);
	crew__must(same(&whole, &pieces));
	free(whole.data);
	free(pieces.data);
	return 0;
}
