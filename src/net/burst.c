#include "net/burst.h"

#include "base/check.h"
#include "net/conn_out.h"

#include <stdlib.h>

int crew__burst_init(struct crew__burst *burst)
{
	burst->data = malloc(CREW__BURST_MOST);
	burst->ends = malloc(CREW__BURST_ENDS * sizeof(uint32_t));
	burst->notes = malloc(CREW__BURST_NOTES * sizeof(*burst->notes));
	return burst->data && burst->ends && burst->notes ? 0 : -ENOMEM;
}

void crew__burst_fini(struct crew__burst *burst)
{
	crew__must(burst->note_count == 0);
	free(burst->data);
	free(burst->ends);
	free(burst->notes);
	*burst = (struct crew__burst){ 0 };
}

static struct crew__burst *burst_of(const crew_conn *c)
{
	return &c->net->bursts[c->variant];
}

crew_bytes crew__burst_part(const crew_conn *c)
{
	if (!(c->flags & CREW__C_IN_BURST))
		return (crew_bytes){ NULL, 0 };
	const struct crew__burst *burst = burst_of(c);
	return (crew_bytes){ burst->data + c->burst_at, burst->len - c->burst_at };
}

/* Nobody is in it any more. */
static void empty(struct crew__burst *burst)
{
	burst->len = 0;
	burst->messages = 0;
	for (uint32_t i = 0; i < burst->note_count; i++)
		burst->notes[i].release(NULL, burst->notes[i].arg);
	burst->note_count = 0;
}

void crew__burst_drop(crew_conn *c)
{
	if (!(c->flags & CREW__C_IN_BURST))
		return;
	struct crew__burst *burst = burst_of(c);
	crew__conn_clear(c, CREW__C_IN_BURST);
	c->since = 0;
	c->asked_turn = c->net->clock->turn - 1;
	if (--burst->users == 0)
		empty(burst);
}

static const struct crew__about *about_of(const struct crew__burst *burst, uint32_t message)
{
	uint32_t low = 0, high = burst->note_count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (burst->notes[middle].message < message)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < burst->note_count && burst->notes[low].message == message;
	return found ? burst->notes[low].about : NULL;
}

/* A whole message to the connection's own queue. A newer one takes the place of one with its key.
 */
static int keep_one(crew_conn *c, crew_bytes frame, const struct crew__about *about)
{
	const struct crew__framed framed = { .body = frame };
	if (!about)
		return crew__queue_copy(&c->queue, &c->net->pieces, frame.data, frame.len, true);
	if (crew__policy_keep_latest(c, frame, about))
		return 0;
	return crew__policy_insert(c, &framed, about, NULL);
}

/* The messages behind the first `at` bytes of the buffer move to the connection's queue. */
static int keep(crew_conn *c, size_t at, uint32_t message)
{
	const struct crew__burst *burst = burst_of(c);
	size_t start = message > 0 ? burst->ends[message - 1] : 0;
	bool begun = at > start;
	int error = 0;
	for (; message < burst->messages && !error; message++) {
		size_t end = burst->ends[message];
		const struct crew__about *about = begun ? NULL : about_of(burst, message);
		error = keep_one(c, (crew_bytes){ burst->data + at, end - at }, about);
		if (begun && !error)
			crew__queue_begun(&c->queue);
		begun = false;
		at = end;
	}
	return error;
}

int crew__burst_leave(crew_conn *c, size_t taken, uint32_t *ret_messages)
{
	const struct crew__burst *burst = burst_of(c);
	size_t at = c->burst_at + taken;
	uint32_t message = c->burst_first;
	crew__must(c->flags & CREW__C_IN_BURST);
	if (crew__likely(at == burst->len)) {
		*ret_messages = burst->messages - message;
		crew__burst_drop(c);
		return 0;
	}
	while (message < burst->messages && burst->ends[message] <= at)
		message++;
	*ret_messages = message - c->burst_first;
	int error = keep(c, at, message);
	crew__burst_drop(c);
	return error;
}

/* ---- offering ------------------------------------------------------------------------------ */

/* Every part leaves now: there is no room for more. */
static void flush_all(struct crew__net *net, uint8_t variant)
{
	const struct crew__burst *burst = &net->bursts[variant];
	for (uint32_t slot = 0; slot < crew__net_high(net) && burst->users > 0; slot++) {
		crew_conn *c = crew__net_at(net, slot);
		if (c && c->variant == variant && (c->flags & CREW__C_IN_BURST))
			crew__conn_flush(c);
	}
}

static bool is_member(const struct crew__record *r, const struct crew__broadcast *b)
{
	return r->state == CREW__CONN_OPEN && r->protocol == b->protocol;
}

void crew__net_leave_burst(struct crew__net *net, enum crew__variant variant)
{
	const struct crew__burst *burst = &net->bursts[variant];
	for (uint32_t slot = 0; slot < crew__net_high(net) && burst->users > 0; slot++) {
		crew_conn *c = crew__net_at(net, slot);
		if (c && c->variant == variant)
			crew__conn_own_queue(c);
	}
}

/* Can it take one more by the burst? What it has there already must then leave it first, if not. */
static inline bool joins(crew_conn *c, size_t len, uint32_t at, uint32_t message)
{
	const uint32_t in_the_way = ~(uint32_t)(CREW__C_IN_BURST | CREW__C_DIRTY |
						CREW__C_ON_AGENDA | CREW__C_NOT_READING |
						CREW__C_PIPED);
	struct crew__net *net = c->net;
	bool fits = c->record->bytes_queued + len < net->limits.max_send_buffer;
	if (crew__likely((c->flags & CREW__C_IN_BURST) && fits))
		return true;
	if ((c->flags & in_the_way) || c->queue.head || net->current == c || !fits)
		return false;
	c->flags |= CREW__C_IN_BURST;
	c->burst_at = at;
	c->burst_first = message;
	burst_of(c)->users++;
	crew__conn_agenda(c, CREW__C_DIRTY);
	return true;
}

static void count_queued(struct crew__net *net, struct crew__record *r, size_t len)
{
	if (r->bytes_queued == 0)
		r->queued_since = crew__net_now(net);
	r->messages_queued++;
	r->bytes_queued += len;
}

enum {
	AHEAD = 4
}; /* the connection that comes so much later is fetched into the cache by now */

static size_t offer_to_members(struct crew__net *net, const struct crew__broadcast *b)
{
	struct crew__burst *burst = &net->bursts[b->variant];
	size_t len = b->frame.len;
	uint32_t at = burst->len - (uint32_t)len;
	uint32_t last = crew__net_high(net) - 1;
	size_t taken = 0;
	for (uint32_t slot = 0; slot <= last; slot++) {
		struct crew__record *r = &net->stats.records[slot];
		crew_conn *c = net->slots[slot];
		__builtin_prefetch(net->slots[crew__min(slot + AHEAD, last)]);
		if (!c || c->net != net || c->variant != b->variant || !is_member(r, b) ||
			!joins(c, len, at, burst->messages - 1))
			continue;
		count_queued(net, r, len);
		taken++;
	}
	return taken;
}

/* Those that were in the burst and are at their limit get the rest by their own queue. */
static void send_off_the_full(struct crew__net *net, const struct crew__broadcast *b)
{
	for (uint32_t slot = 0; slot < crew__net_high(net); slot++) {
		crew_conn *c = crew__net_at(net, slot);
		if (!c || !(c->flags & CREW__C_IN_BURST) || c->variant != b->variant ||
			!is_member(c->record, b))
			continue;
		if (c->record->bytes_queued + b->frame.len >= net->limits.max_send_buffer)
			crew__conn_flush(c);
	}
}

static void note(struct crew__burst *burst, const struct crew__broadcast *b)
{
	if (!b->about)
		return;
	b->keep(b->arg);
	burst->notes[burst->note_count++] = (struct crew__burst_note){
		.message = burst->messages - 1,
		.about = b->about,
		.release = b->release,
		.arg = b->arg,
	};
}

size_t crew__burst_offer(struct crew__net *net, const struct crew__broadcast *b)
{
	struct crew__burst *burst = &net->bursts[b->variant];
	struct crew__slab *s = net->stats.slab;
	crew_bytes frame = b->frame;
	crew__must(frame.len > 0 && frame.len <= CREW__BURST_MESSAGE);
	crew__must(b->variant < CREW__BURSTS);
	if (burst->users > 0 && burst->protocol != b->protocol)
		crew__net_leave_burst(net, (enum crew__variant)b->variant);
	burst->protocol = b->protocol;
	if (CREW__BURST_MOST - burst->len < frame.len || burst->messages == CREW__BURST_ENDS ||
		burst->note_count == CREW__BURST_NOTES)
		flush_all(net, b->variant);
	if (burst->users > 0 && burst->len + frame.len >= net->limits.max_send_buffer)
		send_off_the_full(net, b);
	crew__copy(burst->data + burst->len, frame.data, frame.len);
	burst->len += (uint32_t)frame.len;
	burst->ends[burst->messages++] = burst->len;
	note(burst, b);
	crew__slab_begin(s);
	size_t taken = offer_to_members(net, b);
	s->messages_offered += taken;
	s->messages_queued += taken;
	s->bytes_queued += taken * frame.len;
	crew__slab_end(s);
	if (burst->users == 0)
		empty(burst);
	return taken;
}
