/* ws.h - WebSocket frames, for both roles: bytes in, events out (RFC 6455, RFC 7692).
 *
 * No sockets. The caller hands over the bytes that it has; the codec takes one frame's worth (or a
 * part of a long one) and says what happened. A whole unfragmented message is unmasked in place and
 * lent from the caller's bytes; only what arrives in pieces or compressed is gathered in `message`,
 * bounded by max_message before anything is allocated and while it is inflated. Text is validated
 * as it streams, and refused at the first byte that cannot begin or continue a character, whatever
 * may follow.
 *
 * Between two calls: an unfinished frame header, and an unfinished control frame (at most 131
 * bytes), stay with the caller (consumed 0); so does the last byte of a compressed piece of which
 * parts have been told and not all; everything else has been taken. */
#ifndef CREW_PROTO_WS_H
#define CREW_PROTO_WS_H

#include "base/base.h"
#include "base/buf.h"
#include "proto/deflate.h"

enum {
	/* crew__ws.special */
	CREW__WS_CLIENT = 1, /* we are the client: what comes is not masked */
	CREW__WS_PARTS = 2,  /* messages are told in parts */
};

struct crew__ws {
	struct crew__buf message; /* what was gathered of a message that came in pieces */
	uint64_t left;            /* payload bytes of the present data frame still to come */
	struct crew__deflate_shared *shared; /* permessage-deflate without takeover; else NULL */
	struct crew__inflater *inflater;     /* our own (takeover), or lent for the present message */
	uint32_t utf8;                       /* the validator's state between pieces */
	uint8_t mask[4];
	uint8_t mask_at; /* 0..3: which mask byte is next */
	uint8_t bits;    /* of the peer's window; 0: permessage-deflate is not agreed */
	union {
		struct {
			uint8_t opcode; /* of the present message: 1 or 2; 0: none has begun */
			uint8_t special;
		};
		uint16_t long_way; /* not 0: crew__ws_take_short is not for it */
	};
	bool fin : 1;      /* the present data frame is its message's last */
	bool in_frame : 1;
	bool packed : 1;   /* the present message is compressed */
	bool gathers : 1;  /* ... and gathered so, as no inflater is free */
	bool ahead : 1;    /* parts: one byte more is inflated than was taken */
};

/* How a connection came out of its handshake. */
struct crew__ws_options {
	size_t max_message; /* bounds a whole message however it is fragmented, inflated */
	bool client;        /* we are the client */
	bool parts;         /* tell messages as CREW__WS_PART as they come: max_message does not hold */
	/* permessage-deflate is agreed: the peer's window, 8 to 15; 0: it is not. */
	unsigned inflate_bits;
	/* The worker's, for a peer that compresses without takeover; NULL: its window stays from message
	 * to message, and the codec has an inflater of its own from the first compressed one on. */
	struct crew__deflate_shared *shared;
};

enum crew__ws_kind {
	CREW__WS_MORE,    /* nothing yet; feed the rest again: at once when bytes were taken and some
	                   * are left, else with more behind them */
	CREW__WS_MESSAGE, /* body, text or binary; lent until the next call */
	CREW__WS_PART,    /* likewise, some of it; `last`: this ends it. Feed the rest at once */
	CREW__WS_PING,    /* body: answer with it */
	CREW__WS_PONG,
	CREW__WS_CLOSE,   /* code (1005 when the frame had none) and reason in body */
	CREW__WS_BAD,     /* code says with which close code to end; 1002, 1007, 1009, 1011 (no memory) */
};

struct crew__ws_event {
	enum crew__ws_kind kind;
	crew_bytes body;
	bool text;
	bool last; /* PART */
	uint16_t code;
	const char *what; /* BAD: a sentence for the log, e.g. "frame is not masked" */
};

enum { CREW__WS_HEADER_MAX = 10, CREW__WS_MASKED_HEADER_MAX = 14, CREW__WS_CONTROL_MAX = 125 };
enum { CREW__WS_OP_TEXT = 1, CREW__WS_OP_BINARY = 2, CREW__WS_OP_CLOSE = 8, CREW__WS_OP_PING = 9,
	CREW__WS_OP_PONG = 10 };
enum { CREW__WS_FIN = 0x80, CREW__WS_RSV1 = 0x40 /* with the opcode: the message is compressed */ };

/* In place. */
void crew__ws_init(struct crew__ws *ws, const struct crew__ws_options *options);
void crew__ws_fini(struct crew__ws *ws);

/* Take from `data` (written to: unmasked in place), at most up to the end of one frame. Returns the
 * number of bytes taken. After BAD or CLOSE nothing more may be fed. */
size_t crew__ws_feed(struct crew__ws *ws, char *data, size_t len, struct crew__ws_event *ret_event);

/* The message that was lent last is done with: give the memory that it was gathered in back now and
 * not only at the next feed, which may be far away. Without effect while one is unfinished. */
void crew__ws_done(struct crew__ws *ws);

/* The frame that nearly every message is: whole, unfragmented, at most 125 bytes. The same answer as
 * crew__ws_feed's, in a fraction of its instructions; 0 when it is another kind of frame, and then
 * nothing was touched. A text with other than ASCII in it is `ret_plain` false: it is unmasked, and
 * is still to be validated (crew__utf8_valid). */
static inline size_t crew__ws_take_short(
	const struct crew__ws *ws, char *data, size_t len, crew_bytes *ret_body, bool *ret_plain)
{
	const size_t header = 6; /* two bytes and the mask */
	unsigned kind = (unsigned char)data[0] - 0x81u; /* 0 text, 1 binary, both final */
	if (len < header || kind > 1 || ws->long_way != 0 || ws->message.data)
		return 0;
	size_t n = (size_t)(unsigned char)data[1] - 0x80;
	if (n > CREW__WS_CONTROL_MAX || n > len - header || n > ws->message.max)
		return 0;
	char *body = data + header;
	uint64_t word, any = 0, key;
	memcpy(&key, data + 2, 4);
	key = (key & UINT32_MAX) | key << 32;
	size_t at = 0;
	for (; n - at >= 8; at += 8) {
		memcpy(&word, body + at, 8);
		word ^= key;
		any |= word;
		memcpy(body + at, &word, 8);
	}
	if (n - at >= 4) {
		uint32_t half;
		memcpy(&half, body + at, 4);
		half ^= (uint32_t)key;
		any |= half;
		memcpy(body + at, &half, 4);
		at += 4;
	}
	for (; crew__unlikely(at < n); at++) {
		body[at] = (char)(body[at] ^ data[2 + (at & 3)]);
		any |= (unsigned char)body[at];
	}
	*ret_body = (crew_bytes){ body, n };
	*ret_plain = kind == 1 || !(any & UINT64_C(0x8080808080808080));
	return header + n;
}

/* The bytes gathered for an unfinished message, for `recv_queue`. */
size_t crew__ws_held(const struct crew__ws *ws);

/* The header of an unmasked frame of `len` bytes that begins with `byte0`: FIN, RSV1 and opcode.
 * Returns its length, 2, 4 or 10. */
static inline size_t crew__ws_head(char *room, unsigned byte0, size_t len)
{
	unsigned char *out = (unsigned char *)room;
	out[0] = (unsigned char)byte0;
	if (crew__likely(len < 126)) {
		out[1] = (unsigned char)len;
		return 2;
	}
	if (len < 65536) {
		out[1] = 126;
		out[2] = (unsigned char)(len >> 8);
		out[3] = (unsigned char)len;
		return 4;
	}
	out[1] = 127;
	for (int i = 0; i < 8; i++)
		out[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
	return 10;
}

/* ... of a final frame: a server's message or control frame. */
static inline size_t crew__ws_header(char *room, unsigned opcode, size_t len)
{
	return crew__ws_head(room, CREW__WS_FIN | opcode, len);
}

/* Masking keys for what a client sends: each is drawn from the kernel's generator and used once
 * (RFC 6455 5.3, 10.3). All zero at first. One per worker; not for two threads. */
struct crew__ws_keys {
	uint8_t bytes[256];
	unsigned left;
};

/* 0, or a negative errno when the kernel has none: then nothing may be sent. */
int crew__ws_key_draw(struct crew__ws_keys *keys, uint32_t *ret_key);

/* As crew__ws_head, for a client: with the key. Returns its length, 6, 8 or 14. The payload goes
 * behind it by crew__ws_mask_copy (ws_mask.h) or, where it stands already, crew__ws_unmask, which
 * masks as well. */
static inline size_t crew__ws_masked_head(char *room, unsigned byte0, size_t len, uint32_t key)
{
	size_t n = crew__ws_head(room, byte0, len);
	room[1] = (char)((unsigned char)room[1] | 0x80u);
	memcpy(room + n, &key, sizeof(key));
	return n + sizeof(key);
}

/* A code that may stand in a close frame (RFC 6455 7.4, and the registry up to 1014). */
bool crew__ws_code_valid(unsigned code);

/* Sec-WebSocket-Accept for a key: 28 characters and a NUL. False unless the key is 16 bytes in
 * base64 (RFC 6455 4.2.1). */
bool crew__ws_accept(crew_bytes key, char ret_accept[29]);

#endif
