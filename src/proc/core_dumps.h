/* core_dumps.h - what it takes that a worker that crashes leaves a core dump ([crew] core_dumps).
 *
 * The kernel writes one when the limit allows it (RLIMIT_CORE), the process counts as dumpable (who
 * has changed its user does not), and core_pattern leads somewhere; the first two are seen to here,
 * the third is told at the start. Shared memory for records that no debugger asks for is left out
 * of every dump: in it, what was never used would cost as much as what was. */
#ifndef CREW_PROC_CORE_DUMPS_H
#define CREW_PROC_CORE_DUMPS_H

#include "stats/segment.h"

/* In the master, before there are workers, which inherit the limit. Logs where dumps will go, or
 * why there will be none. */
void crew__core_dumps_begin(void);
/* In a worker, once it is who it is to be. */
void crew__core_dumps_allow(void);
/* In a worker, with or without core_dumps: leave most of its segment out. */
void crew__core_dumps_spare(const struct crew__segment *segment);

#endif
