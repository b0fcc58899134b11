/* ws_client.h - the WebSocket handshake of a client: what we ask, and whether the answer is one
 * (RFC 6455 section 4.1).
 *
 * Pure: bytes in, bytes out. What the program adds to the request cannot change what the request
 * is, and of the answer nothing is taken on trust: it must prove that it answers us, and agree only
 * to what was offered. Not here: sockets and times (service/), frames (proto/ws.h). */
#ifndef CREW_WEB_WS_CLIENT_H
#define CREW_WEB_WS_CLIENT_H

#include "base/buf.h"
#include "web/ws_extension.h"

enum {
	CREW__WS_KEY_ROOM = 25,          /* 16 bytes in base64, and a NUL */
	CREW__WS_ASK_MOST = 32 * 1024,   /* a request */
	CREW__WS_REPLY_MOST = 16 * 1024, /* the head of an answer */
	CREW__WS_REPLY_FIELDS = 100,
};

struct crew__ws_ask {
	char key[CREW__WS_KEY_ROOM]; /* another for each connection: crew__ws_ask_key */
	crew_bytes authority;        /* for Host, unless `headers` has one */
	crew_bytes target;           /* "/path?query" */
	const char *protocols;       /* names between blanks, the best first; NULL: none */
	const crew_header *headers;  /* more fields, ended by a NULL name; NULL: none */
	bool deflate, resets;        /* offer compression: crew__ws_extension_offer(resets) */
};

/* Are these fields and names sound, and none of them the handshake's own business? 0, or -EINVAL
 * with a sentence. */
int crew__ws_ask_check(
	const crew_header *headers, const char *protocols, char *ret_error, size_t error_size);

/* A key that nobody can foretell. 0, or the errno of the kernel's random numbers. */
int crew__ws_ask_key(struct crew__ws_ask *ask);

/* The request, behind what `out` holds. 0, -ENOBUFS (it is longer than `out` may be), -ENOMEM. */
int crew__ws_ask_write(const struct crew__ws_ask *ask, struct crew__buf *out);

struct crew__ws_reply {
	int status;
	crew_bytes protocol; /* one of ask->protocols, a view into them; empty: none was chosen */
	struct crew__ws_terms terms;
};

/* "103 Early Hints" and the like (RFC 9110 section 15.2). */
static inline bool crew__ws_reply_is_interim(const struct crew__ws_reply *reply)
{
	return reply->status >= 100 && reply->status < 200 && reply->status != 101;
}

/* `data` begins with the answer's first byte on each call; `scanned` is 0 at first, and kept
 * between calls. The length of the answer, behind which frames follow, or of an interim one, behind
 * which another follows, to be read with a `scanned` of 0; 0: more is to come; -EPROTO with a
 * sentence: it is no answer to go on with (a status other than 101 stands in ret_reply). */
int64_t crew__ws_reply_read(const struct crew__ws_ask *ask, crew_bytes data, uint32_t *scanned,
	struct crew__ws_reply *ret_reply, char *ret_error, size_t error_size);

#endif
