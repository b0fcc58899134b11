/* conn_policy.c - what becomes of the surplus: who gives way when a queue is full, whose time is
 * over, and what is told of it.
 *
 * Not here: how a message is taken out of a queue (queue_order.c), how a cap is counted (rate.c),
 * and what the whole worker may hold (budget.c). */
#include "net/conn_out.h"

#include "base/check.h"
#include "base/clock.h"
#include "net/budget.h"
#include "net/conn_slow.h"

#include <string.h>

enum {
	GAP_EVERY = 100 /* hundredths */
};

crew_policy crew__policy_of_conn(const crew_conn *c)
{
	const struct crew__rare *rare = crew__conn_rare(c);
	if (c->record->protocol == CREW__HTTP)
		return CREW_DROP_NEWEST; /* a stream of answers with a hole is no stream */
	return rare->policy != CREW_POLICY_DEFAULT ? (crew_policy)rare->policy
						   : c->net->limits.policy;
}

static crew_policy policy_of(const crew_conn *c, const struct crew__about *about)
{
	bool own = about && about->policy != CREW_POLICY_DEFAULT;
	return own && c->record->protocol != CREW__HTTP ? (crew_policy)about->policy
							: crew__policy_of_conn(c);
}

/* ---- gaps ---------------------------------------------------------------------------------- */

static void note_key(uint8_t *len, char *key, crew_bytes from)
{
	*len = (uint8_t)crew__min(from.len, (size_t)CREW__GAP_KEY);
	crew__copy(key, from.data, *len);
}

void crew__policy_note_gap(crew_conn *c, uint64_t bytes, const struct crew__about *about)
{
	struct crew__gap *gap = &crew__conn_touch(c)->gap;
	gap->messages++;
	gap->bytes += bytes;
	gap->out = c->record->bytes_out;
	c->flags |= CREW__C_TELL_GAP;
	if (c->flags & CREW__C_SLOW)
		crew__slow_note_loss(c, 1, 0);
	if (!about)
		return;
	if (about->sequence > 0) {
		if (gap->first == 0 || about->sequence < gap->first)
			gap->first = about->sequence;
		if (about->sequence > gap->last)
			gap->last = about->sequence;
	}
	if (about->key.len == 0)
		return;
	if (gap->first_key_len == 0)
		note_key(&gap->first_key_len, gap->first_key, about->key);
	note_key(&gap->last_key_len, gap->last_key, about->key);
}

/* Something has left since the last of them was lost, and an answer has room. Half of the limit is
 * room enough for any; a peer that is always behind, and never has that, hears of it once a second.
 */
static bool gap_is_due(const crew_conn *c)
{
	const struct crew__rare *rare = crew__conn_rare(c);
	uint64_t queued = c->record->bytes_queued;
	size_t limit = crew__conn_limit(c);
	if (c->record->bytes_out == rare->gap.out)
		return false;
	return queued * 2 <= limit ||
	       (queued < limit && crew__net_now(c->net) - rare->gap_told >= GAP_EVERY);
}

void crew__policy_moved(crew_conn *c)
{
	if (c->record->state <= CREW__CONN_OPEN && gap_is_due(c))
		crew__conn_agenda(c, CREW__C_TELL_GAP);
}

void crew__policy_tell_gap(crew_conn *c)
{
	struct crew__rare *rare = crew__conn_rare(c);
	if (c->record->state > CREW__CONN_OPEN || !gap_is_due(c))
		return;
	crew__conn_clear(c, CREW__C_TELL_GAP);
	struct crew__gap gap = rare->gap; /* the call may cause the next */
	rare->gap = (struct crew__gap){ 0 };
	rare->gap_told = crew__net_now(c->net);
	c->net->stats.slab->gaps++;
	const crew_gap told = {
		.messages = gap.messages,
		.bytes = gap.bytes,
		.first = gap.first,
		.last = gap.last,
		.first_key = { gap.first_key, gap.first_key_len },
		.last_key = { gap.last_key, gap.last_key_len },
	};
	c->net->ops->on_gap(c, &told);
}

/* ---- a message that gives way -------------------------------------------------------------- */

/* It waited, and is lost. */
static void lose(crew_conn *c, const struct crew__taken_out *message, crew_reason reason)
{
	const struct crew__about about = {
		.key = { message->key, message->key_len },
		.sequence = message->sequence,
	};
	crew__out_lose_queued(c, reason, 1, message->bytes);
	crew__policy_note_gap(c, message->bytes, &about);
}

/* Until one more may be taken. False: what is left cannot give way. */
static bool evict(crew_conn *c, enum crew__lane most)
{
	struct crew__taken_out message;
	while (c->record->bytes_queued >= crew__conn_limit(c)) {
		if (!crew__queue_evict(&c->queue, &c->net->pieces, most, &message))
			return false;
		lose(c, &message, CREW_LOST_EVICTED);
	}
	return true;
}

int crew__policy_full(crew_conn *c, const struct crew__about *about, size_t total)
{
	crew_policy policy = policy_of(c, about);
	enum crew__lane lane = about ? (enum crew__lane)about->lane : CREW__LANE_NORMAL;
	bool evicts = policy == CREW_DROP_OLDEST || policy == CREW_REPLACE;
	if (evicts && evict(c, lane)) {
		uint32_t full = c->flags &
				CREW__C_FULL; /* it is full again at once: told already */
		crew__out_shorter(c);
		c->flags |= full;
		return c->record->state == CREW__CONN_CLOSED ? -ENOTCONN : 0;
	}
	bool stands = !crew__conn_rare(c)->awaits_open;
	crew__out_lose_offered(c, stands ? CREW_LOST_FULL : CREW_LOST_HANDSHAKE, total);
	crew__policy_note_gap(c, total, about);
	if (policy == CREW_DISCONNECT)
		crew__conn_abort(c, CREW_END_FULL);
	return -ENOBUFS;
}

static void count_replaced(crew_conn *c, uint64_t old_bytes, size_t new_bytes)
{
	struct crew__slab *s = c->net->stats.slab;
	crew__slab_begin(s);
	s->messages_offered++;
	s->messages_replaced++;
	s->bytes_queued += new_bytes - old_bytes;
	c->record->bytes_queued += new_bytes - old_bytes;
	crew__slab_end(s);
	if (c->flags & CREW__C_SLOW)
		crew__slow_note_loss(c, 0, 1);
}

/* The one that waits and is to give way to a message with that key; NULL. */
static struct crew__unit *find_older(const crew_conn *c, const struct crew__about *about)
{
	if (about->key.len == 0 || policy_of(c, about) != CREW_REPLACE)
		return NULL;
	return crew__unit_find(&c->net->pieces.units, &c->queue, about->key);
}

/* In its place where that is of the same lane. False: without memory nothing was done. */
static bool take_place(crew_conn *c, const struct crew__framed *message,
	const struct crew__about *about, struct crew__unit *older, struct crew__taken_out *ret_old)
{
	if (crew__policy_insert(c, message, about, older->lane == about->lane ? older : NULL) < 0)
		return false;
	crew__queue_take_out(&c->queue, &c->net->pieces, older, ret_old);
	return true;
}

bool crew__policy_replace(crew_conn *c, struct crew__out *out, size_t total)
{
	struct crew__unit *older = find_older(c, out->about);
	const struct crew__framed framed = crew__out_framed(out);
	struct crew__taken_out old;
	if (!older || c->record->bytes_queued - crew__queue_bytes_of(older) >= crew__conn_limit(c))
		return false;
	if (!take_place(c, &framed, out->about, older, &old))
		return false;
	out->referred = framed.refer && framed.body.len > 0;
	count_replaced(c, old.bytes, total);
	if (total < old.bytes)
		crew__out_shorter(c);
	else
		crew__policy_grown(c);
	return true;
}

bool crew__policy_keep_latest(crew_conn *c, crew_bytes frame, const struct crew__about *about)
{
	struct crew__slab *s = c->net->stats.slab;
	struct crew__unit *older = find_older(c, about);
	const struct crew__framed framed = { .body = frame };
	struct crew__taken_out old;
	if (!older || !take_place(c, &framed, about, older, &old))
		return false;
	crew__slab_begin(s);
	s->messages_queued--;
	s->messages_replaced++;
	s->bytes_queued -= old.bytes;
	c->record->messages_queued--;
	c->record->bytes_queued -= old.bytes;
	crew__slab_end(s);
	return true;
}

/* ---- time to live -------------------------------------------------------------------------- */

void crew__policy_expire(struct crew__net *net)
{
	struct crew__unit *unit;
	struct crew__taken_out message;
	uint32_t now = crew__net_now(net);
	while ((unit = crew__unit_due(&net->pieces.units, now))) {
		crew_conn *c = crew__container_of(
			(struct crew__queue *)(uintptr_t)unit->owner, crew_conn, queue);
		crew__must(c->magic == CREW__CONN_MAGIC);
		crew__queue_take_out(&c->queue, &net->pieces, unit, &message);
		lose(c, &message, CREW_LOST_EXPIRED);
		crew__policy_shrunk(c);
		crew__conn_agenda(c, CREW__C_DIRTY); /* what follows from a shorter queue */
	}
}

/* Hundredths come round after 497 days, so the time is worked out from the present. */
static uint64_t ns_of(struct crew__net *net, uint32_t hundredths)
{
	int64_t ahead = (int32_t)(hundredths - crew__net_now(net));
	uint64_t now_ns = crew__loop_ns(net->loop);
	return ahead <= 0 ? now_ns : now_ns + (uint64_t)ahead * (CREW__NS_PER_S / 100);
}

/* The timer stands at the first one's time, or before it. Should there be no memory for it, what is
 * over is taken out when next something is written. */
void crew__policy_watch_expiry(struct crew__net *net)
{
	const struct crew__units *units = &net->pieces.units;
	if (units->timed == 0)
		return;
	uint64_t due_ns = ns_of(net, units->heap[0]->expires);
	if (net->expiry.place == 0 || net->expiry.due_ns > due_ns)
		crew__timer_start(net->loop, &net->expiry, due_ns);
}

int crew__policy_insert(crew_conn *c, const struct crew__framed *message,
	const struct crew__about *about, const struct crew__unit *before)
{
	struct crew__net *net = c->net;
	int error = crew__queue_insert(
		&c->queue, &net->pieces, message, about, crew__net_now(net), before);
	if (!error && about->ttl > 0)
		crew__policy_watch_expiry(net);
	return error;
}

void crew__policy_on_expiry(struct crew__timer *timer)
{
	struct crew__net *net = crew__container_of(timer, struct crew__net, expiry);
	crew__policy_expire(net);
	crew__policy_watch_expiry(net);
}

/* ---- the soft limit ------------------------------------------------------------------------ */

void crew__policy_grown(crew_conn *c)
{
	const struct crew__limits *limits = &c->net->limits;
	if (limits->soft_limit == 0 || c->record->bytes_queued < limits->soft_limit)
		return;
	struct crew__rare *rare = crew__conn_touch(c);
	if (rare->soft_since > 0 || rare->awaits_open)
		return; /* who is not there yet is not slow */
	uint32_t now = crew__net_now(c->net);
	rare->soft_since = now > 0 ? now : 1;
	crew__conn_deadline(c, now + limits->soft_time);
}

void crew__policy_shrunk(crew_conn *c)
{
	const struct crew__limits *limits = &c->net->limits;
	struct crew__rare *rare = crew__conn_rare(c);
	bool above = limits->soft_limit > 0 && c->record->bytes_queued >= limits->soft_limit;
	if (rare->soft_since > 0 && !above)
		rare->soft_since = 0;
}

/* ---- authentication ------------------------------------------------------------------------ */

void crew__conn_authenticated(crew_conn *c)
{
	struct crew__rare *rare = crew__conn_rare(c);
	if (!rare->unauthenticated)
		return;
	rare->unauthenticated = false;
	crew__conn_clear(c, CREW__C_TIGHT);
	crew__conn_agenda(c, CREW__C_DIRTY);
}

size_t crew__conn_most_of(const crew_conn *c, size_t max_message)
{
	if (crew__likely(!(c->flags & CREW__C_TIGHT)) || !crew__conn_rare(c)->unauthenticated)
		return max_message;
	return crew__min(max_message, c->net->limits.unauthenticated_limit);
}

/* To one that does not read no goodbye gets through: what it costs is given back at once. */
static void end_unauthenticated(crew_conn *c)
{
	if (c->flags & CREW__C_WRITING)
		crew__conn_abort(c, CREW_END_HANDSHAKE);
	else
		crew__conn_close(c, CREW_END_HANDSHAKE);
}

uint32_t crew__policy_deadline(crew_conn *c, uint32_t now)
{
	const struct crew__limits *limits = &c->net->limits;
	const struct crew__rare *rare = crew__conn_rare(c);
	uint32_t next = CREW__WHEEL_OUT;
	if (rare->soft_since > 0) {
		next = rare->soft_since + limits->soft_time;
		if (crew__wheel_come(next, now)) {
			crew__conn_abort(c, CREW_END_FULL);
			return CREW__WHEEL_OUT;
		}
	}
	if (rare->unauthenticated) {
		uint32_t due = c->record->opened + limits->auth_timeout;
		if (crew__wheel_come(due, now)) {
			end_unauthenticated(c);
			return next;
		}
		next = crew__wheel_sooner_of(next, due);
	}
	return next;
}

/* ---- of one connection --------------------------------------------------------------------- */

void crew__conn_set_policy(crew_conn *c, crew_policy policy)
{
	crew__conn_touch(c)->policy = (uint8_t)policy;
	crew__slow_note_bounds(c);
}

void crew__conn_set_rate(crew_conn *c, uint64_t bytes_per_s, uint64_t messages_per_s)
{
	struct crew__rare *rare = crew__conn_touch(c);
	if (c->net->current == c)
		crew__net_flush_cork(c->net);
	if (c->record->state == CREW__CONN_CLOSED || !crew__conn_own_queue(c))
		return;
	crew__rate_set(&rare->rate, bytes_per_s, messages_per_s, crew__net_now(c->net));
	if (crew__rate_is_capped(&rare->rate) || rare->awaits_open)
		c->flags |= CREW__C_CAPPED;
	else
		crew__conn_clear(c, CREW__C_CAPPED);
	crew__slow_note_bounds(c);
	crew__conn_agenda(c, CREW__C_DIRTY);
}
