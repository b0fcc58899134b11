/* tls.h - TLS as a connection's transport (io.h), by OpenSSL.
 *
 * Bytes come from the kernel into one buffer of the worker, and OpenSSL takes records from there;
 * what it makes of ours is gathered in another and leaves in one write. An idle connection owns
 * what OpenSSL keeps for it and nothing more. What the kernel does not take of a record stays with
 * the connection (at most CREW__TLS_HELD bytes), and the messages in it are queued until it has
 * left.
 *
 * Where the kernel can encrypt and the context lets it, it makes the records of what is sent
 * (tls_kernel.c).
 *
 * Not here: certificates, keys, names, sessions (tls_context.h). */
#ifndef CREW_NET_TLS_H
#define CREW_NET_TLS_H

#include "net/conn.h"

#include <openssl/ssl.h>

enum {
	CREW__TLS_RECORD = 16 *
			   1024,    /* plain bytes that become one record (RFC 8446 section 5.1) */
	CREW__TLS_HELD = 64 * 1024, /* of records that the kernel has not taken, once it stands */
};

/* Speak TLS on its socket from now on; `take_ssl` is taken over in every case. `first` are bytes of
 * the peer's that have been read already. The connection is HANDSHAKE; once TLS stands
 * ops->on_accepted is called; if it does not, the connection ends (`handshake`). 0, -ENOMEM. */
int crew__conn_start_tls(crew_conn *c, SSL *take_ssl, crew_bytes first);

/* NULL when it speaks none; of one whose handshake is done. */
SSL *crew__conn_tls(const crew_conn *c);
/* Why its handshake failed, a sentence; "" when it did not. */
const char *crew__conn_tls_error(const crew_conn *c);

/* Its TLS handshake is under way: since when (hundredths). */
bool crew__conn_tls_begins(const crew_conn *c);
uint32_t crew__conn_tls_began(const crew_conn *c);

/* What all TLS connections of a worker share; made when the first is. */
struct crew__tls_shared;
void crew__tls_shared_free(struct crew__tls_shared *shared); /* NULL is allowed */

#endif
