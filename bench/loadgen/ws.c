/* ws.c - the client side of WebSocket, as much as a load generator needs.
 *
 * Every message is numbered, and all of one run have the same length, so the frames are built and
 * masked once and only the number is written anew. What comes back must be a whole frame of the
 * same length, kind and bytes; it is compared as it streams in, without being collected. Pings are
 * answered. */
#include "gen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OP_TEXT   0x81u
#define OP_BINARY 0x82u
#define OP_CLOSE  0x88u
#define OP_PING   0x89u
#define OP_PONG   0x8au

/* The example of RFC 6455, section 1.3: a fixed key has a known answer. */
static const char key_text[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char accept_text[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/* Any key but zeros, so that a server must unmask. */
const uint8_t ws_mask[MASK_LEN] = { 0x9d, 0x3c, 0x51, 0xe6 };
static const char digits[] = "0123456789abcdef";

size_t ws_put_header(uint8_t *at, uint8_t first, size_t len)
{
	at[0] = first;
	if (len < 126) {
		at[1] = (uint8_t)len;
		return 2;
	}
	if (len < 65536) {
		at[1] = 126;
		at[2] = (uint8_t)(len >> 8);
		at[3] = (uint8_t)len;
		return 4;
	}
	at[1] = 127;
	for (unsigned i = 0; i < 8; i++)
		at[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
	return HEADER_MAX;
}

static void build_frame(struct gen *g, uint8_t *at)
{
	if (g->mode->raw) {
		memcpy(at, g->pattern, g->o.payload);
		return;
	}
	memcpy(at, g->header, g->header_len);
	at[1] |= 0x80;
	at += g->header_len;
	memcpy(at, ws_mask, MASK_LEN);
	at += MASK_LEN;
	for (size_t i = 0; i < g->o.payload; i++)
		at[i] = g->pattern[i] ^ ws_mask[i % MASK_LEN];
}

/* Objects as they are pushed to browsers: names that repeat, numbers that hardly do. */
static void fill_json(char *text, size_t size)
{
	static const char *const sides[] = { "buy", "sell" };
	uint32_t dice = 12345;
	char one[128];

	for (size_t at = 0; at < size;) {
		int len;

		dice = dice * 1664525 + 1013904223;
		len = snprintf(one, sizeof(one),
			"{\"id\":%u,\"price\":%u.%02u,\"volume\":%u,\"side\":\"%s\"},", dice >> 8,
			dice >> 20 & 1023, (dice >> 12) % 100, dice >> 10 & 4095,
			sides[dice >> 31]);
		if ((size_t)len > size - at)
			len = (int)(size - at);
		memcpy(text + at, one, (size_t)len);
		at += (size_t)len;
	}
}

void ws_prepare(struct gen *g)
{
	if (!g->mode->raw) {
		g->header_len = ws_put_header(
			g->header, g->o.text ? OP_TEXT : OP_BINARY, g->o.payload);
		g->mask_len = MASK_LEN;
	}
	g->frame_len = g->header_len + g->mask_len + g->o.payload;
	g->pattern = must_alloc(g->o.payload);
	if (g->o.json)
		fill_json((char *)g->pattern, g->o.payload);
	else /* printable, and with a period that no buffer size is a multiple of */
		for (size_t i = 0; i < g->o.payload; i++)
			g->pattern[i] = (uint8_t)('!' + i % 89);
	g->frames = must_alloc(g->frame_len * g->o.depth);
	for (unsigned i = 0; i < g->o.depth; i++)
		build_frame(g, g->frames + i * g->frame_len);
}

/* How long the head is that has come; it stays where it is. */
static size_t peek_response(struct conn *c, char *text, size_t size)
{
	ssize_t before = 0;

	for (;;) {
		ssize_t n = receive_some(c, text, size - 1, MSG_PEEK);
		const char *end;

		if (n <= 0)
			fail("handshake: %s", n ? strerror(errno) : "the server closed");
		text[n] = '\0';
		end = strstr(text, "\r\n\r\n");
		if (end)
			return (size_t)(end + 4 - text);
		/* Of TLS one can peek into one record only. */
		if ((size_t)n == size - 1 || (c->tls && n == before))
			fail("handshake: a response without end");
		before = n;
	}
}

static void check_extensions(const char *text, bool offered)
{
	const char *line = strstr(text, "permessage-deflate");

	if (!line == !offered)
		return;
	if (!offered)
		fail("handshake: an extension that was not offered");
	fail("handshake: permessage-deflate was not agreed on");
}

void ws_handshake(struct conn *c, const struct options *o)
{
	/* Each message by itself, both ways. */
	static const char offer[] = "Sec-WebSocket-Extensions: permessage-deflate; "
				    "client_no_context_takeover; server_no_context_takeover\r\n";
	char text[2048], request[512];
	int len = snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
		"%s\r\n",
		o->path, o->port, key_text, o->deflate ? offer : "");

	if (len < 0 || (size_t)len >= sizeof(request))
		fail("the path is too long");
	write_all(c, request, (size_t)len);
	/* Taken from the kernel only up to its end: messages may follow at once. */
	if (receive_some(c, text, peek_response(c, text, sizeof(text)), MSG_WAITALL) <= 0)
		fail("handshake: %s", strerror(errno));
	if (strncmp(text, "HTTP/1.1 101 ", 13) != 0)
		fail("handshake refused: %.40s", text);
	if (!strstr(text, accept_text))
		fail("handshake: Sec-WebSocket-Accept is wrong");
	check_extensions(text, o->deflate);
}

void ws_put_number(uint8_t *at, uint64_t sequence, unsigned sender)
{
	for (unsigned i = 0; i < HEAD_DIGITS; i++) {
		unsigned nibble = i < 16 ? (unsigned)(sequence >> (60 - 4 * i)) & 15
					 : (sender >> (12 - 4 * (i - 16))) & 15;

		at[i] = (uint8_t)digits[nibble];
	}
}

static void number_frame(struct gen *g, struct conn *c, uint8_t *frame)
{
	uint8_t *at = frame + g->header_len + g->mask_len;

	ws_put_number(at, c->next_out++, c->index);
	for (unsigned i = 0; g->mask_len && i < HEAD_DIGITS; i++)
		at[i] ^= ws_mask[i % MASK_LEN];
}

void ws_send(struct gen *g, struct conn *c, unsigned count)
{
	if (g->o.deflate) {
		deflate_send(g, c, count);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		number_frame(g, c, g->frames + i * g->frame_len);
	send_bytes(g, c, g->frames, count * g->frame_len);
}

static unsigned nibble_of(const struct conn *c, uint8_t digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - (unsigned)'0';
	if (digit >= 'a' && digit <= 'f')
		return digit - (unsigned)'a' + 10;
	fail("connection %u: a message without its number", c->index);
}

uint64_t ws_read_number(const struct conn *c, const uint8_t *at, unsigned *ret_sender)
{
	uint64_t sequence = 0;
	unsigned sender = 0;

	for (unsigned i = 0; i < 16; i++)
		sequence = sequence << 4 | nibble_of(c, at[i]);
	for (unsigned i = 16; i < HEAD_DIGITS; i++)
		sender = sender << 4 | nibble_of(c, at[i]);
	*ret_sender = sender;
	return sequence;
}

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Collect into c->start until it holds `want` bytes of the frame. */
static size_t collect(struct conn *c, const char *bytes, size_t len, size_t want)
{
	size_t n = less(len, want - c->at);

	memcpy(c->start + c->at, bytes, n);
	c->at += n;
	return n;
}

static void answer_ping(struct gen *g, struct conn *c, const uint8_t *ping)
{
	uint8_t pong[2 + MASK_LEN + 125];
	size_t len = ping[1];

	pong[0] = OP_PONG;
	pong[1] = (uint8_t)(0x80 | len);
	memcpy(pong + 2, ws_mask, MASK_LEN);
	for (size_t i = 0; i < len; i++)
		pong[2 + MASK_LEN + i] = ping[2 + i] ^ ws_mask[i % MASK_LEN];
	send_bytes(g, c, pong, 2 + MASK_LEN + len);
}

void ws_take_control(struct gen *g, struct conn *c, const uint8_t *frame)
{
	if (frame[0] == OP_CLOSE)
		fail("connection %u: closed by the server, code %u", c->index,
			frame[1] < 2 ? 0 : (unsigned)(frame[2] << 8 | frame[3]));
	if (frame[0] == OP_PING)
		answer_ping(g, c, frame);
}

static size_t take_control(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	size_t n = collect(c, bytes, len, c->control);

	if (c->at == 2 && c->control == 2) {
		if (c->start[1] > 125)
			fail("connection %u: a control frame of wrong length", c->index);
		c->control += c->start[1];
	}
	if (c->at < c->control)
		return n;
	ws_take_control(g, c, c->start);
	c->at = c->control = 0;
	return n;
}

static size_t take_data(struct gen *g, struct conn *c, const char *bytes, size_t len)
{
	size_t head = g->header_len + HEAD_DIGITS, whole = g->header_len + g->o.payload, n;

	if (c->at < head) {
		n = collect(c, bytes, len, head);
		if (c->at == head && memcmp(c->start, g->header, g->header_len) != 0)
			fail("connection %u: a frame of another kind or length", c->index);
		return n;
	}
	n = less(len, whole - c->at);
	if (memcmp(bytes, g->pattern + (c->at - g->header_len), n) != 0)
		fail("connection %u: the bytes of a message are wrong", c->index);
	c->at += n;
	return n;
}

void ws_receive(struct gen *g, struct conn *c, const char *bytes, size_t len, ws_message_fn *fn)
{
	if (g->o.deflate) {
		deflate_receive(g, c, (const uint8_t *)bytes, len, fn);
		return;
	}
	while (len) {
		size_t n;

		if (c->at == 0 && !g->mode->raw && (*bytes & 0x08))
			c->control = 2;
		n = c->control ? take_control(g, c, bytes, len) : take_data(g, c, bytes, len);
		bytes += n;
		len -= n;
		if (c->at == g->header_len + g->o.payload && !c->control) {
			unsigned sender;
			uint64_t sequence = ws_read_number(c, c->start + g->header_len, &sender);

			c->at = 0;
			fn(g, c, sequence, sender);
		}
	}
}
