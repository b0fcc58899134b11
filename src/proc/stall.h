/* stall.h - when one call has kept a worker for too long: what follows from looks at its pulse.
 *
 * Pure arithmetic over time. A stall is a time in which neither the turn, nor the callback, nor the
 * number of requests has changed: many quick calls in one long turn are none. It begins with the
 * turn, or where something was last seen to change, and is believed only when two looks agree. */
#ifndef CREW_PROC_STALL_H
#define CREW_PROC_STALL_H

#include "stats/pulse.h"

/* Zeroed: nothing has been seen. */
struct crew__stall {
	uint64_t turn_ns; /* of the pulse that was seen last; 0: its loop waited */
	uint64_t requests;
	uint32_t callback;
	bool slow, stuck; /* told so already */
	uint64_t since_ns;
	uint64_t seen_ns; /* the last look that changed nothing, or the first */
};

struct crew__stall_limits {
	uint64_t slow_ns, stuck_ns; /* 0: off */
};

enum crew__stall_news {
	CREW__STALL_NONE,
	CREW__STALL_SLOW,  /* it has lasted for slow_ns */
	CREW__STALL_STUCK, /* it has lasted for stuck_ns */
	CREW__STALL_OVER,  /* one that was slow is over; it lasted until about seen_ns */
};

/* One look. `began_ns`: since when it is busy; 0: it is not. */
enum crew__stall_news crew__stall_see(struct crew__stall *stall, const struct crew__pulse *pulse,
	uint64_t began_ns, const struct crew__stall_limits *limits, uint64_t now_ns);
/* What has passed does not count, as the process was held up from outside. */
void crew__stall_forgive(struct crew__stall *stall, uint64_t now_ns);
/* When to look again, at the latest; UINT64_MAX: there is no hurry. */
uint64_t crew__stall_due(const struct crew__stall *stall, const struct crew__stall_limits *limits);

#endif
