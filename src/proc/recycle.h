/* recycle.h - replacing workers that have had their time: by requests, age or memory.
 *
 *   [in service] ──(over a limit, no sibling is being replaced)──▸ a fresh one is started beside it
 *        ▲ the fresh one failed: again after a while                        │ ready
 *        └──────────────────────────────────────────────────────────────────┤
 *                                         the fresh one has the slot, the old one drains,
 * gracefully
 *
 * The master looks, twice a second and only where a service has a limit; a worker knows nothing of
 * it until it is told to leave, so that an older one is recycled as well. The limits are given or
 * taken 10 %, for each worker another part of it, so that those that began together do not end
 * together. Of a service one worker is replaced at a time: until the one before has gone, the next
 * one waits. */
#ifndef CREW_PROC_RECYCLE_H
#define CREW_PROC_RECYCLE_H

#include "proc/child.h"

struct crew__master;
struct crew__slot;

enum {
	CREW__RECYCLE_LOOK_MS = 500,
	CREW__RECYCLE_RETRY_MS = 10000, /* after a fresh one that did not become ready */
	CREW__RECYCLE_LEAST_MS = 1000,  /* no worker is replaced sooner */
};

/* `limit`, give or take 10 %, for the worker of that pid and time of birth: always the same. */
uint64_t crew__recycle_limit(uint64_t limit, pid_t pid, uint64_t began_ns);

/* What a worker has come to, and what the settings allow. */
struct crew__recycle_figures {
	pid_t pid;
	uint64_t began_ns, now_ns;
	uint64_t requests, memory; /* memory 0: unknown */
	bool memory_counts;        /* it began below its limit */
};

/* Is it due? Then why, in words. */
bool crew__recycle_due(const struct crew__service_settings *settings,
	const struct crew__recycle_figures *figures, char *ret_why, size_t size);

/* A worker has become ready: what it begins with is noted. */
void crew__recycle_begin(struct crew__child *child);
/* Look from now on, when any service has a limit. Again: nothing. */
void crew__recycle_watch(struct crew__master *master);
/* The loop ends. */
void crew__recycle_unwatch(struct crew__master *master);

/* That child became ready: if it is a fresh one it has the slot now, and true. */
bool crew__recycle_ready(
	struct crew__master *master, struct crew__slot *slot, struct crew__child *child);
/* That child of the slot is dead: if that is all there is to it, because it was a fresh one or one
 * is there already, what follows in `text`, and true. */
bool crew__recycle_buried(
	struct crew__slot *slot, const struct crew__child *child, char *text, size_t size);
/* A child leaves by its own wish (crew_worker_recycle): somebody takes its place meanwhile. */
void crew__recycle_leaving(struct crew__master *master, struct crew__child *child);
/* A reload begins: it replaces all of them. */
void crew__recycle_cancel(struct crew__master *master);

#endif
