/* conn_parts.c - a message whose bytes are offered part by part.
 *
 *   begin: offered, queued  ─▸  parts: bytes queued, bytes out  ─▸  the last one's last byte: sent
 *
 * It counts as queued from the first to the last, whether bytes of it wait or not. */
#include "net/conn_out.h"

#include "base/check.h"

int64_t crew__conn_begin_parts(crew_conn *c)
{
	struct crew__slab *s = c->net->stats.slab;
	size_t limit = crew__conn_limit(c);
	if (c->flags & CREW__C_PARTS)
		return -EBUSY;
	bool closed = c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_FINISHING);
	if (!closed && c->record->bytes_queued >= limit && crew__out_still_full(c)) {
		crew__out_lose_offered(c, CREW_LOST_FULL, 0);
		crew__policy_note_gap(c, 0, NULL);
		return -ENOBUFS;
	}
	if (closed || c->record->state > CREW__CONN_OPEN) {
		crew__out_lose_offered(c, CREW_LOST_CLOSED, 0);
		return -ENOTCONN;
	}
	if (!crew__conn_own_queue(c)) {
		crew__out_lose_offered(c, CREW_LOST_MEMORY, 0);
		return -ENOMEM;
	}
	c->flags |= CREW__C_PARTS;
	c->parts_taken = false;
	crew__slab_begin(s);
	s->messages_offered++;
	s->messages_queued++;
	c->record->messages_queued++;
	crew__slab_end(s);
	return 0;
}

void crew__conn_break_parts(crew_conn *c, crew_end_reason end)
{
	if (!(c->flags & CREW__C_PARTS))
		return;
	crew__conn_clear(c, CREW__C_PARTS);
	crew__out_lose_queued(c, crew__out_loss_at(end), 1, 0);
}

void crew__conn_want_room(crew_conn *c)
{
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	c->flags |= CREW__C_WANTS_ROOM;
	if (crew__conn_has_room(c))
		crew__conn_agenda(c, CREW__C_TELL_ROOM);
}

/* ---- parts --------------------------------------------------------------------------------- */

/* 0: it may be taken. */
static int check(crew_conn *c, bool last)
{
	if (c->record->state > CREW__CONN_OPEN)
		return -ENOTCONN;
	if (!(c->flags & CREW__C_PARTS))
		return -EINVAL;
	bool full = c->record->bytes_queued >= crew__conn_limit(c);
	if (full && !last && crew__out_still_full(c))
		return -ENOBUFS;
	return c->record->state > CREW__CONN_OPEN ? -ENOTCONN : 0;
}

static int64_t taken(crew_conn *c, bool last)
{
	if (c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	c->parts_taken = true;
	if (last)
		crew__conn_clear(c, CREW__C_PARTS);
	if (c->record->bytes_queued >= crew__conn_limit(c))
		crew__out_reached_limit(c);
	return (int64_t)c->record->bytes_queued;
}

/* What the peer has of the message cannot be taken back, and the rest cannot follow. */
static int64_t no_memory(crew_conn *c)
{
	crew__conn_broken(c, CREW_END_MEMORY);
	return -ENOMEM;
}

/* Nothing but the end. What waits is of this message, as nothing else comes between. */
static int64_t end_only(crew_conn *c)
{
	struct crew__net *net = c->net;
	bool corked = net->current == c && net->cork.len > 0;
	if (corked && net->cork.messages == CREW__CORK_ENDS) {
		crew__net_flush_cork(net);
		corked = false;
	}
	if (c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	if (corked)
		net->cork.ends[net->cork.messages++] = net->cork.len;
	else if (!crew__queue_empty(&c->queue))
		crew__queue_end(&c->queue);
	else
		crew__out_settle(c, 0, 1);
	return taken(c, true);
}

static bool cork(crew_conn *c, const struct crew__out *out, size_t total, bool last)
{
	struct crew__net *net = c->net;
	bool may = net->current == c && crew__out_empty_handed(c) && total < CREW__DIRECT_LEAST &&
		   total <= CREW__CORK_MOST - net->cork.len && net->cork.messages < CREW__CORK_ENDS;
	if (!may)
		return false;
	if (net->cork.len == 0)
		net->cork.begun = crew__out_is_midway(c);
	char *room = net->cork.data + net->cork.len;
	crew__copy(room, out->head.data, out->head.len);
	crew__copy(room + out->head.len, out->body.data, out->body.len);
	crew__copy(room + out->head.len + out->body.len, out->tail.data, out->tail.len);
	crew__out_count_bytes(c, total);
	net->cork.len += (uint32_t)total;
	if (last)
		net->cork.ends[net->cork.messages++] = net->cork.len;
	return true;
}

static size_t add_vector(struct iovec *vectors, size_t count, crew_bytes bytes)
{
	if (bytes.len == 0)
		return count;
	vectors[count] = (struct iovec){ (void *)(uintptr_t)bytes.data, bytes.len };
	return count + 1;
}

/* Of what is queued now the beginning may have left. */
static int queue_rest(crew_conn *c, struct crew__out *out, size_t skip)
{
	bool midway = crew__out_is_midway(c);
	int error = crew__out_queue_rest(c, out, skip);
	if (!error && midway)
		crew__queue_begun(&c->queue);
	return error;
}

/* Straight from the caller's memory; queue and cork are empty. */
static int64_t write_now(crew_conn *c, struct crew__out *out, size_t total, bool last)
{
	struct iovec vectors[3];
	size_t count = add_vector(vectors, 0, out->head);
	count = add_vector(vectors, count, out->body);
	count = add_vector(vectors, count, out->tail);
	crew__out_count_bytes(c, total);
	ssize_t n = crew__out_write(c, vectors, count, false);
	if (n < 0)
		return -ENOTCONN;
	bool whole = (size_t)n == total;
	int error = whole ? 0 : queue_rest(c, out, (size_t)n);
	crew__out_settle(c, (size_t)n, whole && last ? 1 : 0);
	if (error)
		return no_memory(c);
	if (!whole)
		crew__out_kernel_is_full(c);
	return taken(c, last);
}

static int64_t take(crew_conn *c, struct crew__out *out, bool last)
{
	size_t total = crew__out_size(out);
	bool own = c->net->current == c;
	int error = check(c, last);
	if (error)
		return error;
	if (total == 0)
		return last ? end_only(c) : (int64_t)c->record->bytes_queued;
	out->open_end = !last;
	if (cork(c, out, total, last))
		return taken(c, last);
	if (own)
		crew__net_flush_cork(c->net);
	if (c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	bool copies = out->hold == CREW__HOLD_COPY;
	if (crew__out_empty_handed(c) && (own || (copies && total >= CREW__DIRECT_LEAST)))
		return write_now(c, out, total, last);
	if (queue_rest(c, out, 0) < 0)
		return no_memory(c);
	crew__out_count_bytes(c, total);
	crew__policy_grown(c);
	crew__out_wants_flush(c);
	return taken(c, last);
}

int64_t crew__conn_part(crew_conn *c, struct crew__out *out, bool last)
{
	int64_t queued = take(c, out, last);
	if (out->release && !out->referred)
		out->release((void *)(uintptr_t)out->body.data, out->arg);
	return queued;
}

/* ---- files --------------------------------------------------------------------------------- */

/* As much as the kernel takes at once; -1 when the connection broke. */
static ssize_t send_now(crew_conn *c, const struct crew__file_part *part, bool last)
{
	if (!crew__out_empty_handed(c))
		return 0;
	ssize_t n = crew__out_send_file(c, part->fd, part->offset, part->len);
	if (n < 0)
		return -1;
	crew__out_settle(c, (size_t)n, last && (size_t)n == part->len);
	if ((size_t)n < part->len)
		crew__out_kernel_is_full(c);
	return n;
}

static int64_t take_file(
	crew_conn *c, const struct crew__file_part *part, bool last, bool *ret_queued)
{
	struct crew__net *net = c->net;
	int error = check(c, last);
	crew__must(part->len > 0);
	if (error)
		return error;
	if (net->current == c)
		crew__out_flush_cork_before_more(net);
	if (c->record->state == CREW__CONN_CLOSED)
		return -ENOTCONN;
	crew__out_count_bytes(c, part->len);
	ssize_t n = send_now(c, part, last);
	if (n < 0)
		return -ENOTCONN;
	if ((size_t)n < part->len) {
		bool midway = crew__out_is_midway(c);
		error = crew__queue_file(&c->queue, &net->pieces, part->fd,
			part->offset + (uint64_t)n, part->len - (uint32_t)n, last, part->release,
			part->arg);
		if (error)
			return no_memory(c);
		if (midway)
			crew__queue_begun(&c->queue);
		*ret_queued = true;
		crew__out_wants_flush(c);
	}
	return taken(c, last);
}

int64_t crew__conn_part_file(crew_conn *c, const struct crew__file_part *part, bool last)
{
	bool queued = false;
	int64_t result = take_file(c, part, last, &queued);
	if (part->release && !queued)
		part->release(NULL, part->arg);
	return result;
}
