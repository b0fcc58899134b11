/* ws_packed.h - the payload of compressed messages on its way into `message` (for ws.c alone). */
#ifndef CREW_PROTO_WS_PACKED_H
#define CREW_PROTO_WS_PACKED_H

#include "proto/ws.h"

/* The event that ends a connection. Returns false. */
static inline bool crew__ws_bad(struct crew__ws_event *e, uint16_t code, const char *what)
{
	*e = (struct crew__ws_event){ .kind = CREW__WS_BAD, .code = code, .what = what };
	return false;
}

enum { /* close codes */
	CREW__WS_BAD_PROTOCOL = 1002,
	CREW__WS_BAD_DATA = 1007, /* no UTF-8, no compressed data */
	CREW__WS_BAD_SIZE = 1009,
	CREW__WS_BAD_MEMORY = 1011,
};

/* A compressed message begins. False: e is BAD. */
bool crew__ws_packed_begin(struct crew__ws *ws, struct crew__ws_event *e);

/* Take `len` > 0 bytes of payload, masked as they came; `data` is not written to. Returns how many
 * were taken: all of them, unless e is BAD, or PART. */
size_t crew__ws_packed_take(
	struct crew__ws *ws, const char *data, size_t len, struct crew__ws_event *e);

/* All of its payload was taken: what is left of it gets into `message`. False: e is BAD. */
bool crew__ws_packed_end(struct crew__ws *ws, struct crew__ws_event *e);

/* Give back what was lent for it, or free what is our own; when the codec goes, or at its end. */
void crew__ws_packed_release(struct crew__ws *ws);

#endif
