/* burst.h - the broadcasts of a turn, kept once for all who get the same.
 *
 * A short broadcast is appended to one buffer of the worker. A receiver to whom nothing else is
 * going has only to know where its part begins: at the turn's end it is sent from there in one
 * write, however many messages came together, with no copy and no allocation for each receiver.
 * What the kernel does not take then, or what else is sent to that connection before, moves its
 * part to its own queue first (crew__burst_leave).
 *
 * What is broadcast may leave in more than one form (WebSocket: compressed, and as it is): each
 * such variant has a burst of its own, and a connection is in that of its variant or in none.
 *
 * Invariants, of each burst:
 *  - users is the number of connections of its variant with CREW__C_IN_BURST; the buffer is empty
 *    when it is 0;
 *  - such a connection is OPEN, on the agenda as DIRTY, its queue is empty and it is not WRITING;
 *  - all of them speak the same protocol;
 *  - its part reaches from burst_at to the buffer's end, and from message burst_first to the last:
 *    it has been in every broadcast since. */
#ifndef CREW_NET_BURST_H
#define CREW_NET_BURST_H

#include "net/queue.h"
#include "stats/slab.h"

struct crew__net;

enum {
	CREW__BURST_MOST = 64 * 1024,
	CREW__BURST_ENDS = 4096,
	CREW__BURST_MESSAGE = 2 * 1024, /* a longer broadcast is referred to instead */
};

/* Which bytes of a broadcast are a connection's own (crew_conn.variant); what that means is the
 * business of the layer above. It does not change while the connection is in a burst. */
enum crew__variant {
	CREW__VARIANT_PLAIN,
	CREW__VARIANT_PACKED,
	CREW__BURSTS,
	CREW__VARIANT_APART = CREW__BURSTS, /* nobody else's: in no burst */
};

/* A broadcast in one variant. What is said of it is needed as long as it is in the burst:
 * `keep(arg)` is called when it goes there, `release(NULL, arg)` when it is over. `about` NULL: nothing is said, neither
 * is called. */
struct crew__broadcast {
	crew_bytes frame; /* at most CREW__BURST_MESSAGE bytes, not 0 */
	uint8_t protocol, variant;
	const struct crew__about *about;
	void (*keep)(void *arg);
	crew__release_fn *release;
	void *arg;
};

/* What is said of the burst's message `message`. */
struct crew__burst_note {
	uint32_t message;
	const struct crew__about *about;
	crew__release_fn *release;
	void *arg;
};

enum {
	CREW__BURST_NOTES = 1024
};

struct crew__burst {
	char *data;
	uint32_t *ends;                 /* offsets of the message ends in data */
	struct crew__burst_note *notes; /* in the order of the messages */
	uint32_t note_count;
	uint32_t len;
	uint32_t messages;
	uint32_t users;
	uint8_t protocol; /* of all users: their parts are the same bytes */
};

int crew__burst_init(struct crew__burst *burst); /* -ENOMEM */
void crew__burst_fini(struct crew__burst *burst);

/* Offer it to every connection of its variant that is open, speaks its protocol and can take it by
 * the burst; those that cannot are left to the caller: exactly the members without CREW__C_IN_BURST.
 * Returns how many took it. */
size_t crew__burst_offer(struct crew__net *net, const struct crew__broadcast *b);

/* Nobody is in that burst any more: something that it cannot carry goes to all. */
void crew__net_leave_burst(struct crew__net *net, enum crew__variant variant);

/* Its part, still to be sent; none when it is not in the burst. */
crew_bytes crew__burst_part(const crew_conn *c);
/* `taken` bytes of its part were sent, and with them ended `ret_messages`. The connection is out of
 * the burst; what was not taken is copied to its queue. 0, or -ENOMEM: it could not be. */
int crew__burst_leave(crew_conn *c, size_t taken, uint32_t *ret_messages);
/* Out of the burst, and its part with it: the connection has ended. */
void crew__burst_drop(crew_conn *c);

#endif
