/* balance.h - accept = least-connections: who has clearly more connections than a sibling stands
 * back from the sockets that they share, until they are level.
 *
 *                        has clearly more than the sibling that has fewest
 *   [listening] ──────────────────────────────────────────────────────────────▸ [standing back]
 *        ◂──────── level with those who listen, or nobody listens: at the next look ─────┘
 *
 * Not watching at all, and not merely ignoring an event: the kernel wakes one worker for each
 * connection, so who is woken must take one. While it stands back a worker looks now and then, and
 * when somebody waits whom no sibling takes, helps. When many come at once all stand back in turn,
 * and begin anew together a millisecond later: each round lets them come nearer to each other.
 *
 *  - Who is woken takes one connection at least.
 *  - When nobody listens everybody comes back at his next look, LAST_LOOK_MS away at most.
 *  - Nothing is refused that would be taken without it.
 *
 * What it costs: a look at the siblings' figures when a listener is woken, and a few calls for each
 * time that it stands back. On fork: nothing; it begins in the worker. */
#ifndef CREW_NET_BALANCE_H
#define CREW_NET_BALANCE_H

#include "base/list.h"
#include "net/net.h"

struct crew__balance {
	struct crew__net *net;
	struct crew__siblings (*siblings)(void *arg);
	void *arg;
	struct crew__node listeners; /* that would accept */
	struct crew__timer look;     /* runs exactly while it stands back */
	uint64_t wait_ns;            /* until the look after this one */
	struct crew__siblings last;  /* at the last look */
	uint64_t enough;             /* here it is time to stand back; UINT64_MAX: never */
	bool stands_back;            /* `standing_back` of the slab says so to the siblings */
	uint32_t waited;             /* looks in a row at which somebody waited */
};

void crew__balance_init(struct crew__balance *balance, struct crew__net *net,
	struct crew__siblings (*siblings)(void *arg), void *arg);
/* No listener is in it any more. */
void crew__balance_fini(struct crew__balance *balance);

/* A listener has been woken: how many it may accept now, at least 1 and at most `most`. */
unsigned crew__balance_share(struct crew__balance *balance, unsigned most);
/* It has done so. */
void crew__balance_accepted(struct crew__balance *balance);

#endif
