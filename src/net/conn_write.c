/* conn_write.c - from what waits (cork, burst, queue) to the kernel, as far as it takes it. */
#include "net/conn_out.h"

#include "base/check.h"
#include "base/log.h"
#include "net/conn_slow.h"
#include "stats/histogram.h"

#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	VECTORS = 64,
	ROUNDS = 4, /* writes to one connection in a row, before others have their turn */
	ROUNDS_OF_RECORDS = 16, /* likewise, where each write takes no more than a record (io.h) */
	JOIN_MOST = 16 * 1024, /* many short pieces leave as one copy rather than as many vectors */
};

/* The kernel took `out` bytes, which were `bytes` of what is queued, and with them the last byte of
 * `messages`. */
static inline void settle_at(
	crew_conn *c, size_t bytes, size_t out, uint32_t messages, uint32_t now)
{
	struct crew__slab *s = c->net->stats.slab;
	struct crew__record *r = c->record;
	crew__slab_begin(s);
	s->messages_sent += messages;
	s->messages_queued -= messages;
	s->bytes_queued -= bytes;
	s->bytes_out += out;
	r->messages_queued -= messages;
	r->bytes_queued -= bytes;
	r->bytes_out += out;
	crew__slab_end(s);
	if (crew__likely(out > 0)) /* asking a kernel that is full is no progress */
		r->last_out = now;
}

void crew__out_settle(crew_conn *c, size_t bytes, uint32_t messages)
{
	const struct crew__io *io = crew__conn_io(c);
	if (crew__unlikely(io != NULL))
		io->settle(c, bytes, messages);
	else
		settle_at(c, bytes, bytes, messages, crew__net_now(c->net));
}

void crew__out_left(crew_conn *c, size_t bytes, size_t out, uint32_t messages)
{
	settle_at(c, bytes, out, messages, crew__net_now(c->net));
}

/* ---- to the kernel ------------------------------------------------------------------------- */

/* A non-blocking write is not interrupted. */
crew__rarely ssize_t crew__out_failed(crew_conn *c)
{
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return 0;
	crew__conn_broken(c, c->flags & CREW__C_PEER_ENDED ? CREW_END_PEER : CREW_END_RESET);
	return -1;
}

/* Take `n` bytes off the front. */
static void advance(struct iovec **vectors, size_t *count, size_t n)
{
	while (*count > 0 && n >= (*vectors)->iov_len) {
		n -= (*vectors)->iov_len;
		++*vectors;
		--*count;
	}
	if (n > 0) {
		(*vectors)->iov_base = (char *)(*vectors)->iov_base + n;
		(*vectors)->iov_len -= n;
	}
}

/* Through a transport, as much as it takes; one datagram is all of it. */
static ssize_t write_io(
	crew_conn *c, const struct crew__io *io, struct iovec *vectors, size_t count)
{
	size_t taken = 0;
	while (count > 0) {
		ssize_t n = io->send(c, vectors, count);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		taken += (size_t)n;
		advance(&vectors, &count, (size_t)n);
	}
	return (ssize_t)taken;
}

ssize_t crew__out_to_socket(crew_conn *c, struct iovec *vectors, size_t count, bool more)
{
	const int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	ssize_t n;
	if (count == 1) {
		n = send(c->fd, vectors[0].iov_base, vectors[0].iov_len, flags);
	} else {
		struct msghdr message = { .msg_iov = vectors, .msg_iovlen = count };
		n = sendmsg(c->fd, &message, flags);
	}
	return crew__likely(n >= 0) ? n : crew__out_failed(c);
}

ssize_t crew__out_write(crew_conn *c, struct iovec *vectors, size_t count, bool more)
{
	const struct crew__io *io = crew__conn_io(c);
	if (crew__unlikely(io != NULL))
		return write_io(c, io, vectors, count);
	return crew__out_to_socket(c, vectors, count, more);
}

void crew__out_kernel_is_full(crew_conn *c)
{
	c->flags |= CREW__C_WRITING | CREW__C_BACKLOG;
	c->asked_turn = c->net->clock->turn;
	crew__conn_watch(c);
	crew__conn_deadline(c, crew__net_now(c->net) + CREW__LOOK_FIRST);
	crew__policy_grown(c);
}

/* Keep what the kernel did not take of the cork: `taken` bytes of it have left. */
static int keep_cork(crew_conn *c, size_t taken, uint32_t first_message)
{
	struct crew__net *net = c->net;
	size_t at = taken;
	bool begun = taken > (first_message > 0 ? net->cork.ends[first_message - 1] : 0) ||
		     (first_message == 0 && net->cork.begun);
	for (uint32_t i = first_message; i < net->cork.messages; i++) {
		size_t end = net->cork.ends[i];
		int error = crew__queue_copy(
			&c->queue, &net->pieces, net->cork.data + at, end - at, true);
		if (error)
			return error;
		at = end;
	}
	int error = crew__queue_copy(
		&c->queue, &net->pieces, net->cork.data + at, net->cork.len - at, false);
	if (!error && begun)
		crew__queue_begun(&c->queue);
	if (!error && net->cork.control_turn == net->clock->turn)
		crew__queue_fix_order(&c->queue);
	return error;
}

/* Of the cork `n` bytes, and `messages` messages, have been taken and settled, not all. */
static crew__rarely void keep_rest_of_cork(crew_conn *c, size_t n, uint32_t messages)
{
	struct crew__net *net = c->net;
	int error = keep_cork(c, n, messages);
	net->cork.len = 0;
	net->cork.messages = 0;
	net->cork.begun = false;
	if (error)
		crew__conn_broken(c, CREW_END_MEMORY);
	else
		crew__out_kernel_is_full(c);
}

/* The kernel took `n` bytes of the cork, not all. */
static crew__rarely void took_some_of_cork(crew_conn *c, size_t n)
{
	const struct crew__net *net = c->net;
	uint32_t messages = 0;
	while (messages < net->cork.messages && net->cork.ends[messages] <= n)
		messages++;
	crew__out_settle(c, n, messages);
	keep_rest_of_cork(c, n, messages);
}

/* Through a transport: as much at a time as it takes, and what keeps boundaries message by message.
 */
static __attribute__((noinline)) void flush_cork_io(crew_conn *c)
{
	const struct crew__io *io = crew__ios[c->io];
	struct crew__net *net = c->net;
	uint32_t at = 0, messages = 0;
	while (at < net->cork.len) {
		uint32_t end = io->datagrams ? net->cork.ends[messages] : net->cork.len;
		struct iovec vector = { net->cork.data + at, end - at };
		ssize_t n = io->send(c, &vector, 1);
		if (n < 0)
			return;
		if (n == 0)
			break;
		at += (uint32_t)n;
		uint32_t before = messages;
		while (messages < net->cork.messages && net->cork.ends[messages] <= at)
			messages++;
		io->settle(c, (size_t)n, messages - before);
	}
	if (at == net->cork.len) {
		net->cork.len = 0;
		net->cork.messages = 0;
		net->cork.begun = false;
		return;
	}
	keep_rest_of_cork(c, at, messages);
}

static inline void flush_cork(struct crew__net *net, int flags)
{
	crew_conn *c = net->current;
	if (net->cork.len == 0)
		return;
	if (crew__unlikely(c->io != CREW__IO_SOCKET)) {
		flush_cork_io(c);
		return;
	}
	ssize_t n = send(c->fd, net->cork.data, net->cork.len, flags);
	if (crew__unlikely(n < 0))
		n = crew__out_failed(c);
	if (crew__unlikely(n < 0))
		return;
	if (crew__unlikely((size_t)n < net->cork.len)) {
		took_some_of_cork(c, (size_t)n);
		return;
	}
	uint32_t messages = net->cork.messages;
	net->cork.len = 0;
	net->cork.messages = 0;
	net->cork.begun = false;
	settle_at(c, (size_t)n, (size_t)n, messages,
		net->now); /* its own event: worked out this turn */
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

static void held_back_no_more(crew_conn *c)
{
	struct crew__rare *rare = crew__conn_rare(c);
	if (!(c->flags & CREW__C_HELD_BACK))
		return;
	crew__conn_clear(c, CREW__C_HELD_BACK);
	rare->capped_hundredths += crew__net_now(c->net) - rare->capped_since;
}

/* What has become true because the queue got shorter. */
void crew__out_shorter(crew_conn *c)
{
	uint64_t queued = c->record->bytes_queued;
	size_t limit = crew__conn_limit(c);
	if (queued < limit)
		crew__conn_clear(c, CREW__C_FULL);
	crew__policy_shrunk(c);
	if (queued * 2 <= limit) {
		if (c->flags & CREW__C_HELD)
			crew__conn_go_on_reading(c, CREW__C_HELD);
		crew_conn *from = crew__conn_pipe_from(c);
		if (from && (from->flags & CREW__C_PIPE_FULL))
			crew__conn_go_on_reading(from, CREW__C_PIPE_FULL);
	}
	if ((c->flags & CREW__C_WANTS_ROOM) && crew__conn_has_room(c))
		crew__conn_agenda(c, CREW__C_TELL_ROOM);
	if (!crew__queue_empty(&c->queue) || crew__conn_holds(c))
		return;
	held_back_no_more(c); /* what it held back may have been lost meanwhile */
	if (c->flags & CREW__C_SLOW)
		crew__slow_over(c);
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
		n = crew__out_failed(c);
	if (crew__unlikely(n < 0))
		return;
	int error = crew__burst_leave(c, (size_t)n, &messages);
	crew__out_settle(c, (size_t)n, messages);
	if (crew__unlikely(error))
		crew__conn_broken(c, CREW_END_MEMORY);
	else if (crew__unlikely((size_t)n < part.len))
		crew__out_kernel_is_full(c);
}

/* Through a transport: a record's worth. 0 is the file's end, as for sendfile(2). */
static ssize_t send_file_io(
	crew_conn *c, const struct crew__io *io, int fd, uint64_t offset, size_t len)
{
	char room[JOIN_MOST];
	ssize_t n = pread(fd, room, crew__min(len, sizeof(room)), (off_t)offset);
	if (n <= 0)
		return n;
	struct iovec vector = { room, (size_t)n };
	n = write_io(c, io, &vector, 1); /* a peer may have asked for short records */
	if (n == 0)
		errno = EAGAIN;
	return n > 0 ? n : -1;
}

ssize_t crew__out_send_file(crew_conn *c, int fd, uint64_t offset, size_t len)
{
	off_t at = (off_t)offset;
	const struct crew__io *io = crew__conn_io(c);
	bool plain = !io || io->plain;
	ssize_t n = plain ? sendfile(c->fd, fd, &at, len) : send_file_io(c, io, fd, offset, len);
	if (crew__likely(n > 0))
		return n;
	if (c->record->state == CREW__CONN_CLOSED)
		return -1;
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == EPIPE || errno == ECONNRESET))
		return crew__out_failed(c);
	crew__log(CREW_WARN,
		"connection %016llx: a file cannot be sent on (%s): the answer breaks off; replace files "
		"by rename, do not cut them short",
		(unsigned long long)c->record->id,
		n < 0 ? strerror(errno) : "it has become shorter");
	crew__conn_abort(c, CREW_END_APP);
	return -1;
}

/* No more than `most` bytes of them. */
static size_t cut_vectors(struct iovec *vectors, size_t count, size_t most, size_t *bytes)
{
	if (crew__likely(*bytes <= most))
		return count;
	*bytes = most;
	for (size_t i = 0; i < count; i++) {
		if (vectors[i].iov_len >= most) {
			vectors[i].iov_len = most;
			return i + 1;
		}
		most -= vectors[i].iov_len;
	}
	return count;
}

/* What is first in the queue, `most` bytes of it, as far as one call takes it; `ret_bytes` is what
 * was given to it. */
static ssize_t write_first(crew_conn *c, size_t most, size_t *ret_bytes)
{
	struct iovec vectors[VECTORS];
	int fd;
	uint64_t offset;
	const struct crew__io *io = crew__conn_io(c);
	if (crew__unlikely(io != NULL) && !io->plain)
		most = crew__min(most, io->datagrams ? (size_t)crew__queue_extent(&c->queue, 1)
						     : (size_t)JOIN_MOST);
	if (crew__queue_file_first(&c->queue, &fd, &offset, ret_bytes)) {
		*ret_bytes = crew__min(*ret_bytes, most);
		return crew__out_send_file(c, fd, offset, *ret_bytes);
	}
	size_t count = crew__queue_gather(&c->queue, vectors, VECTORS, ret_bytes);
	count = cut_vectors(vectors, count, most, ret_bytes);
	count = join(c->net, vectors, count, *ret_bytes);
	return crew__out_write(c, vectors, count, false);
}

/* It waits for more than the kernel: `now` is when that began. */
static void hold_back(crew_conn *c, uint32_t now)
{
	if (c->flags & CREW__C_HELD_BACK)
		return;
	crew__conn_rare(c)->capped_since = now;
	c->flags |= CREW__C_HELD_BACK | CREW__C_BACKLOG;
}

/* What is sent while TLS shakes hands waits for the connection to open, and not for the kernel. */
static void note_wait_for_opening(crew_conn *c)
{
	if ((c->flags & CREW__C_CAPPED) && c->record->state == CREW__CONN_HANDSHAKE &&
		crew__conn_rare(c)->awaits_open && !crew__queue_empty(&c->queue))
		hold_back(c, crew__net_now(c->net));
}

/* Bytes of no message, which are its handshake's. */
static size_t room_before_open(crew_conn *c, uint32_t now)
{
	size_t bytes = (size_t)crew__queue_begun_extent(&c->queue);
	if (bytes == 0)
		hold_back(c, now);
	return bytes;
}

/* A datagram leaves whole: when there is room for all of it, or for all that a second may have. */
static size_t room_for_datagram(const crew_conn *c, size_t room)
{
	uint64_t per_s = crew__conn_rare(c)->rate.bytes_per_s;
	size_t whole = (size_t)crew__queue_extent(&c->queue, 1);
	size_t enough = per_s > 0 ? crew__min(whole, (size_t)per_s) : whole;
	return room >= enough ? whole : 0;
}

/* What the cap lets leave now, SIZE_MAX without one; 0: the wheel goes on with it. */
static size_t room_by_cap(crew_conn *c)
{
	size_t bytes;
	uint32_t messages;
	if (crew__likely(!(c->flags & CREW__C_CAPPED)))
		return SIZE_MAX;
	struct crew__rare *rare = crew__conn_rare(c);
	uint32_t now = crew__net_now(c->net);
	if (rare->awaits_open)
		return room_before_open(c, now);
	crew__rate_room(&rare->rate, now, &bytes, &messages);
	if (messages < UINT32_MAX) {
		uint64_t extent = crew__queue_extent(&c->queue, messages);
		if (extent == 0) /* no new message; one that has begun may go on, and control */
			extent = crew__queue_begun_extent(&c->queue);
		bytes = crew__min(bytes, extent);
	}
	if (c->record->transport == CREW__UDP)
		bytes = room_for_datagram(c, bytes);
	if (bytes > 0)
		return bytes;
	hold_back(c, now);
	crew__conn_deadline(c, now + crew__rate_wait(&rare->rate, c->record->bytes_queued));
	return 0;
}

/* For how long the oldest message had waited, in a queue that has waited at all. */
static void note_age(const crew_conn *c)
{
	uint32_t hundredths = crew__net_now(c->net) - c->record->queued_since;
	struct crew__histogram *measures = c->net->stats.measures;
	crew__histogram_add(
		&measures[CREW__MEASURE_QUEUE_AGE], (uint64_t)hundredths * CREW__US_PER_HUNDREDTH);
}

/* One write of what is first. False: it goes no further for now. */
static bool write_round(crew_conn *c)
{
	struct crew__net *net = c->net;
	size_t bytes, most = room_by_cap(c);
	if (most == 0) {
		if ((c->flags & CREW__C_WRITING) && !crew__conn_holds(c)) {
			crew__conn_clear(c, CREW__C_WRITING);
			crew__conn_watch(c);
		}
		return false;
	}
	held_back_no_more(c);
	ssize_t n = write_first(c, most, &bytes);
	if (n < 0)
		return false;
	if (c->flags & CREW__C_BACKLOG && n > 0)
		note_age(c);
	uint32_t messages = crew__queue_consume(&c->queue, &net->pieces, (size_t)n);
	crew__out_settle(c, (size_t)n, messages);
	if (c->flags & CREW__C_CAPPED)
		crew__rate_spend(&crew__conn_rare(c)->rate, (size_t)n, messages);
	if ((size_t)n == bytes)
		return true;
	crew__out_kernel_is_full(c);
	return false;
}

void crew__conn_flush(crew_conn *c)
{
	struct crew__net *net = c->net;
	const struct crew__io *io = crew__conn_io(c);
	if (crew__unlikely(net->pieces.units.timed > 0))
		crew__policy_expire(net);
	if (net->current == c)
		crew__net_flush_cork(net);
	if (crew__unlikely(io != NULL) && (!crew__conn_own_queue(c) || !io->flush(c))) {
		note_wait_for_opening(c);
		return;
	}
	if (c->flags & CREW__C_IN_BURST) {
		flush_burst(c);
		/* One that is held may have been so for its part alone: crew__out_shorter() lets it
		 * go.
		 */
		bool over = c->record->bytes_queued == 0 && !(c->flags & CREW__C_HELD);
		if (crew__likely(over) || (c->flags & CREW__C_WRITING))
			return;
	}
	int rounds = io && !io->plain ? ROUNDS_OF_RECORDS : ROUNDS;
	for (int round = 0; round < rounds && !crew__queue_empty(&c->queue); round++)
		if (!write_round(c))
			break;
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	crew__out_shorter(c);
	if (crew__unlikely(c->flags & CREW__C_TELL_GAP))
		crew__policy_moved(c);
	if (!crew__queue_empty(&c->queue))
		crew__out_wants_flush(c);
}

/* Before refusing, the kernel is asked once more; a full one once a turn. */
bool crew__out_still_full(crew_conn *c)
{
	if (!(c->flags & CREW__C_WRITING) || c->asked_turn != c->net->clock->turn) {
		c->asked_turn = c->net->clock->turn;
		crew__conn_flush(c);
	}
	return c->record->bytes_queued >= crew__conn_limit(c);
}
