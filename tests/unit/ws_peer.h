/* ws_peer.h - the other end of a WebSocket, for tests of the service: it asks for a connection, or
 * stands for the server of one that we made, reads frames, and takes compressed messages apart. */
#ifndef CREW_TESTS_WS_PEER_H
#define CREW_TESTS_WS_PEER_H

#include "net_ways.h"
#include "ws_ways.h"

enum {
	WS_PEER_ROOM = 4 << 20,
	WS_PACKED = 0x40, /* in the first byte of a frame: the peer compresses it */
};

struct ws_peer {
	struct world *world;
	int fd;
	bool server; /* it is: our frames come masked, its own are not */
	struct crew__ws_terms terms;
	struct crew__inflater *inflater;
	struct crew__deflater *deflater;
	char *raw; /* what came and is no whole frame yet */
	size_t raw_len;
	char *message; /* the payload of the present message; the last one, inflated */
	size_t message_len;
	unsigned opcode; /* of the present one; 0: none has begun */
	bool is_packed;
	char *words;
	char answer[2048]; /* to the handshake */
	/* So far: bytes and frames of all kinds; of messages, those that were compressed; the id of
	 * the last ping. */
	size_t bytes;
	unsigned frames, messages, packed, pings;
	void (*on_message)(const struct ws_peer *peer); /* one is whole; may be NULL */
	char ping[125];
	size_t ping_len;
};

/* Connect and shake hands, offering these extensions (NULL: none); terms are what came of it. */
void ws_peer_open(struct ws_peer *peer, struct world *world, const char *extensions);
/* Connect; our end is the client of a handshake that agreed on that. Returns our end. */
crew_conn *ws_peer_attach(
	struct ws_peer *peer, struct world *world, const struct crew__ws_agreed *agreed);
void ws_peer_close(struct ws_peer *peer);

/* A frame; with WS_PACKED in byte0 its payload is compressed as the terms say. */
void ws_peer_say(struct ws_peer *peer, unsigned byte0, const char *payload, size_t len);
/* ... of which nothing is done yet. */
void ws_peer_put(struct ws_peer *peer, unsigned byte0, const char *payload, size_t len);

/* What has come, in words: "text:BODY;binary:BODY;ping;close:CODE:REASON;", bodies cut at 40 bytes.
 */
const char *ws_peer_hear(struct ws_peer *peer);
/* At most `most` bytes of what is there, without a turn of the world. How many. */
size_t ws_peer_read(struct ws_peer *peer, size_t most);

#endif
