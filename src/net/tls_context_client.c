/* tls_context_client.c - the context of outgoing connections: whom to trust, and who we are.
 *
 * Its files are read here, by who connects: they are the program's own, small, and read once for
 * many connections. */
#include "net/tls_context.h"

#include "net/tls_context_parts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_MOST = 16 << 20,
	AUTHORITIES_MOST = 10000
};

static int read_all(int fd, char **ret_data, size_t *ret_size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > FILE_MOST)
		return -EFBIG;
	size_t size = (size_t)st.st_size, done = 0;
	char *data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	while (done < size) {
		ssize_t got = read(fd, data + done, size - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	*ret_data = data;
	*ret_size = done;
	return 0;
}

static int read_file(const char *path, crew_bytes *ret_bytes, const struct crew__tls_error *error)
{
	char *data = NULL;
	size_t size = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int status = fd < 0 ? -errno : read_all(fd, &data, &size);
	if (fd >= 0)
		close(fd);
	if (status < 0)
		return crew__tls_refuse(error,
			"cannot read %s: %s; give a file that this user may read", path,
			strerror(-status));
	*ret_bytes = (crew_bytes){ data, size };
	return 0;
}

/* What held a key does not stay in the heap. */
static void drop(crew_bytes bytes)
{
	if (bytes.data)
		OPENSSL_cleanse((char *)(uintptr_t)bytes.data, bytes.len);
	free((char *)(uintptr_t)bytes.data);
}

static int add_trusted(
	SSL_CTX *ctx, crew_bytes pem, const char *name, const struct crew__tls_error *error)
{
	STACK_OF(X509) * certs;
	int status = crew__tls_read_certs(pem, name, AUTHORITIES_MOST, &certs, error);
	if (status < 0)
		return status;
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	for (int i = 0; status == 0 && i < sk_X509_num(certs); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1)
			status = -ENOMEM;
	sk_X509_pop_free(certs, X509_free);
	if (X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		status = -ENOMEM;
	return status;
}

static int take_authorities(struct crew__tls_context *context,
	const struct crew__tls_client_plan *plan, const struct crew__tls_error *error)
{
	context->insecure = plan->insecure;
	if (plan->insecure) {
		SSL_CTX_set_verify(context->ctx, SSL_VERIFY_NONE, NULL);
		return 0;
	}
	SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
	if (!plan->ca_file)
		return SSL_CTX_set_default_verify_paths(context->ctx) == 1 ? 0 : -ENOMEM;
	crew_bytes pem = { NULL, 0 };
	int status = read_file(plan->ca_file, &pem, error);
	if (status < 0)
		return status;
	status = add_trusted(context->ctx, pem, plan->ca_file, error);
	drop(pem);
	return status;
}

static int use_own(struct crew__tls_context *context, const struct crew__tls_pair *pair,
	const struct crew__tls_error *error)
{
	context->identities = calloc(1, sizeof(*context->identities));
	if (!context->identities)
		return -ENOMEM;
	int status = crew__tls_identity_init(&context->identities[0], pair, error);
	if (status < 0)
		return status;
	context->count = 1;
	if (!crew__tls_use(context->ctx, &context->identities[0]))
		return crew__tls_refuse(error,
			"%s: this system's OpenSSL does not take it (%s); have one issued with a "
			"stronger key or signature",
			pair->name, ERR_reason_error_string(ERR_peek_last_error()));
	return 0;
}

static int take_own(struct crew__tls_context *context, const struct crew__tls_client_plan *plan,
	const struct crew__tls_error *error)
{
	if (!plan->cert_file && !plan->key_file)
		return 0;
	if (!plan->cert_file || !plan->key_file)
		return crew__tls_refuse(error,
			"%s has no %s beside it; set both tls_cert and tls_key",
			plan->cert_file ? plan->cert_file : plan->key_file,
			plan->cert_file ? "key" : "certificate");
	struct crew__tls_pair pair = { .name = plan->cert_file, .key_name = plan->key_file };
	int status = read_file(plan->cert_file, &pair.cert, error);
	if (status == 0)
		status = read_file(plan->key_file, &pair.key, error);
	if (status == 0)
		status = use_own(context, &pair, error);
	drop(pair.cert);
	drop(pair.key);
	return status;
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
	return SSL_CTX_set_alpn_protos(context->ctx, context->alpn, (unsigned)size) == 0 ? 0
											 : -ENOMEM;
}

int crew__tls_client_new(const struct crew__tls_client_plan *plan,
	struct crew__tls_context **ret_context, char *ret_error, size_t error_size)
{
	const struct crew__tls_error error = { ret_error, error_size };
	struct crew__tls_context *context;
	int status = crew__tls_context_new(TLS_client_method(), &context);
	if (status == 0) {
		status = take_authorities(context, plan, &error);
		if (status == 0)
			status = take_own(context, plan, &error);
		if (status == 0)
			status = take_alpn(context, plan->alpn, &error);
		if (status < 0)
			crew__tls_context_unref(context);
		else
			*ret_context = context;
	}
	if (status == -ENOMEM)
		crew__tls_refuse(&error, "no memory for TLS");
	ERR_clear_error();
	return status;
}

static bool is_address(const char *name)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool expect(SSL *ssl, const char *name, bool insecure)
{
	if (!name)
		return insecure;
	bool address = is_address(name);
	if (!address && SSL_set_tlsext_host_name(ssl, name) != 1)
		return false;
	if (insecure)
		return true;
	if (address)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1;
}

SSL *crew__tls_connect(struct crew__tls_context *context, const char *name)
{
	SSL *ssl = SSL_new(context->ctx);
	if (ssl && !expect(ssl, name, context->insecure)) {
		SSL_free(ssl);
		ssl = NULL;
	}
	if (ssl)
		SSL_set_connect_state(ssl);
	else
		ERR_clear_error();
	return ssl;
}
