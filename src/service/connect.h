/* connect.h - the outgoing connections of a worker: what the rest of this layer knows of them.
 *
 * Connections of one service and protocol are those of a *client*: a crew_worker of its own kind,
 * which has a net that shares slots, records and counters with the worker's (`parent`), so that all
 * that walks slots and records finds them, and every function that looks at crew__worker_of(c)
 * finds their service. It never listens, starts or stops by itself.
 *
 * On fork: nothing; it is made only in workers. */
#ifndef CREW_SERVICE_CONNECT_H
#define CREW_SERVICE_CONNECT_H

#include "service/inner.h"

/* The next client of that service after `last` (NULL: the first), NULL: there is none. `w` is a
 * worker that has a parent or is one. */
crew_worker *crew__client_next(
	const crew_worker *w, const crew_service *service, const crew_worker *last);

/* The worker leaves: nothing is tried again, and what does not stand yet ends. */
void crew__outgoing_leave(crew_worker *w);
/* How many of its connections are outgoing. */
uint32_t crew__outgoing_count(const crew_worker *w);
/* Abort what still lives; then the worker's own net may go. */
void crew__outgoing_end(crew_worker *w);
/* After all that crew__outgoing_end() has told. */
void crew__outgoing_free(crew_worker *w);

#endif
