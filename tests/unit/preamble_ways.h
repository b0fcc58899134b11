/* preamble_ways.h - a talk with a proxy as tests lead it: its answers whole, byte by byte, or cut.
 */
#ifndef CREW_TESTS_PREAMBLE_WAYS_H
#define CREW_TESTS_PREAMBLE_WAYS_H

#include "base/preamble.h"

struct talked {
	struct crew__preamble_talk talk;
	struct crew__buf out; /* what we said, all of it */
	int result;           /* of the last feed */
	size_t used;          /* in all */
};

/* Begin; `user` may be NULL. */
int talk_begin(struct talked *t, const struct crew__preamble *kind, const char *host, unsigned port,
	const char *user, const char *password);
/* Say this to it, in pieces of at most `piece` bytes, each in an allocation of its own size. */
int talk_hear(struct talked *t, const void *bytes, size_t len, size_t piece);
void talk_end(struct talked *t);

#endif
