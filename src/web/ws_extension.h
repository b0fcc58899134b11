/* ws_extension.h - what two sides of a WebSocket agree on about compression:
 * Sec-WebSocket-Extensions with permessage-deflate (RFC 6455 section 9, RFC 7692 section 7.1).
 *
 * Not here: compression itself (proto/deflate.h), and which side wants what (service/). */
#ifndef CREW_WEB_WS_EXTENSION_H
#define CREW_WEB_WS_EXTENSION_H

#include "base/base.h"

enum {
	CREW__WS_BITS_LEAST = 8,
	CREW__WS_BITS_MOST = 15, /* of the base-2 logarithm of a window */
	CREW__WS_EXTENSION_ROOM = 160,
};

/* What was agreed on. A side that resets begins each message with an empty window. */
struct crew__ws_terms {
	bool deflate; /* false: nothing was, and the rest says nothing */
	bool server_resets, client_resets;
	bool bits_asked; /* the client asked for server_bits, and is to hear of them */
	uint8_t server_bits, client_bits; /* the largest window that side uses: 8 to 15 */
};

/* The server's side: take the first offer that can be taken. With `resets` both sides begin each
 * message anew, whatever was asked for. 1; 0: there is none, and nothing is answered; -EINVAL: the
 * fields are no list of extensions, so that the handshake fails. The time is linear in their
 * length. */
int crew__ws_extension_choose(
	const crew_header *fields, size_t count, bool resets, struct crew__ws_terms *ret_terms);

/* The field's value that answers so. Returns its length. */
size_t crew__ws_extension_answer(
	const struct crew__ws_terms *terms, char room[CREW__WS_EXTENSION_ROOM]);

/* The client's side: the value of the field to send. It lives for ever. */
const char *crew__ws_extension_offer(bool resets);

/* What the server answers to that offer: 1; 0: no extension; -EPROTO: something that was not
 * offered, or cannot be, so that the connection fails. */
int crew__ws_extension_accept(
	const crew_header *fields, size_t count, bool resets, struct crew__ws_terms *ret_terms);

#endif
