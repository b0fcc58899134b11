/* ws_ways.c - making masked frames, and feeding them as the codec's caller does, and worse: from
 * memory that moves between any two calls and ends where the bytes end. */
#include "ws_ways.h"

#include "pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct ws_stream ws_stream_new(void)
{
	struct ws_stream s = { malloc(WS_ROOM), 0 };
	assert_non_null(s.data);
	return s;
}

void ws_put(struct ws_stream *s, const void *bytes, size_t len)
{
	assert_true(len <= WS_ROOM - s->len);
	if (len == 0)
		return;
	memcpy(s->data + s->len, bytes, len);
	s->len += len;
}

/* A header with its length in `width` bytes (0, 2, 8) and a mask. */
void ws_put_header(
	struct ws_stream *s, unsigned byte0, unsigned width, uint64_t len, const char mask[4])
{
	char header[10] = { (char)byte0, (char)(0x80 | (width == 0          ? len
							       : width == 2 ? 126
									    : 127)) };
	for (unsigned i = 0; i < width; i++)
		header[2 + i] = (char)(len >> (8 * (width - 1 - i)));
	ws_put(s, header, 2 + width);
	ws_put(s, mask, 4);
}

void ws_put_frame(struct ws_stream *s, unsigned byte0, const char *payload, size_t len)
{
	static const char mask[4] = { '\x9D', '\x21', '\xF3', '\x08' };
	ws_put_header(s, byte0, len < 126 ? 0 : len < 65536 ? 2 : 8, len, mask);
	size_t start = s->len;
	ws_put(s, payload, len);
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
	static const char *const names[] = { "", "msg", "part", "ping", "pong", "close", "bad" };
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
void ws_run(const struct ws_stream *s, size_t limit, unsigned way, char *out)
{
	struct pieces pieces = pieces_of(way);
	struct crew__ws ws;
	size_t start = 0, there = 0;
	crew__ws_init(&ws, &(struct crew__ws_options){ .max_message = limit });
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

void ws_expect_with(struct ws_stream s, size_t limit, const char *events)
{
	for (unsigned way = 0; way < PIECES_WAYS; way++) {
		char out[2000];
		ws_run(&s, limit, way, out);
		assert_string_equal(out, events);
	}
	free(s.data);
}

void ws_expect(struct ws_stream s, const char *events)
{
	ws_expect_with(s, WS_LIMIT, events);
}
