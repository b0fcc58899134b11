#include "net/tls.h"

#include "base/check.h"
#include "base/log.h"
#include "net/conn_out.h"
#include "net/tls_parts.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- to the kernel --------------------------------------------------------------------------- */

/* Only what comes behind it may end our side. */
static void shut_if_finished(crew_conn *c, const struct crew__tls *tls)
{
	if (tls->finished && tls->cipher.len == 0)
		shutdown(c->fd, SHUT_WR);
}

/* Bytes that the kernel took, 0 when it is full; -1: broken, and CLOSED. */
static ssize_t give(crew_conn *c, const char *data, size_t len)
{
	struct iovec vector = { (void *)(uintptr_t)data, len };
	ssize_t n = crew__out_to_socket(c, &vector, 1, false);
	if (n > 0)
		crew__out_left(c, 0, (size_t)n, 0);
	return n;
}

static void await_room(crew_conn *c)
{
	c->flags |= CREW__C_WRITING;
	crew__conn_watch(c);
}

bool crew__tls_push(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	struct crew__buf *out = &c->net->tls_shared->out;
	size_t gone = 0;
	if (out->len == 0)
		return c->record->state != CREW__CONN_CLOSED;
	if (tls->cipher.len == 0) {
		ssize_t n = give(c, out->data, out->len);
		if (n < 0) {
			out->len = 0;
			return false;
		}
		gone = (size_t)n;
	}
	int error = gone < out->len
			    ? crew__buf_append(&tls->cipher, out->data + gone, out->len - gone)
			    : 0;
	out->len = 0;
	if (error) {
		crew__conn_broken(c, CREW_END_MEMORY);
		return false;
	}
	/* Of ours there is never more than a record: the rest are answers that it asks for and does
	 * not read. */
	if (tls->standing && tls->cipher.len > CREW__TLS_HELD) {
		crew__conn_broken(c, CREW_END_PROTOCOL);
		return false;
	}
	if (tls->cipher.len > 0)
		await_room(c);
	return c->record->state != CREW__CONN_CLOSED;
}

/* ---- what went wrong ------------------------------------------------------------------------- */

/* What others left in OpenSSL's queue of errors must not pass for ours. ERR_clear_error() looks at
 * each place of it, and it is nearly always empty. */
static void forget_errors(void)
{
	if (crew__unlikely(ERR_peek_error() != 0))
		ERR_clear_error();
}

/* The reason that OpenSSL gives, in its words; of a certificate, what is wrong with it. */
static void note_error(struct crew__tls *tls)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	if (tls->in_ended)
		reason = "the peer left";
	else if (code && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		reason = X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
	snprintf(tls->error, sizeof(tls->error), "%s", reason ? reason : "it failed");
	ERR_clear_error();
}

/* A request in plain HTTP has come where a ClientHello was awaited: the one mistake that people
 * make by hand, so it is answered. */
static bool is_plain_http(const char *data, size_t len)
{
	static const char *const methods[] = { "GET ", "HEAD ", "POST ", "PUT ", "DELETE ",
		"OPTIONS ", "PATCH ", "CONNECT " };
	for (size_t i = 0; i < crew__lengthof(methods); i++) {
		size_t n = crew__min(len, strlen(methods[i]));
		if (n > 2 && memcmp(data, methods[i], n) == 0)
			return true;
	}
	return false;
}

static void answer_plainly(crew_conn *c)
{
	static const crew_bytes answer = CREW_BYTES(
		"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n"
		"Connection: close\r\n\r\n"
		"This port speaks TLS: use https instead.\n");
	crew__io_tls.release(c);
	c->io = CREW__IO_SOCKET;
	if (crew__conn_control(c, answer) == 0)
		crew__conn_close(c, CREW_END_HANDSHAKE);
	else
		crew__conn_broken(c, CREW_END_MEMORY);
}

/* ---- the handshake --------------------------------------------------------------------------- */

/* It stands. The protocol above takes the connection over, in its own event. */
static void stands(crew_conn *c, struct crew__tls *tls)
{
	tls->standing = true;
	crew__tls_leave_begun(c->net->tls_shared, tls);
	crew__tls_kernel_takes(c);
	c->net->ops->on_accepted(c);
	if (c->record->state <= CREW__CONN_OPEN)
		crew__conn_deadline(c, crew__net_now(c->net) + 1);
}

/* As far as the bytes that are there allow. False, with errno: there is nothing to read now. */
static bool shake_hands(crew_conn *c, struct crew__tls *tls)
{
	ERR_clear_error();
	tls->resumes = false;
	int done = SSL_do_handshake(tls->ssl);
	int state = done == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, done);
	tls->stalled = state == SSL_ERROR_WANT_WRITE;
	bool failed = state != SSL_ERROR_NONE && state != SSL_ERROR_WANT_READ && !tls->stalled;
	if (failed) {
		tls->broken = true;
		note_error(tls);
	}
	errno = EAGAIN;
	if (!crew__tls_push(c))
		return false;
	if (tls->stalled)
		await_room(c);
	errno = failed ? EPROTO : EAGAIN;
	if (state == SSL_ERROR_NONE)
		stands(c, tls);
	return false;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Into the shared buffer: what was left over, else what the kernel has. 0: nothing new, the stream
 * has ended; -1 with errno. */
static ssize_t load(crew_conn *c, struct crew__tls *tls)
{
	struct crew__tls_shared *shared = c->net->tls_shared;
	shared->in_of = c;
	shared->in_at = 0;
	shared->in_len = tls->unread.len;
	if (tls->unread.len > 0) {
		memcpy(shared->in, tls->unread.data, tls->unread.len);
		crew__buf_release(&tls->unread);
		return (ssize_t)shared->in_len;
	}
	if (tls->in_ended || SSL_pending(tls->ssl) > 0)
		return 0;
	ssize_t n = recv(c->fd, shared->in, CREW__TLS_IN_MOST, 0);
	if (n < 0) {
		shared->in_len = 0;
		return tls->resumes && errno == EAGAIN ? 0 : -1;
	}
	tls->in_ended = n == 0;
	shared->in_len = (size_t)n;
	c->net->stats.slab->bytes_in += (uint64_t)n;
	c->record->bytes_in += (uint64_t)n;
	if (n > 0)
		c->record->last_in = crew__net_now(c->net);
	return n;
}

/* What OpenSSL did not want yet stays with the connection. */
static int unload(crew_conn *c, struct crew__tls *tls)
{
	struct crew__tls_shared *shared = c->net->tls_shared;
	size_t rest = shared->in_len - shared->in_at;
	shared->in_of = NULL;
	return rest > 0 ? crew__buf_append(&tls->unread, shared->in + shared->in_at, rest) : 0;
}

/* As many records as fit. Sets what follows from the last of them. Once OpenSSL has taken all that
 * was loaded it is not asked again only to say so: that costs it as much as half a record. */
static size_t decrypt(
	const struct crew__tls_shared *shared, struct crew__tls *tls, char *room, size_t size)
{
	size_t got = 0;
	while (got < size && !tls->wants_keys) {
		size_t n;
		forget_errors();
		int done = SSL_read_ex(tls->ssl, room + got, size - got, &n);
		if (done == 1) {
			got += n;
			tls->keys = 0;
			if (shared->in_at == shared->in_len && SSL_pending(tls->ssl) == 0)
				break;
			continue;
		}
		int state = SSL_get_error(tls->ssl, done);
		if (state == SSL_ERROR_WANT_READ || state == SSL_ERROR_WANT_WRITE) {
			tls->broken = tls->keys > CREW__TLS_KEYS_MOST;
			break;
		}
		/* Many peers just leave, without close_notify. */
		tls->broken = state != SSL_ERROR_ZERO_RETURN && !tls->in_ended;
		tls->ended = !tls->broken;
		if (tls->broken)
			note_error(tls);
		break;
	}
	return got;
}

static ssize_t read_records(crew_conn *c, struct crew__tls *tls, char *room, size_t size)
{
	size_t got = decrypt(c->net->tls_shared, tls, room, size);
	int error = unload(c, tls);
	if (!crew__tls_push(c)) /* alerts, keys that were updated */
		return -1;
	if (error) {
		errno = ENOMEM;
		return -1;
	}
	if (got > 0)
		return (ssize_t)got;
	errno = tls->broken ? EPROTO : EAGAIN;
	return tls->ended ? 0 : -1;
}

/* We have ended it before it stood: nothing but its end is of interest. */
static ssize_t throw_away(crew_conn *c, struct crew__tls *tls, char *room, size_t size)
{
	crew__buf_release(&tls->unread);
	tls->resumes = false;
	ssize_t n = recv(c->fd, room, size, 0);
	if (n > 0) {
		c->net->stats.slab->bytes_in += (uint64_t)n;
		c->record->bytes_in += (uint64_t)n;
	}
	return n;
}

ssize_t crew__tls_recv(crew_conn *c, char *room, size_t size)
{
	struct crew__tls *tls = crew__tls_of(c);
	if (tls->ended)
		return 0;
	if (crew__unlikely(tls->wants_keys))
		crew__tls_kernel_gives_up(c);
	if (tls->broken) {
		errno = EPROTO;
		return -1;
	}
	if (!tls->standing && c->record->state > CREW__CONN_OPEN)
		return throw_away(c, tls, room, size);
	if (!tls->standing && !crew__tls_may_shake(c, tls)) {
		errno = EAGAIN;
		return -1;
	}
	if (load(c, tls) < 0)
		return -1;
	if (tls->standing)
		return read_records(c, tls, room, size);
	struct crew__tls_shared *shared = c->net->tls_shared;
	if (SSL_is_server(tls->ssl) && SSL_in_before(tls->ssl) &&
		is_plain_http(shared->in, shared->in_len)) {
		shared->in_of = NULL;
		answer_plainly(c);
		errno = EAGAIN;
		return -1;
	}
	if (!crew__list_empty(&tls->begun))
		crew__tls_enter_begun(shared, tls);
	bool failed = !shake_hands(c, tls) && errno == EPROTO;
	if (c->record->state != CREW__CONN_CLOSED && unload(c, tls) < 0) {
		errno = ENOMEM;
		return -1;
	}
	errno = failed ? EPROTO : EAGAIN;
	return -1;
}

bool crew__tls_has_more(const crew_conn *c)
{
	const struct crew__tls *tls = crew__tls_of(c);
	return tls->unread.len > 0 || tls->ended || tls->broken || tls->resumes ||
	       tls->wants_keys || SSL_pending(tls->ssl) > 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* One record's worth, as one piece. */
static crew_bytes one_record(
	struct crew__tls_shared *shared, const struct iovec *vectors, size_t count)
{
	if (vectors[0].iov_len >= CREW__TLS_RECORD || count == 1)
		return (crew_bytes){ vectors[0].iov_base,
			crew__min(vectors[0].iov_len, (size_t)CREW__TLS_RECORD) };
	size_t len = 0;
	for (size_t i = 0; i < count && len < CREW__TLS_RECORD; i++) {
		size_t n = crew__min(vectors[i].iov_len, CREW__TLS_RECORD - len);
		memcpy(shared->plain + len, vectors[i].iov_base, n);
		len += n;
	}
	return (crew_bytes){ shared->plain, len };
}

static ssize_t tls_send(crew_conn *c, const struct iovec *vectors, size_t count)
{
	struct crew__tls *tls = crew__tls_of(c);
	if (!tls->standing || tls->cipher.len > 0)
		return 0;
	crew_bytes record = one_record(c->net->tls_shared, vectors, count);
	size_t n;
	crew_end_reason reason = tls->broken ? CREW_END_PROTOCOL : CREW_END_RESET;
	forget_errors();
	if (tls->broken || SSL_write_ex(tls->ssl, record.data, record.len, &n) != 1) {
		ERR_clear_error();
		c->net->tls_shared->out.len = 0;
		tls->broken = true;
		crew__conn_broken(c, reason);
		return -1;
	}
	if (!crew__tls_push(c))
		return -1;
	if (tls->cipher.len > 0)
		tls->kept += n;
	else
		tls->left += n;
	return (ssize_t)n;
}

/* The messages go with the last of the bytes. */
static void tls_settle(crew_conn *c, size_t bytes, uint32_t messages)
{
	struct crew__tls *tls = crew__tls_of(c);
	crew__must(bytes == tls->left + tls->kept);
	bool waits = tls->cipher.len > 0;
	if (tls->left > 0 || !waits)
		crew__out_left(c, tls->left, 0, waits ? 0 : messages);
	tls->held_bytes += tls->kept;
	tls->held_messages += waits ? messages : 0;
	tls->left = 0;
	tls->kept = 0;
	if (waits && bytes > 0)
		crew__out_kernel_is_full(c);
}

/* With the handshake, in the connection's own event: what stands there calls the program. */
static void go_on(crew_conn *c, struct crew__tls *tls)
{
	tls->stalled = false;
	tls->resumes = true;
	crew__conn_clear(c, CREW__C_WRITING);
	crew__conn_watch(c);
	crew__conn_agenda(c, CREW__C_FEED);
}

static bool tls_flush(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	if (tls->stalled)
		go_on(c, tls);
	if (tls->cipher.len == 0)
		return tls->standing;
	ssize_t n = give(c, tls->cipher.data, tls->cipher.len);
	if (n < 0)
		return false;
	crew__buf_consume(&tls->cipher, (size_t)n);
	if (tls->cipher.len > 0)
		return false;
	crew__buf_release(&tls->cipher);
	crew__out_left(c, tls->held_bytes, 0, tls->held_messages);
	tls->held_bytes = 0;
	tls->held_messages = 0;
	shut_if_finished(c, tls);
	if (!tls->standing) { /* its queue is not to be looked at */
		crew__conn_clear(c, CREW__C_WRITING);
		crew__conn_watch(c);
	}
	return tls->standing;
}

static bool tls_pending(const crew_conn *c)
{
	const struct crew__tls *tls = crew__tls_of(c);
	return tls->cipher.len > 0 || tls->stalled;
}

static void tls_held(const crew_conn *c, uint64_t *ret_bytes, uint64_t *ret_messages)
{
	const struct crew__tls *tls = crew__tls_of(c);
	*ret_bytes = tls->held_bytes;
	*ret_messages = tls->held_messages;
}

/* close_notify (RFC 8446 section 6.1), and then the end of the stream. */
static void tls_finish(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	tls->finished = true;
	if (tls->standing && !tls->broken) {
		ERR_clear_error();
		SSL_shutdown(tls->ssl);
		ERR_clear_error();
		if (!crew__tls_push(c))
			return;
	}
	shut_if_finished(c, tls);
}

void crew__tls_release(crew_conn *c)
{
	struct crew__tls *tls = crew__tls_of(c);
	struct crew__tls_shared *shared = c->net->tls_shared;
	if (shared->in_of == c)
		shared->in_of = NULL;
	crew__tls_leave_begun(shared, tls);
	SSL_free(tls->ssl);
	crew__buf_release(&tls->unread);
	crew__buf_release(&tls->cipher);
	free(tls);
	c->net->table->transports[c->slot] = NULL;
}

const struct crew__io crew__io_tls = {
	.recv = crew__tls_recv,
	.has_more = crew__tls_has_more,
	.send = tls_send,
	.settle = tls_settle,
	.flush = tls_flush,
	.pending = tls_pending,
	.held = tls_held,
	.finish = tls_finish,
	.release = crew__tls_release,
};

/* ---- beginning --------------------------------------------------------------------------------
 */

void crew__tls_note_message(struct crew__tls *tls, bool written, int type, crew_bytes message)
{
	if (!written && type == SSL3_RT_HANDSHAKE && message.len > 0 &&
		message.data[0] == SSL3_MT_KEY_UPDATE)
		tls->keys++;
}

static void on_message(
	int written, int version, int type, const void *data, size_t len, SSL *ssl, void *arg)
{
	(void)version;
	(void)ssl;
	crew__tls_note_message(arg, written != 0, type, (crew_bytes){ data, len });
}

/* Takes the SSL over only when there is memory for all. */
static struct crew__tls *new_tls(crew_conn *c, SSL *ssl, crew_bytes first)
{
	struct crew__tls *tls = crew__tls_share(c->net) ? calloc(1, sizeof(*tls)) : NULL;
	if (!tls)
		return NULL;
	crew__buf_init(&tls->unread, CREW__TLS_IN_MOST);
	crew__buf_init(&tls->cipher, CREW__TLS_OUT_MOST);
	if ((first.len > 0 && crew__buf_append(&tls->unread, first.data, first.len) < 0) ||
		!crew__tls_set_bios(c, ssl)) {
		crew__buf_release(&tls->unread);
		free(tls);
		return NULL;
	}
	SSL_set_msg_callback(ssl, on_message);
	SSL_set_msg_callback_arg(ssl, tls);
	tls->ssl = ssl;
	tls->conn = c;
	crew__list_init(&tls->begun);
	tls->began = crew__net_now(c->net);
	return tls;
}

int crew__conn_start_tls(crew_conn *c, SSL *take_ssl, crew_bytes first)
{
	crew__must(c->io == CREW__IO_SOCKET && c->record->state == CREW__CONN_HANDSHAKE);
	struct crew__tls *tls = new_tls(c, take_ssl, first);
	if (!tls) {
		SSL_free(take_ssl);
		return -ENOMEM;
	}
	c->net->table->transports[c->slot] = tls;
	c->io = CREW__IO_TLS;
	c->record->transport = CREW__TLS;
	if (SSL_is_server(take_ssl)) {
		crew__tls_enter_begun(c->net->tls_shared, tls);
		crew__tls_keep_to_limit(c->net);
	}
	if (c->net->limits.tls_timeout > 0)
		crew__conn_deadline(c, tls->began + c->net->limits.tls_timeout);
	if (first.len > 0)
		crew__conn_agenda(c, CREW__C_FEED);
	else if (!SSL_is_server(take_ssl) && !shake_hands(c, tls) && errno == EPROTO)
		crew__conn_broken(c, CREW_END_HANDSHAKE);
	return 0;
}

/* ---- questions --------------------------------------------------------------------------------
 */

static bool speaks_tls(const crew_conn *c)
{
	return c->io == CREW__IO_TLS || c->io == CREW__IO_KTLS;
}

SSL *crew__conn_tls(const crew_conn *c)
{
	if (!speaks_tls(c))
		return NULL;
	const struct crew__tls *tls = crew__tls_of(c);
	return tls->standing ? tls->ssl : NULL;
}

const char *crew__conn_tls_error(const crew_conn *c)
{
	return speaks_tls(c) ? crew__tls_of(c)->error : "";
}

bool crew__conn_tls_begins(const crew_conn *c)
{
	return c->io == CREW__IO_TLS && !crew__tls_of(c)->standing;
}

uint32_t crew__conn_tls_began(const crew_conn *c)
{
	return crew__tls_of(c)->began;
}
