/* conn_out.h - what the ways out share (conn_out.c, conn_parts.c, conn_write.c); nobody else
 * includes it. */
#ifndef CREW_NET_CONN_OUT_H
#define CREW_NET_CONN_OUT_H

#include "net/conn.h"

#include <sys/types.h>

static inline bool crew__out_empty_handed(const crew_conn *c)
{
	return crew__queue_empty(&c->queue) && !(c->flags & (CREW__C_WRITING | CREW__C_CAPPED));
}

/* A message in parts is under way that has begun to leave, and nothing of it waits in the queue. */
static inline bool crew__out_is_midway(const crew_conn *c)
{
	return crew__unlikely(c->flags & CREW__C_PARTS) && c->record->state <= CREW__CONN_OPEN &&
	       c->parts_taken && crew__queue_empty(&c->queue);
}

enum {
	CREW__LOOK_FIRST =
		25, /* hundredths: a backlog is looked at for the first time after so long */
	CREW__US_PER_HUNDREDTH = 10000,
};

/* The later of two times that have passed; right for 497 days, when the hundredths come round. */
static inline uint32_t crew__conn_later(const crew_conn *c, uint32_t a, uint32_t b)
{
	uint32_t now = crew__net_now(c->net);
	return now - a <= now - b ? a : b;
}

size_t crew__out_size(const struct crew__out *out);
static inline struct crew__framed crew__out_framed(const struct crew__out *out)
{
	return (struct crew__framed){ out->head, out->body, out->tail,
		out->hold == CREW__HOLD_REFER, out->owned, out->release, out->arg };
}

/* Bytes are queued that end no message. */
void crew__out_count_bytes(crew_conn *c, size_t bytes);
/* The kernel, or the transport, took `bytes`, and with them the last byte of `messages`. */
void crew__out_settle(crew_conn *c, size_t bytes, uint32_t messages);
/* For transports (io.h): `out` bytes went to the kernel, `bytes` of what was queued with them. */
void crew__out_left(crew_conn *c, size_t bytes, size_t out, uint32_t messages);
/* A message was not accepted: offered and failed in one update. */
void crew__out_lose_offered(crew_conn *c, crew_reason reason, size_t bytes);
/* Messages that waited, with the bytes of theirs that did, are lost: they leave the counts of what
 * is queued in the update in which they fail. */
void crew__out_lose_queued(crew_conn *c, crew_reason reason, uint32_t messages, uint64_t bytes);
/* Why messages are lost that wait when a connection ends for that reason. */
crew_reason crew__out_loss_at(crew_end_reason end);

/* Bytes that the kernel took, 0 when it is full, -1 when the connection broke (it is CLOSED then).
 * `more`: another write follows at once. */
ssize_t crew__out_write(crew_conn *c, struct iovec *vectors, size_t count, bool more);
/* What a failed write means, by errno: 0 when the kernel is full, -1 when the connection broke (it is
 * CLOSED then). */
ssize_t crew__out_failed(crew_conn *c);
/* Past the transport: what it made of them. */
ssize_t crew__out_to_socket(crew_conn *c, struct iovec *vectors, size_t count, bool more);
ssize_t crew__out_send_file(crew_conn *c, int fd, uint64_t offset, size_t len);
/* The cork of the connection whose event it is, with another write to follow at once. */
void crew__out_flush_cork_before_more(struct crew__net *net);
void crew__out_kernel_is_full(crew_conn *c);

/* At its limit, the kernel having been asked once more (once a turn)? It may be CLOSED after it. */
bool crew__out_still_full(crew_conn *c);
/* It has reached its limit: on_full is to be told. */
void crew__out_reached_limit(crew_conn *c);

/* ---- conn_policy.c ---- */

/* The queue is at its limit, and the kernel takes no more: the policy makes room for a message of
 * `total` bytes, or does not: -ENOBUFS, counted and noted. It may be CLOSED after it. */
int crew__policy_full(crew_conn *c, const struct crew__about *about, size_t total);
/* A message that waits with the key of `out` gives up its place to it. False: there is none, or it
 * cannot be. */
bool crew__policy_replace(crew_conn *c, struct crew__out *out, size_t total);
/* A message that was queued in the burst comes to the queue: it takes the place of one with its key
 * that has come there before. False: there is none, or it cannot be; nothing was done. */
bool crew__policy_keep_latest(crew_conn *c, crew_bytes frame, const struct crew__about *about);
/* Of messages that bring none of their own. */
crew_policy crew__policy_of_conn(const crew_conn *c);
/* Messages whose time to live has passed are lost, of all connections. */
void crew__policy_expire(struct crew__net *net);
void crew__policy_on_expiry(struct crew__timer *timer);
/* Units came by another way: the timer stands at the first one's time, or before it. */
void crew__policy_watch_expiry(struct crew__net *net);
/* Queue a whole message of which something is said: in its lane, with its unit, and watched for its
 * time to live; in the place of `before`, a unit of the same lane, if that is not NULL. 0, -ENOMEM.
 */
int crew__policy_insert(crew_conn *c, const struct crew__framed *message,
	const struct crew__about *about, const struct crew__unit *before);
/* The queue of `c` has grown: the soft limit's clock, and when to look. */
void crew__policy_grown(crew_conn *c);
/* It is shorter than the soft limit again; look at that only where it was not. */
void crew__policy_shrunk(crew_conn *c);
/* A loss that on_gap is to tell of. */
void crew__policy_note_gap(crew_conn *c, uint64_t bytes, const struct crew__about *about);
/* TELL_GAP, and the kernel took bytes: on_gap is due if there is room to answer. */
void crew__policy_moved(crew_conn *c);
void crew__policy_tell_gap(crew_conn *c);
/* The soft limit's and the authentication's deadlines: act on those that have come. The next, or
 * CREW__WHEEL_OUT. */
uint32_t crew__policy_deadline(crew_conn *c, uint32_t now);

/* What has become true because the queue got shorter. */
void crew__out_shorter(crew_conn *c);
/* Something waits that the kernel is to be asked for at the turn's end. */
void crew__out_wants_flush(crew_conn *c);

/* Queue what is left of `out` of which `skip` bytes are in the kernel already: all or nothing. */
int crew__out_queue_rest(crew_conn *c, struct crew__out *out, size_t skip);

#endif
