/* conn_move.h - a connection that goes on in another process, with all that net knows of it.
 *
 *   crew__conn_movable ─▸ crew__conn_pack ─▸ (the layer above packs its part, and sends both) ─▸
 *   crew__conn_give_away
 *
 *   crew__moved_read ─▸ crew__net_restore ─▸ (the layer above restores its part) ─▸
 *   crew__conn_attach_moved ─▸ crew__conn_settle            crew__conn_unrestore, until settled
 *
 * What the kernel has of it moves with the descriptor: unread bytes, unsent bytes, options. What it
 * is looked at for (episodes, verdicts) begins anew. */
#ifndef CREW_NET_CONN_MOVE_H
#define CREW_NET_CONN_MOVE_H

#include "base/parcel.h"
#include "net/conn.h"

enum crew__movable {
	CREW__MOVES,
	CREW__MOVES_LATER, /* something is under way that will be over, in this turn or some turns
			      on */
	CREW__MOVES_NEVER, /* its transport, its pipe, half its end: it stays where it is */
};

/* At a turn's end, when nobody's event is being handled. */
enum crew__movable crew__conn_movable(crew_conn *c);
/* The program was called for one that moves: what it sent is to move as well. False: something else
 * was done, and it does not move in this turn. */
bool crew__conn_gather(crew_conn *c);
/* It was gathered, and does not go after all: what waits leaves here. */
void crew__conn_stays(crew_conn *c);

/* Write down what net knows of one that moves. What fails is remembered in the parcel. */
void crew__conn_pack(crew_conn *c, struct crew__parcel *parcel);

/* It is another process's now: the last call. Counted as handed over with what waits; on_closed is
 * called (CREW_END_HANDED_OVER), and it is freed. Returns its descriptor, the caller's. At a turn's
 * end. */
int crew__conn_give_away(crew_conn *c);

/* What was packed; views of the parcel. */
struct crew__moved {
	uint64_t id; /* what it was called there */
	uint8_t transport;
	uint64_t bytes_in, bytes_out;
	uint32_t fail[CREW_LOST_REASONS];
	struct crew__record_address local, remote;
	/* Hundredths that have passed since. */
	uint32_t opened, last_in, last_out, queued;
	uint32_t soft; /* plus one; 0: it is below the soft limit */
	uint8_t policy;
	bool own_rate, unauthenticated, paused, backlog;
	uint64_t rate_bytes, rate_messages;
	uint32_t held_back;   /* hundredths that a rate cap held it back, in all */
	struct crew__gap gap; /* losses that on_gap is still to tell of; messages 0: none */
	crew_bytes input;     /* what the protocol has not taken yet */
	crew_bytes queue;
};

/* Take what is in `packed`. 0, -EPROTO. */
int crew__moved_read(crew_bytes packed, struct crew__moved *ret_moved);

/* It, as far as that can fail, unseen. NULL with errno: EMFILE (no slot), ENOMEM, EPROTO, ENOBUFS
 * (its input is longer than what may be kept here). */
crew_conn *crew__net_restore(struct crew__net *net, const struct crew__moved *moved);
/* Undo that; the descriptor, if it has one, stays the caller's. */
void crew__conn_unrestore(crew_conn *c);
/* It has its descriptor, which the loop watches. 0 or an errno: then it has none. */
int crew__conn_attach_moved(crew_conn *c, int fd);
/* From here on it is there as any other, in the state OPEN. Nothing is called in this. */
void crew__conn_settle(crew_conn *c, const struct crew__moved *moved);

#endif
