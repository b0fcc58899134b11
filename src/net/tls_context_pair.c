/* tls_context_pair.c - a certificate, its chain and its key: read from bytes and checked.
 *
 * What is refused here would make handshakes fail later, one by one and far from who could mend it.
 * An expired certificate is not: a service with one is still better than none, and who asks is
 * warned by the layer above. */
#include "net/tls_context.h"

#include "net/tls_context_parts.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	RSA_LEAST = 2048,
	EC_LEAST = 224,
	SUBJECT_SHOWN = 128
};

int crew__tls_refuse(const struct crew__tls_error *error, const char *format, ...)
{
	ERR_clear_error();
	if (error->size == 0)
		return -EINVAL;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error->text, error->size, format, arguments);
	va_end(arguments);
	for (char *c = error->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return -EINVAL;
}

/* OpenSSL would ask for a password on the terminal, of which a service has none. */
static int no_password(char *text, int size, int writing, void *asked)
{
	(void)text;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static BIO *reader(crew_bytes bytes)
{
	return bytes.len <= INT_MAX ? BIO_new_mem_buf(bytes.data, (int)bytes.len) : NULL;
}

time_t crew__tls_time(const ASN1_TIME *time)
{
	struct tm parts;
	if (!time || ASN1_TIME_to_tm(time, &parts) != 1)
		return 0;
	return timegm(&parts);
}

static const char *subject_of(const X509 *cert, char text[SUBJECT_SHOWN])
{
	X509_NAME_oneline(X509_get_subject_name(cert), text, SUBJECT_SHOWN);
	return text;
}

/* ---- certificates -------------------------------------------------------------------------- */

/* At the end of what could be read: is it the end of the file, or something that is broken? */
static bool at_good_end(void)
{
	unsigned long code = ERR_peek_last_error();
	bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return end;
}

static int take_certs(BIO *from, STACK_OF(X509) * certs, const char *name, size_t most,
	const struct crew__tls_error *error)
{
	bool asked = false;
	X509 *cert;
	while ((cert = PEM_read_bio_X509(from, NULL, no_password, &asked)) != NULL) {
		if ((size_t)sk_X509_num(certs) >= most) {
			X509_free(cert);
			return crew__tls_refuse(error,
				"%s holds more than %zu certificates; leave those out that are not needed",
				name, most);
		}
		if (sk_X509_push(certs, cert) <= 0) {
			X509_free(cert);
			return -ENOMEM;
		}
	}
	if (!at_good_end())
		return crew__tls_refuse(error,
			"certificate %d of %s is damaged; write the file anew, whole",
			sk_X509_num(certs) + 1, name);
	if (sk_X509_num(certs) == 0)
		return crew__tls_refuse(error,
			"%s holds no certificate; it must be PEM, with lines BEGIN CERTIFICATE",
			name);
	return 0;
}

int crew__tls_read_certs(crew_bytes pem, const char *name, size_t most, STACK_OF(X509) * *ret_certs,
	const struct crew__tls_error *error)
{
	if (pem.len == 0)
		return crew__tls_refuse(
			error, "%s is empty; it must hold certificates in PEM", name);
	ERR_clear_error();
	BIO *from = reader(pem);
	STACK_OF(X509) *certs = sk_X509_new_null();
	int status = from && certs ? take_certs(from, certs, name, most, error) : -ENOMEM;
	BIO_free(from);
	if (status < 0)
		sk_X509_pop_free(certs, X509_free);
	else
		*ret_certs = certs;
	return status;
}

static int check_order(
	const struct crew__tls_identity *identity, const struct crew__tls_error *error)
{
	X509 *below = identity->cert;
	char lower[SUBJECT_SHOWN], upper[SUBJECT_SHOWN];
	for (int i = 0; i < sk_X509_num(identity->chain); i++) {
		X509 *above = sk_X509_value(identity->chain, i);
		if (X509_check_issued(above, below) != X509_V_OK)
			return crew__tls_refuse(error,
				"%s: certificate %d (%s) did not issue the one before it (%s); put the "
				"server's own certificate first, then each issuer's",
				identity->name, i + 2, subject_of(above, upper),
				subject_of(below, lower));
		below = above;
	}
	return 0;
}

static int check_size(
	const struct crew__tls_identity *identity, const struct crew__tls_error *error)
{
	EVP_PKEY *key = X509_get0_pubkey(identity->cert);
	int bits = key ? EVP_PKEY_get_bits(key) : 0;
	if (!key)
		return crew__tls_refuse(error,
			"%s: its public key is of a kind that is not known here; use RSA or EC P-256",
			identity->name);
	bool rsa = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
	if ((rsa && bits < RSA_LEAST) || (EVP_PKEY_is_a(key, "EC") && bits < EC_LEAST))
		return crew__tls_refuse(error,
			"%s: a key of %d bits is too weak; make one of %s and have it certified",
			identity->name, bits, rsa ? "2048 bits or more" : "P-256");
	if (!rsa && !EVP_PKEY_is_a(key, "EC") && !EVP_PKEY_is_a(key, "ED25519") &&
		!EVP_PKEY_is_a(key, "ED448"))
		return crew__tls_refuse(error,
			"%s: its key is none that TLS signs with; use RSA or EC P-256",
			identity->name);
	return 0;
}

static int check_times(struct crew__tls_identity *identity, const struct crew__tls_error *error)
{
	identity->expires = crew__tls_time(X509_get0_notAfter(identity->cert));
	if (identity->expires <= 0 || !X509_get0_notBefore(identity->cert))
		return crew__tls_refuse(error,
			"%s does not say until when it is valid; have it issued again",
			identity->name);
	if (X509_cmp_current_time(X509_get0_notBefore(identity->cert)) > 0)
		return crew__tls_refuse(error,
			"%s is not valid yet; wait for its first day, or set this machine's clock",
			identity->name);
	return 0;
}

static int take_chain(
	struct crew__tls_identity *identity, crew_bytes pem, const struct crew__tls_error *error)
{
	int status = crew__tls_read_certs(
		pem, identity->name, CREW__TLS_CHAIN_MOST + 1, &identity->chain, error);
	if (status < 0)
		return status;
	identity->cert = sk_X509_shift(identity->chain);
	status = check_times(identity, error);
	if (status == 0)
		status = check_size(identity, error);
	return status < 0 ? status : check_order(identity, error);
}

/* ---- the key ------------------------------------------------------------------------------- */

static int take_key(struct crew__tls_identity *identity, crew_bytes pem, const char *name,
	const struct crew__tls_error *error)
{
	bool asked = false;
	if (pem.len == 0)
		return crew__tls_refuse(error, "%s is empty; it must hold a key in PEM", name);
	BIO *from = reader(pem);
	if (!from)
		return -ENOMEM;
	ERR_clear_error();
	identity->key = PEM_read_bio_PrivateKey(from, NULL, no_password, &asked);
	BIO_free(from);
	if (!identity->key && asked)
		return crew__tls_refuse(error,
			"%s is locked with a password; a service has nobody to ask: write the key "
			"without (openssl pkey -in OLD -out NEW) and let only its user read it",
			name);
	if (!identity->key && !memmem(pem.data, pem.len, "PRIVATE KEY-----", 16))
		return crew__tls_refuse(error,
			"%s holds no private key; it must be PEM, with a line BEGIN PRIVATE KEY",
			name);
	if (!identity->key)
		return crew__tls_refuse(
			error, "the key in %s is damaged; write the file anew, whole", name);
	if (X509_check_private_key(identity->cert, identity->key) != 1)
		return crew__tls_refuse(error,
			"the key in %s is not that of the certificate in %s; give them in the same "
			"order, and replace both together",
			name, identity->name);
	return 0;
}

/* ---- together ------------------------------------------------------------------------------ */

int crew__tls_identity_init(struct crew__tls_identity *identity, const struct crew__tls_pair *pair,
	const struct crew__tls_error *error)
{
	*identity = (struct crew__tls_identity){ .name = strdup(pair->name) };
	int status = identity->name ? take_chain(identity, pair->cert, error) : -ENOMEM;
	if (status == 0)
		status = take_key(
			identity, pair->key, pair->key_name ? pair->key_name : pair->name, error);
	if (status == 0 && pair->ocsp.len > 0)
		status = crew__tls_identity_staple(identity, pair->ocsp,
			pair->ocsp_name ? pair->ocsp_name : pair->name, error);
	if (status < 0)
		crew__tls_identity_fini(identity);
	return status;
}

void crew__tls_identity_fini(struct crew__tls_identity *identity)
{
	free(identity->name);
	free(identity->ocsp);
	X509_free(identity->cert);
	EVP_PKEY_free(identity->key);
	sk_X509_pop_free(identity->chain, X509_free);
	*identity = (struct crew__tls_identity){ .name = NULL };
}
