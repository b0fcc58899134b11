/* ws_ways.h - what the tests of the WebSocket codec share: streams of masked frames, fed in every
 * way of cutting them, with the events written down as text. */
#ifndef CREW_TESTS_WS_WAYS_H
#define CREW_TESTS_WS_WAYS_H

#include "proto/ws.h"

enum {
	WS_ROOM = 200 * 1024,
	WS_LIMIT = 1000, /* max_message, where no other is said */
};

enum { /* the first byte of a frame */
	WS_TEXT = 0x81,
	WS_BINARY = 0x82,
	WS_LAST = 0x80,
	WS_FIRST_TEXT = 0x01,
	WS_FIRST_BINARY = 0x02,
	WS_CLOSING = 0x88,
	WS_PINGING = 0x89,
	WS_PONGING = 0x8A,
};

/* Masked frames back to back. */
struct ws_stream {
	char *data;
	size_t len;
};

struct ws_stream ws_stream_new(void);
void ws_put(struct ws_stream *s, const void *bytes, size_t len);

/* A header with its length in `width` bytes (0, 2, 8) and a mask; a whole frame. */
void ws_put_header(
	struct ws_stream *s, unsigned byte0, unsigned width, uint64_t len, const char mask[4]);
void ws_put_frame(struct ws_stream *s, unsigned byte0, const char *payload, size_t len);

/* Feed the stream in one way and write down the events: "text hello;ping;bad 1002;". */
void ws_run(const struct ws_stream *s, size_t limit, unsigned way, char *out);

/* Feed it in every way, which must come to the same events; the stream is freed. */
void ws_expect_with(struct ws_stream s, size_t limit, const char *events);
void ws_expect(struct ws_stream s, const char *events);

#endif
