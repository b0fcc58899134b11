/* conn_out.c - the way out: from an offered message to the kernel, counted at every step.
 *
 *   send ─▸ the cork (its own event, small)    ─┐
 *        ─▸ the kernel at once (large)          ├─▸ crew__out_settle(): sent += n, queued -= n
 *        ─▸ the queue (elsewhere, kernel full) ─┘
 *
 * Offered and queued are counted when the message is accepted; sent when the kernel has taken its
 * last byte; never both halves outside one update. */
#include "net/conn.h"

#include "base/check.h"
#include "base/log.h"
#include "net/conn_out.h"

#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum {
	VECTORS = 64,
	ROUNDS = 4, /* writes to one connection in a row, before others have their turn */
	JOIN_MOST = 16 * 1024, /* many short pieces leave as one copy rather than as many vectors */
};

size_t crew__out_size(const struct crew__out *out)
{
	return out->head.len + out->body.len + out->tail.len;
}

/* ---- counting ------------------------------------------------------------------------------ */

/* Bytes of no message. */
void crew__out_count_bytes(crew_conn *c, size_t bytes)
{
	struct crew__slab *s = c->net->stats.slab;
	if (c->record->bytes_queued == 0)
		c->record->queued_since = crew__net_now(c->net);
	crew__slab_begin(s);
	s->bytes_queued += bytes;
	c->record->bytes_queued += bytes;
	crew__slab_end(s);
}

/* The kernel took `bytes`, and with them the last byte of `messages`. */
static inline void settle_at(crew_conn *c, size_t bytes, uint32_t messages, uint32_t now)
{
	struct crew__slab *s = c->net->stats.slab;
	struct crew__record *r = c->record;
	crew__slab_begin(s);
	s->messages_sent += messages;
	s->messages_queued -= messages;
	s->bytes_queued -= bytes;
	s->bytes_out += bytes;
	r->messages_queued -= messages;
	r->bytes_queued -= bytes;
	r->bytes_out += bytes;
	crew__slab_end(s);
	if (crew__likely(bytes > 0)) /* asking a kernel that is full is no progress */
		r->last_out = now;
}

void crew__out_settle(crew_conn *c, size_t bytes, uint32_t messages)
{
	settle_at(c, bytes, messages, crew__net_now(c->net));
}

void crew__out_note_untold(crew_conn *c, crew_reason reason, uint64_t messages, uint64_t bytes)
{
	struct crew__rare *rare = crew__conn_rare(c);
	rare->untold_messages[reason] += (uint32_t)messages;
	rare->untold_bytes[reason] += bytes;
	/* on_error that sends into a full queue again must not keep the loop turning: what it loses
	 * is told when the connection is next looked at for another reason. */
	if (rare->told_turn == c->net->clock->turn && (rare->told & (1u << reason)))
		c->flags |= CREW__C_TELL_LOSS;
	else
		crew__conn_agenda(c, CREW__C_TELL_LOSS);
}

/* A message that was not accepted: offered and failed in one update. */
void crew__out_lose_offered(crew_conn *c, crew_reason reason, size_t bytes)
{
	struct crew__slab *s = c->net->stats.slab;
	crew__slab_begin(s);
	s->messages_offered++;
	s->send_fail++;
	(*crew__slab_fail(s, reason))++;
	c->record->send_fail++;
	c->net->stats.cold[c->slot].fail[reason]++;
	crew__slab_end(s);
	crew__out_note_untold(c, reason, 1, bytes);
}

void crew__net_lose_closed(struct crew__net *net, crew_conn *c, size_t bytes)
{
	if (c) {
		crew__out_lose_offered(c, CREW_LOST_CLOSED, bytes);
		return;
	}
	struct crew__slab *s = net->stats.slab;
	crew__slab_begin(s);
	s->messages_offered++;
	s->send_fail++;
	s->fail_closed++;
	crew__slab_end(s);
}

int64_t crew__conn_lose_memory(crew_conn *c, size_t bytes)
{
	crew__out_lose_offered(c, CREW_LOST_MEMORY, bytes);
	return -ENOMEM;
}

void crew__net_count_invalid(struct crew__net *net)
{
	net->stats.slab->send_invalid++;
}

/* Why messages are lost that wait when a connection ends for that reason. */
crew_reason crew__out_loss_at(crew_end_reason end)
{
	switch (end) {
	case CREW_END_PEER:
	case CREW_END_RESET:
		return CREW_LOST_RESET;
	case CREW_END_HANDSHAKE:
		return CREW_LOST_HANDSHAKE;
	case CREW_END_DEADLINE:
		return CREW_LOST_DEADLINE;
	case CREW_END_FULL:
		return CREW_LOST_FULL;
	case CREW_END_MEMORY:
		return CREW_LOST_MEMORY;
	default:
		return CREW_LOST_ABORTED;
	}
}

void crew__conn_drop_queue(crew_conn *c, crew_end_reason end)
{
	struct crew__net *net = c->net;
	struct crew__slab *s = net->stats.slab;
	struct crew__record *r = c->record;
	if (net->current == c) {
		net->cork.len = 0;
		net->cork.messages = 0;
	}
	crew__queue_drop(&c->queue, &net->pieces);
	crew__burst_drop(c);
	crew__conn_clear(c, CREW__C_PARTS | CREW__C_WANTS_ROOM);
	uint32_t messages = r->messages_queued;
	uint64_t bytes = r->bytes_queued;
	crew_reason reason = crew__out_loss_at(end);
	crew__slab_begin(s);
	s->messages_queued -= messages;
	s->bytes_queued -= bytes;
	s->send_fail += messages;
	*crew__slab_fail(s, reason) += messages;
	r->messages_queued = 0;
	r->bytes_queued = 0;
	r->send_fail += messages;
	net->stats.cold[c->slot].fail[reason] += messages;
	crew__slab_end(s);
	if (messages > 0)
		crew__out_note_untold(c, reason, messages, bytes);
}

/* ---- to the kernel ------------------------------------------------------------------------- */

/* What a failed write means: 0 when the kernel is full, -1 when the connection broke (it is CLOSED
 * then). A non-blocking write is not interrupted. */
static crew__rarely ssize_t write_failed(crew_conn *c)
{
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return 0;
	crew__conn_broken(c, c->flags & CREW__C_PEER_ENDED ? CREW_END_PEER : CREW_END_RESET);
	return -1;
}

ssize_t crew__out_write(crew_conn *c, struct iovec *vectors, size_t count, bool more)
{
	const int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	ssize_t n;
	if (count == 1) {
		n = send(c->fd, vectors[0].iov_base, vectors[0].iov_len, flags);
	} else {
		struct msghdr message = { .msg_iov = vectors, .msg_iovlen = count };
		n = sendmsg(c->fd, &message, flags);
	}
	return crew__likely(n >= 0) ? n : write_failed(c);
}

void crew__out_kernel_is_full(crew_conn *c)
{
	c->flags |= CREW__C_WRITING | CREW__C_BACKLOG;
	c->asked_turn = c->net->clock->turn;
	crew__conn_watch(c);
	crew__conn_deadline(c, crew__net_now(c->net) + 100);
}

/* Keep what the kernel did not take of the cork: `taken` bytes of it have left. */
static int keep_cork(crew_conn *c, size_t taken, uint32_t first_message)
{
	struct crew__net *net = c->net;
	size_t at = taken;
	for (uint32_t i = first_message; i < net->cork.messages; i++) {
		size_t end = net->cork.ends[i];
		int error = crew__queue_copy(&c->queue, net->cork.data + at, end - at, true);
		if (error)
			return error;
		at = end;
	}
	return crew__queue_copy(&c->queue, net->cork.data + at, net->cork.len - at, false);
}

/* The kernel took `n` bytes of the cork, not all. */
static crew__rarely void keep_rest_of_cork(crew_conn *c, size_t n)
{
	struct crew__net *net = c->net;
	uint32_t messages = 0;
	while (messages < net->cork.messages && net->cork.ends[messages] <= n)
		messages++;
	int error = keep_cork(c, n, messages);
	net->cork.len = 0;
	net->cork.messages = 0;
	crew__out_settle(c, n, messages);
	if (error)
		crew__conn_broken(c, CREW_END_MEMORY);
	else
		crew__out_kernel_is_full(c);
}

static inline void flush_cork(struct crew__net *net, int flags)
{
	crew_conn *c = net->current;
	if (net->cork.len == 0)
		return;
	ssize_t n = send(c->fd, net->cork.data, net->cork.len, flags);
	if (crew__unlikely(n < 0))
		n = write_failed(c);
	if (crew__unlikely(n < 0))
		return;
	if (crew__unlikely((size_t)n < net->cork.len)) {
		keep_rest_of_cork(c, (size_t)n);
		return;
	}
	uint32_t messages = net->cork.messages;
	net->cork.len = 0;
	net->cork.messages = 0;
	settle_at(c, (size_t)n, messages, net->now); /* its own event: worked out this turn */
}

void crew__net_flush_cork(struct crew__net *net)
{
	flush_cork(net, MSG_NOSIGNAL);
}

void crew__out_flush_cork_before_more(struct crew__net *net)
{
	flush_cork(net, MSG_NOSIGNAL | MSG_MORE);
}

/* Many short pieces (a burst of broadcasts) cost less as one copy than as many vectors. */
static size_t join(struct crew__net *net, struct iovec *vectors, size_t count, size_t bytes)
{
	if (count < 2 || bytes > JOIN_MOST || net->cork.len > 0)
		return count;
	char *at = net->cork.data;
	for (size_t i = 0; i < count; i++) {
		memcpy(at, vectors[i].iov_base, vectors[i].iov_len);
		at += vectors[i].iov_len;
	}
	vectors[0] = (struct iovec){ .iov_base = net->cork.data, .iov_len = bytes };
	return 1;
}

/* What has become true because the queue got shorter. */
static void after_flush(crew_conn *c)
{
	uint64_t queued = c->record->bytes_queued;
	size_t limit = c->net->limits.max_send_buffer;
	if (queued < limit)
		crew__conn_clear(c, CREW__C_FULL);
	if (queued * 2 <= limit) {
		if (c->flags & CREW__C_HELD)
			crew__conn_go_on_reading(c, CREW__C_HELD);
		crew_conn *from = crew__conn_pipe_from(c);
		if (from && (from->flags & CREW__C_PIPE_FULL))
			crew__conn_go_on_reading(from, CREW__C_PIPE_FULL);
	}
	if ((c->flags & CREW__C_WANTS_ROOM) && queued * 2 <= limit)
		crew__conn_agenda(c, CREW__C_TELL_ROOM);
	if (!crew__queue_empty(&c->queue))
		return;
	if (c->flags & CREW__C_WRITING) {
		crew__conn_clear(c, CREW__C_WRITING);
		crew__conn_watch(c);
	}
	if (c->flags & CREW__C_BACKLOG) {
		crew__conn_clear(c, CREW__C_BACKLOG);
		if (c->record->state <= CREW__CONN_OPEN)
			crew__conn_agenda(c, CREW__C_TELL_DRAIN);
	}
}

bool crew__conn_own_queue(crew_conn *c)
{
	uint32_t none;
	if (!(c->flags & CREW__C_IN_BURST) || crew__burst_leave(c, 0, &none) == 0)
		return true;
	crew__conn_broken(c, CREW_END_MEMORY);
	return false;
}

/* Its part of the turn's broadcasts, in one write from where they lie. */
static void flush_burst(crew_conn *c)
{
	crew_bytes part = crew__burst_part(c);
	uint32_t messages;
	ssize_t n = send(c->fd, part.data, part.len, MSG_NOSIGNAL);
	if (crew__unlikely(n < 0))
		n = write_failed(c);
	if (crew__unlikely(n < 0))
		return;
	int error = crew__burst_leave(c, (size_t)n, &messages);
	crew__out_settle(c, (size_t)n, messages);
	if (crew__unlikely(error))
		crew__conn_broken(c, CREW_END_MEMORY);
	else if (crew__unlikely((size_t)n < part.len))
		crew__out_kernel_is_full(c);
}

ssize_t crew__out_send_file(crew_conn *c, int fd, uint64_t offset, size_t len)
{
	off_t at = (off_t)offset;
	ssize_t n = sendfile(c->fd, fd, &at, len);
	if (crew__likely(n > 0))
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == EPIPE || errno == ECONNRESET))
		return write_failed(c);
	crew__log(CREW_WARN,
		"connection %016llx: a file cannot be sent on (%s): the answer breaks off; replace files "
		"by rename, do not cut them short",
		(unsigned long long)c->record->id,
		n < 0 ? strerror(errno) : "it has become shorter");
	crew__conn_abort(c, CREW_END_APP);
	return -1;
}

/* What is first in the queue, as far as one call takes it; `ret_bytes` is what was given to it. */
static ssize_t write_first(crew_conn *c, size_t *ret_bytes)
{
	struct iovec vectors[VECTORS];
	int fd;
	uint64_t offset;
	if (crew__queue_file_first(&c->queue, &fd, &offset, ret_bytes))
		return crew__out_send_file(c, fd, offset, *ret_bytes);
	size_t count = crew__queue_gather(&c->queue, vectors, VECTORS, ret_bytes);
	count = join(c->net, vectors, count, *ret_bytes);
	return crew__out_write(c, vectors, count, false);
}

void crew__conn_flush(crew_conn *c)
{
	struct crew__net *net = c->net;
	if (net->current == c)
		crew__net_flush_cork(net);
	if (c->flags & CREW__C_IN_BURST) {
		flush_burst(c);
		/* One that is held may have been so for its part alone: after_flush() lets it go.
		 */
		bool over = c->record->bytes_queued == 0 && !(c->flags & CREW__C_HELD);
		if (crew__likely(over) || (c->flags & CREW__C_WRITING))
			return;
	}
	for (int round = 0; round < ROUNDS && !crew__queue_empty(&c->queue); round++) {
		size_t bytes;
		ssize_t n = write_first(c, &bytes);
		if (n < 0)
			return;
		crew__out_settle(
			c, (size_t)n, crew__queue_consume(&c->queue, &net->pieces, (size_t)n));
		if ((size_t)n < bytes) {
			crew__out_kernel_is_full(c);
			break;
		}
	}
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	after_flush(c);
	if (!crew__queue_empty(&c->queue) && !(c->flags & CREW__C_WRITING))
		crew__conn_agenda(c, CREW__C_DIRTY);
}

/* Before refusing, the kernel is asked once more; a full one once a turn. */
bool crew__out_still_full(crew_conn *c)
{
	if (!(c->flags & CREW__C_WRITING) || c->asked_turn != c->net->clock->turn) {
		c->asked_turn = c->net->clock->turn;
		crew__conn_flush(c);
	}
	return c->record->bytes_queued >= c->net->limits.max_send_buffer;
}

/* ---- the three ways ------------------------------------------------------------------------ */

static void cork_bytes(struct crew__net *net, crew_bytes bytes)
{
	if (bytes.len == 0)
		return;
	memcpy(net->cork.data + net->cork.len, bytes.data, bytes.len);
	net->cork.len += (uint32_t)bytes.len;
}

/* Append the part of `bytes` behind the first `*skip` of them. */
static int queue_part(crew_conn *c, crew_bytes bytes, size_t *skip, bool last)
{
	size_t left_out = crew__min(*skip, bytes.len);
	*skip -= left_out;
	if (left_out == bytes.len)
		return 0;
	return crew__queue_copy(&c->queue, bytes.data + left_out, bytes.len - left_out, last);
}

static int queue_body(crew_conn *c, struct crew__out *out, size_t *skip)
{
	bool last = out->tail.len == 0 && !out->open_end;
	if (out->hold == CREW__HOLD_COPY || *skip >= out->body.len)
		return queue_part(c, out->body, skip, last);
	int error = crew__queue_refer(&c->queue, &c->net->pieces, out->body.data, out->body.len,
		*skip, last, out->release, out->arg);
	*skip = 0;
	out->referred = !error;
	return error;
}

/* Queue what is left of a message of which `skip` bytes are in the kernel already: all or nothing.
 */
int crew__out_queue_rest(crew_conn *c, struct crew__out *out, size_t skip)
{
	struct crew__queue_mark mark = crew__queue_mark(&c->queue);
	bool ends = !out->open_end;
	int error = queue_part(
		c, out->head, &skip, ends && out->body.len == 0 && out->tail.len == 0);
	if (!error)
		error = queue_body(c, out, &skip);
	if (!error)
		error = queue_part(c, out->tail, &skip, ends);
	if (error) {
		crew__queue_rollback(&c->queue, &c->net->pieces, &mark);
		out->referred = false;
	}
	return error;
}

static size_t add_vector(struct iovec *vectors, size_t count, crew_bytes bytes)
{
	if (bytes.len == 0)
		return count;
	vectors[count] = (struct iovec){ (void *)(uintptr_t)bytes.data, bytes.len };
	return count + 1;
}

/* Straight from the caller's memory; the queue and the cork of `c` are empty. */
static int64_t send_now(crew_conn *c, struct crew__out *out, size_t total)
{
	struct iovec vectors[3];
	size_t count = add_vector(vectors, 0, out->head);
	count = add_vector(vectors, count, out->body);
	count = add_vector(vectors, count, out->tail);
	crew__conn_count_accepted(c, total, crew__net_now(c->net));
	ssize_t n = crew__out_write(c, vectors, count, false);
	if (n < 0)
		return -ENOTCONN;
	if ((size_t)n == total) {
		crew__out_settle(c, total, 1);
		return 0;
	}
	int error = crew__out_queue_rest(c, out, (size_t)n);
	crew__out_settle(c, (size_t)n, 0);
	if (error) {
		crew__conn_broken(
			c, CREW_END_MEMORY); /* the peer has a part: its stream cannot go on */
		return error;
	}
	crew__out_kernel_is_full(c);
	return (int64_t)c->record->bytes_queued;
}

static int64_t enqueue(crew_conn *c, struct crew__out *out, size_t total)
{
	int error = crew__out_queue_rest(c, out, 0);
	if (error) {
		crew__out_lose_offered(c, CREW_LOST_MEMORY, total);
		return error;
	}
	crew__conn_count_accepted(c, total, crew__net_now(c->net));
	if (!(c->flags & CREW__C_WRITING))
		crew__conn_agenda(c, CREW__C_DIRTY);
	return (int64_t)c->record->bytes_queued;
}

/* On its own event, with nothing queued: a small message joins the cork. False: it cannot. */
static bool cork(crew_conn *c, const struct crew__out *out, size_t total)
{
	char *room = crew__conn_cork_room(c, total);
	if (!room)
		return false;
	crew__copy(room, out->head.data, out->head.len);
	crew__copy(room + out->head.len, out->body.data, out->body.len);
	crew__copy(room + out->head.len + out->body.len, out->tail.data, out->tail.len);
	crew__conn_corked(c, total);
	return true;
}

static int64_t accept_message(crew_conn *c, struct crew__out *out, size_t total)
{
	bool own = c->net->current == c;
	if (crew__unlikely(!crew__conn_own_queue(c))) {
		crew__out_lose_offered(c, CREW_LOST_MEMORY, total);
		return -ENOMEM;
	}
	if (own && crew__out_empty_handed(c)) {
		if (crew__likely(cork(c, out, total)))
			return (int64_t)c->record->bytes_queued;
		crew__net_flush_cork(c->net);
		if (c->record->state == CREW__CONN_CLOSED) {
			crew__out_lose_offered(c, CREW_LOST_CLOSED, total);
			return -ENOTCONN;
		}
	}
	bool copies = out->hold == CREW__HOLD_COPY;
	if (crew__out_empty_handed(c) && (own || (copies && total >= CREW__DIRECT_LEAST)))
		return send_now(c, out, total);
	return enqueue(c, out, total);
}

void crew__out_reached_limit(crew_conn *c)
{
	if (!crew__out_still_full(c) || (c->flags & CREW__C_FULL) ||
		c->record->state > CREW__CONN_OPEN)
		return;
	c->flags |= CREW__C_FULL | CREW__C_BACKLOG; /* on_drain is to follow, however soon */
	crew__conn_agenda(c, CREW__C_TELL_FULL);
}

/* A message without a byte (an empty one on a raw stream) has left as soon as it is accepted. */
static int64_t send_nothing(crew_conn *c)
{
	crew__conn_count_accepted(c, 0, crew__net_now(c->net));
	crew__out_settle(c, 0, 1);
	return (int64_t)c->record->bytes_queued;
}

static bool closed_to_sends(const crew_conn *c)
{
	return c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_FINISHING);
}

static int64_t offer(crew_conn *c, struct crew__out *out, size_t total)
{
	size_t limit = c->net->limits.max_send_buffer;
	if (crew__unlikely(c->record->bytes_queued >= limit) && !closed_to_sends(c) &&
		crew__out_still_full(c)) {
		crew__out_lose_offered(c, CREW_LOST_FULL, total);
		return -ENOBUFS;
	}
	if (crew__unlikely(closed_to_sends(c))) {
		crew__out_lose_offered(c, CREW_LOST_CLOSED, total);
		return -ENOTCONN;
	}
	if (crew__unlikely(total == 0))
		return send_nothing(c);
	int64_t queued = accept_message(c, out, total);
	if (crew__likely(c->record->bytes_queued < limit))
		return queued;
	crew__out_reached_limit(c);
	return queued < 0 ? queued : (int64_t)c->record->bytes_queued;
}

int64_t crew__conn_send(crew_conn *c, struct crew__out *out)
{
	int64_t queued = offer(c, out, crew__out_size(out));
	if (out->release && !out->referred)
		out->release((void *)(uintptr_t)out->body.data, out->arg);
	return queued;
}

int crew__conn_control(crew_conn *c, crew_bytes bytes)
{
	struct crew__net *net = c->net;
	if (c->record->state == CREW__CONN_CLOSED || (c->flags & CREW__C_FINISHED))
		return -ENOTCONN;
	if (!crew__conn_own_queue(c))
		return -ENOMEM;
	if (net->current == c && crew__out_empty_handed(c) &&
		CREW__CORK_MOST - net->cork.len >= bytes.len) {
		crew__out_count_bytes(c, bytes.len);
		cork_bytes(net, bytes);
		return 0;
	}
	if (net->current == c)
		crew__net_flush_cork(net);
	if (c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	int error = crew__queue_copy(&c->queue, bytes.data, bytes.len, false);
	if (error)
		return error;
	crew__out_count_bytes(c, bytes.len);
	if (!(c->flags & CREW__C_WRITING))
		crew__conn_agenda(c, CREW__C_DIRTY);
	return 0;
}
