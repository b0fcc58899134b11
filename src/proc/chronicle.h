/* chronicle.h - what happens to workers, as events in the directory's ring. Written by the master
 * (or the single process); `events` and the dashboard read them (stats/rings.h). */
#ifndef CREW_PROC_CHRONICLE_H
#define CREW_PROC_CHRONICLE_H

#include "proc/child.h"

/* A worker is ready. */
void crew__chronicle_start(struct crew__registry *registry, const struct crew__life *life);
void crew__chronicle_death(const struct crew__child *child, const struct crew__death *death);

/* It is replaced by a fresh one; `why` is cut to an event's text. */
void crew__chronicle_recycle(const struct crew__child *child, const char *why);
/* One call keeps a worker (CREW__EVENT_SLOW_CALLBACK, _STUCK): for how long, and where it stands. */
void crew__chronicle_stall(const struct crew__child *child, enum crew__event_kind kind,
	uint64_t lasted_ms, const char *where);
/* A worker has died young `young` times in a row and is started again in `wait_ms`; 0 times: that is
 * over. */
void crew__chronicle_crash_loop(struct crew__registry *registry, const struct crew__life *life,
	unsigned young, uint64_t wait_ms, const char *text);

enum crew__reload_step {
	CREW__RELOAD_BEGAN,
	CREW__RELOAD_DONE,
	CREW__RELOAD_FAILED,
};
void crew__chronicle_reload(struct crew__registry *registry, unsigned generation,
	enum crew__reload_step step, const char *text);
/* New certificates of a service could not even be read. */
void crew__chronicle_certificates(
	struct crew__registry *registry, unsigned service, const char *why);
void crew__chronicle_stop(struct crew__registry *registry, const char *text);

#endif
