/* names.h - what a process needs to reach others by their names: one resolver, made when the first
 * name is asked for, and the kinds of proxies that it can go through.
 *
 * Not here: outgoing connections (connect.h) and requests (fetch.h), which use both. On fork:
 * nothing; both are made only in workers. */
#ifndef CREW_SERVICE_NAMES_H
#define CREW_SERVICE_NAMES_H

#include "base/preamble.h"
#include "net/resolver.h"
#include "service/worker.h"

/* The resolver of this worker's process; the workers of --single share it. NULL without memory, or
 * when the system's configuration cannot be read: the log says so. */
struct crew__resolver *crew__worker_resolver(crew_worker *w);

/* The last worker of the process has gone, and all that was dialled with it. */
void crew__names_free(void);

/* For crew__dial_plan.preambles, ended by NULL. */
extern const struct crew__preamble *const crew__preambles[];

#endif
