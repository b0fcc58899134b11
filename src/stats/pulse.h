/* pulse.h - whether a worker turns: the few words of its slab that tell, read often and cheaply. */
#ifndef CREW_STATS_PULSE_H
#define CREW_STATS_PULSE_H

#include "stats/segment.h"

struct crew__pulse {
	uint32_t state;         /* enum crew__worker_state, or anything */
	uint32_t callback;      /* enum crew__callback, or anything */
	uint64_t turn_began_ns; /* 0: its loop waits */
	uint64_t requests;      /* total_request */
};

/* False when the segment is damaged. */
bool crew__pulse_read(const struct crew__segment *segment, struct crew__pulse *ret_pulse);

/* Count one more of a counter that the master counts for a worker and the worker never writes. */
void crew__pulse_count(const struct crew__segment *segment, const char *counter);

#endif
