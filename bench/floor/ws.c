/* ws.c - the WebSocket floors: `ws` echoes, `fanout` sends what one says to all.
 *
 * Frames are believed to be what the generator sends: whole messages, masked. They are unmasked
 * from the read buffer into an output buffer, which leaves in one write for each read (echo), or
 * in one write for each connection and turn (fan-out). */
#include "floor.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_SIZE (STASH_MAX + READ_SIZE)
#define MASK_LEN 4

static char out[OUT_SIZE];
static size_t out_len;
/* Fan-out: all whose handshake is done. */
static struct conn **open_conns;
static unsigned open_count, open_room;

static bool join(struct conn *c)
{
	if (open_count == open_room) {
		unsigned room = open_room ? 2 * open_room : 64;
		struct conn **more = realloc(open_conns, room * sizeof(*more));

		if (!more)
			return false;
		open_conns = more;
		open_room = room;
	}
	c->seat = open_count;
	open_conns[open_count++] = c;
	return true;
}

static void leave(struct conn *c)
{
	if (!c->open)
		return;
	open_conns[c->seat] = open_conns[--open_count];
	open_conns[c->seat]->seat = c->seat;
}

static int64_t handshake(struct conn *c, const char *in, size_t len)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
			  name[] = "Sec-WebSocket-Key: ";
	const char *end = memmem(in, len, "\r\n\r\n", 4);
	const char *key = memmem(in, len, name, sizeof(name) - 1);
	unsigned char hash[SHA_DIGEST_LENGTH], text[64];
	char keyed[128], response[256];
	int n;

	if (!end)
		return 0;
	if (!key || end - key < 24)
		return -1;
	n = snprintf(keyed, sizeof(keyed), "%.24s%s", key + sizeof(name) - 1, guid);
	SHA1((const unsigned char *)keyed, (size_t)n, hash);
	EVP_EncodeBlock(text, hash, sizeof(hash));
	n = snprintf(response, sizeof(response),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: %s\r\n\r\n",
		(const char *)text);
	if (!join(c) || !floor_write(c, response, (size_t)n))
		return -1;
	c->open = true;
	return end + 4 - in;
}

typedef unsigned char lanes __attribute__((vector_size(16)));

static void unmask(char *to, const char *from, const char *mask, size_t len)
{
	lanes part, key;
	size_t i = 0;

	for (; i < sizeof(key); i += MASK_LEN)
		memcpy((char *)&key + i, mask, MASK_LEN);
	for (i = 0; i + sizeof(part) <= len; i += sizeof(part)) {
		memcpy(&part, from + i, sizeof(part));
		part ^= key;
		memcpy(to + i, &part, sizeof(part));
	}
	for (; i < len; i++)
		to[i] = (char)(from[i] ^ mask[i % MASK_LEN]);
}

/* The length of the frame's header without the mask, and of its payload; 0 when more is needed. */
static size_t measure(const unsigned char *in, size_t len, uint64_t *ret_payload)
{
	uint64_t payload = 0;

	if (len < 2)
		return 0;
	payload = in[1] & 0x7f;
	if (payload < 126) {
		*ret_payload = payload;
		return 2;
	}
	if (payload == 126) {
		*ret_payload = len < 4 ? 0 : (uint64_t)(in[2] << 8 | in[3]);
		return len < 4 ? 0 : 4;
	}
	if (len < 10)
		return 0;
	payload = 0;
	for (unsigned i = 2; i < 10; i++)
		payload = payload << 8 | in[i];
	*ret_payload = payload;
	return 10;
}

/* Put every whole frame of `in` into the output buffer as a server sends it. */
static int64_t take_frames(const char *in, size_t len)
{
	size_t used = 0, header;
	uint64_t payload;

	while ((header = measure((const unsigned char *)in + used, len - used, &payload))) {
		const char *frame = in + used;

		if ((frame[0] & 0x0f) == 0x08 || payload > STASH_MAX - 14)
			return -1;
		if (len - used < header + MASK_LEN + payload)
			break;
		if (out_len + header + payload > OUT_SIZE)
			return -1;
		memcpy(out + out_len, frame, header);
		out[out_len + 1] &= 0x7f;
		unmask(out + out_len + header, frame + header + MASK_LEN, frame + header, payload);
		out_len += header + payload;
		used += header + MASK_LEN + payload;
	}
	return (int64_t)used;
}

static int64_t echo_bytes(struct conn *c, char *in, size_t len)
{
	int64_t used;

	if (!c->open)
		return handshake(c, in, len);
	out_len = 0;
	used = take_frames(in, len);
	if (out_len && !floor_write(c, out, out_len))
		return -1;
	return used;
}

static int64_t collect_bytes(struct conn *c, char *in, size_t len)
{
	return c->open ? take_frames(in, len) : handshake(c, in, len);
}

/* A broken connection is found again, and closed, when it is read. */
static void write_to_all(void)
{
	if (!out_len)
		return;
	for (unsigned i = 0; i < open_count; i++)
		floor_write(open_conns[i], out, out_len);
	out_len = 0;
}

const struct mode floor_ws = {
	.name = "ws",
	.on_bytes = echo_bytes,
	.on_close = leave,
};

const struct mode floor_fanout = {
	.name = "fanout",
	.on_bytes = collect_bytes,
	.on_close = leave,
	.on_turn = write_to_all,
};
