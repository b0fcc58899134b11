/* leaving.h - how a worker leaves: what it has been told, and how far it has come.
 *
 *             crew__worker_stop               closing_ns, or only       end_ns
 *   [stays] ─────────────────────▸ [reaching] ────────────────▸ [closing] ──────▸ [cutting]
 *                                      │         nobody is left     │                 │
 *                                      └────────────────────────────┴─────────────────┴──▸ [gone]
 *
 *   reaching  each connection is reached once, in random order; at a reload at moments spread over
 *             the window, else at once. What that means to it is said in leaving.c
 *   closing   all that are still there are closed: queues leave, goodbyes are exchanged
 *   cutting   the window is over: the rest is aborted (reason drain)
 * `leaving` of the worker is WAITS while connections may still go on and what they need may still
 * be made (reaching at a reload, or gracefully), then CLOSES, then GONE. */
#ifndef CREW_SERVICE_LEAVING_H
#define CREW_SERVICE_LEAVING_H

#include "loop/loop.h"
#include "service/worker.h"

enum crew__departure_step {
	CREW__DEPART_NOT,
	CREW__DEPART_REACHING,
	CREW__DEPART_CLOSING,
	CREW__DEPART_CUTTING
};

struct crew__departure {
	struct crew__worker_stop order;
	enum crew__departure_step step;
	bool spread;              /* reaching takes until spread_ns */
	struct crew__timer clock; /* the next step, or somebody has gone */
	struct crew__timer walk;  /* the next connections */
	uint64_t began_ns, spread_ns, closing_ns, end_ns;
	/* The walk over all slots, in the order of x = (a * x + c) mod size, which meets each once.
	 */
	uint32_t x, a, c, size;
	uint32_t done; /* slots met */
	uint64_t random;
};

void crew__departure_init(crew_worker *w);
/* The worker ends without having left, or has. */
void crew__departure_fini(crew_worker *w);
/* May a connection of it still become a WebSocket? At a reload: it is told to come back like all
 * others, which is better for it than a refusal. */
bool crew__departure_takes_upgrades(const crew_worker *w);

#endif
