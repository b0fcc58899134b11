/* clock.h - monotonic time for all that is decided, which a stepped wall clock does not move; the
 * wall clock for what people read. */
#ifndef CREW_BASE_CLOCK_H
#define CREW_BASE_CLOCK_H

#include "base/base.h"

#include <time.h>

#define CREW__NS_PER_MS 1000000ull
#define CREW__NS_PER_S  1000000000ull

/* CLOCK_MONOTONIC in nanoseconds: the same for all processes of a machine. */
static inline uint64_t crew__clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * CREW__NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Milliseconds since 1970, by CLOCK_REALTIME or, cheaper and to the tick, CLOCK_REALTIME_COARSE. */
static inline int64_t crew__clock_wall_ms(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / (long)CREW__NS_PER_MS;
}

#endif
