/* tls_api.c - what the program may ask of a connection that speaks TLS.
 *
 * Some of it OpenSSL lends without an end, or makes anew each time. Such a text is made when it is
 * first asked for, and goes with the connection. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* Kept with the SSL object. */
struct texts {
	char *alpn, *peer_name;
};

static void free_texts(
	void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct texts *texts = pointer;
	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	if (!texts)
		return;
	free(texts->alpn);
	free(texts->peer_name);
	free(texts);
}

static struct texts *texts_of(SSL *ssl)
{
	static int index = -1;
	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_texts);
	struct texts *texts = index < 0 ? NULL : SSL_get_ex_data(ssl, index);
	if (texts || index < 0)
		return texts;
	texts = calloc(1, sizeof(*texts));
	if (texts && SSL_set_ex_data(ssl, index, texts) != 1) {
		free(texts);
		return NULL;
	}
	return texts;
}

static SSL *tls_of(const crew_conn *c)
{
	return c ? crew__conn_tls(c) : NULL;
}

const char *crew_tls_version(const crew_conn *c)
{
	const SSL *ssl = tls_of(c);
	return ssl ? SSL_get_version(ssl) : NULL;
}

const char *crew_tls_cipher(const crew_conn *c)
{
	const SSL *ssl = tls_of(c);
	return ssl ? SSL_get_cipher_name(ssl) : NULL;
}

const char *crew_tls_server_name(const crew_conn *c)
{
	const SSL *ssl = tls_of(c);
	return ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

const char *crew_tls_alpn(const crew_conn *c)
{
	SSL *ssl = tls_of(c);
	const unsigned char *name = NULL;
	unsigned length = 0;
	if (ssl)
		SSL_get0_alpn_selected(ssl, &name, &length);
	if (length == 0)
		return NULL;
	struct texts *texts = texts_of(ssl);
	if (texts && !texts->alpn)
		texts->alpn = strndup((const char *)name, length);
	return texts ? texts->alpn : NULL;
}

/* A name may hold anything; RFC 2253 escapes what would be ambiguous, control bytes as well. */
static char *name_text(const X509 *cert)
{
	char *text = NULL, *data;
	BIO *out = BIO_new(BIO_s_mem());
	unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	if (out && X509_NAME_print_ex(out, X509_get_subject_name(cert), 0, flags) >= 0) {
		long length = BIO_get_mem_data(out, &data);
		text = length > 0 ? strndup(data, (size_t)length) : strdup("");
	}
	BIO_free(out);
	ERR_clear_error();
	return text;
}

const char *crew_tls_peer_name(const crew_conn *c)
{
	SSL *ssl = tls_of(c);
	if (!ssl)
		return NULL;
	/* Where certificates are not verified the result is "good", too. */
	const X509 *cert = SSL_get0_peer_certificate(ssl);
	if (!cert || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE ||
		SSL_get_verify_result(ssl) != X509_V_OK)
		return NULL;
	struct texts *texts = texts_of(ssl);
	if (texts && !texts->peer_name)
		texts->peer_name = name_text(cert);
	return texts ? texts->peer_name : NULL;
}
