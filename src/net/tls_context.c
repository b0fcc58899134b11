/* tls_context.c - one context: what is spoken, with whom, and its life.
 *
 * Behind each of ours stands one SSL_CTX; ours is its application data and ends with it, as each
 * connection holds a reference on the latter. So a handshake that began with a context finds all of
 * it, even when the service has another one since.
 *
 * The first certificate is in the SSL_CTX. Another one is put into the connection when the client
 * has named it: a context for each would cost tens of kilobytes, times thousands of certificates.
 */
#include "net/tls_context.h"

#include "base/check.h"
#include "net/tls_context_parts.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

/* For TLS 1.2; forward secrecy and authenticated encryption only, which leaves out all that was
 * broken in the last twenty years. Which of them is best is the client's to say: it knows whether
 * its machine has AES. */
#define CIPHERS                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define GROUPS "X25519:P-256:P-384"

enum {
	CHAIN_DEPTH_MOST = 10,
	CLIENT_CAS_MOST = 1000
};

static void end_context(
	void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	struct crew__tls_context *context = pointer;
	if (!context)
		return;
	for (size_t i = 0; i < context->count; i++)
		crew__tls_identity_fini(&context->identities[i]);
	free(context->identities);
	crew__tls_names_free(context->names);
	crew__tls_tickets_free(context->tickets);
	free(context);
}

static int context_index(void)
{
	static int index = -1;
	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, end_context);
	return index;
}

static struct crew__tls_context *context_of(const SSL *ssl)
{
	struct crew__tls_context *context = SSL_CTX_get_ex_data(
		SSL_get_SSL_CTX(ssl), context_index());
	crew__must(context);
	return context;
}

/* ---- what both sides have ------------------------------------------------------------------ */

/* SSL_OP_IGNORE_UNEXPECTED_EOF is not set: without it a stream that somebody cut can be told from
 * one that its sender ended, and whoever reads until the end has to know. */
static bool set_common(SSL_CTX *ctx)
{
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MOST);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1 &&
	       SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
}

int crew__tls_context_new(const SSL_METHOD *method, struct crew__tls_context **ret_context)
{
	struct crew__tls_context *context = calloc(1, sizeof(*context));
	SSL_CTX *ctx = context ? SSL_CTX_new(method) : NULL;
	if (!ctx || !SSL_CTX_set_ex_data(ctx, context_index(), context)) {
		SSL_CTX_free(ctx);
		free(context);
		ERR_clear_error();
		return -ENOMEM;
	}
	context->ctx = ctx;
	if (!set_common(ctx)) {
		SSL_CTX_free(ctx);
		ERR_clear_error();
		return -ENOMEM;
	}
	*ret_context = context;
	return 0;
}

bool crew__tls_use(SSL_CTX *ctx, const struct crew__tls_identity *identity)
{
	return SSL_CTX_use_cert_and_key(ctx, identity->cert, identity->key, identity->chain, 1) ==
	       1;
}

int crew__tls_alpn_wire(const char *list, unsigned char *ret_wire, size_t size)
{
	size_t used = 0;
	for (list += strspn(list, " \t"); *list; list += strspn(list, " \t")) {
		size_t length = strcspn(list, " \t");
		if (length > UINT8_MAX || used + 1 + length > size)
			return -EINVAL;
		ret_wire[used++] = (unsigned char)length;
		memcpy(ret_wire + used, list, length);
		used += length;
		list += length;
	}
	return used > 0 ? (int)used : -EINVAL;
}

/* ---- during a handshake -------------------------------------------------------------------- */

/* Nothing in common with a client that offers something is the end (RFC 7301 section 3.2): it would
 * speak what we do not. */
static int on_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_length,
	const unsigned char *offered, unsigned offered_size, void *arg)
{
	const struct crew__tls_context *context = context_of(ssl);
	unsigned char *chosen;
	(void)arg;
	if (SSL_select_next_proto(&chosen, ret_length, context->alpn, context->alpn_size, offered,
		    offered_size) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret_name = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* Any name is taken, so that it is kept with the session; who has no certificate for it shows the
 * first. */
static int on_server_name(SSL *ssl, int *ret_alert, void *arg)
{
	(void)ret_alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) ? SSL_TLSEXT_ERR_OK
								  : SSL_TLSEXT_ERR_NOACK;
}

/* One of each kind of key may serve the same name (RSA and EC): what the client can is chosen. */
static bool use_all(
	SSL *ssl, const struct crew__tls_context *context, const uint32_t *places, size_t count)
{
	int kinds[4];
	size_t used = 0;
	SSL_certs_clear(ssl);
	for (size_t i = 0; i < count && used < crew__lengthof(kinds); i++) {
		const struct crew__tls_identity *identity = &context->identities[places[i]];
		int kind = EVP_PKEY_get_base_id(identity->key);
		bool had = false;
		for (size_t n = 0; n < used; n++)
			had = had || kinds[n] == kind;
		if (had)
			continue;
		if (SSL_use_cert_and_key(ssl, identity->cert, identity->key, identity->chain, 1) !=
			1)
			return false;
		kinds[used++] = kind;
	}
	return true;
}

/* The client's hello is known, and it resumes no session: which certificate? */
static int on_certificate(SSL *ssl, void *arg)
{
	const struct crew__tls_context *context = context_of(ssl);
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const uint32_t *places;
	(void)arg;
	size_t count = host ? crew__tls_names_find(context->names, host, &places) : 0;
	/* The first, alone, is there already. */
	if (count == 0 || (count == 1 && places[0] == 0))
		return 1;
	return use_all(ssl, context, places, count);
}

static int on_status(SSL *ssl, void *arg)
{
	const struct crew__tls_context *context = context_of(ssl);
	const X509 *shown = SSL_get_certificate(ssl);
	(void)arg;
	for (size_t i = 0; shown && i < context->count; i++) {
		const struct crew__tls_identity *identity = &context->identities[i];
		if (identity->cert != shown)
			continue;
		if (!identity->ocsp ||
			(identity->ocsp_until != 0 && identity->ocsp_until < time(NULL)))
			return SSL_TLSEXT_ERR_NOACK;
		unsigned char *copy = OPENSSL_memdup(identity->ocsp, identity->ocsp_size);
		if (!copy)
			return SSL_TLSEXT_ERR_NOACK;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)identity->ocsp_size);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int encrypt)
{
	int answer = crew__tls_ticket_key(
		context_of(ssl)->tickets, name, iv, cipher, mac, encrypt != 0);
	/* A client of TLS 1.3 shows each ticket once, so that nobody can tell by it who comes
	 * again: it needs a new one each time. */
	bool again = answer == CREW__TLS_TICKET_GOOD && !encrypt &&
		     SSL_version(ssl) == TLS1_3_VERSION;
	return again ? CREW__TLS_TICKET_RENEW : answer;
}

/* A session remembers its client's certificate, and could be renewed for ever, ticket by ticket,
 * when nobody looked whether that one is still valid. */
static bool has_expired(const SSL_SESSION *session)
{
	X509 *peer = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
	return peer && X509_cmp_current_time(X509_get0_notAfter(peer)) < 0;
}

static SSL_TICKET_RETURN on_session(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
	size_t name_size, SSL_TICKET_STATUS status, void *arg)
{
	(void)ssl;
	(void)name;
	(void)name_size;
	(void)arg;
	bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
	if (!good || has_expired(session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* ---- a server's ---------------------------------------------------------------------------- */

static int take_pairs(struct crew__tls_context *context, const struct crew__tls_server_plan *plan,
	const struct crew__tls_error *error)
{
	if (plan->count == 0 || plan->count > UINT32_MAX)
		return crew__tls_refuse(error, "a service needs a certificate to speak TLS");
	context->identities = calloc(plan->count, sizeof(*context->identities));
	if (!context->identities)
		return -ENOMEM;
	for (; context->count < plan->count; context->count++) {
		int status = crew__tls_identity_init(
			&context->identities[context->count], &plan->pairs[context->count], error);
		if (status < 0)
			return status;
	}
	int status = crew__tls_names_new(
		context->identities, context->count, &context->names, error);
	if (status < 0)
		return status;
	/* What was checked above and is refused here is refused by the policy of the system. */
	if (!crew__tls_use(context->ctx, &context->identities[0]))
		return crew__tls_refuse(error,
			"%s: this system's OpenSSL does not take it (%s); have one issued with a "
			"stronger key or signature",
			plan->pairs[0].name, ERR_reason_error_string(ERR_peek_last_error()));
	return 0;
}

/* Their names are told to clients, which choose among their certificates by them. */
static int trust(SSL_CTX *ctx, STACK_OF(X509) * certs)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1 ||
			SSL_CTX_add_client_CA(ctx, sk_X509_value(certs, i)) != 1)
			return -ENOMEM;
	/* An authority is trusted because it is in the file, not because one above it is. */
	return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 ? 0 : -ENOMEM;
}

static int take_client_ca(struct crew__tls_context *context,
	const struct crew__tls_server_plan *plan, const struct crew__tls_error *error)
{
	STACK_OF(X509) * certs;
	if (plan->client == CREW__TLS_CLIENT_OFF)
		return 0;
	int status = crew__tls_read_certs(
		plan->client_ca, plan->client_ca_name, CLIENT_CAS_MOST, &certs, error);
	if (status < 0)
		return status;
	status = trust(context->ctx, certs);
	sk_X509_pop_free(certs, X509_free);
	SSL_CTX_set_verify(context->ctx,
		plan->client == CREW__TLS_CLIENT_REQUIRED
			? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
			: SSL_VERIFY_PEER,
		NULL);
	return status;
}

/* A session is resumed without looking at certificates again. So it must not be, where others are
 * asked for than those that it began with. */
static bool set_session_scope(SSL_CTX *ctx, const struct crew__tls_server_plan *plan)
{
	unsigned char scope[EVP_MAX_MD_SIZE] = { (unsigned char)plan->client };
	unsigned size = 0;
	if (EVP_Digest(plan->client_ca.data, plan->client_ca.len, scope + 1, &size, EVP_sha224(),
		    NULL) != 1)
		return false;
	return SSL_CTX_set_session_id_context(ctx, scope, 1 + size) == 1;
}

static int take_tickets(struct crew__tls_context *context, const struct crew__tls_server_plan *plan)
{
	if (plan->ticket_secret.len != CREW__TLS_SECRET) {
		SSL_CTX_set_options(context->ctx, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(context->ctx, 0) == 1 ? 0 : -ENOMEM;
	}
	int status = crew__tls_tickets_new((const unsigned char *)plan->ticket_secret.data,
		plan->ticket_epoch, &context->tickets);
	if (status < 0)
		return status;
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ctx, on_ticket);
	/* OpenSSL gives two with TLS 1.3. One, renewed each time that it is used, does for a client
	 * that comes again; one that opens several connections at once gets one of each. Sealing
	 * and sending one costs a twentieth of a handshake. */
	if (SSL_CTX_set_num_tickets(context->ctx, 1) != 1)
		return -ENOMEM;
	return SSL_CTX_set_session_ticket_cb(context->ctx, NULL, on_session, NULL) == 1 ? 0
											: -ENOMEM;
}

static int take_alpn(
	struct crew__tls_context *context, const char *alpn, const struct crew__tls_error *error)
{
	if (!alpn)
		return 0;
	int size = crew__tls_alpn_wire(alpn, context->alpn, sizeof(context->alpn));
	if (size < 0)
		return crew__tls_refuse(error,
			"tls_alpn \"%s\" is no list of protocols; write their names with blanks "
			"between, such as \"http/1.1\"",
			alpn);
	context->alpn_size = (unsigned)size;
	SSL_CTX_set_alpn_select_cb(context->ctx, on_alpn, NULL);
	return 0;
}

static int fill_server(struct crew__tls_context *context, const struct crew__tls_server_plan *plan,
	const struct crew__tls_error *error)
{
	SSL_CTX *ctx = context->ctx;
	int status = take_pairs(context, plan, error);
	if (status == 0)
		status = take_client_ca(context, plan, error);
	if (status == 0)
		status = take_alpn(context, plan->alpn, error);
	if (status == 0)
		status = take_tickets(context, plan);
	if (status < 0)
		return status;
	int least = plan->least_version > TLS1_2_VERSION ? plan->least_version : TLS1_2_VERSION;
	if (SSL_CTX_set_min_proto_version(ctx, least) != 1 || !set_session_scope(ctx, plan))
		return -ENOMEM;
	SSL_CTX_set_cert_cb(ctx, on_certificate, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	if (plan->ktls && !crew__ktls_why_not())
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	return 0;
}

int crew__tls_server_new(const struct crew__tls_server_plan *plan,
	struct crew__tls_context **ret_context, char *ret_error, size_t error_size)
{
	const struct crew__tls_error error = { ret_error, error_size };
	struct crew__tls_context *context;
	int status = crew__tls_context_new(TLS_server_method(), &context);
	if (status == 0) {
		status = fill_server(context, plan, &error);
		if (status < 0)
			crew__tls_context_unref(context);
		else
			*ret_context = context;
	}
	if (status == -ENOMEM)
		crew__tls_refuse(&error, "no memory for the certificates");
	ERR_clear_error();
	return status;
}

/* ---- its life ------------------------------------------------------------------------------ */

struct crew__tls_context *crew__tls_context_ref(struct crew__tls_context *context)
{
	SSL_CTX_up_ref(context->ctx);
	return context;
}

void crew__tls_context_unref(struct crew__tls_context *context)
{
	if (context)
		SSL_CTX_free(context->ctx);
}

SSL *crew__tls_accept(struct crew__tls_context *context)
{
	SSL *ssl = SSL_new(context->ctx);
	if (ssl)
		SSL_set_accept_state(ssl);
	else
		ERR_clear_error();
	return ssl;
}

static const struct crew__tls_identity *first_to_expire(const struct crew__tls_context *context)
{
	const struct crew__tls_identity *first = NULL;
	for (size_t i = 0; i < context->count; i++)
		if (!first || context->identities[i].expires < first->expires)
			first = &context->identities[i];
	return first;
}

time_t crew__tls_expires(const struct crew__tls_context *context)
{
	const struct crew__tls_identity *first = first_to_expire(context);
	return first ? first->expires : 0;
}

const char *crew__tls_expires_name(const struct crew__tls_context *context)
{
	const struct crew__tls_identity *first = first_to_expire(context);
	return first ? first->name : NULL;
}
