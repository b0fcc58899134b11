/* tls_context_parts.h - what the files of a TLS context share; not for others (tls_context.h is).
 */
#ifndef CREW_NET_TLS_CONTEXT_PARTS_H
#define CREW_NET_TLS_CONTEXT_PARTS_H

#include "net/tls_context.h"

#include <openssl/x509.h>

enum {
	CREW__TLS_ALPN_MOST = 512,
	CREW__TLS_CHAIN_MOST = 16, /* certificates above a server's own */
	CREW__TLS_OCSP_MOST = 64 * 1024,
	CREW__TLS_NAME_MOST = 255,
};

/* Where a complaint goes. */
struct crew__tls_error {
	char *text;
	size_t size;
};
/* Write it; -EINVAL. What a file says (a subject) may be in it: control bytes are replaced. */
int crew__tls_refuse(const struct crew__tls_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One certificate as it is used. */
struct crew__tls_identity {
	char *name; /* for messages */
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
	unsigned char *ocsp; /* DER; NULL: none */
	size_t ocsp_size;
	time_t ocsp_until; /* 0: it does not say */
	time_t expires;
};
int crew__tls_identity_init(struct crew__tls_identity *identity, const struct crew__tls_pair *pair,
	const struct crew__tls_error *error);
void crew__tls_identity_fini(struct crew__tls_identity *identity);
/* The OCSP answer of a pair, for its identity that has certificate and chain already. */
int crew__tls_identity_staple(struct crew__tls_identity *identity, crew_bytes answer,
	const char *name, const struct crew__tls_error *error);
/* All certificates of a PEM file, in its order. `what` is what each is, for messages. */
int crew__tls_read_certs(crew_bytes pem, const char *name, size_t most, STACK_OF(X509) * *ret_certs,
	const struct crew__tls_error *error);
time_t crew__tls_time(const ASN1_TIME *time);

/* Which of the identities are for a name. */
struct crew__tls_names;
int crew__tls_names_new(const struct crew__tls_identity *identities, size_t count,
	struct crew__tls_names **ret_names, const struct crew__tls_error *error);
void crew__tls_names_free(struct crew__tls_names *names); /* NULL is allowed */
/* Places of those that are, in the order of the plan; how many, 0: none is. They stand in `names`.
 */
size_t crew__tls_names_find(
	const struct crew__tls_names *names, const char *host, const uint32_t **ret_places);

/* Keys of tickets. */
struct crew__tls_tickets;
int crew__tls_tickets_new(
	const unsigned char *secret, uint64_t epoch, struct crew__tls_tickets **ret_tickets);
void crew__tls_tickets_free(struct crew__tls_tickets *tickets); /* NULL is allowed */
/* As SSL_CTX_set_tlsext_ticket_key_evp_cb() wants it, and so are the answers. */
enum {
	CREW__TLS_TICKET_FAILED = -1,
	CREW__TLS_TICKET_UNKNOWN = 0,
	CREW__TLS_TICKET_GOOD = 1,
	CREW__TLS_TICKET_RENEW = 2
};
int crew__tls_ticket_key(struct crew__tls_tickets *tickets, unsigned char name[16],
	unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt);

struct crew__tls_context {
	SSL_CTX *ctx; /* whose count of references is this one's: what is here goes with it */
	struct crew__tls_identity *identities;
	size_t count;
	struct crew__tls_names *names;
	struct crew__tls_tickets *tickets; /* NULL: none */
	unsigned char alpn[CREW__TLS_ALPN_MOST];
	unsigned alpn_size;
	bool insecure; /* of outgoing connections: names are not verified */
};

/* One with the settings that both sides have; what is still to be filled in is empty. -ENOMEM. */
int crew__tls_context_new(const SSL_METHOD *method, struct crew__tls_context **ret_context);
/* Certificate, chain and key of that place become the context's (or a connection's) own. */
bool crew__tls_use(SSL_CTX *ctx, const struct crew__tls_identity *identity);

#endif
