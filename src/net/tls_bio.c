/* tls_bio.c - between OpenSSL and the buffers that all TLS connections of a net share: it reads
 * what tls.c has loaded, and what it writes is gathered.
 *
 * Not here: the way to the kernel (tls.c), records that the kernel makes (tls_kernel.c). */
#include "net/tls_parts.h"

#include <stdlib.h>
#include <string.h>

static int bio_read(BIO *bio, char *room, int size)
{
	crew_conn *c = BIO_get_data(bio);
	struct crew__tls_shared *shared = c->net->tls_shared;
	BIO_clear_retry_flags(bio);
	size_t there = shared->in_of == c ? shared->in_len - shared->in_at : 0;
	if (crew__unlikely(crew__tls_of(c)->keys > CREW__TLS_KEYS_MOST))
		there = 0; /* OpenSSL itself would go on as long as there are records */
	size_t n = crew__min(there, (size_t)size);
	if (n > 0) {
		memcpy(room, shared->in + shared->in_at, n);
		shared->in_at += n;
		return (int)n;
	}
	if (crew__tls_of(c)->in_ended)
		return 0;
	BIO_set_retry_read(bio);
	return -1;
}

bool crew__tls_gather(crew_conn *c, const char *data, size_t len)
{
	return crew__buf_append(&c->net->tls_shared->out, data, len) == 0;
}

static int bio_write(BIO *bio, const char *data, int len)
{
	BIO_clear_retry_flags(bio);
	return crew__tls_gather(BIO_get_data(bio), data, (size_t)len) ? len : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	crew_conn *c = BIO_get_data(bio);
	if (command == BIO_CTRL_EOF)
		return crew__tls_of(c)->in_ended;
	return command == BIO_CTRL_FLUSH; /* what is written leaves after each step */
}

static BIO_METHOD *new_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "crew");
	if (method && BIO_meth_set_read(method, bio_read) &&
		BIO_meth_set_write(method, bio_write) && BIO_meth_set_ctrl(method, bio_control))
		return method;
	BIO_meth_free(method);
	return NULL;
}

struct crew__tls_shared *crew__tls_share(struct crew__net *net)
{
	if (net->tls_shared)
		return net->tls_shared;
	struct crew__tls_shared *shared = malloc(sizeof(*shared));
	if (!shared)
		return NULL;
	shared->method = new_method();
	shared->kernel_method = crew__tls_kernel_method();
	shared->in_of = NULL;
	shared->shakes_turn = net->clock->turn - 1;
	crew__list_init(&shared->begun);
	shared->begun_count = 0;
	crew__buf_init(&shared->out, CREW__TLS_OUT_MOST);
	if (!shared->method || !shared->kernel_method ||
		crew__buf_reserve(&shared->out, 2 * CREW__TLS_RECORD) < 0) {
		crew__tls_shared_free(shared);
		return NULL;
	}
	net->tls_shared = shared;
	return shared;
}

void crew__tls_shared_free(struct crew__tls_shared *shared)
{
	if (!shared)
		return;
	BIO_meth_free(shared->method);
	BIO_meth_free(shared->kernel_method);
	crew__buf_release(&shared->out);
	free(shared);
}

static BIO *new_bio(crew_conn *c)
{
	BIO *bio = BIO_new(c->net->tls_shared->method);
	if (bio) {
		BIO_set_data(bio, c);
		BIO_set_init(bio, 1);
	}
	return bio;
}

bool crew__tls_set_bios(crew_conn *c, SSL *ssl)
{
	BIO *in = new_bio(c);
	if (!in)
		return false;
	BIO *out = crew__tls_kernel_bio(c, ssl, c->net->tls_shared->kernel_method);
	SSL_set_bio(ssl, in, out ? out : in);
	return true;
}
