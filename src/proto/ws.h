/* ws.h - WebSocket, the server's side: bytes in, events out (RFC 6455).
 *
 * No sockets. The caller hands over the bytes that it has; the codec takes one frame's worth (or a
 * part of a long one) and says what happened. A whole unfragmented message is unmasked in place and
 * lent from the caller's bytes; only what arrives in pieces is gathered in `message`, bounded by
 * max_message before anything is allocated. Text is validated as it streams, and refused at the
 * first byte that cannot begin or continue a character, whatever may follow.
 *
 * Between two calls: an unfinished frame header, and an unfinished control frame (at most 131 bytes),
 * stay with the caller (consumed 0); everything else has been taken. */
#ifndef CREW_PROTO_WS_H
#define CREW_PROTO_WS_H

#include "base/base.h"
#include "base/buf.h"

struct crew__ws {
	struct crew__buf message; /* what was gathered of a message that came in pieces */
	uint64_t left;            /* payload bytes of the present data frame still to come */
	uint32_t utf8;            /* the validator's state between pieces */
	uint8_t mask[4];
	uint8_t mask_at;          /* 0..3: which mask byte is next */
	uint8_t opcode;           /* of the present message: 1 or 2; 0: none has begun */
	bool fin;                 /* the present data frame is its message's last */
	bool in_frame;
};

enum crew__ws_kind {
	CREW__WS_MORE,    /* nothing yet; feed the rest again: at once when bytes were taken and some
	                   * are left, else with more behind them */
	CREW__WS_MESSAGE, /* body, text or binary; lent until the next call */
	CREW__WS_PING,    /* body: answer with it */
	CREW__WS_PONG,
	CREW__WS_CLOSE,   /* code (1005 when the frame had none) and reason in body */
	CREW__WS_BAD,     /* code says with which close code to end; 1002, 1007, 1009, 1011 (no memory) */
};

struct crew__ws_event {
	enum crew__ws_kind kind;
	crew_bytes body;
	bool text;
	uint16_t code;
	const char *what; /* BAD: a sentence for the log, e.g. "frame is not masked" */
};

enum { CREW__WS_HEADER_MAX = 10, CREW__WS_CONTROL_MAX = 125 };
enum { CREW__WS_OP_TEXT = 1, CREW__WS_OP_BINARY = 2, CREW__WS_OP_CLOSE = 8, CREW__WS_OP_PING = 9,
	CREW__WS_OP_PONG = 10 };

/* In place. `max_message` bounds a whole message however it is fragmented. */
void crew__ws_init(struct crew__ws *ws, size_t max_message);
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
	if (len < header || kind > 1 || ws->opcode != 0 || ws->message.data)
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

/* The header of an unmasked, final frame of `len` bytes. Returns its length, 2, 4 or 10. */
static inline size_t crew__ws_header(char *room, unsigned opcode, size_t len)
{
	unsigned char *out = (unsigned char *)room;
	out[0] = (unsigned char)(0x80u | opcode);
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

/* A code that may stand in a close frame (RFC 6455 7.4, and the registry up to 1014). */
bool crew__ws_code_valid(unsigned code);

/* Sec-WebSocket-Accept for a key: 28 characters and a NUL. False unless the key is 16 bytes in
 * base64 (RFC 6455 4.2.1). */
bool crew__ws_accept(crew_bytes key, char ret_accept[29]);

#endif
