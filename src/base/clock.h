/* clock.h - monotonic time only; a stepped wall clock moves nothing. */
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

#endif
