/* conn.h - one peer: its socket, its send queue, its end.
 *
 * Not here: what bytes mean (proto/, service/), where numbers are shown (stats/).
 * On fork: nothing; connections are made only in workers, after exec.
 *
 *                 crew__conn_opened        crew__conn_close         queue empty, parted
 *   [accepted] ─▸ HANDSHAKE ─────────▸ OPEN ──────────▸ CLOSING ───────────▸ LINGER
 *                     │                 │                  │                    │
 *                     └─────────────────┴── crew__conn_abort / a broken socket ─┤
 *                                                          peer's end, or time ─┴─▸ CLOSED
 *   CLOSED ──(turn's end: losses told, on_closed)──▸ [freed]
 *
 *   HANDSHAKE, OPEN  both directions live
 *   CLOSING          nothing new is offered (-ENOTCONN); what is queued leaves; input is thrown
 *                    away, unless the protocol waits for the peer's goodbye
 *   LINGER           our side is shut down; input is thrown away until the peer's end
 *   CLOSED           the descriptor is closed; the memory stays until the turn's end
 *
 * Invariants, between turns, of a connection that is not CLOSED:
 *  - record->bytes_queued and messages_queued are the sums over its queue;
 *  - nothing of a connection that is CAPPED or TIGHT is in the cork or the burst;
 *  - IN_BURST implies that its queue is empty and the kernel took all before (burst.h);
 *  - the queue is empty, or we are watching for writability (WRITING), or it is on the agenda, or
 * the rate cap holds it back (HELD_BACK);
 *  - its source, where it has one, watches READ exactly when it may read, WRITE exactly when
 * WRITING;
 *  - what its transport holds is counted as queued (io.h), and then it is WRITING. */
#ifndef CREW_NET_CONN_H
#define CREW_NET_CONN_H

#include "base/buf.h"
#include "net/io.h"
#include "net/net.h"

#include <sys/socket.h>

#define CREW__CONN_MAGIC 0x4372u

enum {
	/* Why we do not read. */
	CREW__C_PAUSED = 1u << 0,       /* the program paused it */
	CREW__C_HELD = 1u << 1,         /* its own queue is over half full */
	CREW__C_WAITING = 1u << 2,      /* the protocol waits for the program (an HTTP answer) */
	CREW__C_PIPE_FULL = 1u << 3,    /* what it flows into cannot keep up */
	CREW__C_OVER_BUDGET = 1u << 31, /* the buffer budget is nearly spent (budget.h) */
	CREW__C_STOPPED = CREW__C_PAUSED | CREW__C_HELD | CREW__C_WAITING | CREW__C_PIPE_FULL |
			  CREW__C_OVER_BUDGET,
	CREW__C_PEER_ENDED = 1u << 4, /* its end of stream has been read */
	CREW__C_NOT_READING = CREW__C_STOPPED | CREW__C_PEER_ENDED,
	/* Writing. */
	CREW__C_WRITING = 1u << 5, /* the kernel is full: we watch for writability */
	CREW__C_BACKLOG =
		1u << 6,        /* kernel or queue was full since it was empty: on_drain is due */
	CREW__C_FULL = 1u << 7, /* at max_send_buffer since it was last below */
	CREW__C_FINISHING = 1u << 8, /* shut our side down once the queue is empty */
	CREW__C_FINISHED = 1u << 9,  /* it is shut down */
	/* Ending. */
	CREW__C_UNPARTED = 1u << 10,  /* CLOSING: the protocol waits for the peer's goodbye */
	CREW__C_END_TOLD = 1u << 12,  /* the layer above knows of PEER_ENDED */
	CREW__C_ON_AGENDA = 1u << 13, /* it is in the list */
	CREW__C_PIPED = 1u << 14,     /* its rare record has pipes */
	CREW__C_IN_BURST = 1u << 15,  /* broadcasts of this turn wait for it in the burst */
	CREW__C_DETACHED = 1u << 11,  /* hung up while paused: out of the loop until resumed */
	CREW__C_PARTS = 1u << 22,     /* a message in parts is under way */
	CREW__C_LEFT =
		1u << 25, /* its end has been seen while an answer is awaited: not read yet */
	CREW__C_WANTS_ROOM = 1u << 24, /* to be told when there is room (crew__conn_has_room) */
	/* The agenda. */
	CREW__C_DIRTY = 1u << 16, /* flush it, and see whether closing can go on */
	CREW__C_FEED = 1u << 17,  /* deliver the input that was kept */
	CREW__C_TELL_FULL = 1u << 18,
	CREW__C_TELL_DRAIN = 1u << 19,
	CREW__C_TELL_LOSS = 1u << 20,
	CREW__C_DOOMED = 1u << 21, /* CLOSED: tell and free */
	CREW__C_TELL_ROOM = 1u << 23,
	CREW__C_AGENDA = 0x3fu << 16 | CREW__C_TELL_ROOM,
	/* Slow readers. */
	CREW__C_TELL_GAP = 1u << 30, /* on_gap is due once what waits has moved and there is room */
	CREW__C_CAPPED = 1u << 26,   /* it has a rate cap (rate.h) */
	CREW__C_HELD_BACK =
		1u << 27,         /* ... which holds its queue back: the wheel goes on with it */
	CREW__C_TIGHT = 1u << 28, /* its limit is rare->limit, not the service's */
	CREW__C_SLOW = 1u << 29,  /* an episode is under way (conn_slow.h) */
};

/* Each flag is one bit, no two are the same: all 32 are in use. */
_Static_assert((uint64_t)CREW__C_PAUSED + CREW__C_HELD + CREW__C_WAITING + CREW__C_PIPE_FULL +
			       CREW__C_OVER_BUDGET + CREW__C_PEER_ENDED + CREW__C_WRITING +
			       CREW__C_BACKLOG + CREW__C_FULL + CREW__C_FINISHING +
			       CREW__C_FINISHED + CREW__C_UNPARTED + CREW__C_END_TOLD +
			       CREW__C_ON_AGENDA + CREW__C_PIPED + CREW__C_IN_BURST +
			       CREW__C_DETACHED + CREW__C_PARTS + CREW__C_LEFT +
			       CREW__C_WANTS_ROOM + CREW__C_DIRTY + CREW__C_FEED +
			       CREW__C_TELL_FULL + CREW__C_TELL_DRAIN + CREW__C_TELL_LOSS +
			       CREW__C_DOOMED + CREW__C_TELL_ROOM + CREW__C_TELL_GAP +
			       CREW__C_CAPPED + CREW__C_HELD_BACK + CREW__C_TIGHT + CREW__C_SLOW ==
		       UINT32_MAX,
	"two flags are one bit");

/* What a write needs comes first, in one cache line: a broadcast visits every connection. */
struct crew_conn {
	struct crew__source source;
	uint16_t magic;
	uint8_t io; /* enum crew__io_kind: how its bytes travel */
	uint8_t variant; /* enum crew__variant: which bytes of a broadcast are its own (burst.h) */
	int fd;     /* -1 when CLOSED, or NONE, and for one that shares its socket */
	struct crew__net *net;
	struct crew__record *record; /* state, end, counters: the only copy */
	crew_conn *next_agenda;
	uint32_t slot;
	uint32_t flags;
	union {
		uint32_t since;    /* hundredths: when CLOSING or LINGER began */
		uint32_t burst_at; /* IN_BURST: where its part begins (burst.h) */
		uint32_t parts_taken; /* PARTS, while it is open: bytes of the message were taken */
	};
	union {
		uint32_t asked_turn;  /* the turn in which a full kernel was last asked */
		uint32_t burst_first; /* IN_BURST: the first message of its part */
	};
	struct crew__queue queue;
	struct crew__buf in; /* unfinished input, kept for the next read */
	struct crew__wheel_entry wheel;
	_Alignas(16) char ext[]; /* of the layer above */
};
_Static_assert(sizeof(struct crew_conn) == 128, "every connection pays for each byte");

/* The connection in a slot, NULL when it is free, or of another net that shares the table. */
static inline crew_conn *crew__net_at(const struct crew__net *net, uint32_t slot)
{
	crew_conn *c = net->slots[slot];
	return c && c->net == net ? c : NULL;
}

static inline struct crew__rare *crew__conn_rare(const crew_conn *c)
{
	return &c->net->rare[c->slot];
}

/* Its rare record, to write to. */
static inline struct crew__rare *crew__conn_touch(crew_conn *c)
{
	struct crew__rare *rare = &c->net->rare[c->slot];
	rare->used = true;
	return rare;
}

/* Below it a message is taken, at it the policy decides. */
static inline size_t crew__conn_limit(const crew_conn *c)
{
	return crew__unlikely(c->flags & CREW__C_TIGHT) ? c->net->rare[c->slot].limit
							: c->net->limits.max_send_buffer;
}

/* What may wait for one that has not proved who it is. */
static inline size_t crew__conn_unauthenticated_limit(const struct crew__net *net)
{
	return crew__min(net->limits.unauthenticated_limit, net->limits.max_send_buffer);
}

/* How its bytes travel; NULL: by its own socket. */
static inline const struct crew__io *crew__conn_io(const crew_conn *c)
{
	return crew__unlikely(c->io != CREW__IO_SOCKET) ? crew__ios[c->io] : NULL;
}

/* Its transport holds something that must leave. */
static inline bool crew__conn_holds(const crew_conn *c)
{
	const struct crew__io *io = crew__conn_io(c);
	return io && io->pending(c);
}

/* TCP carries it, whatever TCP carries first. */
static inline bool crew__conn_is_tcp(const crew_conn *c)
{
	uint8_t transport = c->record->transport;
	return transport == CREW__TCP ||
	       (transport == CREW__TLS && c->net->stats.cold[c->slot].remote.family != AF_UNIX);
}

/* Where its input flows, or NULL; and whose input flows into it. */
static inline crew_conn *crew__conn_pipe_to(const crew_conn *c)
{
	return crew__unlikely(c->flags & CREW__C_PIPED) ? crew__conn_rare(c)->pipe_to : NULL;
}

static inline crew_conn *crew__conn_pipe_from(const crew_conn *c)
{
	return crew__unlikely(c->flags & CREW__C_PIPED) ? crew__conn_rare(c)->pipe_from : NULL;
}

static inline void crew__conn_clear(crew_conn *c, uint32_t flags)
{
	c->flags &= ~flags;
}

/* Now, in hundredths since the life began; worked out once a turn. */
uint32_t crew__net_read_clock(struct crew__net *net);
static inline uint32_t crew__net_now(struct crew__net *net)
{
	if (crew__likely(net->now_turn == net->clock->turn))
		return net->now;
	return crew__net_read_clock(net);
}

/* How the bytes of a message may be kept when they must wait. */
enum crew__hold {
	CREW__HOLD_COPY,
	CREW__HOLD_REFER
};

/* One message, framed. head and tail are always copied when they must wait. `release(body, arg)`
 * runs exactly once whatever becomes of the message, before the send returns or later; NULL: the
 * body needs none. */
struct crew__out {
	crew_bytes head, body, tail;
	enum crew__hold hold;
	crew__release_fn *release;
	void *arg;
	const struct crew__about *about; /* NULL: nothing is said of it */
	bool owned;    /* the body was handed over: its memory is the queue's while it waits */
	bool referred; /* set when the queue refers to the body, and so releases it */
	bool open_end; /* a part: the message goes on behind it */
};

/* The short way for a short message: while a connection's own event is handled and nothing of it is
 * queued, a frame can be written where it will leave from. Room for `total` bytes, or NULL: then
 * crew__conn_send it is. Write all of it, then call crew__conn_corked. */
static inline char *crew__conn_cork_room(crew_conn *c, size_t total)
{
	struct crew__net *net = c->net;
	const uint32_t not_now = CREW__C_WRITING | CREW__C_FINISHING | CREW__C_IN_BURST |
				 CREW__C_CAPPED | CREW__C_TIGHT;
	bool may = net->current == c && !c->queue.head && !(c->flags & not_now) &&
		   c->record->state <= CREW__CONN_OPEN && total < CREW__DIRECT_LEAST &&
		   total <= CREW__CORK_MOST - net->cork.len &&
		   net->cork.messages < CREW__CORK_ENDS &&
		   c->record->bytes_queued + total < net->limits.max_send_buffer;
	return crew__likely(may) ? net->cork.data + net->cork.len : NULL;
}

/* Accepted: offered and queued, in one update. */
static inline void crew__conn_count_accepted(crew_conn *c, size_t bytes, uint32_t now)
{
	struct crew__slab *s = c->net->stats.slab;
	struct crew__record *r = c->record;
	if (r->bytes_queued == 0)
		r->queued_since = now;
	crew__slab_begin(s);
	s->messages_offered++;
	s->messages_queued++;
	s->bytes_queued += bytes;
	r->messages_queued++;
	r->bytes_queued += bytes;
	crew__slab_end(s);
}

/* Returns the bytes queued, as crew_send does. */
static inline int64_t crew__conn_corked(crew_conn *c, size_t total)
{
	struct crew__net *net = c->net;
	crew__conn_count_accepted(c, total, net->now);
	net->cork.len += (uint32_t)total;
	net->cork.ends[net->cork.messages++] = net->cork.len;
	return (int64_t)c->record->bytes_queued;
}

/* Offer a message. As crew_send: bytes queued, or -ENOTCONN, -ENOBUFS, -ENOMEM, counted and noted.
 */
int64_t crew__conn_send(crew_conn *c, struct crew__out *out);

/* ---- a message in parts (an HTTP answer whose body comes bit by bit) ----
 *
 * Offered and queued when it begins, sent when the kernel has the last byte of its last part; one
 * at a time for a connection, and nothing else is sent between its parts (CREW__C_PARTS). */

/* 0, or as crew__conn_send for a message that is refused (counted and noted). -EBUSY: one is under
 * way. */
int64_t crew__conn_begin_parts(crew_conn *c);

/* The next part, `out` as for crew__conn_send; with `last` the message is complete, and the part
 * may be empty. Bytes queued. -ENOBUFS: the queue is at its limit: nothing was taken, nothing
 * counted (never with `last`). -ENOTCONN. -ENOMEM: the connection is broken. */
int64_t crew__conn_part(crew_conn *c, struct crew__out *out, bool last);

/* `len > 0` bytes at `offset` of a file, as a part, sent by the kernel from where they lie.
 * `release` runs exactly once, as in crew__out. A file that turns out to be shorter breaks the
 * connection. */
struct crew__file_part {
	int fd;
	uint64_t offset;
	uint32_t len;
	crew__release_fn *release; /* release(NULL, arg) */
	void *arg;
};
int64_t crew__conn_part_file(crew_conn *c, const struct crew__file_part *part, bool last);

/* Is there room for more of what is made on demand? Half of the limit may wait, but no more than
 * keeps the kernel busy: a thousand readers that stall are to cost little. */
static inline bool crew__conn_has_room(const crew_conn *c)
{
	size_t half = crew__conn_limit(c) / 2;
	return c->record->bytes_queued <= crew__min(half, CREW__ROOM_MOST);
}

/* CREW__NOTICE_ROOM, once, as soon as there is room: at this turn's end at the
 * soonest, or, asked for in that notice, in the next turn, which then comes without waiting. */
void crew__conn_want_room(crew_conn *c);

/* The message in parts cannot be completed: it is lost. For the end of the connection. */
void crew__conn_break_parts(crew_conn *c, crew_end_reason end);

/* Queue bytes that belong to no message: never refused for fullness, never dropped while the
 * connection lives. crew__conn_control keeps their order (a handshake's answer, a close frame, a
 * refusal); crew__conn_urgent lets them pass all messages that have not begun (ping, pong). 0,
 * -ENOTCONN when CLOSED or shut down, -ENOMEM. */
int crew__conn_control(crew_conn *c, crew_bytes bytes);
int crew__conn_urgent(crew_conn *c, crew_bytes bytes);

/* As the functions of crew.h say; the arguments are good. */
void crew__conn_set_policy(crew_conn *c, crew_policy policy);
void crew__conn_set_rate(crew_conn *c, uint64_t bytes_per_s, uint64_t messages_per_s);
void crew__conn_authenticated(crew_conn *c);
/* The most that one of its messages may have by what it has proved of itself. */
size_t crew__conn_most_of(const crew_conn *c, size_t max_message);

/* A message was offered to nobody (NULL connection, stale id) or to one that is closing. */
void crew__net_lose_closed(struct crew__net *net, crew_conn *c, size_t bytes);
/* There was no memory to frame it; `about` may be NULL. Returns -ENOMEM. */
int64_t crew__conn_lose_memory(crew_conn *c, size_t bytes, const struct crew__about *about);
/* Arguments that can never be sent. */
void crew__net_count_invalid(struct crew__net *net);

/* ---- a connection that is being made (conn_begin.c) ----
 *
 *   crew__net_begin ─▸ [io NONE] ─crew__conn_connected─▸ [io SOCKET] ─(TLS, handshake)─▸ opened
 *
 * What is sent to it meanwhile waits in its queue, and is lost as `handshake` when it never stands.
 */

/* Without a socket yet. NULL with errno EMFILE or ENOMEM. */
crew_conn *crew__net_begin(struct crew__net *net);
/* It has its socket, connected and non-blocking; taken over in every case. 0; or an errno, and then
 * it has ended (`handshake`). */
int crew__conn_connected(crew_conn *c, int take_fd);
/* Bytes of its handshake: they leave before all that waits. 0, -ENOMEM, -ENOTCONN. */
int crew__conn_handshake_bytes(crew_conn *c, crew_bytes bytes);

/* ---- one that comes from another process (conn_move.c) ----
 *
 * Prepared, it has a slot and nobody sees it: no id, not counted, without a descriptor. Taken over, it is
 * there, with what waits in its queue. NULL with errno EMFILE or ENOMEM. */
crew_conn *crew__net_prepare(struct crew__net *net, const struct crew__record_address *remote,
	const struct crew__record_address *local);
void crew__net_unprepare(crew_conn *c);
void crew__net_take_over(crew_conn *c, uint64_t bytes, uint32_t messages);

/* It is that client's, as the proxy says whose address it was accepted with: once, where the net is
 * `proxied`. False: max_connections_per_ip is reached there; that is counted. */
bool crew__conn_comes_from(crew_conn *c, const struct crew__record_address *client);
void crew__conn_opened(crew_conn *c);
/* End in good order. Later calls change nothing. */
void crew__conn_close(crew_conn *c, crew_end_reason reason);
/* The peer's goodbye has come, or is no longer waited for. */
void crew__conn_parted(crew_conn *c);
/* Reset; what was queued is lost, `aborted` or as the reason says. */
void crew__conn_abort(crew_conn *c, crew_end_reason reason);
int crew__conn_finish(crew_conn *c);

/* Stop and go on reading, for one of the reasons in CREW__C_STOPPED. */
void crew__conn_stop_reading(crew_conn *c, uint32_t why);
void crew__conn_go_on_reading(crew_conn *c, uint32_t why);

int crew__conn_pipe(crew_conn *from, crew_conn *to);

/* Look at the deadlines at `due` or sooner. */
void crew__conn_deadline(crew_conn *c, uint32_t due);

/* May input be delivered? Looks at the queue as well: over half full holds the connection. */
bool crew__conn_ready_slow(crew_conn *c);
static inline __attribute__((always_inline)) bool crew__conn_ready(crew_conn *c)
{
	const uint32_t troubles = CREW__C_STOPPED | CREW__C_TIGHT;
	if (crew__unlikely(c->record->bytes_queued * 2 > c->net->limits.max_send_buffer ||
			   (c->flags & troubles)))
		return crew__conn_ready_slow(c);
	return crew__likely(c->record->state <= CREW__CONN_OPEN);
}

/* Bytes of the peer's stream that its kernel has not acknowledged yet; negative errno (or -ENOTSUP
 * where there is no such figure). */
int64_t crew__conn_unacked(const crew_conn *c);

/* Assert the invariants above. For tests. */
void crew__conn_check(const crew_conn *c);

/* Below: between the files of this module. */
int crew__conn_attach(crew_conn *c);
/* The addresses of its socket's two ends go into its record; the family of the far one, AF_UNSPEC:
 * there is none. */
sa_family_t crew__conn_note_ends(crew_conn *c);
crew_conn *crew__conn_new(struct crew__net *net, int take_fd, uint32_t slot, unsigned io);
/* It has become open: what waited for that may leave. */
void crew__conn_let_go(crew_conn *c);
/* More can be read from its transport than the kernel would tell of. */
bool crew__conn_has_more(const crew_conn *c);
void crew__conn_flush(crew_conn *c);
/* What waits for it in the burst moves to its own queue, so that something else can follow. False:
 * that could not be, and the connection is broken (`memory`). */
bool crew__conn_own_queue(crew_conn *c);
void crew__conn_drop_queue(crew_conn *c, crew_end_reason end);
void crew__conn_agenda(crew_conn *c, uint32_t what);
void crew__conn_broken(crew_conn *c, crew_end_reason reason);
/* Ended in good order: nothing is queued. */
void crew__conn_done(crew_conn *c);
void crew__conn_advance(crew_conn *c);
void crew__conn_watch(crew_conn *c);
void crew__conn_tell(crew_conn *c);
void crew__conn_finish_event(crew_conn *c);
void crew__conn_feed(crew_conn *c);
void crew__conn_free(crew_conn *c);
void crew__net_flush_cork(struct crew__net *net);
uint32_t crew__conn_on_wheel(void *arg, struct crew__wheel_entry *entry, uint32_t now);

#endif
