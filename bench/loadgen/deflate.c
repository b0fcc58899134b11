/* deflate.c - WebSocket messages with permessage-deflate (RFC 7692), each compressed by itself.
 *
 * All must come back compressed. Frames are collected whole; one with the same bytes as the one
 * before it says the same, so that of a fan-out each message is inflated once. */
#include "gen.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define RSV1       0x40u
#define MASK_BIT   0x80u
#define TAIL_LEN   4 /* what RFC 7692 leaves out of each message: 00 00 ff ff */
#define PACKED_MAX 65535

static uint8_t *plain;  /* a message */
static uint8_t *packed; /* a frame to send */
static size_t packed_size;
static uint8_t *inflated;
static z_stream packer, unpacker;
/* The frame that was taken last, and what it says. */
static uint8_t *known;
static size_t known_len;
static uint64_t known_sequence;
static unsigned known_sender;

void deflate_prepare(struct gen *g)
{
	packed_size = HEADER_MAX + MASK_LEN + compressBound(g->o.payload) + TAIL_LEN;
	if (packed_size > PACKED_MAX)
		fail("--deflate: a payload of at most 60000");
	plain = must_alloc(g->o.payload);
	memcpy(plain, g->pattern, g->o.payload);
	packed = must_alloc(packed_size);
	inflated = must_alloc(g->o.payload + 1);
	known = must_alloc(PACKED_MAX);
	if (deflateInit2(&packer, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
		inflateInit2(&unpacker, -15) != Z_OK)
		fail("zlib does not begin");
}

/* The present message into `to`: how long it is. */
static size_t pack(const struct gen *g, uint8_t *to, size_t size)
{
	deflateReset(&packer);
	packer.next_in = plain;
	packer.avail_in = (unsigned)g->o.payload;
	packer.next_out = to;
	packer.avail_out = (unsigned)size;
	if (deflate(&packer, Z_SYNC_FLUSH) != Z_OK || packer.avail_in || !packer.avail_out)
		fail("zlib does not compress");
	return size - packer.avail_out - TAIL_LEN;
}

static void send_one(struct gen *g, struct conn *c)
{
	uint8_t header[HEADER_MAX];
	uint8_t *body = packed + HEADER_MAX + MASK_LEN, *at;
	size_t header_len, len;

	ws_put_number(plain, c->next_out++, c->index);
	len = pack(g, body, packed_size - HEADER_MAX - MASK_LEN);
	header_len = ws_put_header(header, g->header[0] | RSV1, len);
	header[1] |= MASK_BIT;
	at = body - MASK_LEN - header_len;
	memcpy(at, header, header_len);
	memcpy(body - MASK_LEN, ws_mask, MASK_LEN);
	for (size_t i = 0; i < len; i++)
		body[i] ^= ws_mask[i % MASK_LEN];
	send_bytes(g, c, at, header_len + MASK_LEN + len);
}

void deflate_send(struct gen *g, struct conn *c, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		send_one(g, c);
}

/* The lengths of a frame's header and of the whole; false: its beginning has not come. */
static bool measure(const struct conn *c, const uint8_t *bytes, size_t len, size_t *ret_header,
	size_t *ret_whole)
{
	size_t header = 2;

	if (len < 2)
		return false;
	if (bytes[1] > 126)
		fail("connection %u: a frame of another kind or length", c->index);
	if (bytes[1] == 126)
		header = 4;
	if (len < header)
		return false;
	*ret_header = header;
	*ret_whole = header + (header == 4 ? (size_t)bytes[2] << 8 | bytes[3] : bytes[1]);
	return true;
}

static void unpack(const struct gen *g, const struct conn *c, const uint8_t *body, size_t len)
{
	static const uint8_t tail[TAIL_LEN] = { 0, 0, 0xff, 0xff };
	int state;

	inflateReset(&unpacker);
	unpacker.next_in = (uint8_t *)(uintptr_t)body;
	unpacker.avail_in = (unsigned)len;
	unpacker.next_out = inflated;
	unpacker.avail_out = (unsigned)g->o.payload + 1;
	state = inflate(&unpacker, Z_SYNC_FLUSH);
	if (state == Z_OK && !unpacker.avail_in) {
		unpacker.next_in = (uint8_t *)(uintptr_t)tail;
		unpacker.avail_in = TAIL_LEN;
		state = inflate(&unpacker, Z_SYNC_FLUSH);
	}
	if (state != Z_OK || unpacker.avail_in || unpacker.avail_out != 1)
		fail("connection %u: what was compressed is wrong, or of another length", c->index);
	if (memcmp(inflated + HEAD_DIGITS, g->pattern + HEAD_DIGITS, g->o.payload - HEAD_DIGITS) !=
		0)
		fail("connection %u: the bytes of a message are wrong", c->index);
}

static void take_frame(struct gen *g, struct conn *c, const uint8_t *frame, size_t header,
	size_t whole, ws_message_fn *fn)
{
	if (frame[0] & 0x08) {
		ws_take_control(g, c, frame);
		return;
	}
	if (frame[0] != (g->header[0] | RSV1))
		fail("connection %u: a frame of another kind, or not compressed", c->index);
	if (whole != known_len || memcmp(frame, known, whole) != 0) {
		unpack(g, c, frame + header, whole - header);
		known_sequence = ws_read_number(c, inflated, &known_sender);
		known_len = whole;
		memcpy(known, frame, whole);
	}
	fn(g, c, known_sequence, known_sender);
}

/* Add to the frame whose beginning was kept, until its header is whole and then until it is: how
 * many bytes that took. */
static size_t complete(
	struct gen *g, struct conn *c, const uint8_t *bytes, size_t len, ws_message_fn *fn)
{
	const uint8_t *frame = (uint8_t *)c->stash;
	size_t header, whole, n = 1;

	if (measure(c, frame, c->stash_len, &header, &whole))
		n = whole - c->stash_len < len ? whole - c->stash_len : len;
	memcpy(c->stash + c->stash_len, bytes, n);
	c->stash_len += n;
	if (!measure(c, frame, c->stash_len, &header, &whole) || c->stash_len < whole)
		return n;
	take_frame(g, c, frame, header, whole, fn);
	free(c->stash);
	c->stash = NULL;
	c->stash_len = 0;
	return n;
}

void deflate_receive(
	struct gen *g, struct conn *c, const uint8_t *bytes, size_t len, ws_message_fn *fn)
{
	while (len) {
		size_t header, whole, n;

		if (!c->stash && measure(c, bytes, len, &header, &whole) && whole <= len) {
			take_frame(g, c, bytes, header, whole, fn);
			n = whole;
		} else {
			if (!c->stash)
				c->stash = must_alloc(PACKED_MAX + 4);
			n = complete(g, c, bytes, len, fn);
		}
		bytes += n;
		len -= n;
	}
}
