/* lifeline.h - no worker outlives its master for long, not even one that is stuck.
 *
 * A worker whose loop turns sees the end of its socket and leaves in order. One that stands in a
 * callback does not look; it would keep the listening sockets and the next start would find its
 * ports taken. So the master's death also arms a timer that kills. */
#ifndef CREW_PROC_LIFELINE_H
#define CREW_PROC_LIFELINE_H

#include "base/base.h"

enum {
	CREW__LIFELINE_S = 5
};

/* After the last change of user, which undoes it. Without it a worker still ends by its socket. */
int crew__lifeline_tie(void);

#endif
