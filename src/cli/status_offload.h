/* status_offload.h - the part of `status` about slow work off the loop (crew_offload). */
#ifndef CREW_CLI_STATUS_OFFLOAD_H
#define CREW_CLI_STATUS_OFFLOAD_H

#include "cli/status.h"

/* A row for each worker that was ever offered any; nothing when there is none. 0 or -ENOMEM. */
int crew__status_offload(const struct crew__status *status, const struct crew__screen *screen);

#endif
