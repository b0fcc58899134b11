#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ws_peer.h"

#include "proto/ws_mask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void make(struct ws_peer *peer, struct world *world, int fd)
{
	*peer = (struct ws_peer){ .world = world, .fd = fd };
	peer->raw = malloc(WS_PEER_ROOM);
	peer->message = malloc(WS_PEER_ROOM);
	peer->words = malloc(WS_PEER_ROOM);
	assert_true(peer->raw && peer->message && peer->words);
	assert_true(fd >= 0);
}

static void agree(struct ws_peer *peer, const struct crew__ws_terms *terms)
{
	peer->terms = *terms;
	if (!terms->deflate)
		return;
	peer->inflater = crew__inflater_new(15);
	peer->deflater = crew__deflater_new(
		peer->server ? terms->server_bits : terms->client_bits, CREW__DEFLATE_LEVEL);
	assert_true(peer->inflater && peer->deflater);
}

static bool find_extensions(const char *answer, crew_bytes *ret_value)
{
	static const char name[] = "Sec-WebSocket-Extensions: ";
	const char *at = strstr(answer, name);
	if (!at)
		return false;
	at += sizeof(name) - 1;
	*ret_value = (crew_bytes){ at, strcspn(at, "\r") };
	return true;
}

void ws_peer_open(struct ws_peer *peer, struct world *world, const char *extensions)
{
	char request[1024];
	struct crew__ws_terms terms = { 0 };
	crew_header field = { CREW_BYTES("Sec-WebSocket-Extensions"), { NULL, 0 } };
	make(peer, world, world_connect(world));
	snprintf(request, sizeof(request),
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		"%s%s%s\r\n",
		extensions ? "Sec-WebSocket-Extensions: " : "", extensions ? extensions : "",
		extensions ? "\r\n" : "");
	peer_says(peer->fd, crew_str(request));
	peer_hears_all(world, peer->fd, peer->answer, sizeof(peer->answer));
	if (!strstr(peer->answer, " 101 "))
		return;
	if (find_extensions(peer->answer, &field.value))
		assert_true(crew__ws_extension_accept(&field, 1, false, &terms) == 1);
	agree(peer, &terms);
}

crew_conn *ws_peer_attach(
	struct ws_peer *peer, struct world *world, const struct crew__ws_agreed *agreed)
{
	make(peer, world, world_connect(world));
	peer->server = true;
	agree(peer, &agreed->terms);
	crew_conn *c = world_conn(world, crew__net_high(&world->worker->net) - 1);
	crew__ws_begin_client(c, agreed);
	world_settle(world);
	return c;
}

void ws_peer_close(struct ws_peer *peer)
{
	if (!peer->raw)
		return;
	close(peer->fd);
	crew__inflater_free(peer->inflater);
	crew__deflater_free(peer->deflater);
	free(peer->raw);
	free(peer->message);
	free(peer->words);
	memset(peer, 0, sizeof(*peer));
}

/* ---- saying -------------------------------------------------------------------------------- */

/* The kernel takes only so much of it at once; what it would give to nobody is not given. */
static void say_all(const struct ws_peer *peer, crew_bytes bytes)
{
	enum {
		MOST = 4096
	};
	while (bytes.len > 0) {
		size_t n = crew__min(bytes.len, MOST);
		ssize_t sent = send(peer->fd, bytes.data, n, MSG_NOSIGNAL);
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		assert_int_equal(sent, n);
		bytes.data += n;
		bytes.len -= n;
		if (bytes.len > 0)
			world_turn(peer->world, 0);
	}
}

void ws_peer_put(struct ws_peer *peer, unsigned byte0, const char *payload, size_t len)
{
	struct crew__buf packed;
	char head[CREW__WS_MASKED_HEADER_MAX];
	uint32_t key = peer->server ? 0 : 0x08f3219d;
	bool resets = peer->server ? peer->terms.server_resets : peer->terms.client_resets;
	crew__buf_init(&packed, WS_PEER_ROOM);
	if (byte0 & WS_PACKED) {
		if (resets)
			crew__deflater_reset(peer->deflater);
		assert_int_equal(crew__deflate_part(peer->deflater, (crew_bytes){ payload, len },
					 true, &packed),
			0);
	} else {
		assert_int_equal(crew__buf_append(&packed, payload, len), 0);
	}
	size_t n = peer->server ? crew__ws_head(head, byte0, packed.len)
				: crew__ws_masked_head(head, byte0, packed.len, key);
	if (packed.len > 0)
		crew__ws_unmask(packed.data, packed.len, key);
	say_all(peer, (crew_bytes){ head, n });
	if (packed.len > 0)
		say_all(peer, (crew_bytes){ packed.data, packed.len });
	crew__buf_release(&packed);
}

void ws_peer_say(struct ws_peer *peer, unsigned byte0, const char *payload, size_t len)
{
	ws_peer_put(peer, byte0, payload, len);
	world_settle(peer->world);
}

/* ---- hearing ------------------------------------------------------------------------------- */

/* Between its first frame and the last, a message is gathered as it came. */
static void inflate_message(struct ws_peer *peer)
{
	crew_bytes input = { peer->message, peer->message_len };
	bool resets = peer->server ? peer->terms.client_resets : peer->terms.server_resets;
	char *out = malloc(WS_PEER_ROOM), rest[64];
	size_t len, more;
	assert_non_null(out);
	if (resets)
		crew__inflater_reset(peer->inflater);
	assert_int_equal(
		crew__inflate(peer->inflater, &input, out, WS_PEER_ROOM, &len), CREW__INFLATED_ALL);
	assert_true(crew__inflate_end(peer->inflater));
	assert_int_equal(crew__inflate(peer->inflater, &input, rest, sizeof(rest), &more),
		CREW__INFLATED_ALL);
	assert_int_equal(more, 0);
	memcpy(peer->message, out, len);
	peer->message_len = len;
	free(out);
}

static char *end_message(struct ws_peer *peer, char *words)
{
	const char *name = peer->opcode == CREW__WS_OP_TEXT ? "text" : "binary";
	peer->messages++;
	peer->packed += peer->is_packed;
	if (peer->is_packed)
		inflate_message(peer);
	peer->opcode = 0;
	if (peer->on_message)
		peer->on_message(peer);
	return words + sprintf(words, "%s:%.*s;", name, (int)crew__min(peer->message_len, 40),
			       peer->message);
}

static char *take_data(
	struct ws_peer *peer, unsigned byte0, const char *body, size_t len, char *words)
{
	unsigned opcode = byte0 & 15;
	assert_true((opcode != 0) == (peer->opcode == 0));
	if (opcode != 0) {
		peer->opcode = opcode;
		peer->is_packed = byte0 & WS_PACKED;
		peer->message_len = 0;
		assert_true(!peer->is_packed || peer->terms.deflate);
	} else {
		assert_false(byte0 & WS_PACKED);
	}
	assert_true(peer->message_len + len <= WS_PEER_ROOM);
	memcpy(peer->message + peer->message_len, body, len);
	peer->message_len += len;
	return byte0 & 0x80 ? end_message(peer, words) : words;
}

static char *take_control(
	struct ws_peer *peer, unsigned byte0, const char *body, size_t len, char *words)
{
	assert_true((byte0 & 0xf0) == 0x80 && len <= CREW__WS_CONTROL_MAX);
	const unsigned char *code = (const unsigned char *)body;
	switch (byte0 & 15) {
	case CREW__WS_OP_PING:
		peer->pings++;
		memcpy(peer->ping, body, len);
		peer->ping_len = len;
		return words + sprintf(words, "ping;");
	case CREW__WS_OP_PONG:
		return words + sprintf(words, "pong:%.*s;", (int)len, body);
	case CREW__WS_OP_CLOSE:
		if (len == 0)
			return words + sprintf(words, "close;");
		return words + sprintf(words, "close:%d:%.*s;", code[0] << 8 | code[1],
				       (int)len - 2, body + 2);
	default:
		fail_msg("a frame begins with %02x", byte0);
		return words;
	}
}

/* Its length with its header, 0 while it is not all there. */
static size_t take_frame(struct ws_peer *peer, char *data, size_t len, char **words)
{
	const unsigned char *head = (unsigned char *)data;
	size_t at = 2, payload = len < 2 ? 0 : head[1] & 127;
	if (len < 2)
		return 0;
	bool masked = head[1] & 128;
	unsigned width = payload == 126 ? 2 : payload == 127 ? 8 : 0;
	if (len < at + width + 4 * masked)
		return 0;
	if (width > 0)
		payload = 0;
	for (unsigned i = 0; i < width; i++)
		payload = payload << 8 | head[at++];
	assert_true(masked == peer->server && payload < WS_PEER_ROOM);
	uint32_t key = 0;
	if (masked)
		memcpy(&key, data + at, 4);
	at += masked ? 4 : 0;
	if (len < at + payload)
		return 0;
	if (masked)
		crew__ws_unmask(data + at, payload, key);
	peer->frames++;
	*words = head[0] & 8 ? take_control(peer, head[0], data + at, payload, *words)
			     : take_data(peer, head[0], data + at, payload, *words);
	return at + payload;
}

static const char *take_all(struct ws_peer *peer)
{
	char *words = peer->words;
	size_t at = 0, n;
	*words = '\0';
	while ((n = take_frame(peer, peer->raw + at, peer->raw_len - at, &words)) > 0)
		at += n;
	memmove(peer->raw, peer->raw + at, peer->raw_len - at);
	peer->raw_len -= at;
	return peer->words;
}

size_t ws_peer_read(struct ws_peer *peer, size_t most)
{
	size_t room = crew__min(most, WS_PEER_ROOM - peer->raw_len - 1);
	ssize_t n = peer_hears(peer->fd, peer->raw + peer->raw_len, room + 1);
	if (n <= 0)
		return 0;
	peer->raw_len += (size_t)n;
	peer->bytes += (size_t)n;
	take_all(peer);
	return (size_t)n;
}

const char *ws_peer_hear(struct ws_peer *peer)
{
	size_t n = peer_hears_all(
		peer->world, peer->fd, peer->raw + peer->raw_len, WS_PEER_ROOM - peer->raw_len);
	peer->raw_len += n;
	peer->bytes += n;
	return take_all(peer);
}
