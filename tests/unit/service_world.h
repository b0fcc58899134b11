/* service_world.h - a worker with a real loop and real sockets, inside the test's own process. */
#ifndef CREW_TESTS_SERVICE_WORLD_H
#define CREW_TESTS_SERVICE_WORLD_H

#include "service/inner.h"
#include "stats/segment.h"

struct world {
	struct crew__loop *loop;
	struct crew__segment segment;
	struct crew__service_settings settings;
	crew_worker *worker;
	bool done; /* the worker has stopped */
};

/* A started worker of `service` (its `listen` names the protocol; nothing is bound). Limits are the
 * defaults but for what the caller sets in `world->settings` by `adjust`, which may be NULL. False
 * when something could not be allocated: then nothing is left behind. */
bool world_open(struct world *world, const crew_service *service, enum crew__engine_kind engine,
	void (*adjust)(struct crew__service_settings *settings));
void world_close(struct world *world);

/* Connect a peer: its end of a socket pair, non-blocking; -1 when the worker could not take it. */
int world_connect(struct world *world);

/* Turns until nothing more happens, each followed by a check of all invariants and laws. */
void world_settle(struct world *world);
void world_turn(struct world *world, int max_wait_ms);

/* The newest connection. */
crew_conn *world_conn(struct world *world, uint32_t slot);

#endif
