/* tls_ways.h - certificates made for a test, and two ends of TLS without sockets between.
 *
 * All that is made lives until tls_ways_end(). */
#ifndef CREW_TESTS_TLS_WAYS_H
#define CREW_TESTS_TLS_WAYS_H

#include "net/tls_context.h"

/* One certificate with its key. */
struct tls_made {
	X509 *x509;
	EVP_PKEY *key;
	crew_bytes cert_pem, key_pem;
};

struct tls_wish {
	const char *subject;           /* its CN */
	const char *names;             /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
	const struct tls_made *issuer; /* NULL: itself */
	long from_s, until_s;          /* from now; both 0: since yesterday, for 90 days */
	const char *key;               /* "P-256" (NULL too), "RSA:2048", "P-192", "ED25519" */
	bool authority, client;
};
struct tls_made tls_make(const struct tls_wish *wish);
/* What most tests need: an authority, and a certificate of it for those names. */
struct tls_made tls_authority(const char *subject);
struct tls_made tls_server(const struct tls_made *issuer, const char *names);

/* Several PEM texts behind each other. */
crew_bytes tls_join(crew_bytes first, crew_bytes second);
/* The key, locked with a password. */
crew_bytes tls_locked(const struct tls_made *made);
/* An OCSP answer of `issuer` about `about`: a V_OCSP_CERTSTATUS_; times as above, until_s 0: none.
 */
crew_bytes tls_ocsp(const struct tls_made *issuer, const struct tls_made *about, int verdict,
	long from_s, long until_s);

/* Let both shake hands over memory. True when both are done; what a side said last is in
 * *ret_server_error and *ret_client_error (reason codes of OpenSSL, 0: none), which may be NULL. */
bool tls_shake(SSL *server, SSL *client, int *ret_server_error, int *ret_client_error);
/* Move what is waiting between two ends that tls_shake() has joined. */
void tls_pump(SSL *server, SSL *client);

void tls_ways_end(void);

#endif
