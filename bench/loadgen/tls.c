/* tls.c - TLS on the generator's sockets, by OpenSSL as a client.
 *
 * Certificates are not verified: it is the server's work that is measured. No session is kept, so
 * each handshake is a full one. */
#include "gen.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SSL_CTX *context;

_Noreturn static void fail_tls(const struct conn *c, const char *what)
{
	unsigned long code = ERR_peek_error();

	fail("connection %u: %s: %s", c->index, what,
		code ? ERR_reason_error_string(code) : "the server closed it");
}

void tls_prepare(void)
{
	/* OpenSSL writes without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	context = SSL_CTX_new(TLS_client_method());
	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
		fail("OpenSSL has no TLS 1.3");
	/* In the order of browsers: servers that follow the client and servers that do not then
	 * speak the same. */
	if (SSL_CTX_set_ciphersuites(context,
		    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") !=
			1 ||
		SSL_CTX_set1_groups_list(context, "X25519") != 1)
		fail("OpenSSL lacks the suites or the group");
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
}

void tls_begin(struct conn *c)
{
	SSL *ssl = SSL_new(context);

	if (!ssl || SSL_set_fd(ssl, c->fd) != 1)
		fail("no memory for TLS");
	SSL_set_connect_state(ssl);
	c->tls = ssl;
}

bool tls_shake(struct conn *c)
{
	int done, state;

	ERR_clear_error();
	done = SSL_do_handshake(c->tls);
	if (done == 1)
		return true;
	state = SSL_get_error(c->tls, done);
	if (state != SSL_ERROR_WANT_READ && state != SSL_ERROR_WANT_WRITE)
		fail_tls(c, "TLS handshake");
	return false;
}

void tls_connect(struct conn *c)
{
	tls_begin(c);
	if (!tls_shake(c))
		fail("connection %u: TLS handshake: no answer for ten seconds", c->index);
}

/* What a call that did not succeed means, as recv(2) and send(2) say it. */
static ssize_t told(struct conn *c, int done, const char *what)
{
	switch (SSL_get_error(c->tls, done)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		fail_tls(c, what);
	}
}

ssize_t tls_receive(struct conn *c, void *room, size_t size, bool peek)
{
	size_t n;
	int done;

	ERR_clear_error();
	done = peek ? SSL_peek_ex(c->tls, room, size, &n) : SSL_read_ex(c->tls, room, size, &n);
	return done == 1 ? (ssize_t)n : told(c, done, "receive");
}

ssize_t tls_send(struct conn *c, const void *bytes, size_t len)
{
	size_t n;
	int done;

	ERR_clear_error();
	done = SSL_write_ex(c->tls, bytes, len, &n);
	return done == 1 ? (ssize_t)n : told(c, done, "send");
}

void tls_end(struct conn *c)
{
	SSL_free(c->tls);
	c->tls = NULL;
}
