/* conn_out.c - the way out: an offered message is accepted or lost, and counted.
 *
 *   send ─▸ the cork (its own event, small)    ─┐
 *        ─▸ the kernel at once (large)          ├─▸ conn_write.c: sent += n, queued -= n
 *        ─▸ the queue (elsewhere, kernel full) ─┘
 *
 * Offered and queued are counted when the message is accepted; sent when the kernel has taken its
 * last byte; never both halves outside one update. */
#include "net/conn_out.h"

#include "base/check.h"
#include "net/budget.h"
#include "net/conn_slow.h"
#include "net/udp.h"

#include <string.h>

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

static void note_untold(crew_conn *c, crew_reason reason, uint64_t messages, uint64_t bytes)
{
	struct crew__rare *rare = crew__conn_touch(c);
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
	note_untold(c, reason, 1, bytes);
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

int64_t crew__conn_lose_memory(crew_conn *c, size_t bytes, const struct crew__about *about)
{
	crew__out_lose_offered(c, CREW_LOST_MEMORY, bytes);
	crew__policy_note_gap(c, bytes, about);
	return -ENOMEM;
}

void crew__net_count_invalid(struct crew__net *net)
{
	net->stats.slab->send_invalid++;
}

void crew__out_lose_queued(crew_conn *c, crew_reason reason, uint32_t messages, uint64_t bytes)
{
	struct crew__slab *s = c->net->stats.slab;
	struct crew__record *r = c->record;
	crew__slab_begin(s);
	s->messages_queued -= messages;
	s->bytes_queued -= bytes;
	s->send_fail += messages;
	*crew__slab_fail(s, reason) += messages;
	r->messages_queued -= messages;
	r->bytes_queued -= bytes;
	r->send_fail += messages;
	c->net->stats.cold[c->slot].fail[reason] += messages;
	crew__slab_end(s);
	if (messages > 0)
		note_untold(c, reason, messages, bytes);
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
	const struct crew__record *r = c->record;
	if (net->current == c) {
		net->cork.len = 0;
		net->cork.messages = 0;
		net->cork.begun = false;
	}
	if (c->flags & CREW__C_SLOW)
		crew__slow_over(c);
	crew__queue_drop(&c->queue, &net->pieces);
	crew__burst_drop(c);
	crew__conn_clear(c, CREW__C_PARTS | CREW__C_WANTS_ROOM);
	uint32_t messages = r->messages_queued;
	uint64_t bytes = r->bytes_queued;
	if (bytes > 0) {
		struct crew__rare *rare = crew__conn_touch(c);
		rare->unsent_bytes = bytes;
		rare->unsent_messages = messages;
	}
	crew__out_lose_queued(c, crew__out_loss_at(end), messages, bytes);
}

/* ---- the three ways ------------------------------------------------------------------------ */

/* Append the part of `bytes` behind the first `*skip` of them. */
static int queue_part(crew_conn *c, crew_bytes bytes, size_t *skip, bool last)
{
	size_t left_out = crew__min(*skip, bytes.len);
	*skip -= left_out;
	if (left_out == bytes.len)
		return 0;
	return crew__queue_copy(
		&c->queue, &c->net->pieces, bytes.data + left_out, bytes.len - left_out, last);
}

static int queue_body(crew_conn *c, struct crew__out *out, size_t *skip)
{
	bool last = out->tail.len == 0 && !out->open_end;
	if (out->hold == CREW__HOLD_COPY || *skip >= out->body.len)
		return queue_part(c, out->body, skip, last);
	int error = crew__queue_refer(&c->queue, &c->net->pieces, out->body.data, out->body.len,
		*skip, last, out->owned, out->release, out->arg);
	*skip = 0;
	out->referred = !error;
	return error;
}

/* Queue what is left of a message of which `skip` bytes are in the kernel already: all or nothing.
 */
int crew__out_queue_rest(crew_conn *c, struct crew__out *out, size_t skip)
{
	bool begun = skip > 0;
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
	} else if (begun) {
		crew__queue_begun(&c->queue);
	}
	return error;
}

/* All of a message of which something is said: in its lane, with its unit. */
static int queue_with(crew_conn *c, struct crew__out *out)
{
	const struct crew__framed framed = crew__out_framed(out);
	int error = crew__policy_insert(c, &framed, out->about, NULL);
	out->referred = !error && framed.refer && framed.body.len > 0;
	return error;
}

/* What is said of it would be lost if it went into the cork. */
static bool says_much(const struct crew__out *out)
{
	const struct crew__about *about = out->about;
	return about && (about->lane != CREW__LANE_NORMAL || crew__about_needs_unit(about));
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
		if (crew__unlikely(c->flags & CREW__C_TELL_GAP))
			crew__policy_moved(c);
		return 0;
	}
	int error = n == 0 && says_much(out) ? queue_with(c, out)
					     : crew__out_queue_rest(c, out, (size_t)n);
	crew__out_settle(c, (size_t)n, 0);
	if (error) {
		crew__conn_broken(
			c, CREW_END_MEMORY); /* the peer has a part: its stream cannot go on */
		return error;
	}
	crew__out_kernel_is_full(c);
	return (int64_t)c->record->bytes_queued;
}

void crew__out_wants_flush(crew_conn *c)
{
	if (!(c->flags & (CREW__C_WRITING | CREW__C_HELD_BACK)))
		crew__conn_agenda(c, CREW__C_DIRTY);
}

static int64_t enqueue(crew_conn *c, struct crew__out *out, size_t total)
{
	int error = crew__budget_spent(c->net) ? -ENOMEM : 0;
	if (c->record->state == CREW__CONN_CLOSED) { /* it was the worst */
		crew__out_lose_offered(c, CREW_LOST_CLOSED, total);
		return -ENOTCONN;
	}
	if (!error)
		error = says_much(out) ? queue_with(c, out) : crew__out_queue_rest(c, out, 0);
	if (error) {
		crew__out_lose_offered(c, CREW_LOST_MEMORY, total);
		crew__policy_note_gap(c, total, out->about);
		return error;
	}
	crew__conn_count_accepted(c, total, crew__net_now(c->net));
	crew__policy_grown(c);
	crew__out_wants_flush(c);
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
	bool much = says_much(out);
	if (crew__unlikely(!crew__conn_own_queue(c))) {
		crew__out_lose_offered(c, CREW_LOST_MEMORY, total);
		return -ENOMEM;
	}
	if (own && crew__out_empty_handed(c)) {
		if (crew__likely(!much && cork(c, out, total)))
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

/* An empty datagram leaves now or not at all: a queue keeps bytes. */
static crew__rarely int64_t send_empty_datagram(crew_conn *c)
{
	const struct crew__io *io = crew__conn_io(c);
	if (!crew__conn_own_queue(c)) {
		crew__out_lose_offered(c, CREW_LOST_MEMORY, 0);
		return -ENOMEM;
	}
	if (c->net->current == c)
		crew__net_flush_cork(c->net);
	if (c->record->state == CREW__CONN_CLOSED) {
		crew__out_lose_offered(c, CREW_LOST_CLOSED, 0);
		return -ENOTCONN;
	}
	crew__conn_count_accepted(c, 0, crew__net_now(c->net));
	ssize_t taken = io && crew__out_empty_handed(c) ? io->send(c, NULL, 0) : 0;
	if (taken < 0)
		return -ENOTCONN;
	if (taken == 0) {
		crew__out_lose_queued(c, CREW_LOST_FULL, 1, 0);
		return -ENOBUFS;
	}
	io->settle(c, 0, 1);
	return (int64_t)c->record->bytes_queued;
}

static bool closed_to_sends(const crew_conn *c)
{
	return c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_FINISHING);
}

static int64_t offer(crew_conn *c, struct crew__out *out, size_t total)
{
	size_t limit = crew__conn_limit(c);
	if (crew__unlikely(out->about != NULL) && !closed_to_sends(c) && total > 0 &&
		crew__policy_replace(c, out, total)) {
		if (c->record->bytes_queued >= limit)
			crew__out_reached_limit(c);
		return (int64_t)c->record->bytes_queued;
	}
	if (crew__unlikely(c->record->bytes_queued >= limit) && !closed_to_sends(c) &&
		crew__out_still_full(c)) {
		int error = crew__policy_full(c, out->about, total);
		if (error == -ENOBUFS)
			return error;
	}
	if (crew__unlikely(closed_to_sends(c))) {
		crew__out_lose_offered(c, CREW_LOST_CLOSED, total);
		return -ENOTCONN;
	}
	if (crew__unlikely(total == 0))
		return c->record->transport == CREW__UDP ? send_empty_datagram(c) : send_nothing(c);
	int64_t queued = accept_message(c, out, total);
	if (crew__likely(c->record->bytes_queued < limit))
		return queued;
	crew__out_reached_limit(c);
	return queued < 0 ? queued : (int64_t)c->record->bytes_queued;
}

/* There is no datagram that could hold it. */
static bool is_too_long(const crew_conn *c, size_t total)
{
	return c->record->transport == CREW__UDP && total > crew__udp_longest(c);
}

int64_t crew__conn_send(crew_conn *c, struct crew__out *out)
{
	size_t total = crew__out_size(out);
	int64_t queued = -EMSGSIZE;
	if (crew__unlikely(is_too_long(c, total)))
		crew__net_count_invalid(c->net);
	else
		queued = offer(c, out, total);
	if (out->release && !out->referred)
		out->release((void *)(uintptr_t)out->body.data, out->arg);
	return queued;
}

/* In the cork they stand as if they were of the message behind them; what the kernel does not take
 * of it is then kept whole and in order (keep_cork). */
static bool cork_control(crew_conn *c, crew_bytes bytes)
{
	struct crew__net *net = c->net;
	if (net->current != c || !crew__out_empty_handed(c) || (c->flags & CREW__C_TIGHT) ||
		CREW__CORK_MOST - net->cork.len < bytes.len)
		return false;
	if (net->cork.len == 0)
		net->cork.begun = crew__out_is_midway(c);
	crew__out_count_bytes(c, bytes.len);
	crew__copy(net->cork.data + net->cork.len, bytes.data, bytes.len);
	net->cork.len += (uint32_t)bytes.len;
	net->cork.control_turn = net->clock->turn;
	return true;
}

static int send_control(crew_conn *c, crew_bytes bytes, bool at_once)
{
	struct crew__net *net = c->net;
	if (c->record->state == CREW__CONN_CLOSED || (c->flags & CREW__C_FINISHED))
		return -ENOTCONN;
	if (!crew__conn_own_queue(c))
		return -ENOMEM;
	if (cork_control(c, bytes))
		return 0;
	if (net->current == c)
		crew__net_flush_cork(net);
	if (c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	bool midway = crew__out_is_midway(c) && bytes.len > 0;
	int error = crew__queue_control(&c->queue, &net->pieces, bytes.data, bytes.len, at_once);
	if (error)
		return error;
	if (midway)
		crew__queue_begun(&c->queue);
	crew__out_count_bytes(c, bytes.len);
	crew__policy_grown(c);
	if (!(c->flags & CREW__C_WRITING)) /* a cap on messages holds back none of these */
		crew__conn_agenda(c, CREW__C_DIRTY);
	return 0;
}

int crew__conn_control(crew_conn *c, crew_bytes bytes)
{
	return send_control(c, bytes, false);
}

int crew__conn_urgent(crew_conn *c, crew_bytes bytes)
{
	return send_control(c, bytes, !(c->flags & CREW__C_PARTS));
}
