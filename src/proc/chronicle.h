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
