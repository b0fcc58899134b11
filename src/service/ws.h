/* ws.h - what the files of WebSocket connections share, and who sends through them.
 *
 *   ws.c            handshakes, frames to messages, the goodbye
 *   ws_frame.c      messages to frames: compressed, masked
 *   ws_parts.c      long messages sent in parts
 *   ws_heartbeat.c  pings, and the round trips that they measure
 *   ws_worker.c     what a worker has for all of its WebSockets
 *   ws_move.c       one that goes on in another process (handover.h)
 *
 * How frames look is proto/ws.h; which connections share the bytes of a broadcast is shared.c. */
#ifndef CREW_SERVICE_WS_H
#define CREW_SERVICE_WS_H

#include "base/parcel.h"
#include "service/http.h"

/* What all WebSockets of a worker use one after the other. */
struct crew__ws_worker {
	struct crew__deflate_shared deflate;
	struct crew__ws_keys keys;
	struct crew__buf out; /* a frame's payload while it is sent: compressed, masked */
	size_t share;         /* bytes of messages that share_of has had in the turn share_turn */
	const crew_conn *share_of;
	uint32_t share_turn;
	struct crew__loop *loop;
	struct crew__turn_hook hook; /* of the loop while somebody waits */
	uint64_t *waiting;           /* those that have had their share of this turn: ids */
	uint32_t waiting_count, waiting_room;
	char **subprotocols;  /* names that were agreed on: crew__side.subprotocol is a place from 1
			       */
	uint8_t subprotocol_count;
};

/* Made when it is first asked for; NULL without memory. */
struct crew__ws_worker *crew__ws_worker(crew_worker *w);

/* It has had its share of this turn: what else has come goes on in the next one. False without
 * memory: then it goes on now. */
bool crew__ws_yield(crew_conn *c);

/* Its side, as the handshake came out; the worker has what WebSockets need (crew__ws_worker). */
void crew__ws_init_side(crew_conn *c, const struct crew__ws_agreed *agreed, bool client);

/* A ping, pong or close frame. Without memory the connection is broken. */
void crew__ws_control(crew_conn *c, unsigned opcode, crew_bytes body);
/* An answer to the last ping: its round trip. Any other pong says only that the peer lives. */
void crew__ws_pong(crew_conn *c, crew_bytes body);
/* Which bytes of a broadcast are its own, as things are now (net/burst.h). */
void crew__ws_set_variant(crew_conn *c);

/* A message in parts (ws_parts.c). */
enum crew__ws_parts {
	CREW__WS_PARTS_NONE,
	CREW__WS_PARTS_BEGUN, /* no frame of it was sent: the first says the kind */
	CREW__WS_PARTS_GOING_ON,
};

/* What is said of a message that bears on how it is framed. */
enum {
	CREW__FRAME_PLAIN = 1u << 0,  /* not compressed: options.plain */
	CREW__FRAME_ALONE = 1u << 1,  /* it may be replaced, or expire: no other may refer to it */
	CREW__FRAME_PASSES = 1u << 2, /* it may pass others */
};

/* A part of a message for what `from` is piped into: sent on as a part. */
void crew__ws_pipe_part(crew_conn *from, crew_msg part, bool last);

/* Is a message of `len` bytes to be compressed for `c`, if that makes it shorter? */
bool crew__ws_packs(const crew_conn *c, size_t len, unsigned how);

/* Frame `frame->body`, for one that is not CREW__VARIANT_PLAIN: compressed when that is agreed and
 * worth it, masked by a client. 0, or -ENOMEM. What it makes is in the worker's `out`, until the
 * next frame. */
int crew__ws_frame(crew_conn *c, crew_kind kind, unsigned how, crew_frame *frame);
/* The same for a shared message: with the worker's compressor for that window. 1: it is not made
 * shorter; frame->body is as it was. */
int crew__ws_frame_shared(crew_conn *c, crew_kind kind, unsigned bits, crew_frame *frame);
/* What a frame has left in the worker's `out` is done with. */
void crew__ws_frame_done(crew_worker *w);

/* Put the mask of a client on; `room` has CREW__WS_MASKED_HEADER_MAX bytes. 0, -ENOMEM. */
int crew__ws_mask_frame(crew_conn *c, unsigned byte0, char *room, crew_frame *frame);

/* Does it stand between two messages, or amid one that another process can go on with? */
bool crew__ws_is_movable(const crew_conn *c);
/* Write down its side. What fails is remembered in the parcel. */
void crew__ws_pack(crew_conn *c, struct crew__parcel *parcel);
/* Make it of that. 0; or -EPROTO, -ENOMEM, -ENOTSUP (it is amid what the settings here do not allow):
 * then crew__ws_closed() is still to be called when `ret_begun`. */
int crew__ws_unpack(crew_conn *c, crew_bytes packed, bool *ret_begun);

#endif
