/* conn.c - a connection's life: how it begins, is asked to end, ends, and is told of. */
#include "net/conn.h"

#include "base/check.h"
#include "net/conn_out.h"
#include "net/conn_slow.h"
#include "net/ip_table.h"
#include "net/io.h"
#include "stats/rings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the agenda ---------------------------------------------------------------------------- */

void crew__conn_agenda(crew_conn *c, uint32_t what)
{
	c->flags |= what;
	if (c->flags & CREW__C_ON_AGENDA)
		return;
	struct crew__net *net = c->net;
	c->flags |= CREW__C_ON_AGENDA;
	c->next_agenda = NULL;
	*net->agenda_tail = c;
	net->agenda_tail = &c->next_agenda;
	/* Another service of the process calls, at the same turn's end, after ours. */
	if (crew__unlikely(net->ended_turn == net->clock->turn))
		crew__loop_again(net->loop);
}

/* ---- telling ------------------------------------------------------------------------------- */

/* Each reason once a turn: a loss that on_error itself causes is told in a later turn. */
static void tell_losses(crew_conn *c, bool last)
{
	struct crew__net *net = c->net;
	struct crew__rare *rare = crew__conn_rare(c);
	if (rare->told_turn != net->clock->turn || last) {
		rare->told_turn = net->clock->turn;
		rare->told = 0;
	}
	for (unsigned reason = 0; reason < CREW_LOST_REASONS; reason++) {
		if (rare->untold_messages[reason] == 0 || (rare->told & (1u << reason)))
			continue;
		rare->told |= (uint16_t)(1u << reason);
		crew_loss loss = {
			.reason = (crew_reason)reason,
			.messages = rare->untold_messages[reason],
			.bytes = rare->untold_bytes[reason],
		};
		rare->untold_messages[reason] = 0;
		rare->untold_bytes[reason] = 0;
		net->ops->on_loss(c, &loss);
	}
	/* Only now: on_error may have caused a loss of a reason that the loop had passed. */
	crew__conn_clear(c, CREW__C_TELL_LOSS);
	for (unsigned reason = 0; reason < CREW_LOST_REASONS; reason++)
		if (rare->untold_messages[reason] > 0)
			c->flags |= CREW__C_TELL_LOSS;
}

static void tell_room(crew_conn *c)
{
	bool wanted = c->flags & CREW__C_WANTS_ROOM;
	if (!wanted || !crew__conn_has_room(c) || c->record->state > CREW__CONN_OPEN)
		return; /* when there is none any more, the next flush tells */
	crew__conn_clear(c, CREW__C_WANTS_ROOM);
	c->net->ops->on_notice(c, CREW__NOTICE_ROOM);
}

void crew__conn_tell(crew_conn *c)
{
	if (c->flags & CREW__C_TELL_LOSS)
		tell_losses(c, false);
	if (c->flags & CREW__C_TELL_GAP)
		crew__policy_tell_gap(c);
	if (c->flags & CREW__C_TELL_FULL) {
		crew__conn_clear(c, CREW__C_TELL_FULL);
		if (c->record->state <= CREW__CONN_OPEN)
			c->net->ops->on_notice(c, CREW__NOTICE_FULL);
	}
	if (c->flags & CREW__C_TELL_DRAIN) {
		crew__conn_clear(c, CREW__C_TELL_DRAIN);
		if (!crew__queue_empty(&c->queue) || crew__conn_holds(c))
			c->flags |= CREW__C_BACKLOG; /* told when it is empty again */
		else if (c->record->state <= CREW__CONN_OPEN)
			c->net->ops->on_notice(c, CREW__NOTICE_DRAIN);
	}
	if (c->flags & CREW__C_TELL_ROOM) {
		crew__conn_clear(c, CREW__C_TELL_ROOM);
		tell_room(c);
	}
}

/* ---- beginning ----------------------------------------------------------------------------- */

/* `take_fd` is the caller's again when this fails; -1: it has none. The slot is the caller's to
 * give back. */
crew_conn *crew__conn_new(struct crew__net *net, int take_fd, uint32_t slot, unsigned io)
{
	crew_conn *c = calloc(1, sizeof(*c) + net->ext_size);
	if (!c)
		return NULL;
	c->magic = CREW__CONN_MAGIC;
	c->fd = take_fd;
	c->io = (uint8_t)io;
	c->source.fd = -1;
	c->net = net;
	c->slot = slot;
	c->record = &net->stats.records[slot];
	c->asked_turn = net->clock->turn - 1;
	crew__buf_init(&c->in, net->limits.held_most);
	crew__wheel_entry_init(&c->wheel);
	if (take_fd >= 0 && crew__conn_attach(c) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

void crew__conn_opened(crew_conn *c)
{
	if (c->record->state != CREW__CONN_HANDSHAKE)
		return;
	c->record->state = CREW__CONN_OPEN;
	if (crew__unlikely(crew__conn_rare(c)->awaits_open))
		crew__conn_let_go(c);
	crew__conn_deadline(c, crew__net_now(c->net) + 1);
}

/* ---- ending -------------------------------------------------------------------------------- */

static void set_state(crew_conn *c, enum crew__conn_state state)
{
	c->record->state = (uint8_t)state;
	c->since = crew__net_now(c->net);
}

static void set_end(crew_conn *c, crew_end_reason reason)
{
	if (c->record->end == CREW_END_REASONS)
		c->record->end = (uint8_t)reason;
}

/* A pipe ends with either side: what cannot be delivered must not be read. */
static void unpipe(crew_conn *c)
{
	crew_conn *to = crew__conn_pipe_to(c);
	crew_conn *from = crew__conn_pipe_from(c);
	if (!(c->flags & CREW__C_PIPED))
		return;
	crew__conn_rare(c)->pipe_to = NULL;
	crew__conn_rare(c)->pipe_from = NULL;
	if (to) {
		crew__conn_rare(to)->pipe_from = NULL;
		to->net->ops->on_pipe_end(to);
	}
	if (from) {
		crew__conn_rare(from)->pipe_to = NULL;
		crew__conn_go_on_reading(from, CREW__C_PIPE_FULL);
		/* Where both peers have ended, each is the reason of its own side's end. */
		crew__conn_close(
			from, from->flags & CREW__C_PEER_ENDED ? CREW_END_PEER : CREW_END_APP);
	}
}

static void close_socket(crew_conn *c)
{
	crew__loop_remove(c->net->loop, &c->source);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	set_state(c, CREW__CONN_CLOSED);
	crew__conn_clear(c, CREW__C_WRITING | CREW__C_DIRTY | CREW__C_FEED | CREW__C_DETACHED |
				    CREW__C_HELD_BACK | CREW__C_TELL_GAP);
	crew__wheel_remove(c->net->wheel, &c->wheel);
	crew__conn_agenda(c, CREW__C_DOOMED);
	unpipe(c);
}

void crew__conn_done(crew_conn *c)
{
	crew__must(c->record->bytes_queued == 0);
	close_socket(c);
}

void crew__conn_broken(crew_conn *c, crew_end_reason reason)
{
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	if (reason == CREW_END_RESET && crew__conn_rare(c)->awaits_open)
		reason = CREW_END_HANDSHAKE; /* it never stood, however it broke */
	set_end(c, reason);
	crew__conn_drop_queue(c, reason);
	if (reason == CREW_END_MEMORY) {
		struct linger reset = { .l_onoff = 1, .l_linger = 0 };
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	}
	close_socket(c);
}

void crew__conn_abort(crew_conn *c, crew_end_reason reason)
{
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	set_end(c, reason);
	crew__conn_drop_queue(c, reason);
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_socket(c);
}

void crew__conn_close(crew_conn *c, crew_end_reason reason)
{
	if (c->record->state > CREW__CONN_OPEN)
		return;
	if (c->io == CREW__IO_NONE) { /* there is nobody to say goodbye to */
		crew__conn_broken(c, reason);
		return;
	}
	set_end(c, reason);
	if (!crew__conn_own_queue(c))
		return;
	if (c->net->ops->on_closing(c))
		c->flags |= CREW__C_UNPARTED;
	if (c->record->state > CREW__CONN_OPEN)
		return;
	crew__conn_break_parts(c, reason);
	set_state(c, CREW__CONN_CLOSING);
	crew__conn_clear(c, CREW__C_STOPPED);
	crew__conn_agenda(c, CREW__C_DIRTY);
	crew__conn_deadline(c, c->since + c->net->limits.linger);
	unpipe(c);
}

void crew__conn_parted(crew_conn *c)
{
	crew__conn_clear(c, CREW__C_UNPARTED);
	if (c->record->state == CREW__CONN_CLOSING)
		crew__conn_agenda(c, CREW__C_DIRTY);
}

int crew__conn_finish(crew_conn *c)
{
	if (c->record->state > CREW__CONN_OPEN || (c->flags & CREW__C_FINISHING))
		return -ENOTCONN;
	if (!crew__conn_own_queue(c))
		return -ENOMEM;
	c->flags |= CREW__C_FINISHING;
	crew__conn_agenda(c, CREW__C_DIRTY);
	return 0;
}

static void shut_down(crew_conn *c)
{
	if (c->flags & CREW__C_FINISHED)
		return;
	c->flags |= CREW__C_FINISHED;
	const struct crew__io *io = crew__conn_io(c);
	if (io)
		io->finish(c);
	else
		shutdown(c->fd, SHUT_WR);
}

/* Both sides have said all: nothing keeps the connection. */
static void advance_finishing(crew_conn *c)
{
	shut_down(c);
	bool done = c->record->state != CREW__CONN_CLOSED && !crew__conn_holds(c);
	if ((c->flags & CREW__C_PEER_ENDED) && done) {
		set_end(c, CREW_END_PEER);
		crew__conn_done(c);
	}
}

/* Take the next step of an ending, as far as the queue allows. */
void crew__conn_advance(crew_conn *c)
{
	bool flushed = c->record->bytes_queued == 0 && !crew__conn_holds(c);
	if (!flushed || c->record->state == CREW__CONN_CLOSED)
		return;
	if (c->record->state <= CREW__CONN_OPEN) {
		if ((c->flags & CREW__C_FINISHING) && !crew__conn_rare(c)->awaits_open)
			advance_finishing(c);
		return;
	}
	bool ended = c->flags & CREW__C_PEER_ENDED;
	if (c->record->state == CREW__CONN_CLOSING) {
		if ((c->flags & CREW__C_UNPARTED) && !ended) {
			crew__conn_deadline(c, crew__conn_later(c, c->since, c->record->last_out) +
						       c->net->limits.linger);
			return;
		}
		shut_down(c);
		if (c->record->state == CREW__CONN_CLOSED)
			return;
		set_state(c, CREW__CONN_LINGER);
		crew__conn_watch(c);
		crew__conn_deadline(c, c->since + c->net->limits.linger);
	}
	bool over = (c->flags & CREW__C_PEER_ENDED) || c->net->limits.linger == 0;
	if (c->record->state == CREW__CONN_LINGER && !crew__conn_holds(c) && over)
		crew__conn_done(c);
}

/* ---- the end of the end -------------------------------------------------------------------- */

/* Why what it left unsent did not leave: the verdict before the one that its end has set. */
static uint8_t last_verdict(const struct crew__record_slow *slow)
{
	if (slow->verdict != CREW_VERDICT_NONE || slow->changes < 2)
		return slow->verdict;
	return slow->history[(slow->changes - 2u) % CREW__SLOW_HISTORY].verdict;
}

/* Into the ring of those that ended, as its records stand. */
static void note_closed(const crew_conn *c)
{
	const struct crew__net *net = c->net;
	const struct crew__rare *rare = crew__conn_rare(c);
	const struct crew__record_slow *slow = &net->stats.slow[c->slot];
	if (!net->stats.closed)
		return;
	struct crew__closed *closed = crew__closed_next(net->stats.closed);
	closed->at = crew__net_now(c->net);
	closed->unsent_bytes = rare->unsent_bytes;
	closed->unsent_messages = rare->unsent_messages;
	closed->hot = *c->record;
	closed->cold = net->stats.cold[c->slot];
	closed->verdict = CREW_VERDICT_NONE;
	closed->episodes = 0;
	closed->figures = (struct crew__slow_figures){ 0 };
	/* The record of one that never had a backlog is not to be looked at: that gives it memory.
	 */
	if (rare->used && atomic_load_explicit(&slow->id, memory_order_relaxed) == c->record->id) {
		closed->verdict = rare->unsent_bytes > 0 ? last_verdict(slow) : CREW_VERDICT_NONE;
		closed->episodes = slow->episodes;
		closed->figures = slow->figures;
	}
	crew__closed_done(net->stats.closed);
}

/* How it has gone: to another worker, or for ever. Its record goes in the same update. */
static void count_gone(crew_conn *c)
{
	struct crew__slab *s = c->net->stats.slab;
	crew__slab_begin(s);
	s->connections--;
	if (c->record->end == CREW_END_HANDED_OVER)
		s->handed_over++;
	else
		(*crew__slab_close(s, (crew_end_reason)c->record->end))++;
	atomic_store_explicit(&c->record->id, 0, memory_order_relaxed);
	crew__slab_end(s);
}

/* Told of its losses, told of its end, counted, freed; in this order. */
void crew__conn_free(crew_conn *c)
{
	struct crew__net *net = c->net;
	crew__must(c->record->state == CREW__CONN_CLOSED && !(c->flags & CREW__C_ON_AGENDA));
	c->flags |= CREW__C_ON_AGENDA; /* what its last callbacks do must not bring it back */
	if (c->flags & CREW__C_TELL_LOSS)
		tell_losses(c, true);
	net->ops->on_closed(c);
	const struct crew__io *io = crew__conn_io(c);
	if (io)
		io->release(c);
	if (c->record->end != CREW_END_HANDED_OVER)
		note_closed(c);
	if (net->ips && !net->rare[c->slot].no_client)
		crew__ip_table_leave(net->ips, &net->stats.cold[c->slot].remote);
	if (net->rare[c->slot].used)
		net->rare[c->slot] = (struct crew__rare){ 0 };
	count_gone(c);
	net->slots[c->slot] = NULL;
	net->table->free[net->table->free_count++] = c->slot;
	crew__buf_release(&c->in);
	c->magic = 0;
	free(c);
}

/* ---- pipes --------------------------------------------------------------------------------- */

int crew__conn_pipe(crew_conn *from, crew_conn *to)
{
	if (from == to)
		return -EINVAL;
	if (from->record->state > CREW__CONN_OPEN || (to && to->record->state > CREW__CONN_OPEN))
		return -ENOTCONN;
	crew_conn *rival = to ? crew__conn_pipe_from(to) : NULL;
	if (rival && rival != from)
		return -EBUSY;
	crew_conn *before = crew__conn_pipe_to(from);
	if (before)
		crew__conn_rare(before)->pipe_from = NULL;
	from->flags |= CREW__C_PIPED;
	crew__conn_touch(from)->pipe_to = to;
	if (to) {
		to->flags |= CREW__C_PIPED;
		crew__conn_touch(to)->pipe_from = from;
	}
	crew__conn_go_on_reading(from, CREW__C_PIPE_FULL);
	return 0;
}

/* ---- for tests ----------------------------------------------------------------------------- */

void crew__conn_check(const crew_conn *c)
{
	const struct crew__record *r = c->record;
	crew__must(c->magic == CREW__CONN_MAGIC);
	bool listed = c->flags & CREW__C_ON_AGENDA;
	crew__must(listed || !(c->flags & CREW__C_AGENDA & ~(uint32_t)CREW__C_TELL_LOSS));
	if (r->state == CREW__CONN_CLOSED) {
		crew__must(c->fd < 0 && crew__queue_empty(&c->queue) && r->bytes_queued == 0);
		crew__must(r->messages_queued == 0 && r->end != CREW_END_REASONS);
		return;
	}
	uint64_t bytes, messages;
	crew__queue_sums(&c->queue, &bytes, &messages);
	const struct crew__io *io = crew__conn_io(c);
	if (io) {
		uint64_t held_bytes, held_messages;
		io->held(c, &held_bytes, &held_messages);
		bytes += held_bytes;
		messages += held_messages;
		crew__must(!io->pending(c) || (c->flags & CREW__C_WRITING));
	}
	bool corked = c->net->current == c;
	messages += (c->flags & CREW__C_PARTS) != 0;
	if (c->flags & CREW__C_IN_BURST) {
		crew__must(crew__queue_empty(&c->queue) && !(c->flags & CREW__C_WRITING) && listed);
		bytes = crew__burst_part(c).len;
		messages = c->net->bursts[c->variant].messages - c->burst_first;
	}
	crew__must(r->bytes_queued == bytes + (corked ? c->net->cork.len : 0));
	crew__must(r->messages_queued == messages + (corked ? c->net->cork.messages : 0));
	crew__must(crew__queue_empty(&c->queue) || listed || corked ||
		   (c->flags & (CREW__C_WRITING | CREW__C_DETACHED | CREW__C_HELD_BACK)));
	crew__must(
		!(c->flags & (CREW__C_CAPPED | CREW__C_TIGHT)) || !(c->flags & CREW__C_IN_BURST));
	crew__must(c->in.len <= c->in.max);
}
