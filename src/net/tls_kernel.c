/* tls_kernel.c - TLS records that the kernel makes (CREW__IO_KTLS): the handshake is OpenSSL's, and
 * once the kernel has the keys of our side plain bytes go to the socket, files by sendfile(2).
 *
 * Sending alone: what comes is taken apart by OpenSSL as ever, since among it may be messages of
 * the handshake's that the kernel cannot act on. What OpenSSL has still to say (tickets, alerts)
 * goes to the socket by its own BIO, which tells the kernel what kind of record that is.
 *
 * The keys are offered with the last record that OpenSSL encrypts, and must come right behind it:
 * where the socket does not take all that is before, and where the kernel does not know the cipher,
 * the connection stays as it was (CREW__IO_TLS). Keys that the kernel has stay for good. */
#include "net/tls_parts.h"

#include "base/check.h"
#include "net/conn_out.h"
#include "net/tls_context.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

enum {
	/* RFC 8446 section 4: a type, three bytes of length; KeyUpdate has one byte more. */
	KEY_UPDATE_BYTES = 5,
	KEY_UPDATE_ASKS_AT = 4,
};

const char crew__ktls_unused[] = "no connection uses it at present";

/* ---- the way out, as OpenSSL sees it --------------------------------------------------------- */

static bool kernel_has_keys(BIO *socket)
{
	return BIO_get_ktls_send(socket);
}

/* The answer to a peer that asks for new keys is the one thing that must not leave: it says that
 * the next record comes with keys that the kernel has not got. */
static bool is_key_update(const struct crew__tls *tls, const char *data, int len)
{
	return tls->wants_keys && len == KEY_UPDATE_BYTES && data[0] == SSL3_MT_KEY_UPDATE;
}

static int write_by_kernel(BIO *bio, BIO *socket, const char *data, int len)
{
	crew_conn *c = BIO_get_data(bio);
	if (c->record->state == CREW__CONN_CLOSED)
		return -1;
	if (is_key_update(crew__tls_of(c), data, len))
		return len;
	int n = BIO_write(socket, data, len);
	BIO_copy_next_retry(bio);
	if (n > 0)
		crew__out_left(c, 0, (size_t)n, 0);
	return n;
}

static int bio_write(BIO *bio, const char *data, int len)
{
	BIO *socket = BIO_next(bio);
	BIO_clear_retry_flags(bio);
	if (kernel_has_keys(socket))
		return write_by_kernel(bio, socket, data, len);
	return crew__tls_gather(BIO_get_data(bio), data, (size_t)len) ? len : -1;
}

/* What OpenSSL asks of a socket's BIO, the keys for the kernel among it, goes on to that, unless
 * bytes that were encrypted here are still to leave. */
static long ask_socket(BIO *bio, int command, long number, void *pointer)
{
	const crew_conn *c = BIO_get_data(bio);
	BIO *socket = BIO_next(bio);
	if (!socket || c->record->state == CREW__CONN_CLOSED || c->net->tls_shared->out.len > 0 ||
		crew__tls_of(c)->cipher.len > 0)
		return 0;
	return BIO_ctrl(socket, command, number, pointer);
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	switch (command) {
	case BIO_CTRL_PUSH:
	case BIO_CTRL_POP:
	case BIO_CTRL_DUP:
		return 0;
	case BIO_CTRL_FLUSH:
		/* It comes before keys do. What does not leave is kept, and then keys are refused.
		 */
		crew__tls_push(BIO_get_data(bio));
		return 1;
	default:
		return ask_socket(bio, command, number, pointer);
	}
}

BIO_METHOD *crew__tls_kernel_method(void)
{
	BIO_METHOD *method = BIO_meth_new(
		BIO_get_new_index() | BIO_TYPE_FILTER, "crew, to the kernel");
	if (method && BIO_meth_set_write(method, bio_write) &&
		BIO_meth_set_ctrl(method, bio_control))
		return method;
	BIO_meth_free(method);
	return NULL;
}

/* Its context asks for it, and the socket can be told: over a Unix socket it cannot. A socket that
 * is told so and gets no keys is as it was. */
static bool may_have_keys(const crew_conn *c, const SSL *ssl)
{
	return (SSL_get_options(ssl) & SSL_OP_ENABLE_KTLS) &&
	       setsockopt(c->fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0;
}

BIO *crew__tls_kernel_bio(crew_conn *c, const SSL *ssl, BIO_METHOD *method)
{
	if (!may_have_keys(c, ssl))
		return NULL;
	BIO *bio = BIO_new(method);
	BIO *socket = BIO_new_socket(c->fd, BIO_NOCLOSE);
	if (!bio || !socket) {
		BIO_free(bio);
		BIO_free(socket);
		ERR_clear_error();
		return NULL;
	}
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	return BIO_push(bio, socket);
}

/* ---- who is sent so -------------------------------------------------------------------------- */

static void show(const crew_conn *c)
{
	struct crew__tls_shown *shown = c->net->stats.tls;
	if (shown)
		snprintf(shown->ktls, sizeof(shown->ktls), "%s",
			c->net->table->by_kernel > 0 ? "" : crew__ktls_unused);
}

/* A peer may ask for new keys of ours (RFC 8446 section 4.6.3). */
static void on_message(
	int written, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
	const unsigned char *bytes = data;
	crew_conn *c = arg;
	(void)version;
	(void)ssl;
	crew__tls_note_message(crew__tls_of(c), written != 0, type, (crew_bytes){ data, len });
	if (!written && type == SSL3_RT_HANDSHAKE && len == KEY_UPDATE_BYTES &&
		bytes[0] == SSL3_MT_KEY_UPDATE &&
		bytes[KEY_UPDATE_ASKS_AT] == SSL_KEY_UPDATE_REQUESTED)
		crew__tls_of(c)->wants_keys = true;
}

void crew__tls_kernel_takes(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	if (!kernel_has_keys(SSL_get_wbio(tls->ssl)))
		return;
	crew__must(tls->cipher.len == 0);
	SSL_set_msg_callback(tls->ssl, on_message);
	SSL_set_msg_callback_arg(tls->ssl, c);
	c->io = CREW__IO_KTLS;
	if (c->net->table->by_kernel++ == 0)
		show(c);
}

static void kernel_release(crew_conn *c)
{
	if (--c->net->table->by_kernel == 0)
		show(c);
	crew__tls_release(c);
}

void crew__tls_kernel_gives_up(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	if (tls->broken)
		return;
	snprintf(tls->error, sizeof(tls->error),
		"the peer wants new keys, and the kernel cannot be given any; ktls = off can");
	ERR_clear_error();
	SSL_shutdown(tls->ssl);
	ERR_clear_error();
	tls->broken = true;
}

/* ---- sending --------------------------------------------------------------------------------- */

static ssize_t kernel_send(crew_conn *c, const struct iovec *vectors, size_t count)
{
	if (crew__tls_of(c)->broken) {
		crew__conn_broken(c, CREW_END_PROTOCOL);
		return -1;
	}
	return crew__out_to_socket(c, (struct iovec *)(uintptr_t)vectors, count, false);
}

static void kernel_settle(crew_conn *c, size_t bytes, uint32_t messages)
{
	crew__out_left(c, bytes, bytes, messages);
}

/* Beyond what SIOCOUTQ counts the kernel may have the rest of a record that did not fit: it leaves
 * at the latest with what is written when there is plenty of room. */
static bool has_room(const crew_conn *c)
{
	struct pollfd look = { .fd = c->fd, .events = POLLOUT };
	return poll(&look, 1, 0) == 1;
}

/* False: there is no room for it now. */
static bool say_goodbye(struct crew__tls *tls)
{
	ERR_clear_error();
	int done = SSL_shutdown(tls->ssl);
	bool full = done < 0 && SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
	return !full;
}

/* close_notify is the end of the stream. That of the socket would overtake the rest of a record. */
static void kernel_finish(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	tls->goodbye = !tls->broken && (!has_room(c) || !say_goodbye(tls));
	if (!tls->goodbye)
		return;
	c->flags |= CREW__C_WRITING;
	crew__conn_watch(c);
}

static bool kernel_flush(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	if (tls->goodbye)
		kernel_finish(c);
	return !tls->goodbye && c->record->state != CREW__CONN_CLOSED;
}

static bool kernel_pending(const crew_conn *c)
{
	return crew__tls_of(c)->goodbye;
}

/* What the kernel took has left. */
static void kernel_held(const crew_conn *c, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	(void)c;
	*ret_bytes = 0;
	*ret_messages = 0;
}

const struct crew__io crew__io_ktls = {
	.plain = true,
	.recv = crew__tls_recv,
	.has_more = crew__tls_has_more,
	.send = kernel_send,
	.settle = kernel_settle,
	.flush = kernel_flush,
	.pending = kernel_pending,
	.held = kernel_held,
	.finish = kernel_finish,
	.release = kernel_release,
};
