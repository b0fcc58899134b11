/* ws.c - taking WebSocket frames apart, for both roles.
 *
 * The two kinds of frame are read differently. A control frame is short and is taken whole or not
 * at all. A data frame that is all there and is a message by itself is unmasked where it lies and
 * lent; any other is taken piece by piece into `message`, so memory follows what has come and never
 * what a header announces. The pieces of a compressed message are inflated on the way
 * (ws_packed.c). Who wants parts gets each piece as it comes, and nothing is gathered.
 *
 *               first frame, not the last, or not all there
 *   opcode == 0 ────────────────────────────────────────────▸ opcode 1 or 2
 *        ▴                                                        │ pieces, continuations
 *        └──────────────── the last frame's last byte ────────────┘
 *
 * Propositions that hold between two calls:
 *   in_frame implies opcode != 0; left > 0 implies in_frame
 *   message.len + left <= message.max, unless compressed or told in parts
 *   message.len <= message.max, unless it gathers
 *   utf8 != CREW__UTF8_START implies opcode == CREW__WS_OP_TEXT
 *   an inflater is lent exactly while packed and not gathers; ahead implies in_frame and left > 0
 *   opcode == 0 and message.data != NULL: that message is lent, until the next call
 *   parts are told and message.data != NULL: so is that part */
#include "proto/ws.h"

#include "base/utf8.h"
#include "proto/ws_mask.h"
#include "proto/ws_packed.h"

enum {
	BYTE0_FIN = 0x80,
	BYTE0_RSV = 0x70,
	BYTE1_MASK = 0x80,
	OP_CONTINUE = 0,
	OP_CONTROL = 8, /* this bit tells control frames */
	MASK_SIZE = 4,
	SHORT_HEADER = 2 + MASK_SIZE, /* of what a client sends */
	CLOSE_NO_CODE = 1005,
};

struct header {
	uint64_t len; /* of the payload */
	size_t size;  /* of the header, mask included */
	unsigned opcode;
	bool fin, packed;
};

static bool bad(struct crew__ws_event *e, const char *what)
{
	return crew__ws_bad(e, CREW__WS_BAD_PROTOCOL, what);
}

static bool is_client(const struct crew__ws *ws)
{
	return ws->special & CREW__WS_CLIENT;
}

static bool tells_parts(const struct crew__ws *ws)
{
	return ws->special & CREW__WS_PARTS;
}

/* RSV1 says that a message is compressed: on its first frame, where that was agreed. */
static bool read_reserved(const struct crew__ws *ws, unsigned byte, struct header *h)
{
	h->packed = ws->bits != 0 &&
		    (h->opcode == CREW__WS_OP_TEXT || h->opcode == CREW__WS_OP_BINARY);
	return h->packed && (byte & BYTE0_RSV) == CREW__WS_RSV1;
}

/* The first byte, which can be judged before the second has come. */
static bool read_first(
	const struct crew__ws *ws, unsigned byte, struct header *h, struct crew__ws_event *e)
{
	h->fin = (byte & BYTE0_FIN) != 0;
	h->opcode = byte & 0x0F;
	h->packed = false;
	if (crew__unlikely((byte & BYTE0_RSV) && !read_reserved(ws, byte, h)))
		return bad(e, "a reserved bit is set");
	switch (h->opcode) {
	case CREW__WS_OP_TEXT:
	case CREW__WS_OP_BINARY:
		if (crew__unlikely(ws->opcode != 0))
			return bad(e, "a new message inside a fragmented one");
		return true;
	case OP_CONTINUE:
		if (crew__unlikely(ws->opcode == 0))
			return bad(e, "a continuation of nothing");
		h->packed = ws->packed;
		return true;
	case CREW__WS_OP_CLOSE:
	case CREW__WS_OP_PING:
	case CREW__WS_OP_PONG:
		if (crew__unlikely(!h->fin))
			return bad(e, "a control frame is fragmented");
		return true;
	default:
		return bad(e, "a reserved opcode");
	}
}

static bool read_second(
	const struct crew__ws *ws, unsigned byte, struct header *h, struct crew__ws_event *e)
{
	bool masked = (byte & BYTE1_MASK) != 0;
	h->len = byte & 0x7F;
	if (crew__unlikely(masked == is_client(ws)))
		return bad(e, masked ? "a server's frame is masked" : "a frame is not masked");
	if (crew__unlikely((h->opcode & OP_CONTROL) && h->len > CREW__WS_CONTROL_MAX))
		return bad(e, "a control frame is longer than 125 bytes");
	h->size = masked ? SHORT_HEADER : SHORT_HEADER - MASK_SIZE;
	if (h->len > 125)
		h->size += h->len == 126 ? 2 : 8;
	return true;
}

/* The length behind 126 and 127. RFC 6455 5.2 wants it in the fewest bytes. */
static bool read_long(const unsigned char *bytes, struct header *h, struct crew__ws_event *e)
{
	bool is_short = h->len == 126;
	uint64_t len = 0;
	for (unsigned i = 0; i < (is_short ? 2u : 8u); i++)
		len = len << 8 | bytes[i];
	if (len >> 63)
		return bad(e, "the highest bit of a length is set");
	if (len < (is_short ? 126u : 65536u))
		return bad(e, "a length in more bytes than it needs");
	h->len = len;
	return true;
}

/* How long a compressed message is shows while it is inflated. */
static bool is_too_long(const struct crew__ws *ws, const struct header *h)
{
	return h->len > ws->message.max - ws->message.len && !(h->opcode & OP_CONTROL) &&
	       !h->packed && !tells_parts(ws);
}

/* Each byte is judged as soon as it is there. False: bad, or more is needed (e->kind tells). The
 * limit stands last: it is compared without a sum, so no announced length can overflow it. */
static inline bool read_header(const struct crew__ws *ws, const unsigned char *bytes, size_t len,
	struct header *h, struct crew__ws_event *e)
{
	if (!read_first(ws, bytes[0], h, e))
		return false;
	if (len < 2 || !read_second(ws, bytes[1], h, e))
		return false;
	size_t length_end = h->len == 126 ? 4 : 10;
	if (h->len > 125 && (len < length_end || !read_long(bytes + 2, h, e)))
		return false;
	if (crew__unlikely(is_too_long(ws, h)))
		return crew__ws_bad(e, CREW__WS_BAD_SIZE, "a message is longer than max_message");
	return len >= h->size;
}

/* Unmask a piece of text in place and validate it. */
static inline bool unmask_text(uint32_t *utf8, char *data, size_t len, uint32_t key)
{
	size_t ascii = 0;
	if (crew__likely(*utf8 == CREW__UTF8_START)) {
		ascii = crew__ws_unmask_ascii(data, len, key);
		if (crew__likely(ascii == len))
			return true;
	}
	crew__ws_unmask(data + ascii, len - ascii, key);
	return crew__utf8_feed(utf8, data + ascii, len - ascii);
}

static inline bool unmask_payload(struct crew__ws *ws, unsigned opcode, char *data, size_t len,
	uint32_t key, struct crew__ws_event *e)
{
	bool text = opcode == CREW__WS_OP_TEXT, good = true;
	if (is_client(ws))
		good = !text || crew__utf8_feed(&ws->utf8, data, len);
	else if (text)
		good = unmask_text(&ws->utf8, data, len, key);
	else
		crew__ws_unmask(data, len, key);
	if (crew__likely(good))
		return true;
	return crew__ws_bad(e, CREW__WS_BAD_DATA, "a text is not valid UTF-8");
}

/* A message, or the last part of one. */
static inline bool tell_message(
	struct crew__ws *ws, unsigned opcode, crew_bytes body, struct crew__ws_event *e)
{
	ws->opcode = 0;
	ws->packed = false;
	if (crew__unlikely(ws->utf8 != CREW__UTF8_START))
		return crew__ws_bad(e, CREW__WS_BAD_DATA, "a text ends inside a character");
	e->last = tells_parts(ws);
	e->kind = e->last ? CREW__WS_PART : CREW__WS_MESSAGE;
	e->text = opcode == CREW__WS_OP_TEXT;
	e->body = body;
	return true;
}

/* Some payload of the present frame that is not compressed. */
static void take_plain(struct crew__ws *ws, char *data, size_t len, struct crew__ws_event *e)
{
	uint32_t key = crew__ws_key(ws->mask, ws->mask_at);
	if (!unmask_payload(ws, ws->opcode, data, len, key, e))
		return;
	if (tells_parts(ws)) {
		e->kind = CREW__WS_PART;
		e->text = ws->opcode == CREW__WS_OP_TEXT;
		e->body = (crew_bytes){ data, len };
	} else if (crew__buf_append(&ws->message, data, len) < 0) {
		crew__ws_bad(e, CREW__WS_BAD_MEMORY, "no memory for a message");
	}
}

/* The last byte of the message has been taken. A part that it brought becomes the last. */
static void end_message(struct crew__ws *ws, struct crew__ws_event *e)
{
	if (ws->packed && !crew__ws_packed_end(ws, e))
		return;
	crew_bytes body = { ws->message.data, ws->message.len };
	tell_message(ws, ws->opcode, e->kind == CREW__WS_PART ? e->body : body, e);
}

/* A frame of several has ended, or what has come of one is taken. */
static void tell_inflated(struct crew__ws *ws, struct crew__ws_event *e)
{
	if (!ws->packed || !tells_parts(ws) || ws->message.len == 0)
		return;
	e->kind = CREW__WS_PART;
	e->text = ws->opcode == CREW__WS_OP_TEXT;
	e->body = (crew_bytes){ ws->message.data, ws->message.len };
}

/* Take what is there of the present frame. Returns the bytes taken. */
static size_t take_piece(struct crew__ws *ws, char *data, size_t len, struct crew__ws_event *e)
{
	size_t n = len < ws->left ? len : (size_t)ws->left;
	if (n > 0 && ws->packed)
		n = crew__ws_packed_take(ws, data, n, e);
	else if (n > 0)
		take_plain(ws, data, n, e);
	if (e->kind == CREW__WS_BAD)
		return n;
	ws->mask_at = (uint8_t)((ws->mask_at + n) & 3);
	ws->left -= n;
	if (ws->left == 0) {
		ws->in_frame = false;
		if (ws->fin) {
			end_message(ws, e);
			return n;
		}
	}
	tell_inflated(ws, e);
	return n;
}

/* A data frame that is to be gathered: the first of several, a continuation, or not all there. */
static size_t begin_frame(struct crew__ws *ws, const struct header *h, char *data, size_t len,
	struct crew__ws_event *e)
{
	if (h->opcode != OP_CONTINUE) {
		ws->opcode = (uint8_t)h->opcode;
		ws->packed = h->packed;
		if (h->packed && !crew__ws_packed_begin(ws, e))
			return h->size;
	}
	memset(ws->mask, 0, MASK_SIZE);
	if (!is_client(ws))
		memcpy(ws->mask, data + h->size - MASK_SIZE, MASK_SIZE);
	ws->mask_at = 0;
	ws->left = h->len;
	ws->fin = h->fin;
	ws->in_frame = true;
	return h->size + take_piece(ws, data + h->size, len - h->size, e);
}

static inline uint32_t key_of(const struct crew__ws *ws, const char *payload)
{
	uint32_t key = 0;
	if (!is_client(ws))
		memcpy(&key, payload - MASK_SIZE, sizeof(key));
	return key;
}

/* A message in one frame, all there: lent from where it lies, behind its mask. */
static inline void take_whole(
	struct crew__ws *ws, unsigned opcode, char *payload, size_t len, struct crew__ws_event *e)
{
	if (crew__likely(unmask_payload(ws, opcode, payload, len, key_of(ws, payload), e)))
		tell_message(ws, opcode, (crew_bytes){ payload, len }, e);
}

/* What nearly every frame is: a whole short message. The same answer as by the long way, in a
 * quarter of the instructions. */
static inline bool is_short_message(
	const struct crew__ws *ws, const unsigned char *bytes, size_t len)
{
	unsigned kind = bytes[0] - (BYTE0_FIN | CREW__WS_OP_TEXT); /* 0 text, 1 binary */
	unsigned n = bytes[1] - BYTE1_MASK;
	return kind <= 1 && n <= 125 && n <= len - SHORT_HEADER && n <= ws->message.max &&
	       ws->long_way == 0;
}

static void tell_close(crew_bytes payload, struct crew__ws_event *e)
{
	e->kind = CREW__WS_CLOSE;
	e->code = CLOSE_NO_CODE;
	if (payload.len == 0)
		return;
	if (payload.len == 1) {
		bad(e, "a close frame has half a code");
		return;
	}
	const unsigned char *bytes = (const unsigned char *)payload.data;
	unsigned code = (unsigned)bytes[0] << 8 | bytes[1];
	crew_bytes reason = { payload.data + 2, payload.len - 2 };
	if (!crew__ws_code_valid(code))
		bad(e, "a close code that must not be sent");
	else if (!crew__utf8_valid(reason))
		crew__ws_bad(e, CREW__WS_BAD_DATA, "a close reason is not valid UTF-8");
	else {
		e->code = (uint16_t)code;
		e->body = reason;
	}
}

/* A control frame is taken only when it is all there. */
static size_t take_control(const struct crew__ws *ws, const struct header *h, char *data,
	size_t len, struct crew__ws_event *e)
{
	size_t n = (size_t)h->len;
	if (len - h->size < n)
		return 0;
	char *payload = data + h->size;
	if (!is_client(ws))
		crew__ws_unmask(payload, n, key_of(ws, payload));
	crew_bytes body = { payload, n };
	if (h->opcode == CREW__WS_OP_CLOSE) {
		tell_close(body, e);
	} else {
		e->kind = h->opcode == CREW__WS_OP_PING ? CREW__WS_PING : CREW__WS_PONG;
		e->body = body;
	}
	return h->size + n;
}

void crew__ws_init(struct crew__ws *ws, const struct crew__ws_options *options)
{
	*ws = (struct crew__ws){ .shared = options->shared,
		.bits = (uint8_t)options->inflate_bits,
		.special = (uint8_t)((options->client ? CREW__WS_CLIENT : 0) |
				     (options->parts ? CREW__WS_PARTS : 0)) };
	crew__buf_init(&ws->message, crew__min(options->max_message, INT32_MAX));
}

void crew__ws_fini(struct crew__ws *ws)
{
	crew__ws_packed_release(ws);
	crew__buf_release(&ws->message);
}

void crew__ws_done(struct crew__ws *ws)
{
	if (ws->opcode == 0 || tells_parts(ws))
		crew__buf_release(&ws->message);
}

size_t crew__ws_feed(struct crew__ws *ws, char *data, size_t len, struct crew__ws_event *ret_event)
{
	struct crew__ws_event *e = ret_event;
	*e = (struct crew__ws_event){ .kind = CREW__WS_MORE };
	if (crew__unlikely(ws->message.data != NULL))
		crew__ws_done(ws);
	if (crew__unlikely(len == 0))
		return 0;
	if (ws->in_frame)
		return take_piece(ws, data, len, e);

	const unsigned char *bytes = (const unsigned char *)data;
	if (crew__likely(len >= SHORT_HEADER && is_short_message(ws, bytes, len))) {
		size_t n = bytes[1] - BYTE1_MASK;
		take_whole(ws, bytes[0] & 0x0F, data + SHORT_HEADER, n, e);
		return SHORT_HEADER + n;
	}
	struct header h = { 0 };
	if (!read_header(ws, bytes, len, &h, e))
		return 0;
	if (h.opcode & OP_CONTROL)
		return take_control(ws, &h, data, len, e);
	if (h.fin && !h.packed && h.opcode != OP_CONTINUE && len - h.size >= h.len) {
		take_whole(ws, h.opcode, data + h.size, (size_t)h.len, e);
		return h.size + (size_t)h.len;
	}
	return begin_frame(ws, &h, data, len, e);
}

size_t crew__ws_held(const struct crew__ws *ws)
{
	return ws->opcode != 0 && !tells_parts(ws) ? ws->message.len : 0;
}
