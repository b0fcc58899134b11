/* conn_in.c - the way in: from a ready socket to the protocol above, at most one read a turn.
 *
 * What a protocol cannot use yet is kept in `in`. A short rest is put in front of the next read in
 * the shared buffer; a long one (a large message on its way) is read into where it lies. */
#include "net/conn.h"

#include "base/check.h"
#include "net/splice.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

enum {
	SHORT_REST = 1024
};

static bool wants_input(const crew_conn *c)
{
	if (c->flags & CREW__C_PEER_ENDED)
		return false;
	if (c->record->state > CREW__CONN_OPEN)
		return c->record->state < CREW__CONN_CLOSED;
	if (crew__likely(!(c->flags & CREW__C_STOPPED)))
		return true;
	return crew__conn_rare(c)->awaits_open; /* what comes is its handshake's */
}

/* One that asked and then left is not to wait for its answer for ever. */
static bool wants_end(const crew_conn *c)
{
	return (c->flags & (CREW__C_WAITING | CREW__C_LEFT)) == CREW__C_WAITING &&
	       c->record->state <= CREW__CONN_OPEN;
}

void crew__conn_watch(crew_conn *c)
{
	if (c->source.fd < 0)
		return;
	unsigned events = wants_input(c) ? CREW__READ : wants_end(c) ? CREW__ENDED : 0;
	events |= c->flags & CREW__C_WRITING ? CREW__WRITE : 0;
	if (events != c->source.events && crew__loop_mod(c->net->loop, &c->source, events) < 0)
		crew__conn_broken(c, CREW_END_MEMORY);
}

/* ---- to the protocol ----------------------------------------------------------------------- */

static void keep_rest(crew_conn *c, const char *data, size_t len)
{
	crew__must(c->in.len == 0);
	if (crew__buf_append(&c->in, data, len) < 0)
		crew__conn_broken(c, CREW_END_MEMORY);
}

/* Deliver `len` bytes at `data`, which is the read buffer or `in`'s own memory. */
static inline void deliver(crew_conn *c, char *data, size_t len)
{
	bool own = data == c->in.data;
	if (c->record->state > CREW__CONN_OPEN && !(c->flags & CREW__C_UNPARTED)) {
		c->in.len = 0;
		return;
	}
	if (!own)
		c->in.len = 0;
	size_t used = c->net->ops->on_data(c, data, len);
	if (crew__likely(used == len && !c->in.data))
		return;
	crew__must(used <= len);
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	if (own)
		crew__buf_consume(&c->in, used);
	else if (used < len)
		keep_rest(c, data + used, len - used);
	if (c->in.len == 0 && c->in.data)
		crew__buf_release(&c->in);
}

static void note_held_input(crew_conn *c)
{
	uint32_t held = c->in.len + (uint32_t)c->net->ops->on_held(c);
	if (c->record->recv_queue != held)
		c->record->recv_queue = held;
}

bool crew__conn_ready_slow(crew_conn *c)
{
	if (c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_STOPPED))
		return false;
	if (c->record->bytes_queued * 2 <= crew__conn_limit(c))
		return true;
	crew__conn_flush(c);
	if (c->record->state > CREW__CONN_OPEN)
		return false;
	if (c->record->bytes_queued * 2 <= crew__conn_limit(c))
		return true;
	crew__conn_stop_reading(c, CREW__C_HELD);
	return false;
}

void crew__conn_stop_reading(crew_conn *c, uint32_t why)
{
	c->flags |= why;
	if (c->net->current != c)
		crew__conn_watch(c);
}

void crew__conn_go_on_reading(crew_conn *c, uint32_t why)
{
	if (!(c->flags & why) || c->record->state == CREW__CONN_CLOSED)
		return;
	crew__conn_clear(c, why);
	if (c->flags & CREW__C_STOPPED)
		return;
	if (c->in.len > 0 || crew__conn_has_more(c))
		crew__conn_agenda(c, CREW__C_FEED);
	if (c->flags & CREW__C_DETACHED) {
		crew__conn_clear(c, CREW__C_DETACHED);
		c->source.fd = c->fd;
		if (crew__loop_add(c->net->loop, &c->source, CREW__READ) < 0) {
			c->source.fd = -1;
			crew__conn_broken(c, CREW_END_MEMORY);
		}
	} else if (c->net->current != c) {
		crew__conn_watch(c);
	}
}

/* ---- from the kernel ----------------------------------------------------------------------- */

/* The end comes behind what was kept: while that cannot be delivered, the end waits with it. */
static void tell_end(crew_conn *c)
{
	if (c->in.len > 0 && (c->flags & CREW__C_STOPPED))
		return;
	if (c->record->state <= CREW__CONN_OPEN && !(c->flags & CREW__C_END_TOLD)) {
		c->flags |= CREW__C_END_TOLD;
		c->net->ops->on_end(c);
	}
}

static void peer_ended(crew_conn *c)
{
	c->flags |= CREW__C_PEER_ENDED;
	if (c->in.len > 0 && (c->flags & CREW__C_FEED))
		deliver(c, c->in.data, c->in.len);
	tell_end(c);
	if (c->record->state != CREW__CONN_CLOSED)
		crew__conn_agenda(c, CREW__C_DIRTY);
}

bool crew__conn_has_more(const crew_conn *c)
{
	const struct crew__io *io = crew__conn_io(c);
	return io && io->has_more(c);
}

/* One read behind what was kept. Where to: see the top of this file. Returns its result, and where
 * all of it lies. */
static __attribute__((noinline)) ssize_t read_behind(
	crew_conn *c, char **ret_data, size_t *ret_before)
{
	char *room = c->net->read_buffer;
	size_t space = CREW__READ_MOST;
	size_t before = c->in.len;
	if (before <= SHORT_REST) {
		memcpy(room, c->in.data, before);
	} else {
		size_t more = crew__min(crew__max(before, CREW__READ_MOST / 4), CREW__READ_MOST);
		more = crew__min(more, c->in.max - before);
		if (more == 0 || crew__buf_reserve(&c->in, more) < 0) {
			errno = ENOMEM;
			return -1;
		}
		room = c->in.data;
		space = crew__min(c->in.cap - before, CREW__READ_MOST) + before;
	}
	*ret_data = room;
	*ret_before = before;
	const struct crew__io *io = crew__conn_io(c);
	if (crew__unlikely(io != NULL))
		return io->recv(c, room + before, space - before);
	return recv(c->fd, room + before, space - before, 0);
}

static void read_failed(crew_conn *c, int error)
{
	if (error == EAGAIN || error == EINTR)
		return;
	bool begins = c->record->state == CREW__CONN_HANDSHAKE;
	if (error == ENOMEM)
		crew__conn_broken(c, CREW_END_MEMORY);
	else if (error == EPROTO)
		crew__conn_broken(c, begins ? CREW_END_HANDSHAKE : CREW_END_PROTOCOL);
	else
		crew__conn_broken(c, CREW_END_RESET);
}

/* By a transport, which counts what it reads. What it has read, and has no room for here, is not
 * told of by the kernel: it comes at the turn's end. */
static __attribute__((noinline)) void on_readable_io(crew_conn *c, const struct crew__io *io)
{
	char *data = c->net->read_buffer;
	size_t before = 0;
	ssize_t n = c->in.len == 0 ? io->recv(c, data, CREW__READ_MOST)
				   : read_behind(c, &data, &before);
	int error = errno;
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	if (n < 0) {
		read_failed(c, error);
	} else if (n == 0) {
		peer_ended(c);
	} else {
		if (data == c->in.data)
			c->in.len += (uint32_t)n;
		deliver(c, data, before + (size_t)n);
	}
	if (c->record->state != CREW__CONN_CLOSED && crew__conn_has_more(c) && wants_input(c))
		crew__conn_agenda(c, CREW__C_FEED);
}

static inline void on_readable(crew_conn *c)
{
	const struct crew__io *io = crew__conn_io(c);
	if (crew__unlikely(io != NULL)) {
		on_readable_io(c, io);
		return;
	}
	char *data = c->net->read_buffer;
	size_t before = 0;
	ssize_t n;
	if (crew__likely(c->in.len == 0))
		n = recv(c->fd, data, CREW__READ_MOST, 0);
	else
		n = read_behind(c, &data, &before);
	if (crew__unlikely(n < 0)) {
		read_failed(c, errno);
		return;
	}
	if (crew__unlikely(n == 0)) {
		peer_ended(c);
		return;
	}
	c->net->stats.slab->bytes_in += (uint64_t)n;
	c->record->bytes_in += (uint64_t)n;
	c->record->last_in = c->net->now;
	if (crew__unlikely(data == c->in.data))
		c->in.len += (uint32_t)n;
	deliver(c, data, before + (size_t)n);
}

/* What was kept, and then what the transport has. */
void crew__conn_feed(crew_conn *c)
{
	const struct crew__io *io = crew__conn_io(c);
	bool kept = c->in.len > 0;
	bool more = !kept && crew__conn_has_more(c) && wants_input(c);
	if (!more && (!kept || !crew__conn_ready(c)))
		return;
	crew__net_now(c->net);
	c->net->current = c;
	if (kept)
		deliver(c, c->in.data, c->in.len);
	else
		on_readable_io(c, io);
	if (kept && c->record->state != CREW__CONN_CLOSED && crew__conn_has_more(c) &&
		wants_input(c))
		crew__conn_agenda(c, CREW__C_FEED);
	if (c->flags & CREW__C_PEER_ENDED)
		tell_end(c);
	crew__conn_finish_event(c);
}

/* Its end is here while we do not read: it may have shut down its side alone and want the answer
 * all the same, but no longer than an idle connection may stay. */
static void has_left(crew_conn *c)
{
	c->flags |= CREW__C_LEFT;
	if (c->net->limits.idle_timeout > 0)
		crew__conn_deadline(c, c->net->now + c->net->limits.idle_timeout);
}

/* Hung up while we do not read: a socket error ends it; otherwise what the peer sent before it left
 * may still be wanted, so the descriptor is kept, but out of the loop: a hang-up cannot be masked.
 */
static void hung_up(crew_conn *c)
{
	int error = 0;
	socklen_t size = sizeof(error);
	bool stuck = !crew__queue_empty(&c->queue) ||
		     crew__conn_holds(c); /* what waits can never leave, nor wake us again */
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error != 0 || stuck) {
		crew__conn_broken(c, CREW_END_RESET);
		return;
	}
	if ((c->flags & CREW__C_PEER_ENDED) || c->record->state > CREW__CONN_OPEN) {
		crew__conn_broken(c, CREW_END_PEER);
		return;
	}
	crew__loop_remove(c->net->loop, &c->source);
	crew__conn_clear(c, CREW__C_WRITING);
	c->flags |= CREW__C_DETACHED;
	has_left(c);
}

/* What flows into another connection need not come to us. */
static void on_input(crew_conn *c)
{
	if (!(c->flags & CREW__C_PIPED) || !crew__splice(c))
		on_readable(c);
}

/* Not merely input: it can be written to, or the peer has left, or we do not read at present. */
static __attribute__((noinline)) void on_other_event(crew_conn *c, unsigned events)
{
	if (events & CREW__WRITE)
		crew__conn_flush(c);
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	if ((events & ~CREW__WRITE) && wants_input(c))
		on_input(c);
	else if (events & CREW__HUP)
		hung_up(c);
	else if (events & CREW__ENDED)
		has_left(c);
}

static void on_event(struct crew__source *source, unsigned events)
{
	crew_conn *c = crew__container_of(source, crew_conn, source);
	const uint32_t unusual = CREW__C_NOT_READING | CREW__C_PIPED;
	crew__must(c->magic == CREW__CONN_MAGIC);
	crew__net_now(c->net); /* from here on net->now is this turn's */
	c->net->current = c;
	if (crew__likely(events == CREW__READ && (c->flags & unusual) == 0))
		on_readable(c);
	else
		on_other_event(c, events);
	crew__conn_finish_event(c);
}

/* What may be left to do once the program has been called; nothing of it when all is calm. */
static __attribute__((noinline)) void finish_troubled(crew_conn *c)
{
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	note_held_input(c);
	if (c->record->bytes_queued * 2 > crew__conn_limit(c) &&
		c->record->state <= CREW__CONN_OPEN)
		c->flags |= CREW__C_HELD;
	if (c->flags &
		(CREW__C_TELL_FULL | CREW__C_TELL_DRAIN | CREW__C_TELL_LOSS | CREW__C_TELL_GAP))
		crew__conn_tell(c);
	if (c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_FINISHING))
		crew__conn_advance(c);
	crew__conn_watch(c);
}

/* The connection's own event has been handled: its cork leaves, what it must be told is told. */
void crew__conn_finish_event(crew_conn *c)
{
	struct crew__net *net = c->net;
	crew__net_flush_cork(net);
	net->current = NULL;
	uint32_t troubles = c->flags | c->in.len | c->record->recv_queue |
			    (c->record->state ^ CREW__CONN_OPEN) | (c->source.events ^ CREW__READ);
	if (crew__unlikely(troubles != 0))
		finish_troubled(c);
}

int crew__conn_attach(crew_conn *c)
{
	c->source.fn = on_event;
	c->source.fd = c->fd;
	return crew__loop_add(c->net->loop, &c->source, CREW__READ);
}

int64_t crew__conn_unacked(const crew_conn *c)
{
	int bytes = 0;
	if (!crew__conn_is_tcp(c) || c->fd < 0)
		return -ENOTSUP;
	if (ioctl(c->fd, SIOCOUTQ, &bytes) < 0)
		return -errno;
	return bytes;
}
