/* tls_ways.c - certificates for tests by OpenSSL's own calls, so that each flaw can be made. */
#include "tls_ways.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

enum {
	KEPT_MOST = 256,
	DAY = 24 * 3600
};

static struct {
	char *texts[KEPT_MOST];
	struct tls_made made[KEPT_MOST];
	size_t text_count, made_count;
} kept;

static crew_bytes keep(const void *data, size_t size)
{
	crew__must(kept.text_count < KEPT_MOST);
	char *copy = malloc(size + 1);
	crew__must(copy);
	memcpy(copy, data, size);
	copy[size] = '\0';
	kept.texts[kept.text_count++] = copy;
	return (crew_bytes){ copy, size };
}

static crew_bytes keep_bio(BIO *bio)
{
	char *data;
	long size = BIO_get_mem_data(bio, &data);
	crew_bytes bytes = keep(data, (size_t)size);
	BIO_free(bio);
	return bytes;
}

void tls_ways_end(void)
{
	while (kept.text_count > 0)
		free(kept.texts[--kept.text_count]);
	while (kept.made_count > 0) {
		kept.made_count--;
		X509_free(kept.made[kept.made_count].x509);
		EVP_PKEY_free(kept.made[kept.made_count].key);
	}
	ERR_clear_error();
}

/* ---- certificates -------------------------------------------------------------------------- */

static EVP_PKEY *make_key(const char *kind)
{
	if (!kind)
		kind = "P-256";
	if (strncmp(kind, "RSA:", 4) == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)atoi(kind + 4));
	if (strcmp(kind, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	crew__must(extension && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static void set_names(X509 *cert, const struct tls_wish *wish, X509 *issuer)
{
	X509_NAME *subject = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_UTF8, (const unsigned char *)wish->subject, -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
}

static void set_extensions(X509 *cert, const struct tls_wish *wish, X509 *issuer)
{
	extend(cert, issuer, NID_basic_constraints,
		wish->authority ? "critical,CA:TRUE" : "CA:FALSE");
	extend(cert, issuer, NID_key_usage,
		wish->authority ? "critical,keyCertSign,digitalSignature" : "digitalSignature");
	extend(cert, issuer, NID_subject_key_identifier, "hash");
	if (!wish->authority)
		extend(cert, issuer, NID_ext_key_usage, wish->client ? "clientAuth" : "serverAuth");
	if (wish->names)
		extend(cert, issuer, NID_subject_alt_name, wish->names);
}

struct tls_made tls_make(const struct tls_wish *wish)
{
	static long serial = 1000;
	bool usual = wish->from_s == 0 && wish->until_s == 0;
	struct tls_made made = { .x509 = X509_new(), .key = make_key(wish->key) };
	crew__must(made.x509 && made.key && kept.made_count < KEPT_MOST);
	X509 *issuer = wish->issuer ? wish->issuer->x509 : made.x509;
	EVP_PKEY *signer = wish->issuer ? wish->issuer->key : made.key;
	X509_set_version(made.x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(made.x509), usual ? -DAY : wish->from_s);
	X509_gmtime_adj(X509_getm_notAfter(made.x509), usual ? 90 * DAY : wish->until_s);
	X509_set_pubkey(made.x509, made.key);
	set_names(made.x509, wish, issuer);
	set_extensions(made.x509, wish, issuer);
	bool plain = EVP_PKEY_is_a(signer, "ED25519");
	crew__must(X509_sign(made.x509, signer, plain ? NULL : EVP_sha256()) > 0);

	BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
	crew__must(PEM_write_bio_X509(cert, made.x509) == 1);
	crew__must(PEM_write_bio_PrivateKey(key, made.key, NULL, NULL, 0, NULL, NULL) == 1);
	made.cert_pem = keep_bio(cert);
	made.key_pem = keep_bio(key);
	kept.made[kept.made_count++] = made;
	return made;
}

struct tls_made tls_authority(const char *subject)
{
	return tls_make(&(struct tls_wish){ .subject = subject, .authority = true });
}

struct tls_made tls_server(const struct tls_made *issuer, const char *names)
{
	return tls_make(
		&(struct tls_wish){ .subject = "a server", .names = names, .issuer = issuer });
}

crew_bytes tls_join(crew_bytes first, crew_bytes second)
{
	BIO *all = BIO_new(BIO_s_mem());
	BIO_write(all, first.data, (int)first.len);
	BIO_write(all, second.data, (int)second.len);
	return keep_bio(all);
}

crew_bytes tls_locked(const struct tls_made *made)
{
	BIO *text = BIO_new(BIO_s_mem());
	crew__must(PEM_write_bio_PKCS8PrivateKey(
			   text, made->key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL) == 1);
	return keep_bio(text);
}

crew_bytes tls_ocsp(const struct tls_made *issuer, const struct tls_made *about, int verdict,
	long from_s, long until_s)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), about->x509, issuer->x509);
	ASN1_TIME *from = X509_gmtime_adj(NULL, from_s);
	ASN1_TIME *until = until_s ? X509_gmtime_adj(NULL, until_s) : NULL;
	ASN1_TIME *revoked = X509_gmtime_adj(NULL, from_s);
	crew__must(OCSP_basic_add1_status(
		basic, id, verdict, OCSP_REVOKED_STATUS_KEYCOMPROMISE, revoked, from, until));
	crew__must(OCSP_basic_sign(basic, issuer->x509, issuer->key, EVP_sha256(), NULL, 0) == 1);
	OCSP_RESPONSE *answer = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	unsigned char *der = NULL;
	int size = i2d_OCSP_RESPONSE(answer, &der);
	crew__must(size > 0);
	crew_bytes bytes = keep(der, (size_t)size);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(answer);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	ASN1_TIME_free(revoked);
	return bytes;
}

/* ---- two ends ------------------------------------------------------------------------------ */

static void move_one_way(SSL *from, SSL *to)
{
	char data[4096];
	int size;
	while ((size = BIO_read(SSL_get_wbio(from), data, sizeof(data))) > 0)
		BIO_write(SSL_get_rbio(to), data, size);
}

void tls_pump(SSL *server, SSL *client)
{
	move_one_way(server, client);
	move_one_way(client, server);
}

/* Did it fail for good? The reason goes to *reason then. */
static bool step(SSL *ssl, int *reason)
{
	ERR_clear_error();
	int done = SSL_do_handshake(ssl);
	int error = SSL_get_error(ssl, done);
	if (done == 1 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return true;
	if (*reason == 0)
		*reason = ERR_GET_REASON(ERR_peek_error());
	return false;
}

bool tls_shake(SSL *server, SSL *client, int *ret_server_error, int *ret_client_error)
{
	int errors[2] = { 0, 0 };
	SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_bio(client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	bool good = true;
	for (int round = 0; round < 12; round++) {
		good = step(client, &errors[1]) && good;
		move_one_way(client, server);
		good = step(server, &errors[0]) && good;
		move_one_way(server, client);
	}
	/* What comes after the handshake: tickets, or an alert that the client's certificate is
	 * bad. */
	char byte;
	ERR_clear_error();
	if (good && SSL_read(client, &byte, 1) <= 0 && ERR_peek_error())
		errors[1] = ERR_GET_REASON(ERR_peek_error());
	ERR_clear_error();
	if (ret_server_error)
		*ret_server_error = errors[0];
	if (ret_client_error)
		*ret_client_error = errors[1];
	return good && SSL_is_init_finished(server) && SSL_is_init_finished(client);
}
