/* conn_deadline.c - what comes with time: a peer that takes nothing, one that is idle, an ending
 * that lasts too long. */
#include "net/conn_out.h"

#include "base/check.h"
#include "net/conn_slow.h"
#include "net/tls.h"

void crew__conn_deadline(crew_conn *c, uint32_t due)
{
	if (c->record->state == CREW__CONN_CLOSED)
		return;
	crew__wheel_sooner(c->net->wheel, &c->wheel, crew__wheel_time(due));
}

/* The last time the kernel took bytes of a queue that is not empty. */
static uint32_t progress(const crew_conn *c)
{
	return crew__conn_later(c, c->record->last_out, c->record->queued_since);
}

/* Something waits: look at why, and end a peer that takes nothing. */
static uint32_t look_at_backlog(crew_conn *c, uint32_t now)
{
	const struct crew__limits *limits = &c->net->limits;
	if (c->fd < 0 || crew__conn_rare(c)->awaits_open)
		return CREW__WHEEL_OUT; /* there is no socket to look at, or nothing may leave yet
					 */
	if (c->record->bytes_queued == 0) {
		c->net->stats.cold[c->slot].kernel_unsent = 0;
		return CREW__WHEEL_OUT;
	}
	uint32_t next = crew__slow_look(c, now);
	c->net->pieces.changed = true; /* the turn is to be looked at */
	if (c->record->state == CREW__CONN_CLOSED)
		return CREW__WHEEL_OUT;
	if (limits->send_timeout > 0) {
		uint32_t due = progress(c) + limits->send_timeout;
		if (crew__wheel_come(due, now)) {
			crew__conn_abort(c, CREW_END_DEADLINE);
			return CREW__WHEEL_OUT;
		}
		next = crew__wheel_sooner_of(next, due);
	}
	return next;
}

static uint32_t look_at_ending(crew_conn *c, uint32_t now)
{
	const struct crew__limits *limits = &c->net->limits;
	bool lingers = c->record->state == CREW__CONN_LINGER;
	/* What a transport has made itself (an answer of TLS's) counts for no queue, and waits all the
	 * same. */
	if (!lingers && (c->record->bytes_queued > 0 || crew__conn_holds(c))) {
		uint32_t due = crew__conn_later(c, c->since, progress(c)) + limits->closing_timeout;
		if (!crew__wheel_come(due, now))
			return due;
		crew__conn_abort(
			c, CREW_END_APP); /* it keeps its reason; what waits was lost by us */
		return CREW__WHEEL_OUT;
	}
	uint32_t due = crew__conn_later(c, c->since, c->record->last_out) + limits->linger;
	if (!crew__wheel_come(due, now))
		return due;
	if (lingers) {
		crew__conn_done(c);
		return CREW__WHEEL_OUT;
	}
	crew__conn_parted(c);
	return now + 1;
}

static uint32_t look_at_idle(crew_conn *c, uint32_t now)
{
	uint32_t timeout = c->net->limits.idle_timeout;
	if (timeout == 0)
		return CREW__WHEEL_OUT;
	bool left = c->flags & CREW__C_LEFT;
	if ((c->flags & CREW__C_WAITING) && !left)
		return now + timeout;
	uint32_t due = crew__conn_later(c, c->record->last_in, c->record->last_out) + timeout;
	if (!crew__wheel_come(due, now))
		return due;
	crew__conn_close(c, left ? CREW_END_PEER : CREW_END_IDLE);
	return now + c->net->limits.linger + 1;
}

/* The protocol's own deadlines begin when TLS stands; until then that has one. */
static uint32_t look_at_protocol(crew_conn *c, uint32_t now)
{
	if (crew__likely(!crew__conn_tls_begins(c)))
		return c->net->ops->on_deadline(c, now);
	uint32_t timeout = c->net->limits.tls_timeout;
	if (timeout == 0)
		return CREW__WHEEL_OUT;
	uint32_t due = crew__conn_tls_began(c) + timeout;
	if (!crew__wheel_come(due, now))
		return due;
	crew__conn_broken(c, CREW_END_HANDSHAKE);
	return CREW__WHEEL_OUT;
}

uint32_t crew__conn_on_wheel(void *arg, struct crew__wheel_entry *entry, uint32_t now)
{
	(void)arg;
	crew_conn *c = crew__container_of(entry, crew_conn, wheel);
	crew__must(c->magic == CREW__CONN_MAGIC);
	if (c->flags & CREW__C_HELD_BACK)
		crew__conn_agenda(c, CREW__C_DIRTY);
	uint32_t next = look_at_backlog(c, now);
	if (c->record->state <= CREW__CONN_OPEN)
		next = crew__wheel_sooner_of(next, crew__policy_deadline(c, now));
	if (c->record->state <= CREW__CONN_OPEN)
		next = crew__wheel_sooner_of(next, look_at_protocol(c, now));
	if (c->record->state == CREW__CONN_OPEN)
		next = crew__wheel_sooner_of(next, look_at_idle(c, now));
	if (c->record->state == CREW__CONN_CLOSING || c->record->state == CREW__CONN_LINGER)
		next = crew__wheel_sooner_of(next, look_at_ending(c, now));
	return c->record->state == CREW__CONN_CLOSED ? CREW__WHEEL_OUT : next;
}
