/* test_tls_context.c - handshakes between two ends of memory: which certificate is shown, what is
 * agreed on, whose client is let in, and which sessions are resumed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/tls_context.h"
#include "net/tls_context_parts.h"
#include "tls_ways.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct tls_made root;

static int begin(void **state)
{
	(void)state;
	root = tls_authority("the root");
	return 0;
}

static int end(void **state)
{
	(void)state;
	tls_ways_end();
	return 0;
}

static struct crew__tls_pair pair_of(const struct tls_made *made)
{
	return (struct crew__tls_pair){
		.name = "server.pem",
		.cert = made->cert_pem,
		.key = made->key_pem,
		.key_name = "server.key",
		.ocsp_name = "server.ocsp",
	};
}

static struct crew__tls_context *make(const struct crew__tls_server_plan *plan)
{
	char error[512] = "";
	struct crew__tls_context *context = NULL;
	int status = crew__tls_server_new(plan, &context, error, sizeof(error));
	if (status < 0)
		fail_msg("%d: %s", status, error);
	return context;
}

/* A client of OpenSSL's own that believes the root. */
static SSL_CTX *stranger(const struct tls_made *shows)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root.x509);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (shows) {
		assert_int_equal(SSL_CTX_use_certificate(ctx, shows->x509), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(ctx, shows->key), 1);
	}
	return ctx;
}

static SSL *ask(SSL_CTX *ctx, const char *name)
{
	SSL *client = SSL_new(ctx);
	SSL_set_connect_state(client);
	if (name)
		SSL_set_tlsext_host_name(client, name);
	return client;
}

/* ---- names --------------------------------------------------------------------------------- */

/* The serial number of what a client that asks for `name` is shown. */
static long shown(struct crew__tls_context *context, const char *name)
{
	SSL_CTX *ctx = stranger(NULL);
	SSL *client = ask(ctx, name), *server = crew__tls_accept(context);
	assert_true(tls_shake(server, client, NULL, NULL));
	X509 *cert = SSL_get1_peer_certificate(client);
	long serial = ASN1_INTEGER_get(X509_get0_serialNumber(cert));
	const char *kept = SSL_get_servername(server, TLSEXT_NAMETYPE_host_name);
	if (name)
		assert_string_equal(kept, name);
	else
		assert_null(kept);
	X509_free(cert);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(ctx);
	return serial;
}

static long serial_of(const struct tls_made *made)
{
	return ASN1_INTEGER_get(X509_get0_serialNumber(made->x509));
}

static void the_certificate_is_that_of_the_name(void **state)
{
	(void)state;
	struct tls_made first = tls_server(&root, "DNS:first.example");
	struct tls_made second = tls_server(&root, "DNS:Second.Example,DNS:also.example");
	struct tls_made star = tls_server(&root, "DNS:*.star.example");
	struct tls_made inside = tls_server(&root, "DNS:a.star.example");
	struct crew__tls_pair pairs[] = {
		pair_of(&first),
		pair_of(&second),
		pair_of(&star),
		pair_of(&inside),
	};
	struct crew__tls_context *context = make(
		&(struct crew__tls_server_plan){ .pairs = pairs, .count = 4 });
	assert_int_equal(shown(context, NULL), serial_of(&first));
	assert_int_equal(shown(context, "first.example"), serial_of(&first));
	assert_int_equal(shown(context, "second.example"), serial_of(&second));
	assert_int_equal(shown(context, "SECOND.EXAMPLE"), serial_of(&second));
	assert_int_equal(shown(context, "also.example"), serial_of(&second));
	assert_int_equal(shown(context, "b.star.example"), serial_of(&star));
	/* An exact name is nearer than a star. */
	assert_int_equal(shown(context, "a.star.example"), serial_of(&inside));
	/* A star is one label: neither none nor two. */
	assert_int_equal(shown(context, "star.example"), serial_of(&first));
	assert_int_equal(shown(context, "c.b.star.example"), serial_of(&first));
	assert_int_equal(shown(context, "unknown.example"), serial_of(&first));
	crew__tls_context_unref(context);
}

static void names_that_are_no_hosts_find_nothing(void **state)
{
	(void)state;
	struct tls_made star = tls_server(&root, "DNS:*.star.example,DNS:exact.example");
	char text[512];
	struct crew__tls_error error = { text, sizeof(text) };
	struct crew__tls_identity identity;
	struct crew__tls_names *names;
	const struct crew__tls_pair pair = pair_of(&star);
	const uint32_t *places;
	assert_int_equal(crew__tls_identity_init(&identity, &pair, &error), 0);
	assert_int_equal(crew__tls_names_new(&identity, 1, &names, &error), 0);
	assert_int_equal(crew__tls_names_find(names, "x.star.example", &places), 1);
	assert_int_equal(crew__tls_names_find(names, "exact.example.", &places), 1);
	assert_int_equal(crew__tls_names_find(names, ".star.example", &places), 0);
	assert_int_equal(crew__tls_names_find(names, "*.star.example", &places), 0);
	assert_int_equal(crew__tls_names_find(names, "", &places), 0);
	assert_int_equal(crew__tls_names_find(names, ".", &places), 0);
	assert_int_equal(crew__tls_names_find(names, "example", &places), 0);
	char endless[400];
	memset(endless, 'a', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	assert_int_equal(crew__tls_names_find(names, endless, &places), 0);
	crew__tls_names_free(names);
	crew__tls_identity_fini(&identity);
}

static void each_client_gets_the_kind_of_key_it_knows(void **state)
{
	(void)state;
	struct tls_made other = tls_server(&root, "DNS:other.example");
	struct tls_made elliptic = tls_server(&root, "DNS:both.example");
	struct tls_made rsa = tls_make(&(struct tls_wish){ .subject = "rsa",
		.names = "DNS:both.example",
		.issuer = &root,
		.key = "RSA:2048" });
	struct crew__tls_pair pairs[] = { pair_of(&other), pair_of(&elliptic), pair_of(&rsa) };
	struct crew__tls_context *context = make(
		&(struct crew__tls_server_plan){ .pairs = pairs, .count = 3 });
	static const struct {
		const char *algorithms;
		bool rsa;
	} clients[] = { { "ECDSA+SHA256", false }, { "RSA-PSS+SHA256:ECDSA+SHA256", true },
		{ "RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA1", true } };
	for (size_t i = 0; i < crew__lengthof(clients); i++) {
		SSL_CTX *ctx = stranger(NULL);
		if (clients[i].rsa) /* the root signs by ECDSA, which such a client would refuse */
			SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
		assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, clients[i].algorithms), 1);
		SSL *client = ask(ctx, "both.example"), *server = crew__tls_accept(context);
		assert_true(tls_shake(server, client, NULL, NULL));
		X509 *cert = SSL_get1_peer_certificate(client);
		assert_int_equal(EVP_PKEY_is_a(X509_get0_pubkey(cert), "RSA"), clients[i].rsa);
		X509_free(cert);
		SSL_free(server);
		SSL_free(client);
		SSL_CTX_free(ctx);
	}
	crew__tls_context_unref(context);
}

/* ---- versions and protocols ---------------------------------------------------------------- */

struct talk {
	SSL_CTX *ctx;
	SSL *server, *client;
	int server_error, client_error;
	bool stands;
};

static struct talk talk(struct crew__tls_context *context, SSL_CTX *take_ctx)
{
	struct talk talk = {
		.ctx = take_ctx, .server = crew__tls_accept(context), .client = ask(take_ctx, NULL)
	};
	talk.stands = tls_shake(talk.server, talk.client, &talk.server_error, &talk.client_error);
	return talk;
}

static void hang_up(struct talk *talk)
{
	SSL_free(talk->server);
	SSL_free(talk->client);
	SSL_CTX_free(talk->ctx);
}

static void only_modern_versions_and_suites_are_spoken(void **state)
{
	(void)state;
	struct tls_made made = tls_server(&root, "DNS:a.example");
	struct crew__tls_pair pair = pair_of(&made);
	struct crew__tls_context *both = make(
		&(struct crew__tls_server_plan){ .pairs = &pair, .count = 1 });
	struct crew__tls_context *newest = make(&(struct crew__tls_server_plan){
		.pairs = &pair, .count = 1, .least_version = TLS1_3_VERSION });
	static const struct {
		int most;
		const char *ciphers;
		bool good, good_newest;
	} cases[] = {
		{ TLS1_3_VERSION, NULL, true, true },
		{ TLS1_2_VERSION, NULL, true, false },
		{ TLS1_1_VERSION, "ALL:@SECLEVEL=0", false, false },
		{ TLS1_2_VERSION, "AES128-GCM-SHA256", false, false },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", false, false },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true, false },
		{ TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true, false },
	};
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		for (int n = 0; n < 2; n++) {
			SSL_CTX *ctx = stranger(NULL);
			SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
			SSL_CTX_set_max_proto_version(ctx, cases[i].most);
			if (cases[i].ciphers)
				assert_int_equal(SSL_CTX_set_cipher_list(ctx, cases[i].ciphers), 1);
			struct talk t = talk(n ? newest : both, ctx);
			assert_int_equal(t.stands, n ? cases[i].good_newest : cases[i].good);
			hang_up(&t);
		}
	}
	crew__tls_context_unref(both);
	crew__tls_context_unref(newest);
}

static void what_is_spoken_is_agreed_on_or_refused(void **state)
{
	(void)state;
	struct tls_made made = tls_server(&root, "DNS:a.example");
	struct crew__tls_pair pair = pair_of(&made);
	struct crew__tls_context *context = make(&(struct crew__tls_server_plan){
		.pairs = &pair, .count = 1, .alpn = " h2  http/1.1 " });
	static const struct {
		const char *offers, *agreed;
	} cases[] = { { "http/1.1 h2", "h2" }, { "http/1.1", "http/1.1" }, { "acme h2", "h2" },
		{ NULL, "" }, { "acme", NULL }, { "http/1.0 spdy", NULL } };
	for (size_t i = 0; i < crew__lengthof(cases); i++) {
		unsigned char wire[64];
		SSL_CTX *ctx = stranger(NULL);
		if (cases[i].offers) {
			int size = crew__tls_alpn_wire(cases[i].offers, wire, sizeof(wire));
			SSL_CTX_set_alpn_protos(ctx, wire, (unsigned)size);
		}
		struct talk t = talk(context, ctx);
		assert_int_equal(t.stands, cases[i].agreed != NULL);
		const unsigned char *agreed;
		unsigned size;
		SSL_get0_alpn_selected(t.server, &agreed, &size);
		if (cases[i].agreed)
			assert_true(size == strlen(cases[i].agreed) &&
				    (size == 0 || memcmp(agreed, cases[i].agreed, size) == 0));
		else
			assert_int_equal(t.client_error, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
		hang_up(&t);
	}
	crew__tls_context_unref(context);
}

static void a_list_of_protocols_must_fit(void **state)
{
	(void)state;
	unsigned char wire[8];
	char error[512];
	assert_int_equal(crew__tls_alpn_wire("h2 x", wire, sizeof(wire)), 5);
	assert_memory_equal(wire, "\2h2\1x", 5);
	assert_int_equal(crew__tls_alpn_wire("http/1.1", wire, sizeof(wire)), -EINVAL);
	assert_int_equal(crew__tls_alpn_wire("", wire, sizeof(wire)), -EINVAL);
	assert_int_equal(crew__tls_alpn_wire("  ", wire, sizeof(wire)), -EINVAL);
	struct tls_made made = tls_server(&root, "DNS:a.example");
	struct crew__tls_pair pair = pair_of(&made);
	struct crew__tls_context *context;
	assert_int_equal(
		crew__tls_server_new(
			&(struct crew__tls_server_plan){ .pairs = &pair, .count = 1, .alpn = " " },
			&context, error, sizeof(error)),
		-EINVAL);
	assert_non_null(strstr(error, "tls_alpn"));
}

/* ---- client certificates ------------------------------------------------------------------- */

static void clients_are_let_in_by_their_certificates(void **state)
{
	(void)state;
	struct tls_made clients_ca = tls_authority("for clients");
	struct tls_made wrong_ca = tls_authority("for others");
	struct tls_made good = tls_make(
		&(struct tls_wish){ .subject = "alice", .issuer = &clients_ca, .client = true });
	struct tls_made expired = tls_make(&(struct tls_wish){ .subject = "bob",
		.issuer = &clients_ca,
		.client = true,
		.from_s = -7200,
		.until_s = -3600 });
	struct tls_made foreign = tls_make(
		&(struct tls_wish){ .subject = "mallory", .issuer = &wrong_ca, .client = true });
	struct tls_made no_client = tls_make(
		&(struct tls_wish){ .subject = "a server", .issuer = &clients_ca });
	struct tls_made server = tls_server(&root, "DNS:a.example");
	struct crew__tls_pair pair = pair_of(&server);
	const struct {
		enum crew__tls_client asked;
		const struct tls_made *shows;
		bool good, verified;
	} cases[] = {
		{ CREW__TLS_CLIENT_OFF, NULL, true, false },
		{ CREW__TLS_CLIENT_OFF, &foreign, true, false },
		{ CREW__TLS_CLIENT_OPTIONAL, NULL, true, false },
		{ CREW__TLS_CLIENT_OPTIONAL, &good, true, true },
		{ CREW__TLS_CLIENT_OPTIONAL, &expired, false, false },
		{ CREW__TLS_CLIENT_OPTIONAL, &foreign, false, false },
		{ CREW__TLS_CLIENT_REQUIRED, NULL, false, false },
		{ CREW__TLS_CLIENT_REQUIRED, &good, true, true },
		{ CREW__TLS_CLIENT_REQUIRED, &expired, false, false },
		{ CREW__TLS_CLIENT_REQUIRED, &foreign, false, false },
		{ CREW__TLS_CLIENT_REQUIRED, &no_client, false, false },
	};
	for (size_t i = 0; i < crew__lengthof(cases) * 2; i++) {
		size_t n = i / 2;
		struct crew__tls_context *context = make(
			&(struct crew__tls_server_plan){ .pairs = &pair,
				.count = 1,
				.client = cases[n].asked,
				.client_ca = clients_ca.cert_pem,
				.client_ca_name = "clients.pem" });
		SSL_CTX *ctx = stranger(cases[n].shows);
		SSL_CTX_set_max_proto_version(ctx, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
		struct talk t = talk(context, ctx);
		assert_int_equal(t.stands, cases[n].good);
		if (cases[n].good) {
			const X509 *cert = SSL_get0_peer_certificate(t.server);
			assert_int_equal(cert != NULL, cases[n].verified);
			assert_int_equal(SSL_get_verify_result(t.server), X509_V_OK);
		}
		hang_up(&t);
		crew__tls_context_unref(context);
	}
}

static void authorities_of_clients_must_be_readable(void **state)
{
	(void)state;
	struct tls_made server = tls_server(&root, "DNS:a.example");
	struct crew__tls_pair pair = pair_of(&server);
	struct crew__tls_context *context;
	char error[512];
	const crew_bytes broken[] = { { "", 0 }, { "nothing", 7 }, server.key_pem };
	for (size_t i = 0; i < crew__lengthof(broken); i++) {
		assert_int_equal(
			crew__tls_server_new(&(struct crew__tls_server_plan){ .pairs = &pair,
						     .count = 1,
						     .client = CREW__TLS_CLIENT_REQUIRED,
						     .client_ca = broken[i],
						     .client_ca_name = "clients.pem" },
				&context, error, sizeof(error)),
			-EINVAL);
		assert_non_null(strstr(error, "clients.pem"));
	}
}

/* ---- sessions ------------------------------------------------------------------------------ */

static SSL_SESSION *got;
static unsigned tickets_got;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	tickets_got++;
	SSL_SESSION_free(got);
	got = session;
	return 1;
}

/* Shake hands with what is in `got`, take the next session there; was it resumed? */
static bool resumes(struct crew__tls_context *context, int version)
{
	SSL_CTX *ctx = stranger(NULL);
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	SSL *client = ask(ctx, "a.example"), *server = crew__tls_accept(context);
	SSL_SESSION *before = got;
	got = NULL;
	if (before)
		SSL_set_session(client, before);
	assert_true(tls_shake(server, client, NULL, NULL));
	bool resumed = SSL_session_reused(server);
	if (resumed)
		assert_string_equal(
			SSL_get_servername(server, TLSEXT_NAMETYPE_host_name), "a.example");
	/* TLS 1.2 does not call for a ticket that was renewed; it stands in the session at once. */
	if (!got)
		got = SSL_get1_session(client);
	SSL_SESSION_free(before);
	/* OpenSSL forgets the session of a connection that was not ended. */
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(ctx);
	return resumed;
}

static struct crew__tls_context *with_secret(
	const unsigned char *secret, uint64_t epoch, crew_bytes client_ca)
{
	static struct tls_made made;
	static struct crew__tls_pair pair;
	made = tls_server(&root, "DNS:a.example");
	pair = pair_of(&made);
	return make(&(struct crew__tls_server_plan){ .pairs = &pair,
		.count = 1,
		.client = client_ca.len ? CREW__TLS_CLIENT_OPTIONAL : CREW__TLS_CLIENT_OFF,
		.client_ca = client_ca,
		.client_ca_name = "clients.pem",
		.ticket_secret = { (const char *)secret, secret ? CREW__TLS_SECRET : 0 },
		.ticket_epoch = epoch });
}

static void forget(void)
{
	SSL_SESSION_free(got);
	got = NULL;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void a_session_is_resumed_by_whoever_knows_the_secret(void **state)
{
	(void)state;
	unsigned char secret[CREW__TLS_SECRET], other[CREW__TLS_SECRET];
	RAND_bytes(secret, sizeof(secret));
	RAND_bytes(other, sizeof(other));
	uint64_t now = crew__tls_epoch();
	/* Each has a certificate of its own: a session outlives a swap. */
	struct crew__tls_context *one = with_secret(secret, now, (crew_bytes){ NULL, 0 });
	struct crew__tls_context *two = with_secret(secret, now, (crew_bytes){ NULL, 0 });
	struct crew__tls_context *stranger_to_both = with_secret(
		other, now, (crew_bytes){ NULL, 0 });
	for (size_t i = 0; i < crew__lengthof(versions); i++) {
		assert_false(resumes(one, versions[i]));
		assert_non_null(got);
		assert_true(resumes(one, versions[i]));
		assert_true(resumes(two, versions[i]));
		assert_false(resumes(stranger_to_both, versions[i]));
		forget();
	}
	crew__tls_context_unref(one);
	crew__tls_context_unref(two);
	crew__tls_context_unref(stranger_to_both);
}

/* Each that OpenSSL gives beyond the one costs work in every handshake. */
static void a_handshake_gives_one_ticket(void **state)
{
	(void)state;
	unsigned char secret[CREW__TLS_SECRET];
	RAND_bytes(secret, sizeof(secret));
	struct crew__tls_context *context = with_secret(
		secret, crew__tls_epoch(), (crew_bytes){ NULL, 0 });
	for (unsigned i = 0; i < 3; i++) {
		tickets_got = 0;
		assert_int_equal(resumes(context, TLS1_3_VERSION), i > 0);
		assert_int_equal(tickets_got, 1);
	}
	forget();
	crew__tls_context_unref(context);
}

static void keys_step_and_the_epoch_before_is_still_taken(void **state)
{
	(void)state;
	unsigned char secret[CREW__TLS_SECRET], stepped[CREW__TLS_SECRET];
	RAND_bytes(secret, sizeof(secret));
	memcpy(stepped, secret, sizeof(secret));
	crew__tls_secret_step(stepped);
	assert_memory_not_equal(stepped, secret, sizeof(secret));
	uint64_t now = crew__tls_epoch();
	crew_bytes none = { NULL, 0 };
	/* The same secret in the present epoch, the one before, and the one before that. */
	struct crew__tls_context *old = with_secret(secret, now, none);
	struct crew__tls_context *next = with_secret(secret, now - 1, none);
	struct crew__tls_context *after = with_secret(secret, now - 2, none);
	/* Who was told the secret only after the step. */
	struct crew__tls_context *late = with_secret(stepped, now, none);
	for (size_t i = 0; i < crew__lengthof(versions); i++) {
		assert_false(resumes(old, versions[i]));
		assert_true(resumes(next, versions[i]));
		/* That one was renewed: it opens where the first would not. */
		assert_true(resumes(after, versions[i]));
		forget();
		assert_false(resumes(old, versions[i]));
		assert_false(resumes(after, versions[i]));
		forget();
		assert_false(resumes(next, versions[i]));
		assert_true(resumes(late, versions[i]));
		forget();
		/* What a step leaves behind does not open what was before it. */
		assert_false(resumes(old, versions[i]));
		assert_false(resumes(late, versions[i]));
		forget();
	}
	crew__tls_context_unref(old);
	crew__tls_context_unref(next);
	crew__tls_context_unref(after);
	crew__tls_context_unref(late);
}

static void without_a_secret_there_are_no_tickets(void **state)
{
	(void)state;
	struct crew__tls_context *context = with_secret(NULL, 0, (crew_bytes){ NULL, 0 });
	for (size_t i = 0; i < crew__lengthof(versions); i++) {
		assert_false(resumes(context, versions[i]));
		assert_false(resumes(context, versions[i]));
		forget();
	}
	crew__tls_context_unref(context);
}

/* Else a client without a certificate would enter where one is asked for, by a session from where
 * none was. */
static void a_session_is_not_resumed_where_others_are_trusted(void **state)
{
	(void)state;
	unsigned char secret[CREW__TLS_SECRET];
	RAND_bytes(secret, sizeof(secret));
	uint64_t now = crew__tls_epoch();
	struct tls_made other = tls_authority("for clients");
	struct crew__tls_context *open = with_secret(secret, now, (crew_bytes){ NULL, 0 });
	struct crew__tls_context *asks = with_secret(secret, now, root.cert_pem);
	struct crew__tls_context *asks_others = with_secret(secret, now, other.cert_pem);
	for (size_t i = 0; i < crew__lengthof(versions); i++) {
		assert_false(resumes(open, versions[i]));
		assert_false(resumes(asks, versions[i]));
		assert_true(resumes(asks, versions[i]));
		assert_false(resumes(asks_others, versions[i]));
		forget();
	}
	crew__tls_context_unref(open);
	crew__tls_context_unref(asks);
	crew__tls_context_unref(asks_others);
}

/* One handshake of a client with that certificate; the session that comes of it goes to `got`. */
static bool enters(struct crew__tls_context *context, const struct tls_made *shows, int version,
	bool *ret_resumed)
{
	SSL_CTX *ctx = stranger(shows);
	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	SSL *client = ask(ctx, "a.example"), *server = crew__tls_accept(context);
	if (got)
		SSL_set_session(client, got);
	bool stands = tls_shake(server, client, NULL, NULL);
	*ret_resumed = stands && SSL_session_reused(server);
	/* A session tells of the same client as the handshake that it came from. */
	if (stands)
		assert_non_null(SSL_get0_peer_certificate(server));
	SSL_set_shutdown(client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(ctx);
	return stands;
}

static void a_session_ends_with_the_certificate_of_its_client(void **state)
{
	(void)state;
	unsigned char secret[CREW__TLS_SECRET];
	RAND_bytes(secret, sizeof(secret));
	struct crew__tls_context *context = with_secret(secret, crew__tls_epoch(), root.cert_pem);
	for (size_t i = 0; i < crew__lengthof(versions); i++) {
		struct tls_made brief = tls_make(&(struct tls_wish){ .subject = "brief",
			.issuer = &root,
			.client = true,
			.from_s = -60,
			.until_s = 2 });
		bool resumed;
		assert_true(enters(context, &brief, versions[i], &resumed));
		assert_false(resumed);
		assert_true(enters(context, &brief, versions[i], &resumed));
		assert_true(resumed);
		sleep(4);
		assert_false(enters(context, &brief, versions[i], &resumed));
		forget();
	}
	crew__tls_context_unref(context);
}

static void a_secret_of_no_possible_epoch_is_refused(void **state)
{
	(void)state;
	unsigned char secret[CREW__TLS_SECRET] = { 1 };
	struct crew__tls_tickets *tickets;
	uint64_t now = crew__tls_epoch();
	assert_int_equal(crew__tls_tickets_new(secret, now + 2, &tickets), -EINVAL);
	assert_int_equal(crew__tls_tickets_new(secret, UINT64_MAX, &tickets), -EINVAL);
	assert_int_equal(crew__tls_tickets_new(secret, now - 1, &tickets), 0);
	crew__tls_tickets_free(tickets);
	crew__tls_tickets_free(NULL);
}

/* ---- OCSP ---------------------------------------------------------------------------------- */

static void an_answer_is_stapled_for_who_asks(void **state)
{
	(void)state;
	struct tls_made first = tls_server(&root, "DNS:first.example");
	struct tls_made second = tls_server(&root, "DNS:second.example");
	struct crew__tls_pair pairs[] = { pair_of(&first), pair_of(&second) };
	pairs[1].ocsp = tls_ocsp(&root, &second, V_OCSP_CERTSTATUS_GOOD, -60, 3600);
	struct crew__tls_context *context = make(
		&(struct crew__tls_server_plan){ .pairs = pairs, .count = 2 });
	for (int i = 0; i < 3; i++) {
		SSL_CTX *ctx = stranger(NULL);
		SSL *client = ask(ctx, i == 0 ? "first.example" : "second.example");
		SSL *server = crew__tls_accept(context);
		if (i < 2)
			SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
		assert_true(tls_shake(server, client, NULL, NULL));
		const unsigned char *answer = NULL;
		long size = SSL_get_tlsext_status_ocsp_resp(client, &answer);
		if (i == 1) {
			assert_int_equal(size, pairs[1].ocsp.len);
			assert_memory_equal(answer, pairs[1].ocsp.data, pairs[1].ocsp.len);
		} else {
			assert_true(size <= 0);
		}
		SSL_free(server);
		SSL_free(client);
		SSL_CTX_free(ctx);
	}
	/* Once it is over it is not sent any more. */
	context->identities[1].ocsp_until = time(NULL) - 10;
	SSL_CTX *ctx = stranger(NULL);
	SSL *client = ask(ctx, "second.example"), *server = crew__tls_accept(context);
	const unsigned char *answer = NULL;
	SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
	assert_true(tls_shake(server, client, NULL, NULL));
	assert_true(SSL_get_tlsext_status_ocsp_resp(client, &answer) <= 0);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(ctx);
	crew__tls_context_unref(context);
}

/* ---- lives --------------------------------------------------------------------------------- */

static void a_handshake_keeps_the_context_it_began_with(void **state)
{
	(void)state;
	struct tls_made first = tls_server(&root, "DNS:first.example");
	struct tls_made second = tls_server(&root, "DNS:second.example");
	struct crew__tls_pair pairs[] = { pair_of(&first), pair_of(&second) };
	struct crew__tls_context *context = make(
		&(struct crew__tls_server_plan){ .pairs = pairs, .count = 2 });
	SSL *server = crew__tls_accept(context);
	assert_ptr_equal(crew__tls_context_ref(context), context);
	crew__tls_context_unref(context);
	crew__tls_context_unref(context);
	crew__tls_context_unref(NULL);
	SSL_CTX *ctx = stranger(NULL);
	SSL *client = ask(ctx, "second.example");
	assert_true(tls_shake(server, client, NULL, NULL));
	X509 *cert = SSL_get1_peer_certificate(client);
	assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(cert)), serial_of(&second));
	X509_free(cert);
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(ctx);
}

static void the_first_to_expire_is_told(void **state)
{
	(void)state;
	struct tls_made long_one = tls_server(&root, "DNS:a.example");
	struct tls_made short_one = tls_make(&(struct tls_wish){ .subject = "short",
		.names = "DNS:b.example",
		.issuer = &root,
		.from_s = -100,
		.until_s = 1000 });
	struct crew__tls_pair pairs[] = { pair_of(&long_one), pair_of(&short_one) };
	pairs[1].name = "short.pem";
	struct crew__tls_context *context = make(
		&(struct crew__tls_server_plan){ .pairs = pairs, .count = 2 });
	time_t left = crew__tls_expires(context) - time(NULL);
	assert_true(left > 990 && left <= 1000);
	assert_string_equal(crew__tls_expires_name(context), "short.pem");
	crew__tls_context_unref(context);
	char error[512];
	assert_int_equal(crew__tls_client_new(&(struct crew__tls_client_plan){ .insecure = true },
				 &context, error, sizeof(error)),
		0);
	assert_int_equal(crew__tls_expires(context), 0);
	assert_null(crew__tls_expires_name(context));
	crew__tls_context_unref(context);
}

static void an_expired_certificate_still_serves(void **state)
{
	(void)state;
	struct tls_made over = tls_make(&(struct tls_wish){ .subject = "over",
		.names = "DNS:a.example",
		.issuer = &root,
		.from_s = -7200,
		.until_s = -3600 });
	struct crew__tls_pair pair = pair_of(&over);
	struct crew__tls_context *context = make(
		&(struct crew__tls_server_plan){ .pairs = &pair, .count = 1 });
	assert_true(crew__tls_expires(context) < time(NULL));
	SSL_CTX *ctx = stranger(NULL);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	struct talk t = talk(context, ctx);
	assert_true(t.stands);
	hang_up(&t);
	crew__tls_context_unref(context);
}

static void the_kernel_says_the_same_each_time(void **state)
{
	(void)state;
	const char *first = crew__ktls_why_not();
	assert_true(first == crew__ktls_why_not());
	assert_true(!first || strlen(first) > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_certificate_is_that_of_the_name),
		cmocka_unit_test(names_that_are_no_hosts_find_nothing),
		cmocka_unit_test(each_client_gets_the_kind_of_key_it_knows),
		cmocka_unit_test(only_modern_versions_and_suites_are_spoken),
		cmocka_unit_test(what_is_spoken_is_agreed_on_or_refused),
		cmocka_unit_test(a_list_of_protocols_must_fit),
		cmocka_unit_test(clients_are_let_in_by_their_certificates),
		cmocka_unit_test(authorities_of_clients_must_be_readable),
		cmocka_unit_test(a_session_is_resumed_by_whoever_knows_the_secret),
		cmocka_unit_test(a_handshake_gives_one_ticket),
		cmocka_unit_test(keys_step_and_the_epoch_before_is_still_taken),
		cmocka_unit_test(without_a_secret_there_are_no_tickets),
		cmocka_unit_test(a_session_is_not_resumed_where_others_are_trusted),
		cmocka_unit_test(a_session_ends_with_the_certificate_of_its_client),
		cmocka_unit_test(a_secret_of_no_possible_epoch_is_refused),
		cmocka_unit_test(an_answer_is_stapled_for_who_asks),
		cmocka_unit_test(a_handshake_keeps_the_context_it_began_with),
		cmocka_unit_test(the_first_to_expire_is_told),
		cmocka_unit_test(an_expired_certificate_still_serves),
		cmocka_unit_test(the_kernel_says_the_same_each_time),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
