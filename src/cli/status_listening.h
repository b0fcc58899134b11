/* status_listening.h - the part of `status` that tells where a program listens, who waits there to
 * be accepted, how often the kernel had no room for them, and how evenly the workers of a service
 * share what comes. */
#ifndef CREW_CLI_STATUS_LISTENING_H
#define CREW_CLI_STATUS_LISTENING_H

#include "cli/status.h"

#include <jansson.h>

/* How evenly the living workers of one service share. */
struct crew__spread {
	size_t workers;
	uint64_t connections, accepted; /* of all of them */
	/* The largest share of a worker by the mean: 1 is even, `workers` is all with one; 0: there
	 * is nothing to share. */
	double connections_spread, accepted_spread;
};
struct crew__spread crew__status_spread(const struct crew__status *status, const char *service);

/* For people: nothing where nothing listens. 0 or -ENOMEM. */
int crew__status_listening(const struct crew__status *status, const struct crew__screen *screen);
/* "spread 1.04" of the service that shares least evenly; "-": none has several workers. */
const char *crew__status_worst_spread(const struct crew__status *status, char *text, size_t size);

/* The array `listening`, by address; and of one worker `share`. NULL: no memory. */
json_t *crew__status_listening_json(const struct crew__status *status);
json_t *crew__status_share_json(
	const struct crew__status *status, const struct crew__status_row *row);

#endif
