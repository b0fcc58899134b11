/* connect_retry.h - when to try again: a time drawn at random, so that those who lost one server do
 * not come back to it all at once. Numbers only. */
#ifndef CREW_SERVICE_CONNECT_RETRY_H
#define CREW_SERVICE_CONNECT_RETRY_H

#include "base/base.h"

struct crew__retry {
	uint64_t first_ms, most_ms; /* first_ms 0: never */
	uint64_t bound_ms;          /* of the last draw; 0: none since all was well */
};

/* How long to wait, from 0 up to a bound that is first_ms, then its double, ... up to most_ms.
 * `random` is any number, all of them alike. */
uint64_t crew__retry_draw(struct crew__retry *retry, uint64_t random);

/* It was open for so long: after most_ms the bounds begin anew. */
void crew__retry_was_open(struct crew__retry *retry, uint64_t ms);

#endif
