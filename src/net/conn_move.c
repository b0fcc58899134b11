#include "net/conn_move.h"

#include "base/check.h"
#include "net/budget.h"
#include "net/conn_out.h"
#include "net/conn_slow.h"
#include "net/ip_table.h"
#include "net/queue_move.h"

#include <stdlib.h>
#include <string.h>

enum {
	TAG_ID = 1,
	TAG_TRANSPORT,
	TAG_BYTES_IN,
	TAG_BYTES_OUT,
	TAG_FAIL, /* uint32_t for each reason */
	TAG_LOCAL,
	TAG_REMOTE,
	TAG_OPENED,
	TAG_LAST_IN,
	TAG_LAST_OUT,
	TAG_QUEUED,
	TAG_SOFT,
	TAG_POLICY,
	TAG_TRAITS, /* the bits below */
	TAG_RATE_BYTES,
	TAG_RATE_MESSAGES,
	TAG_HELD_BACK,
	TAG_GAP_MESSAGES,
	TAG_GAP_BYTES,
	TAG_GAP_OUT,
	TAG_GAP_FIRST,
	TAG_GAP_LAST,
	TAG_GAP_FIRST_KEY,
	TAG_GAP_LAST_KEY,
	TAG_INPUT,
	TAG_QUEUE,
};

enum {
	OWN_RATE = 1,
	UNAUTHENTICATED = 2,
	PAUSED = 4,
	BACKLOG = 8,
	TRAITS = 15,
};

/* ---- may it go ----------------------------------------------------------------------------- */

/* These are worked out anew where it goes, or are said to it. */
static const uint32_t harmless = CREW__C_PAUSED | CREW__C_HELD | CREW__C_OVER_BUDGET |
				 CREW__C_WRITING | CREW__C_BACKLOG | CREW__C_FULL | CREW__C_CAPPED |
				 CREW__C_HELD_BACK | CREW__C_TIGHT | CREW__C_SLOW | CREW__C_PIPED |
				 CREW__C_TELL_GAP;
static const uint32_t forbidding = CREW__C_PEER_ENDED | CREW__C_FINISHING | CREW__C_FINISHED |
				   CREW__C_DETACHED | CREW__C_END_TOLD | CREW__C_LEFT;

enum crew__movable crew__conn_movable(crew_conn *c)
{
	crew__must(c->net->current == NULL);
	if ((c->flags & CREW__C_TELL_LOSS) && !(c->flags & CREW__C_ON_AGENDA))
		crew__conn_agenda(c, CREW__C_TELL_LOSS); /* it waited for an occasion */
	bool stream = c->record->transport == CREW__TCP || c->record->transport == CREW__UNIX;
	if (c->record->state != CREW__CONN_OPEN || c->io != CREW__IO_SOCKET || !stream ||
		(c->flags & forbidding) || c->net->stats.cold[c->slot].outgoing)
		return CREW__MOVES_NEVER;
	if (crew__conn_pipe_to(c) || crew__conn_pipe_from(c))
		return CREW__MOVES_NEVER;
	return c->flags & ~harmless ? CREW__MOVES_LATER : CREW__MOVES;
}

static void leave_agenda(crew_conn *c)
{
	struct crew__net *net = c->net;
	crew_conn **place = &net->agenda;
	while (*place != c)
		place = &(*place)->next_agenda;
	*place = c->next_agenda;
	if (net->agenda_tail == &c->next_agenda)
		net->agenda_tail = place;
	crew__conn_clear(c, CREW__C_ON_AGENDA);
}

bool crew__conn_gather(crew_conn *c)
{
	if (c->record->state != CREW__CONN_OPEN || !crew__conn_own_queue(c))
		return false;
	uint32_t asked = c->flags & CREW__C_AGENDA;
	if ((c->flags & CREW__C_ON_AGENDA) && asked == CREW__C_DIRTY) {
		leave_agenda(c);
		crew__conn_clear(c, CREW__C_DIRTY);
	}
	if (crew__conn_movable(c) == CREW__MOVES)
		return true;
	if (asked)
		crew__conn_agenda(c, asked);
	return false;
}

void crew__conn_stays(crew_conn *c)
{
	if (c->record->state == CREW__CONN_OPEN)
		crew__conn_agenda(c, CREW__C_DIRTY);
}

/* ---- down ---------------------------------------------------------------------------------- */

static void put_key(struct crew__parcel *parcel, uint16_t tag, const char *key, uint8_t len)
{
	if (len > 0)
		crew__parcel_put(parcel, tag, (crew_bytes){ key, len });
}

static void put_gap(struct crew__parcel *parcel, const struct crew__gap *gap)
{
	if (gap->messages == 0)
		return;
	crew__parcel_number(parcel, TAG_GAP_MESSAGES, gap->messages);
	crew__parcel_number(parcel, TAG_GAP_BYTES, gap->bytes);
	crew__parcel_number(parcel, TAG_GAP_OUT, gap->out);
	crew__parcel_number(parcel, TAG_GAP_FIRST, gap->first);
	crew__parcel_number(parcel, TAG_GAP_LAST, gap->last);
	put_key(parcel, TAG_GAP_FIRST_KEY, gap->first_key, gap->first_key_len);
	put_key(parcel, TAG_GAP_LAST_KEY, gap->last_key, gap->last_key_len);
}

static void put_rare(struct crew__parcel *parcel, crew_conn *c, uint32_t now)
{
	const struct crew__rare *rare = crew__conn_rare(c);
	uint64_t traits = (rare->own_rate ? OWN_RATE : 0u) |
			  (rare->unauthenticated ? UNAUTHENTICATED : 0u) |
			  (c->flags & CREW__C_PAUSED ? PAUSED : 0u) |
			  (c->flags & CREW__C_BACKLOG ? BACKLOG : 0u);
	uint32_t held_back = rare->capped_hundredths;
	if (c->flags & CREW__C_HELD_BACK)
		held_back += now - rare->capped_since;
	crew__parcel_number(parcel, TAG_TRAITS, traits);
	if (rare->soft_since > 0)
		crew__parcel_number(parcel, TAG_SOFT, (uint64_t)(now - rare->soft_since) + 1);
	if (rare->policy != CREW_POLICY_DEFAULT)
		crew__parcel_number(parcel, TAG_POLICY, rare->policy);
	if (rare->own_rate) {
		crew__parcel_number(parcel, TAG_RATE_BYTES, rare->rate.bytes_per_s);
		crew__parcel_number(parcel, TAG_RATE_MESSAGES, rare->rate.messages_per_s);
	}
	if (held_back > 0)
		crew__parcel_number(parcel, TAG_HELD_BACK, held_back);
	put_gap(parcel, &rare->gap);
}

static void put_queue(struct crew__parcel *parcel, const crew_conn *c, uint32_t now)
{
	struct crew__parcel queue;
	if (crew__queue_empty(&c->queue))
		return;
	crew__parcel_init(&queue, parcel->bytes.max);
	int error = crew__queue_pack(&c->queue, now, &queue);
	if (error && !parcel->error)
		parcel->error = error;
	crew__parcel_put(parcel, TAG_QUEUE, (crew_bytes){ queue.bytes.data, queue.bytes.len });
	crew__parcel_fini(&queue);
}

void crew__conn_pack(crew_conn *c, struct crew__parcel *parcel)
{
	const struct crew__record *r = c->record;
	const struct crew__record_cold *cold = &c->net->stats.cold[c->slot];
	uint32_t now = crew__net_now(c->net);
	crew__parcel_number(parcel, TAG_ID, r->id);
	crew__parcel_number(parcel, TAG_TRANSPORT, r->transport);
	crew__parcel_number(parcel, TAG_BYTES_IN, r->bytes_in);
	crew__parcel_number(parcel, TAG_BYTES_OUT, r->bytes_out);
	crew__parcel_put(
		parcel, TAG_FAIL, (crew_bytes){ (const char *)cold->fail, sizeof(cold->fail) });
	crew__parcel_put(
		parcel, TAG_LOCAL, (crew_bytes){ (const char *)&cold->local, sizeof(cold->local) });
	crew__parcel_put(parcel, TAG_REMOTE,
		(crew_bytes){ (const char *)&cold->remote, sizeof(cold->remote) });
	crew__parcel_number(parcel, TAG_OPENED, now - r->opened);
	crew__parcel_number(parcel, TAG_LAST_IN, now - r->last_in);
	crew__parcel_number(parcel, TAG_LAST_OUT, now - r->last_out);
	if (r->bytes_queued > 0)
		crew__parcel_number(parcel, TAG_QUEUED, now - r->queued_since);
	put_rare(parcel, c, now);
	if (c->in.len > 0)
		crew__parcel_put(parcel, TAG_INPUT, (crew_bytes){ c->in.data, c->in.len });
	put_queue(parcel, c, now);
}

/* ---- away ---------------------------------------------------------------------------------- */

/* What waits is nobody's here any more. */
static void hand_over_queue(crew_conn *c)
{
	struct crew__slab *s = c->net->stats.slab;
	struct crew__record *r = c->record;
	crew__slab_begin(s);
	s->messages_queued -= r->messages_queued;
	s->bytes_queued -= r->bytes_queued;
	s->messages_handed_over += r->messages_queued;
	r->messages_queued = 0;
	r->bytes_queued = 0;
	crew__slab_end(s);
	crew__queue_drop(&c->queue, &c->net->pieces);
}

int crew__conn_give_away(crew_conn *c)
{
	int fd = c->fd;
	crew__must(crew__conn_movable(c) == CREW__MOVES);
	c->record->end = CREW_END_HANDED_OVER;
	crew__slow_over(c);
	hand_over_queue(c);
	crew__loop_remove(c->net->loop, &c->source);
	crew__wheel_remove(c->net->wheel, &c->wheel);
	c->fd = -1;
	c->flags = 0;
	c->record->state = CREW__CONN_CLOSED;
	crew__conn_free(c);
	return fd;
}

/* ---- read ---------------------------------------------------------------------------------- */

static bool take_whole(const struct crew__parcel_item *item, void *to, size_t size)
{
	if (item->value.len != size)
		return false;
	memcpy(to, item->value.data, size);
	return true;
}

/* A number of 32 bits. */
static bool take_short(const struct crew__parcel_item *item, uint32_t most, uint32_t *ret_number)
{
	uint64_t number;
	if (!crew__parcel_is_number(item, most, &number))
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static bool take_byte(const struct crew__parcel_item *item, uint8_t most, uint8_t *ret_number)
{
	uint32_t number;
	if (!take_short(item, most, &number))
		return false;
	*ret_number = (uint8_t)number;
	return true;
}

static bool take_key(const struct crew__parcel_item *item, char *key, uint8_t *ret_len)
{
	if (item->value.len > CREW__GAP_KEY)
		return false;
	memcpy(key, item->value.data, item->value.len);
	*ret_len = (uint8_t)item->value.len;
	return true;
}

static bool take_traits(const struct crew__parcel_item *item, struct crew__moved *moved)
{
	uint64_t traits;
	if (!crew__parcel_is_number(item, TRAITS, &traits))
		return false;
	moved->own_rate = traits & OWN_RATE;
	moved->unauthenticated = traits & UNAUTHENTICATED;
	moved->paused = traits & PAUSED;
	moved->backlog = traits & BACKLOG;
	return true;
}

static bool take(const struct crew__parcel_item *item, struct crew__moved *moved)
{
	switch (item->tag) {
	case TAG_ID:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->id);
	case TAG_TRANSPORT:
		return take_byte(item, CREW__UNIX, &moved->transport);
	case TAG_BYTES_IN:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->bytes_in);
	case TAG_BYTES_OUT:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->bytes_out);
	case TAG_FAIL:
		return take_whole(item, moved->fail, sizeof(moved->fail));
	case TAG_LOCAL:
		return take_whole(item, &moved->local, sizeof(moved->local));
	case TAG_REMOTE:
		return take_whole(item, &moved->remote, sizeof(moved->remote));
	case TAG_OPENED:
		return take_short(item, UINT32_MAX, &moved->opened);
	case TAG_LAST_IN:
		return take_short(item, UINT32_MAX, &moved->last_in);
	case TAG_LAST_OUT:
		return take_short(item, UINT32_MAX, &moved->last_out);
	case TAG_QUEUED:
		return take_short(item, UINT32_MAX, &moved->queued);
	case TAG_SOFT:
		return take_short(item, UINT32_MAX, &moved->soft);
	case TAG_POLICY:
		return take_byte(item, CREW_POLICIES - 1, &moved->policy);
	case TAG_TRAITS:
		return take_traits(item, moved);
	case TAG_RATE_BYTES:
		return crew__parcel_is_number(item, CREW__RATE_MOST, &moved->rate_bytes);
	case TAG_RATE_MESSAGES:
		return crew__parcel_is_number(item, CREW__RATE_MOST, &moved->rate_messages);
	case TAG_HELD_BACK:
		return take_short(item, UINT32_MAX, &moved->held_back);
	case TAG_GAP_MESSAGES:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->gap.messages);
	case TAG_GAP_BYTES:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->gap.bytes);
	case TAG_GAP_OUT:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->gap.out);
	case TAG_GAP_FIRST:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->gap.first);
	case TAG_GAP_LAST:
		return crew__parcel_is_number(item, UINT64_MAX, &moved->gap.last);
	case TAG_GAP_FIRST_KEY:
		return take_key(item, moved->gap.first_key, &moved->gap.first_key_len);
	case TAG_GAP_LAST_KEY:
		return take_key(item, moved->gap.last_key, &moved->gap.last_key_len);
	case TAG_INPUT:
		moved->input = item->value;
		return true;
	case TAG_QUEUE:
		moved->queue = item->value;
		return true;
	default:
		return true; /* what another version says beside */
	}
}

int crew__moved_read(crew_bytes packed, struct crew__moved *ret_moved)
{
	struct crew__parcel_item item;
	int got;
	*ret_moved = (struct crew__moved){ .transport = CREW__TCP };
	while ((got = crew__parcel_next(&packed, &item)) == 1)
		if (!take(&item, ret_moved))
			return -EPROTO;
	return got < 0 || ret_moved->id == 0 ? -EPROTO : 0;
}

/* ---- back ---------------------------------------------------------------------------------- */

static uint32_t lost_of(const struct crew__moved *moved)
{
	uint32_t sum = 0;
	for (unsigned i = 0; i < CREW_LOST_REASONS; i++)
		sum += moved->fail[i];
	return sum;
}

static void fill_record(crew_conn *c, const struct crew__moved *moved)
{
	struct crew__record *r = c->record;
	struct crew__record_cold *cold = &c->net->stats.cold[c->slot];
	uint32_t now = crew__net_now(c->net);
	r->transport = moved->transport;
	r->bytes_in = moved->bytes_in;
	r->bytes_out = moved->bytes_out;
	r->send_fail = lost_of(moved);
	memcpy(cold->fail, moved->fail, sizeof(cold->fail));
	/* Some of these may lie before this worker's beginning: times come round. */
	r->opened = now - moved->opened;
	r->last_in = now - moved->last_in;
	r->last_out = now - moved->last_out;
	r->queued_since = now - moved->queued;
	r->recv_queue = (uint32_t)moved->input.len;
}

crew_conn *crew__net_restore(struct crew__net *net, const struct crew__moved *moved)
{
	crew_conn *c = crew__net_prepare(net, &moved->remote, &moved->local);
	if (!c)
		return NULL;
	fill_record(c, moved);
	int error = 0;
	if (moved->input.len > 0)
		error = crew__buf_append(&c->in, moved->input.data, moved->input.len);
	if (!error)
		error = crew__queue_unpack(
			&c->queue, &net->pieces, moved->queue, crew__net_now(net));
	if (!error)
		return c;
	crew__conn_unrestore(c);
	errno = -error;
	return NULL;
}

void crew__conn_unrestore(crew_conn *c)
{
	crew__loop_remove(c->net->loop, &c->source);
	crew__queue_drop(&c->queue, &c->net->pieces);
	crew__net_unprepare(c);
}

int crew__conn_attach_moved(crew_conn *c, int fd)
{
	c->fd = fd;
	int error = crew__conn_attach(c);
	if (error) {
		c->fd = -1;
		c->source.fd = -1;
	}
	return error;
}

/* What the service says of every connection, and what was said of this one. */
static void set_limits(crew_conn *c, const struct crew__moved *moved)
{
	const struct crew__limits *limits = &c->net->limits;
	uint64_t bytes = moved->own_rate ? moved->rate_bytes : limits->rate_bytes;
	uint64_t messages = moved->own_rate ? moved->rate_messages : limits->rate_messages;
	struct crew__rare *rare = crew__conn_touch(c);
	rare->policy = moved->policy;
	rare->own_rate = moved->own_rate;
	rare->gap = moved->gap;
	if (bytes > 0 || messages > 0)
		crew__conn_set_rate(c, bytes, messages);
	rare->capped_hundredths = moved->held_back;
	if (!moved->unauthenticated || limits->auth_timeout == 0)
		return;
	rare->unauthenticated = true;
	rare->limit = crew__conn_unauthenticated_limit(c->net);
	c->flags |= CREW__C_TIGHT;
}

static void watch_soft_limit(crew_conn *c, uint32_t passed, uint32_t now)
{
	crew__policy_grown(c);
	struct crew__rare *rare = crew__conn_rare(c);
	if (rare->soft_since == 0 || passed == 0)
		return;
	uint32_t since = now - (passed - 1);
	rare->soft_since = since > 0 ? since : 1;
}

void crew__conn_settle(crew_conn *c, const struct crew__moved *moved)
{
	struct crew__net *net = c->net;
	uint64_t bytes, messages;
	uint32_t now = crew__net_now(net);
	crew__queue_sums(&c->queue, &bytes, &messages);
	c->record->state = CREW__CONN_OPEN;
	crew__net_take_over(c, bytes, (uint32_t)messages);
	if (net->ips)
		crew__ip_table_enter(net->ips, &moved->remote, SIZE_MAX); /* it was let in */
	if (crew__unlikely(net->budget.stage >= CREW__BUDGET_STOPS_READING))
		c->flags |= CREW__C_OVER_BUDGET;
	c->flags |= moved->paused ? CREW__C_PAUSED : 0;
	c->flags |= moved->backlog ? CREW__C_BACKLOG : 0;
	set_limits(c, moved);
	if (moved->gap.messages > 0)
		c->flags |= CREW__C_TELL_GAP;
	watch_soft_limit(c, moved->soft, now);
	crew__policy_watch_expiry(net);
	crew__conn_deadline(c, now + 1);
	crew__conn_agenda(c, CREW__C_DIRTY | (c->in.len > 0 ? CREW__C_FEED : 0u));
}
