/* tls_context.h - what a TLS connection is made from: certificates, keys, names, sessions.
 *
 * Pure of sockets; a server's files are handed in as bytes, as a worker may not be allowed to read
 * them. A context is never changed once made: another certificate is another context, and
 * connections keep the one they began with. Not for several threads at a time.
 *
 *   tls_context.c          one context: what is spoken, ALPN, client certificates; its life
 *   tls_context_pair.c     a certificate, its chain and its key: read and checked
 *   tls_context_ocsp.c     an OCSP answer: read and checked
 *   tls_context_names.c    which certificate belongs to a name
 *   tls_context_tickets.c  keys of session tickets, by epochs
 *   tls_context_client.c   outgoing connections
 *   tls_context_ktls.c     whether the kernel could encrypt */
#ifndef CREW_NET_TLS_CONTEXT_H
#define CREW_NET_TLS_CONTEXT_H

#include "base/base.h"

#include <openssl/ssl.h>
#include <time.h>

struct crew__tls_context;

/* One certificate: bytes of files (PEM; the OCSP answer DER, may be empty). Names are for messages.
 */
struct crew__tls_pair {
	const char *name;
	crew_bytes cert, key, ocsp;
	const char *key_name, *ocsp_name; /* NULL: as `name` */
};

enum crew__tls_client {
	CREW__TLS_CLIENT_OFF,
	CREW__TLS_CLIENT_OPTIONAL,
	CREW__TLS_CLIENT_REQUIRED
};

enum {
	CREW__TLS_SECRET = 32
};

/* Of a service. Everything is borrowed for the call. */
struct crew__tls_server_plan {
	const struct crew__tls_pair *pairs;
	size_t count; /* at least 1; the first is for clients that name none, or another */
	crew_bytes client_ca;
	const char *client_ca_name;
	enum crew__tls_client client;
	int least_version;        /* TLS1_2_VERSION */
	const char *alpn;         /* "h2 http/1.1", best first; NULL: none */
	crew_bytes ticket_secret; /* CREW__TLS_SECRET bytes, the same in all workers; empty: no
				     tickets */
	uint64_t ticket_epoch;    /* that they are of: see crew__tls_epoch() */
	bool ktls;
};
/* 0; -EINVAL with a sentence that names file, cause and what to do; -ENOMEM. */
int crew__tls_server_new(const struct crew__tls_server_plan *plan,
	struct crew__tls_context **ret_context, char *ret_error, size_t error_size);

/* Of outgoing connections. */
struct crew__tls_client_plan {
	const char *ca_file;              /* NULL: the system's */
	const char *cert_file, *key_file; /* NULL: none */
	const char *alpn;
	bool insecure;
};
int crew__tls_client_new(const struct crew__tls_client_plan *plan,
	struct crew__tls_context **ret_context, char *ret_error, size_t error_size);

struct crew__tls_context *crew__tls_context_ref(struct crew__tls_context *context);
void crew__tls_context_unref(struct crew__tls_context *context); /* NULL is allowed */

/* For one connection; NULL without memory. What it needs of the context lives on with it. */
SSL *crew__tls_accept(struct crew__tls_context *context);
/* `name` is asked for (SNI, unless it is an address) and verified (RFC 6125). NULL: no name, only
 * where nothing is verified; else the answer is NULL. */
SSL *crew__tls_connect(struct crew__tls_context *context, const char *name);

/* When the first of its certificates expires; 0: it has none. And the name of that one; NULL. */
time_t crew__tls_expires(const struct crew__tls_context *context);
const char *crew__tls_expires_name(const struct crew__tls_context *context);

/* Tickets are made with keys of the present epoch (some hours, the same for all processes of the
 * machine), and those of the epoch before are taken and renewed. The secret of an epoch follows
 * from that of the one before and not the other way round; whoever starts later is given the secret
 * of the epoch before the present one. */
uint64_t crew__tls_epoch(void);
/* From one epoch's to the next one's, in place. */
void crew__tls_secret_step(unsigned char secret[CREW__TLS_SECRET]);

/* A blank-separated list ("h2 http/1.1") as RFC 7301 writes it. The length; -EINVAL: a name is
 * longer than 255 bytes, there is none, or the list does not fit. */
int crew__tls_alpn_wire(const char *list, unsigned char *ret_wire, size_t size);

/* NULL: the kernel could encrypt. Else why not, a phrase: "the kernel has no tls module". The
 * answer of the first call is kept. */
const char *crew__ktls_why_not(void);
/* Let the kernel encrypt what this one sends, where it could. */
void crew__ktls_allow(SSL *ssl);
/* Why it does not, where it could. */
extern const char crew__ktls_unused[];

#endif
