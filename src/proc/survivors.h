/* survivors.h - the workers of a master that must be killed.
 *
 * They end by themselves when it is gone, unless they are stopped or stuck; then they are killed
 * too, so that they do not keep the listening sockets. They are found, as pidfds, while the master
 * still lives: children of it that its directory names. */
#ifndef CREW_PROC_SURVIVORS_H
#define CREW_PROC_SURVIVORS_H

#include "proc/pidfile.h"
#include "stats/directory.h"

struct crew__survivors {
	unsigned count;
	int pidfds[CREW__LIVES_MAX];
};

void crew__survivors_find(struct crew__survivors *survivors, const struct crew__running *running);
/* Give them a second, then kill: how many had to be. */
unsigned crew__survivors_end(struct crew__survivors *survivors);
void crew__survivors_forget(struct crew__survivors *survivors);

#endif
