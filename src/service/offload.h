/* offload.h - the worker's side of slow work off the loop (<crew/offload.h>).
 *
 * Made with the first job. Threads belong to one worker, with --single too. */
#ifndef CREW_SERVICE_OFFLOAD_H
#define CREW_SERVICE_OFFLOAD_H

#include "base/base.h"

struct crew__offloads;

/* Are there jobs that wait, run, or are to be told of? NULL is allowed here and below. */
bool crew__offloads_busy(const struct crew__offloads *offloads);
/* The worker's time is over: what waits is not run (-ECANCELED, told from the loop), what runs is
 * left behind, said in the log. Nothing new is taken. */
void crew__offloads_cancel(struct crew__offloads *offloads);
/* The same, told now, not from a callback of the program's; then the threads end, and are waited for, but
 * for those left behind. */
void crew__offloads_end(struct crew__offloads *offloads);
/* Tell what is left, end, and free all. Not from a callback of the program's. */
void crew__offloads_free(struct crew__offloads *offloads);

/* How many jobs of this process were left behind and still run. A process that has any must not
 * exit by exit(3), which would take the ground from under them. */
unsigned crew__offloads_left_behind(void);

#endif
