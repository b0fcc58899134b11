/* backoff.h - how long to wait before a worker is started again.
 *
 * The first death is answered at once. One that lives less than CREW__YOUNG_MS has died young; from
 * the second such death in a row on the wait is 100 ms, doubling to 10 s. A long life forgives. */
#ifndef CREW_PROC_BACKOFF_H
#define CREW_PROC_BACKOFF_H

#include "base/base.h"

enum {
	CREW__YOUNG_MS = 5000,
	CREW__YOUNG_EXPECTED_MS = 1000, /* for one that left by its own wish */
	CREW__BACKOFF_FIRST_MS = 100,
	CREW__BACKOFF_MOST_MS = 10000,
	CREW__CRASH_LOOP = 4, /* that many young deaths in a row are called one */
};

struct crew__backoff {
	unsigned young; /* deaths in a row that came early */
};

/* A worker died after `lived_ms`: the wait before the next. */
uint64_t crew__backoff_next(struct crew__backoff *backoff, uint64_t lived_ms, bool expected);

#endif
