/* io.h - how a connection's bytes travel, where that is not simply its own socket.
 *
 * Nearly every connection is CREW__IO_SOCKET: recv(2) and send(2) stand where they are needed, and
 * none of the functions below is called. The others have a table of them, and keep what they need
 * in net->transports[slot].
 *
 * A transport may take bytes over and hold them until the kernel takes what it made of them (a TLS
 * record): such bytes, and the messages that end in them, are still queued. So whoever sends says
 * afterwards, by `settle`, what the bytes were, and the transport settles them when they have left.
 *
 * Invariant: while a transport holds something, the connection is WRITING. */
#ifndef CREW_NET_IO_H
#define CREW_NET_IO_H

#include "base/base.h"

#include <sys/types.h>
#include <sys/uio.h>

enum crew__io_kind {
	CREW__IO_SOCKET, /* its own, plainly */
	CREW__IO_TLS,    /* tls.h: records that OpenSSL makes */
	CREW__IO_KTLS,   /* likewise, and what is sent the kernel encrypts */
	CREW__IO_NONE, /* no socket yet: an outgoing connection that is being made (conn_begin.c) */
	CREW__IO_DATAGRAM, /* a peer of a UDP socket (udp.h) */
	CREW__IO_SPLICE,   /* its own, once a pipe of the kernel's is empty (splice.h) */
	CREW__IO_KINDS
};

struct crew__io {
	bool datagrams; /* each `send` is one message, whole */
	bool plain;     /* its socket takes what is sent as it is: files by sendfile(2), and much at
			 * once */
	/* Read at most `size` bytes and count them. 0 is the end; -1 with errno: EAGAIN, ENOMEM,
	 * ECONNRESET, or EPROTO: its own handshake or framing is broken. */
	ssize_t (*recv)(crew_conn *c, char *room, size_t size);
	/* Can more be read than the kernel would tell of? */
	bool (*has_more)(const crew_conn *c);
	/* Take as many of these bytes as can be: how many, 0 for now none; -1 when the connection
	 * broke (it is CLOSED then). */
	ssize_t (*send)(crew_conn *c, const struct iovec *vectors, size_t count);
	/* The bytes taken since the last call are `bytes`; `messages` ended with them. */
	void (*settle)(crew_conn *c, size_t bytes, uint32_t messages);
	/* Get rid of what is held. False: something still is, or the connection is CLOSED. */
	bool (*flush)(crew_conn *c);
	/* Is something held that must leave before the connection can end? */
	bool (*pending)(const crew_conn *c);
	/* Of that, what is counted as queued though the queue has it no more. */
	void (*held)(const crew_conn *c, uint64_t *ret_bytes, uint64_t *ret_messages);
	/* We send nothing more: say so to the peer. */
	void (*finish)(crew_conn *c);
	/* The connection is closed: give back what was kept for it. */
	void (*release)(crew_conn *c);
};

extern const struct crew__io *const crew__ios[CREW__IO_KINDS]; /* NULL for SOCKET */
extern const struct crew__io crew__io_tls, crew__io_ktls, crew__io_none, crew__io_splice, crew__io_datagram;

#endif
