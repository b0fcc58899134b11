/* handover.h - the master's part in handing connections over at a reload: it makes two workers
 * known to each other. What they do then is passing.h; the master carries nothing and waits for
 * nothing. */
#ifndef CREW_PROC_HANDOVER_H
#define CREW_PROC_HANDOVER_H

#include "proc/master.h"

/* The new workers are ready, and the slots still have the old ones (slot->child) beside them
 * (slot->next): each that leaves, of a service that hands over, gets its successor, or another new
 * one of its service. Before the old ones are told to leave. */
void crew__handover_pair_slots(struct crew__master *master);

/* One worker is to hand its connections over to another of the same service, which stays. 0; a
 * negative errno: then it does not, and drains as usual. */
int crew__handover_pair(struct crew__child *leaving, struct crew__child *successor);

#endif
